// mlc info: what a model file or a compiled library says about itself.
#include "Commands.h"
#include "Library.h"
#include "Options.h"
#include "compiler/Import/Diagnostics.h"
#include "compiler/Import/Summary.h"
#include "compiler/Table.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"

using namespace mlc;

static int describeModel(llvm::StringRef path) {
  auto summary = summarizeOnnx(path);
  if (!summary) {
    llvm::errs() << printable(llvm::sys::path::filename(path))
                 << ": error: " << printable(llvm::toString(summary.takeError())) << '\n';
    return Failed;
  }
  auto &os = llvm::outs();
  os << "ONNX model, IR version " << summary->irVersion;
  if (!summary->producer.empty())
    os << ", made by " << printable(summary->producer);
  os << '\n';
  for (auto &[domain, version] : summary->opsets)
    os << "opset    " << printable(domain) << ' ' << version << '\n';
  for (auto &input : summary->inputs)
    os << "input    " << printable(input.name) << ": " << printable(input.type) << '\n';
  for (auto &output : summary->outputs)
    os << "output   " << printable(output.name) << ": " << printable(output.type) << '\n';
  os << "weights  " << summary->initializerCount << " initializers, " << summary->initializerElements << " elements\n";
  for (auto &function : summary->functions)
    os << "function " << printable(function) << '\n';
  std::vector<std::pair<std::string, int64_t>> operators(summary->operators.begin(), summary->operators.end());
  llvm::sort(operators, [](auto &a, auto &b) { return std::pair(-a.second, a.first) < std::pair(-b.second, b.first); });
  os << '\n';
  Table table({"nodes", "operator"});
  for (auto &[op, count] : operators)
    table.add({std::to_string(count), printable(op)});
  table.print(os);
  return Success;
}

static void printWeights(const mlc_model &model, llvm::raw_ostream &os) {
  auto manifest = llvm::json::parse(model.manifest);
  const llvm::json::Object *root = manifest ? manifest->getAsObject() : nullptr;
  if (!manifest)
    llvm::consumeError(manifest.takeError());
  const llvm::json::Object *weights = root ? root->getObject("weights") : nullptr;
  if (!weights)
    return;
  auto file = weights->getString("file");
  os << "weights      " << weights->getInteger("bytes").value_or(0) << " bytes"
     << (file ? " in the file " + printable(*file) : "") << ", structure "
     << weights->getString("structure").value_or("") << '\n';
}

/// Sizes that the library computes are told where the dimensions are known.
static void printOutputs(const mlc_model &model, llvm::ArrayRef<int64_t> dims, llvm::raw_ostream &os) {
  llvm::ArrayRef outputs(model.outputs, model.output_count);
  int64_t count = 0;
  for (const mlc_value_info &output : outputs)
    count += output.rank;
  std::vector<int64_t> shapes(count + 1);
  bool isKnown = !llvm::is_contained(dims, -1) && model.output_shapes(dims.data(), shapes.data()) == MLC_OK;
  const int64_t *next = shapes.data();
  for (const mlc_value_info &output : outputs) {
    os << "output       " << output.name << ": " << typeText(model, output, isKnown ? next : nullptr) << '\n';
    next += output.rank;
  }
}

static int describeLibrary(llvm::StringRef path, const std::map<std::string, int64_t> &dims,
                           const std::map<std::string, std::vector<int64_t>> &shapes) {
  auto fail = [](llvm::Error error) {
    llvm::errs() << "mlc info: error: " << llvm::toString(std::move(error)) << '\n';
    return Failed;
  };
  auto loaded = loadLibrary(path);
  if (!loaded)
    return fail(loaded.takeError());
  const mlc_model &model = **loaded;
  auto sizes = bindDims(model, dims, shapes);
  if (!sizes)
    return fail(sizes.takeError());
  auto &os = llvm::outs();
  auto printValues = [&](llvm::StringRef what, const mlc_value_info *values, int count) {
    for (int i = 0; i < count; ++i)
      os << what << values[i].name << ": " << typeText(model, values[i]) << '\n';
  };
  os << "library of the model " << model.name << ", library interface " << model.abi_version << '\n';
  for (int i = 0; i < model.symbol_count; ++i)
    os << "dimension    " << model.symbols[i] << (sizes->at(i) >= 0 ? " = " + std::to_string(sizes->at(i)) : "")
       << '\n';
  printValues("input        ", model.inputs, model.input_count);
  printOutputs(model, *sizes, os);
  printValues("parameter    ", model.params, model.param_count);
  printValues("train input  ", model.train_inputs, model.train_input_count);
  printValues("train output ", model.train_outputs, model.train_output_count);
  printWeights(model, os);
  auto unbound = llvm::find(*sizes, -1);
  if (unbound == sizes->end())
    os << "workspace    " << model.workspace_size(sizes->data()) << " bytes\n";
  else
    os << "workspace    depends on the dimensions; give --dim " << model.symbols[unbound - sizes->begin()] << "=1\n";
  return Success;
}

int mlc::infoCommand(Arguments arguments) {
  std::vector<std::string> files;
  std::map<std::string, int64_t> dims;
  std::map<std::string, std::vector<int64_t>> shapes;
  bool wantsManifest = false;
  Options options(
      "mlc info", "mlc info MODEL.onnx|FILE.so [OPTIONS]",
      "Describes an ONNX model (inputs, outputs, operator sets, operators) or a library that mlc compiled (inputs, "
      "outputs, dimensions, parameters, workspace).");
  options.positional("FILE", "a model or a compiled library", files, 1, 1);
  options.value("--dim", "NAME=SIZE[,...]", "the sizes for which to tell a library's workspace; may be repeated",
                [&](llvm::StringRef text) { return readDims(text, dims); });
  options.value("--shape", "INPUT=1x3x224x224", "the same, by the shape of an input; may be repeated",
                [&](llvm::StringRef text) { return readShape(text, shapes); });
  options.flag("--manifest", "print a library's manifest (JSON) instead", wantsManifest);
  if (auto code = options.parse(arguments))
    return *code;
  llvm::StringRef path = files.front();
  bool isModel = llvm::sys::path::extension(path) == ".onnx";
  if (isModel && (wantsManifest || !dims.empty() || !shapes.empty()))
    return options.usageError("--dim, --shape and --manifest are for libraries");
  if (isModel)
    return describeModel(path);
  if (!wantsManifest)
    return describeLibrary(path, dims, shapes);
  auto model = loadLibrary(path);
  if (!model) {
    llvm::errs() << "mlc info: error: " << llvm::toString(model.takeError()) << '\n';
    return Failed;
  }
  llvm::outs() << (*model)->manifest << '\n';
  return Success;
}
