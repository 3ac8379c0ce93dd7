// create_test.cpp: if this fails, a handle is made that cannot work, or a failed create leaks or says nothing useful.
#include "Check.h"
#include "Programs.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string>

static mlc_status tryCreate(const mlc_program &program, const mlc_options &options) {
  mlc_handle *handle = (mlc_handle *)&options;
  mlc_status status = mlc_rt_create(&program, &options, &handle);
  CHECK((status == MLC_OK) == (handle != nullptr));
  mlc_rt_destroy(handle);
  return status;
}

static void testOptions() {
  CHECK_ERROR(mlc_rt_create(&sumProgram, nullptr, nullptr), MLC_INVALID_ARGUMENT, nullptr,
              "create: the result pointer is null");
  mlc_handle *handle = nullptr;
  CHECK(mlc_rt_create(&sumProgram, nullptr, &handle) == MLC_OK && mlc_rt_last_error(nullptr)[0] == 0);
  mlc_rt_destroy(handle);
  mlc_rt_destroy(nullptr);
  mlc_options options = {};
  options.threads = -1;
  CHECK_ERROR(tryCreate(sumProgram, options), MLC_INVALID_ARGUMENT, nullptr,
              "options: threads is -1, expected 0 to 1024");
  options = {};
  options.allocate = [](void *, size_t, size_t) -> void * { return nullptr; };
  CHECK_ERROR(tryCreate(sumProgram, options), MLC_INVALID_ARGUMENT, nullptr,
              "options: allocate and release must be given together");
  options = {};
  options.device = -2;
  CHECK_ERROR(tryCreate(sumProgram, options), MLC_INVALID_ARGUMENT, nullptr,
              "options: device is -2, expected 0 or more");
}

namespace {
/// An allocator that fails at the n-th call and knows what is alive.
struct Budget {
  int calls, failAt, live;
};
} // namespace

static void *allocateCounted(void *user, size_t bytes, size_t alignment) {
  Budget *budget = (Budget *)user;
  if (++budget->calls == budget->failAt)
    return nullptr;
  ++budget->live;
  return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void releaseCounted(void *user, void *memory) {
  --((Budget *)user)->live;
  free(memory);
}

// Handle, state, workspace, pool: each of them may fail, and nothing may leak.
static void testOutOfMemory() {
  const char *const purposes[] = {"handle", "state", "workspace", "thread pool"};
  for (int failAt = 1; failAt <= 5; ++failAt) {
    Budget budget = {0, failAt, 0};
    mlc_options options = {};
    options.threads = 3;
    options.allocate = allocateCounted;
    options.release = releaseCounted;
    options.user = &budget;
    mlc_status status = tryCreate(stepProgram, options);
    CHECK(budget.live == 0);
    if (failAt == 5) {
      CHECK(status == MLC_OK && budget.calls == 4);
      continue;
    }
    CHECK(status == MLC_OUT_OF_MEMORY);
    CHECK(strstr(mlc_rt_last_error(nullptr), purposes[failAt - 1]) != nullptr);
    CHECK(strstr(mlc_rt_last_error(nullptr), "out of memory: ") == mlc_rt_last_error(nullptr));
  }
}

static std::string flagsOfThisMachine() {
  std::string flags = " ";
  FILE *file = fopen("/proc/cpuinfo", "r");
  char line[1 << 14];
  while (file && fgets(line, sizeof(line), file))
    if (strncmp(line, "flags", 5) == 0) {
      flags += strchr(line, ':') + 1;
      break;
    }
  if (file)
    fclose(file);
  for (char &c : flags)
    c = c == '\n' ? ' ' : c;
  return flags;
}

// The answer for each feature is the kernel's.
static void testCpuFeatures() {
  const char *const names[] = {"sse",
                               "sse2",
                               "pni",
                               "pclmulqdq",
                               "ssse3",
                               "fma",
                               "cx16",
                               "sse4_1",
                               "sse4_2",
                               "movbe",
                               "popcnt",
                               "aes",
                               "avx",
                               "f16c",
                               "bmi1",
                               "avx2",
                               "bmi2",
                               "avx512f",
                               "avx512dq",
                               "adx",
                               "avx512ifma",
                               "avx512cd",
                               "sha_ni",
                               "avx512bw",
                               "avx512vl",
                               "avx512vbmi",
                               "avx512_vbmi2",
                               "gfni",
                               "vaes",
                               "vpclmulqdq",
                               "avx512_vnni",
                               "avx512_bitalg",
                               "avx512_vpopcntdq",
                               "avx512_vp2intersect",
                               "avx512_fp16",
                               "avx_vnni",
                               "avx512_bf16",
                               "abm",
                               "avx_ifma",
                               "avx_vnni_int8",
                               "avx_ne_convert"};
  std::string flags = flagsOfThisMachine(), present, missing, missingText;
  mlc_program program = sumProgram;
  for (const char *name : names) {
    bool has = flags.find(std::string(" ") + name + " ") != std::string::npos;
    program.cpu_features = name;
    mlc_status status = tryCreate(program, {});
    checkThat(status == (has ? MLC_OK : MLC_UNSUPPORTED_CPU), name, "another answer than /proc/cpuinfo", __FILE__,
              __LINE__);
    std::string &list = has ? present : missing;
    list += (list.empty() ? "" : ",") + std::string(name);
    if (!has)
      missingText += (missingText.empty() ? "" : ", ") + std::string(name);
  }
  program.cpu_features = present.c_str();
  CHECK(tryCreate(program, {}) == MLC_OK);
  if (!missing.empty()) {
    std::string all = present + "," + missing;
    program.cpu_features = all.c_str();
    CHECK(tryCreate(program, {}) == MLC_UNSUPPORTED_CPU);
    std::string text = "this CPU lacks features that the library was compiled for: " + missingText;
    CHECK(text == mlc_rt_last_error(nullptr));
  }
  for (const char *unknown : {"avx512_fake", "avx51", "avx2x", "a-name-that-is-much-longer-than-any-row"}) {
    std::string features = std::string("sse2,") + unknown;
    program.cpu_features = features.c_str();
    CHECK(tryCreate(program, {}) == MLC_UNSUPPORTED_CPU);
    CHECK(std::string("the library asks for the unknown CPU feature \"") + unknown + "\"" ==
          mlc_rt_last_error(nullptr));
  }
}

static void *failInThread(void *) {
  mlc_options options = {};
  options.threads = 5000;
  CHECK(tryCreate(sumProgram, options) == MLC_INVALID_ARGUMENT);
  return nullptr;
}

// The message of a failed create belongs to the thread that made it.
static void testErrorsOfThreads() {
  mlc_options options = {};
  options.threads = -9;
  CHECK(tryCreate(sumProgram, options) == MLC_INVALID_ARGUMENT);
  pthread_t thread;
  pthread_create(&thread, nullptr, failInThread, nullptr);
  pthread_join(thread, nullptr);
  CHECK(strstr(mlc_rt_last_error(nullptr), "-9") != nullptr);
}

int main() {
  testOptions();
  testOutOfMemory();
#if defined(__x86_64__)
  testCpuFeatures();
#endif
  testErrorsOfThreads();
  return finish();
}
