// Alone in a file because of .incbin: ccache does not cache such files, and the file depends on the bitcode (CMakeLists.txt).
#include "compiler/Emit/RuntimeBitcode.h"

__asm__(".section .rodata.mlc_runtime, \"a\", @progbits\n"
        ".balign 16\n"
        "mlc_runtime_bitcode_begin:\n"
        ".incbin \"" MLC_RUNTIME_BITCODE "\"\n"
        "mlc_runtime_bitcode_end:\n"
        ".previous\n");

extern "C" const char mlc_runtime_bitcode_begin[], mlc_runtime_bitcode_end[];

llvm::StringRef mlc::runtimeBitcode() {
  return llvm::StringRef(mlc_runtime_bitcode_begin,
                         static_cast<size_t>(mlc_runtime_bitcode_end - mlc_runtime_bitcode_begin));
}
