// Device.cpp: GPU libraries through the CUDA driver API. libcuda is opened with dlopen and its types are declared here,
// so that a library neither needs CUDA to be built nor to be loaded.
//
// Weights, state and workspace live in device memory. The inputs of a call are copied into a staging block, the outputs
// back from it; everything is queued on one stream of the handle, and a call returns when the stream is idle.
//
// No result of the driver is dropped: a kernel that cannot be launched fails the call (what is launched after it does
// nothing), and a fault after which the process cannot use the device any more fails every later call of the handle.
#include "Device.h"

#include "Call.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef int32_t CuResult; // 0: success
typedef uint64_t CuAddress;
typedef void *CuObject; // context, module, function or stream

// Every driver function that the runtime uses: field of Driver, symbol of libcuda, parameters.
#define MLC_CUDA_FUNCTIONS(F)                                                                                          \
  F(init, "cuInit", uint32_t flags)                                                                                    \
  F(errorText, "cuGetErrorString", CuResult error, const char **text)                                                  \
  F(deviceCount, "cuDeviceGetCount", int32_t *count)                                                                   \
  F(deviceGet, "cuDeviceGet", int32_t *device, int32_t ordinal)                                                        \
  F(deviceName, "cuDeviceGetName", char *name, int32_t bytes, int32_t device)                                          \
  F(deviceAttribute, "cuDeviceGetAttribute", int32_t *value, int32_t attribute, int32_t device)                        \
  F(contextRetain, "cuDevicePrimaryCtxRetain", CuObject *context, int32_t device)                                      \
  F(contextRelease, "cuDevicePrimaryCtxRelease_v2", int32_t device)                                                    \
  F(contextPush, "cuCtxPushCurrent_v2", CuObject context)                                                              \
  F(contextPop, "cuCtxPopCurrent_v2", CuObject *context)                                                               \
  F(moduleLoad, "cuModuleLoadDataEx", CuObject *module, const void *image, uint32_t count, int32_t *options,           \
    void **values)                                                                                                     \
  F(moduleUnload, "cuModuleUnload", CuObject module)                                                                   \
  F(moduleFunction, "cuModuleGetFunction", CuObject *function, CuObject module, const char *name)                      \
  F(memoryAllocate, "cuMemAlloc_v2", CuAddress *memory, size_t bytes)                                                  \
  F(memoryAllocateShared, "cuMemAllocManaged", CuAddress *memory, size_t bytes, uint32_t flags)                        \
  F(memoryFree, "cuMemFree_v2", CuAddress memory)                                                                      \
  F(memoryWrite, "cuMemcpyHtoDAsync_v2", CuAddress to, const void *from, size_t bytes, CuObject stream)                \
  F(memoryRead, "cuMemcpyDtoHAsync_v2", void *to, CuAddress from, size_t bytes, CuObject stream)                       \
  F(memorySet, "cuMemsetD8Async", CuAddress memory, uint8_t value, size_t bytes, CuObject stream)                      \
  F(streamCreate, "cuStreamCreate", CuObject *stream, uint32_t flags)                                                  \
  F(streamDestroy, "cuStreamDestroy_v2", CuObject stream)                                                              \
  F(streamWait, "cuStreamSynchronize", CuObject stream)                                                                \
  F(launch, "cuLaunchKernel", CuObject function, uint32_t gridX, uint32_t gridY, uint32_t gridZ, uint32_t blockX,      \
    uint32_t blockY, uint32_t blockZ, uint32_t sharedBytes, CuObject stream, void **arguments, void **extra)

