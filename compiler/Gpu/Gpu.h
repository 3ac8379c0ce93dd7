// The GPU target: from a module whose kernels are scf.forall over threads to a module that launches them and PTX texts that hold
// them. The pipeline up to LowerKernels is shared with the CPU.
#ifndef MLC_COMPILER_GPU_GPU_H
#define MLC_COMPILER_GPU_GPU_H
#include "mlir/IR/BuiltinOps.h"

namespace mlc {

/// The name of the nested module that holds device code, from OutlineGpuKernels until emitPtx.
inline constexpr llvm::StringLiteral kDeviceModule = "device";

/// Threads in a block. Kernels have no barriers, so a block is only the unit of scheduling.
inline constexpr int64_t kBlockThreads = 128;

/// What code can be generated for: names of LLVM's and the PTX version that goes with them.
struct GpuArch {
  llvm::StringLiteral name, features;
};

/// The row of the table; null for names that are not in it, which LLVM would end the process over.
const GpuArch *findGpuArch(llvm::StringRef name);

/// "sm_80, sm_86, ...", for messages.
std::string listGpuArchs();

/// Compiles the nested device module, which lower-to-nvvm has brought to the llvm dialect, to PTX for `arch` and for sm_80. The
/// texts become mlc.device_images (best first) beside mlc.device_arch, and the nested module goes away.
mlir::LogicalResult emitPtx(mlir::ModuleOp module, llvm::StringRef arch);

} // namespace mlc
#endif
