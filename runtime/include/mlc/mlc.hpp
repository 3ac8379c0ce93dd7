// mlc.hpp: the C interface of mlc.h for C++20. Header only; it needs mlc.h and types.def beside it, the standard library and
// nothing else.
//
//   mlc::Model model(digits_mlc_model_v1());                      // of digits.h; or mlc::Library("digits.so").model()
//   mlc::Tensors results = model.run({{"image", pixels}});        // pixels: any contiguous range of float
//   std::span<const float> logits = results["logits"].as<float>();
//   model.run({{"image", pixels}}, {{"logits", buffer}});         // into the caller's memory: nothing is allocated
//
// Every operation has a core that returns an mlc_status (create, tryRun, tryTrainStep, ...; lastError() has the message)
// and a convenience that throws mlc::Error. With -fno-exceptions only the cores are there.
//
// Model works on any model by reflection and checks names, types and sizes. Typed wraps the functions of one generated
// header instead: the compiler checks types there, and nothing checks how long the arrays are.
#ifndef MLC_MLC_HPP
#define MLC_MLC_HPP

#include "mlc/mlc.h"
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <dlfcn.h>
#include <initializer_list>
#include <memory>
#include <new>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>
#if defined(__cpp_exceptions)
#include <stdexcept>
#endif

namespace mlc {

/// Bits of the types for which C++20 has no name.
struct float16 {
  uint16_t bits;
};
struct bfloat16 {
  uint16_t bits;
};

namespace detail {
/// Whether T is the type E of elements. Integers are of the same type if their sizes and signs are: long and long long.
template <class T, class E>
constexpr bool isSameElement =
    std::is_same_v<T, E> ||
    (std::is_integral_v<T> && std::is_integral_v<E> && !std::is_same_v<T, bool> && !std::is_same_v<E, bool> &&
     sizeof(T) == sizeof(E) && std::is_signed_v<T> == std::is_signed_v<E>);
} // namespace detail

/// The mlc_dtype of a C++ type; 0: there is none.
template <class T> constexpr int32_t dtypeOf() {
#define MLC_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, CPP, ...)                                                      \
  if constexpr (detail::isSameElement<T, CPP>)                                                                         \
    return MLC_##NAME;                                                                                                 \
  else
#include "mlc/types.def"
  return 0;
}

template <class T>
concept Element = dtypeOf<T>() != 0;

/// Bytes of an element; 0 for a number that no mlc_dtype has.
constexpr size_t elementBytes(int32_t dtype) {
  switch (dtype) {
#define MLC_TYPE(NAME, CODE, TEXT, ONNX, BITS, ...)                                                                    \
  case MLC_##NAME:                                                                                                     \
    return (BITS + 7) / 8;
#include "mlc/types.def"
  default:
    return 0;
  }
}

constexpr std::string_view statusName(mlc_status status) {
  switch (status) {
  case MLC_OK:
    return "MLC_OK";
  case MLC_INVALID_ARGUMENT:
    return "MLC_INVALID_ARGUMENT";
  case MLC_OUT_OF_MEMORY:
    return "MLC_OUT_OF_MEMORY";
  case MLC_UNSUPPORTED_CPU:
    return "MLC_UNSUPPORTED_CPU";
  case MLC_UNSUPPORTED_DEVICE:
    return "MLC_UNSUPPORTED_DEVICE";
  case MLC_IO_ERROR:
    return "MLC_IO_ERROR";
  case MLC_CORRUPT_DATA:
    return "MLC_CORRUPT_DATA";
  case MLC_MODEL_ERROR:
    return "MLC_MODEL_ERROR";
  case MLC_INTERNAL:
    return "MLC_INTERNAL";
  }
  return "unknown status";
}

#if defined(__cpp_exceptions)
/// What the throwing conveniences throw: the status, and the library's message.
class Error : public std::runtime_error {
public:
  Error(mlc_status status, std::string_view message)
      : std::runtime_error(std::string(message.empty() ? statusName(status) : message)), code(status) {}
  mlc_status status() const noexcept { return code; }

private:
  mlc_status code;
};

inline void throwIf(mlc_status status, std::string_view message) {
  if (status != MLC_OK)
    throw Error(status, message);
}
#endif

namespace detail {

inline int64_t elementCount(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

template <class R>
concept ElementRange = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
                       Element<std::remove_cv_t<std::ranges::range_value_t<R>>>;

template <class R>
concept WritableRange = ElementRange<R> && !std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<R>>>;

inline std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

} // namespace detail

/// An input by name, in the caller's memory. The shape may be left out if one size at most is not known from the model
/// and the inputs before it: it follows from the number of elements.
class Input {
public:
  template <detail::ElementRange R>
  Input(std::string_view inputName, R &&range, std::initializer_list<int64_t> inputShape = {})
      : Input(inputName, range, std::span(inputShape.begin(), inputShape.size())) {}
  template <detail::ElementRange R>
  Input(std::string_view inputName, R &&range, std::span<const int64_t> inputShape)
      : name(inputName), data(std::ranges::data(range)), count(int64_t(std::ranges::size(range))),
        dtype(dtypeOf<std::remove_cv_t<std::ranges::range_value_t<R>>>()), shape(inputShape.begin(), inputShape.end()),
        hasShape(inputShape.size() != 0) {}