namespace mlc {

namespace {
struct Driver {
#define MLC_FIELD(NAME, SYMBOL, ...) CuResult (*NAME)(__VA_ARGS__);
  MLC_CUDA_FUNCTIONS(MLC_FIELD)
#undef MLC_FIELD
};

enum DeviceAttribute { computeMajor = 75, computeMinor = 76 };
enum JitOption { jitErrorLog = 5, jitErrorLogBytes = 6 };
const uint32_t streamNonBlocking = 1, attachGlobal = 1;
} // namespace

struct Device {
  Driver driver;
  int32_t ordinal;
  CuObject context; // the primary context, shared with everything else in the process that uses the device
  CuObject stream;
  void *staging;
  size_t stagingBytes;
  CuObject *modules;               // one for each image; null: not for this device, or not needed
  CuObject *functions;             // one for each kernel
  mlc_status failure;              // of a launch of this call
  CuResult lost;                   // the fault after which the device cannot be used; 0: none
  int32_t lastKernel;              // that this call has launched, -1: none
  void *checks;                    // on the device: what the kernels found wrong, see deviceVerify
  int64_t found[checkRecordWords]; // the host's copy of it
};

static const char *textOf(const Driver &driver, CuResult result) {
  const char *text = nullptr;
  return driver.errorText(result, &text) == 0 && text ? text : "unknown error";
}

/// Faults that end the context: uncorrectable memory errors, and what a kernel did (CUDA errors 700 and 702 to 719 but
/// for those that only refuse a call).
static bool endsContext(CuResult result) {
  const CuResult faults[] = {214, 220, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719};
  for (CuResult fault : faults)
    if (result == fault)
      return true;
  return false;
}

static mlc_status statusOf(Device *device, CuResult result) {
  if (result == 0)
    return MLC_OK;
  if (endsContext(result))
    device->lost = result;
  const CuResult outOfMemory = 2;
  return result == outOfMemory ? MLC_OUT_OF_MEMORY : MLC_INTERNAL;
}

static mlc_status check(mlc_handle *handle, CuResult result, const char *action) {
  mlc_status status = statusOf(handle->device, result);
  if (status == MLC_OK)
    return MLC_OK;
  return fail(handle, status, "GPU: %s failed: %s (CUDA error %d)", action, textOf(handle->device->driver, result),
              result);
}

/// A fault of a kernel is reported by whatever waits for it: which kernel it was is not known, only the last one that can
/// have been it.
static mlc_status checkQueue(mlc_handle *handle, CuResult result, const char *action) {
  Device *device = handle->device;
  if (result == 0 || device->lastKernel < 0)
    return check(handle, result, action);
  return fail(handle, statusOf(device, result),
              "GPU: %s failed: %s (CUDA error %d); the last kernel launched is \"%s\"", action,
              textOf(device->driver, result), result, handle->program->device_kernels[device->lastKernel]);
}

/// Fills the table of driver functions. The driver stays open for good: it cannot be unloaded safely once initialised.
static mlc_status openDriver(mlc_handle *handle, Driver *driver) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return fail(handle, MLC_UNSUPPORTED_DEVICE,
                "the library holds GPU code for %s, but the NVIDIA driver (libcuda.so.1) is not installed",
                handle->program->device_arch);
  // One text of all symbols: an array of pointers would have to be relocated at load.
#define MLC_SYMBOL(NAME, SYMBOL, ...) SYMBOL "\0"
  static const char symbols[] = MLC_CUDA_FUNCTIONS(MLC_SYMBOL);
#undef MLC_SYMBOL
  char *field = (char *)driver;
  for (const char *symbol = symbols; *symbol; symbol += strlen(symbol) + 1) {
    void *function = dlsym(library, symbol);
    if (!function)
      return fail(handle, MLC_UNSUPPORTED_DEVICE, "the NVIDIA driver is too old: it has no %s", symbol);
    memcpy(field, &function, sizeof(function));
    field += sizeof(function);
  }
  return MLC_OK;
}

