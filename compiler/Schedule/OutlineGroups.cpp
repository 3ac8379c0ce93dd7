// OutlineGroups: makes a function on memrefs of every group and a list of calls of each entry. What runs when is decided here;
// EntryOutliner.h says where the rest is.
#include "compiler/CoreToLinalg/StructuredLoops.h"
#include "compiler/Passes.h"
#include "compiler/Schedule/EntryOutliner.h"
#include "compiler/Schedule/Kernels.h"
#include "dialects/rt/Rt.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"
#include <queue>

namespace mlc {
#define GEN_PASS_DEF_OUTLINEGROUPS
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;

void Units::order(Operation *first, Operation *second) {
  if (of.lookup(first) != of.lookup(second))
    followers[of.lookup(first)].push_back(of.lookup(second));
}

bool Units::reaches(int64_t from, int64_t to) const {
  SmallVector<int64_t> work = {from};
  llvm::DenseSet<int64_t> seen;
  while (!work.empty()) {
    int64_t unit = work.pop_back_val();
    if (unit == to)
      return true;
    if (seen.insert(unit).second)
      llvm::append_range(work, followers[unit]);
  }
  return false;
}

/// Groups, and every other op for itself. A unit follows those that make what its members need, in their regions too.
Units EntryOutliner::unitsOf(Block &block) {
  Units units;
  DenseMap<int64_t, int64_t> ofGroup;
  for (Operation &op : block.without_terminator()) {
    int64_t unit = units.members.size();
    if (auto group = sched::groupOf(&op))
      unit = ofGroup.try_emplace(*group, unit).first->second;
    if (unit == static_cast<int64_t>(units.members.size()))
      units.members.push_back({});
    units.members[unit].push_back(&op);
    units.of[&op] = unit;
  }
  units.followers.resize(units.members.size());
  for (auto [unit, members] : llvm::enumerate(units.members)) {
    llvm::SetVector<int64_t> needs;
    for (Operation *member : members)
      member->walk([&](Operation *nested) {
        for (Value operand : nested->getOperands())
          if (Operation *definition = operand.getDefiningOp())
            if (auto it = units.of.find(definition); it != units.of.end() && it->second != static_cast<int64_t>(unit))
              needs.insert(it->second);
      });
    for (int64_t need : needs)
      units.followers[need].push_back(unit);
  }
  return units;
}

/// The op of the same block that fills the memory in which a destination lies.
Operation *EntryOutliner::fillOf(Value destination) {
  Value owner = bufferOwner(destination);
  while (!owner.getDefiningOp<linalg::GenericOp>()) {
    if (auto placement = placements.find(owner); placement != placements.end())
      owner = bufferOwner(placement->second.destination);
    else if (auto alias = aliases.find(owner);
             alias != aliases.end() && alias->second.getParentBlock() == owner.getParentBlock())
      owner = alias->second;
    else
      return nullptr;
  }
  return owner.getDefiningOp();
}

/// What is written into a filled buffer is written after the fill.
void EntryOutliner::orderAfterFills(Block &block, Units &units) {
  auto runAfter = [&](Operation *writer, Operation *fill) {
    if (writer && fill && writer->getBlock() == &block && fill->getBlock() == &block)
      units.order(fill, writer);
  };
  for (auto &[owner, placement] : placements)
    runAfter(owner.getDefiningOp(), fillOf(placement.destination));
  for (auto &[owner, target] : aliases)
    if (auto placement = placements.find(target); placement != placements.end())
      runAfter(owner.getDefiningOp(), fillOf(placement->second.destination));
  for (auto insert : block.getOps<tensor::InsertSliceOp>())
    runAfter(insert, fillOf(insert.getDest()));
}

LogicalResult EntryOutliner::emitUnit(ArrayRef<Operation *> members) {
  Operation *op = members.front();
  loc = op->getLoc();
  if (sched::groupOf(op))
    return emitGroup(members);
  if (isStructured(op))
    return emitStructured(op);
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](tensor::InsertSliceOp insert) { return emitInsert(insert); })
      .Case([&](core::CheckRangeOp check) { return emitCheck(check); })
      .Case([&](core::RequireOp check) { return emitRequire(check); })
      .Case([&](core::StretchOp stretch) { return emitStretch(stretch); })
      .Case([&](core::LoopOp loop) { return emitLoop(loop); })
      .Case([&](core::IfOp branch) { return emitIf(branch); })
      .Default([](Operation *) { return success(); }); // views and index arithmetic are made on demand
}

/// Does the unit touch memory?
static bool touchesMemory(ArrayRef<Operation *> members) {
  Operation *op = members.front();
  return sched::groupOf(op) || isStructured(op) ||
         isa<tensor::InsertSliceOp, core::CheckRangeOp, core::StretchOp, core::LoopOp, core::IfOp>(op);
}