  std::string_view name;
  const void *data;
  int64_t count;
  int32_t dtype;
  std::vector<int64_t> shape;
  bool hasShape;
};

/// An output by name, into the caller's memory, which has exactly as many elements as the model says (where a size
/// depends on data: as its largest possible value). `shape` receives the actual one.
class Output {
public:
  template <detail::WritableRange R>
  Output(std::string_view outputName, R &&range, std::vector<int64_t> *actualShape = nullptr)
      : name(outputName), data(std::ranges::data(range)), count(int64_t(std::ranges::size(range))),
        dtype(dtypeOf<std::ranges::range_value_t<R>>()), shape(actualShape) {}

  std::string_view name;
  void *data;
  int64_t count;
  int32_t dtype;
  std::vector<int64_t> *shape;
};

/// A dense tensor with its own memory, 64-byte aligned.
class Tensor {
public:
  Tensor() = default;
  Tensor(int32_t dtype, std::span<const int64_t> shape)
      : elementType(dtype), sizes(shape.begin(), shape.end()),
        memory(static_cast<std::byte *>(::operator new(bytes(), alignment))) {}

  int32_t dtype() const { return elementType; }
  const std::vector<int64_t> &shape() const { return sizes; }
  int64_t count() const { return detail::elementCount(sizes); }
  size_t bytes() const { return size_t(count()) * elementBytes(elementType); }
  void *data() { return memory.get(); }
  const void *data() const { return memory.get(); }

  /// The elements; empty if they are of another type.
  template <Element T> std::span<T> as() {
    return dtypeOf<T>() == elementType ? std::span(reinterpret_cast<T *>(memory.get()), size_t(count()))
                                       : std::span<T>();
  }
  template <Element T> std::span<const T> as() const { return const_cast<Tensor *>(this)->as<T>(); }

  /// Makes it the first part of itself: a size that depends on data is known after the run.
  void shrink(std::span<const int64_t> shape) { sizes.assign(shape.begin(), shape.end()); }

private:
  static constexpr std::align_val_t alignment{64};
  struct Release {
    void operator()(std::byte *bytes) const { ::operator delete(bytes, alignment); }
  };

  int32_t elementType = 0;
  std::vector<int64_t> sizes;
  std::unique_ptr<std::byte, Release> memory;
};

/// The outputs of a run, in the model's order.
class Tensors {
public:
  void add(std::string_view name, Tensor tensor) { entries.emplace_back(name, std::move(tensor)); }
  size_t size() const { return entries.size(); }
  Tensor &operator[](size_t index) { return entries[index].second; }
  const Tensor &operator[](size_t index) const { return entries[index].second; }
  /// Null: there is none of this name.
  const Tensor *find(std::string_view name) const {
    auto entry = std::ranges::find(entries, name, &Entry::first);
    return entry == entries.end() ? nullptr : &entry->second;
  }
#if defined(__cpp_exceptions)
  const Tensor &operator[](std::string_view name) const {
    const Tensor *tensor = find(name);
    throwIf(tensor ? MLC_OK : MLC_INVALID_ARGUMENT, "the model has no output " + detail::quoted(name));
    return *tensor;
  }
  const Tensor &operator[](const char *name) const { return (*this)[std::string_view(name)]; }
#endif

private:
  using Entry = std::pair<std::string, Tensor>;
  std::vector<Entry> entries;
};

/// One instance of a model: the handle, destroyed with this object. It serves one thread at a time.
class Model {
public:
  Model() = default;
  Model(Model &&other) noexcept { swap(other); }
  Model &operator=(Model &&other) noexcept {
    Model(std::move(other)).swap(*this);
    return *this;
  }
  ~Model() {
    if (instance)
      table->destroy(instance);
  }
  void swap(Model &other) noexcept {
    std::swap(table, other.table);
    std::swap(instance, other.instance);
    std::swap(message, other.message);
    std::swap(tensors, other.tensors);
    std::swap(dims, other.dims);
    std::swap(outputSizes, other.outputSizes);
  }

