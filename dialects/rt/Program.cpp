// See Program.h.
#include "dialects/rt/Program.h"

using namespace mlir;

namespace mlc::rt {

static constexpr StringLiteral weightsName = "rt.weights", stateName = "rt.state",
                               weightsBytesName = "rt.weights_bytes", stateBytesName = "rt.state_bytes",
                               arenaBytesName = "rt.arena_bytes", dataSizesName = "rt.data_sizes",
                               deviceKernelsName = "rt.device_kernels", deviceImagesName = "rt.device_images",
                               deviceArchName = "rt.device_arch";

template <typename Element> static SmallVector<Element> elementsOf(Operation *op, StringRef name) {
  auto list = op->getAttrOfType<ArrayAttr>(name);
  return list ? llvm::to_vector(list.getAsRange<Element>()) : SmallVector<Element>();
}

template <typename Element> static void setElements(Operation *op, StringRef name, ArrayRef<Element> elements) {
  op->setAttr(name, ArrayAttr::get(op->getContext(), SmallVector<Attribute>(elements.begin(), elements.end())));
}

static std::optional<int64_t> integerOf(Operation *op, StringRef name) {
  auto value = op->getAttrOfType<IntegerAttr>(name);
  return value ? std::optional(value.getInt()) : std::nullopt;
}

static void setInteger(Operation *op, StringRef name, int64_t value) {
  op->setAttr(name, Builder(op->getContext()).getI64IntegerAttr(value));
}

SmallVector<WeightAttr> weightsOf(ModuleOp module) { return elementsOf<WeightAttr>(module, weightsName); }
void setWeights(ModuleOp module, ArrayRef<WeightAttr> weights) { setElements(module, weightsName, weights); }
SmallVector<SlotAttr> stateOf(ModuleOp module) { return elementsOf<SlotAttr>(module, stateName); }
void setState(ModuleOp module, ArrayRef<SlotAttr> state) { setElements(module, stateName, state); }

int64_t weightsBytes(ModuleOp module) { return integerOf(module, weightsBytesName).value_or(0); }
int64_t stateBytes(ModuleOp module) { return integerOf(module, stateBytesName).value_or(0); }
void setBytes(ModuleOp module, int64_t weights, int64_t state) {
  setInteger(module, weightsBytesName, weights);
  if (state)
    setInteger(module, stateBytesName, state);
}

std::optional<int64_t> arenaBytes(func::FuncOp entry) { return integerOf(entry, arenaBytesName); }
void setArenaBytes(func::FuncOp entry, int64_t bytes) { setInteger(entry, arenaBytesName, bytes); }

SmallVector<DataSize> dataSizes(func::FuncOp entry) {
  SmallVector<DataSize> sizes;
  if (auto pairs = entry->getAttrOfType<DenseI64ArrayAttr>(dataSizesName))
    for (int64_t i = 0; i < pairs.size(); i += 2)
      sizes.push_back({pairs[i], pairs[i + 1]});
  return sizes;
}

void setDataSizes(func::FuncOp entry, ArrayRef<DataSize> sizes) {
  SmallVector<int64_t> pairs;
  for (DataSize size : sizes)
    pairs.append({size.position, size.bound});
  entry->setAttr(dataSizesName, DenseI64ArrayAttr::get(entry.getContext(), pairs));
}

DeviceCode deviceCode(ModuleOp module) {
  DeviceCode code;
  for (StringAttr kernel : elementsOf<StringAttr>(module, deviceKernelsName))
    code.kernels.push_back(kernel.getValue());
  for (StringAttr image : elementsOf<StringAttr>(module, deviceImagesName))
    code.images.push_back(image.getValue());
  if (auto arch = module->getAttrOfType<StringAttr>(deviceArchName))
    code.arch = arch.getValue();
  return code;
}

void setDeviceKernels(ModuleOp module, ArrayRef<StringRef> kernels) {
  module->setAttr(deviceKernelsName, Builder(module.getContext()).getStrArrayAttr(kernels));
}

void setDeviceImages(ModuleOp module, ArrayRef<StringRef> images, StringRef arch) {
  Builder b(module.getContext());
  module->setAttr(deviceImagesName, b.getStrArrayAttr(images));
  module->setAttr(deviceArchName, b.getStringAttr(arch));
}

template <typename Element> static bool isListOf(Attribute value) {
  auto list = dyn_cast<ArrayAttr>(value);
  return list && llvm::all_of(list, llvm::IsaPred<Element>);
}

LogicalResult RtDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  StringRef name = attribute.getName();
  Attribute value = attribute.getValue();
  auto expect = [&](bool isRight, StringRef what) {
    return isRight ? success() : op->emitOpError() << "attribute " << name << ": expected " << what;
  };
  if (name == weightsName)
    return expect(isListOf<WeightAttr>(value), "a list of #rt.weight");
  if (name == stateName)
    return expect(isListOf<SlotAttr>(value) &&
                      llvm::is_sorted(cast<ArrayAttr>(value).getAsRange<SlotAttr>(),
                                      [](SlotAttr a, SlotAttr b) { return a.getParameter() && !b.getParameter(); }),
                  "a list of #rt.slot, parameters first");
  if (name == weightsBytesName || name == stateBytesName || name == arenaBytesName)
    return expect(isa<IntegerAttr>(value), "a number of bytes");
  if (name == dataSizesName)
    return expect(isa<DenseI64ArrayAttr>(value) && cast<DenseI64ArrayAttr>(value).size() % 2 == 0,
                  "pairs of a position and a bound");
  if (name == deviceKernelsName || name == deviceImagesName)
    return expect(isListOf<StringAttr>(value), "a list of texts");
  return expect(name == deviceArchName && isa<StringAttr>(value), "no such attribute, or a text for rt.device_arch");
}

LogicalResult SlotAttr::verify(llvm::function_ref<InFlightDiagnostic()> error, StringRef name, RankedTensorType type,
                               bool, ElementsAttr value, int64_t, int64_t) {
  if (!type.hasStaticShape())
    return error() << "state '" << name << "' has no static shape: " << type;
  if (value && value.getType() != type)
    return error() << "state '" << name << "' is " << type << " but begins as " << value.getType();
  return success();
}

} // namespace mlc::rt
