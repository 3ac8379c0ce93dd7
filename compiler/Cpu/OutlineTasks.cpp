// OutlineTasks: the body of every scf.forall becomes a function (captures..., linear index), which rt.parallel_for calls for
// every index. A forall of one iteration, and a forall inside another one, stay where they are: as code, and as loops.
#include "compiler/Passes.h"
#include "dialects/rt/Rt.h"
#include "dialects/sched/Kernel.h"

namespace mlc {
#define GEN_PASS_DEF_OUTLINETASKS
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;

namespace {

/// One dimension of a forall as index values; constants are arith.constant.
struct Range {
  Value lower, step, count;
};

SmallVector<Range> rangesOf(scf::ForallOp forall, OpBuilder &b) {
  Location loc = forall.getLoc();
  SmallVector<Range> ranges;
  for (auto [lower, upper, step] :
       llvm::zip_equal(forall.getMixedLowerBound(), forall.getMixedUpperBound(), forall.getMixedStep())) {
    auto value = [&](OpFoldResult size) { return getValueOrCreateConstantIndexOp(b, loc, size); };
    auto low = getConstantIntValue(lower), up = getConstantIntValue(upper), by = getConstantIntValue(step);
    Value count;
    if (low && up && by)
      count = arith::ConstantIndexOp::create(b, loc, std::max<int64_t>(0, llvm::divideCeilSigned(*up - *low, *by)));
    else if (low == 0 && by == 1)
      count = value(upper);
    else
      count =
          arith::CeilDivSIOp::create(b, loc, arith::SubIOp::create(b, loc, value(upper), value(lower)), value(step));
    ranges.push_back({value(lower), value(step), count});
  }
  return ranges;
}

/// lower + index * step.
Value positionAt(OpBuilder &b, Location loc, Value index, Value lower, Value step) {
  if (!isConstantIntValue(step, 1))
    index = arith::MulIOp::create(b, loc, index, step);
  if (!isConstantIntValue(lower, 0))
    index = arith::AddIOp::create(b, loc, index, lower);
  return index;
}

void moveBody(scf::ForallOp forall, Block *into, Block::iterator before, ValueRange positions) {
  Block *body = forall.getBody();
  for (auto [variable, position] : llvm::zip_equal(forall.getInductionVars(), positions))
    variable.replaceAllUsesWith(position);
  into->getOperations().splice(before, body->getOperations(), body->begin(), std::prev(body->end()));
}

/// forall (i, j) { body }  ->  for i { for j { body } }
void toLoops(scf::ForallOp forall) {
  OpBuilder b(forall);
  Location loc = forall.getLoc();
  SmallVector<Value> positions;
  for (Range range : rangesOf(forall, b)) {
    if (isConstantIntValue(range.count, 1)) {
      positions.push_back(range.lower);
      continue;
    }
    Value zero = arith::ConstantIndexOp::create(b, loc, 0), one = arith::ConstantIndexOp::create(b, loc, 1);
    auto loop = scf::ForOp::create(b, loc, zero, range.count, one);
    b.setInsertionPointToStart(loop.getBody());
    positions.push_back(positionAt(b, loc, loop.getInductionVar(), range.lower, range.step));
  }
  moveBody(forall, b.getInsertionBlock(), b.getInsertionPoint(), positions);
  forall.erase();
}

bool isCheap(Operation *op) { return op && op->hasTrait<OpTrait::ConstantLike>(); }

LogicalResult outline(scf::ForallOp forall, SymbolTable &symbols) {
  auto kernel = forall->getParentOfType<func::FuncOp>();
  Location loc = forall.getLoc();
  if (kernel.getNumArguments() == 0 || !isa<LLVM::LLVMPointerType>(kernel.getArgumentTypes().back()))
    return forall.emitOpError("needs the kernel's last argument to be %call: !llvm.ptr");

  OpBuilder b(forall);
  SmallVector<Range> ranges = rangesOf(forall, b);
  Value count;
  for (const Range &range : ranges)
    count = !count ? range.count : arith::MulIOp::create(b, loc, count, range.count).getResult();

  // What the task needs from outside: constants are cloned, the rest is captured. The outermost count is not needed.
  SetVector<Value> used;
  getUsedValuesDefinedAbove(forall.getRegion(), used);
  for (auto [number, range] : llvm::enumerate(ranges)) {
    used.insert(range.lower);
    used.insert(range.step);
    if (number > 0)
      used.insert(range.count);
  }
  SmallVector<Value> captures;
  SmallVector<Operation *> constants;
  for (Value value : used)
    if (isCheap(value.getDefiningOp()))
      constants.push_back(value.getDefiningOp());
    else
      captures.push_back(value);

  SmallVector<Type> types(ValueRange(captures).getTypes());
  types.push_back(b.getIndexType());
  auto task = func::FuncOp::create(loc, (kernel.getName() + "_task").str(), b.getFunctionType(types, {}));
  task.setPrivate();
  if (auto kind = mlc::sched::kindOf(kernel))
    mlc::sched::setKind(task, *kind);
  symbols.insert(task, kernel->getIterator()); // makes the name unique

  Block *entry = task.addEntryBlock();
  OpBuilder inner = OpBuilder::atBlockEnd(entry);
  IRMapping map;
  for (Operation *constant : constants)
    inner.clone(*constant, map);
  map.map(captures, entry->getArguments().drop_back());
  SmallVector<Value> positions(ranges.size());
  Value rest = entry->getArguments().back();
  for (size_t number = ranges.size(); number-- > 0;) {
    Value index = rest;
    if (number > 0) {
      Value size = map.lookup(ranges[number].count);
      index = arith::RemUIOp::create(inner, loc, rest, size);
      rest = arith::DivUIOp::create(inner, loc, rest, size);
    }
    positions[number] =
        positionAt(inner, loc, index, map.lookup(ranges[number].lower), map.lookup(ranges[number].step));
  }
  func::ReturnOp::create(inner, loc);
  moveBody(forall, entry, std::prev(entry->end()), positions);
  task.walk([&](Operation *op) {
    for (OpOperand &operand : op->getOpOperands())
      if (Value inside = map.lookupOrNull(operand.get()))
        operand.set(inside);
  });

  mlc::rt::ParallelForOp::create(b, loc, SymbolRefAttr::get(task), kernel.getArguments().back(), count, captures);
  forall.erase();
  return success();
}

/// Vectors that were made outside (broadcast sizes, hoisted) are made again inside: they would travel through memory.
void sinkVectors(scf::ForallOp forall) {
  bool changed = true;
  while (changed) {
    changed = false;
    SetVector<Value> used;
    getUsedValuesDefinedAbove(forall.getRegion(), used);
    for (Value value : used) {
      Operation *definition = value.getDefiningOp();
      if (!isa<VectorType>(value.getType()) || !definition || !isPure(definition) || definition->getNumResults() != 1)
        continue;
      OpBuilder b = OpBuilder::atBlockBegin(forall.getBody());
      Operation *clone = b.clone(*definition);
      replaceAllUsesInRegionWith(value, clone->getResult(0), forall.getRegion());
      changed = true;
    }
  }
}

struct OutlineTasks : mlc::impl::OutlineTasksBase<OutlineTasks> {
  void runOnOperation() override {
    SmallVector<scf::ForallOp> foralls;
    getOperation().walk([&](scf::ForallOp forall) { foralls.push_back(forall); }); // inner ones first
    SymbolTable symbols(getOperation());
    for (scf::ForallOp forall : foralls) {
      if (forall.getNumResults() != 0) {
        forall.emitOpError("has results; foralls must work on buffers here");
        return signalPassFailure();
      }
      sinkVectors(forall);
      bool once =
          llvm::all_of(llvm::zip_equal(forall.getMixedLowerBound(), forall.getMixedUpperBound(), forall.getMixedStep()),
                       [](auto range) {
                         auto low = getConstantIntValue(std::get<0>(range)),
                              up = getConstantIntValue(std::get<1>(range)),
                              by = getConstantIntValue(std::get<2>(range));
                         return low && up && by && *low < *up && *up - *low <= *by;
                       });
      if (once || forall->getParentOfType<scf::ForallOp>())
        toLoops(forall);
      else if (failed(outline(forall, symbols)))
        return signalPassFailure();
    }
  }
};

} // namespace
