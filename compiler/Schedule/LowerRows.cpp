// Rows: reductions over trailing loops and pointwise ops that share the outer ones (softmax, layer norm, mean), one row after
// the other. Row scalars (an op's value for a whole row) are SSA values; ops that walk the row alike are one loop, a stage, and
// hand values on in registers:
//   softmax: {max} {exp, sum} {div}        layer norm: {sum} scalar {subtract, square, sum} scalar {normalise}
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

/// The row scratch of an internal buffer lives on a task's stack.
constexpr int64_t kScratchBytesMax = 64 << 10;

/// The buffer behind reshapes of it.
Value bufferOf(Value memref) {
  while (Operation *op = memref.getDefiningOp()) {
    if (!isa<memref::CollapseShapeOp, memref::ExpandShapeOp, memref::ReinterpretCastOp, memref::CastOp>(op))
      break;
    memref = op->getOperand(0);
  }
  return memref;
}

bool isInternal(Value buffer) { return buffer.getDefiningOp<memref::AllocOp>(); }

/// The op that combines the accumulator `number` with one value, if the body does nothing else with it.
Operation *combinerOf(linalg::GenericOp op, unsigned number) {
  BlockArgument accumulator = op.getRegionOutputArgs()[number];
  Operation *combiner = op.getBody()->getTerminator()->getOperand(number).getDefiningOp();
  if (!accumulator.hasOneUse() || !combiner || combiner->getBlock() != op.getBody() ||
      *accumulator.user_begin() != combiner || !combiner->hasOneUse() || combiner->getNumOperands() != 2 ||
      combiner->getNumResults() != 1)
    return nullptr;
  if (!isa<arith::AddFOp, arith::MulFOp, arith::MaximumFOp, arith::MinimumFOp, arith::MaxNumFOp, arith::MinNumFOp,
           arith::AddIOp, arith::MulIOp, arith::AndIOp, arith::OrIOp, arith::XOrIOp, arith::MaxSIOp, arith::MinSIOp,
           arith::MaxUIOp, arith::MinUIOp>(combiner) ||
      !arith::getNeutralElement(combiner))
    return nullptr;
  return combiner;
}

Value combine(OpBuilder &b, Operation *combiner, Value left, Value right) {
  Operation *op = combiner->cloneWithoutRegions();
  op->setOperands({left, right});
  op->getResult(0).setType(left.getType());
  return b.insert(op)->getResult(0);
}

Value slice(OpBuilder &b, Location loc, Value vector, int64_t begin, int64_t size) {
  return vector::ExtractStridedSliceOp::create(b, loc, vector, ArrayRef<int64_t>{begin}, ArrayRef<int64_t>{size},
                                               ArrayRef<int64_t>{1});
}

/// Combines halves until `lanes` lanes are left (1: a scalar). The order depends on nothing, so results are the same every run.
Value reduceTo(OpBuilder &b, Location loc, Operation *combiner, Value vector, int64_t lanes) {
  int64_t size = cast<VectorType>(vector.getType()).getNumElements();
  while (size > lanes) {
    if (size == 2)
      return combine(b, combiner, vector::ExtractOp::create(b, loc, vector, 0),
                     vector::ExtractOp::create(b, loc, vector, 1));
    size /= 2;
    vector = combine(b, combiner, slice(b, loc, vector, 0, size), slice(b, loc, vector, size, size));
  }
  return vector;
}

struct RowOp {
  linalg::GenericOp op;
  SmallVector<AffineMap> maps;
  bool perRow = false; // no loops but the row loops
  bool reduces = false;
  SmallVector<Operation *> combiners; // of each result, if it reduces and can be vectorised
  bool vectorizable = false;

  OpOperand &result(size_t number) { return *op.getDpsInitOperand(number); }
  AffineMap mapOf(OpOperand &operand) { return maps[operand.getOperandNumber()]; }
};

/// An access that is the same in two ops.
struct Access {
  Value buffer;
  Type type;
  AffineMap map;
  bool operator==(const Access &other) const {
    return buffer == other.buffer && type == other.type && map == other.map;
  }
};

