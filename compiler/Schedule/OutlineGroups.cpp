// OutlineGroups: makes a function on memrefs of every group and a list of calls of each entry. Buffers are decided here, by
// hand: a value is a buffer of its own, a view of another value's buffer, or placed inside the buffer that it will be inserted
// into (padding and concatenation cost nothing). Memory is found on demand, so an allocation precedes its first use.
#include "compiler/CoreToLinalg/StructuredLoops.h"
#include "compiler/Emit/Artifact.h"
#include "compiler/Passes.h"
#include "compiler/Schedule/Kernels.h"
#include "dialects/core/Core.h"
#include "dialects/rt/Rt.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/SaveAndRestore.h"
#include <queue>

namespace mlc {
#define GEN_PASS_DEF_OUTLINEGROUPS
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;

namespace {

MemRefType memrefTypeOf(Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  return MemRefType::get(type.getShape(), type.getElementType());
}

/// State of the whole module: kernels by their text, constants, parameters.
struct Outlined {
  ModuleOp module;
  llvm::StringMap<func::FuncOp> kernels;
  SmallVector<Attribute> weights; // the values, by number
  DenseMap<Attribute, int64_t> weightNumber;
  SmallVector<std::pair<StringAttr, RankedTensorType>>
      state; // declared by mlc.state before this pass, or in order of occurrence
  llvm::StringMap<int64_t> stateNumber;
  DimSymbols symbols;

  explicit Outlined(ModuleOp module) : module(module), symbols(DimSymbols::of(module)) {}
};

class EntryOutliner {
public:
  EntryOutliner(Outlined &all, func::FuncOp source)
      : all(all), source(source), b(source.getContext()), loc(source.getLoc()), context(source.getContext()) {}
  LogicalResult run();

private:
  struct Placement {
    Value destination;
    SmallVector<OpFoldResult> offsets, sizes;
    llvm::SmallBitVector dropped;
  };

  // ---- analysis
  void planPlacements();
  void planOutputs();
  bool ownsBuffer(Value value);
  Value bufferOwner(Value value);

  // ---- memory
  FailureOr<Value> memoryOf(Value tensor);
  FailureOr<Value> makeMemory(Value tensor);
  FailureOr<Value> contiguous(Value tensor, Value memref);
  Value allocate(RankedTensorType type, ArrayRef<Value> sizes);
  FailureOr<SmallVector<Value>> dynamicSizes(Value tensor);
  Value subview(Value memref, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                ArrayRef<OpFoldResult> strides, RankedTensorType result);

  // ---- scalars
  FailureOr<Value> scalarOf(Value value);
  Value divisorOf(Value divisor);
  FailureOr<OpFoldResult> scalarOf(OpFoldResult value);

  // ---- checks: sizes that must agree, and that only the run can tell
  Value dim(int64_t symbol);
  OpFoldResult sizeOf(Value memref, int64_t axis);
  Value elementCount(Value memref);
  std::string withNode(const Twine &message);
  void requireEqual(OpFoldResult x, OpFoldResult y, const Twine &message);
  void checkLoops(linalg::GenericOp op, llvm::function_ref<Value(Value)> bufferOf);

  // ---- code
  LogicalResult emitGroup(ArrayRef<Operation *> members);
  LogicalResult emitStructured(Operation *op);
  LogicalResult emitInsert(tensor::InsertSliceOp op);
  LogicalResult emitCopy(Value from, Value to);
  LogicalResult emitCheck(core::CheckRangeOp op);
  LogicalResult callKernel(func::FuncOp kernel, ArrayRef<Value> operands);
  Value kernelOperand(Value memref);

