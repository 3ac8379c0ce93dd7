// What the generators for pointwise, rows and loops kernels share: cutting an iteration space into tasks, and walking one loop in
// vectors. Sizes are index values; arithmetic on constants folds at once, so static sizes leave no run-time code behind.
#ifndef MLC_COMPILER_SCHEDULE_TASKLOOP_H
#define MLC_COMPILER_SCHEDULE_TASKLOOP_H
#include "compiler/Schedule/BodyEmitter.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <functional>

namespace mlc {

mlir::Value constantIndex(mlir::OpBuilder &b, mlir::Location loc, int64_t value);
std::optional<int64_t> constantOf(mlir::Value value);
mlir::Value addIndex(mlir::OpBuilder &b, mlir::Location loc, mlir::Value left, mlir::Value right);
mlir::Value subIndex(mlir::OpBuilder &b, mlir::Location loc, mlir::Value left, mlir::Value right);
mlir::Value mulIndex(mlir::OpBuilder &b, mlir::Location loc, mlir::Value left, mlir::Value right);
mlir::Value divIndex(mlir::OpBuilder &b, mlir::Location loc, mlir::Value left, mlir::Value right);
mlir::Value ceilDivIndex(mlir::OpBuilder &b, mlir::Location loc, mlir::Value left, mlir::Value right);
mlir::Value minIndex(mlir::OpBuilder &b, mlir::Location loc, mlir::Value left, mlir::Value right);
mlir::Value maxIndex(mlir::OpBuilder &b, mlir::Location loc, mlir::Value left, mlir::Value right);

/// The size of every loop of an op.
llvm::SmallVector<mlir::Value> loopSizes(mlir::OpBuilder &b, mlir::linalg::LinalgOp op);

/// Independent pieces of work; `emit` writes the code of one of them at the builder's insertion point.
struct Tasks {
  mlir::Value count;
  std::function<void(mlir::OpBuilder &, mlir::Value task)> emit;
};

/// One scf.forall over all of them. Those that depend on each other run one after the other inside its only task.
void emitForall(mlir::OpBuilder &b, mlir::Location loc, llvm::ArrayRef<Tasks> work, bool independent);

/// Loops cut into tasks: the outer loops entirely, and `laneSize` (null: none) in chunks.
struct TaskSpace {
  llvm::SmallVector<mlir::Value> outer;
  mlir::Value laneSize;
  int64_t laneChunkMin = 1;   // chunks of the lane loop are multiples of this
  int64_t taskIterations = 1; // of outer x lane loop x unitSize
  mlir::Value unitSize;       // iterations inside one combination of outer loops (null: 1)
};

using TaskBody =
    std::function<void(mlir::OpBuilder &, llvm::ArrayRef<mlir::Value> outer, mlir::Value begin, mlir::Value end)>;

/// `body` is emitted once, for one combination of the outer loops and a chunk [begin, end) of the lane loop (null without one).
Tasks cutTasks(mlir::OpBuilder &b, mlir::Location loc, const TaskSpace &space, TaskBody body);

/// The iterations that one task of `op` should have: `task` is #sched.tiling's, one number for each parallel loop (or loop).
/// Without it, or if sizes are unknown, a count by the cost of the body.
int64_t taskIterations(mlir::linalg::LinalgOp op, llvm::ArrayRef<int64_t> task);

/// A rough count of scalar operations in one iteration.
int64_t bodyCost(mlir::linalg::LinalgOp op);

using Carried = llvm::SmallVector<mlir::Value>;

/// for each index of the nest: carried = body(indices, carried). Sizes are unrolled completely while their product stays
/// within `unrollMax`.
Carried forNest(mlir::OpBuilder &b, mlir::Location loc, llvm::ArrayRef<mlir::Value> sizes, Carried carried,
                int64_t unrollMax,
                llvm::function_ref<Carried(mlir::OpBuilder &, llvm::ArrayRef<mlir::Value>, Carried)> body);

/// How the values carried through a lane loop change width.
struct LaneCarry {
  Carried values;                                                   // of `lanes` lanes
  std::function<Carried(mlir::OpBuilder &, int64_t lanes)> neutral; // starts the wide main loop
  std::function<Carried(mlir::OpBuilder &, Carried wide, Carried narrow)> merge;
};

using LaneBody = llvm::function_ref<Carried(mlir::OpBuilder &, mlir::Value index, int64_t lanes, mlir::Value active,
                                            Carried carried)>;

/// Walks [begin, end): a main loop of lanes * vectors at a time, then lanes at a time, then a masked rest.
Carried forLanes(mlir::OpBuilder &b, mlir::Location loc, mlir::Value begin, mlir::Value end, int64_t lanes,
                 int64_t vectors, LaneCarry carry, LaneBody body);

/// The value as vector<lanes>, if lanes > 1.
mlir::Value asLanes(mlir::OpBuilder &b, mlir::Location loc, mlir::Value value, int64_t lanes);

/// How one op of a kernel is to be walked; `fill` is the value its results start with (null: what is in memory).
struct Walk {
  int64_t lanes = 1, vectors = 1;
  int64_t taskIterations = 1; // parallel iterations of one task
  llvm::SmallVector<mlir::Value> fill;
};

/// LowerPointwise: one op with lanes along a parallel loop; reduction loops, if any, run inside, accumulators in registers.
Tasks parallelTasks(mlir::OpBuilder &b, mlir::linalg::GenericOp op, const Walk &walk);

/// For each loop: can it and the next one be one loop, because every operand walks them alike?
llvm::SmallVector<bool> foldableLoops(mlir::linalg::GenericOp op);
mlir::FailureOr<mlir::linalg::GenericOp> foldLoops(mlir::RewriterBase &rewriter, mlir::linalg::GenericOp op,
                                                   llvm::ArrayRef<bool> folds);

/// Folds all loops that fold: the fewer loops the longer the innermost one.
mlir::linalg::GenericOp collapseLoops(mlir::RewriterBase &rewriter, mlir::linalg::GenericOp op);

/// linalg named ops, fills and memref.copy of a kernel as linalg.generic.
void generalizeOps(mlir::RewriterBase &rewriter, mlir::func::FuncOp kernel);

/// Removes the linalg ops that have been replaced, and what only they used.
void eraseLinalgOps(mlir::func::FuncOp kernel);

} // namespace mlc
#endif
