// The pointwise ops of the reference (dialects/core/Elementwise.td). Functions come from the C library, in double precision.
#include "compiler/Reference/Interpreter.h"
#include "llvm/ADT/StringMap.h"
#include <cmath>

using namespace mlir;

namespace mlc::reference {
namespace {

using RealUnary = double (*)(double);
using RealBinary = double (*)(double, double);
/// On the values of integers; the result is cut to the width afterwards.
using IntegerBinary = int64_t (*)(Element, int64_t, int64_t);

const llvm::StringMap<RealUnary> &realUnaries() {
  static const llvm::StringMap<RealUnary> table = {
      {"core.neg", [](double x) { return -x; }},
      {"core.abs", [](double x) { return std::fabs(x); }},
      {"core.sign", [](double x) { return x > 0   ? 1
                                          : x < 0 ? -1
                                                  : x; }},
      {"core.exp", [](double x) { return std::exp(x); }},
      {"core.log", [](double x) { return std::log(x); }},
      {"core.log1p", [](double x) { return std::log1p(x); }},
      {"core.expm1", [](double x) { return std::expm1(x); }},
      {"core.sqrt", [](double x) { return std::sqrt(x); }},
      {"core.tanh", [](double x) { return std::tanh(x); }},
      {"core.erf", [](double x) { return std::erf(x); }},
      {"core.sin", [](double x) { return std::sin(x); }},
      {"core.cos", [](double x) { return std::cos(x); }},
      {"core.tan", [](double x) { return std::tan(x); }},
      {"core.asin", [](double x) { return std::asin(x); }},
      {"core.acos", [](double x) { return std::acos(x); }},
      {"core.atan", [](double x) { return std::atan(x); }},
      {"core.sinh", [](double x) { return std::sinh(x); }},
      {"core.cosh", [](double x) { return std::cosh(x); }},
      {"core.asinh", [](double x) { return std::asinh(x); }},
      {"core.acosh", [](double x) { return std::acosh(x); }},
      {"core.atanh", [](double x) { return std::atanh(x); }},
      {"core.floor", [](double x) { return std::floor(x); }},
      {"core.ceil", [](double x) { return std::ceil(x); }},
      {"core.round", [](double x) { return std::nearbyint(x); }},
  };
  return table;
}

double larger(double x, double y) { return std::isnan(x) || std::isnan(y) ? NAN : y > x ? y : x; }
double smaller(double x, double y) { return std::isnan(x) || std::isnan(y) ? NAN : y < x ? y : x; }
double modulo(double x, double y) {
  double rest = std::fmod(x, y);
  return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}

const llvm::StringMap<RealBinary> &realBinaries() {
  static const llvm::StringMap<RealBinary> table = {
      {"core.add", [](double x, double y) { return x + y; }},
      {"core.sub", [](double x, double y) { return x - y; }},
      {"core.mul", [](double x, double y) { return x * y; }},
      {"core.div", [](double x, double y) { return x / y; }},
      {"core.rem", [](double x, double y) { return std::fmod(x, y); }},
      {"core.mod", modulo},
      {"core.pow", [](double x, double y) { return std::pow(x, y); }},
      {"core.max", larger},
      {"core.min", smaller},
  };
  return table;
}

using U = uint64_t;
int64_t quotient(Element element, int64_t x, int64_t y) {
  if (y == 0)
    return x;
  if (element.kind == Element::Unsigned)
    return int64_t(U(x) / U(y));
  return y == -1 ? int64_t(-U(x)) : x / y;
}
int64_t remainder(Element element, int64_t x, int64_t y) {
  if (y == 0)
    return 0;
  if (element.kind == Element::Unsigned)
    return int64_t(U(x) % U(y));
  return y == -1 ? 0 : x % y;
}
int64_t modulo(Element element, int64_t x, int64_t y) {
  int64_t rest = remainder(element, x, y);
  return element.kind == Element::Signed && rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}
int64_t power(Element element, int64_t x, int64_t y) {
  if (element.kind == Element::Signed && y < 0)
    return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
  U result = 1, factor = U(x);
  for (U rest = U(y) > 63 ? 62 | (U(y) & 1) : U(y); rest; rest >>= 1, factor *= factor)
    if (rest & 1)
      result *= factor;
  return int64_t(result);
}
int64_t shiftRight(Element element, int64_t x, int64_t y) {
  if (U(y) >= element.width)
    return element.kind == Element::Signed && x < 0 ? -1 : 0;
  return element.kind == Element::Signed ? x >> y : int64_t(U(x) >> y);
}

const llvm::StringMap<IntegerBinary> &integerBinaries() {
  static const llvm::StringMap<IntegerBinary> table = {
      {"core.add", [](Element, int64_t x, int64_t y) { return int64_t(U(x) + U(y)); }},
      {"core.sub", [](Element, int64_t x, int64_t y) { return int64_t(U(x) - U(y)); }},
      {"core.mul", [](Element, int64_t x, int64_t y) { return int64_t(U(x) * U(y)); }},
      {"core.div", quotient},
      {"core.rem", remainder},
      {"core.mod", modulo},
      {"core.pow", power},
      {"core.max", [](Element element, int64_t x, int64_t y) { return isLess(element, x, y) ? y : x; }},
      {"core.min", [](Element element, int64_t x, int64_t y) { return isLess(element, x, y) ? x : y; }},
      {"core.and", [](Element, int64_t x, int64_t y) { return x & y; }},
      {"core.or", [](Element, int64_t x, int64_t y) { return x | y; }},
      {"core.xor", [](Element, int64_t x, int64_t y) { return x ^ y; }},
      {"core.shl",
       [](Element element, int64_t x, int64_t y) { return U(y) >= element.width ? 0 : int64_t(U(x) << y); }},
      {"core.shr", shiftRight},
  };
  return table;
}

std::optional<int64_t> integerUnary(StringRef name, Element element, int64_t x) {
  if (name == "core.neg")
    return int64_t(-U(x));
  if (name == "core.abs")
    return element.kind == Element::Signed && x < 0 ? int64_t(-U(x)) : x;
  if (name == "core.sign")
    return x == 0 ? 0 : element.kind == Element::Signed && x < 0 ? -1 : 1;
  if (name == "core.not")
    return ~x;
  return std::nullopt;
}

Result evaluateUnary(StringRef name, const Tensor &x) {
  Tensor result(x.element, x.shape);
  int64_t count = x.count();
  if (x.element.isReal()) {
    auto found = realUnaries().find(name);
    if (found == realUnaries().end())
      return std::nullopt;
    for (int64_t i = 0; i < count; ++i)
      result.reals()[i] = found->second(x.reals()[i]);
    return result;
  }
  for (int64_t i = 0; i < count; ++i) {
    auto value = integerUnary(name, x.element, x.integers()[i]);
    if (!value)
      return std::nullopt;
    result.integers()[i] = x.element.wrap(*value);
  }
  return result;
}

Result evaluateBinary(StringRef name, const Tensor &x, const Tensor &y) {
  Tensor result(x.element, x.shape);
  int64_t count = x.count();
  if (x.element.isReal()) {
    auto found = realBinaries().find(name);
    if (found == realBinaries().end())
      return std::nullopt;
    for (int64_t i = 0; i < count; ++i)
      result.reals()[i] = found->second(x.reals()[i], y.reals()[i]);
    return result;
  }
  auto found = integerBinaries().find(name);
  if (found == integerBinaries().end())
    return std::nullopt;
  for (int64_t i = 0; i < count; ++i)
    result.integers()[i] = x.element.wrap(found->second(x.element, x.integers()[i], y.integers()[i]));
  return result;
}

constexpr Element kBool{Element::Unsigned, 1, nullptr};

template <typename T> bool holds(core::Comparison predicate, T x, T y) {
  switch (predicate) {
  case core::Comparison::EQ:
    return x == y;
  case core::Comparison::NE:
    return x != y;
  case core::Comparison::LT:
    return x < y;
  case core::Comparison::LE:
    return x <= y;
  case core::Comparison::GT:
    return x > y;
  case core::Comparison::GE:
    return x >= y;
  }
  llvm_unreachable("unknown comparison");
}

Tensor evaluateCompare(core::Comparison predicate, const Tensor &x, const Tensor &y) {
  Tensor result(kBool, x.shape);
  for (int64_t i = 0, count = x.count(); i < count; ++i)
    result.integers()[i] = x.element.isReal() ? holds(predicate, x.reals()[i], y.reals()[i])
                           : x.element.kind == Element::Unsigned
                               ? holds(predicate, U(x.integers()[i]), U(y.integers()[i]))
                               : holds(predicate, x.integers()[i], y.integers()[i]);
  return result;
}

/// float -> integer truncates, in 32 bits or (for i64, ui32 and ui64) in 64; what does not fit is the smallest integer.
int64_t truncated(double x, Element to) {
  if (to.width < 32 || (to.width == 32 && to.kind == Element::Signed))
    return x > -0x1p31 && x < 0x1p31 ? int64_t(x) : INT32_MIN;
  if (to.width == 64 && to.kind == Element::Unsigned && x >= 0x1p63)
    return x < 0x1p64 ? int64_t(U(x)) : 0;
  return x >= -0x1p63 && x < 0x1p63 ? int64_t(x) : INT64_MIN;
}

Tensor evaluateCast(const Tensor &x, Element to) {
  Tensor result(to, x.shape);
  for (int64_t i = 0, count = x.count(); i < count; ++i) {
    bool isUnsigned = x.element.kind == Element::Unsigned;
    if (to.width == 1)
      result.integers()[i] = x.element.isReal() ? x.reals()[i] != 0 : x.integers()[i] != 0;
    else if (x.element.isReal() && to.isReal())
      result.reals()[i] = to.round(x.reals()[i]);
    else if (x.element.isReal())
      result.integers()[i] = to.wrap(truncated(x.reals()[i], to));
    else if (to.isReal())
      result.reals()[i] = to.round(isUnsigned ? double(U(x.integers()[i])) : double(x.integers()[i]));
    else
      result.integers()[i] = to.wrap(x.integers()[i]);
  }
  return result;
}

Tensor evaluateSelect(const Tensor &condition, const Tensor &x, const Tensor &y) {
  Tensor result(x.element, x.shape);
  for (int64_t i = 0, count = x.count(); i < count; ++i)
    result.copyWord(i, condition.integers()[i] ? x : y, i);
  return result;
}

Tensor evaluatePredicate(const Tensor &x, bool (*holds)(double)) {
  Tensor result(kBool, x.shape);
  for (int64_t i = 0, count = x.count(); i < count; ++i)
    result.integers()[i] = holds(x.reals()[i]);
  return result;
}

} // namespace

bool isLess(Element element, int64_t x, int64_t y) { return element.kind == Element::Unsigned ? U(x) < U(y) : x < y; }

Result evaluatePointwise(Operation *op, Operands operands) {
  if (!isa<core::Pointwise>(op))
    return std::nullopt;
  if (auto compare = dyn_cast<core::CompareOp>(op))
    return evaluateCompare(compare.getPredicate(), operands[0], operands[1]);
  if (isa<core::SelectOp>(op))
    return evaluateSelect(operands[0], operands[1], operands[2]);
  if (auto cast = dyn_cast<core::CastOp>(op)) {
    auto to = Element::of(cast.getType().getElementType());
    return to ? Result(evaluateCast(operands[0], *to)) : std::nullopt;
  }
  if (isa<core::IsNanOp>(op))
    return evaluatePredicate(operands[0], [](double x) { return std::isnan(x); });
  if (isa<core::IsInfOp>(op))
    return evaluatePredicate(operands[0], [](double x) { return std::isinf(x); });
  StringRef name = op->getName().getStringRef();
  return operands.size() == 1   ? evaluateUnary(name, operands[0])
         : operands.size() == 2 ? evaluateBinary(name, operands[0], operands[1])
                                : std::nullopt;
}

} // namespace mlc::reference
