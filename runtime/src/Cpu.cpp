// Cpu.cpp: asks the CPU itself on x86, because __builtin_cpu_supports needs symbols of the compiler's own library. A
// feature that uses wide registers counts only if the operating system saves those registers (XGETBV). On Arm only the
// kernel may ask the CPU, and it hands every program the answer.
#include "Cpu.h"

#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#else
#error "features of this CPU are unknown"
#endif

namespace mlc {

#if defined(__x86_64__)

namespace {
enum Register : uint8_t { eax, ebx, ecx, edx };
enum Leaf : uint8_t { leaf1, leaf7, leaf7Sub1, leafExtended, leafCount };
enum Saved : uint8_t { sse = 0, ymm = 0x06, zmm = 0xe6 }; // bits of XCR0 that must be set

struct Feature {
  char name[20];
  Leaf leaf;
  Register word;
  uint8_t bit;
  Saved saved;
};
} // namespace

static const Feature features[] = {
    {"sse", leaf1, edx, 25, sse},
    {"sse2", leaf1, edx, 26, sse},
    {"pni", leaf1, ecx, 0, sse},
    {"sse3", leaf1, ecx, 0, sse},
    {"pclmulqdq", leaf1, ecx, 1, sse},
    {"ssse3", leaf1, ecx, 9, sse},
    {"fma", leaf1, ecx, 12, ymm},
    {"cx16", leaf1, ecx, 13, sse},
    {"sse4_1", leaf1, ecx, 19, sse},
    {"sse4_2", leaf1, ecx, 20, sse},
    {"movbe", leaf1, ecx, 22, sse},
    {"popcnt", leaf1, ecx, 23, sse},
    {"aes", leaf1, ecx, 25, sse},
    {"avx", leaf1, ecx, 28, ymm},
    {"f16c", leaf1, ecx, 29, ymm},
    {"bmi1", leaf7, ebx, 3, sse},
    {"avx2", leaf7, ebx, 5, ymm},
    {"bmi2", leaf7, ebx, 8, sse},
    {"avx512f", leaf7, ebx, 16, zmm},
    {"avx512dq", leaf7, ebx, 17, zmm},
    {"adx", leaf7, ebx, 19, sse},
    {"avx512ifma", leaf7, ebx, 21, zmm},
    {"avx512cd", leaf7, ebx, 28, zmm},
    {"sha_ni", leaf7, ebx, 29, sse},
    {"avx512bw", leaf7, ebx, 30, zmm},
    {"avx512vl", leaf7, ebx, 31, zmm},
    {"avx512vbmi", leaf7, ecx, 1, zmm},
    {"avx512_vbmi2", leaf7, ecx, 6, zmm},
    {"gfni", leaf7, ecx, 8, sse},
    {"vaes", leaf7, ecx, 9, ymm},
    {"vpclmulqdq", leaf7, ecx, 10, ymm},
    {"avx512_vnni", leaf7, ecx, 11, zmm},
    {"avx512_bitalg", leaf7, ecx, 12, zmm},
    {"avx512_vpopcntdq", leaf7, ecx, 14, zmm},
    {"avx512_vp2intersect", leaf7, edx, 8, zmm},
    {"avx512_fp16", leaf7, edx, 23, zmm},
    {"avx_vnni", leaf7Sub1, eax, 4, ymm},
    {"avx512_bf16", leaf7Sub1, eax, 5, zmm},
    {"avx_ifma", leaf7Sub1, eax, 23, ymm},
    {"avx_vnni_int8", leaf7Sub1, edx, 4, ymm},
    {"avx_ne_convert", leaf7Sub1, edx, 5, ymm},
    {"abm", leafExtended, ecx, 5, sse},
    {"lzcnt", leafExtended, ecx, 5, sse},
};

namespace {
/// What this machine has.
struct Machine {
  uint32_t words[leafCount][4];
  uint32_t saved; // register sets that the operating system saves and restores
};
} // namespace

static Machine readMachine() {
  Machine machine;
  memset(&machine, 0, sizeof(machine));
  uint32_t *w = machine.words[leaf1];
  __get_cpuid(1, &w[0], &w[1], &w[2], &w[3]);
  const uint32_t osxsave = 1u << 27;
  if (w[ecx] & osxsave) {
    uint32_t high;
    __asm__ volatile("xgetbv" : "=a"(machine.saved), "=d"(high) : "c"(0));
  }
  w = machine.words[leaf7];
  if (__get_cpuid_count(7, 0, &w[0], &w[1], &w[2], &w[3]) && w[eax] >= 1) {
    w = machine.words[leaf7Sub1];
    __get_cpuid_count(7, 1, &w[0], &w[1], &w[2], &w[3]);
  }
  w = machine.words[leafExtended];
  __get_cpuid(0x80000001u, &w[0], &w[1], &w[2], &w[3]);
  return machine;
}

static bool isPresent(const Machine &machine, const Feature &feature) {
  return machine.words[feature.leaf][feature.word] >> feature.bit & 1 &&
         (machine.saved & feature.saved) == feature.saved;
}

#else

namespace {
enum Word : uint8_t { hwcap, hwcap2, wordCount };

struct Feature {
  char name[20];
  Word word;
  uint64_t bit;
};

struct Machine {
  uint64_t words[wordCount];
};
} // namespace

static const Feature features[] = {
    {"fp", hwcap, HWCAP_FP},           {"asimd", hwcap, HWCAP_ASIMD},       {"crc32", hwcap, HWCAP_CRC32},
    {"atomics", hwcap, HWCAP_ATOMICS}, {"asimdrdm", hwcap, HWCAP_ASIMDRDM}, {"asimdhp", hwcap, HWCAP_ASIMDHP},
    {"jscvt", hwcap, HWCAP_JSCVT},     {"fcma", hwcap, HWCAP_FCMA},         {"lrcpc", hwcap, HWCAP_LRCPC},
    {"asimddp", hwcap, HWCAP_ASIMDDP}, {"asimdfhm", hwcap, HWCAP_ASIMDFHM}, {"i8mm", hwcap2, HWCAP2_I8MM},
    {"bf16", hwcap2, HWCAP2_BF16},
};

static Machine readMachine() { return {{getauxval(AT_HWCAP), getauxval(AT_HWCAP2)}}; }

static bool isPresent(const Machine &machine, const Feature &feature) {
  return (machine.words[feature.word] & feature.bit) != 0;
}

#endif

static const Feature *findFeature(const char *name, size_t length) {
  for (const Feature &feature : features)
    if (strncmp(feature.name, name, length) == 0 && (length == sizeof(feature.name) || feature.name[length] == 0))
      return &feature;
  return nullptr;
}

bool cpuHas(const char *names, char *message, size_t messageBytes) {
  Machine machine = readMachine();
  size_t used = 0;
  for (const char *name = names; *name;) {
    size_t length = strcspn(name, ",");
    const Feature *feature = length < sizeof(features[0].name) + 1 ? findFeature(name, length) : nullptr;
    if (!feature || length == 0) {
      snprintf(message, messageBytes, "the library asks for the unknown CPU feature \"%.*s\"", (int)length, name);
      return false;
    }
    if (!isPresent(machine, *feature) && used < messageBytes)
      used += (size_t)snprintf(message + used, messageBytes - used, "%s%.*s",
                               used ? ", " : "this CPU lacks features that the library was compiled for: ", (int)length,
                               name);
    name += length;
    name += *name == ',';
  }
  return used == 0;
}

} // namespace mlc
