// Call.cpp: the typed call, and what generated code calls back on the CPU. Nothing here allocates except a workspace
// that has to grow.
#include "Call.h"

#include "Device.h"
#include "Element.h"
#include "Parameters.h"

#include <stdio.h>
#include <string.h>

namespace mlc {

mlc_status beginCall(mlc_handle *handle, bool training, Signature *signature) {
  handle->error[0] = 0;
  handle->resultSizeCount = -1;
  __atomic_store_n(&handle->failed, 0, __ATOMIC_RELAXED);
  *signature = signatureOf(handle->program, training);
  if (!signature->entry)
    return fail(handle, MLC_INVALID_ARGUMENT, "train_step: the library was compiled without --train");
  return MLC_OK;
}

mlc_status computeSizes(mlc_handle *handle, const Signature &signature, const int64_t *dims) {
  mlc_call call;
  memset(&call, 0, sizeof(call));
  call.dims = dims;
  call.handle = handle;
  if (mlc_status status = (mlc_status)signature.sizes(&call, handle->sizes))
    return status;
  const int64_t *size = handle->sizes + 1;
  for (int32_t index = 0; index < signature.outputCount; ++index) {
    const mlc_value_info &info = signature.outputs[index];
    for (int32_t axis = 0; axis < info.rank; ++axis, ++size)
      if (*size < 0)
        return fail(handle, MLC_INVALID_ARGUMENT, "output \"%s\": dimension %d would be %lld: the inputs are too small",
                    info.name, axis, (long long)*size);
  }
  return MLC_OK;
}

static mlc_status checkPointer(mlc_handle *handle, const char *role, const mlc_value_info &info, const void *data,
                               int64_t bytes) {
  if (bytes == 0)
    return MLC_OK;
  if (!data)
    return fail(handle, MLC_INVALID_ARGUMENT, "%s \"%s\": the data pointer is null", role, info.name);
  int32_t alignment = elementOf(info.dtype).bytes;
  if ((uintptr_t)data % (uintptr_t)alignment)
    return fail(handle, MLC_INVALID_ARGUMENT, "%s \"%s\": the data pointer is not aligned to %d bytes", role, info.name,
                alignment);
  return MLC_OK;
}

static bool overlap(const void *a, int64_t aBytes, const void *b, int64_t bBytes) {
  uintptr_t aBegin = (uintptr_t)a, bBegin = (uintptr_t)b; // their ends may be more than an address holds
  return aBytes && bBytes &&
         (aBegin < bBegin ? bBegin - aBegin < (uintptr_t)aBytes : aBegin - bBegin < (uintptr_t)bBytes);
}

static mlc_status failTooLarge(mlc_handle *handle, const char *role, const mlc_value_info &info) {
  return fail(handle, MLC_INVALID_ARGUMENT, "%s \"%s\": the tensor is larger than the address space", role, info.name);
}

static mlc_status checkInputs(mlc_handle *handle, const Signature &signature, const int64_t *dims,
                              const void *const *inputs) {
  for (int32_t index = 0; index < signature.inputCount; ++index) {
    const mlc_value_info &info = signature.inputs[index];
    int64_t shape[MLC_RANK_MAX];
    for (int32_t axis = 0; axis < info.rank; ++axis) {
      const mlc_dim &dim = info.dims[axis];
      shape[axis] = dim.value >= 0 ? dim.value : dims[dim.symbol];
    }
    int64_t *bytes = &handle->inputBytes[index];
    if (!tensorBytes(info.dtype, info.rank, shape, bytes))
      return failTooLarge(handle, "input", info);
    if (mlc_status status = checkPointer(handle, "input", info, inputs[index], *bytes))
      return status;
  }
  return MLC_OK;
}

static mlc_status checkOutputs(mlc_handle *handle, const Signature &signature, const void *const *inputs,
                               void *const *outputs) {
  const int64_t *shape = handle->sizes + 1;
  for (int32_t index = 0; index < signature.outputCount; ++index) {
    const mlc_value_info &info = signature.outputs[index];
    int64_t *bytes = &handle->outputBytes[index];
    if (!tensorBytes(info.dtype, info.rank, shape, bytes))
      return failTooLarge(handle, "output", info);
    shape += info.rank;
    if (mlc_status status = checkPointer(handle, "output", info, outputs[index], *bytes))
      return status;
    for (int32_t other = 0; other < signature.inputCount; ++other)
      if (overlap(outputs[index], *bytes, inputs[other], handle->inputBytes[other]))
        return fail(handle, MLC_INVALID_ARGUMENT, "output \"%s\" overlaps input \"%s\"", info.name,
                    signature.inputs[other].name);
    for (int32_t other = 0; other < index; ++other)
      if (overlap(outputs[index], *bytes, outputs[other], handle->outputBytes[other]))
        return fail(handle, MLC_INVALID_ARGUMENT, "output \"%s\" overlaps output \"%s\"", info.name,
                    signature.outputs[other].name);
  }
  return MLC_OK;
}

/// `with batch = 4611686018427387904, length = 2 the workspace is larger ...`
static mlc_status failDimensions(mlc_handle *handle, const int64_t *dims) {
  const mlc_model &model = handle->program->model;
  char names[512] = "";
  size_t length = 0;
  for (int32_t index = 0; index < model.symbol_count && length < sizeof(names); ++index)
    length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s = %lld", index ? ", " : "",
                               model.symbols[index], (long long)dims[index]);
  return fail(handle, MLC_INVALID_ARGUMENT,
              "with %s the workspace is larger than the address space, or a size is negative", names);
}

