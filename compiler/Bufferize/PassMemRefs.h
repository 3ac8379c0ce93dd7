// How memrefs travel between functions, on the CPU and to the GPU.
#ifndef MLC_COMPILER_BUFFERIZE_PASSMEMREFS_H
#define MLC_COMPILER_BUFFERIZE_PASSMEMREFS_H
#include "mlir/IR/BuiltinOps.h"

namespace mlc {

/// Passes every memref as a pointer followed by what its type leaves open: dynamic sizes, then dynamic strides. A dynamic offset
/// is added to the pointer. Applies to func.func, func.call, func.return's absence of results, and rt.parallel_for, after control
/// flow is flat (cf) and before the upstream conversions to the llvm dialect.
///   func.func @k(%x: memref<?x4xf32>)   ->   func.func @k(%x: !llvm.ptr, %size: index)
mlir::LogicalResult passMemRefsAsPointers(mlir::ModuleOp module);

} // namespace mlc
#endif
