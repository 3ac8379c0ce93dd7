/* Where a model's memory comes from. Counts every request to the heap (the functions below stand before libc's), and checks that
 * workspace_size says beforehand what run needs, and that a run leaves nothing but its outputs. Arguments: the sizes of the model's
 * symbolic dimensions. Prints what is wrong; returns the number of complaints. */
#define _GNU_SOURCE
#include "mlc/mlc.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long requests; /* of all threads */

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

static void count(void) { __atomic_add_fetch(&requests, 1, __ATOMIC_RELAXED); }
void *malloc(size_t bytes) {
  count();
  return __libc_malloc(bytes);
}
void *calloc(size_t number, size_t bytes) {
  count();
  return __libc_calloc(number, bytes);
}
void *realloc(void *memory, size_t bytes) {
  count();
  return __libc_realloc(memory, bytes);
}
void *aligned_alloc(size_t alignment, size_t bytes) {
  count();
  return __libc_memalign(alignment, bytes);
}
void *memalign(size_t alignment, size_t bytes) { return aligned_alloc(alignment, bytes); }
int posix_memalign(void **memory, size_t alignment, size_t bytes) {
  *memory = aligned_alloc(alignment, bytes);
  return *memory ? 0 : ENOMEM;
}

extern const mlc_model *mlc_model_v1(void);

