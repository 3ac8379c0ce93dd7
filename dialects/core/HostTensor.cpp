// Reading, converting and writing of constant tensors (see HostTensor.h).
#include "dialects/core/HostTensor.h"
#include "dialects/core/CoreBuilder.h"
#include "dialects/core/ElementTypes.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/DialectResourceBlobManager.h"

using namespace mlir;

namespace mlc::core {

int64_t elementBytes(Type element) {
  if (!element.isIntOrFloat())
    return 0;
  unsigned width = element.getIntOrFloatBitWidth();
  if (width == 1)
    return 1;
  return width == 8 || width == 16 || width == 32 || width == 64 ? width / 8 : 0;
}

int64_t HostTensor::elementBytes() const { return core::elementBytes(type.getElementType()); }

NumberClass HostTensor::numbers() const {
  Type element = type.getElementType();
  return isa<FloatType>(element) ? NumberClass::Real
         : isUnsigned(element)   ? NumberClass::Unsigned
                                 : NumberClass::Signed;
}

HostTensor HostTensor::allocate(RankedTensorType type, bool isSplat) {
  HostTensor result;
  result.type = type;
  result.isSplat = isSplat;
  size_t size = result.count() * result.elementBytes();
  result.owned = HeapAsmResourceBlob::allocate(std::max<size_t>(size, 1), 64);
  result.bytes = result.owned->getData().take_front(size);
  return result;
}

std::optional<HostTensor> HostTensor::read(ElementsAttr attribute) {
  auto type = dyn_cast<RankedTensorType>(attribute.getType());
  if (!type || core::elementBytes(type.getElementType()) == 0)
    return {};
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(attribute)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    HostTensor result;
    result.type = type;
    if (!blob || static_cast<int64_t>(blob->getData().size()) < result.count() * result.elementBytes())
      return {};
    result.bytes = blob->getData();
    return result;
  }
  auto dense = dyn_cast<DenseElementsAttr>(attribute);
  if (!dense)
    return {};
  if (type.getElementType().isInteger(1)) { // packed in the attribute
    HostTensor result = allocate(type, dense.isSplat());
    char *out = result.mutableData();
    if (result.isSplat)
      *out = dense.getSplatValue<bool>();
    else
      for (bool value : dense.getValues<bool>())
        *out++ = value;
    return result;
  }
  HostTensor result;
  result.type = type;
  result.isSplat = dense.isSplat();
  result.bytes = dense.getRawData();
  return result;
}

constexpr int64_t denseBytesMax = 1024;

ElementsAttr HostTensor::write() && {
  Type element = type.getElementType();
  int64_t size = elementBytes();
  if (!isSplat && count() > 0) { // all equal is a splat
    bool isEqual = true;
    for (int64_t i = 1; i < count() && isEqual; ++i)
      isEqual = std::memcmp(bytes.data(), bytes.data() + i * size, size) == 0;
    isSplat = isEqual;
    bytes = bytes.take_front(count() * size);
  }
  if (element.isInteger(1)) {
    if (isSplat)
      return DenseElementsAttr::get(type, static_cast<bool>(bytes[0]));
    if (count() <= denseBytesMax) {
      SmallVector<bool> values(bytes.begin(), bytes.end());
      return DenseElementsAttr::get(type, values);
    }
  }
  if (isSplat || count() * size <= denseBytesMax)
    return DenseElementsAttr::getFromRawBuffer(type, bytes);
  if (!owned) { // a view: copy it
    HostTensor copy = allocate(type, false);
    std::memcpy(copy.mutableData(), bytes.data(), copy.bytes.size());
    return std::move(copy).write();
  }
  return DenseResourceElementsAttr::get(type, "folded", std::move(*owned));
}

// ---- Numbers -----------------------------------------------------------------------------------------------------------------

