// See Signature.h.
#include "dialects/onnx/Signature.h"

using namespace mlir;

namespace mlc::onnx {

static constexpr StringLiteral nameAttr = "onnx.name", dimsAttr = "onnx.dims", typeAttr = "onnx.type";

StringRef Declaration::name() const {
  auto name = attributes ? attributes.getAs<StringAttr>(nameAttr) : StringAttr();
  return name ? name.getValue() : StringRef();
}

StringRef Declaration::symbol(int64_t axis) const {
  auto dims = attributes ? attributes.getAs<ArrayAttr>(dimsAttr) : ArrayAttr();
  if (!dims || axis < 0 || axis >= int64_t(dims.size()))
    return "";
  auto name = dyn_cast<StringAttr>(dims[axis]);
  return name ? name.getValue() : StringRef();
}

Type Declaration::type() const {
  auto type = attributes ? attributes.getAs<TypeAttr>(typeAttr) : TypeAttr();
  return type ? type.getValue() : Type();
}

DictionaryAttr Declaration::withoutType() const {
  NamedAttrList list(attributes);
  list.erase(typeAttr);
  return attributes ? list.getDictionary(attributes.getContext()) : attributes;
}

DictionaryAttr Declaration::make(Builder builder, StringRef name, std::optional<ArrayRef<std::string>> symbols,
                                 Type type) {
  NamedAttrList list;
  list.append(nameAttr, builder.getStringAttr(name));
  if (symbols)
    list.append(dimsAttr, builder.getStrArrayAttr(SmallVector<StringRef>(symbols->begin(), symbols->end())));
  if (type)
    list.append(typeAttr, TypeAttr::get(type));
  return list.getDictionary(builder.getContext());
}

StringRef symbolOf(Value value, int64_t axis) {
  auto argument = dyn_cast<BlockArgument>(value);
  auto function = argument ? dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp()) : func::FuncOp();
  if (!function || !argument.getOwner()->isEntryBlock())
    return "";
  return Declaration::ofArgument(function, argument.getArgNumber()).symbol(axis);
}

} // namespace mlc::onnx
