// call_test.cpp: if this fails, a wrong argument reaches generated code, its message changed, or a call allocates.
// Linked with --wrap for malloc, aligned_alloc and free, so that every allocation of the runtime is counted.
#include "Check.h"
#include "Programs.h"

#include <atomic>
#include <initializer_list>
#include <stdlib.h>

static std::atomic<int> allocationCount, liveCount;

extern "C" {
void *__real_malloc(size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void __real_free(void *memory);
void *__wrap_malloc(size_t bytes) {
  ++allocationCount;
  ++liveCount;
  return __real_malloc(bytes);
}
void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
  ++allocationCount;
  ++liveCount;
  return __real_aligned_alloc(alignment, bytes);
}
void __wrap_free(void *memory) {
  liveCount -= memory != nullptr;
  __real_free(memory);
}
}

namespace {
/// Arguments of `sum` that fit, for N and M; tests break one thing at a time.
struct SumArguments {
  alignas(64) float a[64], b[64], sum[64];
  uint8_t flags[8];
  int64_t count;
  mlc_tensor inputs[3], outputs[2];

  SumArguments(int64_t n, int64_t m) {
    memset(this, 0, sizeof(*this));
    for (int index = 0; index < 64; ++index) {
      a[index] = (float)index;
      b[index] = 100;
    }
    memset(flags, 1, sizeof(flags));
    set(inputs[0], a, MLC_FLOAT32, 2, n, 4);
    set(inputs[1], b, MLC_FLOAT32, 2, n, 4);
    set(inputs[2], flags, MLC_BOOL, 1, m, 0);
    set(outputs[0], sum, MLC_FLOAT32, 2, n, 4);
    set(outputs[1], &count, MLC_INT64, 1, 1, 0);
  }
  static void set(mlc_tensor &tensor, void *data, int32_t dtype, int32_t rank, int64_t size0, int64_t size1) {
    tensor.data = data;
    tensor.dtype = dtype;
    tensor.rank = rank;
    tensor.shape[0] = size0;
    tensor.shape[1] = size1;
  }
};
} // namespace

static mlc_handle *create(const mlc_program &program, mlc_options options = {}) {
  mlc_handle *handle = nullptr;
  CHECK(mlc_rt_create(&program, &options, &handle) == MLC_OK);
  return handle;
}

static void testSum(int threads) {
  mlc_options options = {};
  options.threads = threads;
  mlc_handle *handle = create(sumProgram, options);
  for (int64_t n = 0; n <= 16; ++n) {
    SumArguments arguments(n, n / 2);
    CHECK(mlc_rt_call_tensors(handle, 0, arguments.inputs, arguments.outputs) == MLC_OK);
    bool good = arguments.count == n / 2;
    for (int index = 0; index < 64; ++index)
      good = good && arguments.sum[index] == (index < 4 * n ? index + 100.f : 0.f);
    CHECK(good);
    CHECK(mlc_rt_last_error(handle)[0] == 0);
    // The typed call does the same.
    memset(arguments.sum, 0, sizeof(arguments.sum));
    const int64_t dims[] = {n, n / 2};
    const void *inputs[] = {arguments.a, arguments.b, arguments.flags};
    void *outputs[] = {arguments.sum, &arguments.count};
    CHECK(mlc_rt_call(handle, 0, dims, inputs, outputs) == MLC_OK);
    CHECK(n == 0 || arguments.sum[4 * n - 1] == 4 * n + 99.f);
  }
  mlc_rt_destroy(handle);
}

#define CHECK_TENSORS(TEXT)                                                                                            \
  CHECK_ERROR(mlc_rt_call_tensors(handle, 0, arguments.inputs, arguments.outputs), MLC_INVALID_ARGUMENT, handle, TEXT)