namespace {
/// A number that C++ has no type for, by its bits.
template <typename C, const llvm::fltSemantics &(*semantics)()> struct Packed {
  C bits;
};
using Brain = Packed<uint16_t, APFloat::BFloat>;
/// How elements of a floating-point type lie in memory.
template <typename C, const llvm::fltSemantics &(*semantics)()>
using Stored = std::conditional_t<std::is_floating_point_v<C>, C, Packed<C, semantics>>;
} // namespace

template <typename C, const llvm::fltSemantics &(*semantics)()> static double toNumber(Packed<C, semantics> value) {
  return APFloat(semantics(), APInt(8 * sizeof(C), value.bits)).convertToDouble();
}
static double toNumber(Brain value) { // the upper half of a float: no need of APFloat
  uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float number;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}
template <typename T> static T toNumber(T value) { return value; }

template <typename C, const llvm::fltSemantics &(*semantics)()>
static void fromNumber(double number, Packed<C, semantics> &value) {
  APFloat rounded(number);
  bool lost;
  rounded.convert(semantics(), APFloat::rmNearestTiesToEven, &lost);
  value.bits = static_cast<C>(rounded.bitcastToAPInt().getZExtValue());
}
template <typename N, typename T> static void fromNumber(N number, T &value) { value = static_cast<T>(number); }

template <typename Storage, typename Number>
static void loadAs(const char *data, bool isSplat, size_t start, size_t size, void *numbers) {
  for (size_t i = 0; i < size; ++i) {
    Storage value;
    std::memcpy(&value, data + (isSplat ? 0 : start + i) * sizeof(Storage), sizeof(Storage));
    static_cast<Number *>(numbers)[i] = static_cast<Number>(toNumber(value));
  }
}
template <typename Storage, typename Number>
static void storeAs(char *data, size_t start, size_t size, const void *numbers) {
  for (size_t i = 0; i < size; ++i) {
    Storage value;
    fromNumber(static_cast<const Number *>(numbers)[i], value);
    std::memcpy(data + (start + i) * sizeof(Storage), &value, sizeof(Storage));
  }
}

/// Calls `f` with a value of the storage type and one of the number type of `element`; false if there are none.
template <typename F> static bool withStorage(Type element, F f) {
  switch (dtypeOf(element)) {
#define MLC_FLOAT_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, CPP, FIELD, NPY, SAFETENSORS, MLIR, SEMANTICS, ...)      \
  case CODE:                                                                                                           \
    return f(Stored<C, APFloat::SEMANTICS>(), double()), true;
#define MLC_INTEGER_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, ...)                                                   \
  case CODE:                                                                                                           \
    return f(C(), std::conditional_t<std::is_signed_v<C>, int64_t, uint64_t>()), true;
#include "mlc/types.def"
  default: // unsigned integers of a few bits have a byte each
    return isUnsigned(element) && element.getIntOrFloatBitWidth() < 8 && (f(uint8_t(), uint64_t()), true);
  }
}

bool hasNumbers(Type element) {
  return element.isIntOrFloat() && withStorage(element, [](auto, auto) {});
}

void HostTensor::load(size_t start, size_t size, void *numbers) const {
  withStorage(type.getElementType(), [&](auto storage, auto number) {
    loadAs<decltype(storage), decltype(number)>(bytes.data(), isSplat, start, size, numbers);
  });
}

void HostTensor::store(size_t start, size_t size, const void *numbers) {
  bool isBool = type.getElementType().isInteger(1);
  withStorage(type.getElementType(), [&](auto storage, auto number) {
    storeAs<decltype(storage), decltype(number)>(mutableData(), start, size, numbers);
  });
  if (isBool)
    for (size_t i = start; i < start + size; ++i)
      mutableData()[i] &= 1;
}

std::optional<SmallVector<int64_t>> integersOf(ElementsAttr value) {
  std::optional<HostTensor> tensor = HostTensor::read(value);
  if (!tensor || !isa<IntegerType>(tensor->type.getElementType()) || !hasNumbers(tensor->type.getElementType()))
    return {};
  SmallVector<int64_t> result(tensor->type.getNumElements());
  tensor->load(0, result.size(), result.data());
  return result;
}

} // namespace mlc::core
