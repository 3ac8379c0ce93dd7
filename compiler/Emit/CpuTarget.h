// CpuTarget: what --cpu and --triple mean: the LLVM processor and features that code is generated for, the names that a library checks
// before it runs, and the machine that the planner knows.
#ifndef MLC_COMPILER_EMIT_CPUTARGET_H
#define MLC_COMPILER_EMIT_CPUTARGET_H
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace mlc {

struct CpuTarget {
  std::string triple;
  std::string name;     // of the processor, for the manifest
  std::string baseline; // LLVM cpu whose features every machine of the triple has: the runtime is compiled for it
  std::string tune;     // LLVM cpu whose latencies the scheduler uses
  std::string features; // LLVM feature string on top of the baseline, "+avx2,+fma"
  std::vector<std::string> required; // the same features as /proc/cpuinfo calls them
  std::string machine;               // name for Machine::get
  int64_t vectorBits;                // of the widest vector registers

  /// `cpu`: native, generic, an architecture's version (x86-64-v3, armv8.2-a), any name that LLVM knows, or "" for native code
  /// where the triple is this machine's and generic code where it is not. `triple`: "" for this machine's.
  static llvm::Expected<CpuTarget> of(llvm::StringRef cpu, llvm::StringRef triple);
};

} // namespace mlc
#endif