  Outlined &all;
  func::FuncOp source;
  OpBuilder b;
  Location loc;
  MLIRContext *context;
  Value call;
  DenseMap<Value, Value> memory, scalars;
  llvm::DenseSet<Value> making; // whose memory is being decided
  DenseMap<Value, Placement> placements;
  DenseMap<int64_t, Value> dims;     // by symbol
  DenseMap<Value, unsigned> outputs; // buffer owner -> number of the result that it is
};

/// Is this value the one that its buffer is made for?
bool EntryOutliner::ownsBuffer(Value value) {
  Operation *definition = value.getDefiningOp();
  return definition && (isa<linalg::GenericOp>(definition) || isStructured(definition));
}

/// An insertion works in the buffer of its destination when nothing else reads that.
Value EntryOutliner::bufferOwner(Value value) {
  while (true) {
    if (auto insert = value.getDefiningOp<tensor::InsertSliceOp>();
        insert && insert.getDest().hasOneUse() &&
        (insert.getDest().getDefiningOp<tensor::EmptyOp>() || ownsBuffer(insert.getDest()) ||
         insert.getDest().getDefiningOp<tensor::InsertSliceOp>()))
      value = insert.getDest();
    else
      return value;
  }
}

/// Does a size, or do the sizes of a tensor, wait for elements of another tensor?
static bool readsElements(Value value) {
  SmallVector<Value> work = {value};
  llvm::SmallPtrSet<Operation *, 16> seen;
  while (!work.empty()) {
    Operation *definition = work.pop_back_val().getDefiningOp();
    if (!definition || !seen.insert(definition).second)
      continue;
    if (isa<tensor::ExtractOp>(definition))
      return true;
    if (auto op = dyn_cast<DestinationStyleOpInterface>(definition)) // its sizes are those of its destinations
      llvm::append_range(work, op.getDpsInits());
    else
      llvm::append_range(work, definition->getOperands());
  }
  return false;
}

void EntryOutliner::planPlacements() {
  for (auto insert : source.getOps<tensor::InsertSliceOp>()) {
    Value value = insert.getSource();
    // Nested concatenation: what is placed is the owner's buffer.
    Value owner = bufferOwner(value);
    if (owner != value && !owner.getDefiningOp<tensor::EmptyOp>())
      continue;
    if (owner == value && !ownsBuffer(value))
      continue;
    if (placements.count(owner) || bufferOwner(insert.getResult()) == insert.getResult())
      continue;
    // Only into memory that no kernel overwrites afterwards: empty, or filled beforehand.
    Value destination = bufferOwner(insert.getResult());
    auto filler = destination.getDefiningOp<linalg::GenericOp>();
    if (!destination.getDefiningOp<tensor::EmptyOp>() && !(filler && filler.getNumDpsInputs() == 0))
      continue;
    if (!llvm::all_of(insert.getMixedStrides(), [](OpFoldResult s) { return isConstantIntValue(s, 1); }))
      continue;
    // What is placed may be made before the data that tells where its place is.
    if (readsElements(destination) || llvm::any_of(insert.getOffsets(), readsElements))
      continue;
    // Reshapes need contiguous memory, and a result must be a buffer of its own.
    bool movable = llvm::all_of(value.getUsers(), [](Operation *user) {
      return isa<linalg::GenericOp, tensor::InsertSliceOp, tensor::ExtractSliceOp, tensor::DimOp>(user);
    });
    if (!movable)
      continue;
    placements[owner] = {insert.getDest(), insert.getMixedOffsets(), insert.getMixedSizes(), insert.getDroppedDims()};
  }
}

void EntryOutliner::planOutputs() {
  auto ret = cast<func::ReturnOp>(source.getBody().front().getTerminator());
  for (auto [number, value] : llvm::enumerate(ret.getOperands())) {
    if (!isa<RankedTensorType>(value.getType()))
      continue;
    Value owner = value;
    while (true) {
      if (auto collapse = owner.getDefiningOp<tensor::CollapseShapeOp>())
        owner = collapse.getSrc();
      else if (auto expand = owner.getDefiningOp<tensor::ExpandShapeOp>())
        owner = expand.getSrc();
      else if (auto reshape = owner.getDefiningOp<tensor::ReshapeOp>())
        owner = reshape.getSource();
      else if (Value next = bufferOwner(owner); next != owner)
        owner = next;
      else
        break;
    }
    if ((ownsBuffer(owner) || owner.getDefiningOp<tensor::EmptyOp>()) && !placements.count(owner))
      outputs.try_emplace(owner, number);
  }
}

FailureOr<OpFoldResult> EntryOutliner::scalarOf(OpFoldResult value) {
  if (isa<Attribute>(value))
    return value;
  auto scalar = scalarOf(cast<Value>(value));
  if (failed(scalar))
    return failure();
  if (auto constant = getConstantIntValue(*scalar))
    return OpFoldResult(b.getIndexAttr(*constant));
  return OpFoldResult(*scalar);
}

Value EntryOutliner::dim(int64_t symbol) {
  Value &value = dims[symbol];
  if (!value)
    value = rt::DimOp::create(b, loc, b.getIndexType(), call, symbol);
  return value;
}

/// The size as the value that the buffer was made with, where that can be seen.
OpFoldResult EntryOutliner::sizeOf(Value memref, int64_t axis) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(axis))
    return b.getIndexAttr(type.getDimSize(axis));
  if (auto buffer = memref.getDefiningOp<rt::BufferOp>())
    return buffer.getSizes()[type.getDynamicDimIndex(axis)];
  if (auto alloc = memref.getDefiningOp<memref::AllocOp>())
    return alloc.getDynamicSizes()[type.getDynamicDimIndex(axis)];
  if (auto view = memref.getDefiningOp<memref::CastOp>())
    return sizeOf(view.getSource(), axis);
  if (auto view = memref.getDefiningOp<memref::SubViewOp>(); view && view.getDroppedDims().none())
    return view.getMixedSizes()[axis];
  if (auto view = memref.getDefiningOp<memref::ExpandShapeOp>())
    return view.getMixedOutputShape()[axis];
  if (auto view = memref.getDefiningOp<memref::CollapseShapeOp>()) {
    SmallVector<ReassociationIndices> groups = view.getReassociationIndices();
    // One dimension among ones is that dimension.
    auto inner = cast<MemRefType>(view.getSrc().getType());
    SmallVector<int64_t> moving;
    llvm::copy_if(groups[axis], std::back_inserter(moving), [&](int64_t i) { return inner.getDimSize(i) != 1; });
    if (moving.size() == 1)
      return sizeOf(view.getSrc(), moving[0]);
  }
  return b.createOrFold<memref::DimOp>(loc, memref, axis);
}

Value EntryOutliner::elementCount(Value memref) {
  Value count = arith::ConstantIndexOp::create(b, loc, 1);
  for (int64_t axis = 0; axis < cast<MemRefType>(memref.getType()).getRank(); ++axis)
    count = b.createOrFold<arith::MulIOp>(loc, count, getValueOrCreateConstantIndexOp(b, loc, sizeOf(memref, axis)));
  return count;
}

static std::string nodeName(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().str();
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (std::string name = nodeName(part); !name.empty())
        return name;
  if (auto at = dyn_cast<CallSiteLoc>(loc))
    return nodeName(at.getCallee());
  return "";
}

/// A message of the node that is being emitted.
std::string EntryOutliner::withNode(const Twine &message) {
  std::string name = nodeName(loc);
  return name.empty() ? message.str() : (name + ": " + message).str();
}

void EntryOutliner::requireEqual(OpFoldResult x, OpFoldResult y, const Twine &message) {
  if (x == y || (getConstantIntValue(x) && getConstantIntValue(x) == getConstantIntValue(y)))
    return;
  Value left = getValueOrCreateConstantIndexOp(b, loc, x), right = getValueOrCreateConstantIndexOp(b, loc, y);
  Value equal = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, left, right);
  rt::CheckOp::create(b, loc, call, equal, b.getStringAttr(withNode(message)), left, right);
}

/// Operands that walk the same loop have the same size along it: otherwise the kernel would leave its buffers.
void EntryOutliner::checkLoops(linalg::GenericOp op, llvm::function_ref<Value(Value)> bufferOf) {
  SmallVector<OpFoldResult> known(op.getNumLoops());
  for (OpOperand &operand : op->getOpOperands()) {
    Value tensor = op.isDpsInit(&operand) ? Value(op.getTiedOpResult(&operand)) : operand.get();
    Value memref = bufferOf(tensor);
    if (!memref)
      continue;
    for (auto [axis, expression] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults()))
      if (auto loop = dyn_cast<AffineDimExpr>(expression)) {
        OpFoldResult size = sizeOf(memref, axis);
        if (known[loop.getPosition()])
          requireEqual(known[loop.getPosition()], size, "sizes %d and %d do not agree");
        else
          known[loop.getPosition()] = size;
      }
  }
}

