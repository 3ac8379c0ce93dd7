// The reverse walk. What an operation's derivative is stands beside the operation, in ODS; here is only the chain rule.
#include "compiler/Core/Differentiate.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace mlc::core;

/// Values that depend on a variable: only their operations take part.
static llvm::DenseSet<Value> findActive(Block &block, ArrayRef<Value> variables) {
  llvm::DenseSet<Value> active(variables.begin(), variables.end());
  for (Operation &op : block)
    if (llvm::any_of(op.getOperands(), [&](Value operand) { return active.contains(operand); }))
      active.insert(op.result_begin(), op.result_end());
  return active;
}

FailureOr<SmallVector<Value>> mlc::core::differentiate(CoreBuilder &b, Value root, ArrayRef<Value> variables) {
  Block &block = *root.getParentBlock();
  llvm::DenseSet<Value> active = findActive(block, variables);
  DenseMap<Value, Value> cotangents;
  cotangents[root] = b.splatLike(1.0, root);

  SmallVector<Operation *> order;
  for (Operation &op : block)
    order.push_back(&op);
  for (Operation *op : llvm::reverse(order)) {
    SmallVector<Value> incoming;
    for (Value result : op->getResults())
      incoming.push_back(cotangents.lookup(result));
    bool needed = llvm::any_of(op->getOperands(), [&](Value operand) { return active.contains(operand); });
    if (!needed || llvm::none_of(incoming, [](Value value) { return value != nullptr; }))
      continue;
    auto differentiable = dyn_cast<Differentiable>(op);
    if (!differentiable)
      return op->emitError("'") << op->getName() << "' has no derivative";
    b.loc = op->getLoc();
    SmallVector<Value> gradients;
    if (failed(differentiable.buildVjp(b, incoming, gradients)))
      return op->emitError("the derivative of '") << op->getName() << "' is not known for these operands";
    for (auto [operand, gradient] : llvm::zip(op->getOperands(), gradients)) {
      if (!gradient || !active.contains(operand))
        continue;
      Value &sum = cotangents[operand];
      sum = sum ? Value(b.expr(sum) + b.expr(gradient)) : gradient;
    }
  }
  SmallVector<Value> result;
  for (Value variable : variables) {
    Value gradient = cotangents.lookup(variable);
    result.push_back(gradient ? gradient : Value(b.splatLike(0.0, variable)));
  }
  return result;
}
