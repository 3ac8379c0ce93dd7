// The formulas that activations share with fused operators and with the cells of recurrent ones.
#ifndef MLC_COMPILER_ONNXTOCORE_ACTIVATIONS_H
#define MLC_COMPILER_ONNXTOCORE_ACTIVATIONS_H
#include "compiler/OnnxToCore/Compose.h"

namespace mlc::decompose {

Expr relu(Expr x);
/// alpha x below 0.
Expr leakyRelu(Expr x, double alpha);
/// alpha (e^x - 1) below 0. Above, the side that is not chosen stays finite, and so does its derivative.
Expr elu(Expr x, double alpha);
/// x where it is above (GT) or not below (GE) alpha, else 0: the operator and the cells differ at alpha.
Expr thresholdedRelu(Expr x, core::Comparison isAbove, double alpha);
/// alpha x + beta, cut at 0 and 1.
Expr hardSigmoid(Expr x, double alpha, double beta);
Expr softsign(Expr x);
/// x/2 (1 + erf(x / sqrt 2)), or its approximation by tanh.
Expr gelu(Expr x);
Expr geluByTanh(Expr x);

} // namespace mlc::decompose
#endif