/// A size of 0 that something is divided by must not stop the process: a check of sizes tells what is wrong with it.
Value EntryOutliner::divisorOf(Value divisor) {
  if (getConstantIntValue(divisor))
    return divisor;
  Value zero = arith::ConstantOp::create(b, loc, b.getIntegerAttr(divisor.getType(), 0)),
        one = arith::ConstantOp::create(b, loc, b.getIntegerAttr(divisor.getType(), 1));
  Value isZero = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, divisor, zero);
  return arith::SelectOp::create(b, loc, isZero, one, divisor);
}

/// Index arithmetic of the entry, cloned when it is needed.
FailureOr<Value> EntryOutliner::scalarOf(Value value) {
  if (auto it = scalars.find(value); it != scalars.end())
    return it->second;
  Operation *definition = value.getDefiningOp();
  if (!definition)
    return source.emitError("a scalar argument is not supported");
  Value result;
  if (auto size = dyn_cast<tensor::DimOp>(definition)) {
    std::optional<int64_t> axis = size.getConstantIndex();
    auto argument = dyn_cast<BlockArgument>(size.getSource());
    if (axis && argument && argument.getOwner() == &source.getBody().front()) {
      result = dim(all.symbols.find(source, argument.getArgNumber(), *axis));
    } else if (axis && (ownsBuffer(size.getSource()) || size.getSource().getDefiningOp<tensor::InsertSliceOp>())) {
      // Not through its memory: where that is may depend on its size.
      auto type = cast<RankedTensorType>(size.getSource().getType());
      if (!type.isDynamicDim(*axis)) {
        result = arith::ConstantIndexOp::create(b, loc, type.getDimSize(*axis));
      } else {
        auto sizes = dynamicSizes(size.getSource());
        if (failed(sizes))
          return failure();
        result = (*sizes)[type.getDynamicDimIndex(*axis)];
      }
    } else {
      auto memref = memoryOf(size.getSource());
      auto index = scalarOf(size.getIndex());
      if (failed(memref) || failed(index))
        return failure();
      result = b.createOrFold<memref::DimOp>(loc, *memref, *index);
    }
  } else if (auto extract = dyn_cast<tensor::ExtractOp>(definition)) {
    // Elements of a known list of sizes never reach memory.
    if (auto list = extract.getTensor().getDefiningOp<tensor::FromElementsOp>();
        list && extract.getIndices().size() <= 1) {
      std::optional<int64_t> position =
          extract.getIndices().empty() ? std::optional<int64_t>(0) : getConstantIntValue(extract.getIndices()[0]);
      if (position)
        return scalarOf(list.getElements()[*position]);
    }
    auto memref = memoryOf(extract.getTensor());
    if (failed(memref))
      return failure();
    SmallVector<Value> indices;
    for (Value index : extract.getIndices()) {
      auto scalar = scalarOf(index);
      if (failed(scalar))
        return failure();
      indices.push_back(*scalar);
    }
    result = memref::LoadOp::create(b, loc, *memref, indices);
  } else if (auto bounded = dyn_cast<core::BoundedSizeOp>(definition)) {
    auto size = scalarOf(bounded.getSize()), max = scalarOf(bounded.getMax());
    if (failed(size) || failed(max))
      return failure();
    llvm::SaveAndRestore<Location> at(loc, bounded.getLoc()); // the node that has this size, not the first that uses it
    result = rt::BoundedSizeOp::create(b, loc, b.getIndexType(), call, *size, *max,
                                       b.getStringAttr(withNode(bounded.getWhat() + " is %d, expected 0 to %d")));
  } else {
    if (definition->getNumRegions() > 0 || !isMemoryEffectFree(definition) ||
        llvm::any_of(definition->getOperandTypes(), [](Type t) { return isa<TensorType>(t); }))
      return definition->emitError("'") << definition->getName() << "' is not supported between kernels";
    IRMapping mapping;
    for (Value operand : definition->getOperands()) {
      auto scalar = scalarOf(operand);
      if (failed(scalar))
        return failure();
      mapping.map(operand, *scalar);
    }
    if (isa<arith::DivSIOp, arith::RemSIOp>(definition))
      mapping.map(definition->getOperand(1), divisorOf(mapping.lookup(definition->getOperand(1))));
    Operation *clone = b.clone(*definition, mapping);
    result = clone->getResult(cast<OpResult>(value).getResultNumber());
  }
  scalars[value] = result;
  return result;
}

FailureOr<SmallVector<Value>> EntryOutliner::dynamicSizes(Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<Value> sizes;
  if (type.hasStaticShape())
    return sizes;
  Operation *definition = tensor.getDefiningOp();
  if (auto empty = dyn_cast<tensor::EmptyOp>(definition)) {
    for (Value size : empty.getDynamicSizes()) {
      auto scalar = scalarOf(size);
      if (failed(scalar))
        return failure();
      sizes.push_back(*scalar);
    }
    return sizes;
  }
  if (auto op = dyn_cast<DestinationStyleOpInterface>(definition))
    return dynamicSizes(op.getDpsInits()[cast<OpResult>(tensor).getResultNumber()]);
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(definition))
    return dynamicSizes(insert.getDest());
  if (auto nms = dyn_cast<core::NmsOp>(definition); nms && tensor == nms.getSelected()) {
    auto room = scalarOf(nms.getRoom());
    if (failed(room))
      return failure();
    return SmallVector<Value>{*room};
  }
  if (auto nms = dyn_cast<core::NmsOp>(definition)) { // workspace
    auto boxes = memoryOf(nms.getBoxes());
    if (failed(boxes))
      return failure();
    return SmallVector<Value>{b.createOrFold<memref::DimOp>(loc, *boxes, 1)};
  }
  if (isStructured(definition))
    return [&]() -> FailureOr<SmallVector<Value>> {
      auto memref = memoryOf(definition->getOperand(0));
      if (failed(memref))
        return failure();
      for (int64_t axis = 0; axis < type.getRank(); ++axis)
        if (type.isDynamicDim(axis))
          sizes.push_back(b.createOrFold<memref::DimOp>(loc, *memref, axis));
      return sizes;
    }();
  return definition->emitError("the size of '") << definition->getName() << "' is not known before it runs";
}

