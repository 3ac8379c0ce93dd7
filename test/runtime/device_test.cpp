// device_test.cpp: if this fails, a GPU library crashes where there is no GPU, or moves the wrong bytes. Without
// arguments it uses the machine's driver (none: MLC_UNSUPPORTED_DEVICE; a real one: the PTX below); with the argument
// "fake" the loader finds fake_cuda.cpp through LD_LIBRARY_PATH.
#include "Check.h"
#include "Programs.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string>
#include <unistd.h>

static const mlc_dim dims[] = {{-1, 0, 0}};
static const mlc_value_info inputs[] = {{"a", MLC_FLOAT32, 1, dims}, {"b", MLC_FLOAT32, 1, dims}};
static const mlc_value_info outputs[] = {{"c", MLC_FLOAT32, 1, dims}};
static const char *const symbols[] = {"N"};
static const mlc_dim paramDims[] = {{4, -1, 0}};
static const mlc_value_info params[] = {{"p", MLC_FLOAT32, 1, paramDims}};
static const mlc_state_slot slots[] = {{"p", 0, 16, 0}, {"p.m", 64, 16, -1}};
alignas(64) static const float weights[4] = {1, 2, 3, 4};

static const char *const addPtx = R"(.version 7.0
.target sm_80
.address_size 64
.visible .entry addArrays(.param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u64 pn)
{
  .reg .pred %p; .reg .b32 %r<4>; .reg .b64 %d<9>; .reg .f32 %f<3>;
  ld.param.u64 %d0, [pa]; ld.param.u64 %d1, [pb]; ld.param.u64 %d2, [pc]; ld.param.u64 %d3, [pn];
  mov.u32 %r0, %ctaid.x; mov.u32 %r1, %ntid.x; mov.u32 %r2, %tid.x;
  mad.lo.u32 %r3, %r0, %r1, %r2;
  cvt.u64.u32 %d4, %r3;
  setp.ge.s64 %p, %d4, %d3;
  @%p bra done;
  shl.b64 %d5, %d4, 2;
  add.u64 %d6, %d0, %d5; add.u64 %d7, %d1, %d5; add.u64 %d8, %d2, %d5;
  ld.global.f32 %f0, [%d6]; ld.global.f32 %f1, [%d7];
  add.f32 %f2, %f0, %f1;
  st.global.f32 [%d8], %f2;
done:
  ret;
}
)";
static const char *const exactPtx = ".version 8.0\n.target sm_52a\n.address_size 64\n";
static const char *const images[] = {exactPtx, addPtx};
static const char *const kernels[] = {"addArrays"};

static int32_t sizes(const mlc_call *call, int64_t *result) {
  result[0] = 4 * call->dims[0];
  result[1] = call->dims[0];
  return MLC_OK;
}

// c = (a + b) + b, through the workspace; the first four elements of the state grow by the weights.
static int32_t run(const mlc_call *call) {
  const void *a = call->inputs[0], *b = call->inputs[1];
  void *c = call->outputs[0], *arena = call->arena, *state = call->state;
  const void *constants = call->weights;
  int64_t n = call->dims[0], four = 4;
  void *first[] = {&a, &b, &arena, &n}, *second[] = {&arena, &b, &c, &n};
  void *third[] = {&state, &constants, &state, &four};
  if (int32_t status = mlc_rt_launch(call, 0, (n + 127) / 128, 128, first, 4))
    return status;
  if (int32_t status = mlc_rt_launch(call, 0, (n + 127) / 128, 128, second, 4))
    return status;
  if (n == 13)
    return mlc_rt_launch(call, 1, 1, 1, first, 4);
  if (n == 14)
    return mlc_rt_launch(call, 0, 1, 2048, first, 4);
  return mlc_rt_launch(call, 0, 1, 32, third, 4);
}

static mlc_program makeProgram() {
  mlc_program program;
  memset(&program, 0, sizeof(program));
  program.model.name = "add";
  program.model.symbol_count = 1;
  program.model.input_count = 2;
  program.model.output_count = 1;
  program.model.param_count = 1;
  program.model.symbols = symbols;
  program.model.inputs = inputs;
  program.model.outputs = outputs;
  program.model.params = params;
  program.run = run;
  program.run_sizes = sizes;
  program.weights = weights;
  program.weights_bytes = sizeof(weights);
  program.state_bytes = 128;
  program.state_slot_count = 2;
  program.state_slots = slots;
  program.device_images = images;
  program.device_kernels = kernels;
  program.device_image_count = 2;
  program.device_kernel_count = 1;
  program.device_arch = "sm_80";
  return program;
}

static mlc_status call(mlc_handle *handle, int64_t n) {
  static float a[1000], b[1000], c[1000];
  for (int64_t index = 0; index < n; ++index) {
    a[index] = (float)index;
    b[index] = 1000.f;
    c[index] = -1;
  }
  mlc_tensor given[2] = {{a, MLC_FLOAT32, 1, {n}}, {b, MLC_FLOAT32, 1, {n}}}, result[1] = {{c, MLC_FLOAT32, 1, {n}}};
  mlc_status status = mlc_rt_call_tensors(handle, 0, given, result);
  bool good = true;
  for (int64_t index = 0; index < n; ++index)
    good = good && c[index] == (status ? -1.f : 2000.f + (float)index);
  CHECK(good || status == MLC_INTERNAL); // what outputs hold after a failure is open
  return status;
}

