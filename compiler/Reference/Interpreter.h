// The reference: evaluates a function of core ops one op at a time on plain arrays, in double precision. It shares nothing with what it
// checks but the decomposition of ONNX operators into core ops: no folding, no fusion, no schedule, no vectors, no expansion of
// mathematical functions, no memory planning, no LLVM. Slow and simple on purpose (docs/decisions/0009).
#ifndef MLC_COMPILER_REFERENCE_INTERPRETER_H
#define MLC_COMPILER_REFERENCE_INTERPRETER_H
#include "compiler/Reference/Tensor.h"
#include "dialects/core/Core.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"

namespace mlc::reference {

using Operands = llvm::ArrayRef<Tensor>;
/// Empty: the reference does not have the op.
using Result = std::optional<Tensor>;
using Results = llvm::SmallVector<Tensor>;

class Interpreter {
public:
  /// Fails with a diagnostic at the op that the reference does not have.
  mlir::FailureOr<Results> run(mlir::func::FuncOp function, Operands arguments);

  /// Constants and index values as numbers.
  Shape sizes(llvm::ArrayRef<mlir::OpFoldResult> mixed) const;
  int64_t size(mlir::Value index) const { return scalars.at(index); }

private:
  /// What the terminator of a region's block reads.
  mlir::FailureOr<Results> evaluate(mlir::Block &block);
  mlir::LogicalResult visit(mlir::Operation *op);
  /// Ops on sizes: arith on index values and what takes tensors apart. False if it is none of them.
  bool visitScalar(mlir::Operation *op);
  /// The same for floats that sizes are computed from.
  bool visitReal(mlir::Operation *op);
  mlir::LogicalResult boundedSize(core::BoundedSizeOp op);
  mlir::LogicalResult branch(core::IfOp op);
  mlir::LogicalResult loop(core::LoopOp op);
  void release(mlir::Operation *op);

  llvm::DenseMap<mlir::Value, Tensor> tensors;
  llvm::DenseMap<mlir::Value, int64_t> scalars;
  llvm::DenseMap<mlir::Value, double> reals;
  llvm::DenseMap<mlir::Value, int64_t>
      usesLeft; // of tensors, which are freed after the op of the function that is the last to use them
};

// One function for each family of ops (dialects/core), in a file of its own.
Result evaluatePointwise(mlir::Operation *op, Operands operands);
Result evaluateMovement(mlir::Operation *op, Operands operands, const Interpreter &sizes);
Result evaluateIndexed(mlir::Operation *op, Operands operands, const Interpreter &sizes);
Result evaluateReduction(mlir::Operation *op, Operands operands);
Result evaluateContraction(mlir::Operation *op, Operands operands);
/// Ops with several results; empty: the reference does not have the op.
Results evaluateCounted(mlir::Operation *op, Operands operands, const Interpreter &sizes);

/// One step of a reduction, and what it starts from.
double combine(core::Reduction kind, double x, double y);
int64_t combine(core::Reduction kind, Element element, int64_t x, int64_t y);
double neutralReal(core::Reduction kind);
int64_t neutralInteger(core::Reduction kind, Element element);
/// Whether x < y as the element's type compares.
bool isLess(Element element, int64_t x, int64_t y);

} // namespace mlc::reference
#endif