Value EntryOutliner::allocate(RankedTensorType type, ArrayRef<Value> sizes) {
  return memref::AllocOp::create(b, loc, MemRefType::get(type.getShape(), type.getElementType()), sizes,
                                 b.getI64IntegerAttr(64));
}

Value EntryOutliner::subview(Value memref, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                             ArrayRef<OpFoldResult> strides, RankedTensorType result) {
  auto sourceType = cast<MemRefType>(memref.getType());
  MemRefType type =
      result.getRank() == sourceType.getRank()
          ? memref::SubViewOp::inferResultType(sourceType, offsets, sizes, strides)
          : memref::SubViewOp::inferRankReducedResultType(result.getShape(), sourceType, offsets, sizes, strides);
  return memref::SubViewOp::create(b, loc, type, memref, offsets, sizes, strides);
}

FailureOr<Value> EntryOutliner::memoryOf(Value tensor) {
  if (auto it = memory.find(tensor); it != memory.end())
    return it->second;
  if (!making.insert(tensor).second)
    return tensor.getDefiningOp()->emitError("the place of a value depends on itself");
  auto result = makeMemory(tensor);
  making.erase(tensor);
  if (succeeded(result))
    memory[tensor] = *result;
  return result;
}

/// A reshape needs row-major memory without holes.
FailureOr<Value> EntryOutliner::contiguous(Value tensor, Value memref) {
  if (cast<MemRefType>(memref.getType()).getLayout().isIdentity())
    return memref;
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<Value> sizes;
  for (int64_t axis = 0; axis < type.getRank(); ++axis)
    if (type.isDynamicDim(axis))
      sizes.push_back(b.createOrFold<memref::DimOp>(loc, memref, axis));
  Value copy = allocate(type, sizes);
  if (failed(emitCopy(memref, copy)))
    return failure();
  return copy;
}

FailureOr<Value> EntryOutliner::makeMemory(Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  auto buffer = [&](StringRef space, int64_t position, RankedTensorType type, ArrayRef<Value> sizes) -> Value {
    return rt::BufferOp::create(b, loc, MemRefType::get(type.getShape(), type.getElementType()), call,
                                b.getStringAttr(space), b.getI64IntegerAttr(position), Value(), sizes);
  };
  if (auto argument = dyn_cast<BlockArgument>(tensor)) {
    SmallVector<Value> sizes;
    for (int64_t axis = 0; axis < type.getRank(); ++axis)
      if (type.isDynamicDim(axis))
        sizes.push_back(dim(all.symbols.find(source, argument.getArgNumber(), axis)));
    return buffer("input", argument.getArgNumber(), type, sizes);
  }
  Operation *definition = tensor.getDefiningOp();
  auto constant = [&](Attribute value) {
    auto [it, fresh] = all.weightNumber.try_emplace(value, all.weights.size());
    if (fresh)
      all.weights.push_back(value);
    return buffer("weights", it->second, type, {});
  };
  if (auto op = dyn_cast<core::ConstantOp>(definition))
    return constant(op.getValue());
  if (auto op = dyn_cast<arith::ConstantOp>(definition))
    return constant(op.getValue());
  if (auto op = dyn_cast<core::ParameterOp>(definition)) {
    auto it = all.stateNumber.find(op.getName());
    if (it == all.stateNumber.end())
      return op.emitError("unknown parameter '") << op.getName() << "'";
    return buffer("state", it->second, type, {});
  }
  if (auto placement = placements.find(tensor); placement != placements.end()) {
    Placement place = placement->second;
    auto destination = memoryOf(place.destination);
    if (failed(destination))
      return failure();
    SmallVector<OpFoldResult> offsets, sizes, strides(place.offsets.size(), b.getIndexAttr(1));
    for (auto [from, to] : std::array{std::pair(&place.offsets, &offsets), std::pair(&place.sizes, &sizes)})
      for (OpFoldResult value : *from) {
        auto scalar = scalarOf(value);
        if (failed(scalar))
          return failure();
        to->push_back(*scalar);
      }
    return subview(*destination, offsets, sizes, strides, type);
  }
  if (auto it = outputs.find(tensor); it != outputs.end()) {
    auto sizes = dynamicSizes(tensor);
    if (failed(sizes))
      return failure();
    return buffer("output", it->second, type, *sizes);
  }
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(definition)) {
    auto memref = memoryOf(collapse.getSrc());
    if (succeeded(memref))
      memref = contiguous(collapse.getSrc(), *memref);
    if (failed(memref))
      return failure();
    return Value(memref::CollapseShapeOp::create(b, loc, *memref, collapse.getReassociationIndices()));
  }
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(definition)) {
    auto memref = memoryOf(expand.getSrc());
    if (succeeded(memref))
      memref = contiguous(expand.getSrc(), *memref);
    if (failed(memref))
      return failure();
    SmallVector<OpFoldResult> sizes;
    for (OpFoldResult size : expand.getMixedOutputShape()) {
      auto scalar = scalarOf(size);
      if (failed(scalar))
        return failure();
      // A static dimension stays static, and a dynamic one stays a value.
      if (ShapedType::isDynamic(type.getShape()[sizes.size()]) && isa<Attribute>(*scalar))
        scalar = OpFoldResult(Value(arith::ConstantIndexOp::create(b, loc, *getConstantIntValue(*scalar))));
      sizes.push_back(*scalar);
    }
    Value view = memref::ExpandShapeOp::create(b, loc, MemRefType::get(type.getShape(), type.getElementType()), *memref,
                                               expand.getReassociationIndices(), sizes);
    if (!type.hasStaticShape())
      requireEqual(elementCount(*memref), elementCount(view), "%d elements cannot be reshaped to %d");
    return view;
  }
  if (auto reshape = dyn_cast<tensor::ReshapeOp>(definition)) {
    auto memref = memoryOf(reshape.getSource());
    if (succeeded(memref))
      memref = contiguous(reshape.getSource(), *memref);
    if (failed(memref))
      return failure();
    auto to = MemRefType::get(type.getShape(), type.getElementType());
    if (type.hasStaticShape())
      return Value(
          memref::ReinterpretCastOp::create(b, loc, to, *memref, 0, type.getShape(), computeStrides(type.getShape())));
    auto list = reshape.getShape().getDefiningOp<tensor::FromElementsOp>();
    if (!list)
      return reshape.emitError("the new shape is not known before the model runs");
    // The shape travels through a small array on the stack.
    Value shape = memref::AllocaOp::create(b, loc, MemRefType::get({type.getRank()}, b.getIndexType()));
    Value count = arith::ConstantIndexOp::create(b, loc, 1);
    for (auto [axis, size] : llvm::enumerate(list.getElements())) {
      auto scalar = scalarOf(size);
      if (failed(scalar))
        return failure();
      Value index = *scalar;
      if (!index.getType().isIndex())
        index = arith::IndexCastOp::create(b, loc, b.getIndexType(), index);
      memref::StoreOp::create(b, loc, index, shape, ValueRange{arith::ConstantIndexOp::create(b, loc, axis)});
      count = b.createOrFold<arith::MulIOp>(loc, count, index);
    }
    requireEqual(elementCount(*memref), count, "%d elements cannot be reshaped to %d");
    return Value(memref::ReshapeOp::create(b, loc, to, *memref, shape));
  }
  if (auto cast = dyn_cast<tensor::CastOp>(definition)) {
    auto memref = memoryOf(cast.getSource());
    if (failed(memref))
      return failure();
    auto from = ::cast<MemRefType>(memref->getType());
    return Value(memref::CastOp::create(
        b, loc, MemRefType::get(type.getShape(), type.getElementType(), from.getLayout()), *memref));
  }
  if (auto extract = dyn_cast<tensor::ExtractSliceOp>(definition)) {
    auto memref = memoryOf(extract.getSource());
    if (failed(memref))
      return failure();
    SmallVector<OpFoldResult> lists[3];
    for (auto [i, list] :
         llvm::enumerate(std::array{extract.getMixedOffsets(), extract.getMixedSizes(), extract.getMixedStrides()}))
      for (OpFoldResult value : list) {
        auto scalar = scalarOf(value);
        if (failed(scalar))
          return failure();
        lists[i].push_back(*scalar);
      }
    return subview(*memref, lists[0], lists[1], lists[2], type);
  }
  // Asked for before it is made, by what will be placed in it: it is its destination's memory.
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(definition); insert && bufferOwner(tensor) != tensor)
    return memoryOf(insert.getDest());
  if (auto elements = dyn_cast<tensor::FromElementsOp>(definition)) {
    Value memref = allocate(type, {});
    for (auto [position, element] : llvm::enumerate(elements.getElements())) {
      auto scalar = scalarOf(element);
      if (failed(scalar))
        return failure();
      SmallVector<Value> indices;
      int64_t rest = position;
      for (int64_t axis = type.getRank() - 1; axis >= 0; --axis) {
        indices.insert(indices.begin(), arith::ConstantIndexOp::create(b, loc, rest % type.getDimSize(axis)));
        rest /= type.getDimSize(axis);
      }
      memref::StoreOp::create(b, loc, *scalar, memref, indices);
    }
    return memref;
  }
  if (isa<tensor::EmptyOp>(definition) || ownsBuffer(tensor)) {
    auto sizes = dynamicSizes(tensor);
    if (failed(sizes))
      return failure();
    return allocate(type, *sizes);
  }
  return definition->emitError("'") << definition->getName() << "' has no buffer form";
}

