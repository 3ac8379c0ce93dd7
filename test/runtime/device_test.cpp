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
  mlc_rt_launch(call, 0, (n + 127) / 128, 128, first, 4);
  mlc_rt_launch(call, 0, (n + 127) / 128, 128, second, 4);
  if (n == 13)
    mlc_rt_launch(call, 1, 1, 1, first, 4);
  if (n == 14)
    mlc_rt_launch(call, 0, 1, 2048, first, 4);
  if (int32_t status = mlc_rt_commit(call))
    return status;
  mlc_rt_launch(call, 0, 1, n == 15 ? 2048 : 32, third, 4);
  return MLC_OK; // what a launch has found is remembered
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

static std::string checkpointPath() { return "/tmp/mlc-device-" + std::to_string(getpid()) + ".safetensors"; }

static void checkReleased(const char *when) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW);
  for (const char *counter : {"fakeAllocations", "fakeContexts", "fakeModules", "fakeStreams", "fakeDepth"})
    checkThat(*(int *)dlsym(library, counter) == 0, "everything was given back",
              (std::string(counter) + " " + when).c_str(), __FILE__, __LINE__);
  dlclose(library);
}

/// A failure while the state is written leaves it undefined, until a checkpoint is loaded.
static void testLostState(mlc_handle *handle) {
  std::string path = checkpointPath();
  CHECK(mlc_rt_save(handle, path.c_str()) == MLC_OK);
  CHECK_ERROR(
      call(handle, 15), MLC_INTERNAL, handle,
      "GPU kernel \"addArrays\": 1 blocks of 2048 threads cannot be launched; parameters and optimizer state are "
      "undefined now: load a checkpoint");
  const char *undefined =
      "parameters and optimizer state are undefined since an earlier call failed: load a checkpoint";
  CHECK_ERROR(call(handle, 2), MLC_INTERNAL, handle, undefined);
  CHECK_ERROR(mlc_rt_save(handle, (path + ".other").c_str()), MLC_INTERNAL, handle, undefined);
  CHECK(mlc_rt_load(handle, path.c_str()) == MLC_OK);
  CHECK(call(handle, 2) == MLC_OK);
  unlink(path.c_str());
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
  std::string path = checkpointPath();
  CHECK(mlc_rt_save(handle, path.c_str()) == MLC_OK);
  CHECK(call(handle, 2) == MLC_OK && ((float *)view.data)[0] == 71);
  CHECK(mlc_rt_load(handle, path.c_str()) == MLC_OK);
  CHECK(((float *)view.data)[0] == 70);
  unlink(path.c_str());
  CHECK_ERROR(call(handle, 13), MLC_INTERNAL, handle, "there is no GPU kernel 1");
  CHECK_ERROR(call(handle, 14), MLC_INTERNAL, handle,
              "GPU kernel \"addArrays\": 1 blocks of 2048 threads cannot be launched");
  CHECK(call(handle, 2) == MLC_OK);
  testLostState(handle);
  mlc_rt_destroy(handle);
}

/// Every function fails once while a handle is made, used and destroyed: never MLC_OK, and nothing stays behind.
static void testEveryFunction(const mlc_program &program) {
  const char *const functions[] = {"cuInit",
                                   "cuDeviceGetCount",
                                   "cuDeviceGet",
                                   "cuDeviceGetAttribute",
                                   "cuDevicePrimaryCtxRetain",
                                   "cuCtxPushCurrent",
                                   "cuCtxPopCurrent",
                                   "cuModuleLoadDataEx",
                                   "cuModuleGetFunction",
                                   "cuMemAlloc",
                                   "cuMemAllocManaged",
                                   "cuMemcpyHtoDAsync",
                                   "cuMemcpyDtoHAsync",
                                   "cuMemsetD8Async",
                                   "cuStreamCreate",
                                   "cuStreamSynchronize",
                                   "cuLaunchKernel"};
  for (const char *function : functions)
    for (int code : {1, 2, 222, 700, 701, 716}) {
      mlc_handle *handle = nullptr;
      std::string failing = std::string(function) + ":" + std::to_string(code);
      setenv("FAKE_CUDA", failing.c_str(), 1);
      mlc_status status = mlc_rt_create(&program, nullptr, &handle);
      std::string message = mlc_rt_last_error(nullptr);
      if (status == MLC_OK) {
        status = call(handle, 40);
        message = mlc_rt_last_error(handle);
      }
      checkThat(status != MLC_OK, "a failure of the driver is reported", failing.c_str(), __FILE__, __LINE__);
      checkThat(message.find("CUDA error " + std::to_string(code)) != std::string::npos, "the message tells the code",
                message.c_str(), __FILE__, __LINE__);
      setenv("FAKE_CUDA", "", 1);
      mlc_rt_destroy(handle);
      checkReleased(failing.c_str());
    }
}

/// After a fault the driver refuses everything; after any other failure the handle works again.
static void testFaults(const mlc_program &program) {
  for (const char *failing : {"cuStreamSynchronize:700", "cuMemcpyHtoDAsync:716", "cuLaunchKernel:719"}) {
    mlc_handle *handle = nullptr;
    CHECK(mlc_rt_create(&program, nullptr, &handle) == MLC_OK);
    setenv("FAKE_CUDA", failing, 1);
    CHECK(call(handle, 2) == MLC_INTERNAL);
    setenv("FAKE_CUDA", "", 1);
    std::string code = strchr(failing, ':') + 1;
    std::string message =
        "GPU: the device cannot be used since a fault in an earlier call: a fake failure (CUDA error " + code + ")";
    CHECK_ERROR(call(handle, 2), MLC_INTERNAL, handle, message.c_str());
    mlc_tensor view;
    CHECK_ERROR(mlc_rt_param(handle, "p", &view), MLC_INTERNAL, handle, message.c_str());
    CHECK_ERROR(mlc_rt_save(handle, "/tmp/mlc-device-none"), MLC_INTERNAL, handle, message.c_str());
    mlc_rt_destroy(handle);
    checkReleased(failing);
  }
}

