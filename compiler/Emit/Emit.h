// Emission: from a module of the llvm dialect and an Artifact to files.
#ifndef MLC_COMPILER_EMIT_EMIT_H
#define MLC_COMPILER_EMIT_EMIT_H
#include "compiler/Emit/Artifact.h"
#include "compiler/Emit/CpuTarget.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

namespace llvm {
class Module;
class TargetMachine;
} // namespace llvm

namespace mlc {

/// A type or an argument name as the header writes it: every name of `names` as a C identifier, duplicates numbered, `taken` avoided.
std::vector<std::string> toUniqueIdentifiers(llvm::ArrayRef<std::string> names, llvm::ArrayRef<llvm::StringRef> taken);

/// The text of the .json file beside the library.
std::string writeManifest(const Artifact &artifact);

/// The end of the symbol that the header calls to create an instance.
std::string checkedCreate(const Artifact &artifact);

/// The text of the .h file beside the library.
std::string writeHeader(const Artifact &artifact, EmitKind kind);

/// Adds the model's mlc_program, its typed functions and its reflective symbol to a module that holds the runtime. Returns the
/// names that the library exports.
std::vector<std::string> addProgram(llvm::Module &module, const Artifact &artifact, EmitKind kind);

/// LLVM's O2 on a whole module, with what kernels of each kind need (Optimize.cpp).
void optimize(llvm::Module &module, llvm::TargetMachine &machine);

/// Writes LLVM IR, assembly, weights, or a library with its header and manifest beside it, as `kind` says. Completes `artifact`;
/// its weights are gone afterwards. `onOptimized` is called between LLVM's optimizations and the writing of machine code.
mlir::LogicalResult emit(mlir::ModuleOp module, Artifact &artifact, const CpuTarget &target, EmitKind kind,
                         llvm::StringRef output, llvm::function_ref<void()> onOptimized);

/// Writes `output` as text ("-": standard output) and diagnoses what fails.
mlir::LogicalResult writeText(mlir::ModuleOp module, llvm::StringRef output,
                              llvm::function_ref<void(llvm::raw_ostream &)> write);

} // namespace mlc
#endif
