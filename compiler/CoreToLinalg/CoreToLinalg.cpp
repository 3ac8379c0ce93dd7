// CoreToLinalg: one forward walk that builds a second body of each function from linalg, tensor and arith (see Passes.td). Signs
// leave the types here: ui8 becomes i8, and what the sign decided has been decided by the scalar bodies.
#include "compiler/CoreToLinalg/LinalgBuilder.h"
#include "compiler/Passes.h"
#include "compiler/Schedule/Kernels.h"
#include "dialects/core/CoreBuilder.h"
#include "dialects/core/Scalar.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlc {
#define GEN_PASS_DEF_CORETOLINALG
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;
using namespace mlc::core;

namespace {

Type signlessTensor(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor ? RankedTensorType::get(tensor.getShape(), signless(tensor.getElementType()), tensor.getEncoding())
                : type;
}

ElementsAttr signlessElements(ElementsAttr value) {
  auto type = cast<RankedTensorType>(signlessTensor(value.getType()));
  if (type == value.getType())
    return value;
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(value))
    return DenseResourceElementsAttr::get(type, resource.getRawHandle());
  return DenseElementsAttr::getFromRawBuffer(type, cast<DenseElementsAttr>(value).getRawData());
}

class FunctionLowering {
public:
  FunctionLowering(func::FuncOp function, bool onDevice)
      : function(function), builder(function.getContext()), l(builder, function.getLoc()), onDevice(onDevice) {}

  LogicalResult run() {
    Block &old = function.getBody().front();
    auto *block = new Block();
    SmallVector<Type> inputs;
    for (BlockArgument argument : old.getArguments()) {
      inputs.push_back(signlessTensor(argument.getType()));
      mapping.map(argument, block->addArgument(inputs.back(), argument.getLoc()));
    }
    function.getBody().push_back(block);
    builder.setInsertionPointToEnd(block);
    for (Operation &op : old) {
      l.loc = op.getLoc();
      if (failed(lower(&op)))
        return failure();
    }
    old.dropAllDefinedValueUses();
    old.erase();
    SmallVector<Type> results(block->getTerminator()->getOperandTypes());
    function.setType(builder.getFunctionType(inputs, results));
    return success();
  }

private:
  Value in(Value value) { return mapping.lookup(value); }
  Sizes in(const Sizes &sizes) {
    Sizes result;
    for (OpFoldResult size : sizes)
      result.push_back(isa<Attribute>(size) ? size : OpFoldResult(in(cast<Value>(size))));
    return result;
  }
  /// Sizes of a core value, static where its type says so.
  Sizes sizesLike(RankedTensorType type, const Sizes &sizes) {
    Sizes result = sizes;
    for (auto [axis, size] : llvm::enumerate(type.getShape()))
      if (!ShapedType::isDynamic(size))
        result[axis] = builder.getIndexAttr(size);
    return result;
  }

  /// The same op around lowered regions.
  LogicalResult lowerControl(Operation *op) {
    auto loop = dyn_cast<LoopOp>(op);
    if (onDevice && (isa<IfOp>(op) || loop.getCondition()))
      return op->emitError("a condition that is computed at run time is not supported on a GPU");
    OperationState state(l.loc, op->getName());
    for (Value operand : op->getOperands())
      state.addOperands(in(operand));
    for (Type type : op->getResultTypes())
      state.addTypes(signlessTensor(type));
    state.addAttributes(op->getAttrs());
    for (size_t i = 0; i < op->getNumRegions(); ++i)
      state.addRegion();
    Operation *lowered = builder.create(state);
    mapping.map(op->getResults(), lowered->getResults());
    OpBuilder::InsertionGuard guard(builder);
    for (auto [from, to] : llvm::zip_equal(op->getRegions(), lowered->getRegions())) {
      Block *block = builder.createBlock(&to);
      for (BlockArgument argument : from.getArguments())
        mapping.map(argument, block->addArgument(signlessTensor(argument.getType()), argument.getLoc()));
      for (Operation &nested : from.front()) {
        l.loc = nested.getLoc();
        if (failed(lower(&nested)))
          return failure();
      }
    }
    return success();
  }

