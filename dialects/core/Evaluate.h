// Pointwise operations on numbers of the compiler's machine, one overload for each number class, used by the `evaluate` fields of
// Elementwise.td. Integers are computed in 64 bits and cut to their width when they are stored.
#ifndef MLC_DIALECTS_CORE_EVALUATE_H
#define MLC_DIALECTS_CORE_EVALUATE_H
#include "dialects/core/Core.h"
#include <cmath>
#include <limits>

namespace mlc::core::host {
template <typename T> constexpr bool isReal = std::is_same_v<T, double>;
template <typename T> constexpr bool isSigned = std::is_same_v<T, int64_t>;
using Bits = uint64_t;

template <typename T> T add(T x, T y) {
  if constexpr (isReal<T>)
    return x + y;
  else
    return static_cast<T>(static_cast<Bits>(x) + static_cast<Bits>(y));
}
template <typename T> T subtract(T x, T y) {
  if constexpr (isReal<T>)
    return x - y;
  else
    return static_cast<T>(static_cast<Bits>(x) - static_cast<Bits>(y));
}
template <typename T> T multiply(T x, T y) {
  if constexpr (isReal<T>)
    return x * y;
  else
    return static_cast<T>(static_cast<Bits>(x) * static_cast<Bits>(y));
}
template <typename T> T negate(T x) {
  if constexpr (isReal<T>)
    return -x;
  else
    return subtract(T(0), x);
}
template <typename T> T abs(T x) {
  if constexpr (isReal<T>)
    return std::fabs(x);
  else
    return x < T(0) ? negate(x) : x;
}
template <typename T> T divide(T x, T y) {
  if constexpr (isReal<T>)
    return x / y;
  else if (y == T(0))
    return x;
  else if constexpr (isSigned<T>)
    return y == -1 ? negate(x) : x / y;
  else
    return x / y;
}
template <typename T> T remainder(T x, T y) {
  if constexpr (isReal<T>)
    return std::fmod(x, y);
  else if (y == T(0))
    return T(0);
  else if constexpr (isSigned<T>)
    return y == -1 ? 0 : x % y;
  else
    return x % y;
}
template <typename T> T modulo(T x, T y) {
  T r = remainder(x, y);
  return r != T(0) && (r < T(0)) != (y < T(0)) ? add(r, y) : r;
}
template <typename T> T power(T x, T y) {
  if constexpr (isReal<T>) {
    return std::pow(x, y);
  } else {
    if (y < T(0))
      return x == T(1) ? T(1) : x == T(-1) ? (static_cast<Bits>(y) & 1 ? T(-1) : T(1)) : T(0);
    T result = T(1), factor = x;
    Bits n = static_cast<Bits>(y) > 63 ? 62 | (static_cast<Bits>(y) & 1) : static_cast<Bits>(y);
    for (; n; n >>= 1, factor = multiply(factor, factor))
      if (n & 1)
        result = multiply(result, factor);
    return result;
  }
}
template <typename T> T maximum(T x, T y) {
  if constexpr (isReal<T>)
    if (std::isnan(x) || std::isnan(y))
      return std::numeric_limits<double>::quiet_NaN();
  return y > x ? y : x;
}
template <typename T> T minimum(T x, T y) {
  if constexpr (isReal<T>)
    if (std::isnan(x) || std::isnan(y))
      return std::numeric_limits<double>::quiet_NaN();
  return y < x ? y : x;
}
// Only integers have bits; for double these exist to be named and are never called.
template <typename T> T complement(T x) { return static_cast<T>(~static_cast<Bits>(x)); }
template <typename T> T bitAnd(T x, T y) { return static_cast<T>(static_cast<Bits>(x) & static_cast<Bits>(y)); }
template <typename T> T bitOr(T x, T y) { return static_cast<T>(static_cast<Bits>(x) | static_cast<Bits>(y)); }
template <typename T> T bitXor(T x, T y) { return static_cast<T>(static_cast<Bits>(x) ^ static_cast<Bits>(y)); }
template <typename T> T shiftLeft(T x, T y) {
  return static_cast<Bits>(y) >= 64 ? T(0) : static_cast<T>(static_cast<Bits>(x) << static_cast<Bits>(y));
}
template <typename T> T shiftRight(T x, T y) {
  if constexpr (isReal<T>)
    return x;
  else
    return static_cast<Bits>(y) >= 64 ? (x < T(0) ? T(-1) : T(0)) : static_cast<T>(x >> static_cast<Bits>(y));
}
} // namespace mlc::core::host

namespace mlc::core {
// `F` is the type of a lambda without captures over numbers of type T.
template <typename F, typename T> void evaluateUnary(const void *x, const void *, void *z, size_t count) {
  for (size_t i = 0; i < count; ++i)
    static_cast<T *>(z)[i] = F()(static_cast<const T *>(x)[i]);
}
template <typename F, typename T> void evaluateBinary(const void *x, const void *y, void *z, size_t count) {
  for (size_t i = 0; i < count; ++i)
    static_cast<T *>(z)[i] = F()(static_cast<const T *>(x)[i], static_cast<const T *>(y)[i]);
}
template <typename F, bool floatOnly> Evaluator unaryEvaluator(NumberClass numbers) {
  if constexpr (floatOnly)
    return numbers == NumberClass::Real ? evaluateUnary<F, double> : nullptr;
  else
    return numbers == NumberClass::Real     ? evaluateUnary<F, double>
           : numbers == NumberClass::Signed ? evaluateUnary<F, int64_t>
                                            : evaluateUnary<F, uint64_t>;
}
template <typename F> Evaluator binaryEvaluator(NumberClass numbers) {
  return numbers == NumberClass::Real     ? evaluateBinary<F, double>
         : numbers == NumberClass::Signed ? evaluateBinary<F, int64_t>
                                          : evaluateBinary<F, uint64_t>;
}
} // namespace mlc::core
#endif