static mlc_status openContext(mlc_handle *handle, int32_t *capability) {
  Device *device = handle->device;
  const Driver &driver = device->driver;
  if (CuResult result = driver.init(0))
    return fail(handle, MLC_UNSUPPORTED_DEVICE,
                "the library holds GPU code for %s, but no GPU can be used: %s (CUDA error %d)",
                handle->program->device_arch, textOf(driver, result), result);
  int32_t count = 0;
  if (mlc_status status = check(handle, driver.deviceCount(&count), "counting devices"))
    return status;
  int32_t wanted = handle->options.device;
  if (wanted >= count)
    return fail(handle, MLC_UNSUPPORTED_DEVICE, "there is no GPU %d: this machine has %d", wanted, count);
  if (mlc_status status = check(handle, driver.deviceGet(&device->ordinal, wanted), "opening the device"))
    return status;
  int32_t major = 0, minor = 0;
  if (mlc_status status =
          check(handle, driver.deviceAttribute(&major, computeMajor, device->ordinal), "asking the device"))
    return status;
  if (mlc_status status =
          check(handle, driver.deviceAttribute(&minor, computeMinor, device->ordinal), "asking the device"))
    return status;
  *capability = 10 * major + minor;
  return check(handle, driver.contextRetain(&device->context, device->ordinal), "creating a context");
}

/// True if PTX for `.target sm_NN` can run: any newer device for plain targets, the same one for those like sm_90a, the
/// same generation for those like sm_100f. An image without a target line (a cubin) is left to the driver.
static bool imageFits(const char *image, int32_t capability) {
  const char *target = strstr(image, ".target sm_");
  if (!target)
    return true;
  const char *suffix = target + strlen(".target sm_");
  int32_t needed = 0;
  for (; *suffix >= '0' && *suffix <= '9' && needed < 10000; ++suffix)
    needed = 10 * needed + (*suffix - '0');
  if (*suffix == 'a')
    return needed == capability;
  if (*suffix == 'f')
    return needed <= capability && needed / 10 == capability / 10;
  return needed <= capability;
}

/// Errors that say something of the image, not of the device: an invalid image, no code for this device, no compiler for
/// the PTX in the driver, invalid PTX, a PTX version that is newer than the driver.
static bool refusesImage(CuResult result) {
  const CuResult refusals[] = {200, 209, 218, 221, 222, 223, 300};
  for (CuResult refusal : refusals)
    if (result == refusal)
      return true;
  return false;
}

namespace {
/// Why create fails if no image serves: the first refusal of the driver.
struct Refusal {
  int32_t image;
  CuResult result; // 0: none was refused
  char log[640];   // of the driver's compiler
};
} // namespace

static mlc_status loadImage(mlc_handle *handle, int32_t index, Refusal *refusal) {
  Device *device = handle->device;
  char log[sizeof(refusal->log)] = "";
  int32_t options[] = {jitErrorLog, jitErrorLogBytes};
  void *values[] = {log, (void *)(uintptr_t)(sizeof(log) - 1)};
  CuResult result =
      device->driver.moduleLoad(&device->modules[index], handle->program->device_images[index], 2, options, values);
  if (!result)
    return MLC_OK;
  device->modules[index] = nullptr;
  if (!refusesImage(result))
    return check(handle, result, "loading the kernels");
  if (!refusal->result) {
    refusal->image = index;
    refusal->result = result;
    memcpy(refusal->log, log, sizeof(log));
  }
  return MLC_OK;
}

/// Takes from an image the kernels that no earlier one holds; returns in `missing` how many are in none so far.
static mlc_status findKernels(mlc_handle *handle, int32_t image, int32_t *missing) {
  const mlc_program *program = handle->program;
  Device *device = handle->device;
  const CuResult notFound = 500;
  *missing = 0;
  for (int32_t kernel = 0; kernel < program->device_kernel_count; ++kernel) {
    CuObject *function = &device->functions[kernel];
    if (*function)
      continue;
    CuResult result = device->driver.moduleFunction(function, device->modules[image], program->device_kernels[kernel]);
    if (result) {
      *function = nullptr;
      ++*missing;
      if (result != notFound)
        return check(handle, result, "looking for a kernel");
    }
  }
  return MLC_OK;
}

