// See NodeProgram.h: compiling, running, and the reference by interpretation.
#include "NodeProgram.h"
#include "Inputs.h"
#include "NodeErrors.h"
#include "compiler/Import/Diagnostics.h"
#include "compiler/Reference/Interpreter.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlc;
using llvm::StringRef;

namespace {

/// A context of its own for one model: what it holds goes with it.
struct ModelContext {
  static mlir::DialectRegistry registry() {
    mlir::DialectRegistry result;
    registerDialects(result);
    return result;
  }
  explicit ModelContext(StringRef model)
      : context(registry(), mlir::MLIRContext::Threading::DISABLED), os(text), diagnostics(context, model, os) {
    context.printOpOnDiagnostic(false);
  }
  llvm::Error error() {
    auto code = diagnostics.isUnsupportedOnly() ? std::errc::not_supported : std::errc::invalid_argument;
    return llvm::createStringError(std::make_error_code(code),
                                   text.empty() ? "compilation failed" : StringRef(text).trim());
  }

  mlir::MLIRContext context;
  std::string text;
  llvm::raw_string_ostream os;
  ModelDiagnostics diagnostics;
};

class Interpretation : public Reference {
public:
  StringRef name() const override { return "the reference interpreter"; }

  llvm::Expected<ReferenceResults> evaluate(StringRef model, llvm::ArrayRef<std::string>,
                                            llvm::ArrayRef<const HostTensor *> inputs) override {
    auto results = interpret(model, inputs, /*unrollLoops=*/true);
    if (results)
      return results;
    llvm::consumeError(results.takeError());
    return interpret(model, inputs, /*unrollLoops=*/false);
  }

private:
  /// Without loops and branches the decomposition is another one than the library's, but not every model has it.
  static llvm::Expected<ReferenceResults> interpret(StringRef model, llvm::ArrayRef<const HostTensor *> inputs,
                                                    bool unrollLoops) {
    ModelContext scope(model);
    auto module = importOnnx(model, {}, scope.context);
    std::vector<UnsupportedNode> unsupported;
    if (!module || mlir::failed(decomposeOnnx(*module, unsupported, unrollLoops)))
      return unsupported.empty() ? scope.error()
                                 : llvm::createStringError(unsupported.front().reason + " is not supported");
    std::vector<reference::Tensor> arguments;
    for (const HostTensor *input : inputs)
      arguments.push_back(toReference(*input));
    auto results = reference::Interpreter().run(module->lookupSymbol<mlir::func::FuncOp>("main"), arguments);
    if (mlir::failed(results))
      return scope.error();
    return ReferenceResults(results->begin(), results->end());
  }
};

} // namespace

std::unique_ptr<Reference> mlc::makeInterpreter() { return std::make_unique<Interpretation>(); }

/// A loaded library stays mapped; its files are not needed any more.
static void removeFiles(StringRef library) {
  for (StringRef suffix : {"so", "h", "json"}) {
    llvm::SmallString<128> path(library);
    llvm::sys::path::replace_extension(path, suffix);
    llvm::sys::fs::remove(path);
  }
}

llvm::Expected<const mlc_model *> mlc::compileAndLoad(StringRef model, const CompileOptions &options, StringRef library,
                                                      llvm::function_ref<void(mlir::ModuleOp)> edit) {
  ModelContext scope(model);
  auto module = importOnnx(model, options, scope.context);
  if (module && edit)
    edit(*module);
  if (!module || mlir::failed(compileModule(*module, options, library)))
    return scope.error();
  auto loaded = loadLibrary(library);
  removeFiles(library);
  return loaded;
}

llvm::Expected<std::vector<HostTensor>> mlc::runLibrary(const mlc_model &model, llvm::ArrayRef<int64_t> dims,
                                                        llvm::ArrayRef<const HostTensor *> inputs) {
  auto outputs = allocateOutputs(model, dims);
  if (!outputs)
    return outputs.takeError();
  mlc_options options = {};
  options.threads = 1;
  mlc_handle *handle = nullptr;
  if (mlc_status status = model.create(&options, &handle))
    return statusError(model, nullptr, status, "create");
  auto inputViews = llvm::map_to_vector(inputs, [](const HostTensor *tensor) { return tensor->view(); });
  auto outputViews = llvm::map_to_vector(*outputs, [](const HostTensor &tensor) { return tensor.view(); });
  mlc_status status = model.run(handle, inputViews.data(), outputViews.data());
  llvm::Error error = status ? statusError(model, handle, status, "run") : llvm::Error::success();
  model.destroy(handle);
  if (error)
    return std::move(error);
  for (auto [tensor, view] : llvm::zip_equal(*outputs, outputViews))
    tensor.shape.assign(view.shape, view.shape + view.rank);
  return outputs;
}
