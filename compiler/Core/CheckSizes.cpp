// CheckSizes: what core ops assume of sizes that only the run knows becomes core.require in front of them, unless it is certain. The
// numbers C1, C2 ... are those of the ops' descriptions. After this pass every later one may take an assumption for a fact: a cast
// that refines a type, or a fold that drops an op, loses no check.
#include "compiler/Passes.h"
#include "dialects/core/CoreBuilder.h"
#include "dialects/core/SizeFacts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlc {
#define GEN_PASS_DEF_CHECKSIZES
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;
using namespace mlc::core;

namespace {

using Predicate = arith::CmpIPredicate;

class Checker {
public:
  /// Checks that stand in `outer` hold here, too.
  Checker(Block &block, const Checker *outer)
      : block(block), outer(outer), builder(block.getParentOp()->getContext()) {}

  LogicalResult run() {
    for (Operation &op : block) {
      builder.setInsertionPoint(&op);
      CoreBuilder b(builder, op.getLoc());
      at = &b;
      visit(&op);
      if (b.failed)
        return failure();
      for (Region &region : op.getRegions())
        if (isa<IfOp, LoopOp>(op) && failed(Checker(region.front(), this).run()))
          return failure();
    }
    return success();
  }

private:
  struct Fact {
    Predicate predicate;
    OpFoldResult x, y;
  };

  bool isKnown(const Fact &fact) const {
    for (const Fact &other : facts)
      if (other.predicate == fact.predicate &&
          ((isSameSize(other.x, fact.x) && isSameSize(other.y, fact.y)) ||
           (fact.predicate == Predicate::eq && isSameSize(other.x, fact.y) && isSameSize(other.y, fact.x))))
        return true;
    return outer && outer->isKnown(fact);
  }

  static bool isCertain(const Fact &fact) {
    if (fact.predicate == Predicate::sge && getConstantIntValue(fact.y) == 0)
      return isNonNegative(fact.x);
    return isSameSize(fact.x, fact.y) ||
           (fact.predicate == Predicate::sle && getConstantIntValue(fact.x) == 0 && isNonNegative(fact.y));
  }

  void require(Predicate predicate, OpFoldResult x, OpFoldResult y, const Twine &message) {
    Fact fact{predicate, x, y};
    if (isCertain(fact) || isKnown(fact))
      return;
    std::optional<int64_t> a = getConstantIntValue(x), c = getConstantIntValue(y);
    if (a && c && arith::applyCmpPredicate(predicate, APInt(64, *a, true), APInt(64, *c, true)))
      return;
    facts.push_back(fact);
    at->require(at->indexCompare(predicate, x, y), message, x, y);
  }
  void requireEqual(Value x, int64_t xAxis, Value y, int64_t yAxis, const Twine &what) {
    require(Predicate::eq, at->dim(x, xAxis), at->dim(y, yAxis), what + " differ: %d and %d");
  }
  void requireAtLeast(OpFoldResult x, OpFoldResult y, const Twine &message) { require(Predicate::sge, x, y, message); }
  OpFoldResult constant(int64_t value) { return builder.getIndexAttr(value); }

  void visit(Operation *op) {
    TypeSwitch<Operation *>(op)
        .Case([&](RequireOp op) { visitRequire(op); })
        .Case([&](BroadcastOp op) { visitBroadcast(op); })
        .Case([&](StretchOp op) { visitStretch(op); })
        .Case([&](ReshapeOp op) { visitReshape(op); })
        .Case([&](SliceOp op) { visitSlice(op); })
        .Case([&](PadOp op) { visitPad(op); })
        .Case([&](ConcatOp op) { visitConcat(op); })
        .Case([&](GatherOp op) { requireSome(op.getX(), op.getAxis(), op.getY()); })
        .Case([&](GatherNdOp op) { visitGatherNd(op); })
        .Case([&](GatherElementsOp op) {
          visitInside(op.getX(), op.getIndices(), op.getAxis());
          requireSome(op.getX(), op.getAxis(), op.getY());
        })
        .Case([&](ScatterElementsOp op) { visitScatterElements(op); })
        .Case([&](ScatterNdOp op) { visitScatterNd(op); })
        .Case([&](ArgReduceOp op) { requireSome(op.getX(), op.getAxis(), op.getY()); })
        .Case([&](DotOp op) { visitDot(op); })
        .Case([&](ConvOp op) { visitConv(op); })
        .Case([&](WindowReduceOp op) { visitWindow(op); })
        .Case([&](IotaOp op) { visitNewSizes(op.getMixedSizes()); })
        .Case([&](RandomBitsOp op) { visitNewSizes(op.getMixedSizes()); })
        .Case([&](NmsOp op) { visitNms(op); })
        .Case([&](Pointwise op) { visitPointwise(op); });
  }