  LogicalResult lower(Operation *op) {
    if (isa<IfOp, LoopOp>(op))
      return lowerControl(op);
    if (auto constant = dyn_cast<ConstantOp>(op)) {
      ElementsAttr value = signlessElements(constant.getValue());
      // Splats are seen by the elementwise fusion, which writes them into the bodies.
      if (auto dense = dyn_cast<DenseElementsAttr>(value); dense && dense.isSplat())
        mapping.map(op->getResult(0), arith::ConstantOp::create(builder, l.loc, dense).getResult());
      else
        mapping.map(op->getResult(0), ConstantOp::create(builder, l.loc, value, constant.getNameAttr()).getResult());
      return success();
    }
    checkGather(op);
    checkSizes(op);
    Value result =
        TypeSwitch<Operation *, Value>(op)
            .Case<Pointwise>([&](Pointwise p) { return pointwise(p); })
            .Case<BroadcastOp>([&](BroadcastOp o) {
              return l.broadcast(in(o.getX()), o.getAxes(), sizesLike(o.getType(), in(o.getMixedSizes())));
            })
            .Case<ReshapeOp>(
                [&](ReshapeOp o) { return l.reshape(in(o.getX()), sizesLike(o.getType(), in(o.getMixedSizes()))); })
            .Case<TransposeOp>([&](TransposeOp o) { return l.transpose(in(o.getX()), o.getPermutation()); })
            .Case<SliceOp>([&](SliceOp o) {
              return l.slice(in(o.getX()), in(o.getMixedStarts()), sizesLike(o.getType(), in(o.getMixedSizes())),
                             o.getStrides());
            })
            .Case<ReverseOp>([&](ReverseOp o) { return l.reverse(in(o.getX()), o.getAxes()); })
            .Case<PadOp>([&](PadOp o) {
              return l.pad(in(o.getX()), in(o.getValue()), in(o.getMixedLow()), in(o.getMixedHigh()), o.getInterior());
            })
            .Case<ConcatOp>([&](ConcatOp o) {
              SmallVector<Value> values;
              for (Value value : o.getValues())
                values.push_back(in(value));
              return l.concat(values, o.getAxis(), cast<RankedTensorType>(signlessTensor(o.getType())));
            })
            .Case<IotaOp>([&](IotaOp o) {
              return l.iota(sizesLike(o.getType(), in(o.getMixedSizes())), o.getAxis(), o.getType().getElementType());
            })
            .Case<GatherOp>([&](GatherOp o) { return l.gather(in(o.getX()), in(o.getIndices()), o.getAxis()); })
            .Case<GatherNdOp>(
                [&](GatherNdOp o) { return l.gatherNd(in(o.getX()), in(o.getIndices()), o.getBatchDims()); })
            .Case<GatherElementsOp>(
                [&](GatherElementsOp o) { return l.gatherElements(in(o.getX()), in(o.getIndices()), o.getAxis()); })
            .Case<ReduceOp>(
                [&](ReduceOp o) { return l.reduce(o.getKind(), in(o.getX()), o.getAxes(), elementOf(o.getX())); })
            .Case<ArgReduceOp>([&](ArgReduceOp o) {
              return l.argReduce(o.getKind() == Reduction::Max, in(o.getX()), o.getAxis(), o.getLast(),
                                 elementOf(o.getX()));
            })
            .Case<WindowReduceOp>([&](WindowReduceOp o) {
              return l.windowReduce(o.getKind(), in(o.getX()), o.getSize(), o.getStrides(), o.getDilations(),
                                    o.getPadLow(), o.getPadHigh(), elementOf(o.getX()));
            })
            .Case<DotOp>([&](DotOp o) { return l.dot(o, in(o.getX()), in(o.getY())); })
            .Case<ConvOp>([&](ConvOp o) { return l.conv(o, in(o.getX()), in(o.getY())); })
            .Case<RandomBitsOp>([&](RandomBitsOp o) {
              return l.randomBits(in(o.getSeed()), sizesLike(o.getType(), in(o.getMixedSizes())));
            })
            .Default([](Operation *) { return Value(); });
    if (result) {
      auto type = signlessTensor(op->getResult(0).getType());
      if (result.getType() != type)
        result = tensor::CastOp::create(builder, l.loc, type, result);
      mapping.map(op->getResult(0), result);
      return success();
    }
    // Index arithmetic, state, and the structured ops that become loops.
    Operation *clone = builder.clone(*op, mapping);
    for (OpResult value : clone->getResults())
      value.setType(signlessTensor(value.getType()));
    bool isUnsignedOp = op->getNumOperands() > 0 && isa<RankedTensorType>(op->getOperand(0).getType()) &&
                        isUnsigned(elementOf(op->getOperand(0)));
    if (isUnsignedOp && isa<ScanOp, SortOp, SortRowsOp, ScatterNdOp, ScatterElementsOp>(op))
      clone->setAttr("is_unsigned", builder.getUnitAttr());
    return success();
  }

  /// Indices that are no constants are checked before they are used; what reads with them only stays inside of the tensor.
  void checkGather(Operation *op) {
    Value x, indices;
    int64_t axis;
    if (auto gather = dyn_cast<GatherOp>(op))
      x = gather.getX(), indices = gather.getIndices(), axis = gather.getAxis();
    else if (auto elements = dyn_cast<GatherElementsOp>(op))
      x = elements.getX(), indices = elements.getIndices(), axis = elements.getAxis();
    else
      return;
    // Only what comes from outside: what the model computes (positions, sorted indices) is in range unless the model is wrong.
    Value source = indices;
    while (Operation *definition = source.getDefiningOp()) {
      if (!isa<ReshapeOp, BroadcastOp, CastOp, TransposeOp, SliceOp, ConcatOp>(definition))
        return;
      source = definition->getOperand(0);
    }
    if (isFunctionArgument(source)) // what a loop carries may have room for more than there is
      indices = source;
    Value size = l.index(l.sizesOf(in(x))[axis]);
    Value lower = arith::SubIOp::create(builder, l.loc, l.constantIndex(0), size);
    CheckRangeOp::create(builder, l.loc, in(indices), lower, size, nameOf(indices));
  }

