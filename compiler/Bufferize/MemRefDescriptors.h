// Memref descriptors on the llvm level: the structure {allocated, aligned, offset, sizes, strides} of upstream's lowering, built
// from and taken apart into the few values that a memref's type does not know.
#ifndef MLC_COMPILER_BUFFERIZE_MEMREFDESCRIPTORS_H
#define MLC_COMPILER_BUFFERIZE_MEMREFDESCRIPTORS_H
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"

namespace mlc {

/// The types that a memref travels as: a pointer, then an index for each dynamic size and each stride that only run time knows.
/// Fails if the layout is not strided.
mlir::FailureOr<llvm::SmallVector<mlir::Type>> openTypes(mlir::MemRefType type);

/// The values of openTypes. The memref's dynamic offset goes into the pointer.
llvm::SmallVector<mlir::Value> takeApart(mlir::OpBuilder &b, mlir::Location loc, mlir::Value memref);

/// The inverse of takeApart.
mlir::Value putTogether(mlir::OpBuilder &b, mlir::Location loc, mlir::MemRefType type, mlir::ValueRange open);

/// A row-major memref at `pointer`, its dynamic strides computed from its sizes.
mlir::Value putTogetherRowMajor(mlir::OpBuilder &b, mlir::Location loc, mlir::MemRefType type, mlir::Value pointer,
                                mlir::ValueRange dynamicSizes);

} // namespace mlc
#endif