  /// Makes the instance; the one before is destroyed.
  mlc_status create(const mlc_model *model, const mlc_options *options = nullptr) {
    Model().swap(*this);
    if (!model || model->abi_version != MLC_ABI_VERSION || model->struct_bytes != int32_t(sizeof(mlc_model)))
      return fail(MLC_INVALID_ARGUMENT, "the library has another version of the interface than mlc.hpp: compile anew");
    table = model;
    if (mlc_status status = model->create(options, &instance))
      return fail(status, model->last_error(nullptr));
    auto inputCount = size_t(std::max(model->input_count, model->train_input_count));
    tensors.resize(inputCount + size_t(std::max(model->output_count, model->train_output_count)));
    dims.resize(size_t(model->symbol_count));
    outputSizes.resize(std::max(sizeCount(outputs()), sizeCount(trainOutputs())));
    return MLC_OK;
  }

  /// Runs into the caller's memory. Allocates nothing but messages of errors.
  mlc_status tryRun(std::span<const Input> in, std::span<const Output> out) { return call(false, in, out); }
  mlc_status tryTrainStep(std::span<const Input> in, std::span<const Output> out) { return call(true, in, out); }
  /// Runs into new tensors.
  mlc_status tryRun(std::span<const Input> in, Tensors &results) { return callAllocating(false, in, results); }
  mlc_status tryTrainStep(std::span<const Input> in, Tensors &results) { return callAllocating(true, in, results); }

  /// A view of a parameter's memory, valid as long as this object.
  mlc_status tryParam(const char *name, mlc_tensor &view) {
    return instance ? report(table->param(instance, name, &view)) : failNotCreated();
  }
  mlc_status trySave(const char *path) { return instance ? report(table->save(instance, path)) : failNotCreated(); }
  mlc_status tryLoad(const char *path) { return instance ? report(table->load(instance, path)) : failNotCreated(); }

  /// What went wrong in the last call, "" if nothing did.
  const std::string &lastError() const { return message; }

#if defined(__cpp_exceptions)
  explicit Model(const mlc_model *model, const mlc_options &options = {}) : Model() { check(create(model, &options)); }

  Tensors run(std::initializer_list<Input> in) {
    Tensors results;
    check(tryRun(view(in), results));
    return results;
  }
  void run(std::initializer_list<Input> in, std::initializer_list<Output> out) { check(tryRun(view(in), view(out))); }

  /// One step of training; returns its outputs, the loss first.
  Tensors trainStep(std::initializer_list<Input> in) {
    Tensors results;
    check(tryTrainStep(view(in), results));
    return results;
  }
  void trainStep(std::initializer_list<Input> in, std::initializer_list<Output> out) {
    check(tryTrainStep(view(in), view(out)));
  }

  template <Element T> std::span<T> param(const char *name) {
    mlc_tensor tensor;
    check(tryParam(name, tensor));
    if (tensor.dtype != dtypeOf<T>())
      throw Error(MLC_INVALID_ARGUMENT, "parameter " + detail::quoted(name) + " has another element type");
    return {static_cast<T *>(tensor.data), size_t(detail::elementCount({tensor.shape, size_t(tensor.rank)}))};
  }
  void save(const std::string &path) { check(trySave(path.c_str())); }
  void load(const std::string &path) { check(tryLoad(path.c_str())); }
#endif