  void visitRequire(RequireOp op) {
    if (auto compare = op.getCondition().getDefiningOp<arith::CmpIOp>())
      facts.push_back(
          {compare.getPredicate(), getAsOpFoldResult(compare.getLhs()), getAsOpFoldResult(compare.getRhs())});
  }

  void visitNewSizes(const Sizes &sizes) {
    for (auto [axis, size] : llvm::enumerate(sizes))
      requireAtLeast(size, constant(0), "the size of dimension " + Twine(axis) + " is %d, expected at least %d");
  }

  void visitPointwise(Operation *op) {
    for (Value operand : op->getOperands().drop_front())
      for (int64_t axis = 0; axis < CoreBuilder::rankOf(operand); ++axis)
        requireEqual(op->getOperand(0), axis, operand, axis, "sizes of dimension " + Twine(axis));
  }

  // C2, C3, C4
  void visitBroadcast(BroadcastOp op) {
    Sizes sizes = op.getMixedSizes();
    visitNewSizes(sizes);
    for (auto [axis, target] : llvm::enumerate(op.getAxes())) {
      if (!CoreBuilder::typeOf(op.getX()).isDynamicDim(axis))
        continue;
      OpFoldResult own = at->dim(op.getX(), axis);
      if (!llvm::is_contained(op.getSingle(), axis))
        require(Predicate::eq, own, sizes[target], "sizes differ: %d and %d");
      else if (!isSameSize(own, sizes[target]))
        requireOneOf(own, 1, sizes[target], 0, "size %d cannot be broadcast to %d");
    }
  }

  // C2
  void visitStretch(StretchOp op) {
    visitNewSizes(op.getMixedSizes());
    for (auto [axis, size] : llvm::enumerate(op.getMixedSizes())) {
      OpFoldResult own = at->dim(op.getX(), axis);
      if (isSameSize(own, size))
        continue;
      Value isOne = at->indexCompare(Predicate::eq, own, constant(1)),
            isEqual = at->indexCompare(Predicate::eq, own, size);
      at->require(builder.createOrFold<arith::OrIOp>(op.getLoc(), isOne, isEqual), "size %d cannot be broadcast to %d",
                  own, size);
    }
  }

  /// x is `a` or y is `b`.
  void requireOneOf(OpFoldResult x, int64_t a, OpFoldResult y, int64_t b, StringRef message) {
    Value first = at->indexCompare(Predicate::eq, x, constant(a)),
          second = at->indexCompare(Predicate::eq, y, constant(b));
    at->require(builder.createOrFold<arith::OrIOp>(at->loc, first, second), message, x, y);
  }

  OpFoldResult productOf(ArrayRef<OpFoldResult> sizes) {
    OpFoldResult product = constant(1);
    for (OpFoldResult size : sizes)
      product = at->indexProduct(product, size);
    return product;
  }

  // C1, C2: factors that both sides have do not matter
  void visitReshape(ReshapeOp op) {
    Sizes from = at->dims(op.getX()), to = op.getMixedSizes();
    visitNewSizes(to);
    SmallVector<OpFoldResult> left, right(to);
    for (OpFoldResult size : from) {
      auto same = llvm::find_if(right, [&](OpFoldResult other) { return isSameSize(size, other); });
      if (same == right.end() || getConstantIntValue(size))
        left.push_back(size);
      else
        right.erase(same);
    }
    // What is left need not be equal where a common factor is 0: only the whole products are known to be afterwards.
    if (!isSameSize(productOf(left), productOf(right)))
      require(Predicate::eq, productOf(from), productOf(to), "%d elements cannot be reshaped to %d");
  }

