// Call.h: the steps that the typed and the reflective call share.
#ifndef MLC_RUNTIME_CALL_H
#define MLC_RUNTIME_CALL_H

#include "Handle.h"

namespace mlc {

/// Clears the last error and selects run or train_step; fails if the library has no such entry.
mlc_status beginCall(mlc_handle *handle, bool training, Signature *signature);

/// Evaluates the model's size functions into handle->sizes; a negative result means that the inputs are too small.
mlc_status computeSizes(mlc_handle *handle, const Signature &signature, const int64_t *dims);

/// Checks every pointer, finds the workspace and runs the entry. Needs handle->sizes of these dims.
mlc_status execute(mlc_handle *handle, const Signature &signature, const int64_t *dims, const void *const *inputs,
                   void *const *outputs);

/// Fills a message with at most two %d, which are 64-bit: printf's would be int.
void formatFailure(char *to, size_t bytes, const char *message, const int64_t *values);

} // namespace mlc
#endif
