// See Signature.h.
#include "dialects/onnx/Signature.h"

using namespace mlir;

namespace mlc::onnx {

static constexpr StringLiteral nameAttr = "onnx.name", dimsAttr = "onnx.dims", typeAttr = "onnx.type";

static constexpr StringLiteral modelAttr = "onnx.model", hashAttr = "onnx.hash", irVersionAttr = "onnx.ir_version",
                               externalDataAttr = "onnx.external_data";

Source sourceOf(ModuleOp module) {
  Source source;
  if (auto name = module->getAttrOfType<StringAttr>(modelAttr))
    source.name = name.getValue();
  if (auto hash = module->getAttrOfType<StringAttr>(hashAttr))
    source.hash = hash.getValue();
  if (auto version = module->getAttrOfType<IntegerAttr>(irVersionAttr))
    source.irVersion = version.getInt();
  if (auto files = module->getAttrOfType<ArrayAttr>(externalDataAttr))
    for (auto file : files.getAsRange<StringAttr>())
      source.externalData.push_back(file.getValue());
  return source;
}

void setSource(ModuleOp module, const Source &source) {
  Builder b(module.getContext());
  module->setAttr(modelAttr, b.getStringAttr(source.name));
  module->setAttr(hashAttr, b.getStringAttr(source.hash));
  module->setAttr(irVersionAttr, b.getI64IntegerAttr(source.irVersion));
  if (!source.externalData.empty())
    module->setAttr(externalDataAttr, b.getStrArrayAttr(source.externalData));
}

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

static std::string symbolName(func::FuncOp function, unsigned argument, unsigned axis) {
  auto declared = Declaration::ofArgument(function, argument);
  if (StringRef symbol = declared.symbol(axis); !symbol.empty())
    return symbol.str();
  return ((declared.name().empty() ? StringRef("input") : declared.name()) + "_dim" + Twine(axis)).str();
}

Symbols Symbols::of(ModuleOp module) {
  Symbols symbols;
  for (StringRef entry : {"main", "train_step"}) {
    auto function = module.lookupSymbol<func::FuncOp>(entry);
    if (!function)
      continue;
    for (auto [argument, type] : llvm::enumerate(function.getArgumentTypes()))
      if (auto shaped = dyn_cast<ShapedType>(type); shaped && shaped.hasRank())
        for (int64_t axis = 0; axis < shaped.getRank(); ++axis)
          if (shaped.isDynamicDim(axis))
            if (std::string name = symbolName(function, argument, axis); !llvm::is_contained(symbols.names, name))
              symbols.names.push_back(name);
  }
  return symbols;
}

int64_t Symbols::find(StringRef name) const {
  auto at = llvm::find(names, name);
  return at == names.end() ? -1 : at - names.begin();
}

int64_t Symbols::find(func::FuncOp function, unsigned argument, unsigned axis) const {
  return find(symbolName(function, argument, axis));
}

} // namespace mlc::onnx