Access accessOf(RowOp &op, OpOperand &operand) {
  return {bufferOf(operand.get()), operand.get().getType(), op.mapOf(operand)};
}

struct RowsEmitter {
  func::FuncOp kernel;
  sched::TilingAttr tiling;
  Location loc;
  unsigned rowLoops = 0;
  int64_t plannedIterations = 0; // of one task, by #sched.tiling; 0 if sizes are unknown
  SmallVector<RowOp> ops;
  SmallVector<SmallVector<RowOp *>> stages;
  llvm::MapVector<Value, Value> fills; // buffer of row scalars -> its first value
  llvm::SmallPtrSet<Value, 8> scalars; // buffers that hold one value for each row
  llvm::SmallPtrSet<Value, 4> stored;  // internal full buffers that a later stage reads
  DenseMap<Value, Value> scratch;      // internal full buffer -> the row's part of it

  RowsEmitter(func::FuncOp kernel, sched::TilingAttr tiling) : kernel(kernel), tiling(tiling), loc(kernel.getLoc()) {}

  LogicalResult analyze(IRRewriter &rewriter);
  LogicalResult foldAll(IRRewriter &rewriter, SmallVectorImpl<linalg::GenericOp> &generics);
  LogicalResult checkAccesses();
  int64_t plannedFor(linalg::GenericOp op);
  void makeStages();
  bool joins(ArrayRef<RowOp *> stage, RowOp &op);
  bool mapsRow(AffineMap map, MemRefType type);

  SmallVector<unsigned> dimsInRow(AffineMap map);
  AffineMap rowPart(AffineMap map);

  // Emission of one row.
  struct Row {
    SmallVector<Value> indices;
    DenseMap<Value, Value> scalars; // buffer -> value
  };
  Position start(OpBuilder &b, RowOp &op, const Row &row);
  Value argument(OpBuilder &b, RowOp &op, OpOperand &operand, const Position &at, const Row &row,
                 ArrayRef<std::pair<Access, Value>> known);
  void emitPerRow(OpBuilder &b, RowOp &op, Row &row);
  void emitStage(OpBuilder &b, MutableArrayRef<RowOp *> stage, Row &row);
  void emitRow(OpBuilder &b, ArrayRef<Value> indices);
  void allocateScratch(OpBuilder &b);
  LogicalResult emit();
};

/// The scalar that a generalised linalg.fill writes.
Value filledScalar(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 1 || op.getNumDpsInits() != 1 || isa<MemRefType>(op->getOperand(0).getType()) ||
      op.getNumLoops() != op.getNumParallelLoops())
    return {};
  return op.getBody()->getTerminator()->getOperand(0) == op.getBody()->getArgument(0) ? op->getOperand(0) : Value();
}

/// Folds loops that fold in every op, row loops and others apart.
LogicalResult RowsEmitter::foldAll(IRRewriter &rewriter, SmallVectorImpl<linalg::GenericOp> &generics) {
  unsigned loopsMax = 0;
  for (linalg::GenericOp op : generics)
    loopsMax = std::max<unsigned>(loopsMax, op.getNumLoops());
  SmallVector<bool> folds(loopsMax, true);
  for (linalg::GenericOp op : generics) {
    if (op.getNumLoops() == rowLoops && filledScalar(op)) // fills fold always
      continue;
    SmallVector<bool> own = foldableLoops(op);
    for (unsigned loop = 0; loop + 1 < op.getNumLoops(); ++loop)
      folds[loop] = folds[loop] && own[loop];
    if (op.getNumLoops() != rowLoops && op.getNumLoops() != loopsMax)
      folds.assign(loopsMax, false);
  }
  if (rowLoops > 0)
    folds[rowLoops - 1] = false;
  unsigned folded = 0;
  for (unsigned loop = 0; loop + 1 < rowLoops; ++loop)
    folded += folds[loop];
  for (linalg::GenericOp &op : generics) {
    if (op.getNumLoops() == rowLoops && filledScalar(op))
      continue;
    SmallVector<bool> own(ArrayRef(folds).take_front(op.getNumLoops()));
    if (!own.empty())
      own.back() = false;
    FailureOr<linalg::GenericOp> result = foldLoops(rewriter, op, own);
    if (failed(result))
      return failure();
    op = *result;
  }
  rowLoops -= folded;
  return success();
}

