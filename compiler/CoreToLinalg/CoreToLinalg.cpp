// CoreToLinalg: one forward walk that builds a second body of each function from linalg, tensor and arith (see Passes.td). Signs
// leave the types here: ui8 becomes i8, and what the sign decided has been decided by the scalar bodies.
#include "compiler/CoreToLinalg/LinalgBuilder.h"
#include "compiler/Passes.h"
#include "dialects/core/CoreBuilder.h"
#include "dialects/core/Scalar.h"
#include "dialects/onnx/Signature.h"
#include "dialects/sched/Kernel.h"
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

  LogicalResult lowerConstant(ConstantOp constant) {
    ElementsAttr value = signlessElements(constant.getValue());
    // Splats are seen by the elementwise fusion, which writes them into the bodies.
    if (auto dense = dyn_cast<DenseElementsAttr>(value); dense && dense.isSplat())
      mapping.map(constant.getResult(), arith::ConstantOp::create(builder, l.loc, dense).getResult());
    else
      mapping.map(constant.getResult(), ConstantOp::create(builder, l.loc, value, constant.getNameAttr()).getResult());
    return success();
  }

  /// Null for index arithmetic, state, and the structured ops that become loops.
  Value asLinalg(Operation *op) {
    return TypeSwitch<Operation *, Value>(op)
        .Case<Pointwise>([&](Pointwise p) { return pointwise(p); })
        .Case<BroadcastOp>([&](BroadcastOp o) {
          return l.broadcast(in(o.getX()), o.getAxes(), sizesLike(o.getType(), in(o.getMixedSizes())), o.getSingle());
        })
        .Case<ReshapeOp>([&](ReshapeOp o) {
          auto isSame = [&](int64_t from, int64_t to) {
            return hasSize(o.getX(), from, o.getMixedSizes()[to], onnx::symbolOf);
          };
          return l.reshape(in(o.getX()), sizesLike(o.getType(), in(o.getMixedSizes())), isSame);
        })
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
        .Case<GatherNdOp>([&](GatherNdOp o) { return l.gatherNd(in(o.getX()), in(o.getIndices()), o.getBatchDims()); })
        .Case<GatherElementsOp>(
            [&](GatherElementsOp o) { return l.gatherElements(in(o.getX()), in(o.getIndices()), o.getAxis()); })
        .Case<ReduceOp>(
            [&](ReduceOp o) { return l.reduce(o.getKind(), in(o.getX()), o.getAxes(), elementOf(o.getX())); })
        .Case<ArgReduceOp>([&](ArgReduceOp o) {
          return l.argReduce(o.getKind() == Reduction::Max, in(o.getX()), o.getAxis(), o.getLast(),
                             elementOf(o.getX()));
        })
        .Case<WindowReduceOp>([&](WindowReduceOp o) {
          return l.windowReduce(o.getKind(), in(o.getX()), o.getSize(), o.getStrides(), o.getDilations(), o.getPadLow(),
                                o.getPadHigh(), elementOf(o.getX()));
        })
        .Case<DotOp>([&](DotOp o) { return l.dot(o, in(o.getX()), in(o.getY())); })
        .Case<ConvOp>([&](ConvOp o) { return l.conv(o, in(o.getX()), in(o.getY())); })
        .Case<RandomBitsOp>([&](RandomBitsOp o) {
          return l.randomBits(in(o.getSeed()), sizesLike(o.getType(), in(o.getMixedSizes())));
        })
        .Default([](Operation *) { return Value(); });
  }

  LogicalResult lower(Operation *op) {
    if (isa<IfOp, LoopOp>(op))
      return lowerControl(op);
    if (auto constant = dyn_cast<ConstantOp>(op))
      return lowerConstant(constant);
    if (Value result = asLinalg(op)) {
      auto type = signlessTensor(op->getResult(0).getType());
      if (result.getType() != type)
        result = tensor::CastOp::create(builder, l.loc, type, result);
      mapping.map(op->getResult(0), result);
      return success();
    }
    Operation *clone = builder.clone(*op, mapping);
    for (OpResult value : clone->getResults())
      value.setType(signlessTensor(value.getType()));
    bool isUnsignedOp = op->getNumOperands() > 0 && isa<RankedTensorType>(op->getOperand(0).getType()) &&
                        isUnsigned(elementOf(op->getOperand(0)));
    if (isUnsignedOp && isa<ScanOp, SortOp, SortRowsOp, ScatterNdOp, ScatterElementsOp>(op))
      clone->setAttr("is_unsigned", builder.getUnitAttr());
    if (sumsInMemory(op))
      accumulateWide(op, clone);
    return success();
  }

  /// Running sums, and those of a scatter, which are in the result's memory while they grow.
  static bool sumsInMemory(Operation *op) {
    auto sums = [](Reduction kind) { return kind == Reduction::Sum || kind == Reduction::Prod; };
    return TypeSwitch<Operation *, bool>(op)
        .Case<ScanOp>([&](ScanOp o) { return sums(o.getKind()); })
        .Case<ScatterNdOp, ScatterElementsOp>([&](auto o) { return sums(o.getReduction()); })
        .Default(false);
  }

  /// Sums of halves in float32, rounded once.
  void accumulateWide(Operation *op, Operation *clone) {
    Type element = elementOf(op->getResult(0)), accumulator = accumulatorOf(element);
    if (accumulator == element)
      return;
    builder.setInsertionPoint(clone);
    for (OpOperand &operand : clone->getOpOperands())
      if (auto type = dyn_cast<RankedTensorType>(operand.get().getType()); type && type.getElementType() == element)
        operand.set(l.convert(operand.get(), element, accumulator));
    Value sum = clone->getResult(0);
    sum.setType(cast<RankedTensorType>(sum.getType()).clone(accumulator));
    builder.setInsertionPointAfter(clone);
    mapping.map(op->getResult(0), l.convert(sum, accumulator, element));
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
      if (!function.isExternal() && !sched::isKernel(function) && failed(FunctionLowering(function, onDevice).run()))
        return signalPassFailure();
  }
};

} // namespace
