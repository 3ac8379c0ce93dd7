// Pattern rewriting that ends: every greedy driver of mlc goes through here.
#ifndef MLC_COMPILER_REWRITES_H
#define MLC_COMPILER_REWRITES_H
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlc {

/// Applies the patterns until none matches. Patterns, upstream's among them, may undo each other for ever: after two hundred walks over
/// the operations, or a hundred rewrites of each in one, this is an error, which names `who`.
llvm::LogicalResult rewriteToEnd(mlir::Operation *root, mlir::RewritePatternSet patterns, llvm::StringRef who,
                                 mlir::GreedyRewriteConfig config = {});

} // namespace mlc
#endif
