// Programs.cpp: the tables and entries of Programs.h.
#include "Programs.h"

#include <string.h>

Misbehaviour misbehaviour = none;

static const mlc_dim sumDims[] = {{-1, 0, 0}, {4, -1, 0}};
static const mlc_dim flagDims[] = {{-1, 1, 0}};
static const mlc_dim countDims[] = {{1, -1, 0}};
static const mlc_value_info sumInputs[] = {
    {"a", MLC_FLOAT32, 2, sumDims}, {"b", MLC_FLOAT32, 2, sumDims}, {"flags", MLC_BOOL, 1, flagDims}};
static const mlc_value_info sumOutputs[] = {{"sum", MLC_FLOAT32, 2, sumDims}, {"count", MLC_INT64, 1, countDims}};
static const char *const sumSymbols[] = {"N", "M"};

static int32_t sumSizes(const mlc_call *call, int64_t *result) {
  const int64_t *dims = call->dims;
  if (misbehaviour == refuseSizes)
    return mlc_rt_fail(call, "node: sizes differ: %d and %d", dims[0], 3);
  result[0] = (int64_t)(64 + 16 * (uint64_t)dims[0]); // wraps for hostile sizes; generated code gives -1
  result[1] = dims[0];
  result[2] = 4;
  result[3] = 1;
  return MLC_OK;
}

static void sumRow(void *context, int64_t row) {
  const mlc_call *call = (const mlc_call *)context;
  if (misbehaviour == failInTasks) {
    mlc_rt_fail(call, "row %d of %d is bad", row, call->dims[0]);
    return;
  }
  float *scratch = (float *)call->arena + 16 + 4 * row;
  for (int column = 0; column < 4; ++column)
    scratch[column] = ((const float *)call->inputs[0])[4 * row + column];
  for (int column = 0; column < 4; ++column)
    ((float *)call->outputs[0])[4 * row + column] =
        scratch[column] + ((const float *)call->inputs[1])[4 * row + column];
}

static int32_t sumRun(const mlc_call *call) {
  if (misbehaviour == failInEntry)
    return mlc_rt_fail(call, "index %d is outside [0, %d), 100%", -7, INT64_MIN);
  if (misbehaviour == returnStatus)
    return MLC_INTERNAL;
  mlc_rt_parallel_for(call, sumRow, (void *)call, call->dims[0]);
  int64_t count = 0;
  for (int64_t index = 0; index < call->dims[1]; ++index)
    count += ((const uint8_t *)call->inputs[2])[index];
  *(int64_t *)call->outputs[1] = count;
  return MLC_OK;
}

alignas(64) static const char sumWeights[64] = "constant";

static mlc_program makeSum() {
  mlc_program program;
  memset(&program, 0, sizeof(program));
  program.model.abi_version = MLC_ABI_VERSION;
  program.model.struct_bytes = sizeof(mlc_model);
  program.model.name = "sum";
  program.model.manifest = "{}";
  program.model.symbol_count = 2;
  program.model.input_count = 3;
  program.model.output_count = 2;
  program.model.symbols = sumSymbols;
  program.model.inputs = sumInputs;
  program.model.outputs = sumOutputs;
  program.run = sumRun;
  program.run_sizes = sumSizes;
  program.weights = sumWeights;
  program.weights_bytes = sizeof(sumWeights);
  program.cpu_features = "";
  return program;
}
const mlc_program sumProgram = makeSum();

static const mlc_dim wDims[] = {{2, -1, 0}, {3, -1, 0}};
static const mlc_dim xDims[] = {{3, -1, 0}};
static const mlc_dim yDims[] = {{2, -1, 0}};
static const mlc_value_info stepInputs[] = {{"x", MLC_FLOAT32, 1, xDims}, {"g", MLC_FLOAT32, 2, wDims}};
static const mlc_value_info stepOutputs[] = {{"y", MLC_FLOAT32, 1, yDims}};
static const mlc_value_info stepParams[] = {{"w", MLC_FLOAT32, 2, wDims}, {"b \"\n\xc3\xa9", MLC_FLOAT16, 1, yDims}};
static const mlc_state_slot stepSlots[] = {
    {"w", 0, 24, 0}, {"b \"\n\xc3\xa9", 64, 4, 24}, {"w.momentum", 128, 24, -1}, {"steps", 192, 8, -1}};

alignas(64) const float stepWeights[8] = {1, 2, 3, 4, 5, 6, 7, 8};

static int32_t stepSizes(const mlc_call *, int64_t *result) {
  result[0] = 256;
  result[1] = 2;
  return MLC_OK;
}
static int32_t stepTrainSizes(const mlc_call *, int64_t *result) {
  result[0] = 512;
  result[1] = 2;
  return MLC_OK;
}

static int32_t stepRun(const mlc_call *call) {
  const float *w = (const float *)call->state, *x = (const float *)call->inputs[0];
  float *y = (float *)call->outputs[0];
  memset(call->arena, 1, 256);
  for (int row = 0; row < 2; ++row)
    y[row] = w[3 * row] * x[0] + w[3 * row + 1] * x[1] + w[3 * row + 2] * x[2];
  return MLC_OK;
}

static int32_t stepTrain(const mlc_call *call) {
  memset(call->arena, 2, 512);
  int32_t status = stepRun(call);
  if (((const float *)call->inputs[1])[0] > 1e6f) // what a task says; the entry goes on
    mlc_rt_fail(call, "gradient %d is not below %d", 1, 0);
  if (int32_t failure = mlc_rt_commit(call))
    return failure;
  float *w = (float *)call->state, *momentum = w + 32;
  for (int index = 0; index < 6; ++index) {
    momentum[index] = 0.5f * momentum[index] + ((const float *)call->inputs[1])[index];
    w[index] -= momentum[index];
  }
  ++*(int64_t *)((char *)call->state + 192);
  return status;
}

static mlc_program makeStep() {
  mlc_program program;
  memset(&program, 0, sizeof(program));
  program.model.abi_version = MLC_ABI_VERSION;
  program.model.struct_bytes = sizeof(mlc_model);
  program.model.name = "step";
  program.model.manifest = "{}";
  program.model.input_count = 1;
  program.model.output_count = 1;
  program.model.param_count = 2;
  program.model.inputs = stepInputs;
  program.model.outputs = stepOutputs;
  program.model.params = stepParams;
  program.model.train_input_count = 2;
  program.model.train_output_count = 1;
  program.model.train_inputs = stepInputs;
  program.model.train_outputs = stepOutputs;
  program.run = stepRun;
  program.train_step = stepTrain;
  program.run_sizes = stepSizes;
  program.train_sizes = stepTrainSizes;
  program.weights = stepWeights;
  program.weights_bytes = sizeof(stepWeights);
  program.state_bytes = 256;
  program.state_slot_count = 4;
  program.state_slots = stepSlots;
  program.cpu_features = "";
  return program;
}
const mlc_program stepProgram = makeStep();
