// The part of EntryOutliner that finds memory: which buffer a value has, and the index values that buffers and views need.
#include "compiler/CoreToLinalg/StructuredLoops.h"
#include "compiler/Schedule/EntryOutliner.h"
#include "dialects/core/Control.h"
#include "dialects/rt/Rt.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/Support/SaveAndRestore.h"

using namespace mlir;
using namespace mlc;

/// Is this value the one that its buffer is made for?
bool EntryOutliner::ownsBuffer(Value value) {
  Operation *definition = value.getDefiningOp();
  return definition && (isa<linalg::GenericOp, core::LoopOp, core::IfOp>(definition) || isStructured(definition));
}

static bool isCarried(Value value) { return isa<BlockArgument>(value) && core::carriedFrom(value) != value; }

/// An insertion works in the buffer of its destination when nothing else reads that, or has read it before.
bool EntryOutliner::isInPlace(tensor::InsertSliceOp insert) {
  Value destination = insert.getDest();
  if (destination.getParentBlock() != insert->getBlock())
    return false; // the next step needs it again
  if (inPlace.contains(insert))
    return true;
  return destination.hasOneUse() && (destination.getDefiningOp<tensor::EmptyOp>() || ownsBuffer(destination) ||
                                     destination.getDefiningOp<tensor::InsertSliceOp>() || isCarried(destination));
}

Value EntryOutliner::bufferOwner(Value value) {
  for (auto insert = value.getDefiningOp<tensor::InsertSliceOp>(); insert && isInPlace(insert);
       insert = value.getDefiningOp<tensor::InsertSliceOp>())
    value = insert.getDest();
  return value;
}

/// Nothing has been decided about the owner's buffer, and it could be another one of this type.
bool EntryOutliner::mayShareBuffer(Value owner, Block &block, Type type) {
  return owner.getParentBlock() == &block && owner.getType() == type &&
         (ownsBuffer(owner) || owner.getDefiningOp<tensor::EmptyOp>()) && !placements.count(owner) &&
         !outputs.count(owner) && !aliases.count(owner);
}

