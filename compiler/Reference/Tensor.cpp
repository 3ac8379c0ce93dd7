// See Tensor.h.
#include "compiler/Reference/Tensor.h"
#include "mlc/mlc.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include <cstring>

using namespace mlir;

namespace mlc::reference {

std::optional<Element> Element::of(Type type) {
  if (auto real = dyn_cast<FloatType>(type))
    return Element{Real, real.getWidth(), &real.getFloatSemantics()};
  auto integer = dyn_cast<IntegerType>(type);
  if (!integer || integer.getWidth() > 64)
    return std::nullopt;
  bool isUnsigned = integer.isUnsigned() || integer.getWidth() == 1;
  return Element{isUnsigned ? Unsigned : Signed, integer.getWidth(), nullptr};
}

std::optional<Element> Element::of(int32_t dtype) {
  constexpr Kind Bool = Unsigned;
  switch (dtype) {
#define MLC_FLOAT_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, CPP, FIELD, NPY, SAFETENSORS, MLIR, SEMANTICS, ...)      \
  case MLC_##NAME:                                                                                                     \
    return Element{Real, BITS, &llvm::APFloat::SEMANTICS()};
#define MLC_INTEGER_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, ...)                                                      \
  case MLC_##NAME:                                                                                                     \
    return Element{KIND, BITS, nullptr};
#include "mlc/types.def"
  default:
    return std::nullopt;
  }
}

int32_t Element::dtype() const {
  auto is = [&](int32_t dtype) {
    Element other = *of(dtype);
    return kind == other.kind && width == other.width && semantics == other.semantics;
  };
#define MLC_TYPE(NAME, ...)                                                                                            \
  if (is(MLC_##NAME))                                                                                                  \
    return MLC_##NAME;
#include "mlc/types.def"
  return 0;
}

double Element::round(double x) const {
  if (semantics == &llvm::APFloat::IEEEdouble())
    return x;
  if (semantics == &llvm::APFloat::IEEEsingle())
    return static_cast<float>(x);
  llvm::APFloat number(x);
  bool losesInfo;
  number.convert(*semantics, llvm::APFloat::rmNearestTiesToEven, &losesInfo);
  return number.convertToDouble();
}

int64_t Element::wrap(int64_t x) const {
  if (width >= 64)
    return x;
  auto shifted = static_cast<uint64_t>(x) << (64 - width);
  return kind == Unsigned ? static_cast<int64_t>(shifted >> (64 - width))
                          : static_cast<int64_t>(shifted) >> (64 - width);
}

int64_t product(ArrayRef<int64_t> sizes) {
  int64_t result = 1;
  for (int64_t size : sizes)
    result *= size;
  return result;
}

Tensor::Tensor(Element element, ArrayRef<int64_t> shape)
    : element(element), shape(shape), words(std::make_shared<char[]>(8 * std::max<int64_t>(product(shape), 1))) {}

int64_t Tensor::count() const { return product(shape); }

Strides Tensor::strides() const {
  Strides result(shape.size(), 1);
  for (size_t axis = shape.size(); axis-- > 1;)
    result[axis - 1] = result[axis] * shape[axis];
  return result;
}

Tensor Tensor::reshaped(ArrayRef<int64_t> newShape) const {
  assert(product(newShape) == count() && "a reshape keeps the number of elements");
  Tensor result = *this;
  result.shape = Shape(newShape);
  return result;
}

static double readReal(const llvm::fltSemantics &semantics, unsigned bytes, const char *data) {
  uint64_t bits = 0;
  memcpy(&bits, data, bytes);
  llvm::APFloat number(semantics, llvm::APInt(8 * bytes, bits));
  bool losesInfo;
  number.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &losesInfo);
  return number.convertToDouble();
}

Tensor Tensor::read(Element element, ArrayRef<int64_t> shape, const char *data) {
  Tensor result(element, shape);
  unsigned bytes = element.bytes();
  for (int64_t i = 0, count = result.count(); i < count; ++i, data += bytes) {
    if (element.isReal() && element.width == 32) {
      float number;
      memcpy(&number, data, 4);
      result.reals()[i] = number;
    } else if (element.isReal()) {
      result.reals()[i] = readReal(*element.semantics, bytes, data);
    } else {
      int64_t bits = 0;
      memcpy(&bits, data, bytes);
      result.integers()[i] = element.wrap(bits);
    }
  }
  return result;
}

void Tensor::write(char *data) const {
  unsigned size = element.bytes();
  for (int64_t i = 0, end = count(); i < end; ++i, data += size) {
    if (!element.isReal()) {
      memcpy(data, &integers()[i], size);
    } else if (element.width == 32) {
      auto number = static_cast<float>(reals()[i]);
      memcpy(data, &number, 4);
    } else {
      llvm::APFloat number(reals()[i]);
      bool losesInfo;
      number.convert(*element.semantics, llvm::APFloat::rmNearestTiesToEven, &losesInfo);
      uint64_t bits = number.bitcastToAPInt().getZExtValue();
      memcpy(data, &bits, size);
    }
  }
}

/// What has no bytes of its own in the attribute: truth values and integers of a few bits.
static std::optional<Tensor> readValues(Element element, DenseElementsAttr attribute) {
  if (element.isReal())
    return std::nullopt;
  Tensor result(element, attribute.getType().getShape());
  for (auto [i, value] : llvm::enumerate(attribute.getValues<llvm::APInt>()))
    result.integers()[i] = element.wrap(static_cast<int64_t>(value.getZExtValue()));
  return result;
}

std::optional<Tensor> Tensor::read(ElementsAttr attribute) {
  auto element = Element::of(attribute.getElementType());
  if (!element)
    return std::nullopt;
  ArrayRef<int64_t> shape = attribute.getShapedType().getShape();
  size_t size = product(shape) * element->bytes();
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(attribute)) {
    const AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob || blob->getData().size() < size)
      return std::nullopt;
    return read(*element, shape, blob->getData().data());
  }
  auto dense = dyn_cast<DenseElementsAttr>(attribute);
  if (!dense)
    return std::nullopt;
  if (element->width < 8)
    return readValues(*element, dense);
  if (!dense.isSplat())
    return read(*element, shape, dense.getRawData().data());
  Tensor one = read(*element, {}, dense.getRawData().data()), result(*element, shape);
  for (int64_t i = 0, end = result.count(); i < end; ++i)
    result.copyWord(i, one, 0);
  return result;
}

} // namespace mlc::reference
