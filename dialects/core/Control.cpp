// Verification and simplification of branches and loops (Control.td).
#include "dialects/core/Control.h"
#include "dialects/core/Core.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace mlc::core {

static LogicalResult verifyScalar(Operation *op, Value condition) {
  if (cast<RankedTensorType>(condition.getType()).getRank() != 0)
    return op->emitOpError("C1: the condition is ") << condition.getType() << ", expected a scalar";
  return success();
}

// ---- Require ---------------------------------------------------------------------------------------------------------------------

namespace {
/// require true -> nothing
struct KnownToHold : OpRewritePattern<RequireOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RequireOp op, PatternRewriter &b) const override {
    if (!matchPattern(op.getCondition(), m_One()))
      return b.notifyMatchFailure(op, "the condition is not known to hold");
    b.eraseOp(op);
    return success();
  }
};
} // namespace

void RequireOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<KnownToHold>(context);
}

// ---- If ------------------------------------------------------------------------------------------------------------------------

Value IfOp::getSize(unsigned result, int64_t axis) {
  unsigned position = 0;
  for (unsigned i = 0; i < result; ++i)
    position += cast<RankedTensorType>(getResult(i).getType()).getNumDynamicDims();
  return getSizes()[position + cast<RankedTensorType>(getResult(result).getType()).getDynamicDimIndex(axis)];
}

YieldOp IfOp::getYield(Region &branch) { return cast<YieldOp>(branch.front().getTerminator()); }

LogicalResult IfOp::verify() {
  if (failed(verifyScalar(*this, getCondition())))
    return failure();
  for (Region &branch : getOperation()->getRegions()) {
    auto yield = dyn_cast<YieldOp>(branch.front().getTerminator());
    if (!yield)
      return emitOpError("a branch does not end with core.yield");
    if (!areCompatible(yield.getOperandTypes(), getResultTypes())) // C2
      return emitOpError("C2: a branch yields ") << yield.getOperandTypes() << " instead of " << getResultTypes();
  }
  int64_t dynamic = 0;
  for (Type type : getResultTypes())
    dynamic += cast<RankedTensorType>(type).getNumDynamicDims();
  if (dynamic != static_cast<int64_t>(getSizes().size())) // C3
    return emitOpError("C3: ") << getSizes().size() << " sizes for " << dynamic << " dynamic dimensions";
  return success();
}

namespace {

/// if (constant) a else b -> a or b
struct KnownCondition : OpRewritePattern<IfOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(IfOp op, PatternRewriter &b) const override {
    DenseElementsAttr condition;
    if (!matchPattern(op.getCondition(), m_Constant(&condition)))
      return b.notifyMatchFailure(op, "the condition is not known");
    Region &branch = condition.getSplatValue<bool>() ? op.getThen() : op.getOtherwise();
    YieldOp yield = op.getYield(branch);
    SmallVector<Value> values(yield.getValues());
    b.setInsertionPoint(yield);
    for (auto [value, type] : llvm::zip_equal(values, op.getResultTypes()))
      if (value.getType() != type)
        value = tensor::CastOp::create(b, op.getLoc(), type, value);
    b.eraseOp(yield);
    b.inlineBlockBefore(&branch.front(), op);
    b.replaceOp(op, values);
    return success();
  }
};

} // namespace

void IfOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<KnownCondition>(context);
}

// ---- Loop ----------------------------------------------------------------------------------------------------------------------

SmallVector<Region *> LoopOp::getLoopRegions() { return {&getBody()}; }
YieldOp LoopOp::getYield() { return cast<YieldOp>(getBody().front().getTerminator()); }
OperandRange LoopOp::getYielded() { return getYield().getValues().drop_front(getCondition() ? 1 : 0); }

LogicalResult LoopOp::verify() {
  if (getCondition() && failed(verifyScalar(*this, getCondition())))
    return failure();
  auto yield = dyn_cast<YieldOp>(getBody().front().getTerminator());
  if (!yield)
    return emitOpError("the body does not end with core.yield");
  TypeRange yielded = yield.getOperandTypes();
  if (getCondition()) {
    if (yielded.empty() || yielded.front() != getCondition().getType())
      return emitOpError("C1: the body does not yield the condition first");
    yielded = yielded.drop_front();
  }
  TypeRange arguments = getBody().getArgumentTypes();
  if (arguments.empty() || !arguments.front().isIndex()) // C2
    return emitOpError("C2: the body's first argument is not the step");
  for (auto [what, types] : {std::pair<StringRef, TypeRange>("arguments", arguments.drop_front()),
                             std::pair<StringRef, TypeRange>("results", getResults().getTypes())})
    if (types != TypeRange(getInitial().getTypes())) // C3
      return emitOpError("C3: the ") << what << " are " << types << " instead of " << getInitial().getTypes();
  if (!areCompatible(yielded, getInitial().getTypes()))
    return emitOpError("C3: the body yields ") << yielded << " instead of " << getInitial().getTypes();
  return success();
}