static mlc_status failImages(mlc_handle *handle, const Refusal &refusal, bool loaded, int32_t capability) {
  const mlc_program *program = handle->program;
  const Device *device = handle->device;
  if (refusal.result)
    return fail(handle, MLC_UNSUPPORTED_DEVICE, "the NVIDIA driver refused GPU code image %d: %s (CUDA error %d)%s%s",
                refusal.image, textOf(device->driver, refusal.result), refusal.result, refusal.log[0] ? ": " : "",
                refusal.log);
  if (loaded)
    for (int32_t kernel = 0; kernel < program->device_kernel_count; ++kernel)
      if (!device->functions[kernel])
        return fail(handle, MLC_UNSUPPORTED_DEVICE, "no GPU code image for this device holds the kernel \"%s\"",
                    program->device_kernels[kernel]);
  char name[128] = "";
  if (device->driver.deviceName(name, sizeof(name), device->ordinal) != 0)
    memcpy(name, "unknown", sizeof("unknown"));
  return fail(handle, MLC_UNSUPPORTED_DEVICE, "GPU %d (%s, sm_%d) cannot run this library, which needs %s",
              handle->options.device, name, capability, program->device_arch);
}

/// Loads images, best first, until every kernel is found: the driver compiles what it loads. An image that the driver
/// refuses, because it is newer than the driver, leaves its kernels to those that follow.
static mlc_status loadImages(mlc_handle *handle, int32_t capability) {
  const mlc_program *program = handle->program;
  Refusal refusal;
  memset(&refusal, 0, sizeof(refusal));
  bool loaded = false;
  for (int32_t index = 0; index < program->device_image_count; ++index) {
    if (!imageFits(program->device_images[index], capability))
      continue;
    if (mlc_status status = loadImage(handle, index, &refusal))
      return status;
    if (!handle->device->modules[index])
      continue;
    loaded = true;
    int32_t missing = 0;
    if (mlc_status status = findKernels(handle, index, &missing))
      return status;
    if (missing == 0)
      return MLC_OK;
  }
  return failImages(handle, refusal, loaded, capability);
}

mlc_status deviceOpen(mlc_handle *handle) {
  const mlc_program *program = handle->program;
  size_t objectCount = (size_t)(program->device_image_count + program->device_kernel_count);
  size_t bytes = sizeof(Device) + sizeof(CuObject) * objectCount;
  Driver driver;
  if (mlc_status status = openDriver(handle, &driver))
    return status;
  Device *device = (Device *)allocate(handle, bytes, "device");
  if (!device)
    return MLC_OUT_OF_MEMORY;
  memset(device, 0, bytes);
  device->driver = driver;
  device->lastKernel = -1;
  device->modules = (CuObject *)(device + 1);
  device->functions = device->modules + program->device_image_count;
  handle->device = device;
  int32_t capability = 0;
  if (mlc_status status = openContext(handle, &capability))
    return status;
  DeviceScope scope(handle);
  mlc_status status = scope.status();
  if (status == MLC_OK)
    status = loadImages(handle, capability);
  if (status == MLC_OK)
    status = check(handle, driver.streamCreate(&device->stream, streamNonBlocking), "creating a stream");
  if (status == MLC_OK)
    status = deviceAllocate(handle, sizeof(device->found), DeviceMemory::Private, "record of checks", &device->checks);
  return scope.leave(status);
}

void deviceClose(mlc_handle *handle) {
  Device *device = handle->device;
  if (!device)
    return;
  {
    // There is nobody to report failures to. Releasing is tried even where the context could not be made current: no
    // address or object of it is one of another context.
    DeviceScope scope(handle);
    deviceRelease(handle, device->staging);
    deviceRelease(handle, device->checks);
    if (device->stream)
      device->driver.streamDestroy(device->stream);
    for (int32_t index = 0; index < handle->program->device_image_count; ++index)
      if (device->modules[index])
        device->driver.moduleUnload(device->modules[index]);
  }
  if (device->context)
    device->driver.contextRelease(device->ordinal);
  handle->device = nullptr;
  release(handle, device);
}

mlc_status deviceUsable(mlc_handle *handle) {
  const Device *device = handle->device;
  if (!device || !device->lost)
    return MLC_OK;
  return fail(handle, MLC_INTERNAL,
              "GPU: the device cannot be used since a fault in an earlier call: %s (CUDA error %d)",
              textOf(device->driver, device->lost), device->lost);
}

