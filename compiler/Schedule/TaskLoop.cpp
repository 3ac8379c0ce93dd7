// See TaskLoop.h.
#include "compiler/Schedule/TaskLoop.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlc;

// --- Index arithmetic ------------------------------------------------------------------------------------------------

Value mlc::constantIndex(OpBuilder &b, Location loc, int64_t value) {
  return arith::ConstantIndexOp::create(b, loc, value);
}
std::optional<int64_t> mlc::constantOf(Value value) { return getConstantIntValue(value); }

Value mlc::addIndex(OpBuilder &b, Location loc, Value left, Value right) {
  return b.createOrFold<arith::AddIOp>(loc, left, right);
}
Value mlc::subIndex(OpBuilder &b, Location loc, Value left, Value right) {
  return constantOf(right) == 0 ? left : b.createOrFold<arith::SubIOp>(loc, left, right);
}
Value mlc::mulIndex(OpBuilder &b, Location loc, Value left, Value right) {
  if (constantOf(left) == 1)
    return right;
  return b.createOrFold<arith::MulIOp>(loc, left, right);
}
Value mlc::divIndex(OpBuilder &b, Location loc, Value left, Value right) {
  return b.createOrFold<arith::DivUIOp>(loc, left, right);
}
Value mlc::ceilDivIndex(OpBuilder &b, Location loc, Value left, Value right) {
  if (constantOf(right) == 1)
    return left;
  return divIndex(b, loc, addIndex(b, loc, left, subIndex(b, loc, right, constantIndex(b, loc, 1))), right);
}
Value mlc::minIndex(OpBuilder &b, Location loc, Value left, Value right) {
  if (auto l = constantOf(left), r = constantOf(right); l && r)
    return *l < *r ? left : right;
  return arith::MinUIOp::create(b, loc, left, right);
}
Value mlc::maxIndex(OpBuilder &b, Location loc, Value left, Value right) {
  if (auto l = constantOf(left), r = constantOf(right); l && r)
    return *l > *r ? left : right;
  return arith::MaxUIOp::create(b, loc, left, right);
}

/// The size of a dimension, read from the buffer behind reshapes: views and internal buffers need not stay for it.
static Value sizeOf(OpBuilder &b, Location loc, Value memref, int64_t dim) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(dim))
    return constantIndex(b, loc, type.getDimSize(dim));
  if (auto collapse = memref.getDefiningOp<memref::CollapseShapeOp>()) {
    Value size = constantIndex(b, loc, 1);
    SmallVector<ReassociationIndices> groups = collapse.getReassociationIndices();
    for (int64_t source : groups[dim])
      size = mulIndex(b, loc, size, sizeOf(b, loc, collapse.getSrc(), source));
    return size;
  }
  return b.createOrFold<memref::DimOp>(loc, memref, dim); // folds for alloc, subview and expand_shape
}

SmallVector<Value> mlc::loopSizes(OpBuilder &b, linalg::LinalgOp op) {
  SmallVector<Value> sizes(op.getNumLoops());
  for (auto [loop, size] : llvm::enumerate(op.getStaticLoopRanges()))
    if (!ShapedType::isDynamic(size))
      sizes[loop] = constantIndex(b, op.getLoc(), size);
  for (OpOperand &operand : op->getOpOperands())
    if (isa<MemRefType>(operand.get().getType()))
      for (auto [dim, expr] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults()))
        if (auto loop = dyn_cast<AffineDimExpr>(expr); loop && !sizes[loop.getPosition()])
          sizes[loop.getPosition()] = sizeOf(b, op.getLoc(), operand.get(), dim);
  if (llvm::is_contained(sizes, Value()))
    for (auto [loop, range] : llvm::enumerate(op.createLoopRanges(b, op.getLoc())))
      sizes[loop] = getValueOrCreateConstantIndexOp(b, op.getLoc(), range.size);
  return sizes;
}

// --- Tasks -----------------------------------------------------------------------------------------------------------

