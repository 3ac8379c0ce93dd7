// Sums of products of the reference (dialects/core/Contract.td): operands are brought into the order of a matrix product; a convolution
// lays its windows out as columns.
#include "compiler/Reference/Interpreter.h"
#include "compiler/Reference/Products.h"

using namespace mlir;

namespace mlc::reference {
namespace {

/// x with its dimensions in this order.
Tensor permuted(const Tensor &x, ArrayRef<ArrayRef<int64_t>> groups) {
  Strides own = x.strides(), strides;
  Shape shape;
  for (ArrayRef<int64_t> group : groups)
    for (int64_t axis : group) {
      strides.push_back(own[axis]);
      shape.push_back(x.shape[axis]);
    }
  Tensor result(x.element, shape);
  int64_t next = 0;
  walk<1>(shape, {strides}, {0}, [&](auto at) { result.copyWord(next++, x, at[0]); });
  return result;
}

struct Offsets {
  int64_t x, y, z;
};
void addProductAt(ProductSizes sizes, Offsets at, const Tensor &x, const Tensor &y, Tensor &z) {
  if (z.element.isReal())
    addProduct(sizes, x.reals() + at.x, y.reals() + at.y, z.reals() + at.z);
  else
    addProduct(sizes, x.integers() + at.x, y.integers() + at.y, z.integers() + at.z);
}

void wrapAll(Tensor &z) {
  if (!z.element.isReal())
    for (int64_t i = 0, count = z.count(); i < count; ++i)
      z.integers()[i] = z.element.wrap(z.integers()[i]);
}

Tensor dot(core::DotOp op, const Tensor &x, const Tensor &y) {
  SmallVector<int64_t> xFree = op.getLhsFree(), yFree = op.getRhsFree();
  Tensor left = permuted(x, {op.getLhsBatch(), xFree, op.getLhsContract()});
  Tensor right = permuted(y, {op.getRhsBatch(), op.getRhsContract(), yFree});
  int64_t batches = 1;
  ProductSizes sizes{1, 1, 1};
  Shape shape;
  for (int64_t axis : op.getLhsBatch())
    shape.push_back(x.shape[axis]), batches *= x.shape[axis];
  for (int64_t axis : xFree)
    shape.push_back(x.shape[axis]), sizes.rows *= x.shape[axis];
  for (int64_t axis : yFree)
    shape.push_back(y.shape[axis]), sizes.columns *= y.shape[axis];
  for (int64_t axis : op.getLhsContract())
    sizes.depth *= x.shape[axis];
  Tensor z(*Element::of(op.getType().getElementType()), shape);
  for (int64_t batch = 0; batch < batches; ++batch)
    addProductAt(
        sizes,
        {batch * sizes.rows * sizes.depth, batch * sizes.depth * sizes.columns, batch * sizes.rows * sizes.columns},
        left, right, z);
  wrapAll(z);
  return z;
}

/// The element of one dimension of x that window position k reads for result position p; -1 outside and between elements.
int64_t sourceOf(core::ConvOp op, size_t dim, int64_t size, int64_t p, int64_t k) {
  int64_t at = p * op.getStrides()[dim] + k * op.getRhsDilation()[dim] - op.getPadLow()[dim];
  int64_t dilation = op.getLhsDilation()[dim];
  return at < 0 || at % dilation != 0 || at / dilation >= size ? -1 : at / dilation;
}

/// columns[c, k, p] = x'[c, p * strides + k * dilation] of one image and one group.
void fillColumns(core::ConvOp op, const Tensor &x, int64_t start, ArrayRef<int64_t> window, ArrayRef<int64_t> result,
                 Tensor &columns) {
  size_t spatial = window.size();
  ArrayRef<int64_t> image = ArrayRef(x.shape).drop_front(2);
  int64_t channels = columns.shape[0], imageSize = product(image), windowSize = product(window), size = product(result);
  for (int64_t k = 0; k < windowSize; ++k)
    for (int64_t p = 0; p < size; ++p) {
      int64_t from = 0, stride = 1, restK = k, restP = p;
      bool isInside = true;
      for (size_t dim = spatial; dim-- > 0; restK /= window[dim], restP /= result[dim], stride *= image[dim]) {
        int64_t at = sourceOf(op, dim, image[dim], restP % result[dim], restK % window[dim]);
        isInside &= at >= 0;
        from += at * stride;
      }
      for (int64_t c = 0; c < channels; ++c) {
        int64_t to = (c * windowSize + k) * size + p;
        if (isInside)
          columns.copyWord(to, x, start + c * imageSize + from);
        else
          columns.integers()[to] = 0; // also 0.0
      }
    }
}

Result conv(core::ConvOp op, const Tensor &x, const Tensor &y) {
  if (op.getChannelsLast()) // layouts are chosen later
    return std::nullopt;
  int64_t images = x.shape[0], outs = y.shape[0], channels = y.shape[1], groups = op.getGroups();
  ArrayRef<int64_t> window = ArrayRef(y.shape).drop_front(2);
  Shape shape = {images, outs}, positions;
  for (size_t dim = 0; dim < window.size(); ++dim) {
    int64_t size = x.shape[dim + 2], dilated = size == 0 ? 0 : (size - 1) * op.getLhsDilation()[dim] + 1;
    int64_t rest =
        dilated + op.getPadLow()[dim] + op.getPadHigh()[dim] - (window[dim] - 1) * op.getRhsDilation()[dim] - 1;
    positions.push_back(rest < 0 ? 0 : rest / op.getStrides()[dim] + 1);
  }
  llvm::append_range(shape, positions);
  Tensor z(x.element, shape);
  ProductSizes sizes{outs / groups, channels * product(window), product(positions)};
  Tensor columns(x.element, {channels, product(window), sizes.columns});
  for (int64_t image = 0; image < images; ++image)
    for (int64_t group = 0; group < groups; ++group) {
      int64_t firstChannel = image * x.shape[1] + group * channels;
      fillColumns(op, x, firstChannel * product(ArrayRef(x.shape).drop_front(2)), window, positions, columns);
      int64_t row = group * sizes.rows;
      addProductAt(sizes, {row * sizes.depth, 0, (image * outs + row) * sizes.columns}, y, columns, z);
    }
  wrapAll(z);
  return z;
}

} // namespace

Result evaluateContraction(Operation *op, Operands operands) {
  if (auto product = dyn_cast<core::DotOp>(op))
    return dot(product, operands[0], operands[1]);
  if (auto convolution = dyn_cast<core::ConvOp>(op))
    return conv(convolution, operands[0], operands[1]);
  return std::nullopt;
}

} // namespace mlc::reference
