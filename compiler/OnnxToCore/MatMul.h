// What the quantised matrix products share with MatMul.
#ifndef MLC_COMPILER_ONNXTOCORE_MATMUL_H
#define MLC_COMPILER_ONNXTOCORE_MATMUL_H
#include "compiler/OnnxToCore/Compose.h"

namespace mlc::decompose {

/// The operands fit NumPy's matmul.
bool matmulFits(Node &n, Value x, Value y);

} // namespace mlc::decompose
#endif
