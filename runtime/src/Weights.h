// Weights.h: the constant blob of one handle: inside the library, in a file beside it, or what the caller gives instead.
#ifndef MLC_RUNTIME_WEIGHTS_H
#define MLC_RUNTIME_WEIGHTS_H

#include "Handle.h"

namespace mlc {

/// Sets handle->hostWeights. A file is mapped, read-only and shared with everybody else who maps it; closeWeights unmaps it.
mlc_status openWeights(mlc_handle *handle);
void closeWeights(mlc_handle *handle);

} // namespace mlc
#endif
