// AddTraining: from an inference model to one with a training step (see Passes.td).
#include "compiler/Core/Differentiate.h"
#include "compiler/Core/Optimizer.h"
#include "compiler/Passes.h"
#include "dialects/onnx/Signature.h"
#include "dialects/rt/Program.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/GlobPattern.h"

namespace mlc {
#define GEN_PASS_DEF_ADDTRAINING
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;
using namespace mlc::core;

namespace {

struct AddTraining : mlc::impl::AddTrainingBase<AddTraining> {
  using AddTrainingBase::AddTrainingBase;

  /// The trainable constants of @main, by name, in order.
  FailureOr<llvm::MapVector<StringRef, ElementsAttr>> findTrainable(func::FuncOp main) {
    SmallVector<llvm::GlobPattern> patterns;
    for (const std::string &text : trainable) {
      auto pattern = llvm::GlobPattern::create(text);
      if (!pattern) {
        llvm::consumeError(pattern.takeError());
        return main.emitError("--trainable: '") << text << "' is not a pattern";
      }
      patterns.push_back(std::move(*pattern));
    }
    llvm::MapVector<StringRef, ElementsAttr> result;
    SmallVector<bool> isUsed(patterns.size());
    main.walk([&](ConstantOp op) {
      if (!op.getName() || !isa<FloatType>(op.getValue().getElementType()))
        return;
      bool matches = patterns.empty();
      for (auto [pattern, used] : llvm::zip_equal(patterns, isUsed))
        if (pattern.match(*op.getName()))
          matches = used = true;
      if (matches)
        result.insert({*op.getName(), op.getValue()});
    });
    for (auto [text, used] : llvm::zip(trainable, isUsed))
      if (!used)
        return main.emitError("--trainable: no floating-point initializer of the model matches '") << text << "'";
    if (result.empty())
      return main.emitError("--train: the model has no trainable initializer");
    return result;
  }

  static void useParameters(func::FuncOp function, const llvm::MapVector<StringRef, ElementsAttr> &parameters,
                            llvm::MapVector<StringRef, Value> &values) {
    SmallVector<ConstantOp> constants;
    function.walk([&](ConstantOp op) {
      if (op.getName() && parameters.count(*op.getName()))
        constants.push_back(op);
    });
    for (ConstantOp op : constants) {
      Value &value = values[parameters.find(*op.getName())->first];
      if (!value) {
        OpBuilder b =
            OpBuilder::atBlockBegin(&function.getBody().front()); // anew: the first op may be a constant that is erased
        value = ParameterOp::create(b, op.getLoc(), op.getType(), *op.getName());
      }
      op.replaceAllUsesWith(value);
    }
    for (ConstantOp op : constants) // at the end: one of them may be where the builder inserts
      op.erase();
  }

  /// Adds the argument that the loss compares with; its batch dimension is the model's.
  FailureOr<Value> addTarget(func::FuncOp step, func::FuncOp main, Value output) {
    auto type = cast<RankedTensorType>(output.getType());
    OpBuilder b(&getContext());
    RankedTensorType targetType = type;
    StringRef name = "target";
    if (loss == "cross_entropy") {
      if (type.getRank() != 2 || !isa<FloatType>(type.getElementType()))
        return main.emitError("--loss=cross_entropy needs a first output float[N, C] of logits, found ") << type;
      targetType = RankedTensorType::get({type.getDimSize(0)}, b.getI64Type());
      name = "label";
    }
    auto hasSymbol = [&main](StringRef symbol) {
      return llvm::any_of(main.getArguments(), [symbol](BlockArgument argument) {
        auto type = dyn_cast<ShapedType>(argument.getType());
        return type && type.hasRank() && llvm::any_of(llvm::seq<int64_t>(0, type.getRank()), [&](int64_t axis) {
                 return onnx::symbolOf(argument, axis) == symbol;
               });
      });
    };
    // Names of dynamic dimensions: the output's own, else the first input's of the same place.
    SmallVector<std::string> dims(targetType.getRank());
    for (int64_t axis = 0; axis < targetType.getRank(); ++axis)
      if (targetType.isDynamicDim(axis)) {
        StringRef own = onnx::Declaration::ofResult(main, 0).symbol(axis);
        // An output's symbol that no input has would be unknown to the caller.
        dims[axis] = hasSymbol(own) || main.getNumArguments() == 0 ? own : onnx::symbolOf(main.getArgument(0), axis);
      }
    DictionaryAttr attributes = onnx::Declaration::make(b, name, dims);
    if (failed(step.insertArgument(step.getNumArguments(), targetType, attributes, step.getLoc())))
      return failure();
    return Value(step.getArguments().back());
  }

