// SizeOverflow: whether the numbers in which sizes are computed are large enough for them. Separate from PlanMemory because it looks
// at arithmetic only.
#ifndef MLC_COMPILER_BUFFERIZE_SIZEOVERFLOW_H
#define MLC_COMPILER_BUFFERIZE_SIZEOVERFLOW_H
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlc {

/// An i1 where `builder` stands, at the end of `sizes`: true if a product in this function of one block is not what it should
/// be. Sums are not looked at: that of a size and "to the end" overflows by intent, and is not used then.
mlir::Value productOverflows(mlir::func::FuncOp sizes, mlir::OpBuilder &builder);

/// True if one of them is: a tree, because LLVM takes time that grows with the square of a chain's length.
mlir::Value anyOf(llvm::SmallVector<mlir::Value> conditions, mlir::OpBuilder &builder, mlir::Location loc);

} // namespace mlc
#endif
