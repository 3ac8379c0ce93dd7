// Ops of the reference that move elements by static rules, and those that make them from positions (dialects/core/Shape.td, Random.td).
#include "compiler/Reference/Interpreter.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace mlc::reference {
namespace {

/// The elements of a box of x that begins at `start` and steps by `strides`.
Tensor box(const Tensor &x, ArrayRef<int64_t> shape, int64_t start, const Strides &strides) {
  Tensor result(x.element, shape);
  int64_t next = 0;
  walk<1>(result.shape, {strides}, {start}, [&](auto at) { result.copyWord(next++, x, at[0]); });
  return result;
}

/// Puts x into a box of the result.
void place(Tensor &result, const Tensor &x, int64_t start, const Strides &strides) {
  int64_t next = 0;
  walk<1>(x.shape, {strides}, {start}, [&](auto at) { result.copyWord(at[0], x, next++); });
}

Tensor broadcast(core::BroadcastOp op, const Tensor &x, ArrayRef<int64_t> sizes) {
  Strides own = x.strides(), strides(sizes.size(), 0);
  for (auto [axis, at] : llvm::enumerate(op.getAxes()))
    if (x.shape[axis] != 1)
      strides[at] = own[axis];
  return box(x, sizes, 0, strides);
}

Tensor stretch(const Tensor &x, ArrayRef<int64_t> sizes) {
  Strides strides = x.strides();
  for (auto [size, stride] : llvm::zip_equal(x.shape, strides))
    if (size == 1)
      stride = 0;
  return box(x, sizes, 0, strides);
}

Tensor transpose(core::TransposeOp op, const Tensor &x) {
  Strides own = x.strides(), strides;
  Shape shape;
  for (int64_t axis : op.getPermutation()) {
    strides.push_back(own[axis]);
    shape.push_back(x.shape[axis]);
  }
  return box(x, shape, 0, strides);
}

Tensor slice(core::SliceOp op, const Tensor &x, ArrayRef<int64_t> starts, ArrayRef<int64_t> sizes) {
  Strides strides = x.strides();
  int64_t start = 0;
  for (auto [stride, step, first] : llvm::zip_equal(strides, op.getStrides(), starts)) {
    start += first * stride;
    stride *= step;
  }
  return box(x, sizes, start, strides);
}

Tensor reverse(core::ReverseOp op, const Tensor &x) {
  Strides strides = x.strides();
  int64_t start = 0;
  for (int64_t axis : op.getAxes()) {
    start += (x.shape[axis] - 1) * strides[axis];
    strides[axis] = -strides[axis];
  }
  return box(x, x.shape, start, strides);
}

Tensor pad(core::PadOp op, Operands operands, ArrayRef<int64_t> low, ArrayRef<int64_t> high) {
  const Tensor &x = operands[0];
  Shape shape;
  for (auto [axis, size] : llvm::enumerate(x.shape)) {
    int64_t span = size == 0 ? 0 : (size - 1) * (op.getInterior()[axis] + 1) + 1;
    shape.push_back(low[axis] + span + high[axis]);
  }
  Tensor result = box(operands[1], shape, 0, Strides(shape.size(), 0));
  Strides strides = result.strides();
  int64_t start = 0;
  for (auto [axis, stride] : llvm::enumerate(strides)) {
    start += low[axis] * stride;
    stride *= op.getInterior()[axis] + 1;
  }
  place(result, x, start, strides);
  return result;
}

Tensor concat(core::ConcatOp op, Operands operands) {
  Shape shape = operands[0].shape;
  int64_t axis = op.getAxis();
  shape[axis] = 0;
  for (const Tensor &x : operands)
    shape[axis] += x.shape[axis];
  Tensor result(operands[0].element, shape);
  int64_t start = 0;
  for (const Tensor &x : operands) {
    place(result, x, start, result.strides());
    start += x.shape[axis] * result.strides()[axis];
  }
  return result;
}

/// `into` with x in a box of it, where dimensions of one element may be missing in x.
Tensor insert(tensor::InsertSliceOp op, const Tensor &x, const Tensor &into, const Interpreter &scope) {
  Tensor result = box(into, into.shape, 0, into.strides());
  Strides strides = result.strides();
  int64_t start = 0;
  Shape starts = scope.sizes(op.getMixedOffsets()), steps = scope.sizes(op.getMixedStrides());
  for (auto [axis, stride] : llvm::enumerate(strides)) {
    start += starts[axis] * stride;
    stride *= steps[axis];
  }
  place(result, x.reshaped(scope.sizes(op.getMixedSizes())), start, strides);
  return result;
}

Tensor iota(core::IotaOp op, Element element, ArrayRef<int64_t> sizes) {
  Tensor result(element, sizes);
  int64_t stride = result.strides()[op.getAxis()], size = sizes[op.getAxis()];
  for (int64_t i = 0, count = result.count(); i < count; ++i) {
    int64_t position = i / stride % size;
    if (element.isReal())
      result.reals()[i] = double(position);
    else
      result.integers()[i] = element.wrap(position);
  }
  return result;
}

/// threefry2x32-20 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): the first word.
uint32_t threefry(uint64_t key, uint64_t counter) {
  uint32_t keys[3] = {uint32_t(key), uint32_t(key >> 32), 0};
  keys[2] = 0x1BD11BDA ^ keys[0] ^ keys[1];
  uint32_t a = uint32_t(counter) + keys[0], b = uint32_t(counter >> 32) + keys[1];
  const int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  for (uint32_t group = 0; group < 5; ++group) {
    for (int rotation : rotations[group % 2]) {
      a += b;
      b = (b << rotation | b >> (32 - rotation)) ^ a;
    }
    a += keys[(group + 1) % 3];
    b += keys[(group + 2) % 3] + group + 1;
  }
  return a;
}

Tensor randomBits(const Tensor &seed, ArrayRef<int64_t> sizes) {
  Tensor result(Element{Element::Unsigned, 32, nullptr}, sizes);
  for (int64_t i = 0, count = result.count(); i < count; ++i)
    result.integers()[i] = threefry(uint64_t(seed.integers()[0]), uint64_t(i));
  return result;
}

} // namespace