/// Are the row loops, in order, the only ones that move this access? Unit loops may be left out.
bool RowsEmitter::mapsRow(AffineMap map, MemRefType type) {
  int64_t last = -1;
  for (auto [number, expr] : llvm::enumerate(map.getResults())) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr); dim && dim.getPosition() < rowLoops) {
      if (static_cast<int64_t>(dim.getPosition()) <= last)
        return false;
      last = dim.getPosition();
      continue;
    }
    if (type.getDimSize(number) != 1)
      return false;
  }
  return true;
}

/// The plan's iterations of one task, row loops cut and the others whole.
int64_t RowsEmitter::plannedFor(linalg::GenericOp op) {
  int64_t iterations = 1;
  for (auto [loop, size] : llvm::enumerate(op.getStaticLoopRanges())) {
    int64_t task = tiling.getTask()[loop];
    iterations *= loop < rowLoops && task > 0 ? std::min(task, size) : size;
  }
  return iterations;
}

LogicalResult RowsEmitter::analyze(IRRewriter &rewriter) {
  SmallVector<linalg::GenericOp> generics(kernel.getBody().front().getOps<linalg::GenericOp>());
  std::optional<unsigned> leading;
  unsigned loopsMin = ~0u;
  for (linalg::GenericOp op : generics) {
    if (!op.hasPureBufferSemantics())
      return failure();
    if (!filledScalar(op))
      loopsMin = std::min<unsigned>(loopsMin, op.getNumLoops());
    if (op.getNumReductionLoops() == 0)
      continue;
    unsigned parallel = op.getNumParallelLoops();
    for (utils::IteratorType iterator : ArrayRef(op.getIteratorTypesArray()).take_front(parallel))
      if (iterator != utils::IteratorType::parallel)
        return failure(); // a reduction over leading loops
    if (leading && *leading != parallel)
      return failure();
    leading = parallel;
  }
  if (!leading || loopsMin < *leading)
    return failure();
  rowLoops = *leading;
  for (linalg::GenericOp op : generics)
    if (!ShapedType::isDynamicShape(op.getStaticLoopRanges()) && op.getNumLoops() == tiling.getTask().size())
      plannedIterations = plannedFor(op);
  if (failed(foldAll(rewriter, generics)))
    return failure();

  for (linalg::GenericOp op : generics) {
    RowOp row;
    row.op = op;
    row.maps = op.getIndexingMapsArray();
    row.reduces = op.getNumReductionLoops() != 0;
    row.vectorizable = isVectorizable(op);
    SmallVector<int64_t> sizes = op.getStaticLoopRanges();
    row.perRow = !row.reduces && llvm::all_of(ArrayRef(sizes).drop_front(std::min<size_t>(rowLoops, sizes.size())),
                                              [](int64_t size) { return size == 1; });
    if (row.reduces) {
      for (unsigned number = 0; number < static_cast<unsigned>(op.getNumDpsInits()); ++number)
        row.combiners.push_back(combinerOf(op, number));
      if (llvm::is_contained(row.combiners, nullptr))
        row.vectorizable = false;
    }
    if (Value fill = filledScalar(op)) {
      // Loops of a fill that did not fold are the row's all the same.
      Value buffer = bufferOf(op.getDpsInits()[0]);
      bool accumulates = llvm::any_of(generics, [&](linalg::GenericOp other) {
        return other.getNumReductionLoops() != 0 &&
               llvm::any_of(other.getDpsInits(), [&](Value out) { return bufferOf(out) == buffer; });
      });
      if (accumulates) {
        if (!fills.try_emplace(buffer, fill).second)
          return failure();
        continue;
      }
    }
    if (row.perRow || row.reduces)
      for (Value out : op.getDpsInits())
        scalars.insert(bufferOf(out));
    ops.push_back(std::move(row));
  }
  return checkAccesses();
}

