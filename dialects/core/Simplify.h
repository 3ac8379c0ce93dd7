// Algebra that finds an existing value for an operation's result, or changes the operation in place.
#ifndef MLC_DIALECTS_CORE_SIMPLIFY_H
#define MLC_DIALECTS_CORE_SIMPLIFY_H
#include "dialects/core/Core.h"

namespace mlc::core {
/// A value equal to op's result and of the same type, op's result itself if op was changed in place, or null.
mlir::Value simplify(mlir::Operation *op);
/// A named constant of a floating-point type: training may change it, so folding must not look into it.
bool isTrainable(mlir::Value v);
} // namespace mlc::core
#endif
