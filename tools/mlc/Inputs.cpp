// See Inputs.h.
#include "Inputs.h"
#include "Library.h"
#include "dialects/core/ElementTypes.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/xxhash.h"

using namespace mlc;
using llvm::StringRef;

namespace {

/// What an input is filled with.
struct Source {
  enum Kind { File, Random, Zeros, Ones, Iota } kind = Random;
  std::string path;
  bool hasRange = false;
  double low = 0, high = 0;
};

std::optional<std::string> readSource(StringRef text, Source &source) {
  if (text.consume_front("@")) {
    source.kind = Source::File;
    source.path = text.str();
    return text.empty() ? std::optional<std::string>("expected a file after \"@\"") : std::nullopt;
  }
  auto [word, range] = text.split(':');
  auto kind = llvm::StringSwitch<std::optional<Source::Kind>>(word)
                  .Case("random", Source::Random)
                  .Case("zeros", Source::Zeros)
                  .Case("ones", Source::Ones)
                  .Case("iota", Source::Iota)
                  .Default(std::nullopt);
  if (!kind || (*kind != Source::Random && !range.empty()))
    return "expected @FILE.npy, @FILE.pb, random, random:LOW:HIGH, zeros, ones or iota, found \"" + text.str() + "\"";
  source.kind = *kind;
  if (range.empty())
    return std::nullopt;
  auto [low, high] = range.split(':');
  source.hasRange = true;
  if (low.getAsDouble(source.low) || high.getAsDouble(source.high) || !(source.low <= source.high))
    return "expected random:LOW:HIGH, found \"" + text.str() + "\"";
  return std::nullopt;
}

/// Sebastiano Vigna's splitmix64: equal numbers on every machine.
uint64_t nextRandom(uint64_t &state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

/// The bits of the nearest number of a type.
template <typename C> C nearest(double value, const llvm::fltSemantics &semantics) {
  if constexpr (std::is_floating_point_v<C>)
    return static_cast<C>(value);
  llvm::APFloat number(value);
  bool losesInfo;
  number.convert(semantics, llvm::APFloat::rmNearestTiesToEven, &losesInfo);
  return static_cast<C>(number.bitcastToAPInt().getZExtValue());
}

void storeElement(HostTensor &tensor, int64_t index, double value) {
  char *at = tensor.data.get() + index * dataTypeBytes(tensor.dtype);
  auto put = [&](auto element) { memcpy(at, &element, sizeof(element)); };
  switch (tensor.dtype) {
#define MLC_FLOAT_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, CPP, FIELD, NPY, SAFETENSORS, MLIR, SEMANTICS, ...)      \
  case MLC_##NAME:                                                                                                     \
    return put(nearest<C>(value, llvm::APFloat::SEMANTICS()));
#include "mlc/types.def"
  case MLC_BOOL:
    return put(uint8_t(value != 0));
  default:
    break;
  }
  // The low bytes of an integer are its element, whatever the width.
  int64_t integer = int64_t(std::clamp(value, -9.2e18, 9.2e18));
  memcpy(at, &integer, dataTypeBytes(tensor.dtype));
}

void fill(HostTensor &tensor, const Source &source, uint64_t seed) {
  double low = source.hasRange ? source.low : isFloat(tensor.dtype) ? -1 : 0;
  double high = source.hasRange ? source.high : isFloat(tensor.dtype) || tensor.dtype == MLC_BOOL ? 1 : 9;
  for (int64_t i : llvm::seq(tensor.elementCount())) {
    double unit = double(nextRandom(seed) >> 11) * 0x1p-53; // [0, 1)
    switch (source.kind) {
    case Source::Random:
      storeElement(tensor, i,
                   isFloat(tensor.dtype) ? low + unit * (high - low) : std::floor(low + unit * (high - low + 1)));
      break;
    case Source::Ones:
      storeElement(tensor, i, 1);
      break;
    case Source::Iota:
      storeElement(tensor, i, double(i));
      break;
    default:
      return; // zeros
    }
  }
}

// A file's sizes bind the model's symbols.
llvm::Error bindFile(const mlc_model &model, const mlc_value_info &input, const HostTensor &tensor,
                     std::vector<int64_t> &dims) {
  bool fits = tensor.dtype == input.dtype && int64_t(tensor.shape.size()) == input.rank;
  for (int axis = 0; fits && axis < input.rank; ++axis) {
    const mlc_dim &dim = input.dims[axis];
    if (dim.value < 0 && dim.symbol < 0)
      continue;
    int64_t &size = dims[std::max(dim.symbol, 0)];
    if (dim.value < 0 && size >= 0 && size != tensor.shape[axis])
      return llvm::createStringError(llvm::formatv("input \"{0}\" is {1}: its file has {2}, but {3} is {4} already",
                                                   input.name, typeText(model, input), tensor.type(),
                                                   model.symbols[dim.symbol], size));
    if (dim.value < 0)
      size = tensor.shape[axis];
    else
      fits = dim.value == tensor.shape[axis];
  }
  if (fits)
    return llvm::Error::success();
  return llvm::createStringError(
      llvm::formatv("input \"{0}\" is {1}, its file has {2}", input.name, typeText(model, input), tensor.type()));
}

llvm::Expected<std::vector<int64_t>> shapeOf(const mlc_model &model, const mlc_value_info &input,
                                             llvm::ArrayRef<int64_t> dims) {
  std::vector<int64_t> shape;
  for (const mlc_dim &dim : llvm::ArrayRef(input.dims, input.rank)) {
    int64_t size = dim.value >= 0 || dim.symbol < 0 ? dim.value : dims[dim.symbol];
    if (size < 0)
      return llvm::createStringError(llvm::formatv("input \"{0}\" is {1}: give the size with --dim {2}=1", input.name,
                                                   typeText(model, input),
                                                   dim.symbol >= 0 ? model.symbols[dim.symbol] : "?"));
    shape.push_back(size);
  }
  return shape;
}

} // namespace

llvm::Expected<std::vector<HostTensor>> mlc::allocateOutputs(const mlc_model &model, llvm::ArrayRef<int64_t> dims) {
  size_t sizeCount = 0;
  for (const mlc_value_info &output : llvm::ArrayRef(model.outputs, model.output_count))
    sizeCount += output.rank;
  std::vector<int64_t> sizes(sizeCount + 1);
  if (mlc_status status = model.output_shapes(dims.data(), sizes.data()))
    return statusError(model, nullptr, status, "output_shapes");
  std::vector<HostTensor> outputs;
  auto next = sizes.begin();
  for (const mlc_value_info &output : llvm::ArrayRef(model.outputs, model.output_count)) {
    auto tensor = HostTensor::allocate(output.dtype, std::vector<int64_t>(next, next + output.rank));
    if (!tensor)
      return llvm::createStringError(
          llvm::formatv("output \"{0}\": {1}", output.name, llvm::toString(tensor.takeError())));
    outputs.push_back(std::move(*tensor));
    next += output.rank;
  }
  return std::move(outputs);
}

void InputOptions::declare(Options &options, StringRef whenMissing, bool hasWeights) {
  std::string help =
      "what an input holds: @FILE.npy, @FILE.pb (an ONNX TensorProto), random, random:LOW:HIGH, zeros, ones or "
      "iota; without NAME= for all inputs that no other option names";
  options.values("--input", "[NAME=]SOURCE",
                 help + (whenMissing.empty() ? "" : " (default: " + whenMissing.str() + ")"),
                 [this](StringRef text) -> std::optional<std::string> {
                   // Names may hold "=": the source starts after the last one that a source follows.
                   auto [name, sourceText] = text.rsplit('=');
                   if (size_t at = text.find("=@"); at != StringRef::npos)
                     name = text.substr(0, at), sourceText = text.substr(at + 1);
                   bool hasName = name.size() != text.size();
                   Source source;
                   if (auto error = readSource(hasName ? sourceText : text, source))
                     return error;
                   if (!sources.try_emplace(hasName ? name.str() : "", hasName ? sourceText.str() : text.str()).second)
                     return hasName ? name.str() + " is given twice" : "a source for all inputs is given twice";
                   return std::nullopt;
                 });
  options.values("--dim", "NAME=SIZE[,...]", "the size of a symbolic dimension; files give theirs by themselves",
                 [this](StringRef text) { return readDims(text, dims); });
  options.values("--shape", "INPUT=1x3x224x224", "the shape of an input",
                 [this](StringRef text) { return readShape(text, shapes); });
  options.value("--seed", "NUMBER", "of random inputs (default: 0)", seed, 0);
  if (hasWeights)
    options.value("--weights", "FILE", "weights to use instead of the library's own, made by mlc compile", weights);
}

llvm::Expected<BoundTensors> mlc::bindTensors(const mlc_model &model, const InputOptions &options,
                                              StringRef whenMissing) {
  auto dims = bindDims(model, options.dims, options.shapes);
  if (!dims)
    return dims.takeError();
  for (const auto &[name, text] : options.sources)
    if (!name.empty())
      if (auto index = findValue("input", name, model.inputs, model.input_count); !index)
        return index.takeError();

  std::vector<Source> sources(model.input_count);
  std::vector<HostTensor> inputs(model.input_count);
  for (int i = 0; i < model.input_count; ++i) {
    const mlc_value_info &input = model.inputs[i];
    auto given = options.sources.find(input.name);
    if (given == options.sources.end())
      given = options.sources.find("");
    StringRef text = given == options.sources.end() ? whenMissing : StringRef(given->second);
    if (text.empty())
      return llvm::createStringError(
          llvm::formatv("input \"{0}\" ({1}) is not given; --input {0}=@FILE.npy, or --input random", input.name,
                        typeText(model, input)));
    if (auto error = readSource(text, sources[i]))
      return llvm::createStringError(*error);
    if (sources[i].kind != Source::File)
      continue;
    auto tensor = readTensorFile(sources[i].path);
    if (!tensor)
      return tensor.takeError();
    if (llvm::Error error = bindFile(model, input, *tensor, *dims))
      return std::move(error);
    inputs[i] = std::move(*tensor);
  }
  if (options.seed && llvm::none_of(sources, [](const Source &source) { return source.kind == Source::Random; }))
    return llvm::createStringError("option --seed has no effect: no input is random");
  for (int i = 0; i < model.input_count; ++i) {
    if (sources[i].kind == Source::File)
      continue;
    auto shape = shapeOf(model, model.inputs[i], *dims);
    if (!shape)
      return shape.takeError();
    auto tensor = HostTensor::allocate(model.inputs[i].dtype, *shape);
    if (!tensor)
      return llvm::createStringError(
          llvm::formatv("input \"{0}\": {1}", model.inputs[i].name, llvm::toString(tensor.takeError())));
    fill(*tensor, sources[i], llvm::xxh3_64bits(StringRef(model.inputs[i].name)) + options.seedOrDefault());
    inputs[i] = std::move(*tensor);
  }
  if (auto unbound = llvm::find(*dims, -1); unbound != dims->end())
    return llvm::createStringError(
        llvm::formatv("dimension {0} has no size: give it with --dim {0}=1", model.symbols[unbound - dims->begin()]));
  auto outputs = allocateOutputs(model, *dims);
  if (!outputs)
    return outputs.takeError();
  return BoundTensors{std::move(*dims), std::move(inputs), std::move(*outputs)};
}

llvm::Error mlc::checkDevice(const mlc_model &model, int64_t device) {
  auto manifest = llvm::json::parse(model.manifest);
  if (!manifest)
    return manifest.takeError();
  auto target = manifest->getAsObject() ? manifest->getAsObject()->getString("target") : std::nullopt;
  if (device != 0 && target == "cpu")
    return llvm::createStringError("option --device has no effect: the library runs on the CPU");
  return llvm::Error::success();
}

std::optional<std::string> mlc::readInputValue(StringRef text, std::map<std::string, InputValue> &values) {
  size_t at = text.find("=@");
  if (at == StringRef::npos || at == 0)
    return "expected INPUT=@FILE.npy or INPUT=@FILE.pb, found \"" + text.str() + "\"";
  auto tensor = readTensorFile(text.substr(at + 2));
  if (!tensor)
    return llvm::toString(tensor.takeError());
  InputValue value{tensor->dtype, tensor->shape, std::string(tensor->data.get(), tensor->bytes())};
  if (!values.try_emplace(text.substr(0, at).str(), std::move(value)).second)
    return text.substr(0, at).str() + " is given twice";
  return std::nullopt;
}
