/* run_tensors.c: any library on tensors from standard input; for machines that neither Python nor mlc runs on. Usage:
   run_tensors LIBRARY THREADS STEPS. STEPS 0: one run; otherwise so many steps of training with the same tensors.
   A tensor is its rank and sizes (int64), then its elements; outputs are written likewise, those of every step. */
#include "mlc/mlc.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static int64_t elementBytes(int32_t dtype) {
  switch (dtype) {
#define MLC_TYPE(NAME, CODE, TEXT, ONNX, BITS, ...)                                                                    \
  case MLC_##NAME:                                                                                                     \
    return (BITS + 7) / 8;
#include "mlc/types.def"
  default:
    return 0;
  }
}

static void *allocate(const mlc_tensor *tensor, size_t *bytes) {
  *bytes = (size_t)elementBytes(tensor->dtype);
  for (int32_t axis = 0; axis < tensor->rank; ++axis)
    *bytes *= (size_t)tensor->shape[axis];
  return aligned_alloc(64, (*bytes / 64 + 1) * 64);
}

static void readTensor(const mlc_value_info *info, mlc_tensor *tensor, int64_t *dims) {
  int64_t rank;
  size_t bytes;
  if (fread(&rank, 8, 1, stdin) != 1 || rank != info->rank ||
      fread(tensor->shape, 8, (size_t)rank, stdin) != (size_t)rank)
    exit(3);
  tensor->dtype = info->dtype;
  tensor->rank = info->rank;
  for (int32_t axis = 0; axis < info->rank; ++axis)
    if (info->dims[axis].symbol >= 0)
      dims[info->dims[axis].symbol] = tensor->shape[axis];
  tensor->data = allocate(tensor, &bytes);
  if (fread(tensor->data, 1, bytes, stdin) != bytes)
    exit(3);
}

static void writeTensor(const mlc_tensor *tensor, size_t bytes) {
  int64_t rank = tensor->rank;
  fwrite(&rank, 8, 1, stdout);
  fwrite(tensor->shape, 8, (size_t)rank, stdout);
  fwrite(tensor->data, 1, bytes, stdout);
}

static int check(const mlc_model *model, mlc_handle *handle, mlc_status status) {
  if (status != MLC_OK)
    fprintf(stderr, "status %d: %s\n", (int)status, model->last_error(handle));
  return status != MLC_OK;
}

int main(int argumentCount, char **arguments) {
  void *library = argumentCount == 4 ? dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!library) {
    fprintf(stderr, "%s\n", argumentCount == 4 ? dlerror() : "usage: run_tensors LIBRARY THREADS STEPS");
    return 2;
  }
  mlc_model_v1_fn entry;
  *(void **)&entry = dlsym(library, "mlc_model_v1");
  const mlc_model *model = entry();
  int steps = atoi(arguments[3]);
  mlc_options options = {.threads = atoi(arguments[2])};
  mlc_handle *handle;
  if (check(model, NULL, model->create(&options, &handle)))
    return 1;

  mlc_tensor inputs[16] = {{0}}, outputs[16] = {{0}};
  int64_t dims[16] = {0}, shapes[256];
  size_t bytes[16];
  int inputCount = steps ? model->train_input_count : model->input_count;
  for (int i = 0; i < inputCount; ++i)
    readTensor(steps ? &model->train_inputs[i] : &model->inputs[i], &inputs[i], dims);
  const mlc_value_info *infos = steps ? model->train_outputs : model->outputs;
  int outputCount = steps ? model->train_output_count : model->output_count;
  if (!steps && check(model, NULL, model->output_shapes(dims, shapes)))
    return 1;
  const int64_t *size = shapes;
  for (int i = 0; i < outputCount; ++i) {
    outputs[i].dtype = infos[i].dtype;
    outputs[i].rank = infos[i].rank;
    for (int32_t axis = 0; axis < infos[i].rank; ++axis)
      outputs[i].shape[axis] = steps ? infos[i].dims[axis].value : *size++; /* a loss has no dynamic sizes */
    outputs[i].data = allocate(&outputs[i], &bytes[i]);
  }
  for (int step = 0; step < (steps ? steps : 1); ++step) {
    mlc_status status = steps ? model->train_step(handle, inputs, outputs) : model->run(handle, inputs, outputs);
    if (check(model, handle, status))
      return 1;
    for (int i = 0; i < outputCount; ++i)
      writeTensor(&outputs[i], bytes[i]);
  }
  model->destroy(handle);
  return 0;
}
