// PlanMemory: one arena for all intermediates of an entry, the offsets of weights and state, and the functions that tell an
// application the arena's size before the first run.
//
// Buffers of static size: best fit over live ranges, in order of first use. Buffers whose size depends on symbols: slots, each
// as large as the largest buffer that lives in it; slot sizes and their sum are computed at entry. A size that is read from data
// counts with its upper bound (SizeBounds.h).
#include "compiler/Bufferize/SizeBounds.h"
#include "compiler/Bufferize/SizeOverflow.h"
#include "compiler/Passes.h"
#include "dialects/rt/Program.h"
#include "dialects/sched/Kernel.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

namespace mlc {
#define GEN_PASS_DEF_PLANMEMORY
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;

/// Vectors load whole cache lines; a buffer never shares one with its neighbour.
static constexpr int64_t kAlignment = 64;

static int64_t elementBytes(Type element) {
  return element.isIndex() ? 8 : llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
}

namespace {

struct Buffer {
  memref::AllocOp alloc;
  int64_t first, last; // positions in the entry, regions included
  int64_t bytes;       // static part: the product of the static sizes, aligned if all of them are
  int64_t offset = 0;
  int64_t slot = -1; // of a dynamic buffer
};

class EntryPlanner {
public:
  explicit EntryPlanner(func::FuncOp entry) : entry(entry), b(entry.getContext()), loc(entry.getLoc()) {}
  LogicalResult run();
  /// Bytes of the arena when no size is dynamic.
  std::optional<int64_t> staticBytes;
  SmallVector<rt::DataSize> dataSizes;

private:
  void findBuffers();
  void placeStatic();
  void assignSlots();
  FailureOr<Value> dynamicBytes(Buffer &buffer, SizeBounds &bounds, OpBuilder &builder);
  FailureOr<SmallVector<Value>> slotOffsets(SizeBounds &bounds, OpBuilder &builder);
  void moveChecks(SizeBounds &bounds, Value call, OpBuilder &builder);
  Value arenaBytes(func::FuncOp sizes, ArrayRef<Value> offsets, OpBuilder &builder);
  LogicalResult emitSizes();

