// LowerToNVVM: device functions to the llvm dialect. Unlike the CPU's lowering there is no library to call: what has no
// instruction is diagnosed here, by name, because LLVM's back end would end the process or leave an unresolved symbol.
#include "compiler/Bufferize/MemRefDescriptors.h"
#include "compiler/Bufferize/PassMemRefs.h"
#include "compiler/Bufferize/ToLlvm.h"
#include "compiler/Gpu/Gpu.h"
#include "compiler/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Transforms/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Index/IR/IndexDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassManager.h"

namespace mlc {
#define GEN_PASS_DEF_LOWERTONVVM
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;

namespace {

/// A thread's temporaries live in local memory, of which it has 512 KB.
constexpr int64_t localBytesMax = 64 << 10;

/// Buffers are 64 bytes aligned; vectors of at most 16 bytes are loaded at once.
constexpr int64_t parameterAlignment = 16;

/// Functions that are PTX instructions or short sequences of them, for floats of every width.
bool hasInstruction(Operation *op) {
  return isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp, math::CountLeadingZerosOp,
             math::CountTrailingZerosOp, math::CtPopOp, math::FloorOp, math::FmaOp, math::IsFiniteOp, math::IsInfOp,
             math::IsNaNOp, math::IsNormalOp, math::RoundOp, math::RoundEvenOp, math::RsqrtOp, math::SqrtOp,
             math::TruncOp>(op);
}

LogicalResult checkMath(ModuleOp device) {
  WalkResult result = device.walk([](Operation *op) {
    if (!isa_and_nonnull<math::MathDialect>(op->getDialect()) || hasInstruction(op))
      return WalkResult::advance();
    op->emitOpError("of ") << op->getResult(0).getType() << " is not supported on the GPU";
    return WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

/// memref.alloc of a kernel is a temporary of its thread.
LogicalResult placeTemporaries(func::FuncOp function) {
  SmallVector<memref::AllocOp> allocs;
  function.walk([&](memref::AllocOp alloc) { allocs.push_back(alloc); });
  for (memref::AllocOp alloc : allocs) {
    MemRefType type = alloc.getType();
    if (auto bytes = mlc::byteSizeOf(type); !bytes || *bytes > localBytesMax)
      return alloc.emitError("a kernel's temporary of type ") << type << " is not supported on the GPU";
    for (Operation *user : llvm::make_early_inc_range(alloc->getUsers()))
      if (isa<memref::DeallocOp>(user))
        user->erase();
    OpBuilder b = OpBuilder::atBlockBegin(&function.front());
    alloc.replaceAllUsesWith(
        memref::AllocaOp::create(b, alloc.getLoc(), type, b.getI64IntegerAttr(parameterAlignment)).getResult());
    alloc.erase();
  }
  return success();
}

struct LowerToNVVM : mlc::impl::LowerToNVVMBase<LowerToNVVM> {
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<LLVM::LLVMDialect, NVVM::NVVMDialect, affine::AffineDialect, arith::ArithDialect,
                    cf::ControlFlowDialect, func::FuncDialect, index::IndexDialect, math::MathDialect,
                    memref::MemRefDialect, scf::SCFDialect, vector::VectorDialect>();
  }

  LogicalResult flatten(ModuleOp device) {
    OpPassManager manager(ModuleOp::getOperationName());
    OpPassManager &functions = manager.nest<func::FuncOp>();
    mlc::addFlattening(functions);
    functions.addPass(arith::createArithExpandOpsPass());
    return runPipeline(manager, device);
  }

  /// Pointers to whole buffers are aligned; those to parts of buffers may begin anywhere.
  LogicalResult passPointers(ModuleOp device) {
    llvm::StringMap<SmallVector<unsigned>> aligned; // by function: positions of parameters
    for (auto function : device.getOps<func::FuncOp>()) {
      unsigned position = 0;
      for (Type type : function.getArgumentTypes()) {
        auto memref = dyn_cast<MemRefType>(type);
        if (memref && memref.getLayout().isIdentity())
          aligned[function.getName()].push_back(position);
        FailureOr<SmallVector<Type>> open =
            memref ? mlc::openTypes(memref) : FailureOr<SmallVector<Type>>(SmallVector<Type>{type});
        if (failed(open))
          return function.emitOpError("argument of type ") << type << " has no strided layout";
        position += open->size();
      }
    }
    if (failed(mlc::passMemRefsAsPointers(device)))
      return failure();
    for (auto function : device.getOps<func::FuncOp>())
      for (unsigned position : aligned[function.getName()])
        function.setArgAttr(position, "llvm.align",
                            IntegerAttr::get(IntegerType::get(&getContext(), 64), parameterAlignment));
    return success();
  }

  LogicalResult convert(ModuleOp device) {
    OpPassManager manager(ModuleOp::getOperationName());
    mlc::addConversions(manager);
    return runPipeline(manager, device);
  }

  void runOnOperation() override {
    auto device = getOperation().lookupSymbol<ModuleOp>(mlc::kDeviceModule);
    if (!device)
      return;
    for (auto function : device.getOps<func::FuncOp>())
      if (failed(placeTemporaries(function)))
        return signalPassFailure();
    if (failed(checkMath(device)) || failed(flatten(device)) || failed(passPointers(device)) || failed(convert(device)))
      return signalPassFailure();
    if (failed(mlc::checkLowered(device, {"llvm", "nvvm"})))
      return signalPassFailure();
    Builder b(&getContext());
    for (auto function : device.getOps<LLVM::LLVMFuncOp>()) {
      if (function.isExternal())
        continue;
      function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), b.getUnitAttr());
      function->setAttr(NVVM::NVVMDialect::getMaxntidAttrName(),
                        b.getDenseI32ArrayAttr({static_cast<int32_t>(mlc::kBlockThreads)}));
    }
  }
};

} // namespace