static void testTensorErrors() {
  mlc_handle *handle = create(sumProgram);
  CHECK(mlc_rt_call_tensors(nullptr, 0, nullptr, nullptr) == MLC_INVALID_ARGUMENT);
  SumArguments good(3, 5);
  CHECK_ERROR(mlc_rt_call_tensors(handle, 0, nullptr, good.outputs), MLC_INVALID_ARGUMENT, handle,
              "the pointer to the inputs is null");
  CHECK_ERROR(mlc_rt_call_tensors(handle, 0, good.inputs, nullptr), MLC_INVALID_ARGUMENT, handle,
              "the pointer to the outputs is null");
  CHECK_ERROR(mlc_rt_call_tensors(handle, 1, good.inputs, good.outputs), MLC_INVALID_ARGUMENT, handle,
              "train_step: the library was compiled without --train");
  {
    SumArguments arguments(3, 5);
    arguments.inputs[0].dtype = MLC_FLOAT64;
    CHECK_TENSORS("input \"a\": expected float32[N,4], got float64[3,4] (the type is float64, expected float32)");
  }
  {
    SumArguments arguments(3, 5);
    arguments.inputs[0].dtype = 77;
    CHECK_TENSORS("input \"a\": expected float32[N,4], got unknown[3,4] (the type is 77, which no mlc_dtype has)");
  }
  {
    SumArguments arguments(3, 5);
    arguments.inputs[0].rank = 3;
    arguments.inputs[0].shape[2] = 1;
    CHECK_TENSORS("input \"a\": expected float32[N,4], got float32[3,4,1] (the rank is 3, expected 2)");
    arguments.inputs[0].rank = 1000;
    CHECK_TENSORS("input \"a\": expected float32[N,4], got float32[...] (the rank is 1000, expected 2)");
    arguments.inputs[0].rank = -1;
    CHECK_TENSORS("input \"a\": expected float32[N,4], got float32[...] (the rank is -1, expected 2)");
  }
  {
    SumArguments arguments(3, 5);
    arguments.inputs[1].shape[1] = 9;
    CHECK_TENSORS("input \"b\": expected float32[N,4], got float32[3,9] (dimension 1 is 9, expected 4)");
    arguments.inputs[1].shape[1] = -4;
    CHECK_TENSORS("input \"b\": expected float32[N,4], got float32[3,-4] (dimension 1 is -4, expected 0 or more)");
  }
  {
    SumArguments arguments(3, 5);
    arguments.inputs[1].shape[0] = 2;
    CHECK_TENSORS(
        "input \"b\": expected float32[N,4], got float32[2,4] (dimension 0: N is 2 here, but 3 in input \"a\")");
  }
  {
    SumArguments arguments(3, 5);
    arguments.outputs[0].shape[0] = 4;
    CHECK_TENSORS("output \"sum\": expected float32[3,4], got float32[4,4] (dimension 0 is 4, expected 3)");
  }
  {
    SumArguments arguments(3, 5);
    arguments.inputs[2].data = nullptr;
    CHECK_TENSORS("input \"flags\": the data pointer is null");
    arguments.inputs[2].shape[0] = 0;
    CHECK(mlc_rt_call_tensors(handle, 0, arguments.inputs, arguments.outputs) == MLC_OK);
    arguments.outputs[0].data = nullptr;
    CHECK_TENSORS("output \"sum\": the data pointer is null");
  }
  {
    SumArguments arguments(3, 5);
    arguments.inputs[0].data = (char *)arguments.a + 2;
    CHECK_TENSORS("input \"a\": the data pointer is not aligned to 4 bytes");
    arguments.inputs[0].data = arguments.a;
    arguments.outputs[1].data = (char *)arguments.sum + 4;
    CHECK_TENSORS("output \"count\": the data pointer is not aligned to 8 bytes");
  }
  {
    SumArguments arguments(3, 5);
    arguments.outputs[0].data = arguments.b + 11;
    CHECK_TENSORS("output \"sum\" overlaps input \"b\"");
    arguments.outputs[0].data = arguments.b + 12;
    CHECK(mlc_rt_call_tensors(handle, 0, arguments.inputs, arguments.outputs) == MLC_OK);
    arguments.outputs[1].data = arguments.b + 22;
    CHECK_TENSORS("output \"count\" overlaps output \"sum\"");
  }
  {
    SumArguments arguments(INT64_MAX / 8, 5);
    CHECK_TENSORS("input \"a\": the tensor is larger than the address space");
  }
  mlc_rt_destroy(handle);
}