static Value beginForall(OpBuilder &b, Location loc, Value count) {
  auto forall =
      scf::ForallOp::create(b, loc, ArrayRef<OpFoldResult>{getAsOpFoldResult(count)}, ValueRange{}, std::nullopt);
  b.setInsertionPointToStart(forall.getBody());
  return forall.getInductionVar(0);
}

/// for (i in [begin, end)) at the builder, which is left inside; a single iteration needs no loop.
static Value beginLoop(OpBuilder &b, Location loc, Value begin, Value end) {
  auto low = constantOf(begin), high = constantOf(end);
  if (low && high && *high - *low == 1)
    return begin;
  auto loop = scf::ForOp::create(b, loc, begin, end, constantIndex(b, loc, 1));
  b.setInsertionPointToStart(loop.getBody());
  return loop.getInductionVar();
}

void mlc::emitForall(OpBuilder &b, Location loc, ArrayRef<Tasks> work, bool independent) {
  OpBuilder::InsertionGuard guard(b);
  if (work.size() == 1) {
    Value task = beginForall(b, loc, work[0].count);
    work[0].emit(b, task);
    return;
  }
  if (!independent) {
    beginForall(b, loc, constantIndex(b, loc, 1));
    for (const Tasks &tasks : work) {
      OpBuilder::InsertionGuard inner(b);
      Value task = beginLoop(b, loc, constantIndex(b, loc, 0), tasks.count);
      tasks.emit(b, task);
    }
    return;
  }
  // Tasks [0, n0) are the first's, [n0, n0 + n1) the second's, and so on.
  SmallVector<Value> ends;
  for (const Tasks &tasks : work)
    ends.push_back(ends.empty() ? tasks.count : addIndex(b, loc, ends.back(), tasks.count));
  Value task = beginForall(b, loc, ends.back());
  for (auto [number, tasks] : llvm::enumerate(work)) {
    Value begin = number == 0 ? constantIndex(b, loc, 0) : ends[number - 1];
    if (number + 1 == work.size()) {
      tasks.emit(b, subIndex(b, loc, task, begin));
      break;
    }
    Value mine = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, task, ends[number]);
    auto branch = scf::IfOp::create(b, loc, mine, /*withElseRegion=*/true);
    b.setInsertionPointToStart(branch.thenBlock());
    tasks.emit(b, subIndex(b, loc, task, begin));
    b.setInsertionPointToStart(branch.elseBlock());
  }
}

