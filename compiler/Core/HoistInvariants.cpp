// HoistInvariants: what a loop computes in each step without need goes in front of it, with what it assumes. Upstream's pass moves what
// has no effects and leaves core.require behind: the operation would then run before its check.
#include "compiler/Passes.h"
#include "dialects/core/Control.h"
#include "dialects/core/Core.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/LoopInvariantCodeMotionUtils.h"

namespace mlc {
#define GEN_PASS_DEF_HOISTINVARIANTS
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;

/// Steps that are certain.
static bool runsAlways(LoopLikeOpInterface loop) {
  auto steps = dyn_cast<core::LoopOp>(loop.getOperation());
  auto count = steps ? getConstantIntValue(steps.getCount()) : std::nullopt;
  return count && *count > 0 && !steps.getCondition();
}

/// What is assumed in a loop without a step need not hold, and what relies on it may not run there either.
static bool mayMove(LoopLikeOpInterface loop, Operation *op) {
  bool always = runsAlways(loop);
  if (isa<core::RequireOp>(op))
    return always;
  if (!isMemoryEffectFree(op) || !isSpeculatable(op))
    return false;
  if (isa<tensor::DimOp>(op) || llvm::none_of(op->getOperandTypes(), llvm::IsaPred<TensorType>))
    return true;
  if (auto broadcast = dyn_cast<core::BroadcastOp>(op); broadcast && broadcast.getX().getType().hasStaticShape())
    return true; // whatever its size
  for (Operation &before : llvm::make_range(op->getBlock()->begin(), op->getIterator()))
    if (isa<core::CheckRangeOp>(before) || (!always && isa<core::RequireOp>(before)))
      return false;
  return true;
}

namespace {
struct HoistInvariants : mlc::impl::HoistInvariantsBase<HoistInvariants> {
  void runOnOperation() override {
    getOperation()->walk([](LoopLikeOpInterface loop) { // inner loops first
      moveLoopInvariantCode(
          loop.getLoopRegions(), [&](Value value, Region *) { return loop.isDefinedOutsideOfLoop(value); },
          [&](Operation *op, Region *) { return mayMove(loop, op); },
          [&](Operation *op, Region *) { loop.moveOutOfLoop(op); });
    });
  }
};
} // namespace
