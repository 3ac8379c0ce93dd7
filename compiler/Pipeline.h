// The pipeline in its phases. Between two of them --emit can stop, and the driver looks at what there is (Compile.cpp).
#ifndef MLC_COMPILER_PIPELINE_H
#define MLC_COMPILER_PIPELINE_H
#include "compiler/Stages.h"

namespace mlc {

/// onnx to core: every node decomposed, the training step added, constants folded.
void toCore(Stages &stages, const TrainOptions &train);
/// core to linalg on tensors, fused. `isNaive`: nothing is done for speed, here and below.
void toLinalg(Stages &stages, bool onGpu, bool isNaive);
/// Functions on buffers, one for each group of ops.
void toKernels(Stages &stages, bool onGpu, bool isNaive);
/// Their plans, by the machine's name.
void plan(Stages &stages, llvm::StringRef machine);
/// Weights in the order in which kernels read them; a place for every value.
void placeMemory(Stages &stages);
/// Kernels as loops of vectors.
void toLoops(Stages &stages);
/// Canonical forms of these, with what is invariant in front of them.
void simplifyLoops(Stages &stages);
/// Kernels of a GPU in a nested module, in LLVM's dialect.
void toDevice(Stages &stages);
/// What the host runs, in LLVM's dialect.
void toLLVM(Stages &stages);

} // namespace mlc
#endif
