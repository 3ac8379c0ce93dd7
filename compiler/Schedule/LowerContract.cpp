// Contractions: matmul, convolution and depthwise convolution through one generator. A register tile of `rows` x `vectors`
// accumulators stays in vector registers over all reduction loops; the epilogue reads it there and stores. Which operand is
// broadcast and which is loaded as a vector follows from the indexing maps alone.
#include "compiler/Schedule/BodyEmitter.h"
#include "compiler/Schedule/Kernels.h"
#include "compiler/Schedule/Tiling.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlc;

namespace {

/// [begin, end) of one loop inside a task. `extent` is the static length, if known.
struct Range {
  Value begin, end;
  std::optional<int64_t> extent;
};

struct ContractEmitter {
  OpBuilder b;
  Location loc;
  func::FuncOp kernel;
  sched::TilingAttr tiling;
  linalg::GenericOp contraction;
  linalg::GenericOp epilogue; // may be null
  Value fillValue;
  SmallVector<AffineMap> maps;
  SmallVector<utils::IteratorType> iterators;
  SmallVector<int64_t> staticSizes;
  SmallVector<Value> sizes;
  int64_t epilogueAccumulator = -1;           // operand number in the epilogue
  SmallVector<Value> rowIndices, laneIndices; // of a thread's tile, kept within the sizes
  SmallVector<Range> threadRanges;
  SmallVector<int64_t> epilogueLoop; // contraction loop -> epilogue loop
  int64_t rowsMax;                   // of a tile

  ContractEmitter(func::FuncOp kernel, sched::TilingAttr tiling)
      : b(kernel.getContext()), loc(kernel.getLoc()), kernel(kernel), tiling(tiling), rowsMax(tiling.getRows()) {}

  Value constant(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }
  int64_t rowLoop() { return tiling.getRowLoop(); }
  int64_t laneLoop() { return tiling.getLaneLoop(); }

  LogicalResult match();
  void emit();
  void emitLoops(ArrayRef<Range> ranges, size_t next, Position at);
  void emitThread(ArrayRef<Range> ranges, Position at);
  void onlyIfExists(const Range &range, int64_t number);
  void emitLaneTiles(ArrayRef<Range> ranges, Position at);
  void emitLaneTiles(ArrayRef<Range> ranges, Position at, int64_t vectors);
  void emitRowTiles(ArrayRef<Range> ranges, Position at, int64_t vectors);
  void emitTile(Position at, int64_t rows, int64_t vectors);
  void storeResult(Value value, const Position &at);
  void findSizes();
  SmallVector<int64_t> loopsToCut();
  Position offset(const Position &at, int64_t row, int64_t vector, int64_t vectors);
  Value load(int64_t operand, const Position &at);
  Value multiplyAccumulate(ArrayRef<Value> operands, Value accumulator, const Position &at);
  bool movesAlong(int64_t operand, int64_t loop) { return loop >= 0 && maps[operand].isFunctionOfDim(loop); }
};

/// The body is yield(addf(mulf(a, b), acc)) on its arguments.
static bool isMultiplyAdd(linalg::GenericOp op) {
  Block *body = op.getBody();
  if (op.getNumDpsInputs() != 2 || std::distance(body->begin(), body->end()) != 3)
    return false;
  auto mul = dyn_cast<arith::MulFOp>(&body->front());
  auto add = dyn_cast_if_present<arith::AddFOp>(mul ? mul->getNextNode() : nullptr);
  if (!mul || !add)
    return false;
  Value accumulator = body->getArgument(2);
  bool adds = (add.getLhs() == mul.getResult() && add.getRhs() == accumulator) ||
              (add.getRhs() == mul.getResult() && add.getLhs() == accumulator);
  bool multiplies = (mul.getLhs() == body->getArgument(0) && mul.getRhs() == body->getArgument(1)) ||
                    (mul.getLhs() == body->getArgument(1) && mul.getRhs() == body->getArgument(0));
  return adds && multiplies;
}

LogicalResult ContractEmitter::match() {
  for (Operation &op : kernel.getBody().front()) {
    if (auto fill = dyn_cast<linalg::FillOp>(op))
      fillValue = fill.getInputs()[0];
    else if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
      if (!contraction)
        contraction = generic;
      else if (!epilogue)
        epilogue = generic;
      else
        return failure();
    }
  }
  if (!contraction || !fillValue || contraction.getNumDpsInits() != 1 || !isVectorizable(contraction))
    return failure();
  maps = contraction.getIndexingMapsArray();
  iterators = contraction.getIteratorTypesArray();
  staticSizes = contraction.getStaticLoopRanges();
  if (!maps.back().isProjectedPermutation())
    return failure();
  if (!epilogue)
    return success();
  if (!isVectorizable(epilogue) || epilogue.getNumLoops() != epilogue.getNumParallelLoops())
    return failure();
  Value accumulator = contraction.getDpsInits()[0];
  for (OpOperand &operand : epilogue->getOpOperands())
    if (operand.get() == accumulator) {
      if (epilogueAccumulator >= 0)
        return failure();
      epilogueAccumulator = operand.getOperandNumber();
    }
  if (epilogueAccumulator < 0)
    return failure();
  AffineMap accumulatorMap = epilogue.getIndexingMapsArray()[epilogueAccumulator];
  if (!accumulatorMap.isPermutation())
    return failure();
  epilogueLoop.assign(maps.size() ? contraction.getNumLoops() : 0, -1);
  for (auto [result, expression] : llvm::enumerate(maps.back().getResults()))
    epilogueLoop[cast<AffineDimExpr>(expression).getPosition()] = accumulatorMap.getDimPosition(result);
  return success();
}