Tasks mlc::cutTasks(OpBuilder &b, Location loc, const TaskSpace &space, TaskBody body) {
  Value one = constantIndex(b, loc, 1);
  Value rows = one;
  for (Value size : space.outer)
    rows = mulIndex(b, loc, rows, size);
  Value inside = space.unitSize ? space.unitSize : one;
  // Chunks of the lane loop: all of it, unless it alone is more than a task.
  Value chunk, chunks = one, perUnit = one;
  if (space.laneSize) {
    int64_t chunkMax = llvm::alignTo(std::max(space.taskIterations, space.laneChunkMin), space.laneChunkMin);
    auto size = constantOf(space.laneSize);
    if (size && *size <= chunkMax + chunkMax / 2) {
      chunk = perUnit = space.laneSize;
    } else {
      chunk = constantIndex(b, loc, chunkMax);
      chunks = ceilDivIndex(b, loc, space.laneSize, chunk);
      perUnit = minIndex(b, loc, space.laneSize, chunk);
    }
  }
  Value units = mulIndex(b, loc, rows, chunks);
  Value unitsPerTask = one;
  if (constantOf(rows) != 1)
    unitsPerTask = maxIndex(b, loc,
                            divIndex(b, loc, constantIndex(b, loc, space.taskIterations),
                                     maxIndex(b, loc, mulIndex(b, loc, perUnit, inside), one)),
                            one);
  if (constantOf(units) && constantOf(unitsPerTask)) { // tasks of equal size: 49 units by 8 -> 7 x 7
    int64_t n = *constantOf(units), count = std::max<int64_t>(1, llvm::divideCeil(n, *constantOf(unitsPerTask)));
    unitsPerTask = constantIndex(b, loc, std::max<int64_t>(1, llvm::divideCeil(n, count)));
  }
  Value count = ceilDivIndex(b, loc, units, unitsPerTask);

  auto emit = [=](OpBuilder &b, Value task) {
    OpBuilder::InsertionGuard guard(b);
    Value zero = constantIndex(b, loc, 0);
    bool oneTask = constantOf(count) == 1;
    // The digits of a unit's number: the loops of more than one iteration, then the chunk.
    SmallVector<Value> digitSizes;
    SmallVector<size_t> digitLoops;
    for (auto [loop, size] : llvm::enumerate(space.outer))
      if (constantOf(size) != 1) {
        digitSizes.push_back(size);
        digitLoops.push_back(loop);
      }
    if (space.laneSize && constantOf(chunks) != 1)
      digitSizes.push_back(chunks);
    Value unit = oneTask ? zero : mulIndex(b, loc, task, unitsPerTask);
    Value end = oneTask ? units : minIndex(b, loc, addIndex(b, loc, unit, unitsPerTask), units);
    SmallVector<Value> digits(digitSizes.size());
    Value rest = unit;
    for (size_t i = digits.size(); i-- > 0;) {
      digits[i] = i == 0 || oneTask ? rest : Value(arith::RemUIOp::create(b, loc, rest, digitSizes[i]));
      if (i > 0 && !oneTask)
        rest = divIndex(b, loc, rest, digitSizes[i]);
    }
    auto unitAt = [&](ArrayRef<Value> digits) {
      SmallVector<Value> outer(space.outer.size(), zero);
      for (auto [number, loop] : llvm::enumerate(digitLoops))
        outer[loop] = digits[number];
      Value chunkBegin = zero, chunkEnd = space.laneSize;
      if (digits.size() > digitLoops.size()) {
        chunkBegin = mulIndex(b, loc, digits.back(), chunk);
        chunkEnd = minIndex(b, loc, addIndex(b, loc, chunkBegin, chunk), space.laneSize);
      }
      body(b, outer, chunkBegin, chunkEnd);
    };
    if (constantOf(unitsPerTask) == 1)
      return unitAt(digits);
    // Within a task the digits count up: a division for each row would cost more than a short row.
    auto loop = scf::ForOp::create(b, loc, unit, end, constantIndex(b, loc, 1),
                                   digits.size() > 1 ? ValueRange(digits) : ValueRange());
    b.setInsertionPointToStart(loop.getBody());
    if (digits.size() <= 1)
      return unitAt(digits.empty() ? ArrayRef<Value>() : ArrayRef<Value>(loop.getInductionVar()));
    SmallVector<Value> current(loop.getRegionIterArgs());
    unitAt(current);
    b.setInsertionPointToEnd(loop.getBody());
    Value one = constantIndex(b, loc, 1), carry;
    SmallVector<Value> next(current);
    for (size_t i = next.size(); i-- > 0;) {
      Value up = addIndex(b, loc, current[i], one);
      if (carry)
        up = arith::SelectOp::create(b, loc, carry, up, current[i]);
      next[i] = up;
      if (i == 0)
        break;
      carry = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, up, digitSizes[i]);
      next[i] = arith::SelectOp::create(b, loc, carry, zero, up);
    }
    scf::YieldOp::create(b, loc, next);
  };
  return {count, emit};
}

int64_t mlc::bodyCost(linalg::LinalgOp op) {
  int64_t cost = 1;
  op.getBlock()->walk([&](Operation *inner) {
    if (isa<math::MathDialect>(inner->getDialect()) &&
        !isa<math::AbsFOp, math::FloorOp, math::CeilOp, math::SqrtOp, math::FmaOp>(inner))
      cost += 10;
    else if (isa<arith::DivFOp, arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp>(inner))
      cost += 4;
    else
      cost += 1;
  });
  return cost;
}

