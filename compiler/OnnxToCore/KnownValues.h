// Sizes that a model computes with tensors: Shape, Gather, Mul, Floor, Concat, Reshape. What is known of a small tensor is kept
// beside its value as exact ratios of index values, so that shape arithmetic costs nothing at run time even where it passes
// through floating point or more than one dimension, which CoreBuilder::elements cannot see.
#ifndef MLC_COMPILER_ONNXTOCORE_KNOWNVALUES_H
#define MLC_COMPILER_ONNXTOCORE_KNOWNVALUES_H
#include "dialects/core/CoreBuilder.h"
#include "dialects/core/SizeFacts.h"
#include "llvm/ADT/DenseMap.h"
#include <functional>

namespace mlc::decompose {

class Node;

/// numerator / denominator; the numerator is an integer attribute or an index (for a boolean: i1) value, the denominator positive.
/// What is no such ratio: a float attribute or an f32 or f64 value over 1 (FloatSizes.h).
struct Ratio {
  mlir::OpFoldResult numerator;
  int64_t denominator = 1;
};

struct KnownTensor {
  llvm::SmallVector<int64_t> shape;
  llvm::SmallVector<Ratio> values; // row by row
};

class KnownValues {
public:
  /// What is known of a value: recorded here, a small constant, or CoreBuilder::elements.
  std::optional<KnownTensor> find(core::CoreBuilder &b, mlir::Value v);
  /// A constant, whether folded or computed from sizes.
  bool isConstant(core::CoreBuilder &b, mlir::Value v);
  void record(mlir::Value v, KnownTensor tensor) { map[v] = std::move(tensor); }
  /// If the node is shape arithmetic on known values: the values of one of its results, of this type.
  std::optional<KnownTensor> evaluate(Node &n, unsigned result, mlir::RankedTensorType type);

  /// The symbol of a dimension of a function argument, or "": equal symbols are equal sizes.
  std::function<llvm::StringRef(mlir::Value, int64_t)> symbolOf;
  /// Named floats are parameters: what is computed from them is not known here, even if it could be.
  bool areParameters = false;
  /// True if two sizes are certainly equal.
  bool isSame(mlir::OpFoldResult x, mlir::OpFoldResult y) const {
    return core::isSameSize(x, y, symbolOf ? core::SymbolOf(symbolOf) : core::SymbolOf());
  }
  /// floor(size * scale) in f32, as Resize computes it; nullopt if the scale is not known.
  std::optional<mlir::OpFoldResult> scaled(core::CoreBuilder &b, mlir::OpFoldResult size, const Ratio &scale) const;

private:
  llvm::DenseMap<mlir::Value, KnownTensor> map;
};

/// A ratio as a size; nullopt if it is not an integer.
std::optional<mlir::OpFoldResult> asIndex(const Ratio &r);

/// The constant behind a value, if it is one.
mlir::ElementsAttr constantOf(mlir::Value v);
/// Its elements, for constants of at most `countMax` elements.
std::optional<llvm::SmallVector<double>> readFloats(mlir::ElementsAttr attr, int64_t countMax);
std::optional<llvm::SmallVector<int64_t>> readInts(mlir::ElementsAttr attr, int64_t countMax);

} // namespace mlc::decompose
#endif
