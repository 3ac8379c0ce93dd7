// CallTensors.cpp: the reflective call. It checks every tensor against the model's table, binds the symbolic dimensions
// from the inputs, and then goes the way of the typed call. Separate because its messages are most of its code.
#include "Call.h"
#include "Element.h"

#include <stdarg.h>
#include <stdio.h>

namespace mlc {

namespace {
/// A text of bounded length, cut off where it does not fit.
struct Text {
  char data[320];
  size_t length = 0;

  [[gnu::format(printf, 2, 3)]] void add(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int added = vsnprintf(data + length, sizeof(data) - length, format, arguments);
    va_end(arguments);
    length += (size_t)added;
    length = length < sizeof(data) ? length : sizeof(data) - 1;
  }
};

/// One tensor of a reflective call, and what the model says about it.
struct Argument {
  const char *role; // "input" or "output"
  const mlc_value_info &info;
  const int64_t *sizes; // of an output: its shape, computed from the inputs; of an input: null
  const mlc_tensor &tensor;
};
} // namespace

static void addExpected(Text &text, const mlc_handle *handle, const Argument &argument) {
  const mlc_value_info &info = argument.info;
  text.add("%s[", elementOf(info.dtype).name);
  for (int32_t axis = 0; axis < info.rank; ++axis) {
    const mlc_dim &dim = info.dims[axis];
    const char *comma = axis ? "," : "";
    if (argument.sizes)
      text.add("%s%lld", comma, (long long)argument.sizes[axis]);
    else if (dim.value >= 0)
      text.add("%s%lld", comma, (long long)dim.value);
    else
      text.add("%s%s", comma, handle->program->model.symbols[dim.symbol]);
  }
  text.add("]");
}

static void addGiven(Text &text, const mlc_tensor &tensor) {
  text.add("%s[", elementOf(tensor.dtype).name);
  if (tensor.rank < 0 || tensor.rank > MLC_RANK_MAX)
    text.add("...");
  else
    for (int32_t axis = 0; axis < tensor.rank; ++axis)
      text.add("%s%lld", axis ? "," : "", (long long)tensor.shape[axis]);
  text.add("]");
}

/// `input "image": expected float32[N,1,8,8], got float32[1,1,8,9] (dimension 3 is 9, expected 8)`
[[gnu::format(printf, 3, 4)]] static mlc_status failArgument(mlc_handle *handle, const Argument &argument,
                                                             const char *format, ...) {
  Text expected, given, reason;
  addExpected(expected, handle, argument);
  addGiven(given, argument.tensor);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason.data, sizeof(reason.data), format, arguments);
  va_end(arguments);
  return fail(handle, MLC_INVALID_ARGUMENT, "%s \"%s\": expected %s, got %s (%s)", argument.role, argument.info.name,
              expected.data, given.data, reason.data);
}

static mlc_status checkType(mlc_handle *handle, const Argument &argument) {
  const mlc_value_info &info = argument.info;
  const mlc_tensor &tensor = argument.tensor;
  if (tensor.dtype != info.dtype) {
    if (elementOf(tensor.dtype).dtype == 0)
      return failArgument(handle, argument, "the type is %d, which no mlc_dtype has", tensor.dtype);
    return failArgument(handle, argument, "the type is %s, expected %s", elementOf(tensor.dtype).name,
                        elementOf(info.dtype).name);
  }
  if (tensor.rank != info.rank)
    return failArgument(handle, argument, "the rank is %d, expected %d", tensor.rank, info.rank);
  for (int32_t axis = 0; axis < info.rank; ++axis)
    if (tensor.shape[axis] < 0)
      return failArgument(handle, argument, "dimension %d is %lld, expected 0 or more", axis,
                          (long long)tensor.shape[axis]);
  return MLC_OK;
}

static mlc_status checkSize(mlc_handle *handle, const Argument &argument, int32_t axis, int64_t expected) {
  int64_t size = argument.tensor.shape[axis];
  if (size == expected)
    return MLC_OK;
  return failArgument(handle, argument, "dimension %d is %lld, expected %lld", axis, (long long)size,
                      (long long)expected);
}

