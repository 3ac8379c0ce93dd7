// The step of LowerToLLVM that knows the runtime: what the ops of rt become. It works on functions whose control flow is flat
// (cf), before the upstream conversions to the llvm dialect.
#ifndef MLC_COMPILER_CPU_RUNTIMECALLS_H
#define MLC_COMPILER_CPU_RUNTIMECALLS_H
#include "mlir/IR/BuiltinOps.h"

namespace mlc {

/// rt.dim, rt.buffer, rt.parallel_for, rt.check, rt.launch -> llvm and cf, with the declarations of abi.def.
mlir::LogicalResult lowerRuntimeOps(mlir::ModuleOp module);

} // namespace mlc
#endif
