// The part of EntryOutliner that makes code: a function on memrefs of each group, and calls of them.
#include "compiler/CoreToLinalg/StructuredLoops.h"
#include "compiler/Schedule/EntryOutliner.h"
#include "compiler/Schedule/Kernels.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace mlc;

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
  SmallVector<Location> origins; // the nodes that the kernel is made of: the call keeps them, equal kernels are one
  kernel.walk<WalkOrder::PreOrder>([&](Operation *op) {
    origins.push_back(op->getLoc());
    op->setLoc(UnknownLoc::get(context));
  });
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
  func::CallOp::create(b, b.getFusedLoc(origins), it->second, arguments);
  return success();
}

func::FuncOp mlc::makeKernel(MLIRContext *context, sched::Kind kind, ArrayRef<Value> operands) {
  SmallVector<Type> types;
  for (Value operand : operands)
    types.push_back(operand.getType());
  types.push_back(LLVM::LLVMPointerType::get(context));
  auto kernel = func::FuncOp::create(UnknownLoc::get(context), "kernel", FunctionType::get(context, types, {}));
  kernel.setPrivate();
  sched::setKind(kernel, kind);
  kernel.addEntryBlock();
  return kernel;
}

LogicalResult EntryOutliner::emitCopy(Value from, Value to) {
  SmallVector<Value> operands = {kernelOperand(from), kernelOperand(to)};
  func::FuncOp kernel = makeKernel(context, sched::Kind::Pointwise, operands);
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

/// Where the sizes turn out equal, the result is the operand's memory; otherwise a kernel makes the repeated rows in memory that has no
/// size in the other case.
LogicalResult EntryOutliner::emitStretch(core::StretchOp op) {
  auto from = memoryOf(op.getX());
  if (succeeded(from))
    from = contiguous(op.getX(), *from);
  auto dynamic = dynamicSizes(op.getY());
  if (failed(from) || failed(dynamic))
    return failure();
  auto type = cast<RankedTensorType>(op.getType());
  SmallVector<OpFoldResult> sizes, strides(type.getRank());
  Value isSame = arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
  auto index = [&](OpFoldResult size) { return getValueOrCreateConstantIndexOp(b, loc, size); };
  for (auto [axis, size] : llvm::enumerate(type.getShape())) {
    sizes.push_back(ShapedType::isDynamic(size) ? OpFoldResult((*dynamic)[type.getDynamicDimIndex(axis)])
                                                : OpFoldResult(b.getIndexAttr(size)));
    Value isEqual =
        b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::eq, index(sizeOf(*from, axis)), index(sizes[axis]));
    isSame = b.createOrFold<arith::AndIOp>(loc, isSame, isEqual);
  }
  Value count = arith::ConstantIndexOp::create(b, loc, 1);
  for (int64_t axis = type.getRank() - 1; axis >= 0; --axis) {
    strides[axis] = getAsOpFoldResult(count);
    count = b.createOrFold<arith::MulIOp>(loc, count, index(sizes[axis]));
  }
  Value room = arith::SelectOp::create(b, loc, isSame, index(b.getIndexAttr(0)), count);
  Value flat = allocate(RankedTensorType::get({ShapedType::kDynamic}, type.getElementType()), room);
  auto wanted = MemRefType::get(type.getShape(), type.getElementType());
  Value repeated = memref::ReinterpretCastOp::create(b, loc, wanted, flat, b.getIndexAttr(0), sizes, strides);
  Value differs = arith::XOrIOp::create(b, loc, isSame, arith::ConstantOp::create(b, loc, b.getBoolAttr(true)));
  auto branch = scf::IfOp::create(b, loc, differs, /*withElseRegion=*/false);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    if (failed(emitRepeat(*from, repeated)))
      return failure();
  }
  Value same = from->getType() == wanted ? *from : Value(memref::CastOp::create(b, loc, wanted, *from));
  memory[op.getY()] = arith::SelectOp::create(b, loc, isSame, same, repeated);
  return success();
}

