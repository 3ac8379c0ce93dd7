// libcuda.cpp: a libcuda.so.1 between a library and the driver, which is the emulator or a real one ($WATCHED_DRIVER is its path). It
// counts the driver's calls, makes one of them fail, counts what has not been given back, and times kernels with events. A test or
// tools/gpu-check loads it first, so that every later dlopen("libcuda.so.1") of the process finds it, and steers it by the functions
// watch...(). Not thread-safe: one thread calls.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

struct Timed {
  void *function, *begin, *end;
};
struct Times {
  std::string name;
  int64_t launches = 0;
  double milliseconds = 0;
};

struct Watcher {
  void *driver = nullptr;
  int64_t calls = 0, failAt = -1;
  int failCode = 0;
  bool failsForGood = false, skipsKernels = false, timesKernels = false;
  std::string failed; // the function that was made to fail first
  std::set<std::pair<std::string, uint64_t>> live;
  int64_t depth = 0, contexts = 0;
  std::map<void *, std::string> names; // of kernels
  std::vector<Timed> launches;         // not waited for yet
  std::map<void *, Times> times;
};
Watcher watcher;

/// The real function of this name.
template <class F> F real(F, const char *name) {
  if (!watcher.driver) {
    const char *path = getenv("WATCHED_DRIVER");
    watcher.driver = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (!watcher.driver) {
      fprintf(stderr, "watcher: WATCHED_DRIVER=%s: %s\n", path ? path : "", path ? dlerror() : "is not set");
      abort();
    }
  }
  void *function = dlsym(watcher.driver, name);
  if (!function) {
    fprintf(stderr, "watcher: the driver has no %s\n", name);
    abort();
  }
  return reinterpret_cast<F>(function);
}

/// The code with which the call that begins now fails; 0: it does not.
int failure(const char *name) {
  int64_t number = watcher.calls++;
  if (watcher.failAt < 0 || number < watcher.failAt || (number > watcher.failAt && !watcher.failsForGood))
    return 0;
  if (watcher.failed.empty())
    watcher.failed = name;
  return watcher.failCode;
}

int made(const char *kind, uint64_t object, int result) {
  if (result == 0)
    watcher.live.insert({kind, object});
  return result;
}
int made(const char *kind, void *object, int result) { return made(kind, reinterpret_cast<uint64_t>(object), result); }

/// What fails to be given back counts as given back: trying is all that a caller can do.
void gone(const char *kind, uint64_t object) { watcher.live.erase({kind, object}); }
void gone(const char *kind, void *object) { gone(kind, reinterpret_cast<uint64_t>(object)); }

void collectTimes() {
  for (Timed &launch : watcher.launches) {
    float milliseconds = 0;
    auto elapsed = [](float *result, void *begin, void *end) {
      using Elapsed = int (*)(float *, void *, void *);
      return real(Elapsed(), "cuEventElapsedTime")(result, begin, end);
    };
    using Destroy = int (*)(void *);
    if (elapsed(&milliseconds, launch.begin, launch.end) == 0) {
      Times &times = watcher.times[launch.function];
      times.name = watcher.names[launch.function];
      ++times.launches;
      times.milliseconds += static_cast<double>(milliseconds);
    }
    real(Destroy(), "cuEventDestroy_v2")(launch.begin);
    real(Destroy(), "cuEventDestroy_v2")(launch.end);
  }
  watcher.launches.clear();
}

} // namespace

// Calls the real function of the same name.
#define REAL(NAME) real(&NAME, #NAME)
#define FAIL_HERE                                                                                                      \
  if (int code = failure(__func__))                                                                                    \
    return code;

