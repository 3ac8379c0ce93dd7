// The compiler as a library: a model in, an artifact or diagnostics out. tools/mlc is a thin layer over this header.
#ifndef MLC_COMPILER_COMPILE_H
#define MLC_COMPILER_COMPILE_H
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/StringSet.h"
#include <map>
#include <string>
#include <vector>

namespace mlc {

class StageClock;

struct TrainOptions {
  bool enabled = false;
  std::string loss = "cross_entropy"; // cross_entropy | mse
  std::string optimizer = "sgd";      // sgd | adam
  double learningRate = 0;            // 0: the optimizer's usual one (sgd 0.05, adam 1e-3)
  double momentum = 0;                // sgd
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  std::vector<std::string> trainable; // name patterns with '*'; empty: every floating-point initializer
};

/// In the order in which the pipeline reaches them.
enum class EmitKind { Onnx, Core, Linalg, Tiled, Ptx, LLVM, Assembly, Object, Archive, Library, Weights };

/// A tensor that the command line gives; the element type is ONNX's number, which is also that of mlc_dtype.
struct InputValue {
  int32_t dtype;
  std::vector<int64_t> shape;
  std::string bytes; // row-major, a bool is one byte
};

struct CompileOptions {
  std::string name;                                   // prefix of every symbol; default: the output's stem
  std::string triple;                                 // x86_64-linux-gnu | aarch64-linux-gnu; empty: this machine's
  std::string cpu;                                    // as CpuTarget::of takes it
  std::string sysroot;                                // where the triple's C library is; empty: the usual place
  std::string target = "cpu";                         // cpu | cuda:sm_80 | cuda:sm_90a
  std::map<std::string, int64_t> dims;                // --dim batch=8: symbolic dimensions made constant
  std::map<std::string, std::vector<int64_t>> shapes; // --shape x=1x3x224x224
  std::map<std::string, InputValue>
      inputValues; // --input-value axes=@axes.npy: inputs made constant; they leave the signature
  EmitKind emit = EmitKind::Library;
  std::string weightsFile;                   // where the weights of a library go instead of into it; empty: into it
  std::string saveStages;                    // directory for the IR after every pass; empty: none
  llvm::StringSet<> reports;                 // pages, see compiler/Report
  llvm::raw_ostream *reportStream = nullptr; // where they go
  StageClock *clock = nullptr;               // told which stage begins
  bool keepsGoing = false;                   // importOnnx reports what it cannot read and leaves it out: for mlc check
  bool naiveKernels = false;                 // every kernel as plain loops: the reference that tests compare with
  TrainOptions train;
};

/// What decomposition could not translate.
struct UnsupportedNode {
  std::string node, op, domain, reason;
  int64_t opset;
};

/// Reads a model file into the onnx dialect. Diagnostics go to the context. Memory is a small multiple of the file's
/// size whatever the file says; weights stay in the mapped file, which lives as long as the context.
mlir::OwningOpRef<mlir::ModuleOp> importOnnx(llvm::StringRef path, const CompileOptions &options,
                                             mlir::MLIRContext &context);

/// Decomposes every node into core ops. Every unsupported node of the model is collected before it fails. `unrollLoops`: no control flow.
mlir::LogicalResult decomposeOnnx(mlir::ModuleOp module, std::vector<UnsupportedNode> &unsupported,
                                  bool unrollLoops = false);

/// Runs the whole pipeline on an imported module and writes `output` (and the header and manifest beside it), or the
/// chosen stage as text ("-": standard output).
mlir::LogicalResult compileModule(mlir::ModuleOp module, const CompileOptions &options, llvm::StringRef output);

/// Every file that compileModule writes with these options, reports and stages aside.
std::vector<std::string> outputsOf(const CompileOptions &options, llvm::StringRef output);

/// A context with every dialect that the pipeline needs, multithreading off.
void registerDialects(mlir::DialectRegistry &registry);

} // namespace mlc
#endif