/// Kernels take strided memrefs with an open offset, so that equal shapes at different places share one kernel.
Value EntryOutliner::kernelOperand(Value memref) {
  auto type = dyn_cast<MemRefType>(memref.getType());
  if (!type || type.getLayout().isIdentity())
    return memref;
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)) || ShapedType::isDynamic(offset))
    return memref;
  auto open = MemRefType::get(type.getShape(), type.getElementType(),
                              StridedLayoutAttr::get(context, ShapedType::kDynamic, strides));
  return memref::CastOp::create(b, loc, open, memref);
}

/// Shares kernels by their text, then calls.
LogicalResult EntryOutliner::callKernel(func::FuncOp kernel, ArrayRef<Value> operands) {
  kernel.walk([&](Operation *op) { op->setLoc(UnknownLoc::get(context)); });
  std::string text;
  llvm::raw_string_ostream stream(text);
  kernel.print(stream, OpPrintingFlags().assumeVerified());
  auto [it, fresh] = all.kernels.try_emplace(text);
  if (fresh) {
    kernel.setName(("kernel_" + Twine(all.kernels.size() - 1)).str());
    all.module.push_back(kernel);
    it->second = kernel;
  } else {
    kernel.erase();
  }
  SmallVector<Value> arguments(operands);
  arguments.push_back(call);
  func::CallOp::create(b, loc, it->second, arguments);
  return success();
}

static func::FuncOp makeKernel(MLIRContext *context, StringRef kind, ArrayRef<Value> operands) {
  SmallVector<Type> types;
  for (Value operand : operands)
    types.push_back(operand.getType());
  types.push_back(LLVM::LLVMPointerType::get(context));
  auto kernel = func::FuncOp::create(UnknownLoc::get(context), "kernel", FunctionType::get(context, types, {}));
  kernel.setPrivate();
  kernel->setAttr(kKindAttr, StringAttr::get(context, kind));
  kernel.addEntryBlock();
  return kernel;
}

LogicalResult EntryOutliner::emitCopy(Value from, Value to) {
  SmallVector<Value> operands = {kernelOperand(from), kernelOperand(to)};
  func::FuncOp kernel = makeKernel(context, "pointwise", operands);
  OpBuilder k = OpBuilder::atBlockEnd(&kernel.getBody().front());
  int64_t rank = cast<MemRefType>(from.getType()).getRank();
  SmallVector<AffineMap> maps(2, k.getMultiDimIdentityMap(rank));
  SmallVector<utils::IteratorType> iterators(rank, utils::IteratorType::parallel);
  linalg::GenericOp::create(
      k, loc, ValueRange{kernel.getArgument(0)}, ValueRange{kernel.getArgument(1)}, maps, iterators,
      [](OpBuilder &nested, Location l, ValueRange arguments) { linalg::YieldOp::create(nested, l, arguments[0]); });
  func::ReturnOp::create(k, loc);
  return callKernel(kernel, operands);
}

