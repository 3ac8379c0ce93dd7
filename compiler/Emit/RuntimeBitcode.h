// The runtime as LLVM bitcode, embedded in the compiler once for each architecture.
#ifndef MLC_COMPILER_EMIT_RUNTIMEBITCODE_H
#define MLC_COMPILER_EMIT_RUNTIMEBITCODE_H
#include "llvm/TargetParser/Triple.h"

namespace mlc {
/// `architecture` is one that CpuTarget accepts.
llvm::StringRef runtimeBitcode(llvm::Triple::ArchType architecture);
} // namespace mlc
#endif
