/* One run of a model whose kernels and entries were rebuilt with AddressSanitizer, for sanitized_suite.py. The tables and weights come
 * from the ordinary library. Weights, inputs, outputs and the workspace are allocations of their exact sizes. */
/* Of posix_memalign, which takes any size. */
#define _POSIX_C_SOURCE 200112L
#include "mlc/abi.h"
#include <stdlib.h>
#include <string.h>

enum { TENSORS_MAX = 64, MESSAGE_BYTES = 512 };

static size_t bytesOf(const mlc_tensor *tensor, size_t elementBytes) {
  for (int32_t axis = 0; axis < tensor->rank; ++axis)
    elementBytes *= (size_t)tensor->shape[axis];
  return elementBytes;
}

/* Copies of `count` tensors; their data only if `filled`. */
static void copyTensors(mlc_tensor *copies, const mlc_tensor *tensors, int32_t count, const int64_t *elementBytes,
                        int filled) {
  for (int32_t i = 0; i < count; ++i) {
    copies[i] = tensors[i];
    size_t bytes = bytesOf(&tensors[i], (size_t)elementBytes[i]);
    copies[i].data = malloc(bytes);
    if (filled)
      memcpy(copies[i].data, tensors[i].data, bytes);
  }
}

/* `elementBytes` of the inputs, then of the outputs. */
mlc_status sanitized_run(const mlc_model *model, mlc_entry run, mlc_sizes sizes, const mlc_tensor *inputs,
                         mlc_tensor *outputs, const int64_t *elementBytes, char *message) {
  mlc_program program = *(const mlc_program *)(const void *)model; /* mlc_model is its first field */
  program.run = run;
  program.run_sizes = sizes;
  void *weights = NULL;
  if (program.weights_bytes) {
    if (posix_memalign(&weights, 64, (size_t)program.weights_bytes))
      return MLC_OUT_OF_MEMORY;
    memcpy(weights, program.weights, (size_t)program.weights_bytes);
    program.weights = weights;
  }
  mlc_tensor in[TENSORS_MAX], out[TENSORS_MAX];
  if (model->input_count > TENSORS_MAX || model->output_count > TENSORS_MAX)
    return MLC_INVALID_ARGUMENT;
  copyTensors(in, inputs, model->input_count, elementBytes, 1);
  copyTensors(out, outputs, model->output_count, elementBytes + model->input_count, 0);
  mlc_options options = {.threads = 2, .seed = 1};
  mlc_handle *handle = NULL;
  mlc_status status = mlc_rt_create(&program, &options, &handle);
  if (status == MLC_OK)
    status = mlc_rt_call_tensors(handle, 0, in, out);
  strncpy(message, mlc_rt_last_error(handle), MESSAGE_BYTES - 1);
  mlc_rt_destroy(handle);
  for (int32_t i = 0; i < model->input_count; ++i)
    free(in[i].data);
  for (int32_t i = 0; i < model->output_count; ++i) {
    memcpy(outputs[i].shape, out[i].shape, sizeof(out[i].shape));
    memcpy(outputs[i].data, out[i].data, bytesOf(&out[i], (size_t)elementBytes[model->input_count + i]));
    free(out[i].data);
  }
  free(weights);
  return status;
}
