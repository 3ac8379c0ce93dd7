// mlc info: what a model file or a compiled library says about itself.
#include "Commands.h"
#include "Library.h"
#include "Options.h"
#include "compiler/Emit/Artifact.h"
#include "compiler/Import/Diagnostics.h"
#include "compiler/Import/ForeignFile.h"
#include "compiler/Import/Summary.h"
#include "compiler/Table.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Object/Archive.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/FileSystem.h"
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

using Json = llvm::json::Object;

static int fail(llvm::Error error) {
  llvm::errs() << "mlc info: error: " << llvm::toString(std::move(error)) << '\n';
  return Failed;
}

static llvm::Expected<std::string> manifestOf(const llvm::object::ObjectFile &file) {
  for (const llvm::object::SectionRef &section : file.sections()) {
    auto name = section.getName();
    if (!name)
      return name.takeError();
    if (*name != kManifestSection)
      continue;
    auto contents = section.getContents();
    if (!contents)
      return contents.takeError();
    return contents->split('\0').first.str();
  }
  return "";
}

/// The manifest of a shared or static library or an object, for whatever machine it is: nothing of it is run.
static llvm::Expected<std::string> readManifest(llvm::StringRef path) {
  auto foreign = [&](llvm::Error error) {
    std::string kind = describeForeignFile(path), text = llvm::toString(std::move(error));
    return llvm::createStringError(path + ": " + (kind.empty() ? "is no library or object: " + text : kind));
  };
  if (!llvm::sys::fs::exists(path))
    return llvm::createStringError(path + ": cannot be opened: No such file or directory");
  auto binary = llvm::object::createBinary(path);
  if (!binary)
    return foreign(binary.takeError());
  std::string manifest;
  auto look = [&](const llvm::object::Binary &file) -> llvm::Error {
    auto *object = llvm::dyn_cast<llvm::object::ObjectFile>(&file);
    auto found = object && manifest.empty() ? manifestOf(*object) : llvm::Expected<std::string>(manifest);
    if (!found)
      return found.takeError();
    manifest = std::move(*found);
    return llvm::Error::success();
  };
  if (auto *archive = llvm::dyn_cast<llvm::object::Archive>(binary->getBinary())) {
    llvm::Error error = llvm::Error::success();
    for (const auto &child : archive->children(error))
      if (auto file = child.getAsBinary()) {
        if (llvm::Error broken = look(**file))
          return foreign(std::move(broken));
      } else {
        llvm::consumeError(file.takeError()); // a member that is no object
      }
    if (error)
      return foreign(std::move(error));
  } else if (llvm::Error error = look(*binary->getBinary())) {
    return foreign(std::move(error));
  }
  if (manifest.empty())
    return llvm::createStringError(path + ": was not made by mlc: it has no manifest");
  return manifest;
}

/// "float32[batch,1,8,8]" as the manifest says it.
static std::string typeText(const Json &value) {
  std::vector<std::string> sizes;
  if (const llvm::json::Array *shape = value.getArray("shape"))
    for (const llvm::json::Value &size : *shape) {
      auto number = size.getAsInteger();
      auto symbol = size.getAsString();
      const Json *bounded = size.getAsObject();
      auto bound = bounded ? bounded->getInteger("bound") : std::nullopt;
      sizes.push_back(number    ? std::to_string(*number)
                      : symbol  ? printable(*symbol)
                      : bound   ? "<=" + std::to_string(*bound)
                      : bounded ? "<=?"
                                : "?");
    }
  return value.getString("dtype").value_or("").str() + "[" + llvm::join(sizes, ",") + "]";
}

static void printValues(llvm::StringRef what, const Json &of, llvm::StringRef key) {
  if (const llvm::json::Array *values = of.getArray(key))
    for (const llvm::json::Value &value : *values)
      if (const Json *object = value.getAsObject())
        llvm::outs() << what << printable(object->getString("name").value_or("")) << ": " << typeText(*object) << '\n';
}