  // What the model says about itself, once it is created.
  const char *name() const { return table->name; }
  const char *manifest() const { return table->manifest; }
  std::span<const char *const> symbols() const { return {table->symbols, size_t(table->symbol_count)}; }
  std::span<const mlc_value_info> inputs() const { return {table->inputs, size_t(table->input_count)}; }
  std::span<const mlc_value_info> outputs() const { return {table->outputs, size_t(table->output_count)}; }
  std::span<const mlc_value_info> params() const { return {table->params, size_t(table->param_count)}; }
  std::span<const mlc_value_info> trainInputs() const {
    return {table->train_inputs, size_t(table->train_input_count)};
  }
  std::span<const mlc_value_info> trainOutputs() const {
    return {table->train_outputs, size_t(table->train_output_count)};
  }
  /// Bytes of workspace for these sizes of the symbols, in their order; 0 if they are invalid.
  size_t workspaceSize(std::span<const int64_t> sizes = {}) const {
    return sizes.size() == size_t(table->symbol_count) ? table->workspace_size(sizes.data()) : 0;
  }
  mlc_handle *handle() const { return instance; }

private:
  using Infos = std::span<const mlc_value_info>;

  template <class T> static std::span<const T> view(std::initializer_list<T> list) {
    return {list.begin(), list.size()};
  }
  static size_t sizeCount(Infos infos) {
    size_t count = 0;
    for (const mlc_value_info &info : infos)
      count += size_t(info.rank);
    return count;
  }

  mlc_status fail(mlc_status status, std::string text) {
    message = std::move(text);
    return status;
  }
  mlc_status fail(const char *role, std::string_view name, const std::string &text) {
    return fail(MLC_INVALID_ARGUMENT, std::string(role) + ' ' + detail::quoted(name) + ": " + text);
  }
  mlc_status failNotCreated() { return fail(MLC_INVALID_ARGUMENT, "the model was not created"); }
  mlc_status report(mlc_status status) {
    if (status == MLC_OK)
      message.clear();
    else
      message = table->last_error(instance);
    return status;
  }
#if defined(__cpp_exceptions)
  void check(mlc_status status) const { throwIf(status, message); }
#endif

  /// Every value of the model is given, once, and nothing else.
  template <class T> mlc_status checkNames(const char *role, Infos infos, std::span<const T> values) {
    for (const mlc_value_info &info : infos) {
      auto count = std::ranges::count(values, std::string_view(info.name), &T::name);
      if (count != 1)
        return fail(role, info.name, count ? "is given twice" : "is not given");
    }
    for (const T &value : values)
      if (std::ranges::find(infos, value.name,
                            [](const mlc_value_info &info) { return std::string_view(info.name); }) == infos.end())
        return fail(role, value.name, "the model has none of this name");
    return MLC_OK;
  }

  template <class T> static const T &named(std::span<const T> values, const mlc_value_info &info) {
    return *std::ranges::find(values, std::string_view(info.name), &T::name);
  }

  void bind(const mlc_value_info &info, const mlc_tensor &tensor) {
    for (int32_t axis = 0; axis < std::min(info.rank, tensor.rank); ++axis)
      if (int32_t symbol = info.dims[axis].symbol; info.dims[axis].value < 0 && symbol >= 0 && dims[size_t(symbol)] < 0)
        dims[size_t(symbol)] = tensor.shape[axis];
  }

  mlc_status takeShape(const Input &input, mlc_tensor &tensor) {
    if (input.shape.size() > MLC_RANK_MAX)
      return fail("input", input.name, std::to_string(input.shape.size()) + " dimensions are too many");
    tensor.rank = int32_t(input.shape.size());
    std::ranges::copy(input.shape, tensor.shape);
    if (detail::elementCount(input.shape) != input.count)
      return fail("input", input.name, "the shape and the " + std::to_string(input.count) + " elements do not agree");
    return MLC_OK;
  }

  /// The shape that follows from the number of elements.
  mlc_status deduceShape(const mlc_value_info &info, const Input &input, mlc_tensor &tensor) {
    int64_t known = 1;
    int64_t *unknown = nullptr;
    int32_t symbolOfUnknown = -1;
    tensor.rank = info.rank;
    for (int32_t axis = 0; axis < info.rank; ++axis) {
      const mlc_dim &dim = info.dims[axis];
      int64_t size = dim.value >= 0 ? dim.value : dims[size_t(dim.symbol)];
      tensor.shape[axis] = size;
      if (size >= 0) {
        known *= size;
        continue;
      }
      if (unknown)
        return fail("input", info.name, "more than one size is unknown: its shape must be given");
      unknown = &tensor.shape[axis];
      symbolOfUnknown = dim.symbol;
    }
    if (unknown) {
      if (known == 0)
        return fail("input", info.name, "it has no elements: its shape must be given");
      *unknown = input.count / known;
      known *= *unknown;
      dims[size_t(symbolOfUnknown)] = *unknown;
    }
    if (known != input.count)
      return fail("input", info.name, std::to_string(input.count) + " elements do not make up its shape");
    return MLC_OK;
  }

