// An ONNX file in memory: its protobuf outline, and the mapped bytes of the file and of its external data files.
// It lives as long as an MLIR context holds weights that point into it.
#ifndef MLC_COMPILER_IMPORT_MODELFILE_H
#define MLC_COMPILER_IMPORT_MODELFILE_H
#include "compiler/Import/OnnxProto.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"
#include <memory>
#include <string>
#include <vector>

namespace mlc {

class ModelFile {
public:
  /// Maps and parses the model at `path`.
  static llvm::Expected<std::shared_ptr<ModelFile>> open(llvm::StringRef path);
  /// Maps and parses a file that is one TensorProto (a `.pb` of test data).
  static llvm::Expected<std::shared_ptr<ModelFile>> openTensor(llvm::StringRef path);

  const pb::ModelProto &model() const { return modelProto; }
  const pb::TensorProto &tensor() const { return tensorProto; }
  llvm::StringRef bytes() const { return buffer->getBuffer(); }

  /// Lets go of the mapped pages; they come back from the file when they are read again.
  void releasePages() const;
  /// The same for a range of this file or of one with external data.
  void releasePages(llvm::ArrayRef<char> range) const;

  /// The content of a tensor's `raw_data`, in the mapped file.
  llvm::Expected<llvm::StringRef> rawData(const pb::TensorProto &tensor) const;
  /// The content of a tensor whose data is in another file beside the model.
  llvm::Expected<llvm::StringRef> externalData(const pb::TensorProto &tensor);
  /// The files that externalData has read, as the model names them, sorted.
  std::vector<std::string> externalLocations() const;

private:
  llvm::Expected<llvm::StringRef> mapExternal(llvm::StringRef location);

  std::string path;
  std::unique_ptr<llvm::MemoryBuffer> buffer;
  pb::ModelProto modelProto;
  pb::TensorProto tensorProto;
  llvm::StringMap<std::unique_ptr<llvm::MemoryBuffer>> externalFiles;
};

} // namespace mlc
#endif