static void printKernels(const Json &manifest) {
  std::map<llvm::StringRef, int64_t> kinds;
  int64_t count = 0;
  if (const llvm::json::Array *kernels = manifest.getArray("kernels"))
    for (const llvm::json::Value &kernel : *kernels)
      if (const Json *object = kernel.getAsObject()) {
        ++count;
        ++kinds[object->getString("kind").value_or("")];
      }
  llvm::outs() << "kernels      " << count;
  llvm::StringRef separator = count ? ": " : "";
  for (auto &[kind, number] : kinds) {
    llvm::outs() << separator << number << ' ' << kind;
    separator = ", ";
  }
  llvm::outs() << '\n';
}

static void printMachine(const Json &manifest, llvm::StringRef path) {
  auto text = [&](llvm::StringRef key) { return manifest.getString(key).value_or("").str(); };
  uint64_t bytes = 0;
  (void)llvm::sys::fs::file_size(path, bytes);
  auto &os = llvm::outs();
  os << "made by      " << text("compiler") << ", of " << printable(text("model")) << '\n'
     << "machine      " << text("triple") << ", " << text("cpu") << '\n';
  if (const llvm::json::Array *features = manifest.getArray("cpu_features"); features && !features->empty()) {
    auto names = llvm::map_range(*features, [](auto &name) { return name.getAsString().value_or("").str(); });
    os << "needs        " << llvm::join(names, " ") << '\n';
  }
  if (auto device = manifest.getString("device_arch"))
    os << "device       " << *device << '\n';
  os << "size         " << bytes << " bytes\n";
}

static void printWeights(const Json &manifest) {
  const Json *weights = manifest.getObject("weights");
  if (!weights)
    return;
  auto file = weights->getString("file");
  llvm::outs() << "weights      " << weights->getInteger("bytes").value_or(0) << " bytes"
               << (file ? " in the file " + printable(*file) : "") << ", structure "
               << weights->getString("structure").value_or("") << '\n';
}

/// What only the library's own code tells: the sizes of outputs and workspace for these dimensions.
struct Sized {
  std::vector<int64_t> dims; // of the symbols; -1: not given
  std::string outputs, workspace;
};

static llvm::Expected<Sized> sizesOf(llvm::StringRef path, const std::map<std::string, int64_t> &dims,
                                     const std::map<std::string, std::vector<int64_t>> &shapes) {
  auto loaded = loadLibrary(path);
  if (!loaded)
    return loaded.takeError();
  const mlc_model &model = **loaded;
  auto bound = bindDims(model, dims, shapes);
  if (!bound)
    return bound.takeError();
  Sized sized{*bound, "", ""};
  llvm::ArrayRef outputs(model.outputs, model.output_count);
  std::vector<int64_t> sizes(1);
  for (const mlc_value_info &output : outputs)
    sizes.resize(sizes.size() + output.rank);
  bool isKnown = !llvm::is_contained(*bound, -1);
  if (mlc_status status = isKnown ? model.output_shapes(bound->data(), sizes.data()) : MLC_OK)
    return statusError(model, nullptr, status, "output_shapes");
  llvm::raw_string_ostream os(sized.outputs);
  const int64_t *next = sizes.data();
  for (const mlc_value_info &output : outputs) {
    os << "output       " << output.name << ": " << typeText(model, output, isKnown ? next : nullptr) << '\n';
    next += output.rank;
  }
  if (isKnown)
    sized.workspace = std::to_string(model.workspace_size(bound->data())) + " bytes";
  return sized;
}

