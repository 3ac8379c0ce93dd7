// What fused operators share with the normalizations.
#ifndef MLC_COMPILER_ONNXTOCORE_NORMALIZATION_H
#define MLC_COMPILER_ONNXTOCORE_NORMALIZATION_H
#include "compiler/OnnxToCore/Compose.h"

namespace mlc::decompose {

/// (x - mean) / sqrt(variance + epsilon)
Expr standardized(Expr x, const Moments &m, double epsilon);
/// x / sqrt(mean of squares + epsilon)
Expr overRootMeanSquare(Expr x, ArrayRef<int64_t> axes, double epsilon);

} // namespace mlc::decompose
#endif