  // C2, C3
  void visitSlice(SliceOp op) {
    Sizes starts = op.getMixedStarts(), sizes = op.getMixedSizes();
    for (auto [axis, stride] : llvm::enumerate(op.getStrides())) {
      OpFoldResult whole = at->dim(op.getX(), axis), start = starts[axis], size = sizes[axis];
      requireAtLeast(start, constant(0), "a slice of dimension " + Twine(axis) + " begins at %d, expected at least %d");
      requireAtLeast(size, constant(0), "a slice of dimension " + Twine(axis) + " has size %d, expected at least %d");
      if (isInside(start, size, stride, whole))
        continue;
      // start + (size - 1) * stride, if there is anything
      OpFoldResult last =
          at->indexSum(start, at->indexProduct(at->indexDifference(size, constant(1)), constant(stride)));
      if (std::optional<int64_t> known = getConstantIntValue(size)) {
        if (*known > 0)
          require(Predicate::slt, last, whole, "a slice reaches position %d of a dimension of size %d");
        continue;
      }
      Value isEmpty = at->indexCompare(Predicate::eq, size, constant(0)),
            fits = at->indexCompare(Predicate::slt, last, whole);
      at->require(builder.createOrFold<arith::OrIOp>(op.getLoc(), isEmpty, fits),
                  "a slice reaches position %d of a dimension of size %d", last, whole);
    }
  }

  /// The first elements, as many as there are or fewer.
  static bool isInside(OpFoldResult start, OpFoldResult size, int64_t stride, OpFoldResult whole) {
    if (getConstantIntValue(start) != 0 || stride != 1)
      return false;
    if (isSameSize(size, whole))
      return true;
    auto value = dyn_cast<Value>(size);
    Operation *definition = value ? value.getDefiningOp() : nullptr;
    if (isa_and_nonnull<arith::MinSIOp>(definition))
      return isSameSize(definition->getOperand(0), whole) || isSameSize(definition->getOperand(1), whole);
    auto bounded = dyn_cast_if_present<BoundedSizeOp>(definition);
    return bounded && isSameSize(bounded.getMax(), whole);
  }

  // C2
  void visitPad(PadOp op) {
    for (const Sizes &sizes : {op.getMixedLow(), op.getMixedHigh()})
      for (auto [axis, size] : llvm::enumerate(sizes))
        requireAtLeast(size, constant(0), "dimension " + Twine(axis) + " is padded by %d, expected at least %d");
  }

  // C2
  void visitConcat(ConcatOp op) {
    for (Value value : op.getValues().drop_front())
      for (int64_t axis = 0; axis < CoreBuilder::rankOf(value); ++axis)
        if (axis != static_cast<int64_t>(op.getAxis()))
          requireEqual(op.getValues()[0], axis, value, axis, "sizes of dimension " + Twine(axis));
  }

  // C2
  void visitGatherNd(GatherNdOp op) {
    for (int64_t axis = 0; axis < static_cast<int64_t>(op.getBatchDims()); ++axis)
      requireEqual(op.getX(), axis, op.getIndices(), axis, "sizes of batch dimension " + Twine(axis));
    int64_t depth = CoreBuilder::typeOf(op.getIndices()).getShape().back();
    for (int64_t k = 0; k < depth; ++k)
      requireSome(op.getX(), static_cast<int64_t>(op.getBatchDims()) + k, op.getY());
  }

  /// Along other dimensions than `axis` indices are not larger than x.
  void visitInside(Value x, Value indices, int64_t axis) {
    for (int64_t d = 0; d < CoreBuilder::rankOf(x); ++d)
      if (d != axis)
        require(Predicate::sle, at->dim(indices, d), at->dim(x, d),
                "indices have size %d in dimension " + Twine(d) + ", the data %d");
  }

  // C1
  void visitScatterElements(ScatterElementsOp op) {
    visitInside(op.getX(), op.getIndices(), op.getAxis());
    for (int64_t d = 0; d < CoreBuilder::rankOf(op.getX()); ++d)
      requireEqual(op.getIndices(), d, op.getUpdates(), d, "sizes of indices and updates in dimension " + Twine(d));
  }

  // C1
  void visitScatterNd(ScatterNdOp op) {
    int64_t outer = CoreBuilder::rankOf(op.getIndices()) - 1,
            depth = CoreBuilder::typeOf(op.getIndices()).getDimSize(outer);
    for (int64_t d = 0; d < CoreBuilder::rankOf(op.getUpdates()); ++d) {
      Value other = d < outer ? op.getIndices() : op.getX();
      requireEqual(other, d < outer ? d : d - outer + depth, op.getUpdates(), d,
                   "sizes of updates in dimension " + Twine(d) + " and of what they belong to");
    }
  }