/// to[i] = from[i], and from[0] along dimensions of which there is but one
LogicalResult EntryOutliner::emitRepeat(Value from, Value to) {
  SmallVector<Value> operands = {kernelOperand(from), kernelOperand(to)};
  func::FuncOp kernel = makeKernel(context, sched::Kind::Loops, operands);
  OpBuilder k = OpBuilder::atBlockEnd(&kernel.getBody().front());
  int64_t rank = cast<MemRefType>(from.getType()).getRank();
  Value source = kernel.getArgument(0);
  SmallVector<Value> last;
  for (int64_t axis = 0; axis < rank; ++axis)
    last.push_back(arith::SubIOp::create(k, loc, memref::DimOp::create(k, loc, source, axis),
                                         arith::ConstantIndexOp::create(k, loc, 1)));
  SmallVector<utils::IteratorType> iterators(rank, utils::IteratorType::parallel);
  linalg::GenericOp::create(
      k, loc, ValueRange{}, ValueRange{kernel.getArgument(1)}, ArrayRef<AffineMap>{k.getMultiDimIdentityMap(rank)},
      iterators, [&](OpBuilder &nested, Location l, ValueRange) {
        SmallVector<Value> at;
        for (int64_t axis = 0; axis < rank; ++axis)
          at.push_back(arith::MinSIOp::create(nested, l, linalg::IndexOp::create(nested, l, axis), last[axis]));
        linalg::YieldOp::create(nested, l, memref::LoadOp::create(nested, l, source, at).getResult());
      });
  func::ReturnOp::create(k, loc);
  return callKernel(kernel, operands);
}

LogicalResult EntryOutliner::emitStructured(Operation *op) {
  SmallVector<Value> operands;
  for (Value operand : op->getOperands()) {
    auto value = operand.getType().isIndex() ? scalarOf(operand) : memoryOf(operand);
    if (failed(value))
      return failure();
    operands.push_back(kernelOperand(*value));
  }
  for (Value result : op->getResults()) {
    auto memref = memoryOf(result);
    if (failed(memref))
      return failure();
    operands.push_back(kernelOperand(*memref));
  }
  func::FuncOp kernel = makeKernel(context, sched::Kind::Lowered, operands);
  OpBuilder k = OpBuilder::atBlockEnd(&kernel.getBody().front());
  SmallVector<Value> arguments(kernel.getArguments().begin(), kernel.getArguments().end());
  ArrayRef<Value> list(arguments);
  if (failed(lowerToLoops(op, k, list.take_front(op->getNumOperands()),
                          list.slice(op->getNumOperands(), op->getNumResults()))))
    return op->emitError("'") << op->getName() << "' has no loops";
  func::ReturnOp::create(k, loc);
  return callKernel(kernel, operands);
}

/// An input, among those in `known`, of the op that makes `result` that walks the loop of its dimension `axis`, and its own dimension there.
static std::pair<Value, int64_t> inputWithLoop(Value result, int64_t axis, const llvm::SmallPtrSetImpl<Value> &known) {
  auto op = result.getDefiningOp<linalg::GenericOp>();
  AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(cast<OpResult>(result).getResultNumber()));
  for (OpOperand *input : op.getDpsInputOperands())
    if (auto position = op.getMatchingIndexingMap(input).getResultPosition(map.getResult(axis));
        position && known.contains(input->get()))
      return {input->get(), *position};
  return {};
}

LogicalResult EntryOutliner::emitGroup(ArrayRef<Operation *> members) {
  auto first = cast<linalg::GenericOp>(members.front());
  sched::Kind kind = *sched::kindOf(first);
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
      bool rowScalar = kind == sched::Kind::Rows &&
                       cast<RankedTensorType>(result.getType()).getRank() < static_cast<int64_t>(first.getNumLoops());
      bool accumulator = kind == sched::Kind::Contract && op == first && members.size() > 1;
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

  // Sizes of internal buffers: from an operand with the same loop, found through the maps; a constant that is spread over a loop has
  // none, and the size is an operand of its own.
  DenseMap<std::pair<Value, int64_t>, Value> extents;
  llvm::SmallPtrSet<Value, 8> known;
  for (auto &[tensor, memref] : buffers)
    known.insert(tensor);
  for (Value result : internal) {
    auto type = cast<RankedTensorType>(result.getType());
    for (int64_t axis = 0; axis < type.getRank(); ++axis)
      if (type.isDynamicDim(axis) && !inputWithLoop(result, axis, known).first) {
        auto sizes = dynamicSizes(result);
        if (failed(sizes))
          return failure();
        extents[{result, axis}] = (*sizes)[type.getDynamicDimIndex(axis)];
        operands.push_back(extents[{result, axis}]);
      }
    known.insert(result);
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
    SmallVector<Value> sizes;
    for (int64_t axis = 0; axis < type.getRank(); ++axis) {
      if (!type.isDynamicDim(axis))
        continue;
      if (Value extent = extents.lookup({result, axis})) {
        auto at = llvm::find(operands, extent) - operands.begin();
        sizes.push_back(kernel.getArgument(at));
        continue;
      }
      auto [input, position] = inputWithLoop(result, axis, known);
      sizes.push_back(memref::DimOp::create(k, loc, local.lookup(input), position));
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
