// The outline of a model file: the same protobuf message without the tensors' bytes. protobuf would copy every
// `raw_data` into the heap, so a first walk over the wire format replaces each one by its place in the mapped file.
#ifndef MLC_COMPILER_IMPORT_WIREFORMAT_H
#define MLC_COMPILER_IMPORT_WIREFORMAT_H
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <optional>
#include <string>

namespace mlc {

/// Which message of onnx-ml.proto the bytes are.
enum class WireMessage { Model, Graph, Node, Attribute, Function, Tensor, SparseTensor, TrainingInfo, Other };

/// What stands in an outline in place of `raw_data`: offset and size in the file, 8 bytes each.
struct RawDataPlace {
  uint64_t offset, size;
};

/// Checks the framing of `file` down to the tensors and returns its outline. Fails if the framing is broken, messages nest
/// deeper than 200, or there are so many of them that protobuf's objects would take gigabytes.
llvm::Expected<std::string> outlineOf(llvm::StringRef file, WireMessage message = WireMessage::Model);

/// Reads what outlineOf put in place of a tensor's `raw_data`.
std::optional<RawDataPlace> rawDataPlace(llvm::StringRef rawData);

} // namespace mlc
#endif
