// See Stages.h.
#include "compiler/Stages.h"
#include "compiler/Emit/Emit.h"
#include "compiler/Resources.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace mlc;

Stages &Stages::run(std::unique_ptr<Pass> pass) {
  return runPass(std::move(pass),
                 [](OpPassManager &manager, std::unique_ptr<Pass> pass) { manager.addPass(std::move(pass)); });
}

Stages &Stages::runOnFunctions(std::unique_ptr<Pass> pass) {
  return runPass(std::move(pass), [](OpPassManager &manager, std::unique_ptr<Pass> pass) {
    manager.addNestedPass<func::FuncOp>(std::move(pass));
  });
}

Stages &Stages::releaseUnusedResources() {
  if (!hasFailed)
    mlc::releaseUnusedResources(module);
  return *this;
}

Stages &Stages::runPass(std::unique_ptr<Pass> pass, Adder add) {
  if (hasFailed)
    return *this;
  std::string name = pass->getArgument().str();
  PassManager manager(module.getContext());
  add(manager, std::move(pass));
  // What a pass calls an error is one, also if the pass goes on: its module is not what it should be.
  ScopedDiagnosticHandler handler(module.getContext(), [this](Diagnostic &diagnostic) {
    hasFailed |= diagnostic.getSeverity() == DiagnosticSeverity::Error;
    return failure(); // and is for the others, too
  });
  hasFailed |= mlir::failed(manager.run(module));
  save(name);
  return *this;
}

/// NN-pass-name.mlir; weights are left out.
void Stages::save(StringRef name) {
  if (options.saveStages.empty())
    return;
  std::string path = llvm::formatv("{0}/{1,0+2}-{2}.mlir", options.saveStages, number++, name);
  hasFailed |= mlir::failed(writeText(module, path, [&](llvm::raw_ostream &os) {
    module->print(os, OpPrintingFlags().elideLargeElementsAttrs(16).elideLargeResourceString(64).assumeVerified());
  }));
}
