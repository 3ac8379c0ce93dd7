// libcuda.cpp: a libcuda.so.1 whose GPU is this process. cuModuleLoadDataEx translates PTX to C++ (ptx_to_cpp.py), compiles and
// loads it; cuLaunchKernel runs one thread after the other, in random order, as fibres if the kernel has barriers or shuffles.
// Every access of a kernel is checked: allocation, bounds, alignment. What a test runs is the PTX that the library ships.
//
// EMULATOR_SEED: the order of blocks, warps and threads. EMULATOR_CACHE: folder of translated modules. EMULATOR_LOG: launches go to
// standard error.
#include "Emulator.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <functional>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <sys/stat.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

using namespace emulator;

namespace {

struct Allocation {
  uint64_t bytes;
  char *memory;
};
struct Driver {
  std::map<uint64_t, Allocation> allocations; // by device address
  std::mt19937 random{static_cast<uint32_t>(getenv("EMULATOR_SEED") ? atoi(getenv("EMULATOR_SEED")) : 1)};
  std::string error = "an emulated failure";
};
Driver &driver() {
  static Driver instance;
  return instance;
}

int fails(const std::string &message, int code) {
  driver().error = message;
  return code;
}

// --- Fibres: one for each thread of a block --------------------------------------------------------------------------------

constexpr size_t stackBytes = 256 << 10;

struct Fibre {
  ucontext_t context;
  std::vector<char> stack;
  Thread thread;
  uint32_t value; // of a shuffle
  int64_t barriers = 0, shuffles = 0;
  bool done = true;
  std::string error;
};

struct Block {
  std::vector<Fibre> fibres;
  ucontext_t scheduler;
  Fibre *running = nullptr;
  Kernel kernel;
};
Block block;

void trampoline() {
  Fibre &fibre = *block.running;
  try {
    block.kernel(fibre.thread);
  } catch (const std::exception &error) {
    fibre.error = error.what();
  }
  fibre.done = true;
  swapcontext(&fibre.context, &block.scheduler);
}

void yield() {
  Fibre *fibre = block.running;
  swapcontext(&fibre->context, &block.scheduler);
}

/// Waits until every thread of the group that still runs has come as far as this one.
void waitFor(size_t begin, size_t end, int64_t Fibre::*count) {
  int64_t mine = ++(block.running->*count);
  auto behind = [&](const Fibre &fibre) { return !fibre.done && fibre.*count < mine; };
  while (std::any_of(block.fibres.begin() + begin, block.fibres.begin() + end, behind))
    yield();
}

void runFibres(const KernelInfo &kernel, const Launch &launch, uint32_t number, char *shared) {
  block.kernel = kernel.run;
  block.fibres.resize(launch.threads);
  for (uint32_t i = 0; i < launch.threads; ++i) {
    Fibre &fibre = block.fibres[i];
    fibre.stack.resize(stackBytes);
    fibre.thread = {&launch, number, i, shared};
    fibre.barriers = fibre.shuffles = 0;
    fibre.done = false;
    fibre.error.clear();
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = fibre.stack.data();
    fibre.context.uc_stack.ss_size = stackBytes;
    fibre.context.uc_link = nullptr;
    makecontext(&fibre.context, trampoline, 0);
  }
  for (int64_t rounds = 0;; ++rounds) {
    std::vector<uint32_t> warps((launch.threads + 31) / 32);
    for (uint32_t i = 0; i < warps.size(); ++i)
      warps[i] = i;
    std::shuffle(warps.begin(), warps.end(), driver().random);
    bool any = false;
    for (uint32_t warp : warps)
      for (uint32_t i = 32 * warp; i < std::min(launch.threads, 32 * warp + 32); ++i)
        if (!block.fibres[i].done) {
          any = true;
          block.running = &block.fibres[i];
          swapcontext(&block.scheduler, &block.fibres[i].context);
          if (!block.fibres[i].error.empty())
            throw std::runtime_error(block.fibres[i].error);
        }
    if (!any)
      return;
    if (rounds > 10000000)
      throw std::runtime_error("threads wait for each other forever");
  }
}

// --- Modules ---------------------------------------------------------------------------------------------------------------

uint64_t hash(const char *text) {
  uint64_t value = 14695981039346656037u;
  for (; *text; ++text)
    value = (value ^ static_cast<unsigned char>(*text)) * 1099511628211u;
  return value;
}

std::string pathOfThis() {
  Dl_info info;
  dladdr(reinterpret_cast<void *>(&pathOfThis), &info);
  return info.dli_fname;
}

/// Translates and compiles, once for each text.
void *loadPtx(const char *text) {
  std::string folder = getenv("EMULATOR_CACHE") ? getenv("EMULATOR_CACHE") : pathOfThis() + ".cache";
  mkdir(folder.c_str(), 0777);
  char name[40];
  snprintf(name, sizeof name, "/%016llx", static_cast<unsigned long long>(hash(text)));
  std::string stem = folder + name, library = stem + ".so", work = stem + "." + std::to_string(getpid());
  if (access(library.c_str(), R_OK) != 0) {
    FILE *file = fopen((work + ".ptx").c_str(), "w");
    if (!file)
      throw std::runtime_error("cannot write " + work + ".ptx");
    fputs(text, file);
    fclose(file);
    std::string source = MLC_EMULATOR_SOURCE;
    std::string command = "python3 '" + source + "/ptx_to_cpp.py' '" + work + ".ptx' '" + work + ".cpp' && " +
                          MLC_EMULATOR_COMPILER +
                          " -std=c++20 -O1 -march=native -ffp-contract=off -fwrapv -fPIC -shared -w -I'" + source +
                          "' '" + work + ".cpp' -o '" + work + ".so' && mv '" + work + ".so' '" + library +
                          "' && rm '" + work + ".ptx' '" + work + ".cpp'";
    if (system(command.c_str()) != 0)
      throw std::runtime_error("cannot translate " + work + ".ptx");
  }
  dlopen(pathOfThis().c_str(), RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL); // the module's symbols are this library's
  void *module = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!module)
    throw std::runtime_error(dlerror());
  return module;
}

