// Handle.cpp: creation and destruction of handles, their memory, and error messages.
#include "Handle.h"

#include "Cpu.h"
#include "Device.h"
#include "Pool.h"
#include "Weights.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace mlc {

/// Why the last call of this thread without a handle failed: there is none to ask. Thread-local, so creates never race.
static __thread char createError[sizeof(mlc_handle::error)];

static const int32_t threadCountMax = 1024;

static void *allocateDefault(void *, size_t bytes, size_t alignment) {
  if (bytes > SIZE_MAX - alignment)
    return nullptr;
  return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void releaseDefault(void *, void *memory) { free(memory); }

[[gnu::format(printf, 2, 3)]] static mlc_status failCreate(mlc_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(createError, sizeof(createError), format, arguments);
  va_end(arguments);
  return status;
}

char *createErrorText(size_t *bytes) {
  *bytes = sizeof(createError);
  return createError;
}

mlc_status fail(mlc_handle *handle, mlc_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(handle ? handle->error : createError, sizeof(handle->error), format, arguments);
  va_end(arguments);
  return status;
}

Signature signatureOf(const mlc_program *program, bool training) {
  const mlc_model &model = program->model;
  if (training)
    return {program->train_step,      program->train_sizes, model.train_input_count,
            model.train_output_count, model.train_inputs,   model.train_outputs};
  return {program->run, program->run_sizes, model.input_count, model.output_count, model.inputs, model.outputs};
}

int64_t sizesCount(const Signature &signature) {
  int64_t count = 1;
  for (int32_t index = 0; index < signature.outputCount; ++index)
    count += signature.outputs[index].rank;
  return count;
}

void *allocate(mlc_handle *handle, size_t bytes, const char *purpose) {
  void *memory = handle->options.allocate(handle->options.user, bytes ? bytes : 1, 64);
  if (!memory)
    fail(handle, MLC_OUT_OF_MEMORY, "out of memory: %zu bytes for the %s", bytes, purpose);
  return memory;
}

void release(mlc_handle *handle, void *memory) {
  if (memory)
    handle->options.release(handle->options.user, memory);
}

static mlc_status releaseArena(mlc_handle *handle) {
  void *arena = handle->ownArena;
  handle->ownArena = nullptr;
  handle->ownArenaBytes = 0;
  if (handle->device)
    return deviceRelease(handle, arena);
  release(handle, arena);
  return MLC_OK;
}

mlc_status reserveArena(mlc_handle *handle, size_t bytes, void **arena) {
  const mlc_options &options = handle->options;
  if (options.arena) {
    if (options.arena_bytes < bytes)
      return fail(handle, MLC_OUT_OF_MEMORY, "the arena is too small: %zu bytes needed, %zu bytes given", bytes,
                  options.arena_bytes);
    *arena = options.arena;
    return MLC_OK;
  }
  if (handle->ownArenaBytes < bytes) {
    if (mlc_status status = releaseArena(handle))
      return status;
    if (handle->device) {
      if (mlc_status status = deviceAllocate(handle, bytes, DeviceMemory::Private, "workspace", &handle->ownArena))
        return status;
    } else {
      handle->ownArena = allocate(handle, bytes, "workspace");
      if (!handle->ownArena)
        return MLC_OUT_OF_MEMORY;
    }
    handle->ownArenaBytes = bytes;
  }
  *arena = handle->ownArena;
  return MLC_OK;
}

/// The sizes without a handle; what is wrong with the dims is told by last_error(NULL).
static mlc_status sizesOf(mlc_sizes function, const int64_t *dims, int64_t *sizes) {
  mlc_call call;
  memset(&call, 0, sizeof(call));
  call.dims = dims;
  return (mlc_status)function(&call, sizes);
}

/// Workspace for these dims that serves run and, if there is one, train_step; 0 for what refuses them. `sizes` has room for either's
/// result.
static size_t workspaceBytes(const mlc_program *program, const int64_t *dims, int64_t *sizes) {
  int64_t bytes = 0;
  const mlc_sizes functions[] = {program->run_sizes, program->train_step ? program->train_sizes : nullptr};
  for (mlc_sizes function : functions)
    if (function && sizesOf(function, dims, sizes) == MLC_OK && sizes[0] > bytes)
      bytes = sizes[0];
  return (size_t)bytes;
}

static int64_t sizesCountMax(const mlc_program *program) {
  int64_t run = sizesCount(signatureOf(program, false));
  int64_t train = sizesCount(signatureOf(program, true));
  return run > train ? run : train;
}

static mlc_status checkOptions(const mlc_options &options) {
  if (options.threads < 0 || options.threads > threadCountMax)
    return failCreate(MLC_INVALID_ARGUMENT, "options: threads is %d, expected 0 to %d", options.threads,
                      threadCountMax);
  if (!options.allocate != !options.release)
    return failCreate(MLC_INVALID_ARGUMENT, "options: allocate and release must be given together");
  if (options.arena && (uintptr_t)options.arena % 64)
    return failCreate(MLC_INVALID_ARGUMENT, "options: arena is not aligned to 64 bytes");
  if (!options.arena && options.arena_bytes)
    return failCreate(MLC_INVALID_ARGUMENT, "options: arena_bytes is %zu, but arena is null", options.arena_bytes);
  if (options.device < 0)
    return failCreate(MLC_INVALID_ARGUMENT, "options: device is %d, expected 0 or more", options.device);
  if (options.weights_file && options.weights)
    return failCreate(MLC_INVALID_ARGUMENT, "options: weights_file and weights are both given");
  if (!options.weights != !options.weights_bytes)
    return failCreate(MLC_INVALID_ARGUMENT, "options: weights and weights_bytes must be given together");
  if (options.weights && (uintptr_t)options.weights % 64)
    return failCreate(MLC_INVALID_ARGUMENT, "options: weights is not aligned to 64 bytes");
  return MLC_OK;
}

/// Allocates the handle and its scratch arrays as one block of 8-byte words.
static mlc_handle *allocateHandle(const mlc_program *program, const mlc_options &options) {
  const mlc_model &model = program->model;
  int64_t inputCount = model.input_count > model.train_input_count ? model.input_count : model.train_input_count;
  int64_t outputCount = model.output_count > model.train_output_count ? model.output_count : model.train_output_count;
  int64_t sizeCount = sizesCountMax(program);
  size_t words = (size_t)(2 * model.symbol_count + 2 * sizeCount + 3 * inputCount + 3 * outputCount);
  size_t bytes = sizeof(mlc_handle) + 8 * words;
  mlc_handle *handle = (mlc_handle *)options.allocate(options.user, bytes, 64);
  if (!handle) {
    failCreate(MLC_OUT_OF_MEMORY, "out of memory: %zu bytes for the handle", bytes);
    return nullptr;
  }
  memset(handle, 0, bytes);
  handle->program = program;
  handle->options = options;
  handle->parallelFor = serialParallelFor;
  handle->dims = (int64_t *)(handle + 1);
  handle->binders = handle->dims + model.symbol_count;
  handle->sizes = handle->binders + model.symbol_count;
  handle->resultSizes = handle->sizes + sizeCount;
  handle->resultSizeCount = -1;
  handle->inputBytes = handle->resultSizes + sizeCount;
  handle->outputBytes = handle->inputBytes + inputCount;
  handle->inputs = (const void **)(handle->outputBytes + outputCount);
  handle->outputs = (void **)(handle->inputs + inputCount);
  handle->stagedInputs = (const void **)(handle->outputs + outputCount);
  handle->stagedOutputs = (void **)(handle->stagedInputs + inputCount);
  return handle;
}

static mlc_status startPool(mlc_handle *handle) {
  const mlc_options &options = handle->options;
  if (options.parallel_for) {
    handle->parallelFor = options.parallel_for;
    handle->poolArgument = options.pool;
    return MLC_OK;
  }
  // A GPU library computes nothing on the CPU, so it gets workers only if the caller asks for them.
  int32_t threads = options.threads ? options.threads : handle->device ? 1 : coreCount();
  threads = threads < threadCountMax ? threads : threadCountMax;
  if (threads == 1)
    return MLC_OK;
  Pool *pool = (Pool *)allocate(handle, poolBytes(threads), "thread pool");
  if (!pool)
    return MLC_OUT_OF_MEMORY;
  handle->ownPool = pool;
  handle->parallelFor = poolParallelFor;
  handle->poolArgument = pool;
  int32_t started = poolStart(pool, threads);
  if (started < threads)
    return fail(handle, MLC_OUT_OF_MEMORY, "only %d of %d threads could be started", started, threads);
  return MLC_OK;
}

/// Copies the weights to the device; on the CPU they are used where they lie.
static mlc_status placeWeights(mlc_handle *handle) {
  if (!handle->device) {
    handle->weights = handle->hostWeights;
    return MLC_OK;
  }
  size_t bytes = (size_t)handle->program->weights_bytes;
  void *copy = nullptr;
  if (mlc_status status = deviceAllocate(handle, bytes, DeviceMemory::Private, "weights", &copy))
    return status;
  handle->weights = copy;
  return deviceWrite(handle, copy, handle->hostWeights, bytes);
}

/// Allocates the state and gives every slot its initial value.
static mlc_status initializeState(mlc_handle *handle) {
  const mlc_program *program = handle->program;
  size_t bytes = (size_t)program->state_bytes;
  if (bytes == 0)
    return MLC_OK;
  if (handle->device) {
    // Shared memory, because mlc_rt_param hands out pointers that the application reads and writes.
    if (mlc_status status = deviceAllocate(handle, bytes, DeviceMemory::Shared, "state", &handle->state))
      return status;
    if (mlc_status status = deviceZero(handle, handle->state, bytes))
      return status;
  } else {
    handle->state = allocate(handle, bytes, "state");
    if (!handle->state)
      return MLC_OUT_OF_MEMORY;
    memset(handle->state, 0, bytes);
  }
  for (int32_t index = 0; index < program->state_slot_count; ++index) {
    const mlc_state_slot &slot = program->state_slots[index];
    if (slot.weights_offset < 0)
      continue;
    char *to = (char *)handle->state + slot.offset;
    const char *from = handle->hostWeights + slot.weights_offset;
    if (!handle->device)
      memcpy(to, from, (size_t)slot.bytes);
    else if (mlc_status status = deviceWrite(handle, to, from, (size_t)slot.bytes))
      return status;
  }
  return MLC_OK;
}

static mlc_status initialize(mlc_handle *handle) {
  const mlc_program *program = handle->program;
  if (!cpuHas(program->cpu_features ? program->cpu_features : "", handle->error, sizeof(handle->error)))
    return MLC_UNSUPPORTED_CPU;
  if (program->device_image_count > 0)
    if (mlc_status status = deviceOpen(handle))
      return status;
  DeviceScope scope(handle);
  if (mlc_status status = scope.status())
    return status;
  if (mlc_status status = openWeights(handle))
    return status;
  if (mlc_status status = placeWeights(handle))
    return status;
  if (mlc_status status = initializeState(handle))
    return status;
  // Static shapes: everything is allocated here, so that no call ever allocates.
  if (program->model.symbol_count == 0 && !handle->options.arena) {
    void *arena;
    if (mlc_status status = reserveArena(handle, workspaceBytes(program, handle->dims, handle->sizes), &arena))
      return status;
  }
  if (handle->device)
    if (mlc_status status = deviceWait(handle))
      return status;
  if (mlc_status status = scope.leave(MLC_OK))
    return status;
  return startPool(handle);
}

/// True if `dims` holds a non-negative size for every symbol.
static bool dimsAreValid(const mlc_program *program, const int64_t *dims) {
  for (int32_t index = 0; index < program->model.symbol_count; ++index)
    if (!dims || dims[index] < 0)
      return false;
  return true;
}

} // namespace mlc