/// Checks the sizes of input `index` and binds the symbols that it is the first to use.
static mlc_status bindInput(mlc_handle *handle, const Signature &signature, int32_t index, const Argument &argument) {
  for (int32_t axis = 0; axis < argument.info.rank; ++axis) {
    const mlc_dim &dim = argument.info.dims[axis];
    if (dim.value >= 0) {
      if (mlc_status status = checkSize(handle, argument, axis, dim.value))
        return status;
      continue;
    }
    int64_t size = argument.tensor.shape[axis];
    int64_t *binder = &handle->binders[dim.symbol];
    if (*binder < 0) {
      *binder = index;
      handle->dims[dim.symbol] = size;
    } else if (handle->dims[dim.symbol] != size) {
      return failArgument(handle, argument, "dimension %d: %s is %lld here, but %lld in input \"%s\"", axis,
                          handle->program->model.symbols[dim.symbol], (long long)size,
                          (long long)handle->dims[dim.symbol], signature.inputs[*binder].name);
    }
  }
  return MLC_OK;
}

static mlc_status checkInputTensors(mlc_handle *handle, const Signature &signature, const mlc_tensor *tensors) {
  const mlc_model &model = handle->program->model;
  for (int32_t symbol = 0; symbol < model.symbol_count; ++symbol) {
    handle->binders[symbol] = -1;
    handle->dims[symbol] = 0;
  }
  for (int32_t index = 0; index < signature.inputCount; ++index) {
    Argument argument = {"input", signature.inputs[index], nullptr, tensors[index]};
    if (mlc_status status = checkType(handle, argument))
      return status;
    if (mlc_status status = bindInput(handle, signature, index, argument))
      return status;
    handle->inputs[index] = tensors[index].data;
  }
  // A symbol that no input of this entry uses (one of train_step's labels, say) stays 0, unless an output needs it.
  for (int32_t index = 0; index < signature.outputCount; ++index) {
    const mlc_value_info &info = signature.outputs[index];
    for (int32_t axis = 0; axis < info.rank; ++axis) {
      int32_t symbol = info.dims[axis].symbol;
      if (info.dims[axis].value < 0 && symbol >= 0 && handle->binders[symbol] < 0)
        return fail(handle, MLC_INVALID_ARGUMENT, "output \"%s\": dimension %d is \"%s\", which no input determines",
                    info.name, axis, model.symbols[symbol]);
    }
  }
  return MLC_OK;
}

static mlc_status checkOutputTensors(mlc_handle *handle, const Signature &signature, const mlc_tensor *tensors) {
  const int64_t *sizes = handle->sizes + 1;
  for (int32_t index = 0; index < signature.outputCount; ++index) {
    const mlc_value_info &info = signature.outputs[index];
    Argument argument = {"output", info, sizes, tensors[index]};
    if (mlc_status status = checkType(handle, argument))
      return status;
    for (int32_t axis = 0; axis < info.rank; ++axis)
      if (mlc_status status = checkSize(handle, argument, axis, sizes[axis]))
        return status;
    handle->outputs[index] = tensors[index].data;
    sizes += info.rank;
  }
  return MLC_OK;
}

/// The sizes that the run has found.
static void setResultShapes(const mlc_handle *handle, const Signature &signature, mlc_tensor *tensors) {
  const int64_t *sizes = handle->resultSizes;
  for (int32_t index = 0; index < signature.outputCount; ++index)
    for (int32_t axis = 0; axis < signature.outputs[index].rank; ++axis)
      tensors[index].shape[axis] = *sizes++;
}

} // namespace mlc

using namespace mlc;

mlc_status mlc_rt_call_tensors(mlc_handle *handle, int32_t training, const mlc_tensor *inputs, mlc_tensor *outputs) {
  if (!handle)
    return fail(nullptr, MLC_INVALID_ARGUMENT, "the handle is null");
  Signature signature;
  if (mlc_status status = beginCall(handle, training, &signature))
    return status;
  if (!inputs && signature.inputCount > 0)
    return fail(handle, MLC_INVALID_ARGUMENT, "the pointer to the inputs is null");
  if (!outputs && signature.outputCount > 0)
    return fail(handle, MLC_INVALID_ARGUMENT, "the pointer to the outputs is null");
  if (mlc_status status = checkInputTensors(handle, signature, inputs))
    return status;
  if (mlc_status status = computeSizes(handle, signature, handle->dims))
    return status;
  if (mlc_status status = checkOutputTensors(handle, signature, outputs))
    return status;
  mlc_status status = execute(handle, signature, handle->dims, handle->inputs, handle->outputs);
  if (status == MLC_OK)
    setResultShapes(handle, signature, outputs);
  return status;
}
