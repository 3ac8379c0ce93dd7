// Pattern rewriting that ends: every greedy driver of mlc goes through here. And patterns that more than one pass needs.
#ifndef MLC_COMPILER_REWRITES_H
#define MLC_COMPILER_REWRITES_H
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlc {

/// Applies the patterns until none matches. Patterns, upstream's among them, may undo each other for ever: after two hundred walks over
/// the operations, or a hundred rewrites of each in one, this is an error, which names `who`.
llvm::LogicalResult rewriteToEnd(mlir::Operation *root, mlir::RewritePatternSet patterns, llvm::StringRef who,
                                 mlir::GreedyRewriteConfig config = {});

/// The canonicalizations of every dialect that is loaded.
void addCanonicalizations(mlir::RewritePatternSet &patterns);

/// tensor.dim in terms of what an op's destination was made with, of shapes, and of what is around loops and branches.
void addDimPatterns(mlir::RewritePatternSet &patterns);

} // namespace mlc
#endif
