// Pointwise kernels, and every other op that has lanes along a parallel loop: the lane loop is the one with the fewest strided
// accesses. Where an input runs across the lanes (a transpose), square blocks are transposed in registers.
#include "compiler/Schedule/BodyEmitter.h"
#include "compiler/Schedule/Kernels.h"
#include "compiler/Schedule/TaskLoop.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlc;

namespace {

bool isRead(OpOperand &operand) {
  auto op = cast<linalg::GenericOp>(operand.getOwner());
  return isa<MemRefType>(operand.get().getType()) && !op.getMatchingBlockArgument(&operand).use_empty();
}

/// The loop along which vectors lie, or -1.
int64_t chooseLaneLoop(linalg::GenericOp op, int64_t lanes) {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  int64_t best = -1;
  double bestCost = 1e30;
  for (auto [loop, iterator] : llvm::enumerate(op.getIteratorTypesArray())) {
    if (iterator != utils::IteratorType::parallel)
      continue;
    double cost = 1;
    for (OpOperand &operand : op->getOpOperands()) {
      if (!isa<MemRefType>(operand.get().getType()))
        continue;
      LaneStep step = laneStep(op.getMatchingIndexingMap(&operand), cast<MemRefType>(operand.get().getType()), loop);
      if (step == LaneStep::Strided)
        cost += op.isDpsInit(&operand) ? 4 : isRead(operand) ? 2 : 0;
    }
    if (!ShapedType::isDynamic(sizes[loop]) && sizes[loop] > 0) // masked lanes are wasted
      cost *= static_cast<double>(llvm::alignTo(sizes[loop], lanes)) / sizes[loop];
    if (cost <= bestCost) {
      bestCost = cost;
      best = loop;
    }
  }
  return best;
}

/// An op whose strided inputs are all contiguous along one other parallel loop.
struct Blocked {
  int64_t loop = -1;
  SmallVector<bool> crosses; // by operand number
};

Blocked findBlocks(linalg::GenericOp op, int64_t laneLoop, int64_t lanes) {
  Blocked blocked;
  if (op.getNumLoops() != op.getNumParallelLoops() || lanes < 4)
    return {};
  blocked.crosses.assign(op->getNumOperands(), false);
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<MemRefType>(operand.get().getType());
    if (!type)
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (laneStep(map, type, laneLoop) != LaneStep::Strided || !isRead(operand))
      continue;
    if (op.isDpsInit(&operand) || !map.isProjectedPermutation())
      return {};
    int64_t across = -1;
    for (int64_t loop = 0; loop < static_cast<int64_t>(op.getNumLoops()); ++loop)
      if (loop != laneLoop && laneStep(map, type, loop) == LaneStep::Contiguous)
        across = loop;
    if (across < 0 || (blocked.loop >= 0 && blocked.loop != across))
      return {};
    blocked.loop = across;
    blocked.crosses[operand.getOperandNumber()] = true;
  }
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  for (int64_t loop : {blocked.loop, laneLoop})
    if (blocked.loop >= 0 && !ShapedType::isDynamic(sizes[loop]) && sizes[loop] < lanes)
      return {};
  return blocked;
}

/// Transposes a square of vectors: log2(n) rounds of exchanging quarters between rows i and i + half.
void transpose(OpBuilder &b, Location loc, SmallVectorImpl<Value> &rows) {
  int64_t n = rows.size();
  for (int64_t half = n / 2; half >= 1; half /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < n; ++lane) {
      low.push_back(lane & half ? n + lane - half : lane);
      high.push_back(lane & half ? n + lane : lane + half);
    }
    for (int64_t i = 0; i < n; ++i) {
      if (i & half)
        continue;
      Value upper = rows[i], lower = rows[i + half];
      rows[i] = vector::ShuffleOp::create(b, loc, upper, lower, low);
      rows[i + half] = vector::ShuffleOp::create(b, loc, upper, lower, high);
    }
  }
}

struct ParallelEmitter {
  linalg::GenericOp op;
  Walk walk;
  Location loc;
  SmallVector<AffineMap> maps;
  SmallVector<Value> sizes;
  SmallVector<int64_t> outer, reductions; // loops
  int64_t laneLoop = -1;
  Blocked blocked;

  ParallelEmitter(linalg::GenericOp op, const Walk &walk)
      : op(op), walk(walk), loc(op.getLoc()), maps(op.getIndexingMapsArray()) {}

  OpOperand *result(size_t number) { return op.getDpsInitOperand(number); }
  AffineMap resultMap(size_t number) { return maps[result(number)->getOperandNumber()]; }

