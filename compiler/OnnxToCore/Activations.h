// The activation that fused operators share with Gelu.
#ifndef MLC_COMPILER_ONNXTOCORE_ACTIVATIONS_H
#define MLC_COMPILER_ONNXTOCORE_ACTIVATIONS_H
#include "compiler/OnnxToCore/Compose.h"

namespace mlc::decompose {

/// x/2 (1 + erf(x / sqrt 2)), or its approximation by tanh.
Expr gelu(Expr x);
Expr geluByTanh(Expr x);

} // namespace mlc::decompose
#endif
