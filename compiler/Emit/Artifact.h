// Artifact: everything that a compiled library says about itself, as plain data. The signature is collected while @main and
// @train_step still are functions on tensors; weights, state and GPU code are collected from the lowered module's attributes.
#ifndef MLC_COMPILER_EMIT_ARTIFACT_H
#define MLC_COMPILER_EMIT_ARTIFACT_H
#include "compiler/Compile.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <array>
#include <optional>

namespace mlc {

// Attributes of the lowered module that collectMemory and collectDevice read. OutlineGroups, PlanMemory and Gpu/ write them.
//   mlc.weights       = [{offset = 0 : i64, value = dense_resource<...> : tensor<...>}, ...]   sorted by offset, 64-byte aligned
//   mlc.weights_bytes = N : i64
//   mlc.state         = [{name = "w", type = tensor<...>, offset = 0 : i64, weights_offset = 0 : i64 (-1: zeros), parameter}, ...]
//                       parameters (unit attribute `parameter`) first, then optimizer slots
//   mlc.state_bytes   = N : i64
//   mlc.arena_bytes   = N : i64, mlc.train_arena_bytes = N : i64   optional: constants known when no size is dynamic
//   mlc.data_sizes    = array<i64: ...>, mlc.train_data_sizes          optional: pairs (position among the results' sizes, constant bound or -1)
//   mlc.device_images = ["<ptx>", ...], mlc.device_kernels = ["kernel_0", ...], mlc.device_arch = "sm_80"   on the GPU
inline constexpr llvm::StringLiteral kWeightsAttr = "mlc.weights", kWeightsBytesAttr = "mlc.weights_bytes",
                                     kStateAttr = "mlc.state", kStateBytesAttr = "mlc.state_bytes",
                                     kArenaBytesAttr = "mlc.arena_bytes",
                                     kTrainArenaBytesAttr = "mlc.train_arena_bytes", kDataSizesAttr = "mlc.data_sizes",
                                     kTrainDataSizesAttr = "mlc.train_data_sizes",
                                     kDeviceImagesAttr = "mlc.device_images", kDeviceKernelsAttr = "mlc.device_kernels",
                                     kDeviceArchAttr = "mlc.device_arch";

/// Where a library has its manifest, ended by a zero.
inline constexpr llvm::StringLiteral kManifestSection = ".mlc_manifest";

/// The symbolic dimensions of a model, in the order of mlc_call.dims: first occurrence over the arguments of @main, then of
/// @train_step. A dynamic dimension without a name is a symbol of its own, called `<input>_dim<axis>`.
struct DimSymbols {
  std::vector<std::string> names;

  static DimSymbols of(mlir::ModuleOp module);
  /// The symbol of a dynamic dimension of an argument.
  int64_t find(mlir::func::FuncOp function, unsigned argument, unsigned axis) const;
};

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

/// Weights, state and arena sizes, from the attributes above.
mlir::LogicalResult collectMemory(mlir::ModuleOp module, Artifact &artifact);

/// GPU code, from the attributes above.
void collectDevice(mlir::ModuleOp module, Artifact &artifact);

} // namespace mlc
#endif