/// Of all loops, from the operands' shapes (results of maps that are plain dimensions).
void ContractEmitter::findSizes() {
  sizes.assign(contraction.getNumLoops(), Value());
  for (OpOperand &operand : contraction->getOpOperands())
    for (auto [result, expression] : llvm::enumerate(maps[operand.getOperandNumber()].getResults()))
      if (auto dim = dyn_cast<AffineDimExpr>(expression); dim && !sizes[dim.getPosition()]) {
        int64_t size = staticSizes[dim.getPosition()];
        // The accumulator may be an internal buffer that will be erased: the same sizes are read from the epilogue's result.
        Value memref = operand.get();
        int64_t axis = result;
        if (epilogue && memref == contraction.getDpsInits()[0]) {
          AffineMap out = epilogue.getIndexingMapsArray()[epilogue.getNumDpsInputs()];
          int64_t loop = epilogueLoop[dim.getPosition()];
          std::optional<unsigned> position = out.getResultPosition(b.getAffineDimExpr(loop));
          if (!position && ShapedType::isDynamic(size))
            continue;
          memref = epilogue.getDpsInits()[0];
          axis = position.value_or(0);
        }
        sizes[dim.getPosition()] =
            ShapedType::isDynamic(size) ? Value(memref::DimOp::create(b, loc, memref, axis)) : constant(size);
      }
  for (auto [loop, size] : llvm::enumerate(sizes))
    if (!size)
      size = constant(staticSizes[loop]);
}

/// The loops that tasks divide, the outermost first: the lane loop, so that neighbours share a panel of weights. Threads count along it
/// first: neighbours load neighbouring elements.
SmallVector<int64_t> ContractEmitter::loopsToCut() {
  ArrayRef<int64_t> task = tiling.getTask();
  SmallVector<int64_t> cut;
  bool cutsLanes = laneLoop() >= 0 && task[laneLoop()] > 0;
  if (cutsLanes && !sched::isPerThread(tiling))
    cut.push_back(laneLoop());
  for (int64_t loop = 0; loop < static_cast<int64_t>(task.size()); ++loop)
    if (task[loop] > 0 && loop != laneLoop() && iterators[loop] == utils::IteratorType::parallel)
      cut.push_back(loop);
  if (cutsLanes && sched::isPerThread(tiling))
    cut.push_back(laneLoop());
  return cut;
}

