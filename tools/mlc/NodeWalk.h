// The walk of `mlc verify` over a model's nodes: what each should give by the reference, and what it gives compiled alone.
#ifndef MLC_TOOLS_MLC_NODEWALK_H
#define MLC_TOOLS_MLC_NODEWALK_H
#include "NodeErrors.h"
#include "NodeProgram.h"
#include "Progress.h"
#include "compiler/Import/ExportNode.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringMap.h"
#include <set>

namespace mlc {

struct NodeReport {
  int64_t number = 0;           // among all nodes of the model
  std::string node, op, result; // result: types
  ErrorSummary errors;
  std::string note; // why it was not checked; "" if it was
};

using SharedTensor = std::shared_ptr<const HostTensor>;

/// The first node beyond the bounds: a model of its own, what it gets and what it should give.
struct Reproducer {
  std::string node, model;
  std::vector<std::pair<std::string, SharedTensor>> inputs, expected; // by name
};

struct WalkOptions {
  CompileOptions compile; // cpu
  ErrorBounds bounds;
  bool checksNodes = true; // compile each node and compare
  std::set<int64_t> keep;  // numbers of nodes whose results stay (locating a deviation)
};

struct WalkResult {
  std::vector<NodeReport> nodes;                     // in the model's order
  std::vector<SharedTensor> outputs;                 // of the model; null if not known
  std::map<int64_t, std::vector<SharedTensor>> kept; // results by node number
  std::optional<Reproducer> firstBeyond;
};

/// `module` is the static model in the onnx dialect.
class NodeWalk {
public:
  NodeWalk(const WalkOptions &options, Reference &reference, const ScratchFolder &scratch, Progress &progress)
      : options(options), reference(reference), scratch(scratch), progress(progress) {}

  llvm::Expected<WalkResult> run(mlir::ModuleOp module, std::vector<SharedTensor> inputs);

private:
  /// What a node is compiled into. Programs without large constants are kept for other nodes that are the same.
  struct Program {
    std::string model;
    const mlc_model *library = nullptr;
    std::string problem; // why there is no library
  };
  /// A node ready to run: the inputs that are not part of its model, by name.
  struct Prepared {
    Program program;
    std::vector<NodeInput> inputs;
    std::vector<std::string> names;
    std::vector<SharedTensor> arguments;
    ReferenceResults expected;
    std::string referenceProblem; // why nothing is expected

    std::vector<const HostTensor *> pointers() const;
  };

  void visit(onnx::NodeOp node, int64_t number);
  llvm::Error check(onnx::NodeOp node, llvm::ArrayRef<mlir::Value> reads, NodeReport &report);
  llvm::Expected<std::vector<NodeInput>> inputsOf(llvm::ArrayRef<mlir::Value> reads, bool smallOnesAreConstant);
  llvm::Expected<Prepared> prepare(onnx::NodeOp node, llvm::ArrayRef<mlir::Value> reads, bool smallOnesAreConstant);
  llvm::Expected<Program> programOf(onnx::NodeOp node, llvm::ArrayRef<NodeInput> inputs);
  SharedTensor valueOf(mlir::Value value);
  void release(llvm::ArrayRef<mlir::Value> reads);
  void define(onnx::NodeOp node, llvm::ArrayRef<mlir::Value> reads, std::vector<HostTensor> results,
              NodeReport &report);
  llvm::Error keepReproducer(onnx::NodeOp node, const Prepared &prepared, const NodeReport &report);

  const WalkOptions &options;
  Reference &reference;
  const ScratchFolder &scratch;
  Progress &progress;
  WalkResult result;
  llvm::DenseMap<mlir::Value, SharedTensor> values;
  llvm::DenseMap<mlir::Value, int64_t> usesLeft;
  llvm::DenseSet<mlir::Value> constants; // values that do not depend on the inputs
  llvm::StringMap<Program> programs;
  int64_t programCount = 0;
};

} // namespace mlc
#endif
