// LLVM's pass pipeline, set up for a target: what the CPU's and the GPU's code generation share.
#ifndef MLC_COMPILER_EMIT_OPTIMIZE_H
#define MLC_COMPILER_EMIT_OPTIMIZE_H

#include "llvm/Passes/PassBuilder.h"

namespace mlc {

void runDefaultPipeline(llvm::Module &module, llvm::TargetMachine &machine, llvm::OptimizationLevel level,
                        llvm::PipelineTuningOptions tuning = {});

} // namespace mlc
#endif