void ContractEmitter::emit() {
  b.setInsertionPoint(epilogue ? epilogue : contraction); // after the epilogue's constants
  findSizes();
  // Tasks: the cut loops' block counts multiply.
  ArrayRef<int64_t> task = tiling.getTask();
  SmallVector<int64_t> cut = loopsToCut();
  SmallVector<Value> counts;
  Value total = constant(1);
  for (int64_t loop : cut) {
    Value count = ShapedType::isDynamic(staticSizes[loop])
                      ? Value(arith::CeilDivUIOp::create(b, loc, sizes[loop], constant(task[loop])))
                      : constant(llvm::divideCeil(staticSizes[loop], task[loop]));
    counts.push_back(count);
    total = counts.size() == 1 ? count : Value(arith::MulIOp::create(b, loc, total, count));
  }
  auto forall =
      scf::ForallOp::create(b, loc, ArrayRef<OpFoldResult>{getAsOpFoldResult(total)}, ValueRange{}, std::nullopt);
  b.setInsertionPointToStart(forall.getBody());
  Value linear = forall.getInductionVar(0);
  SmallVector<Range> ranges;
  for (auto [loop, size] : llvm::enumerate(sizes)) {
    std::optional<int64_t> extent;
    if (!ShapedType::isDynamic(staticSizes[loop]))
      extent = staticSizes[loop];
    ranges.push_back({constant(0), size, extent});
  }
  for (int64_t i = static_cast<int64_t>(cut.size()) - 1; i >= 0; --i) {
    int64_t loop = cut[i];
    Value block = linear;
    if (i > 0) {
      block = arith::RemUIOp::create(b, loc, linear, counts[i]);
      linear = arith::DivUIOp::create(b, loc, linear, counts[i]);
    }
    Range &range = ranges[loop];
    range.begin = arith::MulIOp::create(b, loc, block, constant(task[loop]));
    Value end = arith::AddIOp::create(b, loc, range.begin, constant(task[loop]));
    bool even = range.extent && *range.extent % task[loop] == 0;
    range.end = even ? end : Value(arith::MinUIOp::create(b, loc, end, sizes[loop]));
    range.extent = even ? std::optional<int64_t>(task[loop]) : std::nullopt;
  }
  Position at;
  at.indices.assign(sizes.size(), constant(0));
  at.laneLoop = laneLoop();
  if (sched::isPerThread(tiling))
    emitThread(ranges, at);
  else
    emitLoops(ranges, 0, at);
}

/// One register tile. Elements beyond the end are computed as the last one is, and not stored: one loop serves all threads, and
/// none of them diverges.
void ContractEmitter::emitThread(ArrayRef<Range> ranges, Position at) {
  for (auto [loop, iterator] : llvm::enumerate(iterators))
    if (iterator == utils::IteratorType::parallel)
      at.indices[loop] = ranges[loop].begin;
  auto indices = [&](int64_t loop, int64_t count) {
    SmallVector<Value> values;
    for (int64_t i = 0; loop >= 0 && i < count; ++i) {
      values.push_back(i == 0 ? ranges[loop].begin
                              : Value(arith::AddIOp::create(b, loc, ranges[loop].begin, constant(i))));
      if (i > 0 && !ranges[loop].extent)
        values.back() =
            arith::MinUIOp::create(b, loc, values.back(), arith::SubIOp::create(b, loc, sizes[loop], constant(1)));
    }
    return values;
  };
  threadRanges.assign(ranges.begin(), ranges.end());
  rowIndices = indices(rowLoop(), tiling.getRows());
  laneIndices = indices(laneLoop(), tiling.getVectors());
  emitTile(at, tiling.getRows(), tiling.getVectors());
}

/// What stands at the builder runs only if element `number` of a thread's tile exists.
void ContractEmitter::onlyIfExists(const Range &range, int64_t number) {
  if (number == 0 || range.extent)
    return;
  Value rest = arith::SubIOp::create(b, loc, range.end, range.begin);
  Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt, rest, constant(number));
  b.setInsertionPointToStart(scf::IfOp::create(b, loc, exists, /*withElseRegion=*/false).thenBlock());
}