int64_t mlc::taskIterations(linalg::LinalgOp op, ArrayRef<int64_t> task) {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  int64_t reduction = 1;
  bool known = true;
  SmallVector<int64_t> parallel;
  for (auto [loop, size] : llvm::enumerate(sizes)) {
    bool dynamic = ShapedType::isDynamic(size);
    known &= !dynamic;
    if (iterators[loop] == utils::IteratorType::reduction)
      reduction *= dynamic ? 64 : size;
    else
      parallel.push_back(loop);
  }
  if (known && !task.empty()) {
    int64_t iterations = 1;
    if (task.size() == sizes.size()) {
      for (size_t loop : parallel)
        iterations *= task[loop] > 0 ? std::min(task[loop], sizes[loop]) : sizes[loop];
      return std::max<int64_t>(1, iterations);
    }
    if (task.size() == parallel.size()) {
      for (auto [number, loop] : llvm::enumerate(parallel))
        iterations *= task[number] > 0 ? std::min(task[number], sizes[loop]) : sizes[loop];
      return std::max<int64_t>(1, iterations);
    }
  }
  // 64k operations are about 4 us of vector code: 20 times what a fork costs.
  return std::max<int64_t>(1, 65536 / std::max<int64_t>(1, bodyCost(op) * reduction));
}

// --- Loops -----------------------------------------------------------------------------------------------------------

Carried mlc::forNest(OpBuilder &b, Location loc, ArrayRef<Value> sizes, Carried carried, int64_t unrollMax,
                     function_ref<Carried(OpBuilder &, ArrayRef<Value>, Carried)> body) {
  int64_t product = 1;
  for (Value size : sizes) {
    auto known = constantOf(size);
    product = known && *known <= unrollMax && product <= unrollMax ? product * *known : unrollMax + 1;
  }
  SmallVector<Value> indices;
  std::function<Carried(OpBuilder &, size_t, Carried)> nest = [&](OpBuilder &b, size_t depth,
                                                                  Carried values) -> Carried {
    if (depth == sizes.size())
      return body(b, indices, values);
    auto size = constantOf(sizes[depth]);
    if (size && (*size == 1 || product <= unrollMax)) {
      for (int64_t i = 0; i < *size; ++i) {
        indices.push_back(constantIndex(b, loc, i));
        values = nest(b, depth + 1, values);
        indices.pop_back();
      }
      return values;
    }
    auto loop = scf::ForOp::create(b, loc, constantIndex(b, loc, 0), sizes[depth], constantIndex(b, loc, 1), values);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    indices.push_back(loop.getInductionVar());
    Carried next = nest(b, depth + 1, Carried(loop.getRegionIterArgs()));
    indices.pop_back();
    if (!values.empty())
      scf::YieldOp::create(b, loc, next);
    return Carried(loop.getResults());
  };
  return nest(b, 0, carried);
}

/// for (i = begin; i < end; i += step) carried = body(i, carried)
static Carried stepLoop(OpBuilder &b, Location loc, Value begin, Value end, int64_t step, Carried carried,
                        function_ref<Carried(OpBuilder &, Value, Carried)> body) {
  auto low = constantOf(begin), high = constantOf(end);
  if (low && high && *high <= *low)
    return carried;
  if (low && high && *high - *low <= step)
    return body(b, begin, carried);
  auto loop = scf::ForOp::create(b, loc, begin, end, constantIndex(b, loc, step), carried);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Carried next = body(b, loop.getInductionVar(), Carried(loop.getRegionIterArgs()));
  if (!carried.empty())
    scf::YieldOp::create(b, loc, next);
  return Carried(loop.getResults());
}

