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
    StringRef kind = kernelKind(kernel);
    if (kind.empty() || kernel.isExternal())
      return;
    auto tiling = kernel->getAttrOfType<sched::TilingAttr>(kTilingAttr);
    LogicalResult lowered = failure();
    if (tiling && kind == "pointwise")
      lowered = lowerPointwise(kernel, tiling);
    else if (tiling && kind == "rows")
      lowered = lowerRows(kernel, tiling);
    else if (tiling && kind == "contract")
      lowered = lowerContract(kernel, tiling);
    if (failed(lowered) && failed(lowerLoops(kernel)))
      signalPassFailure();
  }
};

} // namespace
