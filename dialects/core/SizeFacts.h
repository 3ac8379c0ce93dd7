// What is certain of index values without running anything: equal, not negative, at most a number. Every answer of "no" means "not known".
#ifndef MLC_DIALECTS_CORE_SIZEFACTS_H
#define MLC_DIALECTS_CORE_SIZEFACTS_H
#include "mlir/IR/BuiltinTypeInterfaces.h"
#include "mlir/IR/OpDefinition.h"

namespace mlc::core {

/// The name of a tensor's dimension, "" if it has none: equal names are equal sizes.
using SymbolOf = llvm::function_ref<llvm::StringRef(mlir::Value, int64_t)>;

/// Equal constants, one value, or the same arithmetic on such; dimensions of one symbol.
bool isSameSize(mlir::OpFoldResult x, mlir::OpFoldResult y, SymbolOf symbolOf = {}, int depth = 6);

/// As above, of dimensions i and k of tensors.
bool isSameDim(mlir::Value x, int64_t i, mlir::Value y, int64_t k, SymbolOf symbolOf = {});

/// Sizes are not negative, nor is what adds, multiplies and divides them.
bool isNonNegative(mlir::OpFoldResult x, int depth = 8);

/// Not above `bound`: constants, and minima that have one.
bool isAtMost(mlir::OpFoldResult x, int64_t bound, int depth = 8);

/// One of the sizes is known to be 0.
bool hasNoElements(mlir::ShapedType type);

/// An element of a tensor without a bound, or computed from one: no memory can be planned for such a size.
bool isReadFromData(mlir::OpFoldResult x, int depth = 8);

} // namespace mlc::core
#endif
