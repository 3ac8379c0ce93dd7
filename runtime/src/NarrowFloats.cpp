// NarrowFloats.cpp: float16 and bfloat16 where the CPU has no instructions for them (before F16C and AVX512-BF16). LLVM's code
// generator calls these functions by the names of the compiler's own library, which generated libraries do not link. It does so
// after the last pass over the module, hence `used`; what is not called, the linker drops. All in integers: neither rounding mode nor
// flushing of denormals, which are the application's, reaches the results.
#include <stdint.h>
#include <string.h>

namespace {
/// Fields of an IEEE 754 binary format.
struct Format {
  int exponentBits, fractionBits;
  constexpr int bias() const { return (1 << (exponentBits - 1)) - 1; }
  constexpr uint64_t infinity() const { return ((uint64_t(1) << exponentBits) - 1) << fractionBits; }
  constexpr int signBit() const { return exponentBits + fractionBits; }
};

constexpr Format float16 = {5, 10}, bfloat16 = {8, 7}, float32 = {8, 23}, float64 = {11, 52};
} // namespace

/// `bits` of the wider format `from`, rounded to the nearest value of `to`, ties to even. NaNs stay NaNs and become quiet.
static uint16_t narrow(uint64_t bits, const Format &from, const Format &to) {
  uint64_t fraction = bits & ((uint64_t(1) << from.fractionBits) - 1);
  uint64_t sign = (bits >> from.signBit() & 1) << to.signBit();
  int exponent = (int)(bits >> from.fractionBits & ((uint64_t(1) << from.exponentBits) - 1));
  int dropped = from.fractionBits - to.fractionBits;
  if (exponent == (1 << from.exponentBits) - 1) {
    uint64_t quiet = fraction ? uint64_t(1) << (to.fractionBits - 1) | fraction >> dropped : 0;
    return (uint16_t)(sign | to.infinity() | quiet);
  }
  uint64_t significand = exponent ? fraction | uint64_t(1) << from.fractionBits : fraction;
  exponent = (exponent ? exponent : 1) - from.bias() + to.bias();
  if (exponent >= (1 << to.exponentBits) - 1)
    return (uint16_t)(sign | to.infinity());
  if (exponent <
      1) { // a denormal of `to`; beyond fractionBits + 2 dropped bits, everything is below half of the smallest
    dropped += 1 - exponent;
    dropped = dropped < from.fractionBits + 3 ? dropped : from.fractionBits + 3;
    exponent = 1;
  }
  uint64_t kept = significand >> dropped, rest = significand & ((uint64_t(1) << dropped) - 1);
  uint64_t half = uint64_t(1) << (dropped - 1);
  kept += rest > half || (rest == half && (kept & 1));
  // The leading one of `kept` adds 1 to the exponent's field, and so does a carry: into the next power of two, or infinity.
  return (uint16_t)(sign | (((uint64_t)(exponent - 1) << to.fractionBits) + kept));
}

/// The float32 bits of a float16: exact, except that NaNs become quiet.
static uint32_t widen(uint16_t half) {
  uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31, fraction = half & 1023;
  const uint32_t rebias = (uint32_t)(float32.bias() - float16.bias());
  if (exponent == 31)
    return sign | 0x7f800000u | (fraction ? 0x400000u | fraction << 13 : 0);
  if (exponent)
    return sign | (exponent + rebias) << 23 | fraction << 13;
  if (!fraction)
    return sign;
  uint32_t shift = (uint32_t)__builtin_clz(fraction) - 21; // brings the leading one to bit 10
  return sign | (1 + rebias - shift) << 23 | ((fraction << shift & 1023) << 13);
}

template <typename To, typename From> static To bitsAs(From value) {
  static_assert(sizeof(To) == sizeof(From), "a reinterpretation");
  To result;
  memcpy(&result, &value, sizeof(result));
  return result;
}

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wreserved-identifier"
extern "C" {
[[gnu::used]] _Float16 __truncsfhf2(float value) {
  return bitsAs<_Float16>(narrow(bitsAs<uint32_t>(value), float32, float16));
}
[[gnu::used]] _Float16 __truncdfhf2(double value) {
  return bitsAs<_Float16>(narrow(bitsAs<uint64_t>(value), float64, float16));
}
[[gnu::used]] __bf16 __truncsfbf2(float value) {
  return bitsAs<__bf16>(narrow(bitsAs<uint32_t>(value), float32, bfloat16));
}
[[gnu::used]] __bf16 __truncdfbf2(double value) {
  return bitsAs<__bf16>(narrow(bitsAs<uint64_t>(value), float64, bfloat16));
}
[[gnu::used]] float __extendhfsf2(_Float16 value) { return bitsAs<float>(widen(bitsAs<uint16_t>(value))); }
}
#pragma clang diagnostic pop
