// What kernels translated from PTX (ptx_to_cpp.py) may use: memory that is checked, and the threads of their block.
#ifndef MLC_TEST_GPU_EMULATOR_H
#define MLC_TEST_GPU_EMULATOR_H
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace emulator {

using Signed128 = __int128;
using Unsigned128 = unsigned __int128;

/// Device addresses carry this bit, so that the host faults when it follows one, and so that a kernel that follows a host
/// pointer is caught. Managed memory is known by its plain address.
constexpr uint64_t deviceBit = uint64_t(1) << 62;

struct Range {
  uint64_t begin = 1, end = 0;
};

struct Launch {
  uint32_t blocks, threads;
  void **arguments;
};

/// Where a thread is: its numbers, and the block's shared memory.
struct Thread {
  const Launch *launch;
  uint32_t block, number;
  char *shared;
};

using Kernel = void (*)(const Thread &);

struct KernelInfo {
  const char *name;
  Kernel run;
  bool waits; // for other threads: needs fibres
  uint32_t sharedBytes, threadsMax;
};

// Offered by the driver (libcuda.cpp).
extern "C" {
void emulatorFind(uint64_t address, uint64_t bytes, Range *range); // throws if the address is not in an allocation
void emulatorFault(const char *message, uint64_t value);           // throws
void emulatorBarrier();
uint32_t emulatorShuffle(uint32_t value, uint32_t lane); // the value that `lane` of the warp passed
}

// --- Bits ---------------------------------------------------------------------------------------------------------------

template <class T> T as(uint64_t bits) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(bits);
  } else {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
  }
}

template <class T> uint64_t bits(T value) {
  if constexpr (std::is_signed_v<T> && std::is_integral_v<T>) {
    return static_cast<uint64_t>(static_cast<int64_t>(value));
  } else if constexpr (std::is_integral_v<T>) {
    return value;
  } else {
    uint64_t result = 0;
    std::memcpy(&result, &value, sizeof(T));
    return result;
  }
}

/// bfloat16, which compilers' runtime libraries do not all support.
struct Bf16 {
  uint16_t raw = 0;
  Bf16() = default;
  Bf16(float value) {
    uint32_t word = static_cast<uint32_t>(bits(value));
    raw = value != value ? 0x7fff : static_cast<uint16_t>((word + 0x7fff + ((word >> 16) & 1)) >> 16);
  }
  operator float() const { return as<float>(uint64_t(raw) << 16); }
};

// --- Memory -------------------------------------------------------------------------------------------------------------

/// The host address of an access; `seen` is the allocation that the same instruction touched last.
inline char *access(uint64_t address, uint64_t bytes, Range &seen) {
  if (address % bytes != 0)
    emulatorFault("a misaligned address", address);
  if (address < seen.begin || address + bytes > seen.end)
    emulatorFind(address, bytes, &seen);
  return reinterpret_cast<char *>(address & ~deviceBit);
}

template <class T> uint64_t load(const char *from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return bits(value);
}
template <class T> void store(char *to, uint64_t bits) {
  T value = as<T>(bits);
  std::memcpy(to, &value, sizeof(T));
}

// --- Arithmetic that C++ does otherwise -------------------------------------------------------------------------------------

template <class T> T shiftLeft(T value, uint32_t by) { return by >= 8 * sizeof(T) ? 0 : value << by; }
template <class T> T shiftRight(T value, uint32_t by) {
  return by >= 8 * sizeof(T) ? (std::is_signed_v<T> && value < 0 ? T(-1) : T(0)) : static_cast<T>(value >> by);
}
template <class T> T divide(T a, T b) {
  if (b == 0)
    return static_cast<T>(~uint64_t(0));
  return std::is_signed_v<T> && b == T(-1) ? static_cast<T>(0 - static_cast<uint64_t>(a)) : static_cast<T>(a / b);
}
template <class T> T remainder(T a, T b) {
  if (b == 0)
    return a;
  return std::is_signed_v<T> && b == T(-1) ? T(0) : static_cast<T>(a % b);
}
template <class T> T minimum(T a, T b) { // the other one of a NaN
  if constexpr (std::is_integral_v<T>)
    return b < a ? b : a;
  else
    return a != a ? b : b != b ? a : a == 0 && b == 0 ? (std::signbit(static_cast<double>(a)) ? a : b) : b < a ? b : a;
}
template <class T> T maximum(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return a < b ? b : a;
  else
    return a != a ? b : b != b ? a : a == 0 && b == 0 ? (std::signbit(static_cast<double>(a)) ? b : a) : a < b ? b : a;
}
template <class T> T minimumNan(T a, T b) { return a != a ? a : b != b ? b : minimum(a, b); }
template <class T> T maximumNan(T a, T b) { return a != a ? a : b != b ? b : maximum(a, b); }
inline float fusedMultiplyAdd(float a, float b, float c) { return std::fma(a, b, c); }
inline double fusedMultiplyAdd(double a, double b, double c) { return std::fma(a, b, c); }
/// Exact product and one rounding, by way of double: 22 + 11 bits fit.
template <class T> T fusedMultiplyAdd(T a, T b, T c) {
  return T(
      static_cast<float>(static_cast<double>(static_cast<float>(a)) * static_cast<float>(b) + static_cast<float>(c)));
}
/// Saturates; NaN gives 0.
template <class T, class F> T toInteger(F value) {
  double v = static_cast<double>(value);
  if (v != v)
    return 0;
  double low = std::is_signed_v<T> ? -std::ldexp(1.0, 8 * sizeof(T) - 1) : 0,
         high = std::ldexp(1.0, 8 * sizeof(T) - std::is_signed_v<T>);
  if (v < low)
    return static_cast<T>(std::is_signed_v<T> ? uint64_t(1) << (8 * sizeof(T) - 1) : 0);
  if (v >= high)
    return static_cast<T>(std::is_signed_v<T> ? (uint64_t(1) << (8 * sizeof(T) - 1)) - 1 : ~uint64_t(0));
  return static_cast<T>(v);
}
inline uint32_t permute(uint32_t a, uint32_t b, uint32_t selector) {
  uint64_t bytes = a | uint64_t(b) << 32;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    uint32_t nibble = selector >> (4 * i) & 0xf;
    uint32_t byte = bytes >> (8 * (nibble & 7)) & 0xff;
    result |= (nibble & 8 ? (byte & 0x80 ? 0xffu : 0u) : byte) << (8 * i);
  }
  return result;
}

} // namespace emulator
#endif