  /// Is the size computed from the elements of a tensor, not only from other sizes?
  static bool dependsOnData(Value size) {
    SmallVector<Value> work = {size};
    llvm::SmallPtrSet<Operation *, 16> seen;
    while (!work.empty()) {
      Operation *definition = work.pop_back_val().getDefiningOp();
      if (!definition || isa<tensor::DimOp>(definition) || !seen.insert(definition).second)
        continue;
      if (isa<tensor::ExtractOp>(definition))
        return true;
      llvm::append_range(work, definition->getOperands());
    }
    return false;
  }
  static bool dependsOnData(OpFoldResult size) { return isa<Value>(size) && dependsOnData(cast<Value>(size)); }

  /// The first elements, as many as a bounded size of the whole says.
  static bool isBoundedBy(OpFoldResult start, OpFoldResult size, SliceOp slice, int64_t axis) {
    auto value = dyn_cast<Value>(size);
    auto bounded = value ? value.getDefiningOp<BoundedSizeOp>() : BoundedSizeOp();
    return isConstantIntValue(start, 0) && slice.getStrides()[axis] == 1 && bounded &&
           hasSize(slice.getX(), axis, bounded.getMax());
  }

  void checkRange(Value number, Value lower, Value upper, StringRef what) {
    auto type = RankedTensorType::get({}, builder.getI64Type());
    Value integer = arith::IndexCastOp::create(builder, l.loc, builder.getI64Type(), number);
    CheckRangeOp::create(builder, l.loc, tensor::FromElementsOp::create(builder, l.loc, type, integer), lower, upper,
                         what);
  }

  /// What a slice reads, and what a reshape takes the elements for, is checked where only the data says it.
  void checkSizes(Operation *op) {
    if (auto slice = dyn_cast<SliceOp>(op)) {
      Sizes from = l.sizesOf(in(slice.getX())), starts = slice.getMixedStarts(), sizes = slice.getMixedSizes();
      for (size_t axis = 0; axis < from.size(); ++axis) {
        if (!dependsOnData(starts[axis]) && !dependsOnData(sizes[axis]))
          continue;
        if (isBoundedBy(starts[axis], sizes[axis], slice, axis))
          continue;
        Value zero = l.constantIndex(0), one = l.constantIndex(1),
              limit = arith::AddIOp::create(builder, l.loc, l.index(from[axis]), one);
        Value start = l.index(in(starts)[axis]), size = l.index(in(sizes)[axis]);
        checkRange(start, zero, limit, "the start of a slice");
        checkRange(size, zero, limit, "the size of a slice");
        // start + (size - 1) * stride; of an empty slice one stride less than the start
        int64_t stride = slice.getStrides()[axis];
        Value steps = arith::SubIOp::create(builder, l.loc, size, one);
        Value last = arith::AddIOp::create(builder, l.loc, start,
                                           arith::MulIOp::create(builder, l.loc, steps, l.constantIndex(stride)));
        checkRange(last, l.constantIndex(-stride), l.index(from[axis]), "the end of a slice");
      }
    } else if (auto reshape = dyn_cast<ReshapeOp>(op)) {
      if (reshape.getX().getType().hasStaticShape() || !reshape.getType().hasStaticShape())
        return;
      Value count = l.constantIndex(1), one = count;
      for (OpFoldResult size : l.sizesOf(in(reshape.getX())))
        count = builder.createOrFold<arith::MulIOp>(l.loc, count, l.index(size));
      Value expected = l.constantIndex(reshape.getType().getNumElements());
      checkRange(count, expected, arith::AddIOp::create(builder, l.loc, expected, one), "the number of elements");
    }
  }

  std::string nameOf(Value value) {
    if (isFunctionArgument(value))
      if (auto name = function.getArgAttrOfType<StringAttr>(cast<BlockArgument>(value).getArgNumber(), "onnx.name"))
        return name.str();
    return "index";
  }

  bool isFunctionArgument(Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && argument.getOwner()->getParentOp() == function;
  }

  static Type elementOf(Value value) { return cast<RankedTensorType>(value.getType()).getElementType(); }

  Value pointwise(Pointwise op) {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(in(operand));
    auto type = cast<RankedTensorType>(signlessTensor(op->getResult(0).getType()));
    return l.pointwise(operands, type,
                       [&](OpBuilder &b, Location loc, ValueRange scalars) { return op.emitScalar(b, loc, scalars); });
  }

  func::FuncOp function;
  OpBuilder builder;
  LinalgBuilder l;
  bool onDevice;
  IRMapping mapping;
};

struct CoreToLinalg : mlc::impl::CoreToLinalgBase<CoreToLinalg> {
  using CoreToLinalgBase::CoreToLinalgBase;

  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal() && kernelKind(function) == "" && failed(FunctionLowering(function, onDevice).run()))
        return signalPassFailure();
  }
};

} // namespace