DeviceScope::DeviceScope(mlc_handle *given) : handle(given), pushed(false), failure(deviceUsable(given)) {
  Device *device = handle->device;
  if (!device || !device->context)
    return;
  CuResult result = device->driver.contextPush(device->context);
  pushed = result == 0;
  if (failure == MLC_OK)
    failure = check(handle, result, "entering the context");
}

mlc_status DeviceScope::leave(mlc_status status) {
  CuObject context;
  if (!pushed)
    return status;
  pushed = false;
  CuResult result = handle->device->driver.contextPop(&context);
  return status ? status : check(handle, result, "leaving the context");
}

DeviceScope::~DeviceScope() { leave(MLC_INTERNAL); }

mlc_status deviceAllocate(mlc_handle *handle, size_t bytes, DeviceMemory kind, const char *purpose, void **memory) {
  const Driver &driver = handle->device->driver;
  CuAddress address = 0;
  bytes = bytes ? bytes : 1;
  CuResult result = kind == DeviceMemory::Shared ? driver.memoryAllocateShared(&address, bytes, attachGlobal)
                                                 : driver.memoryAllocate(&address, bytes);
  if (result == 0) {
    *memory = (void *)address;
    return MLC_OK;
  }
  return fail(handle, statusOf(handle->device, result), "GPU: cannot allocate %zu bytes for the %s: %s (CUDA error %d)",
              bytes, purpose, textOf(driver, result), result);
}

mlc_status deviceRelease(mlc_handle *handle, void *memory) {
  if (!memory)
    return MLC_OK;
  return check(handle, handle->device->driver.memoryFree((CuAddress)memory), "freeing memory");
}

mlc_status deviceWrite(mlc_handle *handle, void *to, const void *from, size_t bytes) {
  Device *device = handle->device;
  if (bytes == 0)
    return MLC_OK;
  return checkQueue(handle, device->driver.memoryWrite((CuAddress)to, from, bytes, device->stream),
                    "copying to the device");
}

mlc_status deviceRead(mlc_handle *handle, void *to, const void *from, size_t bytes) {
  Device *device = handle->device;
  if (bytes == 0)
    return MLC_OK;
  return checkQueue(handle, device->driver.memoryRead(to, (CuAddress)from, bytes, device->stream),
                    "copying from the device");
}

mlc_status deviceZero(mlc_handle *handle, void *memory, size_t bytes) {
  Device *device = handle->device;
  return checkQueue(handle, device->driver.memorySet((CuAddress)memory, 0, bytes, device->stream), "clearing memory");
}

mlc_status deviceWait(mlc_handle *handle) {
  return checkQueue(handle, handle->device->driver.streamWait(handle->device->stream), "running the kernels");
}

mlc_status deviceBegin(mlc_handle *handle) {
  Device *device = handle->device;
  device->failure = MLC_OK;
  device->lastKernel = -1;
  memset(device->found, 0, sizeof(device->found));
  device->found[0] = -1;
  return deviceWrite(handle, device->checks, device->found, sizeof(device->found));
}

void *deviceChecks(mlc_handle *handle) { return handle->device ? handle->device->checks : nullptr; }

mlc_status deviceFailure(mlc_handle *handle) { return handle->device ? handle->device->failure : MLC_OK; }

mlc_status deviceVerify(mlc_handle *handle) {
  Device *device = handle->device;
  if (mlc_status status = deviceRead(handle, device->found, device->checks, sizeof(device->found)))
    return status;
  if (mlc_status status = deviceWait(handle))
    return status;
  if (!device->found[1])
    return MLC_OK;
  formatFailure(handle->error, sizeof(handle->error), (const char *)device->found[1], device->found + 2);
  return MLC_MODEL_ERROR;
}

void deviceSettle(mlc_handle *handle) {
  Device *device = handle->device;
  statusOf(device, device->driver.streamWait(device->stream));
}