  mlc_status describeInputs(Infos infos, std::span<const Input> in) {
    std::ranges::fill(dims, -1);
    for (bool hasShape : {true, false})
      for (size_t index = 0; index < infos.size(); ++index) {
        const Input &input = named(in, infos[index]);
        if (input.hasShape != hasShape)
          continue;
        mlc_tensor &tensor = tensors[index];
        tensor.data = const_cast<void *>(input.data); // inputs are only read
        tensor.dtype = input.dtype;
        mlc_status status = hasShape ? takeShape(input, tensor) : deduceShape(infos[index], input, tensor);
        if (status != MLC_OK)
          return status;
        bind(infos[index], tensor);
      }
    return MLC_OK;
  }

  /// Shapes of the outputs into their tensors; false if the library has none, because the inputs are wrong.
  bool describeOutputs(bool training, Infos infos, mlc_tensor *results) {
    for (int64_t &size : dims)
      size = std::max<int64_t>(size, 0);
    if (!training && table->output_shapes(dims.data(), outputSizes.data()) != MLC_OK)
      return false;
    const int64_t *next = outputSizes.data();
    for (size_t index = 0; index < infos.size(); ++index) {
      results[index].dtype = infos[index].dtype;
      results[index].rank = infos[index].rank;
      for (int32_t axis = 0; axis < infos[index].rank; ++axis) {
        const mlc_dim &dim = infos[index].dims[axis]; // of train_step: constants and symbols
        results[index].shape[axis] = !training ? *next++ : dim.symbol >= 0 ? dims[size_t(dim.symbol)] : dim.value;
      }
    }
    return true;
  }

  /// Runs what the tensors describe.
  mlc_status invoke(bool training, size_t inputCount) {
    auto function = training ? table->train_step : table->run;
    return report(function(instance, tensors.data(), tensors.data() + inputCount));
  }

  struct Signature {
    Infos inputs, outputs;
  };
  Signature signature(bool training) const {
    return training ? Signature{trainInputs(), trainOutputs()} : Signature{inputs(), outputs()};
  }

  /// Everything up to the outputs' memory. `isReady` is false if the library is to say what is wrong with the inputs.
  mlc_status prepare(bool training, std::span<const Input> in, bool &isReady) {
    isReady = false;
    if (!instance)
      return failNotCreated();
    auto [inputInfos, outputInfos] = signature(training);
    if (training && inputInfos.empty())
      return fail(MLC_INVALID_ARGUMENT, "train_step: the library was compiled without --train");
    std::ranges::fill(tensors, mlc_tensor{});
    if (mlc_status status = checkNames("input", inputInfos, in))
      return status;
    if (mlc_status status = describeInputs(inputInfos, in))
      return status;
    isReady = describeOutputs(training, outputInfos, tensors.data() + inputInfos.size());
    return MLC_OK;
  }

  mlc_status call(bool training, std::span<const Input> in, std::span<const Output> out) {
    bool isReady;
    if (mlc_status status = prepare(training, in, isReady))
      return status;
    auto [inputInfos, outputInfos] = signature(training);
    mlc_tensor *results = tensors.data() + inputInfos.size();
    if (mlc_status status = checkNames("output", outputInfos, out))
      return status;
    for (size_t index = 0; isReady && index < outputInfos.size(); ++index) {
      const Output &output = named(out, outputInfos[index]);
      int64_t wanted = detail::elementCount({results[index].shape, size_t(results[index].rank)});
      if (output.count != wanted)
        return fail("output", output.name,
                    "it has " + std::to_string(wanted) + " elements, the memory " + std::to_string(output.count));
      results[index].data = output.data;
      results[index].dtype = output.dtype;
    }
    if (mlc_status status = invoke(training, inputInfos.size()))
      return status;
    for (size_t index = 0; index < outputInfos.size(); ++index)
      if (const Output &output = named(out, outputInfos[index]); output.shape)
        output.shape->assign(results[index].shape, results[index].shape + results[index].rank);
    return MLC_OK;
  }