int allocate(uint64_t *address, size_t bytes, bool managed) {
  // Filled with a pattern: what a kernel did not write is a huge number or a NaN.
  auto *memory = static_cast<char *>(aligned_alloc(256, (bytes + 255) / 256 * 256));
  memset(memory, 0xff, bytes);
  *address = reinterpret_cast<uint64_t>(memory) | (managed ? 0 : deviceBit);
  driver().allocations[*address] = {bytes, memory};
  return 0;
}

/// The host memory behind `bytes` at a device address, for the driver's own copies.
char *hostMemory(uint64_t address, size_t bytes) {
  Range range;
  emulatorFind(address, bytes, &range);
  return reinterpret_cast<char *>(address & ~deviceBit);
}

template <class F> int guarded(F action) {
  try {
    action();
    return 0;
  } catch (const std::exception &error) {
    fprintf(stderr, "emulator: %s\n", error.what());
    return fails(error.what(), 700);
  }
}

} // namespace

extern "C" {

void emulatorFault(const char *message, uint64_t value) {
  char text[200];
  snprintf(text, sizeof text, "%s: 0x%llx", message, static_cast<unsigned long long>(value));
  throw std::runtime_error(text);
}

void emulatorFind(uint64_t address, uint64_t bytes, Range *range) {
  // A generic access to the thread's own local memory, which is on this stack.
  if (!(address & deviceBit) && address - reinterpret_cast<uint64_t>(__builtin_frame_address(0)) < stackBytes) {
    *range = {address, address + bytes};
    return;
  }
  auto &all = driver().allocations;
  auto after = all.upper_bound(address);
  if (after == all.begin())
    emulatorFault(address & deviceBit ? "an address outside of all allocations" : "a host address", address);
  auto &[begin, allocation] = *--after;
  if (address + bytes > begin + allocation.bytes)
    emulatorFault(address & deviceBit ? "an address outside of all allocations" : "a host address", address);
  *range = {begin, begin + allocation.bytes};
}

void emulatorBarrier() { waitFor(0, block.fibres.size(), &Fibre::barriers); }

uint32_t emulatorShuffle(uint32_t value, uint32_t lane) {
  Fibre &fibre = *block.running;
  size_t begin = fibre.thread.number / 32 * 32, end = std::min(block.fibres.size(), begin + 32);
  fibre.value = value;
  waitFor(begin, end, &Fibre::shuffles);
  uint32_t result = begin + lane < end ? block.fibres[begin + lane].value : value;
  waitFor(begin, end, &Fibre::shuffles);
  return result;
}

int cuInit(unsigned) { return 0; }
int cuGetErrorString(int, const char **text) { return *text = driver().error.c_str(), 0; }
int cuDeviceGetCount(int *count) { return *count = 1, 0; }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, 0; }
int cuDeviceGetName(char *name, int bytes, int) { return snprintf(name, bytes, "PTX emulator"), 0; }
int cuDeviceGetAttribute(int *value, int attribute, int) { // EMULATOR_DEVICE: 80 or 90
  int capability = getenv("EMULATOR_DEVICE") ? atoi(getenv("EMULATOR_DEVICE")) : 80;
  return *value = attribute == 75 ? capability / 10 : attribute == 76 ? capability % 10 : 0, 0;
}
int cuDevicePrimaryCtxRetain(void **context, int) { return *context = &block, 0; }
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxPushCurrent_v2(void *) { return 0; }
int cuCtxPopCurrent_v2(void **) { return 0; }
int cuModuleLoadDataEx(void **module, const void *image, unsigned, int *, void **) {
  try {
    const char *text = static_cast<const char *>(image), *target = strstr(text, ".target");
    if (getenv("EMULATOR_LOG") && target)
      fprintf(stderr, "emulator: %.*s\n", static_cast<int>(strcspn(target, "\n")), target);
    *module = loadPtx(text);
    return 0;
  } catch (const std::exception &error) {
    return fails(error.what(), 218);
  }
}
int cuModuleUnload(void *module) { return dlclose(module), 0; }
int cuModuleGetFunction(void **function, void *module, const char *name) {
  auto *kernels = static_cast<const KernelInfo *>(dlsym(module, "kernels"));
  for (; kernels && kernels->name; ++kernels)
    if (strcmp(kernels->name, name) == 0)
      return *function = const_cast<KernelInfo *>(kernels), 0;
  return fails(std::string("no kernel ") + name, 500);
}
int cuMemAlloc_v2(uint64_t *address, size_t bytes) { return allocate(address, bytes, false); }
int cuMemAllocManaged(uint64_t *address, size_t bytes, unsigned) { return allocate(address, bytes, true); }
int cuMemFree_v2(uint64_t address) {
  auto found = driver().allocations.find(address);
  if (found == driver().allocations.end())
    return fails("not an allocation", 1);
  free(found->second.memory);
  driver().allocations.erase(found);
  return 0;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *) {
  return guarded([&] { memcpy(hostMemory(to, bytes), from, bytes); });
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *) {
  return guarded([&] { memcpy(to, hostMemory(from, bytes), bytes); });
}
int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void *) {
  return guarded([&] { memset(hostMemory(to, bytes), value, bytes); });
}
int cuStreamCreate(void **stream, unsigned) { return *stream = &block, 0; }
int cuStreamDestroy_v2(void *) { return 0; }
int cuStreamSynchronize(void *) { return 0; }

