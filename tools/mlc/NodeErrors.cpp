// See NodeErrors.h.
#include "NodeErrors.h"
#include "Compare.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using namespace mlc;
using reference::Element;
using reference::Tensor;

static double relativeBound(int32_t dtype) {
  switch (dtype) {
#define MLC_FLOAT_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, CPP, FIELD, NPY, SAFETENSORS, MLIR, SEMANTICS, ERROR)    \
  case MLC_##NAME:                                                                                                     \
    return ERROR;
#include "mlc/types.def"
  default:
    return 0; // integers have to be equal
  }
}

Tensor mlc::toReference(const HostTensor &tensor) {
  return Tensor::read(*Element::of(tensor.dtype), tensor.shape, tensor.data.get());
}

llvm::Expected<HostTensor> mlc::toHost(const Tensor &tensor) {
  int32_t dtype = tensor.element.dtype();
  if (!dtype)
    return llvm::createStringError("its element type cannot be passed to a library");
  auto host = HostTensor::allocate(dtype, std::vector<int64_t>(tensor.shape.begin(), tensor.shape.end()));
  if (host)
    tensor.write(host->data.get());
  return host;
}

/// The distance of the type's numbers around x.
static double unitOfLastPlace(const llvm::fltSemantics &semantics, double x) {
  int exponent;
  std::frexp(x, &exponent); // x = m * 2^exponent, 0.5 <= m < 1
  exponent = std::max(exponent - 1, llvm::APFloat::semanticsMinExponent(semantics));
  return std::ldexp(1.0, exponent - int(llvm::APFloat::semanticsPrecision(semantics)) + 1);
}

namespace {
struct Difference {
  double absolute = 0, relative = 0, ulp = 0;
};
} // namespace

static Difference differenceOf(Element element, const Tensor &a, const Tensor &e, int64_t i) {
  if (!element.isReal()) {
    auto x = a.integers()[i], y = e.integers()[i];
    double difference = std::fabs(double(x) - double(y));
    if (x == y)
      return {};
    return {difference, y ? difference / std::fabs(double(y)) : HUGE_VAL, std::max(difference, 1.0)};
  }
  double x = a.reals()[i], y = e.reals()[i];
  if (x == y || (std::isnan(x) && std::isnan(y)))
    return {};
  if (!std::isfinite(x) || !std::isfinite(y)) // a number that the type cannot hold becomes infinite
    return x == element.round(y) ? Difference() : Difference{HUGE_VAL, HUGE_VAL, HUGE_VAL};
  double difference = std::fabs(x - y);
  return {difference, y != 0 ? difference / std::fabs(y) : HUGE_VAL,
          difference / unitOfLastPlace(*element.semantics, y)};
}

static double largestOf(const Tensor &tensor) {
  double largest = 0;
  for (int64_t i = 0, count = tensor.count(); i < count; ++i)
    if (std::isfinite(tensor.reals()[i]))
      largest = std::max(largest, std::fabs(tensor.reals()[i]));
  return largest;
}

ErrorSummary mlc::compareWithReference(const HostTensor &actual, const Tensor &expected, const ErrorBounds &bounds,
                                       double slack) {
  ErrorSummary result;
  if (llvm::ArrayRef(actual.shape) != llvm::ArrayRef<int64_t>(expected.shape)) {
    result.detail = llvm::formatv("its shape is {0} instead of {1}", shapeText(actual.shape),
                                  shapeText({expected.shape.begin(), expected.shape.end()}));
    return result;
  }
  Element element = expected.element;
  Tensor a = toReference(actual);
  // Without --atol small elements are measured by the largest one: a sum that cancels is as exact as its terms.
  double relative = bounds.relative.value_or(slack * relativeBound(actual.dtype));
  double absolute =
      bounds.absolute.value_or(element.isReal() ? 0.1 * slack * relativeBound(actual.dtype) * largestOf(expected) : 0);
  for (int64_t i = 0, count = expected.count(); i < count; ++i) {
    Difference d = differenceOf(element, a, expected, i);
    result.maxUlp = std::max(result.maxUlp, d.ulp);
    if (d.relative != HUGE_VAL || d.absolute == HUGE_VAL)
      result.maxRelative = std::max(result.maxRelative, d.relative);
    double magnitude = element.isReal() ? std::fabs(expected.reals()[i]) : 0;
    double allowed = element.isReal() ? absolute + (std::isfinite(magnitude) ? relative * magnitude : 0) : 0;
    if (d.absolute > 0)
      result.ofTolerance = std::max(result.ofTolerance, d.absolute / allowed);
    if (d.absolute <= allowed && (d.ulp <= bounds.ulpMax || !element.isReal()))
      continue;
    if (result.beyondCount++ == 0)
      result.firstBeyond = i;
  }
  if (result.beyondCount == 0)
    return result;
  int64_t at = result.firstBeyond;
  std::string right = element.isReal() ? llvm::formatv("{0}", llvm::format("%.9g", expected.reals()[at])).str()
                                       : std::to_string(expected.integers()[at]);
  result.detail = llvm::formatv("{0} of {1} elements, the first at {2}: {3} instead of {4}", result.beyondCount,
                                expected.count(), positionText(actual, at), elementText(actual, at), right);
  return result;
}

void ErrorSummary::add(const ErrorSummary &other) {
  maxUlp = std::max(maxUlp, other.maxUlp);
  maxRelative = std::max(maxRelative, other.maxRelative);
  ofTolerance = std::max(ofTolerance, other.ofTolerance);
  beyondCount += other.beyondCount;
  if (detail.empty())
    detail = other.detail;
}
