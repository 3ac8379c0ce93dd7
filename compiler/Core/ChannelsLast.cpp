// ChannelsLast: images as [N, H, W, C] between convolutions (see Passes.td), so that channels are the lanes of a vector. One walk:
// every op that can work on a rearranged operand does; transposes are left at the edges of the network only.
#include "compiler/Passes.h"
#include "dialects/core/CoreBuilder.h"
#include "mlir/IR/Dominance.h"

namespace mlc {
#define GEN_PASS_DEF_CHANNELSLAST
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;
using namespace mlc::core;

namespace {

/// [0, 2, ..., rank - 1, 1]: dimension i of the rearranged value is dimension toLast[i] of the original.
SmallVector<int64_t> toLast(int64_t rank) {
  SmallVector<int64_t> permutation = {0};
  for (int64_t axis = 2; axis < rank; ++axis)
    permutation.push_back(axis);
  permutation.push_back(1);
  return permutation;
}

SmallVector<int64_t> toFirst(int64_t rank) {
  SmallVector<int64_t> permutation = {0, rank - 1};
  for (int64_t axis = 1; axis + 1 < rank; ++axis)
    permutation.push_back(axis);
  return permutation;
}

/// Where dimension `axis` of the original is in the rearranged value.
int64_t placeOf(int64_t axis, int64_t rank) { return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1; }

template <typename T> SmallVector<T> rearranged(ArrayRef<T> list) {
  SmallVector<T> result;
  for (int64_t axis : toLast(list.size()))
    result.push_back(list[axis]);
  return result;
}

struct Rearranger {
  explicit Rearranger(OpBuilder &builder) : builder(builder) {}
  OpBuilder &builder;
  DenseMap<Value, Value> last; // original -> rearranged, for values that are made in that form

  bool hasLast(Value value) { return last.count(value); }

  Value get(CoreBuilder &b, Value value) {
    if (Value known = last.lookup(value))
      return known;
    // A vector spread over the others keeps being one.
    if (auto broadcast = value.getDefiningOp<BroadcastOp>(); broadcast && broadcast.getAxes().size() <= 1) {
      int64_t rank = CoreBuilder::rankOf(value);
      SmallVector<int64_t> axes;
      for (int64_t axis : broadcast.getAxes())
        axes.push_back(placeOf(axis, rank));
      return b.broadcast(broadcast.getX(), rearranged<OpFoldResult>(broadcast.getMixedSizes()), axes);
    }
    return b.transpose(value, toLast(CoreBuilder::rankOf(value)));
  }

  void set(CoreBuilder &b, Value original, Value value) {
    int64_t rank = CoreBuilder::rankOf(original);
    Value back = b.transpose(value, toFirst(rank));
    original.replaceAllUsesWith(back);
    last[back] = value;
  }

  /// Makes the op on rearranged operands if that is possible and useful.
  void visit(Operation *op) {
    if (op->getNumResults() != 1 || !isa<RankedTensorType>(op->getResult(0).getType()))
      return;
    builder.setInsertionPointAfter(op);
    CoreBuilder b(builder, op->getLoc());
    TypeSwitch<Operation *>(op).Case<ConvOp, WindowReduceOp, ReduceOp, ConcatOp, PadOp, SliceOp, Pointwise>(
        [&](auto known) { move(b, known); });
  }

  void move(CoreBuilder &b, ConvOp conv) {
    // Trained weights move at every step: only constants are packed for this layout.
    if (CoreBuilder::rankOf(conv.getZ()) < 3 || !conv.getY().getDefiningOp<ConstantOp>() || conv.getChannelsLast())
      return;
    CoreBuilder::ConvDims dims;
    dims.strides.assign(conv.getStrides().begin(), conv.getStrides().end());
    dims.padLow.assign(conv.getPadLow().begin(), conv.getPadLow().end());
    dims.padHigh.assign(conv.getPadHigh().begin(), conv.getPadHigh().end());
    dims.lhsDilation.assign(conv.getLhsDilation().begin(), conv.getLhsDilation().end());
    dims.rhsDilation.assign(conv.getRhsDilation().begin(), conv.getRhsDilation().end());
    dims.groups = conv.getGroups();
    dims.channelsLast = true;
    set(b, conv.getZ(), b.conv(get(b, conv.getX()), conv.getY(), dims));
  }