  Position positionAt(OpBuilder &b, ArrayRef<Value> outerIndices) {
    Position at;
    at.indices.assign(maps[0].getNumDims(), constantIndex(b, loc, 0));
    for (auto [loop, index] : llvm::zip_equal(outer, outerIndices))
      at.indices[loop] = index;
    return at;
  }

  void store(OpBuilder &b, ArrayRef<Value> values, const Position &at) {
    for (auto [number, value] : llvm::enumerate(values))
      storeAt(b, loc, value, result(number)->get(), resultMap(number), at);
  }

  /// One vector of iterations: accumulators start, run through the reduction loops, and are stored.
  void vectorAt(OpBuilder &b, const Position &at) {
    SmallVector<Value> arguments(op->getNumOperands());
    if (reductions.empty()) {
      for (auto [number, value] : llvm::enumerate(walk.fill))
        arguments[result(number)->getOperandNumber()] = value;
      store(b, emitBody(b, op, arguments, at), at);
      return;
    }
    Carried accumulators;
    for (size_t number = 0; number < static_cast<size_t>(op.getNumDpsInits()); ++number) {
      Value start =
          walk.fill[number] ? walk.fill[number] : loadAt(b, loc, result(number)->get(), resultMap(number), at);
      accumulators.push_back(asLanes(b, loc, start, at.lanes));
    }
    SmallVector<Value> counts;
    for (int64_t loop : reductions)
      counts.push_back(sizes[loop]);
    accumulators = forNest(b, loc, counts, accumulators, /*unrollMax=*/9,
                           [&](OpBuilder &b, ArrayRef<Value> indices, Carried carried) {
                             Position inner = at;
                             for (auto [loop, index] : llvm::zip_equal(reductions, indices))
                               inner.indices[loop] = index;
                             for (auto [number, value] : llvm::enumerate(carried))
                               arguments[result(number)->getOperandNumber()] = value;
                             Carried next;
                             for (Value value : emitBody(b, op, arguments, inner))
                               next.push_back(asLanes(b, loc, value, at.lanes));
                             return next;
                           });
    store(b, accumulators, at);
  }

  void laneRange(OpBuilder &b, Position at, Value begin, Value end, int64_t vectors) {
    forLanes(b, loc, begin, end, walk.lanes, vectors, {},
             [&](OpBuilder &b, Value index, int64_t lanes, Value active, Carried) {
               at.indices[laneLoop] = index;
               at.laneLoop = laneLoop;
               at.lanes = lanes;
               at.active = active;
               vectorAt(b, at);
               return Carried();
             });
  }

  /// lanes x lanes iterations: the crossing operands are loaded along the other loop and transposed.
  void block(OpBuilder &b, Position at, Value row, Value lane) {
    int64_t n = walk.lanes;
    at.lanes = n;
    auto step = [&](Value start, int64_t by) {
      return by == 0 ? start : addIndex(b, loc, start, constantIndex(b, loc, by));
    };
    SmallVector<SmallVector<Value>> squares(op->getNumOperands());
    for (auto [number, crosses] : llvm::enumerate(blocked.crosses)) {
      if (!crosses)
        continue;
      at.laneLoop = blocked.loop;
      at.indices[blocked.loop] = row;
      for (int64_t i = 0; i < n; ++i) {
        at.indices[laneLoop] = step(lane, i);
        squares[number].push_back(loadAt(b, loc, op->getOperand(number), maps[number], at));
      }
      transpose(b, loc, squares[number]);
    }
    at.laneLoop = laneLoop;
    at.indices[laneLoop] = lane;
    for (int64_t i = 0; i < n; ++i) {
      at.indices[blocked.loop] = step(row, i);
      SmallVector<Value> arguments(op->getNumOperands());
      for (auto [number, square] : llvm::enumerate(squares))
        if (!square.empty())
          arguments[number] = square[i];
      store(b, emitBody(b, op, arguments, at), at);
    }
  }

