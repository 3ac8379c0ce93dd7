// Alone in a file because of .incbin: ccache does not cache such files, and the file depends on the bitcode (CMakeLists.txt).
#include "compiler/Emit/RuntimeBitcode.h"

#define MLC_EMBED(NAME, FILE)                                                                                          \
  __asm__(".section .rodata.mlc_runtime, \"a\", @progbits\n"                                                           \
          ".balign 16\n" #NAME "_begin:\n"                                                                             \
          ".incbin \"" FILE "\"\n" #NAME "_end:\n"                                                                     \
          ".previous\n");                                                                                              \
  extern "C" const char NAME##_begin[], NAME##_end[];

MLC_EMBED(mlc_runtime_x86_64, MLC_RUNTIME_BITCODE_X86_64)
MLC_EMBED(mlc_runtime_aarch64, MLC_RUNTIME_BITCODE_AARCH64)

llvm::StringRef mlc::runtimeBitcode(llvm::Triple::ArchType architecture) {
  auto between = [](const char *begin, const char *end) {
    return llvm::StringRef(begin, static_cast<size_t>(end - begin));
  };
  return architecture == llvm::Triple::aarch64 ? between(mlc_runtime_aarch64_begin, mlc_runtime_aarch64_end)
                                               : between(mlc_runtime_x86_64_begin, mlc_runtime_x86_64_end);
}
