// See Library.h.
#include "Library.h"
#include "TensorFile.h"
#include "compiler/Import/ForeignFile.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"
#include <dlfcn.h>

using namespace mlc;
using llvm::StringRef;

llvm::Expected<const mlc_model *> mlc::loadLibrary(StringRef path) {
  auto error = [&](const llvm::Twine &text) { return llvm::createStringError(path + ": " + text); };
  llvm::sys::fs::file_status status;
  if (std::error_code code = llvm::sys::fs::status(path, status))
    return error("cannot be opened: " + code.message());
  std::string kind = describeForeignFile(path);
  if (kind.empty() && llvm::sys::path::extension(path) == ".onnx")
    return error("is a model; make a library of it first: mlc compile " + path + " -o " + llvm::sys::path::stem(path) +
                 ".so");
  std::string here = llvm::Triple(llvm::sys::getDefaultTargetTriple()).getArchName().str();
  if (!StringRef(kind).starts_with("is a compiled library"))
    return error(kind.empty() ? "is not a library that mlc made" : kind);
  if (!StringRef(kind).contains(" for " + here + ";"))
    return error("is not a library for this machine (" + here + "): it " + StringRef(kind).split(';').first);
  // A name without a slash would be searched in the system's folders.
  std::string file = path.contains('/') ? path.str() : "./" + path.str();
  void *library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return error(llvm::Twine("is not a shared library that can be loaded: ") + dlerror());
  auto table = reinterpret_cast<mlc_model_v1_fn>(dlsym(library, "mlc_model_v1"));
  if (!table)
    return error("was not made by mlc: it has no symbol mlc_model_v1");
  const mlc_model *model = table();
  if (!model || model->abi_version != MLC_ABI_VERSION || model->struct_bytes != int32_t(sizeof(mlc_model)))
    return error(llvm::formatv("has version {0} of the library interface, this mlc has {1}; compile the model again",
                               model ? model->abi_version : 0, MLC_ABI_VERSION));
  return model;
}

static StringRef statusName(mlc_status status) {
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

llvm::Error mlc::statusError(const mlc_model &model, const mlc_handle *handle, mlc_status status, StringRef doing) {
  StringRef detail = model.last_error(handle);
  return llvm::createStringError(llvm::formatv("{0}: {1} failed: {2}{3}{4}", model.name, doing, statusName(status),
                                               detail.empty() ? "" : ": ", detail));
}

std::string mlc::typeText(const mlc_model &model, const mlc_value_info &value, const int64_t *bounds) {
  std::vector<std::string> sizes;
  for (auto [axis, dim] : llvm::enumerate(llvm::ArrayRef(value.dims, value.rank))) {
    std::string computed = bounds ? std::to_string(bounds[axis]) : "?";
    sizes.push_back(dim.value >= 0    ? std::to_string(dim.value)
                    : dim.symbol >= 0 ? model.symbols[dim.symbol]
                    : dim.bounded     ? "<=" + computed
                                      : computed);
  }
  return dtypeName(value.dtype) + "[" + llvm::join(sizes, ",") + "]";
}

llvm::Expected<int> mlc::findValue(StringRef what, StringRef name, const mlc_value_info *values, int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) {
    if (name == values[i].name)
      return i;
    names.push_back(values[i].name);
  }
  return llvm::createStringError("the model has no " + what + " \"" + name + "\"; it has " +
                                 (names.empty() ? "none" : llvm::join(names, ", ")));
}

llvm::Expected<std::vector<int64_t>> mlc::bindDims(const mlc_model &model, const std::map<std::string, int64_t> &dims,
                                                   const std::map<std::string, std::vector<int64_t>> &shapes) {
  std::vector<std::string> symbols(model.symbols, model.symbols + model.symbol_count);
  std::vector<int64_t> sizes(symbols.size(), -1);
  for (const auto &[name, size] : dims) {
    auto symbol = llvm::find(symbols, name);
    if (symbol == symbols.end())
      return llvm::createStringError("the model has no dimension \"" + name + "\"; it has " +
                                     (symbols.empty() ? "none" : llvm::join(symbols, ", ")));
    sizes[symbol - symbols.begin()] = size;
  }
  for (const auto &[name, shape] : shapes) {
    auto index = findValue("input", name, model.inputs, model.input_count);
    if (!index)
      return index.takeError();
    const mlc_value_info &input = model.inputs[*index];
    if (int64_t(shape.size()) != input.rank)
      return llvm::createStringError(llvm::formatv("--shape {0} has {1} dimensions, the input is {2}", name,
                                                   shape.size(), typeText(model, input)));
    for (auto [dim, size] : llvm::zip_equal(llvm::ArrayRef(input.dims, input.rank), shape)) {
      if (size < 0)
        continue;
      int64_t known = dim.value >= 0 ? dim.value : dim.symbol >= 0 ? sizes[dim.symbol] : size;
      if (known >= 0 && known != size)
        return llvm::createStringError(llvm::formatv("--shape {0}: {1} does not fit, the input is {2}", name,
                                                     shapeText(shape), typeText(model, input)));
      if (dim.value < 0 && dim.symbol >= 0)
        sizes[dim.symbol] = size;
    }
  }
  return sizes;
}