static void testTypedErrors() {
  mlc_handle *handle = create(sumProgram);
  SumArguments arguments(3, 5);
  int64_t dims[] = {3, 5};
  const void *inputs[] = {arguments.a, arguments.b, arguments.flags};
  void *outputs[] = {arguments.sum, &arguments.count};
  CHECK(mlc_rt_call(nullptr, 0, dims, inputs, outputs) == MLC_INVALID_ARGUMENT);
  CHECK_ERROR(mlc_rt_call(handle, 0, nullptr, inputs, outputs), MLC_INVALID_ARGUMENT, handle,
              "the pointer to the dimensions is null");
  CHECK_ERROR(mlc_rt_call(handle, 0, dims, nullptr, outputs), MLC_INVALID_ARGUMENT, handle,
              "the pointer to the inputs is null");
  CHECK_ERROR(mlc_rt_call(handle, 0, dims, inputs, nullptr), MLC_INVALID_ARGUMENT, handle,
              "the pointer to the outputs is null");
  CHECK_ERROR(mlc_rt_call(handle, 1, dims, inputs, outputs), MLC_INVALID_ARGUMENT, handle,
              "train_step: the library was compiled without --train");
  inputs[1] = nullptr;
  CHECK_ERROR(mlc_rt_call(handle, 0, dims, inputs, outputs), MLC_INVALID_ARGUMENT, handle,
              "input \"b\": the data pointer is null");
  dims[0] = 0;
  CHECK(mlc_rt_call(handle, 0, dims, inputs, outputs) == MLC_OK);
  dims[1] = -5;
  CHECK_ERROR(mlc_rt_call(handle, 0, dims, inputs, outputs), MLC_INVALID_ARGUMENT, handle,
              "dimension \"M\" is -5, expected 0 or more");
  mlc_rt_destroy(handle);
}

static int32_t negativeSizes(const mlc_call *, int64_t *result) {
  result[0] = 0;
  result[1] = -2;
  result[2] = 4;
  result[3] = 1;
  return MLC_OK;
}

static void testModelErrors() {
  for (int threads : {1, 3}) {
    mlc_options options = {};
    options.threads = threads;
    mlc_handle *handle = create(sumProgram, options);
    SumArguments arguments(1, 5);
    misbehaviour = failInEntry;
    CHECK_ERROR(mlc_rt_call_tensors(handle, 0, arguments.inputs, arguments.outputs), MLC_MODEL_ERROR, handle,
                "index -7 is outside [0, -9223372036854775808), 100%");
    misbehaviour = failInTasks;
    CHECK_ERROR(mlc_rt_call_tensors(handle, 0, arguments.inputs, arguments.outputs), MLC_MODEL_ERROR, handle,
                "row 0 of 1 is bad");
    SumArguments many(16, 5);
    CHECK(mlc_rt_call_tensors(handle, 0, many.inputs, many.outputs) == MLC_MODEL_ERROR);
    CHECK(strstr(mlc_rt_last_error(handle), " of 16 is bad") != nullptr);
    misbehaviour = returnStatus;
    CHECK_ERROR(mlc_rt_call_tensors(handle, 0, arguments.inputs, arguments.outputs), MLC_INTERNAL, handle,
                "the model failed with status 8");
    misbehaviour = none;
    CHECK(mlc_rt_call_tensors(handle, 0, arguments.inputs, arguments.outputs) == MLC_OK);
    CHECK(mlc_rt_last_error(handle)[0] == 0);
    mlc_rt_destroy(handle);
  }
  {
    mlc_handle *handle = create(sumProgram);
    SumArguments arguments(4, 1);
    misbehaviour = refuseSizes;
    CHECK_ERROR(mlc_rt_call_tensors(handle, 0, arguments.inputs, arguments.outputs), MLC_MODEL_ERROR, handle,
                "node: sizes differ: 4 and 3");
    const int64_t dims[] = {5, 1};
    int64_t shapes[3];
    CHECK(mlc_rt_output_shapes(&sumProgram, dims, shapes) == MLC_MODEL_ERROR);
    CHECK(!strcmp(mlc_rt_last_error(nullptr), "node: sizes differ: 5 and 3"));
    CHECK(mlc_rt_workspace_size(&sumProgram, dims) == 0);
    misbehaviour = none;
    mlc_rt_destroy(handle);
  }
  mlc_program program = sumProgram;
  program.run_sizes = negativeSizes;
  mlc_handle *handle = create(program);
  SumArguments arguments(1, 5);
  CHECK_TENSORS("output \"sum\": dimension 0 would be -2: the inputs are too small");
  mlc_rt_destroy(handle);
  // Without flags, nothing determines M; that matters only if an output uses it.
  program = sumProgram;
  program.model.input_count = 2;
  mlc_value_info outputs[] = {program.model.outputs[0], program.model.inputs[2]};
  program.model.outputs = outputs;
  handle = create(program);
  CHECK_TENSORS("output \"flags\": dimension 0 is \"M\", which no input determines");
  mlc_rt_destroy(handle);
}

