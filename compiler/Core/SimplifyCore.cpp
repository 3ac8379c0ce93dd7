// SimplifyCore: canonicalisation, folding of what depends on weights alone, and scales and shifts (batch norm) moved into the
// weights of the convolution or matmul before them. Runs after AddTraining: a constant that is left is one.
#include "compiler/Passes.h"
#include "compiler/Rewrites.h"
#include "dialects/core/CoreBuilder.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/CSE.h"

namespace mlc {
#define GEN_PASS_DEF_SIMPLIFYCORE
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;
using namespace mlc::core;

namespace {

bool isConstant(Value value) { return value.getDefiningOp<ConstantOp>() != nullptr; }

/// `value` is a constant vector spread along one dimension of the result: the vector and that dimension.
struct ChannelConstant {
  Value vector;
  int64_t axis;
};

std::optional<ChannelConstant> channelConstant(Value value) {
  auto broadcast = value.getDefiningOp<BroadcastOp>();
  if (!broadcast || !isConstant(broadcast.getX()))
    return std::nullopt;
  auto type = CoreBuilder::typeOf(broadcast.getX());
  if (type.getRank() != 1)
    return std::nullopt;
  return ChannelConstant{broadcast.getX(), broadcast.getAxes()[0]};
}

/// The dimension of a contraction's constant right operand that runs along dimension `axis` of the result; -1 if none does.
int64_t weightAxis(Operation *op, int64_t axis) {
  if (auto conv = dyn_cast<ConvOp>(op))
    return axis == 1 && isConstant(conv.getY()) ? 0 : -1;
  if (auto dot = dyn_cast<DotOp>(op)) {
    if (!isConstant(dot.getY()))
      return -1;
    SmallVector<int64_t> free = dot.getRhsFree();
    int64_t first = CoreBuilder::rankOf(dot.getZ()) - static_cast<int64_t>(free.size());
    return axis >= first ? free[axis - first] : -1;
  }
  return -1;
}

/// mul(contraction(x, w), s) -> contraction(x, mul(w, s))
struct ScaleIntoWeights : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MulOp op, PatternRewriter &rewriter) const override {
    for (auto [value, factor] : {std::pair(op.getX(), op.getY()), std::pair(op.getY(), op.getX())}) {
      Operation *contraction = value.getDefiningOp();
      auto scale = channelConstant(factor);
      if (!contraction || !scale || !contraction->hasOneUse() || !isa<FloatType>(CoreBuilder::elementOf(value)))
        continue;
      int64_t axis = weightAxis(contraction, scale->axis);
      if (axis < 0)
        continue;
      CoreBuilder b(rewriter, op.getLoc());
      rewriter.setInsertionPoint(contraction);
      Value weight = contraction->getOperand(1);
      if (scale->vector.getDefiningOp()->getBlock() == contraction->getBlock() &&
          !scale->vector.getDefiningOp()->isBeforeInBlock(contraction))
        rewriter.moveOpBefore(scale->vector.getDefiningOp(), contraction);
      Value scaled = b.expr(weight) * b.broadcast(scale->vector, b.dims(weight), {axis});
      rewriter.modifyOpInPlace(contraction, [&] { contraction->setOperand(1, scaled); });
      rewriter.replaceOp(op, value);
      return success();
    }
    return rewriter.notifyMatchFailure(op, "no contraction with a constant scale");
  }
};

/// mul(add(x, c), s) -> add(mul(x, s), c * s) and mul(sub(x, c), s) -> sub(mul(x, s), c * s), so that the scale reaches the contraction
struct ScaleBelowShift : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MulOp op, PatternRewriter &rewriter) const override {
    for (auto [value, factor] : {std::pair(op.getX(), op.getY()), std::pair(op.getY(), op.getX())}) {
      Operation *shift = value.getDefiningOp();
      auto scale = channelConstant(factor);
      if (!scale || !isa_and_nonnull<AddOp, SubOp>(shift) || !shift->hasOneUse() ||
          !isa<FloatType>(CoreBuilder::elementOf(value)))
        continue;
      auto constant = channelConstant(shift->getOperand(1));
      if (!constant || constant->axis != scale->axis)
        continue;
      CoreBuilder b(rewriter, op.getLoc());
      Expr scaled = b.expr(shift->getOperand(0)) * b.expr(factor);
      Expr moved = b.broadcast(b.expr(constant->vector) * b.expr(scale->vector), b.dims(op.getZ()), {scale->axis});
      rewriter.replaceOp(op, (isa<AddOp>(shift) ? scaled + moved : scaled - moved).v);
      return success();
    }
    return rewriter.notifyMatchFailure(op, "no constant shift under a constant scale");
  }
};