  func::FuncOp entry;
  OpBuilder b;
  Location loc;
  rt::ResultShapesOp marker;
  SmallVector<Buffer> buffers;
  int64_t fixedBytes = 0, slotCount = 0;
};

/// The last use of a buffer that is made in `block`, through every view of it. A loop that uses it needs it for all of its steps, a branch
/// until it ends.
int64_t lastUse(Value memref, Block &block, const DenseMap<Operation *, int64_t> &end) {
  int64_t last = -1;
  for (Operation *user : memref.getUsers()) {
    last = std::max(last, end.lookup(block.findAncestorOpInBlock(*user)));
    for (Value result : user->getResults())
      if (isa<MemRefType>(result.getType()) &&
          isa<ViewLikeOpInterface, memref::ReshapeOp, memref::CastOp, memref::ExpandShapeOp, memref::CollapseShapeOp,
              arith::SelectOp>(user))
        last = std::max(last, lastUse(result, block, end));
  }
  return last;
}

void EntryPlanner::findBuffers() {
  DenseMap<Operation *, int64_t> end; // of an op with all that it contains
  int64_t next = 0;
  entry.walk([&](Operation *op) { end[op] = next++; });
  entry.walk([&](memref::AllocOp alloc) {
    int64_t bytes = elementBytes(alloc.getType().getElementType());
    for (int64_t size : alloc.getType().getShape())
      bytes *= ShapedType::isDynamic(size) ? 1 : size;
    if (alloc.getType().hasStaticShape())
      bytes = llvm::alignTo(std::max<int64_t>(bytes, 1), kAlignment);
    int64_t first = end[alloc];
    buffers.push_back({alloc, first, std::max(first, lastUse(alloc, *alloc->getBlock(), end)), bytes});
  });
}

/// First gap, among the buffers that live at the same time, that fits with the least waste.
void EntryPlanner::placeStatic() {
  SmallVector<Buffer *> placed;
  for (Buffer &buffer : buffers) {
    if (!buffer.alloc.getType().hasStaticShape())
      continue;
    SmallVector<std::pair<int64_t, int64_t>> busy;
    for (Buffer *other : placed)
      if (other->last >= buffer.first && buffer.last >= other->first)
        busy.push_back({other->offset, other->offset + other->bytes});
    llvm::sort(busy);
    int64_t end = 0, best = -1, bestGap = INT64_MAX;
    for (auto [from, to] : busy) {
      if (from - end >= buffer.bytes && from - end < bestGap)
        best = end, bestGap = from - end;
      end = std::max(end, to);
    }
    buffer.offset = best >= 0 ? best : end;
    fixedBytes = std::max(fixedBytes, buffer.offset + buffer.bytes);
    placed.push_back(&buffer);
  }
}

/// Among the free slots, one whose largest tenant has the most similar static part.
void EntryPlanner::assignSlots() {
  SmallVector<std::pair<int64_t, int64_t>> slots; // last use, bytes of the largest tenant
  for (Buffer &buffer : buffers) {
    if (buffer.alloc.getType().hasStaticShape())
      continue;
    int64_t best = -1;
    for (auto [index, slot] : llvm::enumerate(slots))
      if (slot.first < buffer.first &&
          (best < 0 || std::abs(slot.second - buffer.bytes) < std::abs(slots[best].second - buffer.bytes)))
        best = index;
    if (best < 0) {
      best = slots.size();
      slots.push_back({0, 0});
    }
    slots[best] = {buffer.last, std::max(slots[best].second, buffer.bytes)};
    buffer.slot = best;
  }
  slotCount = slots.size();
}

/// What a size that the data alone decides makes impossible.
static constexpr StringLiteral kUnbounded = " is read from data that has no upper bound: memory cannot be planned for "
                                            "it (if it comes from an input, --input-value fixes it)";

FailureOr<Value> EntryPlanner::dynamicBytes(Buffer &buffer, SizeBounds &bounds, OpBuilder &builder) {
  Value bytes = bounds.unique(arith::ConstantIndexOp::create(builder, loc, buffer.bytes));
  for (Value size : buffer.alloc.getDynamicSizes()) {
    Value here = bounds.of(size).upper;
    if (!here)
      return buffer.alloc.emitError("the size of an intermediate value") << kUnbounded;
    bytes = bounds.unique(arith::MulIOp::create(builder, loc, bytes, here));
  }
  Value align = bounds.unique(arith::ConstantIndexOp::create(builder, loc, kAlignment));
  Value lines = bounds.unique(arith::CeilDivUIOp::create(builder, loc, bytes, align));
  return bounds.unique(arith::MulIOp::create(builder, loc, lines, align));
}

/// The begin of every slot, and behind the last one the arena's size.
FailureOr<SmallVector<Value>> EntryPlanner::slotOffsets(SizeBounds &bounds, OpBuilder &builder) {
  SmallVector<Value> sizes(slotCount), offsets;
  for (Buffer &buffer : buffers) {
    if (buffer.slot < 0)
      continue;
    auto bytes = dynamicBytes(buffer, bounds, builder);
    if (failed(bytes))
      return failure();
    Value &size = sizes[buffer.slot];
    size = size && size != *bytes ? bounds.unique(arith::MaxUIOp::create(builder, loc, size, *bytes)) : *bytes;
  }
  offsets.push_back(arith::ConstantIndexOp::create(builder, loc, fixedBytes));
  for (Value size : sizes)
    offsets.push_back(arith::AddIOp::create(builder, loc, offsets.back(), size));
  return offsets;
}

/// The last of `offsets`, which are sums; -1 if they or the other numbers in `sizes` are more than 64 bits hold.
Value EntryPlanner::arenaBytes(func::FuncOp sizes, ArrayRef<Value> offsets, OpBuilder &builder) {
  SmallVector<Value> tooLarge = {productOverflows(sizes, builder)};
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  for (Value offset : offsets) // of two addends without a sign, so the first sum that is too large has one
    tooLarge.push_back(arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, offset, zero));
  Value none = arith::ConstantIndexOp::create(builder, loc, -1);
  return arith::SelectOp::create(builder, loc, anyOf(tooLarge, builder, loc), none, offsets.back());
}

/// Checks of sizes that follow from the dimensions alone stand where sizes are computed, which every call does first: nothing is then
/// planned or touched with sizes that do not fit, and an application that asks for shapes hears of it, too. Many stand behind one branch:
/// LLVM's time grows with the square of branches that follow each other.
void EntryPlanner::moveChecks(SizeBounds &bounds, Value call, OpBuilder &builder) {
  constexpr size_t kBehindOneBranch = 32;
  struct Moved {
    rt::CheckOp check;
    Value condition, a, b;
  };
  SmallVector<Moved> all;
  for (auto check : entry.getBody().front().getOps<rt::CheckOp>()) {
    SizeBounds::Interval condition = bounds.of(check.getCondition()), a = bounds.of(check.getA()),
                         b = bounds.of(check.getB());
    if (condition.isExact() && a.isExact() && b.isExact())
      all.push_back({check, condition.lower, a.lower, b.lower});
  }
  for (ArrayRef<Moved> rest = all; !rest.empty(); rest = rest.drop_front(std::min(rest.size(), kBehindOneBranch))) {
    ArrayRef<Moved> group = rest.take_front(kBehindOneBranch);
    OpBuilder::InsertionGuard guard(builder);
    if (group.size() > 1) {
      Value holds = group.front().condition;
      for (const Moved &moved : group.drop_front())
        holds = arith::AndIOp::create(builder, loc, holds, moved.condition);
      Value one = arith::ConstantOp::create(builder, loc, builder.getBoolAttr(true));
      auto branch =
          scf::IfOp::create(builder, loc, arith::XOrIOp::create(builder, loc, holds, one), /*withElseRegion=*/false);
      builder.setInsertionPointToStart(branch.thenBlock());
    }
    for (Moved moved : group)
      rt::CheckOp::create(builder, moved.check.getLoc(), call, moved.condition, moved.check.getMessageAttr(), moved.a,
                          moved.b);
  }
  for (Moved &moved : all)
    moved.check.erase();
}

/// func @<entry>_sizes(%call, %result) -> status: result[0] = arena bytes, then the shapes of the results. Of the call, dims and handle
/// are read.
LogicalResult EntryPlanner::emitSizes() {
  auto pointer = LLVM::LLVMPointerType::get(entry.getContext());
  OpBuilder top(entry);
  auto sizes = func::FuncOp::create(top, loc, (entry.getName() + "_sizes").str(),
                                    top.getFunctionType({pointer, pointer}, {top.getI32Type()}));
  top.setInsertionPointToEnd(sizes.addEntryBlock());
  SizeBounds bounds(top, entry.getArgument(0), sizes.getArgument(0));
  moveChecks(bounds, sizes.getArgument(0), top);
  auto offsets = slotOffsets(bounds, top);
  if (failed(offsets))
    return failure();
  int64_t position = 1; // the arena's size comes first, and can be told when all others are computed
  auto store = [&](Value value) {
    Value integer = arith::IndexCastOp::create(top, loc, top.getI64Type(), value);
    Value address = LLVM::GEPOp::create(top, loc, pointer, top.getI64Type(), sizes.getArgument(1),
                                        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(position++)});
    LLVM::StoreOp::create(top, loc, integer, address);
  };
  size_t dynamic = 0;
  for (auto shape : marker.getShapes().getAsRange<DenseI64ArrayAttr>())
    for (int64_t size : shape.asArrayRef()) {
      if (!ShapedType::isDynamic(size)) {
        store(arith::ConstantIndexOp::create(top, loc, size));
        continue;
      }
      Value value = marker.getSizes()[dynamic++];
      SizeBounds::Interval interval = bounds.of(value);
      if (!interval.upper)
        return emitError(value.getLoc()) << "the size of a result" << kUnbounded;
      if (!interval.isExact()) {
        int64_t at = position - 1; // the arena's size comes first
        dataSizes.push_back({at, getConstantIntValue(interval.upper).value_or(-1)});
        OpBuilder end(marker);
        rt::ResultSizeOp::create(end, loc, entry.getArgument(0), at, value);
      }
      store(interval.upper);
    }
  position = 0;
  store(arenaBytes(sizes, *offsets, top));
  Value ok = arith::ConstantOp::create(top, loc, top.getI32IntegerAttr(0));
  func::ReturnOp::create(top, loc, ok);
  return success();
}

