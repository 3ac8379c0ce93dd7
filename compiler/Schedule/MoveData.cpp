// MoveData: makes every movement of data explicit before grouping (see Passes.td).
#include "compiler/Passes.h"
#include "compiler/Rewrites.h"
#include "compiler/Schedule/Kernels.h"
#include "dialects/core/Core.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

namespace mlc {
#define GEN_PASS_DEF_MOVEDATA
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;

/// A tensor of one value: linalg.generic without inputs. GroupOps makes a pointwise kernel of it.
static Value fillGeneric(OpBuilder &b, Location loc, Value scalar, Value empty) {
  auto type = cast<RankedTensorType>(empty.getType());
  AffineMap identity = b.getMultiDimIdentityMap(type.getRank());
  SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, type, ValueRange{}, ValueRange{empty}, ArrayRef{identity}, iterators,
             [&](OpBuilder &nested, Location l, ValueRange) { linalg::YieldOp::create(nested, l, scalar); })
      .getResult(0);
}

/// A fill or an empty tensor that nothing else uses, made where the operand is used.
static void makeOwn(OpOperand &operand) {
  Operation *definition = operand.get().getDefiningOp(), *user = operand.getOwner();
  auto filler = dyn_cast_or_null<linalg::GenericOp>(definition);
  bool isFresh = isa_and_nonnull<tensor::EmptyOp>(definition) || (filler && filler.getNumDpsInputs() == 0);
  if (!isFresh || (operand.get().hasOneUse() && definition->getBlock() == user->getBlock()))
    return;
  OpBuilder b(user);
  operand.set(b.clone(*definition)->getResult(0));
}

namespace {
struct MoveData : mlc::impl::MoveDataBase<MoveData> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    for (auto function : module.getOps<func::FuncOp>()) {
      if (function.isExternal() || sched::isKernel(function))
        continue;
      // The result's sizes travel as further operands of the return.
      auto ret = cast<func::ReturnOp>(function.getBody().front().getTerminator());
      OpBuilder b(ret);
      SmallVector<Value> operands(ret.getOperands());
      SmallVector<Type> types(function.getResultTypes());
      SmallVector<DictionaryAttr> attributes;
      function.getAllResultAttrs(attributes);
      attributes.resize(types.size());
      for (Value value : ret.getOperands())
        if (auto type = dyn_cast<RankedTensorType>(value.getType()))
          for (int64_t axis = 0; axis < type.getRank(); ++axis)
            if (type.isDynamicDim(axis)) {
              operands.push_back(tensor::DimOp::create(b, ret.getLoc(), value, axis));
              types.push_back(b.getIndexType());
              attributes.push_back(DictionaryAttr::get(&getContext()));
            }
      ret->setOperands(operands);
      function.setType(b.getFunctionType(function.getArgumentTypes(), types));
      function.setAllResultAttrs(attributes);
    }
    RewritePatternSet patterns(&getContext());
    addDimPatterns(patterns);
    for (Dialect *dialect : getContext().getLoadedDialects())
      if (isa<tensor::TensorDialect, arith::ArithDialect, affine::AffineDialect>(dialect))
        dialect->getCanonicalizationPatterns(patterns);
    for (RegisteredOperationName op : getContext().getRegisteredOperations())
      if (StringRef name = op.getDialectNamespace(); name == "tensor" || name == "arith" || name == "affine")
        op.getCanonicalizationPatterns(patterns, &getContext());
    if (failed(rewriteToEnd(module, std::move(patterns), getArgument())))
      return signalPassFailure();

    // A fill that is more than the start of one accumulation is data.
    for (auto function : module.getOps<func::FuncOp>()) {
      SmallVector<linalg::FillOp> fills;
      function.walk([&](linalg::FillOp fill) { fills.push_back(fill); });
      for (linalg::FillOp fill : fills) {
        OpBuilder b(fill);
        Value data;
        for (OpOperand &use : llvm::make_early_inc_range(fill.getResult(0).getUses())) {
          auto generic = dyn_cast<linalg::GenericOp>(use.getOwner());
          if (generic && generic.isDpsInit(&use))
            continue;
          if (!data)
            data = fillGeneric(b, fill.getLoc(), fill.getInputs()[0], fill.getOutputs()[0]);
          use.set(data);
        }
        if (fill.getResult(0).use_empty())
          fill.erase();
      }
      // CSE shares equal fills and empty tensors; what is written into needs one of its own, or it works on a copy.
      function.walk([](Operation *op) {
        if (auto insertion = dyn_cast<tensor::InsertSliceOp>(op))
          makeOwn(insertion.getDestMutable());
        else if (auto loop = dyn_cast<core::LoopOp>(op))
          for (OpOperand &init : loop.getInitialMutable())
            makeOwn(init);
      });
    }
  }
};
} // namespace