/// div(x, s) -> mul(x, 1 / s) for a constant vector s (one rounding more; what every inference engine does)
struct DivideByConstant : OpRewritePattern<DivOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(DivOp op, PatternRewriter &rewriter) const override {
    auto scale = channelConstant(op.getY());
    if (!scale || !isa<FloatType>(CoreBuilder::elementOf(op.getX())))
      return rewriter.notifyMatchFailure(op, "no constant vector");
    CoreBuilder b(rewriter, op.getLoc());
    rewriter.replaceOp(
        op, (b.expr(op.getX()) * b.broadcast(1.0 / b.expr(scale->vector), b.dims(op.getX()), {scale->axis})).v);
    return success();
  }
};

/// add(add(x, c), d) -> add(x, c + d), likewise with sub, for constant vectors along one dimension
template <typename Outer> struct JoinShifts : OpRewritePattern<Outer> {
  using OpRewritePattern<Outer>::OpRewritePattern;
  LogicalResult matchAndRewrite(Outer op, PatternRewriter &rewriter) const override {
    Operation *inner = op.getX().getDefiningOp();
    auto d = channelConstant(op.getY());
    if (!d || !isa_and_nonnull<AddOp, SubOp>(inner) || !inner->hasOneUse() ||
        !isa<FloatType>(CoreBuilder::elementOf(op.getX())))
      return failure();
    auto c = channelConstant(inner->getOperand(1));
    if (!c || c->axis != d->axis)
      return failure();
    CoreBuilder b(rewriter, op.getLoc());
    Expr first = isa<AddOp>(inner) ? b.expr(c->vector) : -b.expr(c->vector);
    Expr sum = isa<AddOp>(op) ? first + b.expr(d->vector) : first - b.expr(d->vector);
    rewriter.replaceOp(op, (b.expr(inner->getOperand(0)) + b.broadcast(sum, b.dims(op.getX()), {d->axis})).v);
    return success();
  }
};

/// op(unsqueeze(x), unsqueeze(y), splat) -> unsqueeze(op(x, y, splat)): row scalars of a norm (keepdims) stay vectors, so that they group
/// with their rows
struct UnitDimsBelow : OpInterfaceRewritePattern<Pointwise> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;
  LogicalResult matchAndRewrite(Pointwise op, PatternRewriter &rewriter) const override {
    auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
    RankedTensorType inner;
    ReshapeOp reshape;
    for (Value operand : op->getOperands()) {
      if (splatOf(operand))
        continue;
      reshape = operand.getDefiningOp<ReshapeOp>();
      if (!reshape || !addedUnits(reshape) ||
          (inner && CoreBuilder::typeOf(reshape.getX()).getShape() != inner.getShape()))
        return failure();
      inner = CoreBuilder::typeOf(reshape.getX());
    }
    if (!inner || inner.getRank() >= type.getRank())
      return failure();
    CoreBuilder b(rewriter, op.getLoc());
    SmallVector<Value> operands;
    Value like = reshape.getX();
    for (Value operand : op->getOperands()) {
      if (TypedAttr splat = splatOf(operand)) {
        Type element = CoreBuilder::elementOf(operand);
        Value scalar = ConstantOp::create(rewriter, op.getLoc(),
                                          DenseElementsAttr::get(RankedTensorType::get({}, element), Attribute(splat)));
        operands.push_back(b.broadcast(scalar, b.dims(like), {}));
      } else {
        operands.push_back(operand.getDefiningOp<ReshapeOp>().getX());
      }
    }
    Operation *clone = rewriter.clone(*op.getOperation());
    clone->setOperands(operands);
    clone->getResult(0).setType(RankedTensorType::get(inner.getShape(), type.getElementType()));
    rewriter.replaceOp(op, b.reshape(clone->getResult(0), reshape.getMixedSizes()).v);
    return success();
  }
};