/// No op may see another row than the one at hand, through anything that this kernel writes.
LogicalResult RowsEmitter::checkAccesses() {
  DenseMap<Value, std::pair<Type, SmallVector<int64_t>>>
      written; // full buffers: type, and the dimension that each row loop indexes
  auto rowDims = [&](AffineMap map) {
    SmallVector<int64_t> dims(rowLoops, -1);
    for (auto [number, expr] : llvm::enumerate(map.getResults()))
      for (unsigned loop = 0; loop < rowLoops; ++loop)
        if (expr.isFunctionOfDim(loop))
          dims[loop] = isa<AffineDimExpr>(expr) && dims[loop] == -1 ? static_cast<int64_t>(number) : -2;
    return dims;
  };
  for (RowOp &row : ops)
    for (OpOperand &operand : row.op.getDpsInitsMutable()) {
      Access access = accessOf(row, operand);
      if (scalars.contains(access.buffer)) {
        if (!(row.perRow || row.reduces) || !mapsRow(access.map, cast<MemRefType>(access.type)))
          return failure();
        continue;
      }
      SmallVector<int64_t> dims = rowDims(access.map), sizes = row.op.getStaticLoopRanges();
      for (unsigned loop = 0; loop < rowLoops; ++loop)
        if (dims[loop] < 0 && sizes[loop] != 1)
          return failure();
      auto [found, isNew] = written.try_emplace(access.buffer, access.type, dims);
      if (!isNew && found->second != std::pair<Type, SmallVector<int64_t>>(access.type, dims))
        return failure();
    }
  for (RowOp &row : ops)
    for (OpOperand &operand : row.op->getOpOperands()) {
      if (!isa<MemRefType>(operand.get().getType()))
        continue;
      Access access = accessOf(row, operand);
      if (scalars.contains(access.buffer) && !mapsRow(access.map, cast<MemRefType>(access.type)))
        return failure();
      if (auto found = written.find(access.buffer); found != written.end())
        if (found->second != std::pair<Type, SmallVector<int64_t>>(access.type, rowDims(access.map)))
          return failure();
    }
  return success();
}

/// May `op` run in the same loop as the ops before it?
bool RowsEmitter::joins(ArrayRef<RowOp *> stage, RowOp &op) {
  RowOp &first = *stage.front();
  if (first.perRow || op.perRow || first.op.getNumLoops() != op.op.getNumLoops() ||
      first.vectorizable != op.vectorizable || !op.vectorizable)
    return false;
  bool sameSizes = true, sharesAccess = false;
  for (auto [mine, theirs] : llvm::zip_equal(op.op.getStaticLoopRanges(), first.op.getStaticLoopRanges())) {
    if (!ShapedType::isDynamic(mine) && !ShapedType::isDynamic(theirs) && mine != theirs)
      return false;
    sameSizes &= mine == theirs && !ShapedType::isDynamic(mine);
  }
  for (RowOp *earlier : stage)
    for (OpOperand &before : earlier->op->getOpOperands()) {
      if (!isa<MemRefType>(before.get().getType()))
        continue;
      bool writes = earlier->op.isDpsInit(&before);
      Access a = accessOf(*earlier, before);
      for (OpOperand &after : op.op->getOpOperands()) {
        if (!isa<MemRefType>(after.get().getType()))
          continue;
        Access c = accessOf(op, after);
        if (a.buffer != c.buffer)
          continue;
        if (scalars.contains(a.buffer)) {
          if (writes || op.op.isDpsInit(&after))
            return false; // waits for the whole row
          continue;
        }
        if ((writes || op.op.isDpsInit(&after)) && !(a == c))
          return false; // another place of the row
        sharesAccess |= a == c && a.map.isPermutation();
      }
    }
  return sameSizes || sharesAccess;
}