LogicalResult EntryPlanner::run() {
  Block &body = entry.getBody().front();
  for (auto op : entry.getOps<rt::ResultShapesOp>())
    marker = op;
  findBuffers();
  placeStatic();
  assignSlots();
  if (marker && failed(emitSizes()))
    return failure();
  SmallVector<Value> offsets;
  if (slotCount > 0) {
    b.setInsertionPointToStart(&body);
    SizeBounds bounds(b, entry.getArgument(0), entry.getArgument(0));
    auto computed = slotOffsets(bounds, b);
    if (failed(computed))
      return failure();
    offsets = *computed;
  } else {
    staticBytes = fixedBytes;
  }
  for (Buffer &buffer : buffers) {
    b.setInsertionPoint(buffer.alloc);
    Value offset =
        buffer.slot >= 0 ? offsets[buffer.slot] : Value(arith::ConstantIndexOp::create(b, loc, buffer.offset));
    Value memref = rt::BufferOp::create(b, loc, buffer.alloc.getType(), entry.getArgument(0), b.getStringAttr("arena"),
                                        b.getI64IntegerAttr(0), offset, buffer.alloc.getDynamicSizes());
    buffer.alloc.replaceAllUsesWith(memref);
    buffer.alloc.erase();
  }
  if (marker)
    marker.erase();
  return success();
}

