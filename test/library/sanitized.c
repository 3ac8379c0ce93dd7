/* A model and the runtime, both rebuilt with a sanitizer. The tables come from the ordinary library; @main and @main_sizes come from
 * `mlc compile --emit=llvm`, renamed. Weights, inputs and outputs are allocations of their exact sizes, so that a read or write
 * beside them is seen; several handles run at once, each with several threads, so that a race between tasks or handles is.
 * Arguments: threads per handle, then the sizes of the symbolic dimensions. With -DSHARED_OUTPUT all handles write to one output,
 * with -DFREED_INPUT they read what is gone: a sanitizer must see either in the kernels. */
/* Of posix_memalign, which takes any size. */
#define _POSIX_C_SOURCE 200112L
#include "mlc/abi.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HANDLES = 3, TENSORS_MAX = 16, SYMBOLS_MAX = 8, RUNS = 3 };

extern const mlc_model *mlc_model_v1(void);
extern int32_t model_main(const mlc_call *call);
extern int32_t model_sizes(const mlc_call *call, int64_t *result);

static mlc_program program;
static int64_t dims[SYMBOLS_MAX];
static int32_t threadCount;

static int64_t elementCount(const int64_t *shape, int32_t rank) {
  int64_t product = 1;
  for (int32_t axis = 0; axis < rank; ++axis)
    product *= shape[axis];
  return product;
}

static size_t elementBytes(int32_t dtype) { return dtype == MLC_FLOAT32 ? 4 : 8; }

static void *makeInput(const mlc_value_info *info) {
  int64_t shape[MLC_RANK_MAX];
  for (int32_t axis = 0; axis < info->rank; ++axis)
    shape[axis] = info->dims[axis].value >= 0 ? info->dims[axis].value : dims[info->dims[axis].symbol];
  int64_t count = elementCount(shape, info->rank);
  void *data = malloc((size_t)count * elementBytes(info->dtype));
  for (int64_t i = 0; i < count; ++i)
    if (info->dtype == MLC_FLOAT32)
      ((float *)data)[i] = (float)(i % 17) / 17.0f;
    else
      ((int64_t *)data)[i] = 1;
  return data;
}

/* One handle, from its creation to its end. Returns the first output. */
static void *runHandle(void *argument) {
  (void)argument;
  const mlc_model *model = &program.model;
  const void *inputs[TENSORS_MAX];
  void *outputs[TENSORS_MAX];
  int64_t shapes[TENSORS_MAX * MLC_RANK_MAX], *shape = shapes;
  mlc_rt_output_shapes(&program, dims, shapes);
  for (int32_t i = 0; i < model->input_count; ++i)
    inputs[i] = makeInput(&model->inputs[i]);
  for (int32_t i = 0; i < model->output_count; shape += model->outputs[i++].rank)
    outputs[i] = malloc((size_t)elementCount(shape, model->outputs[i].rank) * elementBytes(model->outputs[i].dtype));

  mlc_options options = {.threads = threadCount};
  mlc_handle *handle = NULL;
  mlc_status status = mlc_rt_create(&program, &options, &handle);
#if defined(SHARED_OUTPUT)
  static float shared[1 << 16];
  free(outputs[0]);
  outputs[0] = shared;
#elif defined(FREED_INPUT)
  free((void *)inputs[0]);
#endif
  for (int i = 0; i < RUNS && status == MLC_OK; ++i)
    status = mlc_rt_call(handle, 0, dims, inputs, outputs);
  if (status != MLC_OK) {
    printf("status %d: %s\n", (int)status, mlc_rt_last_error(handle));
    exit(1);
  }
  mlc_rt_destroy(handle);
  for (int32_t i = 0; i < model->input_count; ++i)
    free((void *)inputs[i]);
  for (int32_t i = 1; i < model->output_count; ++i)
    free(outputs[i]);
  return outputs[0];
}

int main(int argc, char **argv) {
  program = *(const mlc_program *)(const void *)mlc_model_v1(); /* mlc_model is its first field */
  program.run = model_main;
  program.run_sizes = model_sizes;
  void *weights = NULL;
  if (program.weights_bytes) {
    if (posix_memalign(&weights, 64, (size_t)program.weights_bytes))
      return 1;
    memcpy(weights, program.weights, (size_t)program.weights_bytes);
    program.weights = weights;
  }
  threadCount = argc > 1 ? atoi(argv[1]) : 1;
  for (int i = 2; i < argc && i - 2 < SYMBOLS_MAX; ++i)
    dims[i - 2] = atoll(argv[i]);

  pthread_t threads[HANDLES];
  float *results[HANDLES];
  for (int i = 0; i < HANDLES; ++i)
    pthread_create(&threads[i], NULL, runHandle, NULL);
  int different = 0;
  for (int i = 0; i < HANDLES; ++i) {
    void *result;
    pthread_join(threads[i], &result);
    results[i] = result;
    different += results[i][0] != results[0][0]; /* also false for NaN */
  }
  printf("%.9g, %d of %d handles differ\n", (double)results[0][0], different, HANDLES);
  for (int i = 0; i < HANDLES; ++i)
    free(results[i]);
  free(weights);
  return different;
}
