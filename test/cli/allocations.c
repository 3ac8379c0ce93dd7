/* Counts every request to the heap while a model of fixed sizes runs: the functions below stand before libc's. */
#define _GNU_SOURCE
#include "mlc/mlc.h"
#include <errno.h>
#include <stdio.h>

static long requests; /* one thread runs the model; its pool's threads would count too */

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes) {
  __atomic_add_fetch(&requests, 1, __ATOMIC_RELAXED);
  return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes) {
  __atomic_add_fetch(&requests, 1, __ATOMIC_RELAXED);
  return __libc_calloc(count, bytes);
}
void *realloc(void *memory, size_t bytes) {
  __atomic_add_fetch(&requests, 1, __ATOMIC_RELAXED);
  return __libc_realloc(memory, bytes);
}
void *aligned_alloc(size_t alignment, size_t bytes) {
  __atomic_add_fetch(&requests, 1, __ATOMIC_RELAXED);
  return __libc_memalign(alignment, bytes);
}
void *memalign(size_t alignment, size_t bytes) { return aligned_alloc(alignment, bytes); }
int posix_memalign(void **memory, size_t alignment, size_t bytes) {
  *memory = aligned_alloc(alignment, bytes);
  return *memory ? 0 : ENOMEM;
}

extern const mlc_model *mlc_model_v1(void);

int main(void) {
  static float image[4 * 64], logits[4 * 10];
  mlc_tensor input = {image, MLC_FLOAT32, 4, {4, 1, 8, 8}};
  mlc_tensor output = {logits, MLC_FLOAT32, 2, {4, 10}};
  mlc_options options = {.threads = 2};
  const mlc_model *model = mlc_model_v1();
  mlc_handle *handle = NULL;
  long before = requests;
  if (model->create(&options, &handle) != MLC_OK || requests == before) {
    printf("create failed, or its allocations were not counted\n");
    return 1;
  }
  if (model->run(handle, &input, &output) != MLC_OK) {
    printf("%s\n", model->last_error(handle));
    return 1;
  }
  before = requests;
  for (int i = 0; i < 100; ++i)
    if (model->run(handle, &input, &output) != MLC_OK)
      return 1;
  long during = requests - before;
  model->destroy(handle);
  printf("%ld allocations in 100 runs\n", during);
  return during != 0;
}
