// What each upstream pass does is upstream's to document.
#include "compiler/Bufferize/ToLlvm.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"

using namespace mlir;

void mlc::addFlattening(OpPassManager &functions) {
  functions.addPass(memref::createFoldMemRefAliasOpsPass());
  functions.addPass(memref::createExpandStridedMetadataPass());
  functions.addPass(createLowerAffinePass());
  functions.addPass(createSCFToControlFlowPass());
}

void mlc::addConversions(OpPassManager &manager, const ConvertVectorToLLVMPassOptions &vectors) {
  manager.addPass(createConvertVectorToLLVMPass(vectors));
  manager.addPass(createConvertMathToLLVMPass());
  manager.addPass(createFinalizeMemRefToLLVMConversionPass());
  manager.addPass(createConvertFuncToLLVMPass());
  manager.addPass(createArithToLLVMConversionPass());
  manager.addPass(createConvertIndexToLLVMPass());
  manager.addPass(createConvertControlFlowToLLVMPass());
  manager.addPass(createUBToLLVMConversionPass());
  manager.addPass(createReconcileUnrealizedCastsPass());
}

LogicalResult mlc::checkLowered(ModuleOp module, ArrayRef<StringRef> dialects) {
  WalkResult left = module.walk([&](Operation *op) {
    if (isa<ModuleOp>(op) || (op->getDialect() && llvm::is_contained(dialects, op->getDialect()->getNamespace())))
      return WalkResult::advance();
    op->emitOpError("was not lowered to the llvm dialect");
    return WalkResult::interrupt();
  });
  return failure(left.wasInterrupted());
}

std::optional<int64_t> mlc::byteSizeOf(MemRefType type) {
  if (!type.hasStaticShape() || !type.getElementType().isIntOrFloat())
    return std::nullopt;
  return type.getNumElements() * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}