LogicalResult EntryOutliner::emitInsert(tensor::InsertSliceOp op) {
  Value source = op.getSource();
  Value owner = bufferOwner(op.getResult());
  auto copyDestination = [&]() -> FailureOr<Value> {
    auto from = memoryOf(op.getDest());
    if (failed(from))
      return failure();
    auto type = cast<RankedTensorType>(op.getType());
    SmallVector<Value> sizes;
    for (int64_t axis = 0; axis < type.getRank(); ++axis)
      if (type.isDynamicDim(axis))
        sizes.push_back(b.createOrFold<memref::DimOp>(loc, *from, axis));
    Value copy = allocate(type, sizes);
    if (failed(emitCopy(*from, copy)))
      return failure();
    return copy;
  };
  auto destination = owner == op.getResult() ? copyDestination() : memoryOf(op.getDest());
  if (failed(destination))
    return failure();
  memory[op.getResult()] = *destination;
  Value placedOwner = bufferOwner(source);
  if (auto it = placements.find(placedOwner); it != placements.end() && it->second.destination == op.getDest())
    return success(); // it is there already
  SmallVector<OpFoldResult> lists[3];
  for (auto [i, list] : llvm::enumerate(std::array{op.getMixedOffsets(), op.getMixedSizes(), op.getMixedStrides()}))
    for (OpFoldResult value : list) {
      auto scalar = scalarOf(value);
      if (failed(scalar))
        return failure();
      lists[i].push_back(*scalar);
    }
  auto from = memoryOf(source);
  if (failed(from))
    return failure();
  return emitCopy(*from, subview(*destination, lists[0], lists[1], lists[2], op.getSourceType()));
}

/// A loop over the elements in the entry itself: a check that fails returns from there.
LogicalResult EntryOutliner::emitCheck(core::CheckRangeOp op) {
  auto memref = memoryOf(op.getX());
  if (succeeded(memref))
    memref = contiguous(op.getX(), *memref);
  auto lower = scalarOf(op.getLower()), upper = scalarOf(op.getUpper());
  if (failed(memref) || failed(lower) || failed(upper))
    return failure();
  int64_t rank = cast<MemRefType>(memref->getType()).getRank();
  Value flat = *memref;
  SmallVector<Value> indices;
  OpBuilder::InsertionGuard guard(b);
  if (rank > 1)
    flat = memref::CollapseShapeOp::create(
        b, loc, flat,
        ArrayRef<ReassociationIndices>{ReassociationIndices(llvm::to_vector(llvm::seq<int64_t>(0, rank)))});
  if (rank > 0) {
    Value zero = arith::ConstantIndexOp::create(b, loc, 0), one = arith::ConstantIndexOp::create(b, loc, 1);
    auto loop = scf::ForOp::create(b, loc, zero, b.createOrFold<memref::DimOp>(loc, flat, 0), one);
    b.setInsertionPointToStart(loop.getBody());
    indices.push_back(loop.getInductionVar());
  }
  Value element = arith::IndexCastOp::create(b, loc, b.getIndexType(), memref::LoadOp::create(b, loc, flat, indices));
  Value notBelow = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, element, *lower);
  rt::CheckOp::create(b, loc, call, notBelow, b.getStringAttr(op.getWhat() + " %d is below %d"), element, *lower);
  Value below = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, element, *upper);
  rt::CheckOp::create(b, loc, call, below, b.getStringAttr(op.getWhat() + " %d is not below %d"), element, *upper);
  return success();
}

LogicalResult EntryOutliner::emitStructured(Operation *op) {
  SmallVector<Value> operands;
  for (Value operand : op->getOperands()) {
    auto value = operand.getType().isIndex() ? scalarOf(operand) : memoryOf(operand);
    if (failed(value))
      return failure();
    operands.push_back(kernelOperand(*value));
  }
  if (isa<core::NmsOp>(op)) {
    requireEqual(sizeOf(operands[0], 0), sizeOf(operands[1], 0), "%d batches of boxes and %d of scores");
    requireEqual(sizeOf(operands[0], 1), sizeOf(operands[1], 2), "%d boxes and %d scores");
  }
  for (Value result : op->getResults()) {
    auto memref = memoryOf(result);
    if (failed(memref))
      return failure();
    operands.push_back(kernelOperand(*memref));
  }
  func::FuncOp kernel = makeKernel(context, "lowered", operands);
  OpBuilder k = OpBuilder::atBlockEnd(&kernel.getBody().front());
  SmallVector<Value> arguments(kernel.getArguments().begin(), kernel.getArguments().end());
  ArrayRef<Value> list(arguments);
  if (failed(lowerToLoops(op, k, list.take_front(op->getNumOperands()),
                          list.slice(op->getNumOperands(), op->getNumResults()))))
    return op->emitError("'") << op->getName() << "' has no loops";
  func::ReturnOp::create(k, loc);
  return callKernel(kernel, operands);
}

