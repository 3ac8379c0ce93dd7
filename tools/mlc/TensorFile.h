// Tensors in memory and in files: NumPy's .npy, and .pb (one ONNX TensorProto). Every byte of a file is checked.
#ifndef MLC_TOOLS_MLC_TENSORFILE_H
#define MLC_TOOLS_MLC_TENSORFILE_H
#include "mlc/mlc.h"
#include "llvm/Support/Error.h"
#include <memory>
#include <string>
#include <vector>

namespace mlc {

/// A dense row-major tensor that owns its memory, 64-byte aligned.
struct HostTensor {
  int32_t dtype = MLC_FLOAT32;
  std::vector<int64_t> shape;
  std::unique_ptr<char, void (*)(void *)> data{nullptr, &free};

  /// Fails if the size overflows or memory is short. The content is zero.
  static llvm::Expected<HostTensor> allocate(int32_t dtype, std::vector<int64_t> shape);
  int64_t elementCount() const;
  size_t bytes() const;
  /// "float32[1,3,224,224]"
  std::string type() const;
  /// What the library's functions take; rank is at most MLC_RANK_MAX.
  mlc_tensor view() const;
};

/// "float32"; "type 77" for what mlc_dtype does not have.
std::string dtypeName(int32_t dtype);
std::string shapeText(const std::vector<int64_t> &shape);

/// By the name's ending: .npy or .pb.
llvm::Expected<HostTensor> readTensorFile(llvm::StringRef path);
/// Writes .npy.
llvm::Error writeTensorFile(llvm::StringRef path, const HostTensor &tensor);

} // namespace mlc
#endif
