// Device code as PTX.
#ifndef MLC_COMPILER_EMIT_PTX_H
#define MLC_COMPILER_EMIT_PTX_H
#include "mlir/IR/BuiltinOps.h"

namespace mlc {

/// What code can be generated for: names of LLVM's and the PTX version that goes with them.
struct GpuArch {
  llvm::StringLiteral name, features;
};

/// The row of the table; null for names that are not in it, which LLVM would end the process over.
const GpuArch *findGpuArch(llvm::StringRef name);

/// "sm_80, sm_86, ...", for messages.
std::string listGpuArchs();

/// Compiles the nested device module, which lower-to-nvvm has brought to the llvm dialect, to PTX for `arch` and for sm_80. The
/// texts become the program's device images (dialects/rt/Program.h), best first, and the nested module goes away.
mlir::LogicalResult emitPtx(mlir::ModuleOp module, llvm::StringRef arch);

} // namespace mlc
#endif