/// The parallel loops that are neither rows nor lanes, outermost first.
void ContractEmitter::emitLoops(ArrayRef<Range> ranges, size_t next, Position at) {
  while (next < ranges.size() && (iterators[next] == utils::IteratorType::reduction ||
                                  static_cast<int64_t>(next) == rowLoop() || static_cast<int64_t>(next) == laneLoop()))
    ++next;
  if (next == ranges.size())
    return emitLaneTiles(ranges, at);
  if (ranges[next].extent == 1) {
    at.indices[next] = ranges[next].begin;
    return emitLoops(ranges, next + 1, at);
  }
  auto loop = scf::ForOp::create(b, loc, ranges[next].begin, ranges[next].end, constant(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  at.indices[next] = loop.getInductionVar();
  emitLoops(ranges, next + 1, at);
}

/// A number of rows that only the run knows may be one or two (a batch of 1, a step of decoding): then tiles are twice as wide,
/// because two accumulators wait for each other's latency. An LSTM with batch 1 ran at 0.72 of ONNX Runtime's speed without.
void ContractEmitter::emitLaneTiles(ArrayRef<Range> ranges, Position at) {
  if (laneLoop() < 0) {
    at.lanes = 1;
    return emitRowTiles(ranges, at, 1);
  }
  at.lanes = tiling.getLanes();
  if (rowLoop() < 0 ||
      !widensForFewRows(tiling.getVectors(), tiling.getLanes(), staticSizes[rowLoop()], staticSizes[laneLoop()]))
    return emitLaneTiles(ranges, at, tiling.getVectors());
  const Range &rows = ranges[rowLoop()];
  Value few = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule,
                                    arith::SubIOp::create(b, loc, rows.end, rows.begin), constant(kFewRows));
  auto branch = scf::IfOp::create(b, loc, few, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  rowsMax = kFewRows;
  emitLaneTiles(ranges, at, kFewRowsWidening * tiling.getVectors());
  rowsMax = tiling.getRows();
  b.setInsertionPointToStart(branch.elseBlock());
  emitLaneTiles(ranges, at, tiling.getVectors());
}

/// Full tiles of `vectors` along the lanes, then single vectors, then one masked vector.
void ContractEmitter::emitLaneTiles(ArrayRef<Range> ranges, Position at, int64_t vectors) {
  const Range &range = ranges[laneLoop()];
  int64_t lanes = at.lanes;
  Value begin = range.begin;
  // Static lengths get exactly the pieces that they need: full tiles, then the rest in one go (its last vector masked).
  if (range.extent) {
    int64_t full = *range.extent / (lanes * vectors), rest = *range.extent % (lanes * vectors);
    if (full > 0) {
      at.indices[laneLoop()] = begin;
      if (full == 1) {
        emitRowTiles(ranges, at, vectors);
      } else {
        Value end = arith::AddIOp::create(b, loc, begin, constant(full * lanes * vectors));
        auto loop = scf::ForOp::create(b, loc, begin, end, constant(lanes * vectors));
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(loop.getBody());
        Position inner = at;
        inner.indices[laneLoop()] = loop.getInductionVar();
        emitRowTiles(ranges, inner, vectors);
      }
    }
    if (rest > 0) {
      at.indices[laneLoop()] = arith::AddIOp::create(b, loc, begin, constant(full * lanes * vectors));
      if (rest % lanes)
        at.active = constant(rest % lanes);
      emitRowTiles(ranges, at, llvm::divideCeil(rest, lanes));
    }
    return;
  }
  SmallVector<int64_t> widths = {vectors, std::min<int64_t>(vectors, tiling.getVectors()), 1};
  widths.erase(llvm::unique(widths), widths.end());
  for (int64_t width : widths) {
    Value length = arith::SubIOp::create(b, loc, range.end, begin);
    Value tiles = arith::DivUIOp::create(b, loc, length, constant(lanes * width));
    Value end = arith::AddIOp::create(b, loc, begin, arith::MulIOp::create(b, loc, tiles, constant(lanes * width)));
    auto loop = scf::ForOp::create(b, loc, begin, end, constant(lanes * width));
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      Position inner = at;
      inner.indices[laneLoop()] = loop.getInductionVar();
      emitRowTiles(ranges, inner, width);
    }
    begin = end;
  }
  Value rest = arith::SubIOp::create(b, loc, range.end, begin);
  Value some = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, rest, constant(0));
  auto branch = scf::IfOp::create(b, loc, some, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  at.indices[laneLoop()] = begin;
  at.active = rest;
  emitRowTiles(ranges, at, 1);
}

/// Rows in tiles: exactly for static lengths, on a ladder of powers of two for dynamic ones (valid for every length, and
/// as fast as static).
void ContractEmitter::emitRowTiles(ArrayRef<Range> ranges, Position at, int64_t vectors) {
  if (rowLoop() < 0)
    return emitTile(at, 1, vectors);
  const Range &range = ranges[rowLoop()];
  SmallVector<int64_t> ladder;
  if (range.extent) {
    ladder.push_back(tiling.getRows());
    if (int64_t rest = *range.extent % tiling.getRows())
      ladder.push_back(rest);
  } else {
    ladder.push_back(rowsMax);
    for (int64_t rows = llvm::bit_floor(static_cast<uint64_t>(rowsMax - (rowsMax > 1))); rows >= 1 && rowsMax > 1;
         rows /= 2)
      ladder.push_back(rows);
  }
  Value begin = range.begin;
  for (auto [step, rows] : llvm::enumerate(ladder)) {
    Value end = range.end;
    if (range.extent) {
      int64_t count = step == 0 ? *range.extent / rows : 1;
      if (count == 0)
        continue;
      if (count == 1) {
        Position inner = at;
        inner.indices[rowLoop()] = begin;
        emitTile(inner, rows, vectors);
        begin = arith::AddIOp::create(b, loc, begin, constant(rows));
        continue;
      }
      end = arith::AddIOp::create(b, loc, begin, constant(count * rows));
    } else if (rows > 1) {
      Value length = arith::SubIOp::create(b, loc, range.end, begin);
      Value tiles = arith::DivUIOp::create(b, loc, length, constant(rows));
      end = arith::AddIOp::create(b, loc, begin, arith::MulIOp::create(b, loc, tiles, constant(rows)));
    }
    auto loop = scf::ForOp::create(b, loc, begin, end, constant(rows));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Position inner = at;
    inner.indices[rowLoop()] = loop.getInductionVar();
    emitTile(inner, rows, vectors);
    begin = end;
  }
}

/// The position of accumulator (row, vector) of a tile; only the last vector is masked.
Position ContractEmitter::offset(const Position &at, int64_t row, int64_t vector, int64_t vectors) {
  Position result = at;
  if (!rowIndices.empty())
    result.indices[rowLoop()] = rowIndices[row];
  else if (row > 0)
    result.indices[rowLoop()] = arith::AddIOp::create(b, loc, at.indices[rowLoop()], constant(row));
  if (!laneIndices.empty())
    result.indices[laneLoop()] = laneIndices[vector];
  else if (vector > 0)
    result.indices[laneLoop()] = arith::AddIOp::create(b, loc, at.indices[laneLoop()], constant(vector * at.lanes));
  if (vector + 1 < vectors)
    result.active = {};
  return result;
}

Value ContractEmitter::load(int64_t operand, const Position &at) {
  Value memref = contraction->getOperand(operand);
  AffineMap map = maps[operand];
  // A packed operand (n floordiv NR, k..., n mod NR): its panels are padded, so a vector is always whole and contiguous.
  bool packed = llvm::any_of(map.getResults(), [](AffineExpr e) { return e.getKind() == AffineExprKind::FloorDiv; });
  if (packed && at.lanes > 1 && movesAlong(operand, laneLoop())) {
    auto type = VectorType::get({at.lanes}, cast<MemRefType>(memref.getType()).getElementType());
    return vector::LoadOp::create(b, loc, type, memref, mapIndices(b, loc, map, at));
  }
  return loadAt(b, loc, memref, map, at, mayTrap(contraction) ? Inactive::RepeatsLast : Inactive::Zero);
}

Value ContractEmitter::multiplyAccumulate(ArrayRef<Value> operands, Value accumulator, const Position &at) {
  if (!isMultiplyAdd(contraction)) {
    SmallVector<Value> arguments(operands);
    arguments.push_back(accumulator);
    return emitBody(b, contraction, arguments, at)[0];
  }
  SmallVector<Value> factors(operands);
  auto type = dyn_cast<VectorType>(accumulator.getType());
  // Vectors of 16 bytes: the CPU may have no fma (SSE2), which would be a call for each lane; LLVM fuses where it can.
  bool mayLackFma = type && type.getNumElements() * type.getElementTypeBitWidth() <= 128 &&
                    tiling.getLanes() == type.getNumElements();
  if (!type && tiling.getLanes() == 1)
    return math::FmaOp::create(b, loc, factors[0], factors[1], accumulator);
  for (Value &factor : factors)
    if (type && !isa<VectorType>(factor.getType()))
      factor = vector::BroadcastOp::create(b, loc, type, factor);
  if (!type || mayLackFma) {
    Value product = arith::MulFOp::create(b, loc, factors[0], factors[1], arith::FastMathFlags::contract);
    return arith::AddFOp::create(b, loc, product, accumulator, arith::FastMathFlags::contract);
  }
  return vector::FMAOp::create(b, loc, factors[0], factors[1], accumulator);
}

void ContractEmitter::emitTile(Position at, int64_t rows, int64_t vectors) {
  // Positions of every accumulator; index arithmetic is repeated freely, LLVM shares it.
  Type element = cast<MemRefType>(contraction.getDpsInits()[0].getType()).getElementType();
  Type accumulatorType = at.lanes > 1 ? Type(VectorType::get({at.lanes}, element)) : element;
  Value initial = fillValue;
  if (Operation *definition = fillValue.getDefiningOp(); definition && definition->getParentOp() == kernel)
    initial = b.clone(*definition)->getResult(0);
  if (at.lanes > 1)
    initial = vector::BroadcastOp::create(b, loc, accumulatorType, initial);
  SmallVector<Value> accumulators(rows * vectors, initial);

  SmallVector<int64_t> reductions;
  for (auto [loop, iterator] : llvm::enumerate(iterators))
    if (iterator == utils::IteratorType::reduction)
      reductions.push_back(loop);

  // One step: every distinct operand element is loaded once, then all accumulators advance.
  auto step = [&](const Position &k, ValueRange current) {
    SmallVector<Value> result;
    int64_t inputs = contraction.getNumDpsInputs();
    std::map<std::tuple<int64_t, int64_t, int64_t>, Value> loaded;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t vector = 0; vector < vectors; ++vector) {
        SmallVector<Value> operands;
        Position position = offset(k, row, vector, vectors);
        for (int64_t operand = 0; operand < inputs; ++operand) {
          Value &value =
              loaded[{operand, movesAlong(operand, rowLoop()) ? row : 0, movesAlong(operand, laneLoop()) ? vector : 0}];
          if (!value)
            value = load(operand, position);
          operands.push_back(value);
        }
        result.push_back(multiplyAccumulate(operands, current[row * vectors + vector], position));
      }
    return result;
  };

  std::function<SmallVector<Value>(size_t, Position, ValueRange)> nest = [&](size_t depth, Position k,
                                                                             ValueRange current) {
    while (depth < reductions.size() && staticSizes[reductions[depth]] == 1)
      ++depth; // its index stays 0
    if (depth == reductions.size())
      return step(k, current);
    int64_t reduction = reductions[depth];
    auto loop = scf::ForOp::create(b, loc, constant(0), sizes[reduction], constant(1), SmallVector<Value>(current));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    k.indices[reduction] = loop.getInductionVar();
    scf::YieldOp::create(b, loc, nest(depth + 1, k, SmallVector<Value>(loop.getRegionIterArgs())));
    return SmallVector<Value>(loop.getResults());
  };
  SmallVector<Value> results = nest(0, at, accumulators);

  for (int64_t row = 0; row < rows; ++row)
    for (int64_t vector = 0; vector < vectors; ++vector) {
      OpBuilder::InsertionGuard guard(b);
      if (!threadRanges.empty()) {
        if (rowLoop() >= 0)
          onlyIfExists(threadRanges[rowLoop()], row);
        if (laneLoop() >= 0)
          onlyIfExists(threadRanges[laneLoop()], vector);
      }
      storeResult(results[row * vectors + vector], offset(at, row, vector, vectors));
    }
}

