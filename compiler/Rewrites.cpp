// See Rewrites.h.
#include "compiler/Rewrites.h"

using namespace mlir;

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