  mlc_status callAllocating(bool training, std::span<const Input> in, Tensors &made) {
    bool isReady;
    if (mlc_status status = prepare(training, in, isReady))
      return status;
    auto [inputInfos, outputInfos] = signature(training);
    mlc_tensor *results = tensors.data() + inputInfos.size();
    made = Tensors();
    for (size_t index = 0; isReady && index < outputInfos.size(); ++index) {
      made.add(outputInfos[index].name,
               Tensor(results[index].dtype, {results[index].shape, size_t(results[index].rank)}));
      results[index].data = made[index].data();
    }
    if (mlc_status status = invoke(training, inputInfos.size()))
      return status;
    for (size_t index = 0; index < made.size(); ++index)
      made[index].shrink({results[index].shape, size_t(results[index].rank)});
    return MLC_OK;
  }

  const mlc_model *table = nullptr;
  mlc_handle *instance = nullptr;
  std::string message;
  std::vector<mlc_tensor> tensors; // inputs, then outputs
  std::vector<int64_t> dims, outputSizes;
};

/// A shared library that was not linked: loaded by name, unloaded with this object. Models of it must go first.
class Library {
public:
  Library() = default;
  Library(Library &&other) noexcept
      : library(std::exchange(other.library, nullptr)), table(std::exchange(other.table, nullptr)),
        message(std::move(other.message)) {}
  Library &operator=(Library &&other) noexcept {
    std::swap(library, other.library);
    std::swap(table, other.table);
    std::swap(message, other.message);
    return *this;
  }
  ~Library() {
    if (library)
      dlclose(library);
  }

  mlc_status open(const char *path) {
    Library().operator=(std::move(*this));
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      message = dlerror();
      return MLC_IO_ERROR;
    }
    mlc_model_v1_fn entry;
    void *symbol = dlsym(library, "mlc_model_v1");
    std::memcpy(&entry, &symbol, sizeof entry); // no cast between pointers to data and to code
    if (!symbol) {
      message = std::string(path) + ": was not made by mlc: it has no symbol mlc_model_v1";
      return MLC_IO_ERROR;
    }
    table = entry();
    return MLC_OK;
  }
  const mlc_model *model() const { return table; }
  const std::string &lastError() const { return message; }

#if defined(__cpp_exceptions)
  explicit Library(const std::string &path) : Library() {
    mlc_status status = open(path.c_str());
    throwIf(status, message);
  }
#endif

private:
  void *library = nullptr;
  const mlc_model *table = nullptr;
  std::string message;
};

namespace detail {
/// What the C function takes for an argument: the data of a range, the address of a structure, a pointer as it is.
template <class T> auto toC(T &&value) {
  if constexpr (std::ranges::contiguous_range<T>)
    return std::ranges::data(value);
  else if constexpr (std::is_class_v<std::remove_cvref_t<T>>)
    return std::addressof(value);
  else
    return value;
}
} // namespace detail

/// The typed functions of one generated header on a handle that frees itself:
///
///   MLC_TYPED(digits) model;
///   model(digits_run, digits_dims{.batch = 1}, image, logits);
///
/// Ranges may be given for pointers. As in C, nobody checks that they are long enough.
template <auto Create, auto Destroy, auto LastError> class Typed {
public:
  explicit Typed(std::nullptr_t) {}
  Typed(Typed &&other) noexcept : instance(std::exchange(other.instance, nullptr)) {}
  Typed &operator=(Typed &&other) noexcept {
    std::swap(instance, other.instance);
    return *this;
  }
  ~Typed() { Destroy(instance); }

  mlc_status create(const mlc_options *options = nullptr) {
    Destroy(std::exchange(instance, nullptr));
    return Create(options, &instance);
  }
  template <class Function, class... Arguments> mlc_status call(Function function, Arguments &&...arguments) {
    return function(instance, detail::toC(std::forward<Arguments>(arguments))...);
  }
  std::string_view lastError() const { return LastError(instance); }
  mlc_handle *handle() const { return instance; }

#if defined(__cpp_exceptions)
  explicit Typed(const mlc_options &options = {}) {
    if (mlc_status status = create(&options))
      throw Error(status, LastError(nullptr));
  }
  template <class Function, class... Arguments> void operator()(Function function, Arguments &&...arguments) {
    if (mlc_status status = call(function, std::forward<Arguments>(arguments)...))
      throw Error(status, lastError());
  }
#endif

private:
  mlc_handle *instance = nullptr;
};

/// mlc::Typed of the header name.h.
#define MLC_TYPED(name) ::mlc::Typed<name##_create, name##_destroy, name##_last_error>

} // namespace mlc
#endif
