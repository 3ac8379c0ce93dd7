// SizeBounds: how large the sizes of an entry can become, computed in front of everything that it does. Separate from PlanMemory because
// it knows arithmetic and nothing of buffers.
#ifndef MLC_COMPILER_BUFFERIZE_SIZEBOUNDS_H
#define MLC_COMPILER_BUFFERIZE_SIZEBOUNDS_H
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpDefinition.h"
#include <unordered_map>

namespace mlc {

class SizeBounds {
public:
  /// Bounds are computed where `builder` stands; `call` stands there for the entry's argument `entryCall`.
  SizeBounds(mlir::OpBuilder &builder, mlir::Value entryCall, mlir::Value call)
      : b(builder), entryCall(entryCall), call(call) {}

  /// The least and the largest that a value can be, null where nothing says it. A value that follows from the dimensions of the
  /// arguments is both.
  struct Interval {
    mlir::Value lower, upper;
    bool isExact() const { return lower && lower == upper; }
  };
  Interval of(mlir::Value value);
  /// The same arithmetic that was made here before, in place of `value`, which goes unless it is used.
  mlir::Value unique(mlir::Value value);

private:
  Interval compute(mlir::Value value);
  Interval ofDim(mlir::Operation *dim);
  Interval ofArithmetic(mlir::Operation *op, llvm::ArrayRef<Interval> operands);
  Interval ofProduct(mlir::Operation *op, Interval x, Interval y);
  Interval ofQuotient(mlir::Operation *op, Interval x, Interval y);
  Interval ofSize(mlir::OpFoldResult size, mlir::Location loc);
  mlir::Value constant(mlir::Type type, int64_t value);
  template <typename Op> mlir::Value make(mlir::Value x, mlir::Value y);

  mlir::OpBuilder &b;
  mlir::Value entryCall, call;
  llvm::DenseMap<mlir::Value, Interval> known;
  std::unordered_map<size_t, llvm::SmallVector<mlir::Operation *, 1>> made; // by hash
};

} // namespace mlc
#endif
