// Reading of tensors with every check that the format leaves to the reader: sizes, counts, ranges of narrow types.
#include "compiler/Import/TensorData.h"
#include "dialects/core/ElementTypes.h"
#include "llvm/ADT/Sequence.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlc;
using llvm::StringRef;
using pb::TensorProto;

llvm::Expected<int64_t> mlc::checkedByteCount(llvm::ArrayRef<int64_t> shape, unsigned elementBytes) {
  int64_t product = elementBytes;
  bool isEmpty = false;
  for (auto [axis, size] : llvm::enumerate(shape)) {
    if (size == INT64_MIN)
      continue;
    if (size < 0)
      return llvm::createStringError(llvm::formatv("dimension {0} is negative: {1}", axis, size));
    isEmpty |= size == 0;
    if (size != 0 && __builtin_mul_overflow(product, size, &product))
      return llvm::createStringError(llvm::formatv(
          "its size overflows: {0} elements of {1} bytes",
          llvm::join(llvm::map_range(shape, [](int64_t s) { return s == INT64_MIN ? "?" : std::to_string(s); }), "x"),
          elementBytes));
  }
  return isEmpty ? 0 : product;
}

namespace {

// The typed field that holds a data type, and how many elements it has.
template <typename Field> llvm::Error checkCount(StringRef name, const Field &field, int64_t expected) {
  if (field.size() == expected)
    return llvm::Error::success();
  return llvm::createStringError(
      llvm::formatv("{0} has {1} elements, its shape has {2}", name, field.size(), expected));
}

// Copies a typed field into elements of type T; values that do not fit are errors.
template <typename T, typename Field>
llvm::Error convertField(StringRef name, const Field &field, TensorData &data, int64_t count) {
  if (llvm::Error failure = checkCount(name, field, count))
    return failure;
  data.storage = std::make_unique<char[]>(std::max<size_t>(1, count * sizeof(T)));
  T *elements = reinterpret_cast<T *>(data.storage.get());
  for (int64_t i : llvm::seq<int64_t>(0, count)) {
    elements[i] = static_cast<T>(field[i]);
    if constexpr (std::is_integral_v<T>)
      if (static_cast<std::decay_t<decltype(field[i])>>(elements[i]) != field[i])
        return llvm::createStringError(llvm::formatv("{0}[{1}] is {2}, which does not fit into {3}", name, i, field[i],
                                                     dataTypeName(data.dataType)));
  }
  data.bytes = StringRef(data.storage.get(), count * sizeof(T));
  return llvm::Error::success();
}

llvm::Error readTypedField(const TensorProto &tensor, TensorData &data, int64_t count) {
  switch (data.dataType) {
#define MLC_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, CPP, FIELD, ...)                                               \
  case CODE:                                                                                                           \
    return convertField<C>(#FIELD, tensor.FIELD(), data, count);
#include "mlc/types.def"
  default:
    llvm_unreachable("readTensor knows how many bytes an element has");
  }
}

// Bool elements of a file may be any byte; ours are 0 or 1.
void normaliseBools(TensorData &data) {
  if (llvm::all_of(data.bytes, [](char c) { return c == 0 || c == 1; }))
    return;
  auto storage = std::make_unique<char[]>(data.bytes.size());
  llvm::transform(data.bytes, storage.get(), [](char c) { return char(c != 0); });
  data.bytes = StringRef(storage.get(), data.bytes.size());
  data.storage = std::move(storage);
}

} // namespace

llvm::Expected<TensorData> mlc::readTensor(ModelFile &file, const TensorProto &tensor) {
  TensorData data;
  data.dataType = tensor.data_type();
  unsigned elementBytes = dataTypeBytes(data.dataType);
  if (data.dataType == TensorProto::UNDEFINED || dataTypeName(data.dataType) == "unknown")
    return llvm::createStringError(llvm::formatv("element type {0} does not exist in ONNX", data.dataType));
  if (elementBytes == 0)
    return llvm::createStringError("element type " + dataTypeName(data.dataType) + " is not supported");
  if (tensor.has_segment())
    return llvm::createStringError("tensors in segments are not supported");
  constexpr int rankMax = 64;
  if (tensor.dims_size() > rankMax)
    return llvm::createStringError(llvm::formatv("rank {0} is larger than {1}", tensor.dims_size(), rankMax));
  data.shape.assign(tensor.dims().begin(), tensor.dims().end());
  if (llvm::is_contained(data.shape, INT64_MIN))
    return llvm::createStringError(llvm::formatv("a dimension is negative: {0}", INT64_MIN));
  auto byteCount = checkedByteCount(data.shape, elementBytes);
  if (!byteCount)
    return byteCount.takeError();

  bool isExternal = tensor.data_location() == TensorProto::EXTERNAL;
  llvm::Expected<StringRef> bytes = StringRef();
  if (isExternal)
    bytes = file.externalData(tensor);
  else if (tensor.has_raw_data())
    bytes = file.rawData(tensor);
  if (!bytes)
    return bytes.takeError();
  if (isExternal || !bytes->empty()) {
    if (int64_t(bytes->size()) != *byteCount)
      return llvm::createStringError(
          llvm::formatv("its data has {0} bytes, its shape and type need {1}", bytes->size(), *byteCount));
    data.bytes = *bytes;
  } else if (llvm::Error failure = readTypedField(tensor, data, *byteCount / elementBytes)) {
    return std::move(failure);
  }
  if (data.dataType == TensorProto::BOOL)
    normaliseBools(data);
  return std::move(data);
}