/// What only starts a loop is made where the loop carries it.
void EntryOutliner::planInits(Block &block) {
  for (auto loop : block.getOps<core::LoopOp>())
    for (auto [init, result] : llvm::zip_equal(loop.getInitial(), loop.getResults()))
      if (Value owner = bufferOwner(init); init.hasOneUse() && mayShareBuffer(owner, block, result.getType()))
        aliases[owner] = result;
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

void EntryOutliner::planPlacements(Block &block) {
  for (auto insert : block.getOps<tensor::InsertSliceOp>()) {
    Value value = insert.getSource();
    // Nested concatenation: what is placed is the owner's buffer.
    Value owner = bufferOwner(value);
    if (owner != value && !owner.getDefiningOp<tensor::EmptyOp>())
      continue;
    if (owner == value && !ownsBuffer(value))
      continue;
    if (owner.getParentBlock() != &block || placements.count(owner) ||
        bufferOwner(insert.getResult()) == insert.getResult())
      continue;
    // Only into memory that no kernel overwrites afterwards (empty, or filled beforehand) and that nothing has to read before.
    Value destination = bufferOwner(insert.getResult());
    auto filler = destination.getDefiningOp<linalg::GenericOp>();
    if (!destination.getDefiningOp<tensor::EmptyOp>() && !(filler && filler.getNumDpsInputs() == 0) &&
        !(isCarried(destination) && destination.hasOneUse()))
      continue;
    if (!llvm::all_of(insert.getMixedStrides(), [](OpFoldResult s) { return isConstantIntValue(s, 1); }))
      continue;
    // What is placed may be made before the data that tells where its place is.
    if (readsElements(destination) || llvm::any_of(insert.getOffsets(), readsElements))
      continue;
    // Reshapes need contiguous memory, and a result must be a buffer of its own.
    bool movable = llvm::all_of(value.getUsers(), [](Operation *user) {
      return isa<linalg::GenericOp, tensor::InsertSliceOp, tensor::ExtractSliceOp, tensor::DimOp, core::LoopOp,
                 core::YieldOp>(user);
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
  OpBuilder::InsertionGuard guard(b);
  enterScopeOf(value);
  Operation *definition = value.getDefiningOp();
  if (!definition)
    return source.emitError("a scalar argument is not supported");
  Value result;
  if (auto size = dyn_cast<tensor::DimOp>(definition)) {
    std::optional<int64_t> axis = size.getConstantIndex();
    auto argument = dyn_cast<BlockArgument>(size.getSource());
    if (axis && argument && argument.getOwner() == &source.getBody().front()) {
      result = dim(all.symbols.find(source, argument.getArgNumber(), *axis));
    } else if (axis && (ownsBuffer(size.getSource()) ||
                        isa_and_nonnull<tensor::InsertSliceOp, core::StretchOp>(size.getSource().getDefiningOp()))) {
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

/// The sizes of a tensor's memory along the dimensions that `type` leaves open.
FailureOr<SmallVector<Value>> EntryOutliner::sizesOfMemory(Value tensor, RankedTensorType type) {
  auto memref = memoryOf(tensor);
  if (failed(memref))
    return failure();
  SmallVector<Value> sizes;
  for (int64_t axis = 0; axis < type.getRank(); ++axis)
    if (type.isDynamicDim(axis))
      sizes.push_back(b.createOrFold<memref::DimOp>(loc, *memref, axis));
  return sizes;
}

FailureOr<SmallVector<Value>> EntryOutliner::dynamicSizes(Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<Value> sizes;
  if (type.hasStaticShape())
    return sizes;
  if (Value init = core::carriedFrom(tensor); init != tensor)
    return dynamicSizes(init);
  Operation *definition = tensor.getDefiningOp();
  if (!definition)
    return sizesOfMemory(tensor, type);
  if (auto branch = dyn_cast<core::IfOp>(definition)) {
    for (int64_t axis = 0; axis < type.getRank(); ++axis)
      if (type.isDynamicDim(axis)) {
        auto size = scalarOf(branch.getSize(cast<OpResult>(tensor).getResultNumber(), axis));
        if (failed(size))
          return failure();
        sizes.push_back(*size);
      }
    return sizes;
  }
  if (isa<tensor::EmptyOp, core::StretchOp>(definition)) {
    auto empty = dyn_cast<tensor::EmptyOp>(definition);
    for (Value size : empty ? empty.getDynamicSizes() : cast<core::StretchOp>(definition).getSizes()) {
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
  if (auto nms = dyn_cast<core::NmsOp>(definition)) {
    auto size = tensor == nms.getSelected() ? scalarOf(nms.getRoom()) : memoryOf(nms.getBoxes());
    if (failed(size))
      return failure();
    return SmallVector<Value>{tensor == nms.getSelected() ? *size : b.createOrFold<memref::DimOp>(loc, *size, 1)};
  }
  // What is no view has been dealt with.
  return sizesOfMemory(isStructured(definition) ? definition->getOperand(0) : tensor, type);
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
  OpBuilder::InsertionGuard guard(b);
  enterScopeOf(tensor);
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
  auto constant = [&](ElementsAttr value) {
    auto [it, fresh] = all.weightNumber.try_emplace(value, all.weights.size());
    if (fresh)
      all.weights.push_back(value);
    return buffer("weights", it->second, type, {});
  };
  if (auto op = dyn_cast<core::ConstantOp>(definition))
    return constant(op.getValue());
  if (auto op = dyn_cast<arith::ConstantOp>(definition))
    return constant(cast<ElementsAttr>(op.getValue()));
  if (auto op = dyn_cast<core::ParameterOp>(definition)) {
    auto it = all.stateNumber.find(op.getName());
    if (it == all.stateNumber.end())
      return op.emitError("unknown parameter '") << op.getName() << "'";
    return buffer("state", it->second, type, {});
  }
  if (auto alias = aliases.find(tensor); alias != aliases.end()) {
    auto memref = memoryOf(alias->second);
    auto sizes = dynamicSizes(tensor);
    if (failed(memref) || failed(sizes))
      return failure();
    for (auto [axis, size] : llvm::enumerate(type.getShape()))
      if (ShapedType::isDynamic(size))
        requireEqual((*sizes)[type.getDynamicDimIndex(axis)], sizeOf(*memref, axis), "sizes %d and %d do not agree");
    return memref;
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
    if (succeeded(memref) && !memref::CollapseShapeOp::isGuaranteedCollapsible(cast<MemRefType>(memref->getType()),
                                                                               collapse.getReassociationIndices()))
      memref = contiguous(collapse.getSrc(), *memref);
    if (failed(memref))
      return failure();
    return Value(memref::CollapseShapeOp::create(b, loc, *memref, collapse.getReassociationIndices()));
  }
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(definition)) {
    auto memref = memoryOf(expand.getSrc());
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
    Value view =
        memref::ExpandShapeOp::create(b, loc, type.getShape(), *memref, expand.getReassociationIndices(), sizes);
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
    for (auto [axis, size] : llvm::enumerate(type.getShape())) // a size that becomes known is one that must be so
      if (!ShapedType::isDynamic(size) && from.isDynamicDim(axis))
        requireEqual(sizeOf(*memref, axis), b.getIndexAttr(size), "a size is %d, expected %d");
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