  void move(CoreBuilder &b, WindowReduceOp window) {
    if (!hasLast(window.getX()))
      return;
    CoreBuilder::Window dims{rearranged(window.getSize()), rearranged(window.getStrides()),
                             rearranged(window.getDilations()), rearranged(window.getPadLow()),
                             rearranged(window.getPadHigh())};
    set(b, window.getY(), b.windowReduce(window.getKind(), get(b, window.getX()), dims));
  }

  /// Only when what is left keeps its order: channels are reduced, or all of the space.
  void move(CoreBuilder &b, ReduceOp reduce) {
    if (!hasLast(reduce.getX()))
      return;
    int64_t from = CoreBuilder::rankOf(reduce.getX()), previous = -1;
    for (int64_t axis = 0; axis < from; ++axis) {
      if (llvm::is_contained(reduce.getAxes(), axis))
        continue;
      if (placeOf(axis, from) < previous)
        return;
      previous = placeOf(axis, from);
    }
    SmallVector<int64_t> axes;
    for (int64_t axis : reduce.getAxes())
      axes.push_back(placeOf(axis, from));
    llvm::sort(axes);
    Value value = b.reduce(reduce.getKind(), get(b, reduce.getX()), axes);
    reduce.getY().replaceAllUsesWith(value);
  }

  /// The operands rearranged; none if there is nothing to gain: no operand is yet.
  SmallVector<Value> operandsOf(CoreBuilder &b, Operation *op) {
    SmallVector<Value> operands;
    if (CoreBuilder::rankOf(op->getResult(0)) >= 3 &&
        llvm::any_of(op->getOperands(), [&](Value v) { return hasLast(v); }))
      for (Value operand : op->getOperands())
        operands.push_back(get(b, operand));
    return operands;
  }

  void move(CoreBuilder &b, ConcatOp concat) {
    SmallVector<Value> operands = operandsOf(b, concat);
    if (!operands.empty())
      set(b, concat.getY(), b.concat(operands, placeOf(concat.getAxis(), CoreBuilder::rankOf(concat.getY()))));
  }

  void move(CoreBuilder &b, PadOp pad) {
    if (hasLast(pad.getX()))
      set(b, pad.getY(),
          b.pad(get(b, pad.getX()), pad.getValue(), rearranged<OpFoldResult>(pad.getMixedLow()),
                rearranged<OpFoldResult>(pad.getMixedHigh()), rearranged(pad.getInterior())));
  }

  void move(CoreBuilder &b, SliceOp slice) {
    if (hasLast(slice.getX()))
      set(b, slice.getY(),
          b.slice(get(b, slice.getX()), rearranged<OpFoldResult>(slice.getMixedStarts()),
                  rearranged<OpFoldResult>(slice.getMixedSizes()), rearranged(slice.getStrides())));
  }

  void move(CoreBuilder &b, Pointwise op) {
    SmallVector<Value> operands = operandsOf(b, op);
    if (operands.empty())
      return;
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    Operation *clone = builder.clone(*op.getOperation());
    clone->setOperands(operands);
    clone->getResult(0).setType(RankedTensorType::get(rearranged(type.getShape()), type.getElementType()));
    set(b, op->getResult(0), clone->getResult(0));
  }
};

struct ChannelsLast : mlc::impl::ChannelsLastBase<ChannelsLast> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      OpBuilder builder(&getContext());
      Rearranger rearranger(builder);
      SmallVector<Operation *> order;
      for (Operation &op : function.getBody().front())
        order.push_back(&op);
      for (Operation *op : order)
        rearranger.visit(op);
      // What only served the old layout.
      for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
        if (isOpTriviallyDead(&op))
          op.erase();
    }
  }
};

} // namespace