LogicalResult EntryOutliner::emitGroup(ArrayRef<Operation *> members) {
  auto first = cast<linalg::GenericOp>(members.front());
  StringRef kind = first->getAttrOfType<StringAttr>(kKindAttr).getValue();
  llvm::SmallPtrSet<Operation *, 8> inside(members.begin(), members.end());

  // Buffers: operands from outside, results that leave, and whole rows in between; row scalars and accumulators are internal.
  llvm::MapVector<Value, Value> buffers; // tensor -> memref of the entry
  SmallVector<Value> internal, scalarOperands;
  auto leaves = [&](Value result) {
    return llvm::any_of(result.getUsers(), [&](Operation *user) { return !inside.contains(user); });
  };
  for (Operation *member : members) {
    auto op = cast<linalg::GenericOp>(member);
    SmallVector<Value> tensors(op.getDpsInputs());
    SetVector<Value> captured;
    getUsedValuesDefinedAbove(op.getRegion(), captured);
    for (Value value : captured)
      if (isa<RankedTensorType>(value.getType()))
        tensors.push_back(value);
      else if (!matchPattern(value, m_Constant()) && !llvm::is_contained(scalarOperands, value))
        scalarOperands.push_back(value);
    for (Value input : tensors) {
      if (Operation *definition = input.getDefiningOp(); definition && inside.contains(definition))
        continue;
      auto memref = memoryOf(input);
      if (failed(memref))
        return failure();
      buffers.insert({input, kernelOperand(*memref)});
    }
    for (OpResult result : op->getResults()) {
      bool rowScalar = kind == "rows" &&
                       cast<RankedTensorType>(result.getType()).getRank() < static_cast<int64_t>(first.getNumLoops());
      bool accumulator = kind == "contract" && op == first && members.size() > 1;
      if (!leaves(result) && (rowScalar || accumulator)) {
        internal.push_back(result);
        continue;
      }
      auto memref = memoryOf(result);
      if (failed(memref))
        return failure();
      // An init that is neither a fill nor empty is accumulated upon.
      Value init = op.getDpsInits()[result.getResultNumber()];
      bool readsInit = !op.getBody()->getArgument(op.getNumDpsInputs() + result.getResultNumber()).use_empty();
      if (readsInit && !init.getDefiningOp<linalg::FillOp>() && !init.getDefiningOp<tensor::EmptyOp>()) {
        auto from = memoryOf(init);
        if (failed(from) || failed(emitCopy(*from, *memref)))
          return failure();
      }
      buffers.insert({result, kernelOperand(*memref)});
    }
  }
  for (Operation *member : members)
    checkLoops(cast<linalg::GenericOp>(member), [&](Value tensor) { return buffers.lookup(tensor); });
  SmallVector<Value> operands;
  for (auto &[tensor, memref] : buffers)
    operands.push_back(memref);
  for (Value value : scalarOperands) {
    auto scalar = scalarOf(value);
    if (failed(scalar))
      return failure();
    operands.push_back(*scalar);
  }

  func::FuncOp kernel = makeKernel(context, kind, operands);
  OpBuilder k = OpBuilder::atBlockEnd(&kernel.getBody().front());
  DenseMap<Value, Value> local;
  for (auto [pair, argument] : llvm::zip(buffers, kernel.getArguments()))
    local[pair.first] = argument;
  IRMapping mapping;
  for (auto [value, argument] : llvm::zip(scalarOperands, kernel.getArguments().drop_front(buffers.size())))
    mapping.map(value, argument);
  auto localConstant = [&](Value value) {
    if (!mapping.contains(value)) { // in front of everything: generators put their code where the first op stands
      OpBuilder::InsertionGuard guard(k);
      k.setInsertionPointToStart(&kernel.getBody().front());
      k.clone(*value.getDefiningOp(), mapping);
    }
    return mapping.lookup(value);
  };
  for (Value result : internal) {
    auto type = cast<RankedTensorType>(result.getType());
    // Sizes of internal buffers: from an operand with the same loop, found through the maps.
    auto op = result.getDefiningOp<linalg::GenericOp>();
    SmallVector<Value> sizes;
    AffineMap resultMap = op.getMatchingIndexingMap(op.getDpsInitOperand(cast<OpResult>(result).getResultNumber()));
    for (int64_t axis = 0; axis < type.getRank(); ++axis) {
      if (!type.isDynamicDim(axis))
        continue;
      Value size;
      for (OpOperand *input : op.getDpsInputOperands())
        if (auto position = op.getMatchingIndexingMap(input).getResultPosition(resultMap.getResult(axis));
            position && local.count(input->get())) {
          size = memref::DimOp::create(k, loc, local[input->get()], *position);
          break;
        }
      if (!size) // never executed for its size: the generators read loops' sizes from the kernel's operands
        size = arith::ConstantIndexOp::create(k, loc, 1);
      sizes.push_back(size);
    }
    local[result] = memref::AllocOp::create(k, loc, MemRefType::get(type.getShape(), type.getElementType()), sizes);
  }
  for (Operation *member : members) {
    auto op = cast<linalg::GenericOp>(member);
    SmallVector<Value> inputs, outs;
    for (Value input : op.getDpsInputs())
      inputs.push_back(local.lookup(input));
    for (auto [result, init] : llvm::zip(op->getResults(), op.getDpsInits())) {
      outs.push_back(local.lookup(result));
      if (auto fill = init.getDefiningOp<linalg::FillOp>())
        linalg::FillOp::create(k, loc, ValueRange{localConstant(fill.getInputs()[0])}, ValueRange{outs.back()});
    }
    SetVector<Value> captured;
    getUsedValuesDefinedAbove(op.getRegion(), captured);
    for (Value value : captured)
      if (!isa<RankedTensorType>(value.getType()) && !mapping.contains(value))
        localConstant(value);
    auto clone = linalg::GenericOp::create(k, loc, TypeRange{}, inputs, outs, op.getIndexingMapsArray(),
                                           op.getIteratorTypesArray());
    op.getRegion().cloneInto(&clone.getRegion(), mapping);
    // Gathers inside the body read memory.
    SmallVector<tensor::ExtractOp> extracts;
    clone.getRegion().walk([&](tensor::ExtractOp extract) { extracts.push_back(extract); });
    for (tensor::ExtractOp extract : extracts) {
      OpBuilder e(extract);
      extract.replaceAllUsesWith(
          memref::LoadOp::create(e, loc, local.lookup(extract.getTensor()), extract.getIndices()).getResult());
      extract.erase();
    }
    SmallVector<tensor::DimOp> dims;
    clone.getRegion().walk([&](tensor::DimOp dim) { dims.push_back(dim); });
    for (tensor::DimOp dim : dims) {
      OpBuilder e(dim);
      dim.replaceAllUsesWith(memref::DimOp::create(e, loc, local.lookup(dim.getSource()), dim.getIndex()).getResult());
      dim.erase();
    }
  }
  func::ReturnOp::create(k, loc);
  return callKernel(kernel, operands);
}

