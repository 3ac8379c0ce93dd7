// The steps of LowerToLLVM that know the runtime: how memrefs travel between functions, and what the ops of rt become. Each
// works on functions whose control flow is flat (cf), before the upstream conversions to the llvm dialect.
#ifndef MLC_COMPILER_CPU_RUNTIMECALLS_H
#define MLC_COMPILER_CPU_RUNTIMECALLS_H
#include "mlir/IR/BuiltinOps.h"

namespace mlc {

/// Passes every memref as a pointer followed by what its type leaves open: dynamic sizes, then dynamic strides. A dynamic offset
/// is added to the pointer. Applies to func.func, func.call, func.return's absence of results, and rt.parallel_for.
///   func.func @k(%x: memref<?x4xf32>)   ->   func.func @k(%x: !llvm.ptr, %size: index)
mlir::LogicalResult passMemRefsAsPointers(mlir::ModuleOp module);

/// rt.dim, rt.buffer, rt.parallel_for, rt.check, rt.launch -> llvm and cf, with the declarations of abi.def.
mlir::LogicalResult lowerRuntimeOps(mlir::ModuleOp module);

} // namespace mlc
#endif
