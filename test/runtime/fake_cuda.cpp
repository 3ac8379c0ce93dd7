// fake_cuda.cpp: a libcuda.so.1 whose device is host memory, so that Device.cpp runs on machines without a GPU. Its one
// kernel, "addArrays", adds two float arrays. FAKE_CUDA in the environment names the function that fails.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern "C" {
int fakeAllocations, fakeContexts, fakeModules, fakeStreams, fakeDepth;

static bool broken(const char *function) {
  const char *name = getenv("FAKE_CUDA");
  return name && strcmp(name, function) == 0;
}

int cuInit(unsigned) { return broken("cuInit") ? 100 : 0; }
int cuGetErrorString(int error, const char **text) {
  *text = error == 100 ? "no CUDA-capable device is detected" : error == 2 ? "out of memory" : "a fake failure";
  return 0;
}
int cuDeviceGetCount(int *count) { return *count = 1, 0; }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, 0; }
int cuDeviceGetName(char *name, int, int) { return strcpy(name, "Fake GPU"), 0; }
int cuDeviceGetAttribute(int *value, int attribute, int) { return *value = attribute == 75 ? 9 : 0, 0; }
int cuDevicePrimaryCtxRetain(void **context, int) {
  ++fakeContexts;
  *context = &fakeContexts;
  return 0;
}
int cuDevicePrimaryCtxRelease_v2(int) { return --fakeContexts, 0; }
int cuCtxPushCurrent_v2(void *) { return ++fakeDepth, 0; }
int cuCtxPopCurrent_v2(void **) { return --fakeDepth, 0; }
int cuModuleLoadDataEx(void **module, const void *image, unsigned count, int *options, void **values) {
  if (broken("cuModuleLoadDataEx")) {
    if (count == 2 && options[0] == 5 && options[1] == 6 && (uintptr_t)values[1] > 20)
      strcpy((char *)values[0], "ptxas: line 3: error");
    return 218;
  }
  ++fakeModules;
  *module = (void *)image;
  return 0;
}
int cuModuleUnload(void *) { return --fakeModules, 0; }
int cuModuleGetFunction(void **function, void *module, const char *name) {
  if (!strstr((const char *)module, name))
    return 500;
  *function = module;
  return 0;
}
static int allocate(uint64_t *memory, size_t bytes, const char *function) {
  if (broken(function))
    return 2;
  ++fakeAllocations;
  *memory = (uint64_t)aligned_alloc(256, (bytes + 255) / 256 * 256);
  return 0;
}
int cuMemAlloc_v2(uint64_t *memory, size_t bytes) { return allocate(memory, bytes, "cuMemAlloc"); }
int cuMemAllocManaged(uint64_t *memory, size_t bytes, unsigned) { return allocate(memory, bytes, "cuMemAllocManaged"); }
int cuMemFree_v2(uint64_t memory) { return free((void *)memory), --fakeAllocations, 0; }
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *) {
  return memcpy((void *)to, from, bytes), 0;
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *) { return memcpy(to, (void *)from, bytes), 0; }
int cuMemsetD8Async(uint64_t memory, unsigned char value, size_t bytes, void *) {
  return memset((void *)memory, value, bytes), 0;
}
int cuStreamCreate(void **stream, unsigned) { return *stream = &fakeStreams, ++fakeStreams, 0; }
int cuStreamDestroy_v2(void *) { return --fakeStreams, 0; }
int cuStreamSynchronize(void *) { return broken("cuStreamSynchronize") ? 700 : 0; }
int cuLaunchKernel(void *, unsigned gridX, unsigned, unsigned, unsigned blockX, unsigned, unsigned, unsigned, void *,
                   void **arguments, void **) {
  if (broken("cuLaunchKernel"))
    return 719;
  const float *a = *(const float **)arguments[0], *b = *(const float **)arguments[1];
  float *to = *(float **)arguments[2];
  int64_t count = *(int64_t *)arguments[3];
  for (int64_t index = 0; index < (int64_t)gridX * blockX && index < count; ++index)
    to[index] = a[index] + b[index];
  return 0;
}
}
