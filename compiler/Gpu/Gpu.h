// The GPU target: from a module whose kernels are scf.forall over threads to a module that launches them and a nested one that holds
// them, of which Emit makes PTX. The pipeline up to LowerKernels is shared with the CPU.
#ifndef MLC_COMPILER_GPU_GPU_H
#define MLC_COMPILER_GPU_GPU_H
#include "mlir/IR/BuiltinOps.h"

namespace mlc {

/// The name of the nested module that holds device code, from OutlineGpuKernels until emitPtx (compiler/Emit/Ptx.h).
inline constexpr llvm::StringLiteral kDeviceModule = "device";

/// Threads in a block. Kernels have no barriers, so a block is only the unit of scheduling.
inline constexpr int64_t kBlockThreads = 128;

} // namespace mlc
#endif