static mlc_status runEntry(mlc_handle *handle, const Signature &signature, const int64_t *dims,
                           const void *const *inputs, void *const *outputs, void *arena) {
  int64_t count = sizesCount(signature) - 1;
  memcpy(handle->resultSizes, handle->sizes + 1, (size_t)count * sizeof(int64_t));
  mlc_call call = {inputs,
                   outputs,
                   dims,
                   handle->weights,
                   handle->state,
                   arena,
                   handle->parallelFor,
                   handle->poolArgument,
                   handle->device,
                   handle,
                   handle->resultSizes,
                   deviceChecks(handle)};
  mlc_status status = (mlc_status)signature.entry(&call);
  if (mlc_status failure = deviceFailure(handle))
    return failure;
  if (status == MLC_OK && __atomic_load_n(&handle->failed, __ATOMIC_ACQUIRE))
    status = MLC_MODEL_ERROR;
  if (status != MLC_OK && handle->error[0] == 0)
    fail(handle, status, "the model failed with status %d", (int)status);
  return status;
}

/// The entry between copies of its inputs and outputs. When it returns, nothing runs on the device any more.
static mlc_status runOnDevice(mlc_handle *handle, const Signature &signature, const int64_t *dims,
                              const void *const *inputs, void *const *outputs, void *arena) {
  mlc_status status = deviceBegin(handle);
  if (status == MLC_OK)
    status = deviceStage(handle, signature, inputs);
  if (status == MLC_OK)
    status = runEntry(handle, signature, dims, handle->stagedInputs, handle->stagedOutputs, arena);
  if (status == MLC_OK)
    status = deviceUnstage(handle, signature, outputs);
  if (status == MLC_OK)
    return deviceVerify(handle);
  // What the host found wrong comes after what the kernels in front of it found.
  if (status == MLC_MODEL_ERROR) {
    mlc_status verified = deviceVerify(handle);
    return verified ? verified : status;
  }
  deviceSettle(handle);
  return status;
}

static mlc_status runInScope(mlc_handle *handle, const Signature &signature, const int64_t *dims,
                             const void *const *inputs, void *const *outputs) {
  void *arena;
  if (mlc_status status = reserveArena(handle, (size_t)handle->sizes[0], &arena))
    return status;
  return handle->device ? runOnDevice(handle, signature, dims, inputs, outputs, arena)
                        : runEntry(handle, signature, dims, inputs, outputs, arena);
}

mlc_status execute(mlc_handle *handle, const Signature &signature, const int64_t *dims, const void *const *inputs,
                   void *const *outputs) {
  if (mlc_status status = checkInputs(handle, signature, dims, inputs))
    return status;
  if (handle->sizes[0] < 0)
    return failDimensions(handle, dims);
  if (mlc_status status = checkOutputs(handle, signature, inputs, outputs))
    return status;
  if (mlc_status status = checkState(handle))
    return status;
  handle->writesState = false;
  DeviceScope scope(handle);
  mlc_status status = scope.status();
  if (status == MLC_OK)
    status = runInScope(handle, signature, dims, inputs, outputs);
  status = scope.leave(status);
  if (status == MLC_OK)
    handle->resultSizeCount = sizesCount(signature) - 1;
  else if (handle->writesState)
    loseState(handle);
  return status;
}