using namespace mlc;

size_t mlc_rt_workspace_size(const mlc_program *program, const int64_t *dims) {
  if (!dimsAreValid(program, dims))
    return 0;
  int64_t *sizes = (int64_t *)malloc(sizeof(int64_t) * (size_t)sizesCountMax(program));
  if (!sizes)
    return 0;
  size_t bytes = workspaceBytes(program, dims, sizes);
  free(sizes);
  return bytes;
}

mlc_status mlc_rt_output_shapes(const mlc_program *program, const int64_t *dims, int64_t *shapes) {
  if (!dimsAreValid(program, dims))
    return MLC_INVALID_ARGUMENT;
  int64_t count = sizesCount(signatureOf(program, false));
  if (count == 1)
    return MLC_OK;
  if (!shapes)
    return MLC_INVALID_ARGUMENT;
  int64_t *sizes = (int64_t *)malloc(sizeof(int64_t) * (size_t)count);
  if (!sizes)
    return MLC_OUT_OF_MEMORY;
  mlc_status status = sizesOf(program->run_sizes, dims, sizes);
  for (int64_t index = 1; index < count && status != MLC_MODEL_ERROR; ++index) {
    shapes[index - 1] = sizes[index];
    if (sizes[index] < 0)
      status = MLC_INVALID_ARGUMENT; // the inputs are too small for the model
  }
  free(sizes);
  return status;
}

