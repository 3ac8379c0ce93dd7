// LowerToLLVM: flat control flow and strided memory first, then the runtime's ops, then upstream's conversions.
#include "compiler/Bufferize/PassMemRefs.h"
#include "compiler/Bufferize/ToLlvm.h"
#include "compiler/Cpu/RuntimeCalls.h"
#include "compiler/Passes.h"
#include "compiler/Rewrites.h"
#include "dialects/sched/Kernel.h"
#include "mlir/Conversion/MathToLibm/MathToLibm.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Transforms/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Index/IR/IndexDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/DialectConversion.h"
#include "mlir/Transforms/Passes.h"

namespace mlc {
#define GEN_PASS_DEF_LOWERTOLLVM
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;

namespace {

/// Temporaries up to this size live on the stack; a task's stack is that of a pool's thread.
constexpr int64_t stackBytesMax = 16 << 10;

/// Static temporaries are allocated in the entry block, because an alloca in a loop grows the stack with every iteration.
/// memref.alloc is a temporary of its block: small ones go on the stack too, others are freed where the block ends.
void placeTemporaries(func::FuncOp function) {
  function.walk([&](memref::AllocOp alloc) {
    if (llvm::any_of(alloc->getUsers(), llvm::IsaPred<memref::DeallocOp>))
      return;
    OpBuilder b(alloc);
    if (auto bytes = mlc::byteSizeOf(alloc.getType());
        bytes && *bytes <= stackBytesMax && alloc.getSymbolOperands().empty()) {
      auto alloca = memref::AllocaOp::create(b, alloc.getLoc(), alloc.getType(), b.getI64IntegerAttr(64));
      alloc.replaceAllUsesWith(alloca.getResult());
      alloc.erase();
      return;
    }
    alloc.setAlignment(64);
    b.setInsertionPoint(alloc->getBlock()->getTerminator());
    memref::DeallocOp::create(b, alloc.getLoc(), alloc);
  });
  if (function.isExternal())
    return;
  Block *entry = &function.front();
  function.walk([&](memref::AllocaOp alloca) {
    if (alloca->getNumOperands() == 0)
      alloca->moveBefore(entry, entry->begin());
  });
}

/// truncf f64 to f16 or bf16  ->  truncf(roundToOdd(f64 to f32))
/// No x86 before AVX512-FP16 has an instruction for it. Rounding twice is exact if the first step rounds to odd: an inexact
/// result gets its last bit set, so that the second step never sees a tie that was none.
struct TruncateThroughF32 : OpRewritePattern<arith::TruncFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::TruncFOp op, PatternRewriter &b) const override {
    if (!getElementTypeOrSelf(op.getIn().getType()).isF64() ||
        getElementTypeOrSelf(op.getType()).getIntOrFloatBitWidth() != 16)
      return b.notifyMatchFailure(op, "not f64 to 16 bits");
    Location loc = op.getLoc();
    auto like = [&](Type element) -> Type {
      auto vector = dyn_cast<VectorType>(op.getType());
      return vector ? Type(vector.clone(element)) : element;
    };
    Type f32 = like(b.getF32Type()), i32 = like(b.getI32Type()), f64 = op.getIn().getType();
    Value one = arith::ConstantOp::create(
        b, loc,
        isa<VectorType>(i32) ? TypedAttr(DenseElementsAttr::get(cast<ShapedType>(i32), b.getI32IntegerAttr(1)))
                             : TypedAttr(b.getI32IntegerAttr(1)));
    Value x = op.getIn(), nearest = arith::TruncFOp::create(b, loc, f32, x),
          back = arith::ExtFOp::create(b, loc, f64, nearest);
    Value bits = arith::BitcastOp::create(b, loc, i32, nearest);
    Value tooFar = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, math::AbsFOp::create(b, loc, back),
                                         math::AbsFOp::create(b, loc, x));
    Value towardsZero = arith::SelectOp::create(b, loc, tooFar, arith::SubIOp::create(b, loc, bits, one), bits);
    Value inexact = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::ONE, back, x);
    Value odd = arith::SelectOp::create(b, loc, inexact, arith::OrIOp::create(b, loc, towardsZero, one), bits);
    b.replaceOpWithNewOp<arith::TruncFOp>(op, op.getType(), arith::BitcastOp::create(b, loc, f32, odd));
    return success();
  }
};

