// Artifact: everything that a compiled library says about itself, as plain data. The signature is collected while @main and
// @train_step still are functions on tensors; weights, state and GPU code are collected from what the passes have written (dialects/rt/Program.h).
#ifndef MLC_COMPILER_EMIT_ARTIFACT_H
#define MLC_COMPILER_EMIT_ARTIFACT_H
#include "compiler/Compile.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <array>
#include <optional>

namespace mlc {

/// Where a library has its manifest, ended by a zero.
inline constexpr llvm::StringLiteral kManifestSection = ".mlc_manifest";

struct DimInfo {
  int64_t value = -1;     // >= 0: the size
  int32_t symbol = -1;    // otherwise: index into symbols; -1: computed, see mlc_model.output_shapes
  bool isBounded = false; // the data decides; mlc_model.output_shapes gives the upper bound
  int64_t bound = -1;     // that bound if it is constant
};

struct ValueInfo {
  std::string name;
  int32_t dtype = 0; // mlc_dtype
  std::vector<DimInfo> dims;
};

struct StateSlot {
  std::string name;
  int64_t offset, bytes, weightsOffset;
};

struct Weight {
  int64_t offset;
  mlir::ElementsAttr value;
};

struct Kernel {
  std::string name, kind;
  int64_t calls;
};

struct Artifact {
  std::string name;       // prefix of every exported symbol: a C identifier
  std::string model;      // the model's file name
  std::string sourceHash; // "xxh3:..." of the model file; "" if unknown
  std::vector<std::string> symbols;
  std::vector<ValueInfo> inputs, outputs, trainInputs, trainOutputs, params;
  bool trainable = false;
  /// Does only the data tell a size of a result?
  bool hasBoundedOutputs() const;

  std::vector<Weight> weights;
  int64_t weightsBytes = 0;
  std::string weightsFile, weightsFileName;      // where the blob is written, and as the library names it; "": inside
  std::array<uint64_t, 2> weightsStructure = {}; // mlc_program.weights_structure
  std::vector<StateSlot> state;
  int64_t stateBytes = 0;
  std::optional<int64_t> arenaBytes, trainArenaBytes;
  std::vector<Kernel> kernels;

  std::string target;                   // as in CompileOptions
  std::string triple, cpu;              // as in CpuTarget
  std::string sysroot;                  // as in CompileOptions
  std::vector<std::string> cpuFeatures; // names as in /proc/cpuinfo
  std::vector<std::string> deviceImages, deviceKernels;
  std::string deviceArch;

  std::string manifest; // JSON text, see Manifest.cpp
};

/// A C identifier made of `name`, usable as a prefix and as a type's name. With `maybeMacro` it is none that looks like a macro, for
/// names that stand alone in a header: parameters and fields.
std::string toCIdentifier(llvm::StringRef name, bool maybeMacro = false);

/// A hash of what a header declares: a header and a library with different ones do not fit.
std::string signatureOf(const Artifact &artifact);

/// Name, signature and symbols; `module` still has tensors in its entries. Diagnoses types that the runtime cannot pass.
mlir::FailureOr<Artifact> collectSignature(mlir::ModuleOp module, const CompileOptions &options,
                                           llvm::StringRef output);

/// Kernels with their kinds and the number of their calls. `module` has been outlined, but its kernels are not yet lowered.
void collectKernels(mlir::ModuleOp module, Artifact &artifact);

/// Weights, state and arena sizes (dialects/rt/Program.h).
mlir::LogicalResult collectMemory(mlir::ModuleOp module, Artifact &artifact);

/// GPU code (dialects/rt/Program.h).
void collectDevice(mlir::ModuleOp module, Artifact &artifact);

} // namespace mlc
#endif