extern "C" {

/// Call `call` (the first is 0) from now on fails with `code`, and with `forGood` all that follow; -1: none does.
void watchFail(int64_t call, int code, int forGood) {
  watcher.calls = 0;
  watcher.failAt = call;
  watcher.failCode = code;
  watcher.failsForGood = forGood;
  watcher.failed.clear();
}
int64_t watchCalls() { return watcher.calls; }
/// The function that was made to fail; "" if none was.
const char *watchFailed() { return watcher.failed.c_str(); }
/// What has not been given back: memory, modules, streams, contexts, and contexts that are still current.
int64_t watchLive() { return static_cast<int64_t>(watcher.live.size()) + watcher.contexts + watcher.depth; }
void watchForget() {
  watcher.live.clear();
  watcher.contexts = watcher.depth = 0;
}
/// Kernels are not run, only counted.
void watchSkip(int skip) { watcher.skipsKernels = skip; }
void watchTime(int time) {
  watcher.timesKernels = time;
  watcher.times.clear();
}
/// "kernel launches milliseconds\n" of each kernel since watchTime; returns the length of the text.
int64_t watchTimes(char *text, int64_t bytes) {
  std::string all;
  for (auto &[function, times] : watcher.times)
    all += times.name + " " + std::to_string(times.launches) + " " + std::to_string(times.milliseconds) + "\n";
  if (bytes > 0)
    snprintf(text, static_cast<size_t>(bytes), "%s", all.c_str());
  return static_cast<int64_t>(all.size());
}

int cuGetErrorString(int error, const char **text) {
  if (watcher.failed.empty() || error != watcher.failCode)
    return REAL(cuGetErrorString)(error, text);
  return *text = "an injected failure", 0;
}
int cuInit(unsigned flags) {
  FAIL_HERE
  return REAL(cuInit)(flags);
}
int cuDeviceGetCount(int *count) {
  FAIL_HERE
  return REAL(cuDeviceGetCount)(count);
}
int cuDeviceGet(int *device, int ordinal) {
  FAIL_HERE
  return REAL(cuDeviceGet)(device, ordinal);
}
int cuDeviceGetName(char *name, int bytes, int device) {
  FAIL_HERE
  return REAL(cuDeviceGetName)(name, bytes, device);
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  FAIL_HERE
  return REAL(cuDeviceGetAttribute)(value, attribute, device);
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
  FAIL_HERE
  int result = REAL(cuDevicePrimaryCtxRetain)(context, device);
  watcher.contexts += result == 0;
  return result;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
  --watcher.contexts;
  int code = failure(__func__), result = REAL(cuDevicePrimaryCtxRelease_v2)(device);
  return code ? code : result;
}
int cuCtxPushCurrent_v2(void *context) {
  FAIL_HERE
  int result = REAL(cuCtxPushCurrent_v2)(context);
  watcher.depth += result == 0;
  return result;
}
int cuCtxPopCurrent_v2(void **context) {
  --watcher.depth;
  int code = failure(__func__), result = REAL(cuCtxPopCurrent_v2)(context);
  return code ? code : result;
}
int cuModuleLoadDataEx(void **module, const void *image, unsigned count, int *options, void **values) {
  FAIL_HERE
  int result = REAL(cuModuleLoadDataEx)(module, image, count, options, values);
  return made("module", *module, result);
}
int cuModuleUnload(void *module) {
  gone("module", module);
  int code = failure(__func__), result = REAL(cuModuleUnload)(module);
  return code ? code : result;
}
int cuModuleGetFunction(void **function, void *module, const char *name) {
  FAIL_HERE
  int result = REAL(cuModuleGetFunction)(function, module, name);
  if (result == 0)
    watcher.names[*function] = name;
  return result;
}
int cuMemAlloc_v2(uint64_t *memory, size_t bytes) {
  FAIL_HERE
  int result = REAL(cuMemAlloc_v2)(memory, bytes);
  return made("memory", *memory, result);
}
int cuMemAllocManaged(uint64_t *memory, size_t bytes, unsigned flags) {
  FAIL_HERE
  int result = REAL(cuMemAllocManaged)(memory, bytes, flags);
  return made("memory", *memory, result);
}
int cuMemFree_v2(uint64_t memory) {
  gone("memory", memory);
  int code = failure(__func__), result = REAL(cuMemFree_v2)(memory);
  return code ? code : result;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *stream) {
  FAIL_HERE
  return REAL(cuMemcpyHtoDAsync_v2)(to, from, bytes, stream);
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream) {
  FAIL_HERE
  return REAL(cuMemcpyDtoHAsync_v2)(to, from, bytes, stream);
}
int cuMemsetD8Async(uint64_t memory, unsigned char value, size_t bytes, void *stream) {
  FAIL_HERE
  return REAL(cuMemsetD8Async)(memory, value, bytes, stream);
}
int cuStreamCreate(void **stream, unsigned flags) {
  FAIL_HERE
  int result = REAL(cuStreamCreate)(stream, flags);
  return made("stream", *stream, result);
}
int cuStreamDestroy_v2(void *stream) {
  gone("stream", stream);
  int code = failure(__func__), result = REAL(cuStreamDestroy_v2)(stream);
  return code ? code : result;
}
int cuStreamSynchronize(void *stream) {
  int code = failure(__func__), result = REAL(cuStreamSynchronize)(stream);
  if (result == 0)
    collectTimes();
  return code ? code : result;
}
int cuLaunchKernel(void *function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,
                   unsigned blockZ, unsigned sharedBytes, void *stream, void **arguments, void **extra) {
  FAIL_HERE
  if (watcher.skipsKernels)
    return 0;
  auto launch = [&] {
    return REAL(cuLaunchKernel)(function, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes, stream, arguments,
                                extra);
  };
  if (!watcher.timesKernels)
    return launch();
  using Create = int (*)(void **, unsigned);
  using Record = int (*)(void *, void *);
  Timed timed{function, nullptr, nullptr};
  real(Create(), "cuEventCreate")(&timed.begin, 0);
  real(Create(), "cuEventCreate")(&timed.end, 0);
  real(Record(), "cuEventRecord")(timed.begin, stream);
  int result = launch();
  real(Record(), "cuEventRecord")(timed.end, stream);
  watcher.launches.push_back(timed);
  return result;
}
}
