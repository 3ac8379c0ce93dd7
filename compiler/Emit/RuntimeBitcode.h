// The runtime as LLVM bitcode, embedded in the compiler.
#ifndef MLC_COMPILER_EMIT_RUNTIMEBITCODE_H
#define MLC_COMPILER_EMIT_RUNTIMEBITCODE_H
#include "llvm/ADT/StringRef.h"

namespace mlc {
llvm::StringRef runtimeBitcode();
} // namespace mlc
#endif
