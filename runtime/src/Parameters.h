// Parameters.h: the type and shape of each slot of the state, for views and for checkpoints, and whether it is defined.
#ifndef MLC_RUNTIME_PARAMETERS_H
#define MLC_RUNTIME_PARAMETERS_H

#include "Handle.h"

namespace mlc {

/// Type and shape of state slot `index`. A parameter has those of the model's table. An optimizer slot is float32, with
/// the shape of the parameter that its name begins with (`conv1.weight` for `conv1.weight.momentum`) if the element
/// count agrees, and one-dimensional otherwise. `data` is null.
mlc_tensor describeSlot(const mlc_program *program, int32_t index);

/// After a failure in the midst of writing the state: adds to the message that it is undefined, and makes every later
/// checkState fail until the state is replaced as a whole.
void loseState(mlc_handle *handle);
mlc_status checkState(mlc_handle *handle);

} // namespace mlc
#endif
