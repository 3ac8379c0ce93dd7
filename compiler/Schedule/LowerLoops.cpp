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
  if (op.getNumDpsInputs() != 1 || op.getNumDpsInits() != 1 || isa<MemRefType>(op->getOperand(0).getType()) ||
      op.getNumLoops() != op.getNumParallelLoops())
    return {};
  Value yielded = op.getBody()->getTerminator()->getOperand(0);
  return yielded == op.getBody()->getArgument(0) ? op->getOperand(0) : Value();
}

/// Parts of one buffer that have no element in common: subviews apart in some dimension.
static bool areApart(Value left, Value right) {
  auto a = left.getDefiningOp<memref::SubViewOp>(), c = right.getDefiningOp<memref::SubViewOp>();
  if (!a || !c || a.getSource() != c.getSource())
    return false;
  for (unsigned dim = 0; dim < a.getStaticOffsets().size(); ++dim) {
    int64_t aBegin = a.getStaticOffsets()[dim], cBegin = c.getStaticOffsets()[dim], aSize = a.getStaticSizes()[dim],
            cSize = c.getStaticSizes()[dim];
    if (a.getStaticStrides()[dim] != 1 || c.getStaticStrides()[dim] != 1)
      continue;
    auto before = [](int64_t begin, int64_t size, int64_t next) {
      return !ShapedType::isDynamic(begin) && !ShapedType::isDynamic(size) && !ShapedType::isDynamic(next) &&
             begin + size <= next;
    };
    if (before(aBegin, aSize, cBegin) || before(cBegin, cSize, aBegin))
      return true;
  }
  return false;
}

/// Does one of two ops write what the other one uses? Kernel arguments do not alias unless they are the same.
static bool depends(linalg::GenericOp first, linalg::GenericOp second) {
  auto meets = [](Value written, Value used) {
    return isa<MemRefType>(used.getType()) && rootOf(written) == rootOf(used) && !areApart(written, used);
  };
  for (Value written : first.getDpsInits())
    for (Value used : second->getOperands())
      if (meets(written, used))
        return true;
  for (Value written : second.getDpsInits())
    for (Value used : first->getOperands())
      if (meets(written, used))
        return true;
  return false;
}

LogicalResult mlc::lowerLoops(func::FuncOp kernel) {
  IRRewriter rewriter(kernel.getContext());
  generalizeOps(rewriter, kernel);
  auto tiling = sched::tilingOf(kernel);

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
        if (init.get() == work[i].first.getDpsInits()[0] &&
            llvm::none_of(next.getDpsInputs(), [&](Value input) { return rootOf(input) == rootOf(init.get()); })) {
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
  for (size_t i = 0; i < work.size(); ++i)
    for (size_t k = i + 1; k < work.size(); ++k)
      independent = independent && !depends(work[i].first, work[k].first);

  OpBuilder b(kernel.getBody().front().getTerminator());
  SmallVector<Tasks> tasks;
  for (auto &[op, fill] : work) {
    Walk walk;
    if (tiling) {
      walk.lanes = tiling.getLanes();
      walk.vectors = tiling.getVectors();
    }
    walk.taskIterations = sched::isPerThread(tiling) ? 1 : taskIterations(op, {});
    walk.fill = fill;
    rewriter.setInsertionPoint(op);
    linalg::GenericOp collapsed = tiling ? collapseLoops(rewriter, op) : op;
    tasks.push_back(parallelTasks(b, collapsed, walk));
  }
  if (tasks.empty())
    return success();
  if (sched::isPerThread(tiling) && !independent) // a grid each: they run one after the other
    for (const Tasks &one : tasks)
      emitForall(b, kernel.getLoc(), {one}, true);
  else
    emitForall(b, kernel.getLoc(), tasks, independent);
  eraseLinalgOps(kernel);
  return success();
}
