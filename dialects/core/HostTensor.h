// Constant tensors in the compiler's memory: read from dense and dense_resource attributes without a copy where possible, written
// back as either.
#ifndef MLC_DIALECTS_CORE_HOSTTENSOR_H
#define MLC_DIALECTS_CORE_HOSTTENSOR_H
#include "dialects/core/Core.h"
#include "mlir/IR/AsmState.h"

namespace mlc::core {

/// Row-major elements, i1 as one byte each. A splat holds one element. Move-only: it may own its memory.
class HostTensor {
public:
  mlir::RankedTensorType type;
  bool isSplat = false;

  /// Null if the attribute is neither dense nor dense_resource, or its element type has no size in whole bytes.
  static std::optional<HostTensor> read(mlir::ElementsAttr attribute);
  static HostTensor allocate(mlir::RankedTensorType type, bool isSplat);
  mlir::ElementsAttr write() &&;

  llvm::ArrayRef<char> data() const { return bytes; }
  char *mutableData() { return const_cast<char *>(bytes.data()); }
  int64_t elementBytes() const;
  int64_t count() const { return isSplat ? 1 : type.getNumElements(); } // of elements held

  NumberClass numbers() const;
  /// `size` numbers (double, int64_t or uint64_t, as numbers() says) from element `start` on; a splat repeats.
  void load(size_t start, size_t size, void *numbers) const;
  void store(size_t start, size_t size, const void *numbers);

private:
  llvm::ArrayRef<char> bytes;
  std::optional<mlir::AsmResourceBlob> owned;
};

/// Whether numbers of this type can be loaded and stored.
bool hasNumbers(mlir::Type element);
/// Bytes of an element in memory; 0 if elements are not whole bytes (i1 has one).
int64_t elementBytes(mlir::Type element);

} // namespace mlc::core
#endif
