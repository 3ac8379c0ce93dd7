// FuseElementwise: upstream's elementwise fusion with our rules of what may join (see Passes.td).
//
// A producer joins its consumer when the consumer is its only user. Copies (transposes, broadcasts) also join contractions and
// reductions, as long as the innermost dimension stays where it is: a strided operand is worth a copy (PackOperands).
#include "compiler/Passes.h"
#include "compiler/Rewrites.h"
#include "compiler/Schedule/GroupKinds.h"
#include "compiler/Schedule/Kernels.h"
#include "dialects/core/SizeFacts.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/CSE.h"

namespace mlc {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;

/// Bodies longer than this are not made longer: registers run out and nothing is gained.
static constexpr int64_t kBodyOpsMax = 200;

static bool isCopy(linalg::GenericOp op) {
  return op.getNumDpsInputs() == 1 && op.getNumDpsInits() == 1 && op.getNumReductionLoops() == 0 &&
         llvm::hasSingleElement(op.getBody()->getOperations()) &&
         cast<linalg::YieldOp>(op.getBody()->getTerminator()).getOperand(0) == op.getBody()->getArgument(0);
}

static bool usedOnlyBy(Operation *producer, Operation *consumer) {
  return llvm::all_of(producer->getUsers(), [&](Operation *user) { return user == consumer; });
}

static bool readsInits(linalg::GenericOp op) {
  return llvm::any_of(op.getDpsInitsMutable(), [&](OpOperand &init) { return op.payloadUsesValueFromOperand(&init); });
}

static bool mayFuse(OpOperand *operand) {
  auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
  auto consumer = dyn_cast<linalg::GenericOp>(operand->getOwner());
  if (!producer || !consumer || !consumer.isDpsInput(operand) || producer.getNumReductionLoops() > 0 ||
      readsInits(producer))
    return false;
  AffineMap map = consumer.getMatchingIndexingMap(operand);
  if (!map.isProjectedPermutation())
    return false; // a convolution's or a pool's input: every element would be computed once for each window
  if (isCopy(producer)) {
    AffineMap source = producer.getIndexingMapsArray()[0];
    bool broadcasts = source.getNumResults() < source.getNumDims();
    bool innermostStays = source.getNumResults() > 0 && source.getNumDims() > 0 &&
                          source.getResult(source.getNumResults() - 1) ==
                              getAffineDimExpr(source.getNumDims() - 1, producer.getContext());
    bool pointwise = consumer.getNumReductionLoops() == 0;
    // A transpose alone becomes a map of a pointwise consumer; several consumers may each take it.
    return pointwise ? usedOnlyBy(producer, consumer) || broadcasts || innermostStays : broadcasts || innermostStays;
  }
  if (producer->getBlock() != consumer->getBlock() && producer.getNumDpsInputs() > 0)
    return false; // in a loop it would be computed in each step
  if (!usedOnlyBy(producer, consumer))
    return producer.getNumDpsInputs() == 0; // a fill
  if (std::distance(producer.getBody()->begin(), producer.getBody()->end()) +
          std::distance(consumer.getBody()->begin(), consumer.getBody()->end()) >
      kBodyOpsMax)
    return false;
  // Into a reduction only along its rows: a contraction would compute the producer once for every tile.
  if (consumer.getNumReductionLoops() > 0)
    return groupKind(consumer) == sched::Kind::Rows && map.getNumResults() == consumer.getNumLoops();
  return map.getNumResults() == consumer.getNumLoops() || producer.getNumDpsInputs() <= 1;
}

/// Nothing to compute: what a result of no elements is made from is the result. An open size that turns out to be 0 makes upstream's
/// RemoveOutsDependency replace the destination for ever: by an empty tensor whose sizes fold, which is a cast again.
static bool isOfNothing(Value value) {
  while (auto cast = value.getDefiningOp<tensor::CastOp>())
    value = cast.getSource();
  return core::hasNoElements(cast<RankedTensorType>(value.getType()));
}

namespace {
struct DropEmpty : OpInterfaceRewritePattern<linalg::LinalgOp> {
  explicit DropEmpty(MLIRContext *context) : OpInterfaceRewritePattern(context, /*benefit=*/10) {}
  LogicalResult matchAndRewrite(linalg::LinalgOp op, PatternRewriter &b) const override {
    bool changes = false;
    for (auto [result, init] : llvm::zip_equal(op->getResults(), op.getDpsInits()))
      if (!result.use_empty() && isOfNothing(init)) {
        b.replaceAllUsesWith(result, init);
        changes = true;
      }
    return changes ? success() : b.notifyMatchFailure(op, "no result without elements");
  }
};

/// A contraction without a reduction loop (an outer product, a window of one element) adds to its destination once: the destination is
/// an operand like the others, and what is computed no accumulation. Fused into another op, the result is no memory that would hold it.
struct ReadInitAsInput : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &b) const override {
    if (op.getNumReductionLoops() > 0 || op.getNumDpsInits() != 1 || !readsInits(op))
      return b.notifyMatchFailure(op, "accumulates, or reads no destination");
    Value init = op.getDpsInits()[0];
    SmallVector<Value> inputs = op.getDpsInputs();
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    inputs.push_back(init);
    maps.push_back(maps.back());
    Location loc = op.getLoc();
    auto type = cast<RankedTensorType>(init.getType());
    Value room = tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, init), type.getElementType());
    if (room.getType() != type)
      room = tensor::CastOp::create(b, loc, type, room);
    auto plain = linalg::GenericOp::create(b, loc, op.getResultTypes(), inputs, room, maps, op.getIteratorTypesArray());
    plain->setDiscardableAttrs(op->getDiscardableAttrDictionary());
    Region &body = plain.getRegion();
    b.inlineRegionBefore(op.getRegion(), body, body.end());
    body.addArgument(type.getElementType(), loc); // the old destination's argument is the last input's
    b.replaceOp(op, plain.getResults());
    return success();
  }
};

struct FuseElementwise : mlc::impl::FuseElementwiseBase<FuseElementwise> {
  void runOnOperation() override {
    MLIRContext *context = &getContext();
    RewritePatternSet patterns(context);
    patterns.add<DropEmpty, ReadInitAsInput>(context);
    linalg::populateElementwiseOpsFusionPatterns(patterns, mayFuse);
    linalg::populateEraseUnusedOperandsAndResultsPatterns(patterns);
    linalg::populateConstantFoldLinalgOperations(patterns, [](OpOperand *) { return false; });
    addDimPatterns(patterns); // a tensor.dim of a result would be another user
    linalg::GenericOp::getCanonicalizationPatterns(patterns, context);
    for (RegisteredOperationName op : context->getRegisteredOperations())
      if (StringRef name = op.getDialectNamespace(); name == "tensor" || name == "arith" || name == "affine")
        op.getCanonicalizationPatterns(patterns, context);
    GreedyRewriteConfig config;
    config.setUseTopDownTraversal(true);
    if (failed(rewriteToEnd(getOperation(), std::move(patterns), getArgument(), config)))
      return signalPassFailure();
    IRRewriter rewriter(context);
    DominanceInfo dominance(getOperation());
    eliminateCommonSubExpressions(rewriter, dominance, getOperation());
  }
};
} // namespace