static void testWorkingDevice(const mlc_program &program) {
  mlc_handle *handle = nullptr;
  if (!checkThat(mlc_rt_create(&program, nullptr, &handle) == MLC_OK, "create", mlc_rt_last_error(nullptr), __FILE__,
                 __LINE__))
    return;
  for (int64_t n : {5, 1000, 0, 3})
    checkThat(call(handle, n) == MLC_OK, "call", mlc_rt_last_error(handle), __FILE__, __LINE__);
  mlc_tensor view;
  CHECK(mlc_rt_param(handle, "p", &view) == MLC_OK);
  for (int index = 0; index < 4; ++index)
    CHECK(((float *)view.data)[index] == 5 * weights[index]);
  ((float *)view.data)[0] = 70;
  std::string path = "/tmp/mlc-device-" + std::to_string(getpid()) + ".safetensors";
  CHECK(mlc_rt_save(handle, path.c_str()) == MLC_OK);
  CHECK(call(handle, 2) == MLC_OK && ((float *)view.data)[0] == 71);
  CHECK(mlc_rt_load(handle, path.c_str()) == MLC_OK);
  CHECK(((float *)view.data)[0] == 70);
  unlink(path.c_str());
  CHECK_ERROR(call(handle, 13), MLC_INTERNAL, handle, "there is no GPU kernel 1");
  CHECK_ERROR(call(handle, 14), MLC_INTERNAL, handle,
              "GPU kernel \"addArrays\": 1 blocks of 2048 threads cannot be launched");
  CHECK(call(handle, 2) == MLC_OK);
  mlc_rt_destroy(handle);
}

static void testFake(mlc_program program) {
  testWorkingDevice(program);
  mlc_handle *handle = nullptr;
  mlc_options options = {};
  options.device = 1;
  CHECK_ERROR(mlc_rt_create(&program, &options, &handle), MLC_UNSUPPORTED_DEVICE, nullptr,
              "there is no GPU 1: this machine has 1");
  struct {
    const char *function;
    mlc_status status;
    const char *message;
  } const createCases[] = {
      {"cuInit", MLC_UNSUPPORTED_DEVICE,
       "the library holds GPU code for sm_80, but no GPU can be used: no CUDA-capable device is detected"},
      {"cuModuleLoadDataEx", MLC_UNSUPPORTED_DEVICE,
       "the NVIDIA driver refused GPU code image 1: a fake failure: ptxas: line 3: error"},
      {"cuMemAlloc", MLC_OUT_OF_MEMORY, "GPU: cannot allocate 16 bytes for the weights: out of memory"},
      {"cuMemAllocManaged", MLC_OUT_OF_MEMORY, "GPU: cannot allocate 128 bytes for the state: out of memory"},
      {"cuStreamSynchronize", MLC_INTERNAL, "GPU: running the kernels failed: a fake failure (CUDA error 700)"},
  };
  for (const auto &test : createCases) {
    setenv("FAKE_CUDA", test.function, 1);
    CHECK_ERROR(mlc_rt_create(&program, nullptr, &handle), test.status, nullptr, test.message);
    CHECK(handle == nullptr);
  }
  setenv("FAKE_CUDA", "", 1);
  CHECK(mlc_rt_create(&program, nullptr, &handle) == MLC_OK);
  struct {
    const char *function;
    mlc_status status;
    const char *message;
  } const callCases[] = {
      {"cuLaunchKernel", MLC_INTERNAL, "GPU: addArrays failed: a fake failure (CUDA error 719)"},
      {"cuStreamSynchronize", MLC_INTERNAL, "GPU: running the kernels failed: a fake failure (CUDA error 700)"},
      {"cuMemAlloc", MLC_OUT_OF_MEMORY, "GPU: cannot allocate 400 bytes for the workspace: out of memory"},
  };
  for (const auto &test : callCases) {
    setenv("FAKE_CUDA", test.function, 1);
    CHECK_ERROR(call(handle, strcmp(test.function, "cuMemAlloc") ? 2 : 100), test.status, handle, test.message);
  }
  setenv("FAKE_CUDA", "", 1);
  CHECK(call(handle, 100) == MLC_OK);
  mlc_rt_destroy(handle);

  program.device_image_count = 1; // sm_52a alone
  program.device_arch = "sm_52a";
  CHECK_ERROR(mlc_rt_create(&program, nullptr, &handle), MLC_UNSUPPORTED_DEVICE, nullptr,
              "GPU 0 (Fake GPU, sm_90) cannot run this library, which needs sm_52a");
  program.device_image_count = 2;
  const char *const otherKernels[] = {"absent"};
  program.device_kernels = otherKernels;
  CHECK_ERROR(mlc_rt_create(&program, nullptr, &handle), MLC_UNSUPPORTED_DEVICE, nullptr,
              "no GPU code image for this device holds the kernel \"absent\"");

  void *library = dlopen("libcuda.so.1", RTLD_NOW);
  for (const char *counter : {"fakeAllocations", "fakeContexts", "fakeModules", "fakeStreams", "fakeDepth"})
    checkThat(*(int *)dlsym(library, counter) == 0, "everything was given back", counter, __FILE__, __LINE__);
  dlclose(library);
}

int main(int argumentCount, char **) {
  mlc_program program = makeProgram();
  if (argumentCount > 1) {
    testFake(program);
    return finish();
  }
  mlc_handle *handle = nullptr;
  mlc_status status = mlc_rt_create(&program, nullptr, &handle);
  mlc_rt_destroy(handle);
  if (status == MLC_OK) {
    testWorkingDevice(program);
  } else {
    CHECK(status == MLC_UNSUPPORTED_DEVICE);
    CHECK(strstr(mlc_rt_last_error(nullptr), "the library holds GPU code for sm_80, but ") != nullptr);
  }
  return finish();
}