  /// What is read at a position along an axis, or is the largest there, is one of some elements; unless no result asks for it.
  void requireSome(Value x, int64_t axis, Value y) {
    OpFoldResult size = at->dim(x, axis), results = productOf(at->dims(y));
    if (getConstantIntValue(size).value_or(0) > 0)
      return;
    Value isSome = at->indexCompare(Predicate::sgt, size, constant(0)),
          isNothing = at->indexCompare(Predicate::eq, results, constant(0));
    at->require(builder.createOrFold<arith::OrIOp>(at->loc, isSome, isNothing),
                "one of %d elements of dimension " + Twine(axis) + " is asked for, %d times", size, results);
  }

  // C2
  void visitDot(DotOp op) {
    for (auto [x, y] : llvm::zip_equal(op.getLhsBatch(), op.getRhsBatch()))
      requireEqual(op.getX(), x, op.getY(), y, "batch sizes");
    for (auto [x, y] : llvm::zip_equal(op.getLhsContract(), op.getRhsContract()))
      requireEqual(op.getX(), x, op.getY(), y, "inner sizes");
  }

  /// `extent` elements fit into a size with its padding.
  void requireFits(OpFoldResult size, OpFoldResult extent, int64_t axis) {
    requireAtLeast(size, extent, "dimension " + Twine(axis) + " has size %d with its padding, the window %d");
  }

  // C3, C4
  void visitConv(ConvOp op) {
    OpFoldResult channels = at->indexProduct(at->dim(op.getY(), 1), constant(op.getGroups()));
    require(Predicate::eq, at->dim(op.getX(), op.getChannelAxis()), channels, "channels differ: %d and %d");
    if (op.getGroups() > 1 && CoreBuilder::typeOf(op.getY()).isDynamicDim(0)) {
      OpFoldResult outputs = at->dim(op.getY(), 0), groups = constant(op.getGroups());
      Value whole = builder.createOrFold<arith::RemSIOp>(op.getLoc(), at->index(outputs), at->index(groups));
      at->require(at->indexCompare(Predicate::eq, whole, constant(0)), "%d output channels in %d groups", outputs,
                  groups);
    }
    for (auto [i, stride] : llvm::enumerate(op.getStrides())) {
      int64_t axis = op.getSpatialAxis(i);
      auto spread = [&](OpFoldResult size, int64_t dilation) { // (size - 1) * dilation + 1, and 0 of 0
        if (dilation == 1)
          return size;
        OpFoldResult all =
            at->indexSum(at->indexProduct(at->indexDifference(size, constant(1)), constant(dilation)), constant(1));
        return at->indexMax(all, constant(0));
      };
      OpFoldResult kernel = at->dim(op.getY(), i + 2);
      requireAtLeast(kernel, constant(1), "the kernel has size %d, expected at least %d");
      OpFoldResult room = at->indexSum(spread(at->dim(op.getX(), axis), op.getLhsDilation()[i]),
                                       constant(op.getPadLow()[i] + op.getPadHigh()[i]));
      requireFits(room, spread(kernel, op.getRhsDilation()[i]), axis);
    }
  }

  // C3
  void visitWindow(WindowReduceOp op) {
    for (auto [axis, size] : llvm::enumerate(op.getSize())) {
      int64_t extent = (size - 1) * op.getDilations()[axis] + 1, pads = op.getPadLow()[axis] + op.getPadHigh()[axis];
      bool isSame = op.getStrides()[axis] == 1 && pads == extent - 1; // as many windows as elements, be it none
      if (!isSame)
        requireFits(at->indexSum(at->dim(op.getX(), axis), constant(pads)), constant(extent), axis);
    }
  }

  // C1
  void visitNms(NmsOp op) {
    requireEqual(op.getBoxes(), 0, op.getScores(), 0, "batches of boxes and scores");
    requireEqual(op.getBoxes(), 1, op.getScores(), 2, "numbers of boxes and scores");
  }

  Block &block;
  const Checker *outer;
  OpBuilder builder;
  CoreBuilder *at = nullptr;
  SmallVector<Fact> facts;
};

struct CheckSizes : mlc::impl::CheckSizesBase<CheckSizes> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal() && failed(Checker(function.getBody().front(), nullptr).run()))
        return signalPassFailure();
  }
};

} // namespace
