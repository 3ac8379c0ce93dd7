// What the CPU and the GPU share on the way to the llvm dialect.
#ifndef MLC_COMPILER_BUFFERIZE_TOLLVM_H
#define MLC_COMPILER_BUFFERIZE_TOLLVM_H
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/Pass/PassManager.h"
#include <cstdint>
#include <optional>

namespace mlc {

/// Flat control flow and strided memory, of functions.
void addFlattening(mlir::OpPassManager &functions);

/// What is left then, of modules.
void addConversions(mlir::OpPassManager &manager, const mlir::ConvertVectorToLLVMPassOptions &vectors = {});

/// An error at the first op of a dialect that is none of `dialects`.
mlir::LogicalResult checkLowered(mlir::ModuleOp module, llvm::ArrayRef<llvm::StringRef> dialects);

/// Bytes of the elements; nullopt where a size is open.
std::optional<int64_t> byteSizeOf(mlir::MemRefType type);

} // namespace mlc
#endif
