// LowerKernels: dispatch on the kernel's kind. What a generator cannot do goes to lowerLoops, which can do everything.
#include "compiler/Passes.h"
#include "compiler/Schedule/Kernels.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlc {
#define GEN_PASS_DEF_LOWERKERNELS
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;

namespace {

struct LowerKernels : mlc::impl::LowerKernelsBase<LowerKernels> {
  void getDependentDialects(DialectRegistry &registry) const override {
    LowerKernelsBase::getDependentDialects(registry);
    registry.insert<linalg::LinalgDialect>(); // copies become generics first
  }

  void runOnOperation() override {
    func::FuncOp kernel = getOperation();
    auto kind = sched::kindOf(kernel);
    if (!kind || kernel.isExternal())
      return;
    auto tiling = sched::tilingOf(kernel);
    LogicalResult lowered = failure();
    if (tiling && kind == sched::Kind::Pointwise)
      lowered = lowerPointwise(kernel, tiling);
    else if (tiling && kind == sched::Kind::Rows)
      lowered = lowerRows(kernel, tiling);
    else if (tiling && kind == sched::Kind::Contract)
      lowered = lowerContract(kernel, tiling);
    if (failed(lowered) && failed(lowerLoops(kernel)))
      signalPassFailure();
  }
};

} // namespace