static const char *const newerPtx = ".version 99.0\n.target sm_90a\n// addArrays\n";

/// An image that the driver refuses leaves its kernels to the next one, which is compiled only then.
static void testImages(mlc_program program) {
  const char *const both[] = {newerPtx, addPtx};
  program.device_images = both;
  mlc_handle *handle = nullptr;
  void *library = dlopen("libcuda.so.1", RTLD_NOW);
  const int *loaded = (const int *)dlsym(library, "fakeModules");
  CHECK(mlc_rt_create(&program, nullptr, &handle) == MLC_OK && *loaded == 1);
  mlc_rt_destroy(handle);
  setenv("FAKE_CUDA_REFUSES", "sm_90a", 1);
  CHECK(mlc_rt_create(&program, nullptr, &handle) == MLC_OK && *loaded == 1);
  CHECK(call(handle, 5) == MLC_OK);
  mlc_rt_destroy(handle);
  program.device_image_count = 1;
  CHECK_ERROR(mlc_rt_create(&program, nullptr, &handle), MLC_UNSUPPORTED_DEVICE, nullptr,
              "the NVIDIA driver refused GPU code image 0: a fake failure (CUDA error 222): ptxas: line 3: error");
  setenv("FAKE_CUDA_REFUSES", "", 1);
  dlclose(library);
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
       "the library holds GPU code for sm_80, but no GPU can be used: no CUDA-capable device is detected "
       "(CUDA error 100)"},
      {"cuModuleLoadDataEx", MLC_UNSUPPORTED_DEVICE,
       "the NVIDIA driver refused GPU code image 1: a fake failure (CUDA error 218): ptxas: line 3: error"},
      {"cuMemAlloc", MLC_OUT_OF_MEMORY,
       "GPU: cannot allocate 32 bytes for the record of checks: out of memory (CUDA error 2)"},
      {"cuMemAllocManaged", MLC_OUT_OF_MEMORY,
       "GPU: cannot allocate 128 bytes for the state: out of memory (CUDA error 2)"},
      {"cuStreamSynchronize", MLC_INTERNAL, "GPU: running the kernels failed: a fake failure (CUDA error 700)"},
  };
  for (const auto &test : createCases) {
    setenv("FAKE_CUDA", test.function, 1);
    CHECK_ERROR(mlc_rt_create(&program, nullptr, &handle), test.status, nullptr, test.message);
    CHECK(handle == nullptr);
  }
  setenv("FAKE_CUDA", "", 1);
  CHECK(mlc_rt_create(&program, nullptr, &handle) == MLC_OK);
  std::string saved = checkpointPath();
  CHECK(mlc_rt_save(handle, saved.c_str()) == MLC_OK);
  struct {
    const char *function;
    mlc_status status;
    const char *message;
  } const callCases[] = {
      {"cuLaunchKernel", MLC_INTERNAL,
       "GPU: launching kernel \"addArrays\" with 1 blocks of 128 threads failed: a fake failure (CUDA error 701)"},
      {"cuStreamSynchronize:999", MLC_INTERNAL,
       "GPU: running the kernels failed: a fake failure (CUDA error 999); the last kernel launched is \"addArrays\""},
      {"cuMemAlloc", MLC_OUT_OF_MEMORY,
       "GPU: cannot allocate 400 bytes for the workspace: out of memory (CUDA error 2)"},
      {"cuCtxPushCurrent:1", MLC_INTERNAL, "GPU: entering the context failed: a fake failure (CUDA error 1)"},
      {"cuCtxPopCurrent:1", MLC_INTERNAL,
       "GPU: leaving the context failed: a fake failure (CUDA error 1); parameters and optimizer state are undefined "
       "now: "
       "load a checkpoint"},
      {"cuMemFree:1", MLC_INTERNAL, "GPU: freeing memory failed: a fake failure (CUDA error 1)"},
  };
  int64_t size = 0; // of the calls that need more memory than those before
  for (const auto &test : callCases) {
    setenv("FAKE_CUDA", "", 1);
    CHECK(mlc_rt_load(handle, saved.c_str()) == MLC_OK); // a failure may have left the state undefined
    setenv("FAKE_CUDA", test.function, 1);
    CHECK_ERROR(call(handle, strncmp(test.function, "cuMem", 5) ? 2 : size += 100), test.status, handle, test.message);
  }
  setenv("FAKE_CUDA", "", 1);
  CHECK(mlc_rt_load(handle, saved.c_str()) == MLC_OK);
  CHECK(call(handle, 100) == MLC_OK);
  mlc_rt_destroy(handle);
  unlink(saved.c_str());
  testFaults(program);
  testImages(program);
  testEveryFunction(program);

  program.device_image_count = 1; // sm_52a alone
  program.device_arch = "sm_52a";
  CHECK_ERROR(mlc_rt_create(&program, nullptr, &handle), MLC_UNSUPPORTED_DEVICE, nullptr,
              "GPU 0 (Fake GPU, sm_90) cannot run this library, which needs sm_52a");
  program.device_image_count = 2;
  const char *const otherKernels[] = {"absent"};
  program.device_kernels = otherKernels;
  CHECK_ERROR(mlc_rt_create(&program, nullptr, &handle), MLC_UNSUPPORTED_DEVICE, nullptr,
              "no GPU code image for this device holds the kernel \"absent\"");

  checkReleased("after everything");
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