static void testArena() {
  alignas(64) static char arena[4096 + 64];
  mlc_options options = {};
  options.threads = 1;
  options.arena = arena;
  options.arena_bytes = 64 + 16 * 4;
  mlc_handle *handle = create(sumProgram, options);
  SumArguments arguments(4, 1);
  CHECK(mlc_rt_call_tensors(handle, 0, arguments.inputs, arguments.outputs) == MLC_OK);
  SumArguments larger(5, 1);
  CHECK_ERROR(mlc_rt_call_tensors(handle, 0, larger.inputs, larger.outputs), MLC_OUT_OF_MEMORY, handle,
              "the arena is too small: 144 bytes needed, 128 bytes given");
  mlc_rt_destroy(handle);
  mlc_handle *none = (mlc_handle *)&options;
  options.arena = arena + 32;
  CHECK_ERROR(mlc_rt_create(&sumProgram, &options, &none), MLC_INVALID_ARGUMENT, nullptr,
              "options: arena is not aligned to 64 bytes");
  CHECK(none == nullptr);
  options.arena = nullptr;
  CHECK_ERROR(mlc_rt_create(&sumProgram, &options, &none), MLC_INVALID_ARGUMENT, nullptr,
              "options: arena_bytes is 128, but arena is null");

  const int64_t dims[] = {5, 1};
  CHECK(mlc_rt_workspace_size(&sumProgram, dims) == 144);
  CHECK(mlc_rt_workspace_size(&sumProgram, nullptr) == 0);
  CHECK(mlc_rt_workspace_size(&stepProgram, nullptr) == 512);
  int64_t shapes[3] = {0, 0, 0};
  CHECK(mlc_rt_output_shapes(&sumProgram, dims, shapes) == MLC_OK);
  CHECK(shapes[0] == 5 && shapes[1] == 4 && shapes[2] == 1);
  CHECK(mlc_rt_output_shapes(&sumProgram, dims, nullptr) == MLC_INVALID_ARGUMENT);
  CHECK(mlc_rt_output_shapes(&sumProgram, nullptr, shapes) == MLC_INVALID_ARGUMENT);
}

static void testAllocations() {
  int liveBefore = liveCount;
  mlc_options options = {};
  options.threads = 2;
  // Static shapes: neither the first nor any later call allocates, not even train_step or one that fails.
  mlc_handle *handle = create(stepProgram, options);
  float x[] = {1, 1, 1}, g[6] = {}, y[2] = {};
  const void *inputs[] = {x, g};
  void *outputs[] = {y};
  int before = allocationCount;
  for (int call = 0; call < 100; ++call) {
    CHECK(mlc_rt_call(handle, 0, nullptr, inputs, outputs) == MLC_OK);
    CHECK(mlc_rt_call(handle, 1, nullptr, inputs, outputs) == MLC_OK);
    CHECK(mlc_rt_call(handle, 0, nullptr, nullptr, outputs) == MLC_INVALID_ARGUMENT);
  }
  CHECK(allocationCount == before);
  CHECK(y[0] == 6 && y[1] == 15);
  mlc_rt_destroy(handle);
  CHECK(liveCount == liveBefore);

  // Symbolic shapes: only a workspace that must grow.
  handle = create(sumProgram, options);
  before = allocationCount;
  for (int64_t n : {4, 4, 2, 8, 8, 1}) {
    SumArguments arguments(n, 3);
    CHECK(mlc_rt_call_tensors(handle, 0, arguments.inputs, arguments.outputs) == MLC_OK);
  }
  CHECK(allocationCount == before + 2);
  mlc_rt_destroy(handle);
  CHECK(liveCount == liveBefore);
}