Result evaluateMovement(Operation *op, Operands operands, const Interpreter &scope) {
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case([&](core::BroadcastOp op) { return broadcast(op, operands[0], scope.sizes(op.getMixedSizes())); })
      .Case([&](core::StretchOp op) { return stretch(operands[0], scope.sizes(op.getMixedSizes())); })
      .Case([&](core::ReshapeOp op) -> Result {
        Shape shape = scope.sizes(op.getMixedSizes());
        if (product(shape) != operands[0].count())
          return std::nullopt;
        return operands[0].reshaped(shape);
      })
      .Case([&](core::TransposeOp op) { return transpose(op, operands[0]); })
      .Case([&](core::SliceOp op) {
        return slice(op, operands[0], scope.sizes(op.getMixedStarts()), scope.sizes(op.getMixedSizes()));
      })
      .Case([&](core::ReverseOp op) { return reverse(op, operands[0]); })
      .Case([&](core::PadOp op) {
        return pad(op, operands, scope.sizes(op.getMixedLow()), scope.sizes(op.getMixedHigh()));
      })
      .Case([&](core::ConcatOp op) { return concat(op, operands); })
      .Case([&](core::IotaOp op) {
        return iota(op, *Element::of(op.getType().getElementType()), scope.sizes(op.getMixedSizes()));
      })
      .Case([&](tensor::EmptyOp op) { // zeros, but nothing reads them
        return Tensor(*Element::of(op.getType().getElementType()), scope.sizes(op.getMixedSizes()));
      })
      .Case([&](tensor::InsertSliceOp op) { return insert(op, operands[0], operands[1], scope); })
      .Case([&](core::RandomBitsOp op) { return randomBits(operands[0], scope.sizes(op.getMixedSizes())); })
      .Default([](Operation *) { return std::nullopt; });
}

} // namespace mlc::reference
