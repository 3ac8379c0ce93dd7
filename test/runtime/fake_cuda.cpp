// fake_cuda.cpp: a libcuda.so.1 whose device is host memory, so that Device.cpp runs on machines without a GPU. Its one
// kernel, "addArrays", adds two float arrays. FAKE_CUDA in the environment names the function that fails, and may say with
// which code: "cuLaunchKernel:701". An image that holds the text of FAKE_CUDA_REFUSES is refused.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern "C" {
int fakeAllocations, fakeContexts, fakeModules, fakeStreams, fakeDepth;

/// The code with which the function fails; 0: it does not.
static int broken(const char *function, int usual) {
  const char *name = getenv("FAKE_CUDA");
  size_t length = strlen(function);
  if (!name || strncmp(name, function, length) != 0 || (name[length] && name[length] != ':'))
    return 0;
  return name[length] ? atoi(name + length + 1) : usual;
}

int cuInit(unsigned) { return broken("cuInit", 100); }
int cuGetErrorString(int error, const char **text) {
  *text = error == 100 ? "no CUDA-capable device is detected" : error == 2 ? "out of memory" : "a fake failure";
  return 0;
}
int cuDeviceGetCount(int *count) { return *count = 1, broken("cuDeviceGetCount", 1); }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, broken("cuDeviceGet", 1); }
int cuDeviceGetName(char *name, int, int) { return strcpy(name, "Fake GPU"), 0; }
int cuDeviceGetAttribute(int *value, int attribute, int) {
  return *value = attribute == 75 ? 9 : 0, broken("cuDeviceGetAttribute", 1);
}
int cuDevicePrimaryCtxRetain(void **context, int) {
  if (int code = broken("cuDevicePrimaryCtxRetain", 1))
    return code;
  ++fakeContexts;
  *context = &fakeContexts;
  return 0;
}
int cuDevicePrimaryCtxRelease_v2(int) { return --fakeContexts, 0; }
int cuCtxPushCurrent_v2(void *) {
  if (int code = broken("cuCtxPushCurrent", 1))
    return code;
  return ++fakeDepth, 0;
}
int cuCtxPopCurrent_v2(void **) { return --fakeDepth, broken("cuCtxPopCurrent", 1); }
int cuModuleLoadDataEx(void **module, const void *image, unsigned count, int *options, void **values) {
  const char *refuses = getenv("FAKE_CUDA_REFUSES");
  int code = broken("cuModuleLoadDataEx", 218);
  if (refuses && *refuses && strstr((const char *)image, refuses))
    code = 222;
  if (code) {
    if (count == 2 && options[0] == 5 && options[1] == 6 && (uintptr_t)values[1] > 20)
      strcpy((char *)values[0], "ptxas: line 3: error");
    return code;
  }
  ++fakeModules;
  *module = (void *)image;
  return 0;
}
int cuModuleUnload(void *) { return --fakeModules, 0; }
int cuModuleGetFunction(void **function, void *module, const char *name) {
  if (int code = broken("cuModuleGetFunction", 1))
    return code;
  if (!strstr((const char *)module, name))
    return 500;
  *function = module;
  return 0;
}
static int allocate(uint64_t *memory, size_t bytes, const char *function) {
  if (int code = broken(function, 2))
    return code;
  ++fakeAllocations;
  *memory = (uint64_t)aligned_alloc(256, (bytes + 255) / 256 * 256);
  return 0;
}
int cuMemAlloc_v2(uint64_t *memory, size_t bytes) { return allocate(memory, bytes, "cuMemAlloc"); }
int cuMemAllocManaged(uint64_t *memory, size_t bytes, unsigned) { return allocate(memory, bytes, "cuMemAllocManaged"); }
int cuMemFree_v2(uint64_t memory) { return free((void *)memory), --fakeAllocations, broken("cuMemFree", 1); }
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *) {
  return memcpy((void *)to, from, bytes), broken("cuMemcpyHtoDAsync", 1);
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *) {
  return memcpy(to, (void *)from, bytes), broken("cuMemcpyDtoHAsync", 1);
}
int cuMemsetD8Async(uint64_t memory, unsigned char value, size_t bytes, void *) {
  return memset((void *)memory, value, bytes), broken("cuMemsetD8Async", 1);
}
int cuStreamCreate(void **stream, unsigned) {
  if (int code = broken("cuStreamCreate", 1))
    return code;
  return *stream = &fakeStreams, ++fakeStreams, 0;
}
int cuStreamDestroy_v2(void *) { return --fakeStreams, 0; }
int cuStreamSynchronize(void *) { return broken("cuStreamSynchronize", 700); }
int cuLaunchKernel(void *, unsigned gridX, unsigned, unsigned, unsigned blockX, unsigned, unsigned, unsigned, void *,
                   void **arguments, void **) {
  if (int code = broken("cuLaunchKernel", 701))
    return code;
  const float *a = *(const float **)arguments[0], *b = *(const float **)arguments[1];
  float *to = *(float **)arguments[2];
  int64_t count = *(int64_t *)arguments[3];
  for (int64_t index = 0; index < (int64_t)gridX * blockX && index < count; ++index)
    to[index] = a[index] + b[index];
  return 0;
}
}
