// One node of a model, compiled alone: what `mlc verify` compares with the reference, and runs.
#ifndef MLC_TOOLS_MLC_NODEPROGRAM_H
#define MLC_TOOLS_MLC_NODEPROGRAM_H
#include "Library.h"
#include "TensorFile.h"
#include "compiler/Compile.h"
#include "compiler/Emit/Files.h"
#include "compiler/Reference/Tensor.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace mlc {

/// Compiles a model as `mlc compile` does and loads the library. The error holds the diagnostics. `edit` may change the imported
/// module before.
llvm::Expected<const mlc_model *> compileAndLoad(llvm::StringRef model, const CompileOptions &options,
                                                 llvm::StringRef library,
                                                 llvm::function_ref<void(mlir::ModuleOp)> edit = {});

/// Runs a library once on one thread. Outputs have the sizes of the symbols, afterwards those that the data decides.
llvm::Expected<std::vector<HostTensor>> runLibrary(const mlc_model &model, llvm::ArrayRef<int64_t> dims,
                                                   llvm::ArrayRef<const HostTensor *> inputs);

using ReferenceResults = std::vector<reference::Tensor>;

/// Tells what the results of a model should be.
class Reference {
public:
  virtual ~Reference() = default;
  virtual llvm::StringRef name() const = 0;
  /// Results of a model, in the order of its outputs; inputs in the order of the model's.
  virtual llvm::Expected<ReferenceResults> evaluate(llvm::StringRef model, llvm::ArrayRef<std::string> inputNames,
                                                    llvm::ArrayRef<const HostTensor *> inputs) = 0;
};

/// The interpreter of compiler/Reference. The sizes of a model's inputs must be static; it is read again at each call.
std::unique_ptr<Reference> makeInterpreter();
/// ONNX Runtime in a Python process of its own; `python` "" is python3 of the PATH. Fails if it is not there.
llvm::Expected<std::unique_ptr<Reference>> makeOnnxRuntime(llvm::StringRef python, const ScratchFolder &scratch);

} // namespace mlc
#endif
