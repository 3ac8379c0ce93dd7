// mlc verify: a model's library, and each node compiled alone, against an independent reference. The verdict is about the library; the
// nodes, and then the values between them, tell where a deviation comes from.
#include "Commands.h"
#include "Inputs.h"
#include "NodeWalk.h"
#include "compiler/Emit/Files.h"
#include "compiler/Import/Diagnostics.h"
#include "compiler/Table.h"
#include "dialects/onnx/Signature.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace mlc;
using llvm::StringRef;

namespace {

struct CommandLine {
  std::vector<std::string> models;
  InputOptions inputs;
  CompileOptions compile;
  std::string against = "reference", python, save, library;
  ErrorBounds bounds;
  bool isStatic = false, skipsNodes = false, showsAll = false, isJson = false, isQuiet = false;
};

struct OutputReport {
  std::string name, type;
  ErrorSummary errors;
  bool isKnown; // to the reference

  StringRef verdict() const { return !isKnown ? "not checked" : errors.isFine() ? "ok" : "BEYOND"; }
};

struct Verdict {
  WalkResult walk;
  std::vector<OutputReport> outputs;
  std::string referenceName;
  std::string located; // where the outputs go wrong although every node alone is right

  bool outputsAreFine() const {
    return llvm::all_of(outputs, [](const OutputReport &output) { return output.errors.isFine(); });
  }
  bool outputsDeviate() const {
    return llvm::any_of(outputs, [](const OutputReport &output) { return output.isKnown && !output.errors.isFine(); });
  }
  bool nodesAreFine() const {
    return llvm::all_of(walk.nodes, [](const NodeReport &node) { return node.errors.isFine(); });
  }
  size_t uncheckedCount() const {
    return llvm::count_if(walk.nodes, [](const NodeReport &node) { return !node.note.empty(); });
  }
};

/// Whole models collect the errors of their nodes.
constexpr double wholeSlack = 10;

class Verification {
public:
  Verification(const CommandLine &line, const ScratchFolder &scratch, Progress &progress)
      : line(line), scratch(scratch), progress(progress), model(line.models.front()) {}

  llvm::Expected<Verdict> run() {
    auto made = line.against == "onnxruntime" ? makeOnnxRuntime(line.python, scratch)
                                              : llvm::Expected<std::unique_ptr<Reference>>(makeInterpreter());
    if (!made)
      return made.takeError();
    reference = std::move(*made);
    verdict.referenceName = reference->name().str();
    if (llvm::Error error = checkSizes())
      return std::move(error);
    progress.show("compiling the model");
    auto library = line.library.empty() ? compileAndLoad(model, compileOptions(), scratch.file("model.so"))
                                        : loadLibrary(line.library);
    if (!library)
      return library.takeError();
    auto bound = bindTensors(**library, line.inputs, "random");
    if (!bound)
      return bound.takeError();
    dims = bound->dims;
    for (auto [index, tensor] : llvm::enumerate(bound->inputs)) {
      inputNames.push_back((*library)->inputs[index].name);
      inputs.push_back(std::make_shared<const HostTensor>(std::move(tensor)));
    }
    auto actual = runLibrary(**library, dims, pointers()); // first: inputs that the model refuses end it here
    if (!actual)
      return actual.takeError();
    if (llvm::Error error = walk({}, !line.skipsNodes, verdict.walk))
      return std::move(error);
    if (llvm::Error error = compareOutputs(**library, *actual))
      return std::move(error);
    if (verdict.outputsDeviate() && verdict.nodesAreFine() && line.library.empty())
      if (llvm::Error error = locate())
        return std::move(error);
    return std::move(verdict);
  }

private:
  CompileOptions compileOptions() const {
    CompileOptions options = line.compile;
    if (line.isStatic) {
      options.dims = line.inputs.dims;
      options.shapes = line.inputs.shapes;
    }
    return options;
  }

  std::vector<const HostTensor *> pointers() const {
    std::vector<const HostTensor *> result;
    for (const SharedTensor &input : inputs)
      result.push_back(input.get());
    return result;
  }

