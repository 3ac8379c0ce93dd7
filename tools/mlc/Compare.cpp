// See Compare.h.
#include "Compare.h"
#include "dialects/core/ElementTypes.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/Sequence.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using namespace mlc;

template <typename T> static T load(const HostTensor &tensor, int64_t index) {
  T element;
  memcpy(&element, tensor.data.get() + index * sizeof(T), sizeof(T));
  return element;
}

template <typename C> static double numberOf(C bits, const llvm::fltSemantics &semantics) {
  if constexpr (std::is_floating_point_v<C>)
    return bits;
  llvm::APFloat number(semantics, llvm::APInt(8 * sizeof(C), bits));
  bool losesInfo;
  number.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &losesInfo);
  return number.convertToDouble();
}

static double loadFloat(const HostTensor &tensor, int64_t index) {
  switch (tensor.dtype) {
#define MLC_FLOAT_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, CPP, FIELD, NPY, SAFETENSORS, MLIR, SEMANTICS, ...)      \
  case MLC_##NAME:                                                                                                     \
    return numberOf(load<C>(tensor, index), llvm::APFloat::SEMANTICS());
#include "mlc/types.def"
  default:
    llvm_unreachable("the caller asks for floats only");
  }
}

// As a 65-bit range would be: the value, and whether it is above INT64_MAX.
static __int128 loadInteger(const HostTensor &tensor, int64_t index) {
  switch (tensor.dtype) {
#define MLC_INTEGER_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, ...)                                                   \
  case MLC_##NAME:                                                                                                     \
    return load<C>(tensor, index);
#include "mlc/types.def"
  default:
    llvm_unreachable("the caller asks for integers only");
  }
}

std::string mlc::elementText(const HostTensor &tensor, int64_t index) {
  if (isFloat(tensor.dtype))
    return llvm::formatv("{0}", llvm::format("%.*g", tensor.dtype == MLC_FLOAT64 ? 10 : 6, loadFloat(tensor, index)));
  if (tensor.dtype == MLC_BOOL)
    return load<uint8_t>(tensor, index) ? "true" : "false";
  if (tensor.dtype == MLC_UINT64)
    return std::to_string(load<uint64_t>(tensor, index));
  return std::to_string(int64_t(loadInteger(tensor, index)));
}

Comparison mlc::compareTensors(const HostTensor &actual, const HostTensor &expected, Tolerance tolerance) {
  Comparison result;
  for (int64_t i : llvm::seq(actual.elementCount())) {
    double difference, magnitude;
    bool isEqual;
    if (isFloat(actual.dtype)) {
      double a = loadFloat(actual, i), e = loadFloat(expected, i);
      if (a == e || (std::isnan(a) && std::isnan(e)))
        continue;
      difference = std::isfinite(a) && std::isfinite(e) ? std::fabs(a - e) : HUGE_VAL;
      magnitude = std::fabs(e);
      isEqual = difference <= tolerance.absolute + tolerance.relative * magnitude && std::isfinite(difference);
    } else {
      __int128 a = loadInteger(actual, i), e = loadInteger(expected, i);
      if (a == e)
        continue;
      difference = double(a > e ? a - e : e - a);
      magnitude = double(e < 0 ? -e : e);
      isEqual = false;
    }
    result.maxAbsoluteError = std::max(result.maxAbsoluteError, difference);
    result.maxRelativeError = std::max(result.maxRelativeError, magnitude > 0 ? difference / magnitude : HUGE_VAL);
    if (isEqual)
      continue;
    if (result.mismatchCount++ == 0)
      result.firstMismatch = i;
  }
  return result;
}

std::string mlc::positionText(const HostTensor &tensor, int64_t flatIndex) {
  std::vector<int64_t> position(tensor.shape.size());
  for (size_t axis = tensor.shape.size(); axis-- > 0; flatIndex /= tensor.shape[axis])
    position[axis] = flatIndex % tensor.shape[axis];
  return shapeText(position);
}

void mlc::printTensor(llvm::raw_ostream &os, llvm::StringRef name, const HostTensor &tensor) {
  constexpr int64_t allMax = 64, endsCount = 5;
  os << name << ": " << tensor.type() << " =";
  int64_t count = tensor.elementCount();
  int64_t rowSize = tensor.shape.empty() ? 1 : std::max<int64_t>(1, tensor.shape.back());
  if (count <= allMax) {
    bool hasRows = tensor.shape.size() > 1 && count > rowSize;
    for (int64_t i : llvm::seq(count))
      os << (hasRows && i % rowSize == 0 ? "\n  " : " ") << elementText(tensor, i);
  } else {
    for (int64_t i : llvm::seq(endsCount))
      os << ' ' << elementText(tensor, i);
    os << " ...";
    for (int64_t i : llvm::seq(count - endsCount, count))
      os << ' ' << elementText(tensor, i);
  }
  os << '\n';
}
