// Sizes through branches and loops (Control.td), for the passes that work on both sides of them.
#ifndef MLC_DIALECTS_CORE_CONTROL_H
#define MLC_DIALECTS_CORE_CONTROL_H
#include "mlir/IR/PatternMatch.h"

namespace mlc::core {

/// The initial value of what a loop carries, if the value is an argument of its body or a result: it has the same sizes. The value
/// itself otherwise.
mlir::Value carriedFrom(mlir::Value value);

/// tensor.dim of carried values and of branches' results in terms of what is around them.
void populateControlDimPatterns(mlir::RewritePatternSet &patterns);

} // namespace mlc::core
#endif
