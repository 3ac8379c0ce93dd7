// See Rewrites.h.
#include "compiler/Rewrites.h"
#include "dialects/core/Control.h"
#include "mlir/Dialect/MemRef/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

using namespace mlir;

namespace {
/// dim(op outs(empty(n))) -> n. Upstream asks the operands, so that the size at the end of a network would go back through all of it.
struct DimOfDestination : OpRewritePattern<tensor::DimOp> {
  explicit DimOfDestination(MLIRContext *context) : OpRewritePattern(context, /*benefit=*/10) {}
  LogicalResult matchAndRewrite(tensor::DimOp dim, PatternRewriter &b) const override {
    auto axis = dim.getConstantIndex();
    Value value = dim.getSource();
    while (auto op = value.getDefiningOp<DestinationStyleOpInterface>())
      value = op.getDpsInits()[cast<OpResult>(value).getResultNumber()];
    auto empty = value.getDefiningOp<tensor::EmptyOp>();
    if (!axis || !empty || value == dim.getSource() || *axis >= empty.getType().getRank())
      return b.notifyMatchFailure(dim, "no result in an empty destination");
    if (empty.getType().isDynamicDim(*axis))
      b.replaceOp(dim, empty.getDynamicSize(*axis));
    else
      b.replaceOpWithNewOp<arith::ConstantIndexOp>(dim, empty.getType().getDimSize(*axis));
    return success();
  }
};
} // namespace

void mlc::addCanonicalizations(RewritePatternSet &patterns) {
  MLIRContext *context = patterns.getContext();
  for (Dialect *dialect : context->getLoadedDialects())
    dialect->getCanonicalizationPatterns(patterns);
  for (RegisteredOperationName op : context->getRegisteredOperations())
    op.getCanonicalizationPatterns(patterns, context);
}

void mlc::addDimPatterns(RewritePatternSet &patterns) {
  patterns.add<DimOfDestination>(patterns.getContext());
  memref::populateResolveRankedShapedTypeResultDimsPatterns(patterns);
  memref::populateResolveShapedTypeResultDimsPatterns(patterns);
  core::populateControlDimPatterns(patterns);
}

LogicalResult mlc::rewriteToEnd(Operation *root, RewritePatternSet patterns, StringRef who,
                                GreedyRewriteConfig config) {
  int64_t count = 0;
  root->walk([&](Operation *) { ++count; });
  // Within one walk over the operations, and walks that each find something to rewrite.
  config.setMaxNumRewrites(1000 + 100 * count).setMaxIterations(200);
  if (succeeded(applyPatternsGreedily(root, std::move(patterns), config)))
    return success();
  return root->emitError(who) << ": the rewrites of " << count << " operations do not end; this is a defect of mlc";
}