  /// Imports the model and tells what is wrong; `use` gets the module.
  llvm::Error withModule(const CompileOptions &options, llvm::function_ref<llvm::Error(mlir::ModuleOp)> use) const {
    mlir::DialectRegistry registry;
    registerDialects(registry);
    mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
    std::string text;
    llvm::raw_string_ostream os(text);
    ModelDiagnostics diagnostics(context, model, os);
    auto module = importOnnx(model, options, context);
    if (module)
      return use(*module);
    auto code = diagnostics.isUnsupportedOnly() ? std::errc::not_supported : std::errc::invalid_argument;
    return llvm::createStringError(std::make_error_code(code), StringRef(text).trim());
  }

  /// Sizes that do not fit the model are told before the compilation, not after it.
  llvm::Error checkSizes() const {
    CompileOptions sized = line.compile;
    sized.dims = line.inputs.dims;
    sized.shapes = line.inputs.shapes;
    return withModule(sized, [](mlir::ModuleOp) { return llvm::Error::success(); });
  }

  /// The model with the sizes of this run, node by node.
  llvm::Error walk(std::set<int64_t> keep, bool checksNodes, WalkResult &result) {
    CompileOptions fixed = line.compile;
    for (auto [name, tensor] : llvm::zip_equal(inputNames, inputs))
      fixed.shapes[name] = tensor->shape;
    WalkOptions options;
    options.compile.cpu = line.compile.cpu;
    options.bounds = line.bounds;
    options.checksNodes = checksNodes;
    options.keep = std::move(keep);
    return withModule(fixed, [&](mlir::ModuleOp module) -> llvm::Error {
      auto walked = NodeWalk(options, *reference, scratch, progress).run(module, inputs);
      if (!walked)
        return walked.takeError();
      result = std::move(*walked);
      return llvm::Error::success();
    });
  }

  llvm::Expected<std::vector<std::optional<reference::Tensor>>> expectedOutputs() {
    std::vector<std::optional<reference::Tensor>> expected;
    if (line.against == "onnxruntime" && line.compile.inputValues.empty()) {
      auto results = reference->evaluate(model, inputNames, pointers());
      if (!results)
        return results.takeError();
      expected.assign(results->begin(), results->end());
      return expected;
    }
    for (const SharedTensor &output : verdict.walk.outputs)
      expected.push_back(output ? std::optional(toReference(*output)) : std::nullopt);
    return expected;
  }

  ErrorSummary compareWhole(const HostTensor &actual, const std::optional<reference::Tensor> &expected) const {
    ErrorSummary summary;
    ErrorBounds bounds = line.bounds;
    bounds.ulpMax = HUGE_VAL; // of nodes
    if (!expected)
      summary.detail = "the reference has no value for it";
    else if (actual.dtype != expected->element.dtype())
      summary.detail = "its type is " + actual.type() + " instead of " + dtypeName(expected->element.dtype());
    else
      summary = compareWithReference(actual, *expected, bounds, wholeSlack);
    return summary;
  }

  llvm::Error compareOutputs(const mlc_model &library, llvm::ArrayRef<HostTensor> actual) {
    auto expected = expectedOutputs();
    if (!expected)
      return expected.takeError();
    if (actual.size() != expected->size())
      return llvm::createStringError(
          llvm::formatv("the library has {0} outputs, the model {1}", actual.size(), expected->size()));
    for (auto [index, tensor] : llvm::enumerate(actual))
      verdict.outputs.push_back({library.outputs[index].name, tensor.type(), compareWhole(tensor, (*expected)[index]),
                                 (*expected)[index].has_value()});
    return llvm::Error::success();
  }