/// One accumulator, through the epilogue.
void ContractEmitter::storeResult(Value value, const Position &at) {
  if (!epilogue)
    return storeAt(b, loc, value, contraction.getDpsInits()[0], maps.back(), at);
  Position out;
  out.lanes = at.lanes;
  out.active = at.active;
  out.indices.assign(epilogue.getNumLoops(), Value());
  for (auto [loop, target] : llvm::enumerate(epilogueLoop))
    if (target >= 0)
      out.indices[target] = at.indices[loop];
  out.laneLoop = laneLoop() >= 0 ? epilogueLoop[laneLoop()] : -1;
  SmallVector<Value> arguments(epilogue->getNumOperands());
  arguments[epilogueAccumulator] = mayTrap(epilogue) ? repeatLast(b, loc, value, out) : value;
  SmallVector<Value> yielded = emitBody(b, epilogue, arguments, out);
  for (auto [i, result] : llvm::enumerate(yielded))
    storeAt(b, loc, result, epilogue.getDpsInits()[i], epilogue.getIndexingMapsArray()[epilogue.getNumDpsInputs() + i],
            out);
}

} // namespace

LogicalResult mlc::lowerContract(func::FuncOp kernel, sched::TilingAttr tiling) {
  ContractEmitter emitter(kernel, tiling);
  if (failed(emitter.match()))
    return failure();
  emitter.emit();
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(kernel.getBody().front())))
    if (isa<linalg::LinalgOp>(op) || (isa<memref::AllocOp>(op) && op.use_empty()))
      op.erase();
  return success();
}
