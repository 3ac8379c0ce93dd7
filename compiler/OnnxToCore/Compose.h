// Mathematics that several rules share, written with CoreBuilder: what is between an ONNX operator and a core op.
#ifndef MLC_COMPILER_ONNXTOCORE_COMPOSE_H
#define MLC_COMPILER_ONNXTOCORE_COMPOSE_H
#include "compiler/OnnxToCore/Rules.h"
#include <optional>
#include <utility>

namespace mlc::decompose {

// ---- sizes ----------------------------------------------------------------------------------------------------------
Sizes constantSizes(CoreBuilder &b, ArrayRef<int64_t> sizes);
/// 0, 1, .. count - 1.
SmallVector<int64_t> countingFrom(int64_t first, int64_t count);
/// The product of some sizes; nullopt (and an error) when constants overflow.
std::optional<OpFoldResult> productOf(Node &n, ArrayRef<OpFoldResult> sizes);
/// As many elements as `sizes` say: reshape, after a check that static counts agree.
Values reshapeChecked(Node &n, Value x, const Sizes &sizes);
/// The dimensions are static; fails the node otherwise. `what` names the tensor.
std::optional<SmallVector<int64_t>> staticShape(Node &n, Value x, StringRef what);
/// A size that must be static.
std::optional<int64_t> staticDim(Node &n, Value x, int64_t axis, StringRef what);

// ---- elements -------------------------------------------------------------------------------------------------------
/// The smallest or the largest value, 0-D; infinities for floats.
Expr lowest(CoreBuilder &b, Type element);
Expr highest(CoreBuilder &b, Type element);
/// Casts x to `element` unless it has it.
Expr convert(CoreBuilder &b, Value x, Type element);
using core::accumulatorOf;
/// Casts x to what sums and squares of its elements fit into.
Expr widened(CoreBuilder &b, Value x);

// ---- functions ------------------------------------------------------------------------------------------------------
Expr reciprocal(Expr x);
Expr sigmoid(Expr x);
Expr softplus(Expr x);
Expr roundHalfEven(Expr x);
/// min(max(x, low), high)
Expr clamp(Expr x, double low, double high);
/// Sums of f16 and bf16 are f32 until the result.
Expr softmax(Expr x, ArrayRef<int64_t> axes);
/// Rows that are minus infinity throughout (every key of an attention is masked) give 0.
Expr maskedSoftmax(Expr x, ArrayRef<int64_t> axes);
Expr logSoftmax(Expr x, ArrayRef<int64_t> axes);
struct Moments {
  Expr mean, variance; // dimensions kept
};
Moments moments(Expr x, ArrayRef<int64_t> axes);
/// Keys' cubic convolution with parameter A (R. Keys, 1981): at a distance below 1, and from 1 to 2. Of numbers and of tensors.
template <typename Number> Number cubicNear(Number x, double A) { return (x * (A + 2) - (A + 3)) * x * x + 1.0; }
template <typename Number> Number cubicFar(Number x, double A) { return ((x * A - 5 * A) * x + 8 * A) * x - 4 * A; }
/// The weights of the neighbours from floor(x) - 1 on, t = x - floor(x).
template <typename Number> SmallVector<Number> cubicWeights(Number t, double A) {
  return {cubicFar(t + 1.0, A), cubicNear(t, A), cubicNear(1.0 - t, A), cubicFar(2.0 - t, A)};
}
/// Those from floor(x) on.
template <typename Number> SmallVector<Number> linearWeights(Number t) { return {1.0 - t, t}; }
/// [C] as [1, C, 1, 1] for a tensor of rank 4.
Expr perChannel(Expr channels, int64_t rank, int64_t axis = 1);
/// The elements of x at one position of an axis, without that axis.
Expr at(Expr x, int64_t axis, int64_t position);
/// A part of one axis.
Expr part(Expr x, int64_t axis, OpFoldResult start, OpFoldResult size);

// ---- windows and convolutions -----------------------------------------------------------------------------------------
/// The attributes that pools and convolutions share, resolved: pads are those that auto_pad means.
struct SpatialAttributes {
  SmallVector<int64_t> kernel, strides, dilations, padLow, padHigh;
  SmallVector<int64_t> padHighCeil; // with ceil_mode: what the last window needs beyond padHigh
  Sizes runLow,
      runHigh; // what auto_pad means for sizes that only the run knows, for each dimension of the input; or empty
};
/// `kernelShape`: the weights' spatial sizes, or empty to read kernel_shape.
std::optional<SpatialAttributes> spatialAttributes(Node &n, Value x, ArrayRef<int64_t> kernelShape, bool mayCeil);
/// The input with what only the run knows of its padding around it.
Expr padded(Expr x, const SpatialAttributes &s, Expr filler);
/// A window over the spatial dimensions of [N, C, spatial...].
CoreBuilder::Window windowOf(const SpatialAttributes &s, bool padded);

/// Broadcasting of opsets below 7: y's dimensions start at attribute `axis`.
std::optional<Expr> legacyOperand(Node &n, Expr x, Expr y);
/// Both inputs, of one element type, ready to be broadcast.
std::optional<std::pair<Expr, Expr>> binaryOperands(Node &n);

} // namespace mlc::decompose
#endif
