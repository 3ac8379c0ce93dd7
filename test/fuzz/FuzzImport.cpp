// libFuzzer over everything that reads a model: import, decomposition, simplification, and the summary of `mlc info`. It may
// report what it likes; it may not crash, hang, take memory without bound or do what C++ leaves undefined.
#include "compiler/Compile.h"
#include "compiler/Import/Diagnostics.h"
#include "compiler/Import/Summary.h"
#include "compiler/Passes.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

using namespace mlir;

// The libraries of the system are not instrumented: what they do inside their containers is unknown to the sanitizer.
extern "C" const char *__asan_default_options() { return "detect_container_overflow=0:detect_odr_violation=0"; }

/// A file that exists in memory only: the importer maps files.
class MemoryFile {
public:
  MemoryFile(const uint8_t *data, size_t size) : descriptor(memfd_create("model.onnx", 0)) {
    if (descriptor < 0 || write(descriptor, data, size) != ssize_t(size))
      std::abort();
  }
  ~MemoryFile() { close(descriptor); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor); }

private:
  int descriptor;
};

static void decompose(StringRef path) {
  DialectRegistry registry;
  mlc::registerDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.printOpOnDiagnostic(false);
  mlc::ModelDiagnostics diagnostics(context, path, llvm::nulls());
  auto module = mlc::importOnnx(path, {}, context);
  if (!module) {
    if (diagnostics.errorCount() == 0)
      std::abort(); // a refusal says why
    return;
  }
  PassManager manager(&context);
  manager.addPass(mlc::createDecomposeOnnx());
  manager.addPass(mlc::createSimplifyCore());
  if (failed(manager.run(*module)) && diagnostics.errorCount() == 0)
    std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  MemoryFile file(data, size);
  llvm::consumeError(mlc::summarizeOnnx(file.path()).takeError());
  decompose(file.path());
  return 0;
}
