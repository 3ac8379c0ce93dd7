// See Signature.h. Everything that users can get wrong about shapes on the command line is checked here.
#include "compiler/Import/Signature.h"
#include "compiler/Import/Attributes.h"
#include "dialects/core/ElementTypes.h"
#include "mlc/mlc.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace mlc;
using namespace mlir;
using pb::TypeProto;
using pb::ValueInfoProto;

namespace {

constexpr size_t namesShownMax = 20;

std::string listOf(ArrayRef<std::string> names) {
  if (names.empty())
    return "none";
  std::string text = llvm::join(names.take_front(namesShownMax), ", ");
  return names.size() > namesShownMax ? text + ", ... (" + std::to_string(names.size()) + " in all)" : text;
}

StringRef kindOf(const TypeProto &type) {
  switch (type.value_case()) {
  case TypeProto::kTensorType:
    return "tensor";
  case TypeProto::kSequenceType:
    return "sequence";
  case TypeProto::kMapType:
    return "map";
  case TypeProto::kOptionalType:
    return "optional";
  case TypeProto::kSparseTensorType:
    return "sparse tensor";
  case TypeProto::kOpaqueType:
    return "opaque";
  default:
    return "";
  }
}

/// Sizes as the model declares them; a dimension that is neither a number nor named has the symbol "?".
struct Declared {
  SmallVector<int64_t> shape;
  SmallVector<std::string> symbols;
};

FailureOr<Declared> declaredShape(const ValueInfoProto &value, Location location) {
  const pb::TensorShapeProto &shape = value.type().tensor_type().shape();
  if (shape.dim_size() > MLC_RANK_MAX)
    return emitError(location) << '"' << value.name() << "\" has rank " << shape.dim_size() << ", the largest is "
                               << MLC_RANK_MAX;
  Declared declared;
  for (const auto &dim : shape.dim()) {
    bool isConstant = dim.has_dim_value();
    if (isConstant && dim.dim_value() < 0)
      return emitError(location) << "dimension " << declared.shape.size() << " of \"" << value.name()
                                 << "\" is negative: " << dim.dim_value();
    declared.shape.push_back(isConstant ? dim.dim_value() : ShapedType::kDynamic);
    declared.symbols.push_back(isConstant ? "" : dim.dim_param().empty() ? "?" : dim.dim_param());
  }
  return declared;
}

/// The element type of an input or output, or an error: what mlc cannot carry over the border of a library.
FailureOr<Type> elementType(const ValueInfoProto &value, StringRef role, Location location) {
  auto error = [&] { return emitError(location) << role << " \"" << value.name() << "\": "; };
  if (!value.type().has_tensor_type())
    return error() << kindOf(value.type()) << " values are not supported";
  int32_t dataType = value.type().tensor_type().elem_type();
  if (Type type = elementTypeOf(dataType, location.getContext()))
    return type;
  if (dataTypeName(dataType) == "unknown" || dataType == pb::TensorProto::UNDEFINED)
    return error() << "element type " << dataType << " does not exist in ONNX";
  return error() << "element type " << dataTypeName(dataType) << " is not supported";
}

class InputBinder {
public:
  InputBinder(const pb::GraphProto &graph, const CompileOptions &options, Location location, SymbolSizes &sizes,
              std::vector<std::string> &unknown)
      : graph(graph), options(options), location(location), sizes(sizes), unknown(unknown) {}

  FailureOr<std::vector<ModelInput>> bind() {
    llvm::StringSet<> initializers, names;
    for (const auto &tensor : graph.initializer())
      initializers.insert(tensor.name());
    bool failed = false;
    for (const ValueInfoProto &input : graph.input()) {
      if (!names.insert(input.name()).second)
        return emitError(location) << "the model has two inputs named \"" << input.name() << '"';
      if (input.name().empty())
        return emitError(location) << "input " << inputs.size() << " has no name";
      if (!initializers.contains(input.name()))
        failed |= mlir::failed(declare(input)); // collect all of them
    }
    if (failed || mlir::failed(checkNames()))
      return failure();
    nameUnknowns();
    if (mlir::failed(bindSymbols()))
      return failure();
    return result();
  }

private:
  struct Input {
    std::string name;
    Type element;
    Declared declared;
  };