  /// Whether the results of these nodes, as further outputs of the whole model, are as they should be; by node number.
  llvm::Expected<std::map<int64_t, bool>> observe(llvm::ArrayRef<int64_t> numbers) {
    progress.show("locating the deviation");
    auto addOutputs = [&](mlir::ModuleOp module) {
      auto main = module.lookupSymbol<mlir::func::FuncOp>("main");
      mlir::Operation *ret = main.getBody().front().getTerminator();
      mlir::Builder b(module.getContext());
      llvm::SmallVector<mlir::Value> values(ret->getOperands());
      llvm::SmallVector<mlir::DictionaryAttr> attributes;
      main.getAllResultAttrs(attributes);
      attributes.resize(values.size(), b.getDictionaryAttr({}));
      int64_t number = 0;
      for (mlir::Operation &op : main.getBody().front())
        if (auto node = llvm::dyn_cast<onnx::NodeOp>(op); node && llvm::is_contained(numbers, number++))
          for (unsigned i : resultsUsed(node)) {
            values.push_back(node->getResult(i));
            std::string name = llvm::formatv("verify_{0}_{1}", number - 1, i);
            attributes.push_back(onnx::Declaration::make(b, name, std::nullopt));
          }
      ret->setOperands(values);
      main.setFunctionType(b.getFunctionType(main.getArgumentTypes(), mlir::TypeRange(mlir::ValueRange(values))));
      main.setAllResultAttrs(attributes);
    };
    std::string path = scratch.file("observed_" + llvm::Twine(observedCount++) + ".so");
    auto library = compileAndLoad(model, compileOptions(), path, addOutputs);
    if (!library)
      return library.takeError();
    auto actual = runLibrary(**library, dims, pointers());
    if (!actual)
      return actual.takeError();
    WalkResult walked;
    if (llvm::Error error = walk({numbers.begin(), numbers.end()}, /*checksNodes=*/false, walked))
      return std::move(error);
    std::map<int64_t, bool> areFine;
    size_t next = walked.outputs.size();
    for (int64_t number : numbers) {
      areFine[number] = true;
      for (const SharedTensor &tensor : walked.kept[number]) {
        const HostTensor &observed = (*actual)[next++];
        areFine[number] &= !tensor || compareWhole(observed, toReference(*tensor)).isFine();
      }
    }
    return areFine;
  }

  /// Every node alone is right, the whole is not: finds the first value of the model that deviates, by looking at a few at a time.
  llvm::Error locate() {
    constexpr int64_t observedMax = 8;
    const std::vector<NodeReport> &nodes = verdict.walk.nodes;
    int64_t fine = -1, beyond = int64_t(nodes.size()); // in the list of nodes
    while (beyond - fine > 1) {
      std::map<int64_t, int64_t> indices; // by node number
      int64_t count = std::min(observedMax, beyond - fine - 1);
      for (int64_t i = 1; i <= count; ++i) {
        int64_t index = fine + i * (beyond - fine) / (count + 1);
        indices[nodes[index].number] = index;
      }
      auto areFine = observe(llvm::to_vector(llvm::make_first_range(indices)));
      if (!areFine) {
        verdict.located = "the values between nodes cannot be observed: " + llvm::toString(areFine.takeError());
        return llvm::Error::success();
      }
      for (auto [number, isFine] : *areFine) {
        (isFine ? fine : beyond) = indices[number];
        if (!isFine)
          break;
      }
    }
    if (beyond < int64_t(nodes.size()))
      verdict.located = "every node alone is right; inside the model the first value that deviates is the result of " +
                        nodes[beyond].node + " (" + nodes[beyond].op +
                        "): errors of earlier nodes grow there, or its fusion with its neighbours is wrong";
    else
      verdict.located = "every node alone is right, and so is every value inside the model as soon as it is an output: "
                        "what is wrong is how nodes are fused, or the memory plan";
    return llvm::Error::success();
  }

