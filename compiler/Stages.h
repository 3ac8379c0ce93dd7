// Stages: runs the passes of a compilation one by one, and keeps the IR after each if --save-stages asks for it.
#ifndef MLC_COMPILER_STAGES_H
#define MLC_COMPILER_STAGES_H
#include "compiler/Compile.h"
#include "mlir/Pass/PassManager.h"

namespace mlc {

class Stages {
public:
  Stages(mlir::ModuleOp module, const CompileOptions &options) : module(module), options(options) {}

  /// A pass on the module. After a failure this and the others do nothing.
  Stages &run(std::unique_ptr<mlir::Pass> pass);
  /// A pass on every function.
  Stages &runOnFunctions(std::unique_ptr<mlir::Pass> pass);
  /// Frees constants that passes have replaced by others.
  Stages &releaseUnusedResources();
  bool failed() const { return hasFailed; }

private:
  using Adder = llvm::function_ref<void(mlir::OpPassManager &, std::unique_ptr<mlir::Pass>)>;
  Stages &runPass(std::unique_ptr<mlir::Pass> pass, Adder add);
  void save(llvm::StringRef name);

  mlir::ModuleOp module;
  const CompileOptions &options;
  int number = 0;
  bool hasFailed = false;
};

} // namespace mlc
#endif