LogicalResult EntryOutliner::run() {
  std::string name = source.getName().str();
  auto pointer = LLVM::LLVMPointerType::get(context);
  planPlacements();
  planOutputs();

  auto entry = func::FuncOp::create(loc, name, b.getFunctionType({pointer}, {b.getI32Type()}));
  b.setInsertionPointToEnd(entry.addEntryBlock());
  call = entry.getArgument(0);

  // Order: a group runs when all that its members need has run. Kahn's algorithm, earliest op first.
  Block &body = source.getBody().front();
  DenseMap<int64_t, SmallVector<Operation *>> groups;
  DenseMap<Operation *, int64_t> unitOf;
  SmallVector<SmallVector<Operation *>> units;
  for (Operation &op : body.without_terminator()) {
    if (auto group = op.getAttrOfType<IntegerAttr>(kGroupAttr)) {
      auto &members = groups[group.getInt()];
      if (members.empty())
        units.push_back({});
      members.push_back(&op);
      unitOf[&op] = members.size() == 1 ? units.size() - 1 : unitOf[members.front()];
    } else {
      unitOf[&op] = units.size();
      units.push_back({});
    }
    units[unitOf[&op]].push_back(&op);
  }
  SmallVector<SmallVector<int64_t>> followers(units.size());
  SmallVector<int64_t> waiting(units.size(), 0);
  for (auto [unit, members] : llvm::enumerate(units)) {
    llvm::DenseSet<int64_t> needs;
    for (Operation *member : members)
      member->walk([&](Operation *nested) {
        for (Value operand : nested->getOperands())
          if (Operation *definition = operand.getDefiningOp())
            if (auto it = unitOf.find(definition); it != unitOf.end() && it->second != static_cast<int64_t>(unit))
              needs.insert(it->second);
      });
    for (int64_t need : needs)
      followers[need].push_back(unit);
    waiting[unit] = needs.size();
  }
  // What is written into a filled buffer is written after the fill.
  auto fillOf = [&](Value destination) -> Operation * {
    Value owner = bufferOwner(destination);
    while (owner.getDefiningOp<tensor::EmptyOp>() && placements.count(owner))
      owner = bufferOwner(placements[owner].destination);
    return owner.getDefiningOp<linalg::GenericOp>();
  };
  auto runAfter = [&](Operation *writer, Operation *fill) {
    if (!fill || unitOf[fill] == unitOf[writer])
      return;
    followers[unitOf[fill]].push_back(unitOf[writer]);
    ++waiting[unitOf[writer]];
  };
  for (auto &[owner, placement] : placements)
    if (auto writer = owner.getDefiningOp<linalg::GenericOp>())
      runAfter(writer, fillOf(placement.destination));
  for (auto insert : source.getOps<tensor::InsertSliceOp>())
    runAfter(insert, fillOf(insert.getDest()));
  std::priority_queue<int64_t, std::vector<int64_t>, std::greater<>> ready;
  for (auto [unit, count] : llvm::enumerate(waiting))
    if (count == 0)
      ready.push(unit);
  size_t done = 0;
  while (!ready.empty()) {
    int64_t unit = ready.top();
    ready.pop();
    ++done;
    for (int64_t follower : followers[unit])
      if (--waiting[follower] == 0)
        ready.push(follower);
    Operation *op = units[unit].front();
    loc = op->getLoc();
    LogicalResult result = success();
    if (op->hasAttr(kGroupAttr))
      result = emitGroup(units[unit]);
    else if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
      result = emitInsert(insert);
    else if (isStructured(op))
      result = emitStructured(op);
    else if (auto check = dyn_cast<core::CheckRangeOp>(op))
      result = emitCheck(check);
    if (failed(result))
      return failure();
  }
  if (done != units.size())
    return source.emitError("groups depend on each other in a circle");
  loc = source.getLoc();

  // New values of the state are written when everything has read the old ones.
  for (auto assign : source.getOps<core::AssignOp>()) {
    auto value = memoryOf(assign.getValue());
    auto it = all.stateNumber.find(assign.getName());
    if (failed(value) || it == all.stateNumber.end())
      return assign.emitError("cannot assign '") << assign.getName() << "'";
    Value slot = rt::BufferOp::create(b, loc, memrefTypeOf(assign.getValue()), call, b.getStringAttr("state"),
                                      b.getI64IntegerAttr(it->second), Value(), ValueRange{});
    if (failed(emitCopy(*value, slot)))
      return failure();
  }
  // Results whose buffer is not theirs are copied: arguments, constants, slices, one value returned twice.
  SmallVector<Value> sizes;
  for (auto [number, value] : llvm::enumerate(body.getTerminator()->getOperands())) {
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
    bool theirs = llvm::any_of(outputs, [&](auto &output) {
      if (output.second != number)
        return false;
      Value owner = value;
      while (owner != output.first) {
        Operation *definition = owner.getDefiningOp();
        if (isa_and_nonnull<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::ReshapeOp>(definition))
          owner = definition->getOperand(0);
        else if (Value next = bufferOwner(owner); next != owner)
          owner = next;
        else
          return false;
      }
      return true;
    });
    if (theirs)
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
  // The dynamic sizes of the results, for @main_sizes; PlanMemory takes the op away.
  SmallVector<Attribute> shapes;
  for (Value value : body.getTerminator()->getOperands())
    if (auto type = dyn_cast<RankedTensorType>(value.getType()))
      shapes.push_back(b.getDenseI64ArrayAttr(type.getShape()));
  auto marker = UnrealizedConversionCastOp::create(b, loc, TypeRange{b.getNoneType()}, sizes);
  marker->setAttr("mlc.shapes", b.getArrayAttr(shapes));
  Value ok = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
  func::ReturnOp::create(b, loc, ok);
  source.erase();
  all.module.push_back(entry);
  return success();
}

struct OutlineGroups : mlc::impl::OutlineGroupsBase<OutlineGroups> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    Outlined all(module);
    if (auto state = module->getAttrOfType<ArrayAttr>(kStateAttr))
      for (auto [number, slot] : llvm::enumerate(state.getAsRange<DictionaryAttr>()))
        all.stateNumber[cast<StringAttr>(slot.get("name")).getValue()] = number;
    SmallVector<func::FuncOp> entries;
    for (auto function : module.getOps<func::FuncOp>())
      if (!function.isExternal() && kernelKind(function) == "")
        entries.push_back(function);
    for (func::FuncOp entry : entries)
      if (failed(EntryOutliner(all, entry).run()))
        return signalPassFailure();
    Builder b(&getContext());
    SmallVector<Attribute> weights;
    for (Attribute value : all.weights)
      weights.push_back(b.getDictionaryAttr(b.getNamedAttr("value", value)));
    module->setAttr(kWeightsAttr, b.getArrayAttr(weights));
  }
};

} // namespace