static void serialBackwards(void *pool, mlc_task task, void *context, int64_t count) {
  ++*(int *)pool;
  while (count-- > 0)
    task(context, count);
}

static void testCallersPool() {
  int loops = 0;
  mlc_options options = {};
  options.parallel_for = serialBackwards;
  options.pool = &loops;
  mlc_handle *handle = create(sumProgram, options);
  SumArguments arguments(16, 5);
  CHECK(mlc_rt_call_tensors(handle, 0, arguments.inputs, arguments.outputs) == MLC_OK);
  CHECK(loops == 1 && arguments.sum[63] == 163.f);
  mlc_rt_destroy(handle);
}

static void testParam() {
  mlc_handle *handle = create(stepProgram);
  mlc_tensor w, b;
  CHECK(mlc_rt_param(handle, "w", &w) == MLC_OK);
  CHECK(w.dtype == MLC_FLOAT32 && w.rank == 2 && w.shape[0] == 2 && w.shape[1] == 3);
  CHECK(memcmp(w.data, stepWeights, 24) == 0 && w.data != stepWeights);
  CHECK(mlc_rt_param(handle, "b \"\n\xc3\xa9", &b) == MLC_OK && b.dtype == MLC_FLOAT16 && b.rank == 1);
  ((float *)w.data)[0] = 11;
  float x[] = {1, 1, 1}, y[2];
  const void *inputs[] = {x};
  void *outputs[] = {y};
  CHECK(mlc_rt_call(handle, 0, nullptr, inputs, outputs) == MLC_OK && y[0] == 16);
  CHECK(mlc_rt_param(nullptr, "w", &w) == MLC_INVALID_ARGUMENT);
  CHECK_ERROR(mlc_rt_param(handle, nullptr, &w), MLC_INVALID_ARGUMENT, handle, "param: the name is null");
  CHECK_ERROR(mlc_rt_param(handle, "w", nullptr), MLC_INVALID_ARGUMENT, handle,
              "param: the pointer to the view is null");
  CHECK_ERROR(mlc_rt_param(handle, "w.momentum", &w), MLC_INVALID_ARGUMENT, handle,
              "param: the model has no parameter \"w.momentum\"");
  mlc_rt_destroy(handle);
  handle = create(sumProgram);
  CHECK_ERROR(mlc_rt_param(handle, "w", &w), MLC_INVALID_ARGUMENT, handle,
              "param: the library has no parameters (it was compiled without --train)");
  mlc_rt_destroy(handle);
}

/// A step in which a task fails writes no state, although its entry goes on to the end.
static void testFailedStep() {
  mlc_handle *handle = create(stepProgram);
  mlc_tensor w;
  CHECK(mlc_rt_param(handle, "w", &w) == MLC_OK);
  float x[] = {1, 1, 1}, gradient[] = {2e6f, 1, 1, 1, 1, 1}, y[2];
  const void *inputs[] = {x, gradient};
  void *outputs[] = {y};
  CHECK_ERROR(mlc_rt_call(handle, 1, nullptr, inputs, outputs), MLC_MODEL_ERROR, handle, "gradient 1 is not below 0");
  CHECK(memcmp(w.data, stepWeights, 24) == 0);
  gradient[0] = 1;
  CHECK(mlc_rt_call(handle, 1, nullptr, inputs, outputs) == MLC_OK);
  CHECK(memcmp(w.data, stepWeights, 24) != 0);
  mlc_rt_destroy(handle);
}

int main() {
  for (int threads : {0, 1, 2, 3, 8})
    testSum(threads);
  testTensorErrors();
  testTypedErrors();
  testModelErrors();
  testArena();
  testAllocations();
  testCallersPool();
  testParam();
  testFailedStep();
  return finish();
}