/// Anything of constants becomes one, unless it grows. A broadcast constant stays one as long as it stands alone (it is better made in
/// its consumer's indexing map), but takes part in what is computed from it.
struct FoldConstants : RewritePattern {
  explicit FoldConstants(MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  static bool isSpreadConstant(Value value) {
    auto broadcast = value.getDefiningOp<BroadcastOp>();
    return broadcast && isConstant(broadcast.getX()) && CoreBuilder::typeOf(value).hasStaticShape();
  }

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (op->getNumResults() != 1 || op->getNumOperands() == 0 || isa<ConstantOp, BroadcastOp>(op) ||
        !isa<CoreDialect>(op->getDialect()))
      return failure();
    auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
    int64_t elements = 0;
    for (Value operand : op->getOperands()) {
      if (!isConstant(operand) && !isSpreadConstant(operand))
        return failure();
      elements += isConstant(operand) ? CoreBuilder::typeOf(operand).getNumElements() : 0;
    }
    if (!type || !type.hasStaticShape() || type.getNumElements() > std::max<int64_t>(2 * elements, foldedElementsMax))
      return failure();
    SmallVector<Operation *> temporaries;
    IRMapping mapping;
    for (Value operand : op->getOperands())
      if (!isConstant(operand) && !mapping.contains(operand)) {
        ElementsAttr spread = foldConstant(operand.getDefiningOp());
        if (!spread)
          break;
        temporaries.push_back(ConstantOp::create(rewriter, op->getLoc(), spread));
        mapping.map(operand, temporaries.back()->getResult(0));
      }
    Operation *clone = rewriter.clone(*op, mapping);
    ElementsAttr value = foldConstant(clone);
    rewriter.eraseOp(clone);
    for (Operation *temporary : temporaries)
      rewriter.eraseOp(temporary);
    if (!value)
      return failure();
    rewriter.replaceOpWithNewOp<ConstantOp>(op, value);
    return success();
  }
};

/// op(...) : tensor<0x...> -> constant without elements: nothing behind it has to cope with sizes that are 0.
struct DropEmpty : RewritePattern {
  explicit DropEmpty(MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), /*benefit=*/100, context) {}
  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (!isa<CoreDialect>(op->getDialect()) || isa<ConstantOp>(op) || op->getNumResults() != 1 || op->getNumRegions() ||
        !isMemoryEffectFree(op))
      return failure();
    auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
    if (!type || !type.hasStaticShape() || type.getNumElements() != 0)
      return failure();
    rewriter.replaceOpWithNewOp<ConstantOp>(op, DenseElementsAttr::get(type, ArrayRef<Attribute>()));
    return success();
  }
};

struct SimplifyCore : mlc::impl::SimplifyCoreBase<SimplifyCore> {
  void runOnOperation() override {
    MLIRContext *context = &getContext();
    // What was not made a parameter is constant: names protect from folding no longer.
    getOperation().walk([](ConstantOp op) { op.removeNameAttr(); });
    RewritePatternSet patterns(context);
    patterns.add<ScaleIntoWeights, ScaleBelowShift, DivideByConstant, JoinShifts<AddOp>, JoinShifts<SubOp>,
                 UnitDimsBelow, DropEmpty, FoldConstants>(context);
    addCanonicalizations(patterns);
    if (failed(rewriteToEnd(getOperation(), std::move(patterns), getArgument())))
      return signalPassFailure();
    IRRewriter rewriter(context);
    DominanceInfo dominance(getOperation());
    eliminateCommonSubExpressions(rewriter, dominance, getOperation());
  }
};

} // namespace