void formatFailure(char *to, size_t bytes, const char *message, const int64_t *values) {
  char *end = to + bytes - 1;
  int32_t used = 0;
  while (*message && to < end) {
    if (message[0] != '%' || message[1] != 'd' || used == 2) {
      *to++ = *message++;
      continue;
    }
    char digits[24];
    int32_t count = 0;
    int64_t value = values[used++];
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
      digits[count++] = (char)('0' + magnitude % 10);
    while (magnitude /= 10);
    if (value < 0)
      digits[count++] = '-';
    while (count && to < end)
      *to++ = digits[--count];
    message += 2;
  }
  *to = 0;
}

} // namespace mlc

using namespace mlc;

mlc_status mlc_rt_call(mlc_handle *handle, int32_t training, const int64_t *dims, const void *const *inputs,
                       void *const *outputs) {
  if (!handle)
    return fail(nullptr, MLC_INVALID_ARGUMENT, "the handle is null");
  Signature signature;
  if (mlc_status status = beginCall(handle, training, &signature))
    return status;
  const mlc_model &model = handle->program->model;
  if (!dims && model.symbol_count > 0)
    return fail(handle, MLC_INVALID_ARGUMENT, "the pointer to the dimensions is null");
  for (int32_t index = 0; index < model.symbol_count; ++index)
    if (dims[index] < 0)
      return fail(handle, MLC_INVALID_ARGUMENT, "dimension \"%s\" is %lld, expected 0 or more", model.symbols[index],
                  (long long)dims[index]);
  if (!inputs && signature.inputCount > 0)
    return fail(handle, MLC_INVALID_ARGUMENT, "the pointer to the inputs is null");
  if (!outputs && signature.outputCount > 0)
    return fail(handle, MLC_INVALID_ARGUMENT, "the pointer to the outputs is null");
  if (mlc_status status = computeSizes(handle, signature, dims))
    return status;
  return execute(handle, signature, dims, inputs, outputs);
}

mlc_status mlc_rt_result_shapes(mlc_handle *handle, int64_t *shapes) {
  if (!handle)
    return fail(nullptr, MLC_INVALID_ARGUMENT, "the handle is null");
  if (handle->resultSizeCount < 0)
    return fail(handle, MLC_INVALID_ARGUMENT, "result_shapes: the last call on this handle did not succeed");
  if (!shapes && handle->resultSizeCount > 0)
    return fail(handle, MLC_INVALID_ARGUMENT, "result_shapes: the pointer to the shapes is null");
  memcpy(shapes, handle->resultSizes, (size_t)handle->resultSizeCount * sizeof(int64_t));
  return MLC_OK;
}

void mlc_rt_parallel_for(const mlc_call *call, mlc_task task, void *context, int64_t count) {
  call->parallel_for(call->pool, task, context, count);
}

int32_t mlc_rt_fail(const mlc_call *call, const char *message, int64_t a, int64_t b) {
  // Tasks on several threads may fail at once: the first one writes the message, and the end of its loop makes it
  // visible.
  mlc_handle *handle = call->handle;
  const int64_t values[2] = {a, b};
  if (!handle) { // asked for shapes without a model
    size_t bytes;
    char *text = createErrorText(&bytes);
    formatFailure(text, bytes, message, values);
    return MLC_MODEL_ERROR;
  }
  if (__atomic_exchange_n(&handle->failed, 1, __ATOMIC_ACQ_REL) == 0) {
    formatFailure(handle->error, sizeof(handle->error), message, values);
  }
  return MLC_MODEL_ERROR;
}

int32_t mlc_rt_commit(const mlc_call *call) {
  mlc_handle *handle = call->handle;
  if (mlc_status failure = deviceFailure(handle))
    return failure;
  if (__atomic_load_n(&handle->failed, __ATOMIC_ACQUIRE))
    return MLC_MODEL_ERROR;
  if (handle->device)
    if (mlc_status status = deviceVerify(handle))
      return status;
  handle->writesState = true;
  return MLC_OK;
}