/// The same loop with only some of the carried values; the others are used no longer.
static void dropCarried(LoopOp op, const llvm::BitVector &dropped, PatternRewriter &b) {
  auto kept = [&](ValueRange values) {
    SmallVector<Value> some;
    for (auto [i, value] : llvm::enumerate(values))
      if (!dropped[i])
        some.push_back(value);
    return some;
  };
  SmallVector<Value> inits = kept(op.getInitial()), yielded = kept(op.getYielded());
  if (op.getCondition())
    yielded.insert(yielded.begin(), op.getYield().getValues().front());
  auto loop = LoopOp::create(b, op.getLoc(), b.getIndexType(), ValueRange(inits).getTypes(), op.getCount(),
                             op.getCondition(), inits);
  b.modifyOpInPlace(op.getYield(), [&] { op.getYield().getValuesMutable().assign(yielded); });
  llvm::BitVector arguments(1);
  for (size_t i = 0; i < dropped.size(); ++i)
    arguments.push_back(dropped[i]);
  op.getBody().front().eraseArguments(arguments);
  b.inlineRegionBefore(op.getBody(), loop.getBody(), loop.getBody().begin());
  SmallVector<Value> replacements = {loop.getSteps()};
  ValueRange results = loop.getResults();
  for (size_t i = 0; i < dropped.size(); ++i) {
    replacements.push_back(dropped[i] ? op.getInitial()[i] : results.front());
    if (!dropped[i])
      results = results.drop_front();
  }
  b.replaceOp(op, replacements);
}

namespace {

/// A value that every step yields as it was is the initial one everywhere.
struct InvariantCarried : OpRewritePattern<LoopOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LoopOp op, PatternRewriter &b) const override {
    llvm::BitVector invariant(op.getInitial().size());
    for (auto [i, init] : llvm::enumerate(op.getInitial())) {
      Value yielded = op.getYielded()[i];
      if (yielded != op.getCarried()[i] && yielded != init)
        continue;
      b.replaceAllUsesWith(op.getCarried()[i], init);
      invariant.set(i);
    }
    if (invariant.none())
      return b.notifyMatchFailure(op, "every value changes");
    dropCarried(op, invariant, b);
    return success();
  }
};

/// A value that nothing reads is not carried.
struct UnusedCarried : OpRewritePattern<LoopOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LoopOp op, PatternRewriter &b) const override {
    llvm::BitVector unused(op.getInitial().size());
    for (size_t i = 0; i < unused.size(); ++i)
      unused[i] = op.getResults()[i].use_empty() && op.getCarried()[i].use_empty();
    if (unused.none())
      return b.notifyMatchFailure(op, "every value is read");
    dropCarried(op, unused, b);
    return success();
  }
};

/// while (true) { ...; yield true } has no condition
struct AlwaysTrue : OpRewritePattern<LoopOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LoopOp op, PatternRewriter &b) const override {
    auto isTrue = [](Value value) {
      DenseElementsAttr known;
      return matchPattern(value, m_Constant(&known)) && known.isSplat() && known.getSplatValue<bool>();
    };
    if (!op.getCondition() || !isTrue(op.getCondition()) || !isTrue(op.getYield().getValues().front()))
      return b.notifyMatchFailure(op, "the condition is not known");
    b.modifyOpInPlace(op.getYield(), [&] { op.getYield().getValuesMutable().erase(0); });
    b.modifyOpInPlace(op, [&] { op.getConditionMutable().clear(); });
    return success();
  }
};

/// The dimensions of what a loop carries are those of the initial values, and those of a branch's results are operands.
struct DimOfControl : OpRewritePattern<tensor::DimOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::DimOp dim, PatternRewriter &b) const override {
    auto axis = dim.getConstantIndex();
    if (!axis)
      return b.notifyMatchFailure(dim, "the axis is not known");
    Value source = carriedFrom(dim.getSource());
    if (source != dim.getSource()) {
      b.modifyOpInPlace(dim, [&] { dim.getSourceMutable().assign(source); });
      return success();
    }
    auto branch = source.getDefiningOp<IfOp>();
    auto type = dyn_cast<RankedTensorType>(source.getType());
    if (!branch || !type.isDynamicDim(*axis))
      return b.notifyMatchFailure(dim, "no result of a branch");
    b.replaceOp(dim, branch.getSize(cast<OpResult>(source).getResultNumber(), *axis));
    return success();
  }
};

} // namespace

Value carriedFrom(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto loop = dyn_cast_or_null<LoopOp>(argument.getOwner()->getParentOp());
    return loop && argument.getArgNumber() > 0 ? loop.getInitial()[argument.getArgNumber() - 1] : value;
  }
  auto loop = value.getDefiningOp<LoopOp>();
  return loop && value != loop.getSteps() ? loop.getInitial()[cast<OpResult>(value).getResultNumber() - 1] : value;
}

void populateControlDimPatterns(RewritePatternSet &patterns) { patterns.add<DimOfControl>(patterns.getContext()); }

void LoopOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<InvariantCarried, UnusedCarried, AlwaysTrue, DimOfControl>(context);
}

} // namespace mlc::core