void RowsEmitter::makeStages() {
  for (RowOp &op : ops)
    if (!stages.empty() && joins(stages.back(), op))
      stages.back().push_back(&op);
    else
      stages.push_back({&op});
  // An internal row needs memory only if a later stage reads it.
  DenseMap<Value, size_t> writtenIn;
  for (auto [number, stage] : llvm::enumerate(stages))
    for (RowOp *op : stage)
      for (OpOperand &operand : op->op->getOpOperands()) {
        Value buffer = isa<MemRefType>(operand.get().getType()) ? bufferOf(operand.get()) : Value();
        if (!buffer || !isInternal(buffer) || scalars.contains(buffer))
          continue;
        if (op->op.isDpsInit(&operand))
          writtenIn[buffer] = number;
        else if (auto found = writtenIn.find(buffer); found != writtenIn.end() && found->second != number)
          stored.insert(buffer);
      }
}

/// The dimensions of an internal buffer that vary within a row.
SmallVector<unsigned> RowsEmitter::dimsInRow(AffineMap map) {
  SmallVector<unsigned> dims;
  for (auto [number, expr] : llvm::enumerate(map.getResults()))
    if (auto dim = dyn_cast<AffineDimExpr>(expr); !dim || dim.getPosition() >= rowLoops)
      dims.push_back(number);
  return dims;
}

AffineMap RowsEmitter::rowPart(AffineMap map) { return map.getSubMap(dimsInRow(map)); }

// --- Emission ----------------------------------------------------------------------------------------------------------

Position RowsEmitter::start(OpBuilder &b, RowOp &op, const Row &row) {
  Position at;
  at.indices = row.indices;
  at.indices.resize(op.op.getNumLoops(), constantIndex(b, loc, 0));
  return at;
}

/// What an access reads, if it is known or in a scratch row; else null.
Value RowsEmitter::argument(OpBuilder &b, RowOp &op, OpOperand &operand, const Position &at, const Row &row,
                            ArrayRef<std::pair<Access, Value>> known) {
  if (!isa<MemRefType>(operand.get().getType()) || op.op.getMatchingBlockArgument(&operand).use_empty())
    return {};
  Access access = accessOf(op, operand);
  if (auto found = row.scalars.find(access.buffer); found != row.scalars.end())
    return found->second;
  for (auto &[earlier, value] : llvm::reverse(known))
    if (earlier == access)
      return value;
  if (Value rowBuffer = scratch.lookup(access.buffer)) {
    return loadAt(b, loc, rowBuffer, rowPart(access.map), at);
  }
  return {};
}

void RowsEmitter::emitPerRow(OpBuilder &b, RowOp &op, Row &row) {
  Position at = start(b, op, row);
  SmallVector<Value> arguments;
  for (OpOperand &operand : op.op->getOpOperands())
    arguments.push_back(argument(b, op, operand, at, row, {}));
  for (auto [number, value] : llvm::enumerate(emitBody(b, op.op, arguments, at)))
    row.scalars[bufferOf(op.result(number).get())] = value;
}

