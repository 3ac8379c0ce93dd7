// The part of EntryOutliner that emits loops and branches. What a loop carries lives in one buffer for all steps: a step that has read
// the old value for the last time writes the new one over it; otherwise it makes the new one elsewhere and copies it at its end.
#include "compiler/Schedule/EntryOutliner.h"
#include "compiler/Schedule/GroupKinds.h"
#include "dialects/core/Control.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlc;

/// The builder goes in front of the loops and branches around which the value is defined: what is made there serves all their steps.
void EntryOutliner::enterScopeOf(Value value) {
  for (const Scope &scope : scopes)
    if (scope.block == value.getParentBlock() && scope.inner)
      b.setInsertionPoint(scope.inner);
}

FailureOr<Value> EntryOutliner::truthOf(Value condition) {
  DenseElementsAttr known;
  if (matchPattern(condition, m_Constant(&known)))
    return Value(arith::ConstantIntOp::create(b, loc, known.getSplatValue<bool>(), 1));
  if (auto list = condition.getDefiningOp<tensor::FromElementsOp>())
    return scalarOf(list.getElements().front());
  auto memref = memoryOf(condition);
  if (failed(memref))
    return failure();
  return Value(memref::LoadOp::create(b, loc, *memref));
}

/// A copy, unless the value is there already.
LogicalResult EntryOutliner::emitMove(Value from, Value to) {
  if (from == to)
    return success();
  requireSameSizes(from, to);
  return emitCopy(from, to);
}

// ---- where a step may write ---------------------------------------------------------------------------------------------------

static bool isView(Operation *op) {
  return isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::ReshapeOp, tensor::CastOp, tensor::ExtractSliceOp>(
      op);
}

/// The ops of the body that read a carried value, also through views. False if it is read when the step ends, or as an index value, which
/// is loaded where it is needed.
bool EntryOutliner::findReaders(Value value, Block &body, SetVector<Operation *> &readers) {
  for (Operation *user : value.getUsers()) {
    Operation *reader = body.findAncestorOpInBlock(*user);
    if (reader == body.getTerminator() || (reader == user && isa<tensor::ExtractOp>(user)))
      return false;
    if (reader == user && isView(user)) {
      if (!findReaders(user->getResult(0), body, readers))
        return false;
    } else if (!isa<tensor::DimOp>(user)) {
      readers.insert(reader);
    }
  }
  return true;
}

/// An insertion into a carried value that others read happens in place, after them, if none of them needs it.
void EntryOutliner::planInserts(core::LoopOp loop, Units &units) {
  Block &body = loop.getBody().front();
  for (Value carried : loop.getCarried()) {
    SetVector<Operation *> readers;
    if (carried.hasOneUse() || !findReaders(carried, body, readers))
      continue;
    SmallVector<tensor::InsertSliceOp> inserts;
    for (Operation *user : carried.getUsers())
      if (auto insert = dyn_cast<tensor::InsertSliceOp>(user);
          insert && insert.getDest() == carried && insert.getSource() != carried && insert->getBlock() == &body)
        inserts.push_back(insert);
    if (inserts.size() != 1)
      continue;
    readers.remove(inserts[0]);
    int64_t writer = units.of.lookup(inserts[0]);
    if (llvm::any_of(readers, [&](Operation *reader) { return units.reaches(writer, units.of.lookup(reader)); }))
      continue;
    for (Operation *reader : readers)
      units.order(reader, inserts[0]);
    inPlace.insert(inserts[0]);
  }
}

/// Each element is written by the iteration that alone reads it.
static bool readsElementwise(Operation *op, Value value) {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || !isPointwise(generic) || generic->getNumResults() != 1)
    return false;
  AffineMap result = generic.getIndexingMapsArray().back();
  return llvm::all_of(value.getUsers(), [](Operation *user) { return !isView(user); }) &&
         llvm::all_of(generic.getDpsInputOperands(), [&](OpOperand *operand) {
           return operand->get() != value || generic.getMatchingIndexingMap(operand) == result;
         });
}