  LogicalResult declare(const ValueInfoProto &value) {
    if (value.type().value_case() == TypeProto::VALUE_NOT_SET)
      return emitError(location) << "input \"" << value.name() << "\" has no type";
    auto element = elementType(value, "input", location);
    if (mlir::failed(element) && options.keepsGoing)
      unknown.push_back(value.name());
    if (mlir::failed(element))
      return failure(!options.keepsGoing);
    Input input{value.name(), *element, {}};
    auto given = options.inputValues.find(value.name());
    bool hasShape = value.type().tensor_type().has_shape();
    if (given != options.inputValues.end() && options.shapes.count(value.name()))
      return emitError(location) << "--shape and --input-value are both given for \"" << value.name()
                                 << "\": the value has its shape";
    if (given != options.inputValues.end()) {
      if (elementTypeOf(given->second.dtype, location.getContext()) != *element)
        return emitError(location) << "--input-value of \"" << value.name() << "\": element type "
                                   << dataTypeName(given->second.dtype) << ", the model's input has "
                                   << dataTypeName(value.type().tensor_type().elem_type());
      if (mlir::failed(applyShape(value, hasShape, given->second.shape, input.declared, "--input-value")))
        return failure();
      inputs.push_back(std::move(input));
      return success();
    }
    auto wanted = options.shapes.find(value.name());
    if (wanted == options.shapes.end()) {
      if (!hasShape)
        return emitError(location) << "input \"" << value.name()
                                   << "\" has no shape in the model; give it with --shape " << value.name()
                                   << "=1x3x224x224";
      auto declared = declaredShape(value, location);
      if (mlir::failed(declared))
        return failure();
      input.declared = std::move(*declared);
    } else if (mlir::failed(applyShape(value, hasShape, wanted->second, input.declared, "--shape"))) {
      return failure();
    }
    inputs.push_back(std::move(input));
    return success();
  }

  // A size of --shape replaces what the model leaves open (or has negative); -1 leaves it as it is. Sizes given to symbols hold for
  // the whole model.
  LogicalResult applyShape(const ValueInfoProto &value, bool hasShape, ArrayRef<int64_t> wanted, Declared &declared,
                           StringRef option) {
    const auto &shape = value.type().tensor_type().shape();
    if (hasShape && shape.dim_size() != int64_t(wanted.size()))
      return emitError(location) << option << " of \"" << value.name() << "\" has " << wanted.size()
                                 << " dimensions, the model's input has " << shape.dim_size();
    if (wanted.size() > MLC_RANK_MAX)
      return emitError(location) << option << " of \"" << value.name() << "\" has " << wanted.size()
                                 << " dimensions, the most are " << MLC_RANK_MAX;
    for (size_t axis : llvm::seq(wanted.size())) {
      int64_t size = wanted[axis];
      bool isConstant = hasShape && shape.dim(axis).has_dim_value();
      std::string symbol = hasShape ? shape.dim(axis).dim_param() : "";
      if (size < -1)
        return emitError(location) << option << " of \"" << value.name() << "\": size " << size << " is negative";
      if (size >= 0 && isConstant && shape.dim(axis).dim_value() >= 0 && size != shape.dim(axis).dim_value())
        return emitError(location) << option << " of \"" << value.name() << "\": dimension " << axis << " is "
                                   << shape.dim(axis).dim_value() << " in the model, not " << size;
      if (size >= 0 && !symbol.empty() && mlir::failed(giveSize(symbol, size, option)))
        return failure();
      if (size == -1 && isConstant) {
        size = shape.dim(axis).dim_value();
        if (size < 0)
          return emitError(location) << "dimension " << axis << " of \"" << value.name() << "\" is negative: " << size;
      }
      declared.shape.push_back(size >= 0 ? size : ShapedType::kDynamic);
      declared.symbols.push_back(size >= 0 ? "" : symbol.empty() ? "?" : symbol);
    }
    return success();
  }

  LogicalResult giveSize(StringRef symbol, int64_t size, StringRef option) {
    auto [entry, isNew] = sizes.try_emplace(symbol, size);
    if (isNew || entry->second == size)
      return success();
    return emitError(location) << "dimension \"" << symbol << "\" is given two sizes: " << entry->second << " and "
                               << size << " (" << option << ')';
  }

