// Reverse-mode differentiation on core: a walk over the Differentiable interface (dialects/core).
#ifndef MLC_COMPILER_CORE_DIFFERENTIATE_H
#define MLC_COMPILER_CORE_DIFFERENTIATE_H
#include "dialects/core/CoreBuilder.h"

namespace mlc::core {

/// Appends, at the builder's insertion point (behind everything that `root` depends on, in the same block), the derivative of the
/// scalar `root` with respect to each of `variables`; zeros where it does not depend on one. Diagnoses an operation on
/// the way that has no derivative.
mlir::FailureOr<llvm::SmallVector<Value>> differentiate(CoreBuilder &b, Value root, llvm::ArrayRef<Value> variables);

} // namespace mlc::core
#endif