enum { GUARD = 4096, TENSORS_MAX = 16, SYMBOLS_MAX = 8 };
static int complaints;
#define CHECK(CONDITION)                                                                                               \
  do {                                                                                                                 \
    if (!(CONDITION))                                                                                                  \
      printf("memory.c:%d: %s\n", __LINE__, #CONDITION), ++complaints;                                                 \
  } while (0)

static size_t elementBytes(int32_t dtype) {
  return dtype == MLC_FLOAT32 || dtype == MLC_INT32 ? 4 : dtype == MLC_INT64 || dtype == MLC_FLOAT64 ? 8 : 1;
}

static size_t tensorBytes(const mlc_tensor *tensor) {
  size_t bytes = elementBytes(tensor->dtype);
  for (int axis = 0; axis < tensor->rank; ++axis)
    bytes *= (size_t)tensor->shape[axis];
  return bytes;
}

typedef struct Call {
  int64_t dims[SYMBOLS_MAX];
  mlc_tensor inputs[TENSORS_MAX], outputs[TENSORS_MAX];
} Call;

static void prepare(const mlc_model *model, Call *call) {
  int64_t sizes[TENSORS_MAX * MLC_RANK_MAX], *size = sizes;
  CHECK(model->output_shapes(call->dims, sizes) == MLC_OK);
  for (int i = 0; i < model->input_count; ++i) {
    const mlc_value_info *info = &model->inputs[i];
    mlc_tensor *tensor = &call->inputs[i];
    tensor->dtype = info->dtype, tensor->rank = info->rank;
    for (int axis = 0; axis < info->rank; ++axis)
      tensor->shape[axis] = info->dims[axis].value >= 0 ? info->dims[axis].value : call->dims[info->dims[axis].symbol];
    tensor->data = malloc(tensorBytes(tensor));
    for (size_t k = 0; k < tensorBytes(tensor) / elementBytes(tensor->dtype); ++k)
      switch (tensor->dtype) {
      case MLC_FLOAT32:
        ((float *)tensor->data)[k] = (float)(k % 17) / 17.0f;
        break;
      case MLC_INT64:
        ((int64_t *)tensor->data)[k] = 1;
        break;
      default:
        CHECK(!"an input of another type");
      }
  }
  for (int i = 0; i < model->output_count; ++i) {
    mlc_tensor *tensor = &call->outputs[i];
    tensor->dtype = model->outputs[i].dtype, tensor->rank = model->outputs[i].rank;
    for (int axis = 0; axis < tensor->rank; ++axis)
      tensor->shape[axis] = *size++;
    tensor->data = malloc(tensorBytes(tensor));
  }
}

/* One handle in an arena of exactly `bytes` that holds `fill`: results must not depend on it, nothing behind it may change, and the
 * heap must not be asked, not even by the first run. */
static void runInArena(const mlc_model *model, Call *call, size_t bytes, int fill) {
  unsigned char *arena = aligned_alloc(64, (bytes + 63) / 64 * 64 + GUARD);
  memset(arena, fill, bytes);
  memset(arena + bytes, 0xa5, GUARD);
  mlc_options options = {.threads = 2, .arena = arena, .arena_bytes = bytes};
  mlc_handle *handle = NULL;
  CHECK(model->create(&options, &handle) == MLC_OK);
  for (int i = 0; i < model->output_count; ++i)
    memset(call->outputs[i].data, fill, tensorBytes(&call->outputs[i]));
  long before = requests;
  mlc_status status = model->run(handle, call->inputs, call->outputs);
  if (status == MLC_OK)
    for (int again = 0; again < 3; ++again)
      status = model->run(handle, call->inputs, call->outputs);
  CHECK(requests == before);
  CHECK(status == MLC_OK);
  if (status != MLC_OK)
    printf("  %s\n", model->last_error(handle));
  for (int i = 0; i < GUARD; ++i)
    if (arena[bytes + i] != 0xa5) {
      CHECK(!"a byte behind the arena has changed");
      break;
    }
  model->destroy(handle);
  free(arena);
}

static void tooSmallArena(const mlc_model *model, Call *call, size_t bytes) {
  mlc_options options = {.threads = 1, .arena_bytes = bytes - 64};
  options.arena = aligned_alloc(64, bytes);
  mlc_handle *handle = NULL;
  char expected[128];
  snprintf(expected, sizeof expected, "the arena is too small: %zu bytes needed, %zu bytes given", bytes, bytes - 64);
  CHECK(model->create(&options, &handle) == MLC_OK);
  CHECK(model->run(handle, call->inputs, call->outputs) == MLC_OUT_OF_MEMORY);
  CHECK(strcmp(model->last_error(handle), expected) == 0);
  model->destroy(handle);
  free(options.arena);
}

typedef struct Allocator {
  long live, total;
  int remaining; /* then null */
} Allocator;

static void *allocate(void *user, size_t bytes, size_t alignment) {
  Allocator *allocator = user;
  if (allocator->remaining-- <= 0)
    return NULL;
  ++allocator->live, ++allocator->total;
  return __libc_memalign(alignment, bytes);
}

static void release(void *user, void *memory) {
  --((Allocator *)user)->live;
  free(memory);
}

/* The caller's allocator serves everything; whichever request it refuses, create or run says so and nothing leaks. */
static void ownAllocator(const mlc_model *model, Call *call) {
  for (int limit = 0; limit < 100; ++limit) {
    Allocator allocator = {.remaining = limit};
    mlc_options options = {.threads = 1, .allocate = allocate, .release = release, .user = &allocator};
    mlc_handle *handle = NULL;
    long before = requests;
    mlc_status status = model->create(&options, &handle);
    CHECK((status == MLC_OK) == (handle != NULL));
    if (status == MLC_OK)
      status = model->run(handle, call->inputs, call->outputs);
    CHECK(requests == before);
    CHECK(status == MLC_OK || status == MLC_OUT_OF_MEMORY);
    CHECK(status == MLC_OK || strstr(model->last_error(handle), "out of memory"));
    model->destroy(handle);
    CHECK(allocator.live == 0);
    if (status == MLC_OK)
      return;
  }
  CHECK(!"create and run need more than 100 allocations");
}

int main(int argc, char **argv) {
  const mlc_model *model = mlc_model_v1();
  static Call call;
  if (argc - 1 != model->symbol_count)
    return fprintf(stderr, "expected %d sizes\n", model->symbol_count), 100;
  for (int i = 1; i < argc; ++i)
    call.dims[i - 1] = atoll(argv[i]);
  size_t bytes = model->workspace_size(call.dims); /* before there is any handle */
  prepare(model, &call);

  size_t outputBytes = tensorBytes(&call.outputs[0]);
  void *zeros = malloc(outputBytes);
  runInArena(model, &call, bytes, 0);
  memcpy(zeros, call.outputs[0].data, outputBytes);
  runInArena(model, &call, bytes, 0xff); /* as a float: NaN */
  CHECK(memcmp(zeros, call.outputs[0].data, outputBytes) == 0);
  if (bytes)
    tooSmallArena(model, &call, bytes);
  ownAllocator(model, &call);

  /* Without an arena: static shapes never allocate in run, symbolic ones only while the workspace grows. */
  mlc_options options = {.threads = 2};
  mlc_handle *handle = NULL;
  long before = requests;
  CHECK(model->create(&options, &handle) == MLC_OK && requests > before);
  before = requests;
  for (int i = 0; i < 20; ++i)
    CHECK(model->run(handle, call.inputs, call.outputs) == MLC_OK);
  CHECK(requests - before <= (model->symbol_count > 0));
  CHECK(memcmp(zeros, call.outputs[0].data, outputBytes) == 0);
  model->destroy(handle);
  printf("%zu bytes of workspace, %d complaints\n", bytes, complaints);
  return complaints;
}
