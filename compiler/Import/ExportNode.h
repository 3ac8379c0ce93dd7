// One node as a model of its own: what `mlc verify` compiles to look at the node alone, and what it saves as a reproducer.
#ifndef MLC_COMPILER_IMPORT_EXPORTNODE_H
#define MLC_COMPILER_IMPORT_EXPORTNODE_H
#include "compiler/Compile.h"
#include "dialects/onnx/Onnx.h"
#include "llvm/Support/Error.h"

namespace mlc {

/// A value that the node reads: x<i> of the new model.
struct NodeInput {
  mlir::Value value;
  InputValue tensor; // its type; and its elements if it is an initializer
  bool isConstant;
};

/// The values that a node reads, without repetition: operands, and what its subgraphs take from around it. Absent ones are left out.
llvm::SmallVector<mlir::Value> valuesRead(onnx::NodeOp node);

/// The results of a node that something uses: y<i> of the new model, where i is the result's number.
llvm::SmallVector<unsigned> resultsUsed(onnx::NodeOp node);

/// A serialised ModelProto. `resultTypes` (without elements) are those of resultsUsed, or empty: mlc infers them, other tools want them.
/// Fails if the node holds what a model file cannot say again.
llvm::Expected<std::string> exportNode(onnx::NodeOp node, llvm::StringRef name, llvm::ArrayRef<NodeInput> inputs,
                                       llvm::ArrayRef<InputValue> resultTypes = {});

} // namespace mlc
#endif