static size_t stagedBytes(int64_t bytes) { return ((size_t)bytes + 255) / 256 * 256; }

mlc_status deviceStage(mlc_handle *handle, const Signature &signature, const void *const *inputs) {
  Device *device = handle->device;
  size_t total = 0;
  for (int32_t index = 0; index < signature.inputCount; ++index)
    total += stagedBytes(handle->inputBytes[index]);
  for (int32_t index = 0; index < signature.outputCount; ++index)
    total += stagedBytes(handle->outputBytes[index]);
  if (device->stagingBytes < total) {
    void *old = device->staging;
    device->staging = nullptr;
    device->stagingBytes = 0;
    if (mlc_status status = deviceRelease(handle, old))
      return status;
    if (mlc_status status =
            deviceAllocate(handle, total, DeviceMemory::Private, "inputs and outputs", &device->staging))
      return status;
    device->stagingBytes = total;
  }
  char *at = (char *)device->staging;
  for (int32_t index = 0; index < signature.inputCount; ++index) {
    size_t bytes = (size_t)handle->inputBytes[index];
    if (mlc_status status = deviceWrite(handle, at, inputs[index], bytes))
      return status;
    handle->stagedInputs[index] = at;
    at += stagedBytes((int64_t)bytes);
  }
  for (int32_t index = 0; index < signature.outputCount; ++index) {
    handle->stagedOutputs[index] = at;
    at += stagedBytes(handle->outputBytes[index]);
  }
  return MLC_OK;
}

mlc_status deviceUnstage(mlc_handle *handle, const Signature &signature, void *const *outputs) {
  for (int32_t index = 0; index < signature.outputCount; ++index)
    if (mlc_status status =
            deviceRead(handle, outputs[index], handle->stagedOutputs[index], (size_t)handle->outputBytes[index]))
      return status;
  return MLC_OK;
}

} // namespace mlc

using namespace mlc;

static mlc_status launch(const mlc_call *call, int64_t kernel, int64_t blocks, int64_t threads, void **arguments) {
  mlc_handle *handle = call->handle;
  Device *device = (Device *)call->device;
  if (kernel < 0 || kernel >= handle->program->device_kernel_count)
    return fail(handle, MLC_INTERNAL, "there is no GPU kernel %lld", (long long)kernel);
  if (blocks == 0)
    return MLC_OK;
  const int64_t blocksMax = 0x7fffffff, threadsMax = 1024;
  const char *name = handle->program->device_kernels[kernel];
  if (blocks < 0 || blocks > blocksMax || threads <= 0 || threads > threadsMax)
    return fail(handle, MLC_INTERNAL, "GPU kernel \"%s\": %lld blocks of %lld threads cannot be launched", name,
                (long long)blocks, (long long)threads);
  CuResult result = device->driver.launch(device->functions[kernel], (uint32_t)blocks, 1, 1, (uint32_t)threads, 1, 1, 0,
                                          device->stream, arguments, nullptr);
  if (result)
    return fail(handle, statusOf(device, result),
                "GPU: launching kernel \"%s\" with %lld blocks of %lld threads failed: %s (CUDA error %d)", name,
                (long long)blocks, (long long)threads, textOf(device->driver, result), result);
  device->lastKernel = (int32_t)kernel;
  return MLC_OK;
}

void mlc_rt_launch(const mlc_call *call, int64_t kernel, int64_t blocks, int64_t threads, void **arguments, int64_t) {
  mlc_handle *handle = call->handle;
  Device *device = (Device *)call->device;
  // What follows a failure would read what was not written. The message of the first one stays.
  if (__atomic_load_n(&handle->failed, __ATOMIC_ACQUIRE))
    return;
  if (!device) {
    handle->failed = 1;
    fail(handle, MLC_INTERNAL, "a GPU kernel was launched on the CPU");
    return;
  }
  device->failure = launch(call, kernel, blocks, threads, arguments);
  if (device->failure)
    __atomic_store_n(&handle->failed, 1, __ATOMIC_RELEASE);
}