static int describeLibrary(llvm::StringRef path, const std::map<std::string, int64_t> &dims,
                           const std::map<std::string, std::vector<int64_t>> &shapes) {
  auto text = readManifest(path);
  if (!text)
    return fail(text.takeError());
  auto parsed = llvm::json::parse(*text);
  if (!parsed)
    return fail(parsed.takeError());
  const Json *manifest = parsed->getAsObject();
  if (!manifest)
    return fail(llvm::createStringError(path + ": its manifest is no JSON object"));
  Sized sized;
  if (!dims.empty() || !shapes.empty()) {
    auto found = sizesOf(path, dims, shapes);
    if (!found)
      return fail(found.takeError());
    sized = std::move(*found);
  }
  auto &os = llvm::outs();
  os << "library of the model " << manifest->getString("name").value_or("") << ", library interface "
     << manifest->getInteger("abi_version").value_or(0) << '\n';
  printMachine(*manifest, path);
  std::string open; // a dimension without a size
  if (const llvm::json::Array *symbols = manifest->getArray("symbols"))
    for (auto [index, symbol] : llvm::enumerate(*symbols)) {
      std::string name = printable(symbol.getAsString().value_or(""));
      bool isGiven = index < sized.dims.size() && sized.dims[index] >= 0;
      os << "dimension    " << name << (isGiven ? " = " + std::to_string(sized.dims[index]) : "") << '\n';
      open = open.empty() && !isGiven ? name : open;
    }
  printValues("input        ", *manifest, "inputs");
  if (sized.outputs.empty())
    printValues("output       ", *manifest, "outputs");
  os << sized.outputs;
  if (const Json *training = manifest->getObject("training")) {
    printValues("parameter    ", *training, "parameters");
    printValues("train input  ", *training, "inputs");
    printValues("train output ", *training, "outputs");
  }
  printWeights(*manifest);
  printKernels(*manifest);
  const Json *memory = manifest->getObject("memory");
  if (auto bytes = memory ? memory->getInteger("workspace_bytes") : std::nullopt)
    os << "workspace    " << *bytes << " bytes\n";
  else if (!sized.workspace.empty())
    os << "workspace    " << sized.workspace << '\n';
  else if (!open.empty())
    os << "workspace    depends on the dimensions; give --dim " << open << "=1\n";
  return Success;
}

int mlc::infoCommand(Arguments arguments) {
  std::vector<std::string> files;
  std::map<std::string, int64_t> dims;
  std::map<std::string, std::vector<int64_t>> shapes;
  bool wantsManifest = false;
  Options options(
      "mlc info", "mlc info MODEL.onnx|FILE.so [OPTIONS]",
      "Describes an ONNX model (inputs, outputs, operator sets, operators) or a library or object that mlc "
      "compiled, for any machine (what it runs on, inputs, outputs, dimensions, parameters, kernels, workspace).");
  options.positional("FILE", "a model or a compiled library", files, 1, 1);
  options.values("--dim", "NAME=SIZE[,...]", "the sizes for which to tell a library's workspace",
                 [&](llvm::StringRef text) { return readDims(text, dims); });
  options.values("--shape", "INPUT=1x3x224x224", "the same, by the shape of an input",
                 [&](llvm::StringRef text) { return readShape(text, shapes); });
  options.flag("--manifest", "print a library's manifest (JSON) instead", wantsManifest);
  if (auto code = options.parse(arguments))
    return *code;
  llvm::StringRef path = files.front();
  bool isModel = llvm::sys::path::extension(path) == ".onnx";
  if (isModel && (wantsManifest || !dims.empty() || !shapes.empty()))
    return options.usageError("--dim, --shape and --manifest are for libraries");
  bool describes = !wantsManifest;
  if (auto code = options.check({{"--dim", describes, "the description, not --manifest"},
                                 {"--shape", describes, "the description, not --manifest"}}))
    return *code;
  if (isModel)
    return describeModel(path);
  if (!wantsManifest)
    return describeLibrary(path, dims, shapes);
  auto manifest = readManifest(path);
  if (!manifest)
    return fail(manifest.takeError());
  llvm::outs() << *manifest << '\n';
  return Success;
}