struct PlanMemory : mlc::impl::PlanMemoryBase<PlanMemory> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    for (auto entry : llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
      if (entry.isExternal() || sched::isKernel(entry) || entry.getName().ends_with("_sizes"))
        continue;
      EntryPlanner planner(entry);
      if (failed(planner.run()))
        return signalPassFailure();
      if (planner.staticBytes)
        rt::setArenaBytes(entry, *planner.staticBytes);
      if (!planner.dataSizes.empty())
        rt::setDataSizes(entry, planner.dataSizes);
    }
    placeConstants(module);
  }

  /// Offsets of weights (those that are used, in order) and of state.
  void placeConstants(ModuleOp module) {
    SmallVector<rt::WeightAttr> weights = rt::weightsOf(module), placed;
    SmallVector<SmallVector<rt::BufferOp>> uses(weights.size());
    SmallVector<rt::BufferOp> stateUses;
    module.walk([&](rt::BufferOp op) {
      if (op.getSpace() == "weights")
        uses[op.getPosition()].push_back(op);
      else if (op.getSpace() == "state")
        stateUses.push_back(op);
    });
    auto setOffset = [&](rt::BufferOp op, int64_t offset) {
      OpBuilder builder(op);
      op.getOffsetMutable().assign(arith::ConstantIndexOp::create(builder, op.getLoc(), offset));
    };
    auto bytesOf = [](ShapedType type) { return type.getNumElements() * elementBytes(type.getElementType()); };
    int64_t weightsEnd = 0;
    auto place = [&](ElementsAttr value) {
      int64_t offset = llvm::alignTo(weightsEnd, kAlignment);
      weightsEnd = offset + bytesOf(value.getShapedType());
      placed.push_back(rt::WeightAttr::get(&getContext(), value, offset));
      return offset;
    };
    for (auto [weight, ops] : llvm::zip_equal(weights, uses)) {
      if (ops.empty())
        continue;
      int64_t offset = place(weight.getValue());
      for (rt::BufferOp op : ops)
        setOffset(op, offset);
    }
    int64_t stateEnd = 0;
    SmallVector<rt::SlotAttr> state = rt::stateOf(module);
    for (rt::SlotAttr &slot : state) {
      int64_t offset = llvm::alignTo(stateEnd, kAlignment), initial = slot.getValue() ? place(slot.getValue()) : -1;
      stateEnd = offset + bytesOf(slot.getType());
      slot = rt::SlotAttr::get(&getContext(), slot.getName(), slot.getType(), slot.getParameter(), ElementsAttr(),
                               offset, initial);
    }
    for (rt::BufferOp op : stateUses)
      setOffset(op, state[op.getPosition()].getOffset());
    rt::setWeights(module, placed);
    if (!state.empty())
      rt::setState(module, state);
    rt::setBytes(module, weightsEnd, stateEnd);
  }
};

} // namespace
