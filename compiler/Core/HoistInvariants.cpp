// HoistInvariants: what a loop computes in each step without need goes in front of it, with what it assumes. Upstream's pass moves what
// has no effects and leaves core.require behind: the operation would then run before its check.
#include "compiler/Passes.h"
#include "dialects/core/Core.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/LoopInvariantCodeMotionUtils.h"

namespace mlc {
#define GEN_PASS_DEF_HOISTINVARIANTS
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;

namespace {
struct HoistInvariants : mlc::impl::HoistInvariantsBase<HoistInvariants> {
  void runOnOperation() override {
    getOperation()->walk([](LoopLikeOpInterface loop) { // inner loops first
      moveLoopInvariantCode(
          loop.getLoopRegions(), [&](Value value, Region *) { return loop.isDefinedOutsideOfLoop(value); },
          [](Operation *op, Region *) {
            return isa<core::RequireOp>(op) || (isMemoryEffectFree(op) && isSpeculatable(op));
          },
          [&](Operation *op, Region *) { loop.moveOutOfLoop(op); });
    });
  }
};
} // namespace
