// mlc-opt: runs single passes on textual IR, for tests and for looking at one stage.
#include "compiler/Compile.h"
#include "compiler/Passes.h"
#include "compiler/Rewrites.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

namespace {
/// Rewrites every function into itself, for ever: what must end all the same.
struct TestEndlessRewrites : mlir::PassWrapper<TestEndlessRewrites, mlir::OperationPass<mlir::ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TestEndlessRewrites)
  llvm::StringRef getArgument() const override { return "test-endless-rewrites"; }
  llvm::StringRef getDescription() const override { return "Rewrites functions for ever"; }

  struct Again : mlir::OpRewritePattern<mlir::func::FuncOp> {
    using OpRewritePattern::OpRewritePattern;
    llvm::LogicalResult matchAndRewrite(mlir::func::FuncOp function, mlir::PatternRewriter &b) const override {
      b.modifyOpInPlace(function, [] {});
      return llvm::success();
    }
  };

  void runOnOperation() override {
    mlir::RewritePatternSet patterns(&getContext());
    patterns.add<Again>(&getContext());
    if (failed(mlc::rewriteToEnd(getOperation(), std::move(patterns), getArgument())))
      signalPassFailure();
  }
};
} // namespace

int main(int argc, char **argv) {
  mlc::registerMlcPasses();
  mlir::PassRegistration<TestEndlessRewrites>();
  mlir::registerCanonicalizerPass();
  mlir::registerCSEPass();
  mlir::registerLoopInvariantCodeMotionPass();
  mlir::registerSymbolDCEPass();
  mlir::DialectRegistry registry;
  mlc::registerDialects(registry);
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "mlc's pass driver\n", registry));
}