Carried mlc::forLanes(OpBuilder &b, Location loc, Value begin, Value end, int64_t lanes, int64_t vectors,
                      LaneCarry carry, LaneBody body) {
  if (lanes == 1)
    return stepLoop(b, loc, begin, end, 1, carry.values,
                    [&](OpBuilder &b, Value i, Carried c) { return body(b, i, 1, {}, c); });
  Value size = subIndex(b, loc, end, begin);
  auto endOf = [&](int64_t step) { // begin + the largest multiple of step within size
    return addIndex(b, loc, begin,
                    mulIndex(b, loc, divIndex(b, loc, size, constantIndex(b, loc, step)), constantIndex(b, loc, step)));
  };
  Carried values = carry.values;
  Value next = begin;
  if (vectors > 1) {
    int64_t wide = lanes * vectors;
    Value wideEnd = endOf(wide);
    if (auto low = constantOf(begin), high = constantOf(wideEnd); !(low && high && *low == *high)) {
      Carried start = carry.neutral ? carry.neutral(b, wide) : Carried();
      Carried sums = stepLoop(b, loc, begin, wideEnd, wide, start,
                              [&](OpBuilder &b, Value i, Carried c) { return body(b, i, wide, {}, c); });
      if (carry.merge)
        values = carry.merge(b, sums, values);
      next = wideEnd;
    }
  }
  Value narrowEnd = endOf(lanes);
  values = stepLoop(b, loc, next, narrowEnd, lanes, values,
                    [&](OpBuilder &b, Value i, Carried c) { return body(b, i, lanes, {}, c); });
  Value rest = subIndex(b, loc, end, narrowEnd);
  if (auto known = constantOf(rest))
    return *known == 0 ? values : body(b, narrowEnd, lanes, rest, values);
  if (auto known = constantOf(size); known && *known % lanes == 0)
    return values;
  Value some = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, rest, constantIndex(b, loc, 0));
  auto branch = scf::IfOp::create(b, loc, TypeRange(ValueRange(values)), some, /*withElseRegion=*/!values.empty());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  Carried last = body(b, narrowEnd, lanes, rest, values);
  if (values.empty())
    return {};
  scf::YieldOp::create(b, loc, last);
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, loc, values);
  return Carried(branch.getResults());
}

// --- Rewriting a kernel's ops ------------------------------------------------------------------------------------------

Value mlc::asLanes(OpBuilder &b, Location loc, Value value, int64_t lanes) {
  if (lanes == 1 || isa<VectorType>(value.getType()))
    return value;
  return vector::BroadcastOp::create(b, loc, VectorType::get({lanes}, value.getType()), value);
}

/// Can loops i and i + 1 of the operand be one loop?
static bool foldsNext(AffineMap map, MemRefType type, unsigned loop) {
  bool first = map.isFunctionOfDim(loop), second = map.isFunctionOfDim(loop + 1);
  if (!first && !second)
    return true;
  if (!first || !second)
    return false;
  for (unsigned i = 0; i + 1 < map.getNumResults(); ++i) {
    auto outer = dyn_cast<AffineDimExpr>(map.getResult(i)), inner = dyn_cast<AffineDimExpr>(map.getResult(i + 1));
    if (outer && inner && outer.getPosition() == loop && inner.getPosition() == loop + 1)
      return memref::CollapseShapeOp::isGuaranteedCollapsible(type,
                                                              {{static_cast<int64_t>(i), static_cast<int64_t>(i + 1)}});
  }
  return false;
}

SmallVector<bool> mlc::foldableLoops(linalg::GenericOp op) {
  SmallVector<bool> folds(op.getNumLoops(), false);
  if (op.hasIndexSemantics() || !op.hasPureBufferSemantics())
    return folds;
  for (auto [map, operand] : llvm::zip_equal(op.getIndexingMapsArray(), op->getOperands()))
    if (!isa<MemRefType>(operand.getType()) || !map.isProjectedPermutation(/*allowZeroInResults=*/false))
      return folds;
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  for (unsigned loop = 0; loop + 1 < op.getNumLoops(); ++loop) {
    folds[loop] = iterators[loop] == iterators[loop + 1];
    for (auto [map, operand] : llvm::zip_equal(op.getIndexingMapsArray(), op->getOperands()))
      folds[loop] = folds[loop] && foldsNext(map, cast<MemRefType>(operand.getType()), loop);
  }
  return folds;
}

