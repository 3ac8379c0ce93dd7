// Parameters.cpp: what the slots of the state are, and the view of a parameter that an application reads and writes.
#include "Parameters.h"

#include "Device.h"
#include "Element.h"

#include <stdio.h>
#include <string.h>

namespace mlc {

static mlc_tensor tensorOf(const mlc_value_info &info) {
  mlc_tensor tensor;
  memset(&tensor, 0, sizeof(tensor));
  tensor.dtype = info.dtype;
  tensor.rank = info.rank;
  for (int32_t axis = 0; axis < info.rank; ++axis)
    tensor.shape[axis] = info.dims[axis].value;
  return tensor;
}

mlc_tensor describeSlot(const mlc_program *program, int32_t index) {
  const mlc_model &model = program->model;
  if (index < model.param_count)
    return tensorOf(model.params[index]);
  const mlc_state_slot &slot = program->state_slots[index];
  mlc_tensor best;
  memset(&best, 0, sizeof(best));
  best.dtype = slot.bytes % 4 ? MLC_UINT8 : MLC_FLOAT32;
  best.rank = 1;
  best.shape[0] = slot.bytes / elementOf(best.dtype).bytes;
  size_t bestLength = 0;
  for (int32_t param = 0; param < model.param_count; ++param) {
    const char *name = model.params[param].name;
    size_t length = strlen(name);
    if (length < bestLength || strncmp(slot.name, name, length) != 0 || slot.name[length] != '.')
      continue;
    mlc_tensor candidate = tensorOf(model.params[param]);
    candidate.dtype = MLC_FLOAT32;
    int64_t bytes;
    if (tensorBytes(candidate.dtype, candidate.rank, candidate.shape, &bytes) && bytes == slot.bytes) {
      best = candidate;
      bestLength = length;
    }
  }
  return best;
}

void loseState(mlc_handle *handle) {
  handle->stateLost = true;
  size_t length = strlen(handle->error);
  snprintf(handle->error + length, sizeof(handle->error) - length,
           "; parameters and optimizer state are undefined now: load a checkpoint");
}

mlc_status checkState(mlc_handle *handle) {
  if (mlc_status status = deviceUsable(handle)) // nothing can be loaded either
    return status;
  if (!handle->stateLost)
    return MLC_OK;
  return fail(handle, MLC_INTERNAL,
              "parameters and optimizer state are undefined since an earlier call failed: load a checkpoint");
}

} // namespace mlc

using namespace mlc;

mlc_status mlc_rt_param(mlc_handle *handle, const char *name, mlc_tensor *view) {
  if (!handle)
    return fail(nullptr, MLC_INVALID_ARGUMENT, "the handle is null");
  handle->error[0] = 0;
  if (!name)
    return fail(handle, MLC_INVALID_ARGUMENT, "param: the name is null");
  if (!view)
    return fail(handle, MLC_INVALID_ARGUMENT, "param: the pointer to the view is null");
  if (mlc_status status = deviceUsable(handle)) // the host would fault on the memory, too
    return status;
  const mlc_model &model = handle->program->model;
  if (model.param_count == 0)
    return fail(handle, MLC_INVALID_ARGUMENT, "param: the library has no parameters (it was compiled without --train)");
  for (int32_t index = 0; index < model.param_count; ++index) {
    if (strcmp(model.params[index].name, name) != 0)
      continue;
    *view = describeSlot(handle->program, index);
    view->data = (char *)handle->state + handle->program->state_slots[index].offset;
    return MLC_OK;
  }
  return fail(handle, MLC_INVALID_ARGUMENT, "param: the model has no parameter \"%s\"", name);
}
