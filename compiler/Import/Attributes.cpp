// See Attributes.h.
#include "compiler/Import/Attributes.h"
#include "dialects/core/ElementTypes.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/Support/Alignment.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlc;
using namespace mlir;
using pb::AttributeProto;
using pb::TensorProto;

static constexpr size_t denseBytesMax = 1024;

ElementsAttr mlc::denseElements(RankedTensorType type, StringRef bytes) {
  if (bytes.empty())
    return DenseElementsAttr::get(type, ArrayRef<Attribute>{});
  if (type.getElementType().isInteger(1)) {
    SmallVector<bool> bools(bytes.begin(), bytes.end());
    return DenseElementsAttr::get(type, bools);
  }
  return DenseElementsAttr::getFromRawBuffer(type, ArrayRef<char>(bytes.data(), bytes.size()));
}

static AsmResourceBlob blobOf(TensorData data, std::shared_ptr<ModelFile> file) {
  size_t alignment = dataTypeBytes(data.dataType);
  ArrayRef<char> bytes(data.bytes.data(), data.bytes.size());
  if (data.storage) {
    std::shared_ptr<char[]> storage = std::move(data.storage);
    return UnmanagedAsmResourceBlob::allocateWithAlign(bytes, alignment, [storage](void *, size_t, size_t) {});
  }
  if (!llvm::isAddrAligned(llvm::Align(alignment), bytes.data())) {
    AsmResourceBlob copy = HeapAsmResourceBlob::allocateAndCopyWithAlign(bytes, alignment, /*dataIsMutable=*/false);
    constexpr size_t releaseBytes = 16 << 20; // weights are never twice in memory, but for this much
    if (bytes.size() >= releaseBytes)
      file->releasePages();
    return copy;
  }
  return UnmanagedAsmResourceBlob::allocateWithAlign(bytes, alignment, [file](void *data, size_t size, size_t) {
    file->releasePages({static_cast<const char *>(data), size});
  });
}

llvm::Expected<ElementsAttr> AttributeImporter::tensor(const TensorProto &tensor) {
  ElementsAttr &known = tensors[&tensor];
  if (known)
    return known;
  auto data = readTensor(*file, tensor);
  if (!data)
    return data.takeError();
  auto type = RankedTensorType::get(data->shape, elementTypeOf(data->dataType, context));
  if (data->bytes.size() <= denseBytesMax)
    known = denseElements(type, data->bytes);
  else
    known = DenseResourceElementsAttr::get(type, tensor.name().empty() ? "tensor" : tensor.name(),
                                           blobOf(std::move(*data), file));
  return known;
}

AttributeProto::AttributeType mlc::attributeKind(const AttributeProto &attribute) {
  if (attribute.type() != AttributeProto::UNDEFINED)
    return attribute.type();
  if (attribute.has_f())
    return AttributeProto::FLOAT;
  if (attribute.has_i())
    return AttributeProto::INT;
  if (attribute.has_s())
    return AttributeProto::STRING;
  if (attribute.has_t())
    return AttributeProto::TENSOR;
  if (attribute.has_g())
    return AttributeProto::GRAPH;
  if (attribute.floats_size())
    return AttributeProto::FLOATS;
  if (attribute.ints_size())
    return AttributeProto::INTS;
  if (attribute.strings_size())
    return AttributeProto::STRINGS;
  if (attribute.tensors_size())
    return AttributeProto::TENSORS;
  return AttributeProto::UNDEFINED;
}

llvm::Expected<Attribute> AttributeImporter::attribute(const AttributeProto &attribute) {
  Attribute &known = attributes[&attribute];
  if (known)
    return known;
  auto converted = convert(attribute);
  if (!converted)
    return converted.takeError();
  return attributes[&attribute] = *converted;
}

llvm::Expected<Attribute> AttributeImporter::convert(const AttributeProto &attribute) {
  Builder b(context);
  switch (attributeKind(attribute)) {
  case AttributeProto::INT:
    return b.getI64IntegerAttr(attribute.i());
  case AttributeProto::FLOAT:
    return b.getF32FloatAttr(attribute.f());
  case AttributeProto::STRING:
    return b.getStringAttr(attribute.s());
  case AttributeProto::INTS:
    return b.getDenseI64ArrayAttr(SmallVector<int64_t>(attribute.ints().begin(), attribute.ints().end()));
  case AttributeProto::FLOATS:
    return b.getDenseF32ArrayAttr(ArrayRef<float>(attribute.floats().data(), attribute.floats_size()));
  case AttributeProto::STRINGS:
    return b.getStrArrayAttr(SmallVector<StringRef>(attribute.strings().begin(), attribute.strings().end()));
  case AttributeProto::TENSOR: {
    auto value = tensor(attribute.t());
    if (!value)
      return value.takeError();
    return *value;
  }
  case AttributeProto::TENSORS: {
    SmallVector<Attribute> values;
    for (const TensorProto &element : attribute.tensors()) {
      auto value = tensor(element);
      if (!value)
        return value.takeError();
      values.push_back(*value);
    }
    return b.getArrayAttr(values);
  }
  case AttributeProto::SPARSE_TENSOR:
  case AttributeProto::SPARSE_TENSORS:
    return llvm::createStringError("sparse tensors are not supported");
  case AttributeProto::TYPE_PROTO:
  case AttributeProto::TYPE_PROTOS:
    return llvm::createStringError("types as attributes are not supported");
  case AttributeProto::GRAPHS:
    return llvm::createStringError("lists of graphs are not supported");
  default:
    return llvm::createStringError("it has no type and no value");
  }
}