/// collapse_shape as reinterpret_cast: upstream folds loads of the former into divisions of every index.
static void castCollapsed(RewriterBase &rewriter, memref::CollapseShapeOp collapse) {
  Location loc = collapse.getLoc();
  Value source = collapse.getSrc();
  MemRefType type = collapse.getResultType();
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)))
    return;
  rewriter.setInsertionPoint(collapse);
  memref::ExtractStridedMetadataOp metadata;
  auto ofSource = [&] {
    if (!metadata)
      metadata = memref::ExtractStridedMetadataOp::create(rewriter, loc, source);
    return metadata;
  };
  SmallVector<OpFoldResult> sizes, newStrides(strides.size());
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    sizes.push_back(getAsOpFoldResult(sizeOf(rewriter, loc, collapse, dim)));
  Value step = constantIndex(rewriter, loc, 1); // of the identity layout, from the last dimension on
  for (int64_t dim = type.getRank() - 1; dim >= 0; --dim) {
    if (!ShapedType::isDynamic(strides[dim]))
      newStrides[dim] = rewriter.getIndexAttr(strides[dim]);
    else if (type.getLayout().isIdentity())
      newStrides[dim] = getAsOpFoldResult(step);
    else
      newStrides[dim] = ofSource().getStrides()[collapse.getReassociationIndices()[dim].back()];
    step = mulIndex(rewriter, loc, step, getValueOrCreateConstantIndexOp(rewriter, loc, sizes[dim]));
  }
  OpFoldResult begin = ShapedType::isDynamic(offset) ? OpFoldResult(ofSource().getOffset())
                                                     : OpFoldResult(rewriter.getIndexAttr(offset));
  rewriter.replaceOpWithNewOp<memref::ReinterpretCastOp>(collapse, type, source, begin, sizes, newStrides);
}

FailureOr<linalg::GenericOp> mlc::foldLoops(RewriterBase &rewriter, linalg::GenericOp op, ArrayRef<bool> folds) {
  SmallVector<ReassociationIndices> groups;
  for (int64_t loop = 0; loop < static_cast<int64_t>(op.getNumLoops()); ++loop)
    if (loop > 0 && folds[loop - 1])
      groups.back().push_back(loop);
    else
      groups.push_back({loop});
  if (groups.size() == op.getNumLoops())
    return op;
  if (!linalg::areDimSequencesPreserved(op.getIndexingMapsArray(), groups))
    return failure();
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(op);
  FailureOr<linalg::CollapseResult> result = linalg::collapseOpIterationDims(op, groups, rewriter);
  if (failed(result))
    return failure();
  rewriter.eraseOp(op);
  auto folded = cast<linalg::GenericOp>(result->collapsedOp.getOperation());
  for (Value operand : SmallVector<Value>(folded->getOperands()))
    if (auto collapse = operand.getDefiningOp<memref::CollapseShapeOp>(); collapse && collapse->hasOneUse())
      castCollapsed(rewriter, collapse);
  return folded;
}

linalg::GenericOp mlc::collapseLoops(RewriterBase &rewriter, linalg::GenericOp op) {
  FailureOr<linalg::GenericOp> folded = foldLoops(rewriter, op, foldableLoops(op));
  return succeeded(folded) ? *folded : op;
}

void mlc::generalizeOps(RewriterBase &rewriter, func::FuncOp kernel) {
  for (Operation &op : llvm::make_early_inc_range(kernel.getBody().front())) {
    rewriter.setInsertionPoint(&op);
    if (auto copy = dyn_cast<memref::CopyOp>(op)) {
      linalg::makeMemRefCopyOp(rewriter, copy.getLoc(), copy.getSource(), copy.getTarget());
      rewriter.eraseOp(copy);
      continue;
    }
    auto named = dyn_cast<linalg::LinalgOp>(op);
    if (named && !isa<linalg::GenericOp>(op))
      (void)linalg::generalizeNamedOp(rewriter, named);
  }
}

void mlc::eraseLinalgOps(func::FuncOp kernel) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(kernel.getBody().front())))
    if (isa<linalg::LinalgOp>(op))
      op.erase();
    else if (op.use_empty() && (isPure(&op) || isa<memref::AllocOp>(op)) && !op.hasTrait<OpTrait::IsTerminator>())
      op.erase();
}