  LogicalResult checkNames() {
    SmallVector<std::string> known;
    for (const Input &input : inputs)
      known.push_back(input.name);
    for (const auto &[name, shape] : options.shapes)
      if (!llvm::is_contained(known, name) && !llvm::is_contained(unknown, name))
        return emitError(location) << "--shape names the input \"" << name
                                   << "\", which the model does not have; its inputs: " << listOf(known);
    for (const auto &[name, value] : options.inputValues)
      if (!llvm::is_contained(known, name))
        return emitError(location) << "--input-value names the input \"" << name
                                   << "\", which the model does not have; its inputs: " << listOf(known);
    return success();
  }

  // `x_dim0` for a dynamic dimension without a name, and another one if the model already uses that.
  void nameUnknowns() {
    llvm::StringSet<> used;
    for (const Input &input : inputs)
      for (const std::string &symbol : input.declared.symbols)
        used.insert(symbol);
    for (Input &input : inputs)
      for (auto [axis, symbol] : llvm::enumerate(input.declared.symbols)) {
        if (symbol != "?")
          continue;
        symbol = input.name + "_dim" + std::to_string(axis);
        while (!used.insert(symbol).second)
          symbol += '_';
      }
  }

  LogicalResult bindSymbols() {
    llvm::SmallVector<std::string> known;
    llvm::StringSet<> seen;
    for (const Input &input : inputs)
      for (const std::string &symbol : input.declared.symbols)
        if (!symbol.empty() && seen.insert(symbol).second)
          known.push_back(symbol);
    for (const auto &[name, size] : options.dims) {
      if (!seen.contains(name) && !sizes.contains(name))
        return emitError(location) << "--dim names the dimension \"" << name
                                   << "\", which no input has; dimensions of the inputs: " << listOf(known);
      if (size < 0)
        return emitError(location) << "--dim " << name << ": size " << size << " is negative";
      if (mlir::failed(giveSize(name, size, "--dim")))
        return failure();
    }
    return success();
  }

  FailureOr<std::vector<ModelInput>> result() {
    std::vector<ModelInput> bound;
    for (Input &input : inputs) {
      auto &[shape, symbols] = input.declared;
      for (auto [size, symbol] : llvm::zip_equal(shape, symbols))
        if (auto given = sizes.find(symbol); given != sizes.end() && !symbol.empty()) {
          size = given->second;
          symbol.clear();
        }
      auto bytes = checkedByteCount(shape, std::max(8u, input.element.getIntOrFloatBitWidth() / 8));
      if (!bytes)
        return emitError(location) << "input \"" << input.name << "\": " << llvm::toString(bytes.takeError());
      bound.push_back({input.name, RankedTensorType::get(shape, input.element), std::move(symbols)});
    }
    return bound;
  }

  const pb::GraphProto &graph;
  const CompileOptions &options;
  Location location;
  SymbolSizes &sizes;
  std::vector<std::string> &unknown;
  std::vector<Input> inputs;
};

} // namespace

FailureOr<std::vector<ModelInput>> mlc::bindInputs(const pb::GraphProto &graph, const CompileOptions &options,
                                                   Location location, SymbolSizes &sizes,
                                                   std::vector<std::string> &unknown) {
  return InputBinder(graph, options, location, sizes, unknown).bind();
}

FailureOr<DeclaredOutput> mlc::declaredOutput(const ValueInfoProto &output, const SymbolSizes &sizes,
                                              Location location) {
  DeclaredOutput declared;
  if (output.type().value_case() == TypeProto::VALUE_NOT_SET ||
      (output.type().has_tensor_type() && output.type().tensor_type().elem_type() == pb::TensorProto::UNDEFINED))
    return declared;
  auto element = elementType(output, "output", location);
  if (failed(element))
    return failure();
  if (!output.type().tensor_type().has_shape())
    return declared;
  auto shape = declaredShape(output, location);
  if (failed(shape))
    return failure();
  for (auto [size, symbol] : llvm::zip_equal(shape->shape, shape->symbols)) {
    if (auto given = sizes.find(symbol); given != sizes.end() && !symbol.empty()) {
      size = given->second;
      symbol.clear();
    }
    if (symbol == "?")
      symbol.clear();
  }
  declared.type = RankedTensorType::get(shape->shape, *element);
  declared.symbols = std::move(shape->symbols);
  return declared;
}