void RowsEmitter::emitStage(OpBuilder &b, MutableArrayRef<RowOp *> stage, Row &row) {
  RowOp &first = *stage.front();
  int64_t lanes = first.vectorizable ? tiling.getLanes() : 1;
  SmallVector<Value> sizes = loopSizes(b, first.op);
  SmallVector<Value> trailing(ArrayRef(sizes).drop_front(rowLoops));
  unsigned laneLoop = sizes.size() - 1;

  struct Accumulator {
    RowOp *op;
    unsigned number;
    Operation *combiner;
    Type type;
    Value start;
  };
  SmallVector<Accumulator> accumulators;
  for (RowOp *op : stage)
    if (op->reduces)
      for (unsigned i = 0; i < static_cast<unsigned>(op->op.getNumDpsInits()); ++i) {
        OpOperand &result = op->result(i);
        Value buffer = bufferOf(result.get());
        Value start = row.scalars.lookup(buffer);
        if (!start)
          start = loadAt(b, loc, result.get(), op->mapOf(result), this->start(b, *op, row));
        accumulators.push_back({op, i, op->combiners[i], getElementTypeOrSelf(result.get().getType()), start});
      }
  auto neutral = [&](OpBuilder &b, int64_t lanes) {
    Carried values;
    for (Accumulator &accumulator : accumulators) {
      auto type = VectorType::get({lanes}, accumulator.type);
      values.push_back(arith::ConstantOp::create(
          b, loc, DenseElementsAttr::get(type, *arith::getNeutralElement(accumulator.combiner))));
    }
    return values;
  };

  auto body = [&](OpBuilder &b, ArrayRef<Value> outerIndices, Value index, int64_t lanes, Value active,
                  Carried carried) {
    SmallVector<std::pair<Access, Value>> known;
    size_t next = 0;
    for (RowOp *op : stage) {
      Position at = start(b, *op, row);
      for (auto [i, outer] : llvm::enumerate(outerIndices))
        at.indices[rowLoops + i] = outer;
      at.indices[laneLoop] = index;
      at.laneLoop = laneLoop;
      at.lanes = lanes;
      at.active = active;
      SmallVector<Value> arguments;
      for (OpOperand &operand : op->op->getOpOperands()) {
        bool accumulates = op->reduces && op->op.isDpsInit(&operand);
        arguments.push_back(accumulates ? carried[next + operand.getOperandNumber() - op->op.getNumDpsInputs()]
                                        : argument(b, *op, operand, at, row, known));
      }
      // Loads are shared by the ops of a stage.
      for (OpOperand &operand : op->op->getOpOperands()) {
        Value &argument = arguments[operand.getOperandNumber()];
        if (argument || !isa<MemRefType>(operand.get().getType()) ||
            op->op.getMatchingBlockArgument(&operand).use_empty())
          continue;
        argument = loadAt(b, loc, operand.get(), op->mapOf(operand), at);
        known.push_back({accessOf(*op, operand), argument});
      }
      SmallVector<Value> results = emitBody(b, op->op, arguments, at);
      for (auto [i, value] : llvm::enumerate(results)) {
        OpOperand &result = op->result(i);
        if (op->reduces) {
          value = keptInAllLanes(b, loc, asLanes(b, loc, value, lanes), at);
          if (active)
            value = arith::SelectOp::create(
                b, loc, vector::CreateMaskOp::create(b, loc, VectorType::get({lanes}, b.getI1Type()), active), value,
                carried[next]);
          carried[next++] = value;
          continue;
        }
        Access access = accessOf(*op, result);
        known.push_back({access, value});
        Value memref = result.get();
        AffineMap map = access.map;
        if (isInternal(access.buffer)) {
          if (!stored.contains(access.buffer))
            continue; // nobody reads it from memory
          memref = scratch.lookup(access.buffer);
          map = rowPart(map);
        }
        storeAt(b, loc, value, memref, map, at);
      }
    }
    return carried;
  };

  auto merge = [&](OpBuilder &b, Carried wide, Carried narrow) {
    for (auto [accumulator, sum, value] : llvm::zip_equal(accumulators, wide, narrow))
      value = combine(b, accumulator.combiner, reduceTo(b, loc, accumulator.combiner, sum, lanes), value);
    return narrow;
  };
  Carried initial;
  if (lanes > 1)
    initial = neutral(b, lanes);
  else
    for (Accumulator &accumulator : accumulators)
      initial.push_back(accumulator.start);
  int64_t vectors = trailing.size() == 1 ? tiling.getVectors() : 1;
  Carried totals = forNest(b, loc, ArrayRef(trailing).drop_back(), initial, /*unrollMax=*/1,
                           [&](OpBuilder &b, ArrayRef<Value> indices, Carried carried) {
                             SmallVector<Value> outer(indices);
                             LaneCarry carry{carried, neutral, merge};
                             return forLanes(b, loc, constantIndex(b, loc, 0), trailing.back(), lanes, vectors, carry,
                                             [&](OpBuilder &b, Value index, int64_t lanes, Value active, Carried c) {
                                               return body(b, outer, index, lanes, active, c);
                                             });
                           });
  for (auto [accumulator, total] : llvm::zip_equal(accumulators, totals)) {
    if (lanes > 1)
      total = combine(b, accumulator.combiner, accumulator.start, reduceTo(b, loc, accumulator.combiner, total, 1));
    row.scalars[bufferOf(accumulator.op->result(accumulator.number).get())] = total;
  }
}

