// SimplifyLoops: upstream's simplifications on the loops that the generators wrote.
#include "compiler/Passes.h"
#include "compiler/Rewrites.h"
#include "mlir/Transforms/CSE.h"
#include "mlir/Transforms/LoopInvariantCodeMotionUtils.h"

namespace mlc {
#define GEN_PASS_DEF_SIMPLIFYLOOPS
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;

namespace {
struct SimplifyLoops : mlc::impl::SimplifyLoopsBase<SimplifyLoops> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    RewritePatternSet patterns(&getContext());
    mlc::addCanonicalizations(patterns);
    GreedyRewriteConfig config;
    config.setRegionSimplificationLevel(GreedySimplifyRegionLevel::Normal);
    if (failed(mlc::rewriteToEnd(function, std::move(patterns), getArgument(), config)))
      return signalPassFailure();
    IRRewriter rewriter(&getContext());
    DominanceInfo dominance(function);
    eliminateCommonSubExpressions(rewriter, dominance, function);
    function.walk([](LoopLikeOpInterface loop) { moveLoopInvariantCode(loop); });
  }
};
} // namespace
