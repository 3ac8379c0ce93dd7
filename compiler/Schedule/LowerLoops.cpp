// The kernels without a plan, and the fallback of all others: any mix of linalg ops on buffers, copies, and core's structured
// ops. With #sched.tiling's lanes ops are vectorised along a parallel loop; without, everything is plain scalar loops.
#include "compiler/Schedule/Kernels.h"
#include "compiler/Schedule/TaskLoop.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlc;

/// The memref that a view or a value of it is cut from.
static Value rootOf(Value memref) {
  while (auto view = memref.getDefiningOp<ViewLikeOpInterface>())
    memref = view.getViewSource();
  return memref;
}

/// A generic that writes one scalar everywhere: linalg.fill, generalised.
static Value fillOf(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 1 || op.getNumDpsInits() != 1 || isa<MemRefType>(op->getOperand(0).getType()) || op.getNumLoops() != op.getNumParallelLoops())
    return {};
  Value yielded = op.getBody()->getTerminator()->getOperand(0);
  return yielded == op.getBody()->getArgument(0) ? op->getOperand(0) : Value();
}

LogicalResult mlc::lowerLoops(func::FuncOp kernel) {
  IRRewriter rewriter(kernel.getContext());
  generalizeOps(rewriter, kernel);
  auto tiling = kernel->getAttrOfType<sched::TilingAttr>(kTilingAttr);

  SmallVector<linalg::GenericOp> ops;
  DenseMap<Value, Value> fills; // pending: the next op that writes the buffer starts with the value
  SmallVector<std::pair<linalg::GenericOp, SmallVector<Value>>> work;
  for (Operation &op : kernel.getBody().front()) {
    if (isa<memref::AllocOp>(op))
      return op.emitError("kernels of kind loops have no internal buffers");
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (!generic)
      continue;
    work.emplace_back(generic, SmallVector<Value>(generic.getNumDpsInits()));
  }
  // fill(x); op(outs(x)) with nothing between that reads x: the op starts with the value.
  for (size_t i = 0; i + 1 < work.size();) {
    Value fill = fillOf(work[i].first);
    linalg::GenericOp next = work[i + 1].first;
    bool merged = false;
    if (fill)
      for (OpOperand &init : next.getDpsInitsMutable())
        if (init.get() == work[i].first.getDpsInits()[0] && llvm::none_of(next.getDpsInputs(), [&](Value input) { return rootOf(input) == rootOf(init.get()); })) {
          size_t number = init.getOperandNumber() - next.getNumDpsInputs();
          work[i + 1].second[number] = fill;
          merged = true;
        }
    if (merged)
      work.erase(work.begin() + i), i = i > 0 ? i - 1 : 0;
    else
      ++i;
  }

  bool independent = true;
  DenseMap<Value, size_t> writer;
  for (auto [number, entry] : llvm::enumerate(work))
    for (Value out : entry.first.getDpsInits()) {
      // Slices of one result (a concatenation) are different buffers to the ops that write them.
      auto [found, isNew] = writer.try_emplace(out, number);
      independent &= isNew || found->second == number;
    }
  for (auto [number, entry] : llvm::enumerate(work))
    for (Value input : entry.first.getDpsInputs())
      for (auto [out, by] : writer)
        if (isa<MemRefType>(input.getType()) && by != number && rootOf(out) == rootOf(input))
          independent = false;

  OpBuilder b(kernel.getBody().front().getTerminator());
  SmallVector<Tasks> tasks;
  for (auto &[op, fill] : work) {
    Walk walk;
    if (tiling) {
      walk.lanes = tiling.getLanes();
      walk.vectors = tiling.getVectors();
    }
    walk.taskIterations = isPerThread(tiling) ? 1 : taskIterations(op, {});
    walk.fill = fill;
    rewriter.setInsertionPoint(op);
    linalg::GenericOp collapsed = tiling ? collapseLoops(rewriter, op) : op;
    tasks.push_back(parallelTasks(b, collapsed, walk));
  }
  if (tasks.empty())
    return success();
  if (isPerThread(tiling) && !independent) // a grid each: they run one after the other
    for (const Tasks &one : tasks)
      emitForall(b, kernel.getLoc(), {one}, true);
  else
    emitForall(b, kernel.getLoc(), tasks, independent);
  eraseLinalgOps(kernel);
  return success();
}
