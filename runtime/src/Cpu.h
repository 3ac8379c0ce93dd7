// Cpu.h: does this machine have the instructions that a library was compiled for?
#ifndef MLC_RUNTIME_CPU_H
#define MLC_RUNTIME_CPU_H

#include "mlc/mlc.h"

namespace mlc {

/// Checks comma-separated feature names (as in /proc/cpuinfo; sse3 and lzcnt are known beside pni and abm). On failure,
/// writes the reason into `message`: every feature that is missing, or the first name that is unknown.
bool cpuHas(const char *features, char *message, size_t messageBytes);

} // namespace mlc
#endif
