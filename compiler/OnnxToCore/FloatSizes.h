// Floats that sizes are computed from, as scalars in the model's precision: a quotient of two sizes is no Ratio. Separate from
// KnownValues.cpp because nothing here is exact, only equal to what the node's kernel would compute.
#ifndef MLC_COMPILER_ONNXTOCORE_FLOATSIZES_H
#define MLC_COMPILER_ONNXTOCORE_FLOATSIZES_H
#include "compiler/OnnxToCore/KnownValues.h"

namespace mlc::decompose {

/// More are data, not sizes: every operation on them would make as many scalar ones.
constexpr int64_t kFloatSizesMax = 16;

/// Whether the number is a float scalar or constant, not an integer over a denominator.
bool isFloatSize(mlir::OpFoldResult x);

/// f32 or f64 operators on scalars; nullopt for those that are not known here.
struct FloatSizes {
  core::CoreBuilder &b;
  mlir::FloatType type;

  mlir::Value of(const Ratio &x);
  Ratio convert(const Ratio &x);
  std::optional<Ratio> unary(llvm::StringRef op, const Ratio &x);
  std::optional<Ratio> binary(llvm::StringRef op, const Ratio &x, const Ratio &y);
  Ratio select(mlir::Value condition, const Ratio &x, const Ratio &y);
  /// Rounds towards 0; what 64 bits do not hold becomes +-2^62, NaN the least value that the others can have: 0 or -2^62. Of a constant
  /// only what is no size changes so, and it is data: nullopt.
  std::optional<Ratio> toIndex(const Ratio &x);
};

} // namespace mlc::decompose
#endif