/// May the owner's op write where carried value `number` is? `readers` read that.
bool EntryOutliner::mayOverwrite(core::LoopOp loop, unsigned number, Value owner, ArrayRef<Operation *> readers,
                                 const Units &units) {
  Value carried = loop.getCarried()[number];
  int64_t writer = units.of.lookup(owner.getDefiningOp());
  auto isHarmless = [&](Operation *reader) {
    if (units.of.lookup(reader) != writer)
      return !units.reaches(writer, units.of.lookup(reader));
    if (units.members[writer].size() > 1)
      return false;
    // A loop that starts from it and leaves the next value goes on in its buffer.
    if (auto inner = dyn_cast<core::LoopOp>(reader))
      return carried.hasOneUse() && inner.getInitial()[cast<OpResult>(owner).getResultNumber() - 1] == carried;
    return readsElementwise(reader, carried);
  };
  return llvm::all_of(readers, isHarmless);
}

void EntryOutliner::planYields(core::LoopOp loop, Units &units) {
  Block &body = loop.getBody().front();
  for (auto [number, value] : llvm::enumerate(loop.getYielded())) {
    Value carried = loop.getCarried()[number], owner = bufferOwner(value);
    SetVector<Operation *> readers;
    if (!ownsBuffer(owner) || !mayShareBuffer(owner, body, carried.getType()) || !findReaders(carried, body, readers) ||
        !mayOverwrite(loop, number, owner, readers.getArrayRef(), units))
      continue;
    for (Operation *reader : readers)
      units.order(reader, owner.getDefiningOp());
    aliases[owner] = carried;
  }
}

// ---- loops --------------------------------------------------------------------------------------------------------------------

LogicalResult EntryOutliner::emitLoop(core::LoopOp op) {
  auto count = scalarOf(op.getCount());
  if (failed(count))
    return failure();
  for (auto [init, result, carried] : llvm::zip_equal(op.getInitial(), op.getResults(), op.getCarried())) {
    auto to = memoryOf(result);
    if (failed(to))
      return failure();
    memory[carried] = *to;
    if (init.getDefiningOp<tensor::EmptyOp>())
      continue;
    auto from = memoryOf(init);
    if (failed(from) || failed(emitMove(*from, *to)))
      return failure();
  }
  return op.getCondition() ? emitConditional(op, *count) : emitCounted(op, *count);
}

LogicalResult EntryOutliner::emitCounted(core::LoopOp op, Value count) {
  Value zero = arith::ConstantIndexOp::create(b, loc, 0), one = arith::ConstantIndexOp::create(b, loc, 1);
  auto loop = scf::ForOp::create(b, loc, zero, count, one);
  scalars[op.getSteps()] = count;
  scalars[op.getStep()] = loop.getInductionVar();
  scopes.back().inner = loop;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(loop.getBody()->getTerminator());
  return emitBody(op);
}

/// while (step < count && condition)
LogicalResult EntryOutliner::emitConditional(core::LoopOp op, Value count) {
  auto first = truthOf(op.getCondition());
  if (failed(first))
    return failure();
  Type index = b.getIndexType(), truth = b.getI1Type();
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  auto loop = scf::WhileOp::create(b, loc, TypeRange{index}, ValueRange{zero, *first});
  scalars[op.getSteps()] = loop.getResult(0);
  scopes.back().inner = loop;
  OpBuilder::InsertionGuard guard(b);
  Block *test = b.createBlock(&loop.getBefore(), {}, {index, truth}, {loc, loc});
  Value step = test->getArgument(0);
  Value isLeft = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, step, count);
  Value goesOn = arith::AndIOp::create(b, loc, isLeft, test->getArgument(1));
  scf::ConditionOp::create(b, loc, goesOn, step);

  Block *body = b.createBlock(&loop.getAfter(), {}, {index}, {loc});
  scalars[op.getStep()] = body->getArgument(0);
  if (failed(emitBody(op)))
    return failure();
  scopes.push_back({&op.getBody().front()});
  auto condition = truthOf(op.getYield().getValues().front());
  scopes.pop_back();
  if (failed(condition))
    return failure();
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  Value next = arith::AddIOp::create(b, loc, body->getArgument(0), one);
  scf::YieldOp::create(b, loc, ValueRange{next, *condition});
  return success();
}