/// What a kernel is decides how Emit optimises it (compiler/Emit/Optimize.cpp), so it becomes an attribute of the LLVM function.
void passKindsOn(ModuleOp module, const llvm::StringMap<std::string> &kinds) {
  Builder b(module.getContext());
  for (auto function : module.getOps<LLVM::LLVMFuncOp>()) {
    if (function.isExternal())
      continue;
    StringRef name = function.getName();
    name.consume_back("_thunk"); // a task is inlined into its thunk
    if (auto kind = kinds.find(name); kind != kinds.end())
      function.setPassthroughAttr(b.getArrayAttr(b.getStrArrayAttr({"mlc-kind", kind->second})));
    mlc::sched::removeFacts(function);
  }
}

struct LowerToLLVM : mlc::impl::LowerToLLVMBase<LowerToLLVM> {
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<LLVM::LLVMDialect, affine::AffineDialect, arith::ArithDialect, cf::ControlFlowDialect,
                    func::FuncDialect, index::IndexDialect, math::MathDialect, memref::MemRefDialect, scf::SCFDialect,
                    vector::VectorDialect>();
  }

  LogicalResult narrow(ModuleOp module) {
    RewritePatternSet patterns(&getContext());
    patterns.add<TruncateThroughF32>(&getContext());
    return mlc::rewriteToEnd(module, std::move(patterns), getArgument());
  }

  LogicalResult flatten(ModuleOp module) {
    OpPassManager manager(ModuleOp::getOperationName());
    mlc::addFlattening(manager.nest<func::FuncOp>());
    return runPipeline(manager, module);
  }

  /// What ExpandMath leaves of functions without an exact LLVM intrinsic: calls of libm, lane by lane. The others (floor, sqrt,
  /// fma, exp of f64) become intrinsics in convert.
  LogicalResult callLibm(ModuleOp module) {
    RewritePatternSet patterns(&getContext());
    populateMathToLibmConversionPatterns(patterns);
    ConversionTarget target(getContext());
    target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    target.addIllegalOp<math::AcosOp, math::AcoshOp, math::AsinOp, math::AsinhOp, math::AtanOp, math::Atan2Op,
                        math::AtanhOp, math::CbrtOp, math::CoshOp, math::ErfOp, math::ErfcOp, math::ExpM1Op,
                        math::Log1pOp, math::SinhOp, math::TanOp, math::TanhOp>();
    return applyPartialConversion(module, target, std::move(patterns));
  }

  /// bf16 as f32, each result rounded: what a number is must not depend on which operations became one kernel. The pass would let
  /// conversions there and back cancel.
  LogicalResult widenBFloats(ModuleOp module) {
    OpPassManager manager(ModuleOp::getOperationName());
    arith::ArithEmulateUnsupportedFloatsOptions emulate;
    emulate.sourceTypeStrs = {"bf16"};
    emulate.targetTypeStr = "f32";
    manager.nest<func::FuncOp>().addPass(arith::createArithEmulateUnsupportedFloats(emulate));
    if (failed(runPipeline(manager, module)))
      return failure();
    module.walk([](arith::ExtFOp op) { op.removeFastmathAttr(); });
    module.walk([](arith::TruncFOp op) { op.removeFastmathAttr(); });
    return success();
  }

  LogicalResult convert(ModuleOp module) {
    OpPassManager manager(ModuleOp::getOperationName());
    // Conversions of bf16 as integer arithmetic: without AVX512-BF16 LLVM would call functions of its own runtime library.
    arith::ArithExpandOpsPassOptions expand;
    expand.includeBf16 = true;
    manager.nest<func::FuncOp>().addPass(arith::createArithExpandOpsPass(expand));
    // Sums of lanes as a tree: otherwise a reduction is a chain of scalar adds.
    ConvertVectorToLLVMPassOptions vectors;
    vectors.reassociateFPReductions = true;
    mlc::addConversions(manager, vectors);
    return runPipeline(manager, module);
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    llvm::StringMap<std::string> kinds;
    for (auto function : module.getOps<func::FuncOp>()) {
      if (auto kind = mlc::sched::kindOf(function))
        kinds[function.getName()] = stringifyKind(*kind).str();
      placeTemporaries(function);
    }
    if (failed(narrow(module)) || failed(flatten(module)) || failed(mlc::passMemRefsAsPointers(module)) ||
        failed(mlc::lowerRuntimeOps(module)) || failed(callLibm(module)) || failed(widenBFloats(module)) ||
        failed(convert(module)))
      return signalPassFailure();
    passKindsOn(module, kinds);
    for (auto function : module.getOps<LLVM::LLVMFuncOp>())
      if (!function.isExternal() && !function.isPublic())
        function.setLinkage(LLVM::Linkage::Internal);
    if (failed(mlc::checkLowered(module, {"llvm"})))
      signalPassFailure();
  }
};

} // namespace