/// A unit runs when all that it waits for has run: Kahn's algorithm, the earliest first. Requirements and index arithmetic go before
/// everything that touches memory: a group begins where its first member stood, which may be above what its last member requires.
LogicalResult EntryOutliner::emitUnits(const Units &units) {
  SmallVector<int64_t> waiting(units.members.size(), 0);
  for (ArrayRef<int64_t> followers : units.followers)
    for (int64_t follower : followers)
      ++waiting[follower];
  using Entry = std::pair<bool, int64_t>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ready;
  auto push = [&](int64_t unit) { ready.push({touchesMemory(units.members[unit]), unit}); };
  for (auto [unit, count] : llvm::enumerate(waiting))
    if (count == 0)
      push(unit);
  size_t done = 0;
  for (; !ready.empty(); ++done) {
    int64_t unit = ready.top().second;
    ready.pop();
    for (int64_t follower : units.followers[unit])
      if (--waiting[follower] == 0)
        push(follower);
    if (failed(emitUnit(units.members[unit])))
      return failure();
  }
  if (done != units.members.size())
    return source.emitError("groups depend on each other in a circle");
  return success();
}

/// New values of the state are written when everything has read the old ones.
LogicalResult EntryOutliner::emitAssignments() {
  bool isFirst = true;
  for (auto assign : source.getOps<core::AssignOp>()) {
    if (std::exchange(isFirst, false))
      rt::CommitOp::create(b, loc, call);
    auto value = memoryOf(assign.getValue());
    auto it = all.stateNumber.find(assign.getName());
    auto type = cast<RankedTensorType>(assign.getValue().getType());
    if (failed(value) || it == all.stateNumber.end())
      return assign.emitError("cannot assign '") << assign.getName() << "'";
    Value slot = rt::BufferOp::create(b, loc, MemRefType::get(type.getShape(), type.getElementType()), call,
                                      b.getStringAttr("state"), b.getI64IntegerAttr(it->second), Value(), ValueRange{});
    if (failed(emitCopy(*value, slot)))
      return failure();
  }
  return success();
}

/// Has the value been made in the buffer of this output?
bool EntryOutliner::isInOutput(Value value, unsigned number) {
  while (true) {
    if (auto it = outputs.find(value); it != outputs.end() && it->second == number)
      return true;
    Operation *definition = value.getDefiningOp();
    if (isa_and_nonnull<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::ReshapeOp>(definition))
      value = definition->getOperand(0);
    else if (Value next = bufferOwner(value); next != value)
      value = next;
    else
      return false;
  }
}

/// Results whose buffer is not theirs are copied: arguments, constants, slices, one value returned twice. Returns the dynamic sizes, which
/// follow the results in the return.
FailureOr<SmallVector<Value>> EntryOutliner::emitResults() {
  SmallVector<Value> sizes;
  for (auto [number, value] : llvm::enumerate(source.getBody().front().getTerminator()->getOperands())) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!type) {
      auto size = scalarOf(value);
      if (failed(size))
        return failure();
      sizes.push_back(*size);
      continue;
    }
    auto memref = memoryOf(value);
    if (failed(memref))
      return failure();
    if (isInOutput(value, number))
      continue;
    SmallVector<Value> dynamic;
    for (int64_t axis = 0; axis < type.getRank(); ++axis)
      if (type.isDynamicDim(axis))
        dynamic.push_back(b.createOrFold<memref::DimOp>(loc, *memref, axis));
    Value output = rt::BufferOp::create(b, loc, MemRefType::get(type.getShape(), type.getElementType()), call,
                                        b.getStringAttr("output"), b.getI64IntegerAttr(number), Value(), dynamic);
    if (failed(emitCopy(*memref, output)))
      return failure();
  }
  return sizes;
}

LogicalResult EntryOutliner::run() {
  std::string name = source.getName().str();
  auto pointer = LLVM::LLVMPointerType::get(context);
  auto entry = func::FuncOp::create(loc, name, b.getFunctionType({pointer}, {b.getI32Type()}));
  b.setInsertionPointToEnd(entry.addEntryBlock());
  call = entry.getArgument(0);

  Block &body = source.getBody().front();
  scopes.push_back({&body});
  Units units = unitsOf(body);
  planPlacements(body);
  planOutputs();
  planInits(body);
  orderAfterFills(body, units);
  if (failed(emitUnits(units)))
    return failure();
  loc = source.getLoc();
  if (failed(emitAssignments()))
    return failure();
  auto sizes = emitResults();
  if (failed(sizes))
    return failure();

  SmallVector<Attribute> shapes;
  for (Value value : body.getTerminator()->getOperands())
    if (auto type = dyn_cast<RankedTensorType>(value.getType()))
      shapes.push_back(b.getDenseI64ArrayAttr(type.getShape()));
  rt::ResultShapesOp::create(b, loc, b.getArrayAttr(shapes), *sizes);
  Value ok = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
  func::ReturnOp::create(b, loc, ok);
  source.erase();
  all.module.push_back(entry);
  return success();
}

namespace {
struct OutlineGroups : mlc::impl::OutlineGroupsBase<OutlineGroups> {
  using OutlineGroupsBase::OutlineGroupsBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    Outlined all(module, onDevice);
    for (auto [number, slot] : llvm::enumerate(rt::stateOf(module)))
      all.stateNumber[slot.getName()] = number;
    SmallVector<func::FuncOp> entries;
    for (auto function : module.getOps<func::FuncOp>())
      if (!function.isExternal() && !sched::isKernel(function))
        entries.push_back(function);
    for (func::FuncOp entry : entries)
      if (failed(EntryOutliner(all, entry).run()))
        return signalPassFailure();
    rt::setWeights(module, llvm::map_to_vector(all.weights, [&](ElementsAttr value) {
                     return rt::WeightAttr::get(&getContext(), value, /*offset=*/-1);
                   }));
  }
};

} // namespace