  /// Rows [row, row + lanes) of the blocked loop, as far as they exist, by lanes [begin, end).
  void blockRange(OpBuilder &b, Position at, Value row, Value begin, Value end) {
    Value n = constantIndex(b, loc, walk.lanes), one = constantIndex(b, loc, 1);
    auto rowsByGather = [&](OpBuilder &b, Value rowEnd, Value laneBegin) {
      OpBuilder::InsertionGuard guard(b);
      auto loop = scf::ForOp::create(b, loc, row, rowEnd, one);
      b.setInsertionPointToStart(loop.getBody());
      Position inner = at;
      inner.indices[blocked.loop] = loop.getInductionVar();
      laneRange(b, inner, laneBegin, end, 1);
    };
    auto whole = [&](OpBuilder &b) {
      Value blockEnd = addIndex(b, loc, begin, mulIndex(b, loc, divIndex(b, loc, subIndex(b, loc, end, begin), n), n));
      auto loop = scf::ForOp::create(b, loc, begin, blockEnd, n);
      {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(loop.getBody());
        block(b, at, row, loop.getInductionVar());
      }
      auto size = constantOf(sizes[laneLoop]);
      if (!size || *size % walk.lanes != 0)
        rowsByGather(b, addIndex(b, loc, row, n), blockEnd);
    };
    Value rowsSize = sizes[blocked.loop];
    if (auto size = constantOf(rowsSize); size && *size % walk.lanes == 0)
      return whole(b);
    Value left = subIndex(b, loc, rowsSize, row);
    Value enough = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, left, n);
    auto branch = scf::IfOp::create(b, loc, enough, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    whole(b);
    b.setInsertionPointToStart(branch.elseBlock());
    rowsByGather(b, rowsSize, begin);
  }

  Tasks plan(OpBuilder &b) {
    sizes = loopSizes(b, op);
    walk.fill.resize(op.getNumDpsInits());
    if (!isVectorizable(op))
      walk.lanes = walk.vectors = 1;
    laneLoop = chooseLaneLoop(op, walk.lanes);
    if (laneLoop < 0)
      walk.lanes = walk.vectors = 1;
    else
      blocked = findBlocks(op, laneLoop, walk.lanes);
    for (auto [loop, iterator] : llvm::enumerate(op.getIteratorTypesArray()))
      if (iterator != utils::IteratorType::parallel)
        reductions.push_back(loop);
      else if (static_cast<int64_t>(loop) != laneLoop && static_cast<int64_t>(loop) != blocked.loop)
        outer.push_back(loop);

    TaskSpace space;
    for (int64_t loop : outer)
      space.outer.push_back(sizes[loop]);
    space.taskIterations = walk.taskIterations;
    space.laneSize = laneLoop < 0 ? Value() : sizes[laneLoop];
    space.laneChunkMin = walk.lanes * walk.vectors;
    if (blocked.loop < 0)
      return cutTasks(b, loc, space,
                      [self = *this](OpBuilder &b, ArrayRef<Value> indices, Value begin, Value end) mutable {
                        Position at = self.positionAt(b, indices);
                        if (self.laneLoop < 0)
                          self.vectorAt(b, at);
                        else
                          self.laneRange(b, at, begin, end, self.walk.vectors);
                      });
    // A unit is a strip of `lanes` rows.
    space.outer.push_back(ceilDivIndex(b, loc, sizes[blocked.loop], constantIndex(b, loc, walk.lanes)));
    space.taskIterations = std::max<int64_t>(walk.lanes, space.taskIterations / walk.lanes);
    return cutTasks(b, loc, space,
                    [self = *this](OpBuilder &b, ArrayRef<Value> indices, Value begin, Value end) mutable {
                      Position at = self.positionAt(b, indices.drop_back());
                      Value row = mulIndex(b, self.loc, indices.back(), constantIndex(b, self.loc, self.walk.lanes));
                      self.blockRange(b, at, row, begin, end);
                    });
  }
};

} // namespace

Tasks mlc::parallelTasks(OpBuilder &b, linalg::GenericOp op, const Walk &walk) {
  return ParallelEmitter(op, walk).plan(b);
}

LogicalResult mlc::lowerPointwise(func::FuncOp kernel, sched::TilingAttr tiling) {
  IRRewriter rewriter(kernel.getContext());
  generalizeOps(rewriter, kernel);
  SmallVector<linalg::GenericOp> ops(kernel.getBody().front().getOps<linalg::GenericOp>());
  if (ops.size() != 1 || ops[0].getNumLoops() != ops[0].getNumParallelLoops())
    return failure();
  // The plan's tasks are for the loops before they fold.
  Walk walk{tiling.getLanes(),
            tiling.getVectors(),
            sched::isPerThread(tiling) ? 1 : taskIterations(ops[0], tiling.getTask()),
            {}};
  linalg::GenericOp op = collapseLoops(rewriter, ops[0]);
  OpBuilder b(kernel.getBody().front().getTerminator());
  emitForall(b, op.getLoc(), {parallelTasks(b, op, walk)}, /*independent=*/true);
  eraseLinalgOps(kernel);
  return success();
}