void RowsEmitter::emitRow(OpBuilder &b, ArrayRef<Value> indices) {
  Row row;
  row.indices.assign(indices.begin(), indices.end());
  for (auto [buffer, value] : fills)
    row.scalars[buffer] = value;
  for (SmallVector<RowOp *> &stage : stages)
    if (stage.front()->perRow)
      emitPerRow(b, *stage.front(), row);
    else
      emitStage(b, stage, row);
  // Row scalars that leave the kernel.
  llvm::SmallPtrSet<Value, 4> done;
  for (RowOp &op : llvm::reverse(ops))
    if (op.perRow || op.reduces)
      for (OpOperand &result : op.op.getDpsInitsMutable()) {
        Value buffer = bufferOf(result.get());
        if (!isInternal(buffer) && done.insert(buffer).second)
          storeAt(b, loc, row.scalars.lookup(buffer), result.get(), op.mapOf(result), start(b, op, row));
      }
}

/// memref<rows... x row...> -> an alloca of memref<row...>, by the map of the op that writes it.
void RowsEmitter::allocateScratch(OpBuilder &b) {
  for (RowOp &op : ops)
    for (OpOperand &result : op.op.getDpsInitsMutable()) {
      Access access = accessOf(op, result);
      if (!stored.contains(access.buffer) || scratch.contains(access.buffer))
        continue;
      auto type = cast<MemRefType>(access.type);
      SmallVector<int64_t> shape;
      for (unsigned dim : dimsInRow(access.map))
        shape.push_back(type.getDimSize(dim));
      scratch[access.buffer] =
          memref::AllocaOp::create(b, loc, MemRefType::get(shape, type.getElementType()), b.getI64IntegerAttr(64));
    }
}

LogicalResult RowsEmitter::emit() {
  for (RowOp &op : ops)
    for (OpOperand &result : op.op.getDpsInitsMutable()) {
      Access access = accessOf(op, result);
      auto type = cast<MemRefType>(access.type);
      if (!stored.contains(access.buffer))
        continue;
      int64_t bytes = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
      for (unsigned dim : dimsInRow(access.map)) {
        if (type.isDynamicDim(dim))
          return failure();
        bytes *= type.getDimSize(dim);
      }
      if (bytes > kScratchBytesMax)
        return failure();
    }

  OpBuilder b(kernel.getBody().front().getTerminator());
  RowOp *widest = &ops.front();
  int64_t cost = 0;
  for (RowOp &op : ops) {
    if (op.op.getNumLoops() > widest->op.getNumLoops())
      widest = &op;
    cost += op.perRow ? 0 : bodyCost(op.op);
  }
  SmallVector<Value> sizes = loopSizes(b, widest->op);
  TaskSpace space;
  space.outer.assign(sizes.begin(), sizes.begin() + rowLoops);
  space.unitSize = constantIndex(b, loc, 1);
  for (Value size : ArrayRef(sizes).drop_front(rowLoops))
    space.unitSize = mulIndex(b, loc, space.unitSize, size);
  // 64k operations are about 4 us of vector code.
  space.taskIterations = sched::isPerThread(tiling) ? 1
                         : plannedIterations > 0    ? plannedIterations
                                                    : std::max<int64_t>(1, 65536 / std::max<int64_t>(1, cost));
  Tasks tasks =
      cutTasks(b, loc, space, [this](OpBuilder &b, ArrayRef<Value> indices, Value, Value) { emitRow(b, indices); });
  Tasks withScratch{tasks.count, [&](OpBuilder &b, Value task) {
                      allocateScratch(b);
                      tasks.emit(b, task);
                    }};
  emitForall(b, loc, {withScratch}, /*independent=*/true);
  return success();
}

} // namespace

LogicalResult mlc::lowerRows(func::FuncOp kernel, sched::TilingAttr tiling) {
  IRRewriter rewriter(kernel.getContext());
  generalizeOps(rewriter, kernel);
  RowsEmitter emitter(kernel, tiling);
  if (failed(emitter.analyze(rewriter)))
    return failure();
  if (emitter.ops.empty())
    return failure();
  emitter.makeStages();
  if (failed(emitter.emit()))
    return failure();
  eraseLinalgOps(kernel);
  return success();
}
