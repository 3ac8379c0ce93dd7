// The elements of a TensorProto, wherever the file keeps them: raw_data, one of the typed fields, or another file.
#ifndef MLC_COMPILER_IMPORT_TENSORDATA_H
#define MLC_COMPILER_IMPORT_TENSORDATA_H
#include "compiler/Import/ModelFile.h"
#include "llvm/ADT/SmallVector.h"

namespace mlc {

/// Dense row-major elements in native byte order; bool is one byte, 0 or 1.
struct TensorData {
  int32_t dataType; // pb::TensorProto::DataType
  llvm::SmallVector<int64_t> shape;
  llvm::StringRef bytes;           // into the mapped file, or into `storage`
  std::unique_ptr<char[]> storage; // set if the elements had to be converted; aligned for every element
};

/// Product of the sizes times `elementBytes`, if no partial product overflows and no size is negative. Dynamic sizes (INT64_MIN)
/// count as one.
llvm::Expected<int64_t> checkedByteCount(llvm::ArrayRef<int64_t> shape, unsigned elementBytes);

llvm::Expected<TensorData> readTensor(ModelFile &file, const pb::TensorProto &tensor);

} // namespace mlc
#endif