// An event is a time of the host: everything runs at once.
int cuEventCreate(void **event, unsigned) { return *event = new timespec{}, 0; }
int cuEventRecord(void *event, void *) { return clock_gettime(CLOCK_MONOTONIC, static_cast<timespec *>(event)), 0; }
int cuEventElapsedTime_v2(float *milliseconds, void *begin, void *end) {
  auto *from = static_cast<timespec *>(begin), *to = static_cast<timespec *>(end);
  *milliseconds = static_cast<float>(1e3 * static_cast<double>(to->tv_sec - from->tv_sec) +
                                     1e-6 * static_cast<double>(to->tv_nsec - from->tv_nsec));
  return 0;
}
int cuEventElapsedTime(float *milliseconds, void *begin, void *end) {
  return cuEventElapsedTime_v2(milliseconds, begin, end);
}
int cuEventDestroy_v2(void *event) { return delete static_cast<timespec *>(event), 0; }

int cuLaunchKernel(void *function, unsigned blocks, unsigned, unsigned, unsigned threads, unsigned, unsigned, unsigned,
                   void *, void **arguments, void **) {
  const auto &kernel = *static_cast<const KernelInfo *>(function);
  if (threads > kernel.threadsMax)
    return fails("more threads than .maxntid", 1);
  Launch launch{blocks, threads, arguments};
  if (getenv("EMULATOR_LOG"))
    fprintf(stderr, "emulator: %s<<<%u, %u>>>\n", kernel.name, blocks, threads);
  std::vector<uint32_t> order(blocks), inner(threads);
  for (uint32_t i = 0; i < blocks; ++i)
    order[i] = i;
  for (uint32_t i = 0; i < threads; ++i)
    inner[i] = i;
  std::shuffle(order.begin(), order.end(), driver().random);
  std::shuffle(inner.begin(), inner.end(), driver().random);
  uint32_t atBlock = 0, atThread = 0;
  try {
    std::vector<char> shared(kernel.sharedBytes + 256);
    for (uint32_t number : order) {
      atBlock = number;
      memset(shared.data(), 0xff, shared.size());
      char *aligned = shared.data() + (256 - reinterpret_cast<uintptr_t>(shared.data()) % 256) % 256;
      if (kernel.waits) {
        runFibres(kernel, launch, number, aligned);
        continue;
      }
      for (uint32_t thread : inner) {
        atThread = thread;
        kernel.run({&launch, number, thread, aligned});
      }
    }
    return 0;
  } catch (const std::exception &error) {
    std::string message = std::string(kernel.name) + ", block " + std::to_string(atBlock) + ", thread " +
                          std::to_string(atThread) + ": " + error.what();
    fprintf(stderr, "emulator: %s\n", message.c_str());
    return fails(message, 700);
  }
}
}