  const CommandLine &line;
  const ScratchFolder &scratch;
  Progress &progress;
  std::string model;
  std::unique_ptr<Reference> reference;
  std::vector<int64_t> dims;
  std::vector<std::string> inputNames;
  std::vector<SharedTensor> inputs;
  Verdict verdict;
  int observedCount = 0;
};

// ---- the reproducer --------------------------------------------------------------------------------------------------------

std::string quoted(StringRef text) {
  std::string result = "'";
  for (char c : text)
    result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

/// The bounds as options.
std::string boundOptions(const ErrorBounds &bounds) {
  std::string text;
  auto add = [&](StringRef option, double value) {
    text += llvm::formatv(" {0} {1}", option, llvm::format("%g", value)).str();
  };
  if (bounds.relative)
    add("--rtol", *bounds.relative);
  if (bounds.absolute)
    add("--atol", *bounds.absolute);
  if (bounds.ulpMax != HUGE_VAL)
    add("--max-ulp", bounds.ulpMax);
  return text;
}

/// The folder of --save: made before the work, so that the work is not in vain, and gone again if nothing came into it.
class SaveFolder {
public:
  explicit SaveFolder(StringRef folder) : path(folder) {
    for (; !folder.empty() && !llvm::sys::fs::exists(folder); folder = llvm::sys::path::parent_path(folder))
      missing.push_back(folder);
  }
  ~SaveFolder() {
    for (StringRef folder : missing)
      llvm::sys::fs::remove(folder); // which fails where there are files
  }
  llvm::Error make() const {
    if (path.empty())
      return llvm::Error::success();
    if (llvm::Error error = makeFolder(path))
      return error;
    return checkOutput((path + "/node.onnx").str(), /*mayBeDevice=*/false);
  }

private:
  StringRef path;
  llvm::SmallVector<StringRef> missing; // the innermost first
};

/// DIR/node.onnx, DIR/x0.npy, DIR/y0.npy, ...; returns the command that shows the deviation again.
llvm::Expected<std::string> saveReproducer(const Reproducer &reproducer, const CommandLine &line) {
  StringRef folder = line.save;
  std::string model = (folder + "/node.onnx").str(), command = "mlc verify " + quoted(model);
  auto node = llvm::MemoryBuffer::getFile(reproducer.model);
  if (!node)
    return llvm::createStringError(reproducer.model + ": " + node.getError().message());
  if (llvm::Error error = writeFile(model, (*node)->getBuffer()))
    return std::move(error);
  for (auto &[name, tensor] : reproducer.inputs) {
    std::string path = (folder + "/" + name + ".npy").str();
    if (llvm::Error error = writeTensorFile(path, *tensor))
      return std::move(error);
    command += " --input " + quoted(name + "=@" + path);
  }
  for (auto &[name, tensor] : reproducer.expected)
    if (llvm::Error error = writeTensorFile((folder + "/" + name + ".npy").str(), *tensor))
      return std::move(error);
  command += boundOptions(line.bounds);
  if (line.compile.cpu != "native")
    command += " --cpu " + quoted(line.compile.cpu);
  if (line.against != "reference")
    command += " --against " + line.against + (line.python.empty() ? "" : " --python " + quoted(line.python));
  return command;
}

// ---- printing --------------------------------------------------------------------------------------------------------------

std::string errorText(double value) {
  if (value == HUGE_VAL)
    return "inf";
  return llvm::formatv("{0}", llvm::format(value != 0 && value < 0.01 ? "%.1e" : "%.3g", value)).str();
}

std::string shareText(double share) {
  return share == HUGE_VAL ? "inf" : llvm::formatv("{0} %", llvm::format("%.3g", 100 * share)).str();
}

StringRef verdictOf(const NodeReport &node) {
  return !node.note.empty() ? "not checked" : node.errors.isFine() ? "ok" : "BEYOND";
}

/// Worst first; equal ones in the model's order.
std::vector<const NodeReport *> sortedNodes(const Verdict &verdict) {
  std::vector<const NodeReport *> nodes;
  for (const NodeReport &node : verdict.walk.nodes)
    nodes.push_back(&node);
  auto rank = [](const NodeReport *node) {
    return std::tuple(node->errors.isFine(), node->note.empty(), -node->errors.ofTolerance, node); // of one vector
  };
  llvm::sort(nodes, [&](auto *a, auto *b) { return rank(a) < rank(b); });
  return nodes;
}

void printNodes(const Verdict &verdict, const CommandLine &line, llvm::raw_ostream &os) {
  constexpr size_t shownMax = 20;
  auto nodes = sortedNodes(verdict);
  size_t important = llvm::count_if(nodes, [](auto *node) { return !node->errors.isFine() || !node->note.empty(); });
  size_t shown = line.showsAll ? nodes.size() : std::min(nodes.size(), std::max(shownMax, important));
  Table table({"node", "operator", "result", "max ulp", "max relative", "of tolerance", "verdict"});
  for (const NodeReport *node : llvm::ArrayRef(nodes).take_front(shown)) {
    std::string name = printable(node->node);
    table.add({name.empty() ? "?" : name, printable(node->op), node->result.empty() ? "?" : node->result,
               node->note.empty() ? errorText(node->errors.maxUlp) : "-",
               node->note.empty() ? errorText(node->errors.maxRelative) : "-",
               node->note.empty() ? shareText(node->errors.ofTolerance) : "-", verdictOf(*node).str()});
  }
  table.print(os);
  if (shown < nodes.size())
    os << "and " << nodes.size() - shown << " more nodes with smaller errors (--all shows them)\n";
  os << '\n';
  for (const NodeReport *node : llvm::ArrayRef(nodes).take_front(important))
    os << printable(node->node) << ": " << printable(node->note.empty() ? node->errors.detail : node->note) << '\n';
}

void print(const Verdict &verdict, const CommandLine &line, llvm::raw_ostream &os) {
  if (!line.skipsNodes)
    printNodes(verdict, line, os);
  for (const OutputReport &output : verdict.outputs) {
    os << "output " << printable(output.name) << ": " << output.type << ", " << output.verdict() << ", max ulp "
       << errorText(output.errors.maxUlp) << ", max relative " << errorText(output.errors.maxRelative) << ", "
       << shareText(output.errors.ofTolerance) << " of the tolerance";
    if (!output.errors.isFine())
      os << "; " << output.errors.detail;
    os << '\n';
  }
  if (!verdict.located.empty())
    os << "located: " << printable(verdict.located) << '\n';
  if (verdict.walk.firstBeyond)
    os << "first node beyond the bounds: " << printable(verdict.walk.firstBeyond->node)
       << (line.save.empty() ? "; --save DIR writes a model of it, its inputs and what they should give\n" : "\n");
}

void printSummary(const Verdict &verdict, const CommandLine &line, double seconds, llvm::raw_ostream &os) {
  bool isFine = verdict.outputsAreFine() && verdict.nodesAreFine();
  os << (isFine ? "verified" : "NOT verified") << ": " << verdict.walk.nodes.size() << " nodes";
  if (line.skipsNodes)
    os << " (not compiled alone)";
  else if (size_t count = verdict.uncheckedCount())
    os << " (" << count << " not checked)";
  os << ", " << verdict.outputs.size() << " outputs, against " << verdict.referenceName << ", seed "
     << line.inputs.seedOrDefault() << ", " << llvm::format("%.1f", seconds) << " s\n";
}

llvm::json::Value jsonNumber(double value) {
  return std::isfinite(value) ? llvm::json::Value(value) : llvm::json::Value(nullptr);
}

void printJson(const Verdict &verdict, const CommandLine &line, llvm::raw_ostream &os) {
  auto errors = [](llvm::json::OStream &json, const ErrorSummary &summary) {
    json.attribute("max_ulp", jsonNumber(summary.maxUlp));
    json.attribute("max_relative", jsonNumber(summary.maxRelative));
    json.attribute("of_tolerance", jsonNumber(summary.ofTolerance));
    json.attribute("beyond", summary.beyondCount);
    json.attribute("ok", summary.isFine());
    json.attribute("detail", printable(summary.detail));
  };
  llvm::json::OStream json(os, 1);
  json.object([&] {
    json.attribute("model", printable(line.models.front()));
    json.attribute("verified", verdict.outputsAreFine() && verdict.nodesAreFine());
    json.attribute("reference", verdict.referenceName);
    json.attribute("seed", line.inputs.seedOrDefault());
    json.attribute("located", printable(verdict.located));
    json.attributeArray("outputs", [&] {
      for (const OutputReport &output : verdict.outputs)
        json.object([&] {
          json.attribute("name", printable(output.name));
          json.attribute("type", output.type);
          json.attribute("verdict", output.verdict());
          errors(json, output.errors);
        });
    });
    json.attributeArray("nodes", [&] {
      for (const NodeReport *node : sortedNodes(verdict))
        json.object([&] {
          json.attribute("name", printable(node->node));
          json.attribute("operator", printable(node->op));
          json.attribute("result", node->result);
          bool isChecked = node->note.empty() && !line.skipsNodes;
          json.attribute("verdict", isChecked ? verdictOf(*node) : "not checked");
          json.attribute("note", line.skipsNodes ? "not compiled alone" : printable(node->note));
          if (isChecked)
            errors(json, node->errors);
          else
            json.attribute("ok", nullptr);
        });
    });
  });
  os << '\n';
}

void declare(Options &options, CommandLine &line) {
  auto number = [](std::optional<double> &target) {
    return [&target](StringRef text) -> std::optional<std::string> {
      double value;
      if (text.getAsDouble(value) || !(value >= 0))
        return "expected a number of at least 0";
      target = value;
      return std::nullopt;
    };
  };
  options.positional("MODEL.onnx", "the model to verify", line.models, 1, 1);
  options.heading("inputs");
  line.inputs.declare(options, "random", /*hasWeights=*/false);
  options.values("--input-value", "INPUT=@FILE.npy|.pb", "make an input constant, as mlc compile does",
                 [&line](StringRef text) { return readInputValue(text, line.compile.inputValues); });
  options.heading("reference");
  options.choice("--against", "the interpreter of mlc, or ONNX Runtime in a Python process (default: reference)",
                 line.against, {"reference", "onnxruntime"});
  options.value("--python", "FILE", "the Python that has onnxruntime (default: python3)", line.python);
  options.value("--rtol", "NUMBER",
                "relative tolerance (default by type: float64 1e-9, float32 1e-4, float16 1e-2, bfloat16 8e-2; for the "
                "outputs of the whole model 10 times that)",
                number(line.bounds.relative));
  options.value("--atol", "NUMBER",
                "absolute tolerance (default: a tenth of the relative one, of a result's largest element)",
                number(line.bounds.absolute));
  options.value("--max-ulp", "NUMBER", "units in the last place that a node's result may be off (default: any)",
                line.bounds.ulpMax, 0);
  options.heading("what is verified");
  options.value("--library", "FILE.so", "verify this library of the model instead of compiling one", line.library);
  options.flag("--static", "compile the library for these sizes only", line.isStatic);
  options.flag("--outputs-only", "do not compile every node alone", line.skipsNodes);
  options.value("--cpu", "native|x86-64-v3|...", "as of mlc compile (default: native)", line.compile.cpu);
  options.heading("results");
  options.value("--save", "DIR",
                "write the first node beyond the tolerances there: node.onnx, its inputs, its expected outputs",
                line.save);
  options.flag("--all", "show every node", line.showsAll);
  options.flag("--json", "print the results as JSON", line.isJson);
  options.flag("--quiet", "no progress on the terminal", line.isQuiet);
  options.epilogue("examples:\n"
                   "  mlc verify model.onnx --dim batch=4\n"
                   "  mlc verify model.onnx --input tokens=random:0:30000 --max-ulp 8 --save failure\n"
                   "  mlc verify model.onnx --against=onnxruntime --python=.venv/bin/python");
}

int report(llvm::Error error) {
  bool isUnsupported = false;
  std::string text;
  llvm::handleAllErrors(std::move(error), [&](const llvm::ErrorInfoBase &info) {
    isUnsupported |= info.convertToErrorCode() == std::errc::not_supported;
    text += info.message();
  });
  llvm::errs() << "mlc verify: error: " << text << '\n';
  return isUnsupported ? Unsupported : Failed;
}

} // namespace

int mlc::verifyCommand(Arguments arguments) {
  CommandLine line;
  Options options(
      "mlc verify", "mlc verify MODEL.onnx [OPTIONS]",
      "Compiles a model, runs it, and compares its outputs with an independent reference that evaluates the "
      "model in double precision. Does the same for every node compiled alone, worst first in a table. Exit "
      "code 1 if anything is beyond the tolerances.");
  declare(options, line);
  if (auto code = options.parse(arguments))
    return *code;
  bool checksNodes = !line.skipsNodes;
  if (auto code = options.check(
          {{"--python", line.against == "onnxruntime", "--against=onnxruntime"},
           {"--static", line.library.empty(), "a library that verify compiles, not --library"},
           {"--cpu", line.library.empty() || checksNodes, "something to compile: no --library, or no --outputs-only"},
           {"--save", checksNodes, "nodes to be checked, not --outputs-only"},
           {"--max-ulp", checksNodes, "nodes to be checked, not --outputs-only"},
           {"--all", checksNodes, "nodes to be checked, not --outputs-only"},
           {"--all", !line.isJson, "a table; --json tells every node"}}))
    return *code;
  auto scratch = ScratchFolder::make();
  if (!scratch)
    return report(scratch.takeError());
  SaveFolder save(line.save);
  if (llvm::Error error = save.make())
    return report(std::move(error));
  auto start = std::chrono::steady_clock::now();
  Progress progress(line.isQuiet);
  auto verdict = Verification(line, *scratch, progress).run();
  progress.clear();
  if (!verdict)
    return report(verdict.takeError());
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  line.isJson ? printJson(*verdict, line, llvm::outs()) : print(*verdict, line, llvm::outs());
  if (verdict->walk.firstBeyond && !line.save.empty()) {
    auto command = saveReproducer(*verdict->walk.firstBeyond, line);
    if (!command)
      return report(command.takeError());
    (line.isJson ? llvm::errs() : llvm::outs()) << "reproduce: " << *command << '\n';
  }
  if (!line.isJson)
    printSummary(*verdict, line, seconds, llvm::outs());
  return verdict->outputsAreFine() && verdict->nodesAreFine() ? Success : Failed;
}