mlc_status mlc_rt_create(const mlc_program *program, const mlc_options *given, mlc_handle **result) {
  createError[0] = 0;
  if (!result)
    return failCreate(MLC_INVALID_ARGUMENT, "create: the result pointer is null");
  *result = nullptr;
  mlc_options options;
  memset(&options, 0, sizeof(options));
  if (given)
    options = *given;
  if (mlc_status status = checkOptions(options))
    return status;
  if (!options.allocate) {
    options.allocate = allocateDefault;
    options.release = releaseDefault;
  }
  mlc_handle *handle = allocateHandle(program, options);
  if (!handle)
    return MLC_OUT_OF_MEMORY;
  if (mlc_status status = initialize(handle)) {
    memcpy(createError, handle->error, sizeof(createError));
    mlc_rt_destroy(handle);
    return status;
  }
  *result = handle;
  return MLC_OK;
}

void mlc_rt_destroy(mlc_handle *handle) {
  if (!handle)
    return;
  if (handle->ownPool) {
    poolStop(handle->ownPool);
    release(handle, handle->ownPool);
  }
  if (handle->device) {
    DeviceScope scope(handle);
    releaseArena(handle);
    deviceRelease(handle, handle->state);
    deviceRelease(handle, (void *)handle->weights);
  } else {
    releaseArena(handle);
    release(handle, handle->state);
  }
  deviceClose(handle);
  closeWeights(handle);
  mlc_options options = handle->options;
  options.release(options.user, handle);
}

const char *mlc_rt_last_error(const mlc_handle *handle) { return handle ? handle->error : createError; }
