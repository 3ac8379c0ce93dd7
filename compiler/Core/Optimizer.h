// Losses and optimizers as core compositions. The state that an optimizer keeps beside each parameter is named slots.
#ifndef MLC_COMPILER_CORE_OPTIMIZER_H
#define MLC_COMPILER_CORE_OPTIMIZER_H
#include "dialects/core/CoreBuilder.h"
#include <string>

namespace mlc::core {

struct OptimizerOptions {
  std::string kind; // sgd | adam
  double learningRate, momentum, beta1, beta2, epsilon;
};

/// A named value that persists from step to step; starts at zero.
struct Slot {
  std::string name;
  RankedTensorType type;
};

/// Builds the update of one parameter: reads its slots, assigns them and the parameter. `step` counts from 1 (a scalar; adam).
///   sgd:  v = momentum v + g;  w -= rate v                                     (PyTorch's SGD, dampening 0)
///   adam: m, v = moving averages of g, g^2;  w -= rate m' / (sqrt(v') + eps)   (Kingma and Ba 2015, algorithm 1, bias-corrected)
void buildUpdate(CoreBuilder &b, const OptimizerOptions &options, llvm::StringRef name, Value parameter, Value gradient,
                 Value step, llvm::SmallVectorImpl<Slot> &slots);

/// Mean over the batch of -log softmax(logits)[label]; logits [N, C] float, label [N] integer.
Expr crossEntropy(CoreBuilder &b, Value logits, Value label);

/// Mean of (y - target)^2 over all elements.
Expr meanSquaredError(CoreBuilder &b, Value y, Value target);

} // namespace mlc::core
#endif