  LogicalResult checkOptions(func::FuncOp main) {
    if (loss != "cross_entropy" && loss != "mse")
      return main.emitError("unknown loss '") << loss << "'; known are cross_entropy and mse";
    if (optimizer != "sgd" && optimizer != "adam")
      return main.emitError("unknown optimizer '") << optimizer << "'; known are sgd and adam";
    return success();
  }

  Value buildLoss(CoreBuilder &b, Value output, Value target) {
    bool isCrossEntropy = loss == "cross_entropy";
    for (int64_t axis = 0; axis < CoreBuilder::rankOf(target); ++axis)
      b.requireSame(b.dim(output, isCrossEntropy && axis > 0 ? axis + 1 : axis), b.dim(target, axis),
                    "sizes of output and target");
    if (!isCrossEntropy)
      return meanSquaredError(b, output, target);
    Value zero = b.index(b.builder.getIndexAttr(0));
    CheckRangeOp::create(b.builder, b.loc, target, zero, b.index(b.dim(output, 1)), "label");
    return crossEntropy(b, output, target);
  }

  /// The update of every parameter; returns the slots that it keeps.
  SmallVector<Slot> buildUpdates(CoreBuilder &b, const llvm::MapVector<StringRef, Value> &values,
                                 ArrayRef<Value> gradients) {
    OptimizerOptions options{optimizer, learningRate != 0 ? learningRate : optimizer == "sgd" ? 0.05 : 1e-3,
                             momentum,  beta1,
                             beta2,     epsilon};
    SmallVector<Slot> slots;
    Value count;
    if (optimizer == "adam") {
      auto type = RankedTensorType::get({}, b.builder.getF32Type());
      slots.push_back({"optimizer.step", type});
      count = b.expr(ParameterOp::create(b.builder, b.loc, type, "optimizer.step")) + 1.0;
      AssignOp::create(b.builder, b.loc, b.builder.getStringAttr("optimizer.step"), count);
    }
    for (auto [value, gradient] : llvm::zip_equal(values, gradients))
      buildUpdate(b, options, value.first, value.second, gradient, count, slots);
    return slots;
  }

  /// Parameters with their initial values, then slots.
  void declareState(const llvm::MapVector<StringRef, ElementsAttr> &parameters, ArrayRef<Slot> slots) {
    SmallVector<rt::SlotAttr> state;
    for (auto &[name, value] : parameters)
      state.push_back(rt::SlotAttr::get(&getContext(), name, cast<RankedTensorType>(value.getType()),
                                        /*parameter=*/true, value, /*offset=*/-1, /*weights_offset=*/-1));
    for (const Slot &slot : slots)
      state.push_back(rt::SlotAttr::get(&getContext(), slot.name, slot.type, /*parameter=*/false, ElementsAttr(),
                                        /*offset=*/-1, /*weights_offset=*/-1));
    rt::setState(getOperation(), state);
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto main = module.lookupSymbol<func::FuncOp>("main");
    if (!main || module.lookupSymbol("train_step"))
      return;
    if (failed(checkOptions(main)))
      return signalPassFailure();
    auto parameters = findTrainable(main);
    if (failed(parameters))
      return signalPassFailure();

    auto step = main.clone();
    step.setName("train_step");
    module.push_back(step);
    llvm::MapVector<StringRef, Value> ignored, values;
    useParameters(main, *parameters, ignored);
    useParameters(step, *parameters, values);

    auto ret = cast<func::ReturnOp>(step.getBody().front().getTerminator());
    if (ret.getNumOperands() == 0) {
      main.emitError("--train: the model has no output");
      return signalPassFailure();
    }
    Value output = ret.getOperand(0);
    auto target = addTarget(step, main, output);
    if (failed(target))
      return signalPassFailure();

    OpBuilder builder(ret);
    CoreBuilder b(builder, NameLoc::get(builder.getStringAttr("loss")));
    b.assumeRequired(step.getBody().front());
    Value lossValue = buildLoss(b, output, *target);
    auto gradients = differentiate(b, lossValue, llvm::to_vector(llvm::make_second_range(values)));
    if (failed(gradients))
      return signalPassFailure();
    b.loc = NameLoc::get(builder.getStringAttr("optimizer"));
    SmallVector<Slot> slots = buildUpdates(b, values, *gradients);
    if (b.failed) // the builder has said why
      return signalPassFailure();

    ret->setOperands(lossValue);
    step.setType(builder.getFunctionType(step.getArgumentTypes(), lossValue.getType()));
    SmallVector<DictionaryAttr> resultAttributes = {onnx::Declaration::make(builder, "loss", ArrayRef<std::string>())};
    step.setAllResultAttrs(ArrayRef<DictionaryAttr>(resultAttributes));
    declareState(*parameters, slots);
  }
};

} // namespace