LogicalResult EntryOutliner::emitBody(core::LoopOp op) {
  Block &body = op.getBody().front();
  Location outside = loc;
  scopes.push_back({&body});
  Units units = unitsOf(body);
  planInserts(op, units);
  planPlacements(body);
  planInits(body);
  planYields(op, units);
  orderAfterFills(body, units);
  LogicalResult result = emitUnits(units);
  loc = outside;
  if (succeeded(result))
    result = emitYields(op);
  scopes.pop_back();
  scopes.back().inner = nullptr;
  return result;
}

/// All values of a step are taken before any is overwritten: one that lies in a carried value's buffer is set aside first.
LogicalResult EntryOutliner::emitYields(core::LoopOp op) {
  SmallVector<std::pair<Value, Value>> moves;
  for (auto [value, carried] : llvm::zip_equal(op.getYielded(), op.getCarried())) {
    auto from = memoryOf(value);
    if (failed(from))
      return failure();
    Value to = memory.lookup(carried), owner = bufferOwner(value);
    if (*from == to)
      continue;
    while (isa_and_nonnull<OpResult>(owner) && isView(owner.getDefiningOp()))
      owner = bufferOwner(owner.getDefiningOp()->getOperand(0));
    if (llvm::is_contained(op.getCarried(), owner)) {
      auto type = cast<MemRefType>(from->getType());
      SmallVector<Value> sizes;
      for (int64_t axis = 0; axis < type.getRank(); ++axis)
        if (type.isDynamicDim(axis))
          sizes.push_back(getValueOrCreateConstantIndexOp(b, loc, sizeOf(*from, axis)));
      Value aside = allocate(cast<RankedTensorType>(value.getType()), sizes);
      if (failed(emitCopy(*from, aside)))
        return failure();
      from = aside;
    }
    moves.push_back({*from, to});
  }
  for (auto [from, to] : moves)
    if (failed(emitMove(from, to)))
      return failure();
  return success();
}

// ---- branches -----------------------------------------------------------------------------------------------------------------

LogicalResult EntryOutliner::emitIf(core::IfOp op) {
  auto condition = truthOf(op.getCondition());
  if (failed(condition))
    return failure();
  for (Value result : op.getResults())
    if (failed(memoryOf(result)))
      return failure();
  auto branch = scf::IfOp::create(b, loc, *condition, /*withElseRegion=*/true);
  for (auto [from, to] :
       {std::pair(&op.getThen(), branch.thenBlock()), std::pair(&op.getOtherwise(), branch.elseBlock())}) {
    OpBuilder::InsertionGuard guard(b);
    scopes.back().inner = branch;
    b.setInsertionPoint(to->getTerminator());
    if (failed(emitBranch(op, *from)))
      return failure();
  }
  return success();
}

LogicalResult EntryOutliner::emitBranch(core::IfOp op, Region &branch) {
  Block &block = branch.front();
  Location outside = loc;
  core::YieldOp yield = op.getYield(branch);
  scopes.push_back({&block});
  Units units = unitsOf(block);
  planPlacements(block);
  planInits(block);
  for (auto [value, result] : llvm::zip_equal(yield.getValues(), op.getResults()))
    if (Value owner = bufferOwner(value); mayShareBuffer(owner, block, result.getType()))
      aliases[owner] = result;
  orderAfterFills(block, units);
  if (failed(emitUnits(units)))
    return failure();
  loc = outside;
  for (auto [value, result] : llvm::zip_equal(yield.getValues(), op.getResults())) {
    auto from = memoryOf(value);
    if (failed(from) || failed(emitMove(*from, memory.lookup(result))))
      return failure();
  }
  scopes.pop_back();
  scopes.back().inner = nullptr;
  return success();
}
