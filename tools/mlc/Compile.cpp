// mlc compile: options to CompileOptions, a file name to an EmitKind; the work is in compiler/Compile.h.
#include "compiler/Compile.h"
#include "Commands.h"
#include "Inputs.h"
#include "Options.h"
#include "Progress.h"
#include "compiler/Emit/Files.h"
#include "compiler/Import/Diagnostics.h"
#include "compiler/Report/Report.h"
#include "compiler/StageClock.h"
#include "dialects/onnx/Signature.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlc;
using llvm::StringRef;

namespace {

struct Emit {
  const char *word; // of --emit; null: chosen by the output's suffix alone
  const char *suffix;
  EmitKind kind;
};
const Emit emits[] = {
    {nullptr, ".so", EmitKind::Library}, {nullptr, ".a", EmitKind::Archive},       {"onnx", "", EmitKind::Onnx},
    {"core", "", EmitKind::Core},        {"linalg", "", EmitKind::Linalg},         {"tiled", "", EmitKind::Tiled},
    {"llvm", "", EmitKind::LLVM},        {"asm", "", EmitKind::Assembly},          {"ptx", "", EmitKind::Ptx},
    {"obj", ".o", EmitKind::Object},     {nullptr, ".weights", EmitKind::Weights},
};

bool isLibrary(EmitKind kind) {
  return llvm::is_contained({EmitKind::Library, EmitKind::Archive, EmitKind::Object}, kind);
}
bool isText(EmitKind kind) { return !isLibrary(kind) && kind != EmitKind::Weights; }

bool isCIdentifier(StringRef text) {
  return !text.empty() && !llvm::isDigit(text.front()) &&
         llvm::all_of(text, [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

bool isTarget(StringRef text) {
  if (text == "cpu")
    return true;
  if (!text.consume_front("cuda:sm_"))
    return false;
  text.consume_back("a");
  unsigned version;
  return !text.getAsInteger(10, version) && version >= 50 && version < 1000;
}

std::string listReports(StringRef separator) {
  return llvm::join(llvm::map_range(reportPages(), [](const ReportPage &page) { return page.word; }), separator);
}

std::optional<std::string> readReports(StringRef text, llvm::StringSet<> &reports) {
  llvm::SmallVector<StringRef> parts;
  text.split(parts, ',', /*MaxSplit=*/-1, /*KeepEmpty=*/false);
  for (StringRef part : parts) {
    if (llvm::none_of(reportPages(), [part](const ReportPage &page) { return page.word == part; }))
      return "expected a list of " + listReports(", ") + ", found \"" + part.str() + "\"";
    reports.insert(part);
  }
  return std::nullopt;
}

struct CommandLine {
  std::vector<std::string> models;
  std::string output, emit, depfile;
  CompileOptions compile;
  std::string reportFile;
  bool isReported = false; // --report is given; without pages: all that there are
  bool isQuiet = false;
};

void declareTraining(Options &options, CommandLine &line) {
  TrainOptions &train = line.compile.train;
  options.heading("training");
  options.flag("--train", "also export train_step: loss, gradients and optimizer in the library", train.enabled);
  options.choice("--loss", "what train_step minimises (default: cross_entropy)", train.loss, {"cross_entropy", "mse"});
  options.choice("--optimizer", "how it updates the parameters (default: sgd)", train.optimizer, {"sgd", "adam"});
  options.value("--learning-rate", "NUMBER", "above 0 (default: 0.05 for sgd, 0.001 for adam)",
                [&train](StringRef text) -> std::optional<std::string> {
                  double value;
                  if (text.getAsDouble(value) || !(value > 0 && value <= 1e30))
                    return "expected a number above 0";
                  train.learningRate = value;
                  return std::nullopt;
                });
  options.value("--momentum", "NUMBER", "of sgd (default: 0)", train.momentum, 0);
  options.values("--trainable", "PATTERN",
                 "initializers to train, by name, '*' matches anything (default: every floating-point one)",
                 [&train](StringRef text) -> std::optional<std::string> {
                   if (text.empty())
                     return "expected a name or a pattern";
                   train.trainable.push_back(text.str());
                   return std::nullopt;
                 });
}

/// Which option needs which.
std::optional<int> checkNeeds(const Options &options, const CommandLine &line) {
  const CompileOptions &compile = line.compile;
  bool trains = compile.train.enabled;
  // What is the same for every machine, and what the host's code is not part of.
  constexpr StringRef laterStage = "a later stage of the compilation than --emit asks for";
  bool reportsAreMade = llvm::all_of(reportPages(), [&](const ReportPage &page) {
    return !compile.reports.contains(page.word) || compile.emit >= page.stage;
  });
  bool plans = compile.emit >= EmitKind::Tiled && compile.emit != EmitKind::Ptx;
  return options.check({
      {"--weights", isLibrary(compile.emit), "a library as output: -o FILE.so, FILE.a or FILE.o"},
      {"--name", isLibrary(compile.emit) || compile.emit == EmitKind::Assembly,
       "a library as output: -o FILE.so, FILE.a or FILE.o"},
      {"--sysroot", compile.emit == EmitKind::Library, "a shared library as output, which alone is linked: -o FILE.so"},
      {"--depfile", line.output != "-", "an output: -o FILE"},
      {"--target", compile.emit >= EmitKind::Linalg, laterStage},
      {"--triple", plans, laterStage},
      {"--cpu", plans, laterStage},
      {"--train", compile.emit != EmitKind::Onnx, laterStage},
      {"--report", reportsAreMade, laterStage},
      {"--save-stages", compile.emit != EmitKind::Onnx, laterStage},
      {"--loss", trains, "--train"},
      {"--optimizer", trains, "--train"},
      {"--learning-rate", trains, "--train"},
      {"--momentum", trains, "--train"},
      {"--trainable", trains, "--train"},
      {"--momentum", compile.train.optimizer == "sgd", "--optimizer=sgd"},
  });
}

void declare(Options &options, CommandLine &line) {
  CompileOptions &compile = line.compile;
  options.positional("MODEL.onnx", "the model to compile", line.models, 1, 1);
  options.value(
      "-o,--output", "FILE",
      "what to make: FILE.so, FILE.a or FILE.o, with FILE.h and FILE.json beside it; FILE.weights, other weights for a "
      "library of the same structure; with --emit, a text file (default there: standard output)",
      line.output);
  options.value("--depfile", "FILE", "write which files the output depends on, as a rule of make", line.depfile);
  options.value("--name", "NAME", "prefix of every symbol of the library (default: made of the output's name)",
                [&compile](StringRef text) -> std::optional<std::string> {
                  if (!isCIdentifier(text))
                    return "expected a C identifier";
                  compile.name = text.str();
                  return std::nullopt;
                });
  options.value(
      "--weights", "FILE",
      "put the weights into this file instead of the library, which maps it: a file in the library's folder, or an "
      "absolute path",
      compile.weightsFile);
  options.heading("shapes");
  options.values("--dim", "NAME=SIZE[,...]", "make a symbolic dimension of the model constant",
                 [&compile](StringRef text) { return readDims(text, compile.dims); });
  options.values("--shape", "INPUT=1x3x224x224", "the shape of an input, \"?\" for a size that stays dynamic",
                 [&compile](StringRef text) { return readShape(text, compile.shapes); });
  options.values(
      "--input-value", "INPUT=@FILE.npy|.pb",
      "make an input constant: the library has no such input, and what depends on it (axes, new shapes, sizes) "
      "is known to the compiler",
      [&compile](StringRef text) { return readInputValue(text, compile.inputValues); });
  options.heading("target");
  options.value("--target", "cpu|cuda:sm_80|cuda:sm_90a", "what the library's code runs on (default: cpu)",
                [&compile](StringRef text) -> std::optional<std::string> {
                  if (!isTarget(text))
                    return "expected cpu or cuda:sm_NN";
                  compile.target = text.str();
                  return std::nullopt;
                });
  options.value("--triple", "x86_64-linux-gnu|aarch64-linux-gnu",
                "the machine that the library runs on (default: this one's)", compile.triple);
  options.value(
      "--cpu", "native|x86-64-v3|...",
      "the oldest CPU that the library must run on: native, generic, x86-64-v2, -v3, -v4, armv8.2-a, ... or a name of "
      "LLVM's (default: native; generic for another machine's triple)",
      compile.cpu);
  options.value("--sysroot", "DIR", "where the C library of the triple is installed (default: where Debian puts it)",
                compile.sysroot);
  declareTraining(options, line);
  options.heading("looking inside");
  std::vector<std::string> words;
  for (const Emit &emit : emits)
    if (emit.word)
      words.push_back(emit.word);
  options.choice("--emit", "stop there and write the program as it is then", line.emit, words);
  options.value("--save-stages", "DIR", "write the program after every pass into this directory", compile.saveStages);
  options.optionalValue(
      "--report", listReports(","),
      "print pages about the compilation: the model, what its nodes became, its kernels, where memory "
      "and the time of the compilation go (default: all)",
      [&line](StringRef text) {
        line.isReported = true;
        return readReports(text, line.compile.reports);
      });
  options.value("--report-file", "FILE", "write them there instead of to standard error", line.reportFile);
  options.flag("--naive-kernels", "every kernel as plain loops: the reference of tests", compile.naiveKernels);
  options.hideLast();
  options.flag("--quiet", "no progress on the terminal", line.isQuiet);
  options.epilogue("examples:\n"
                   "  mlc compile model.onnx -o model.so\n"
                   "  mlc compile model.onnx -o libmodel.a --cpu=x86-64-v3 --dim batch=1\n"
                   "  mlc compile model.onnx -o model.so --triple=aarch64-linux-gnu --cpu=cortex-a76\n"
                   "  mlc compile model.onnx -o trainer.so --train --loss=cross_entropy --optimizer=adam\n"
                   "  mlc compile model.onnx --emit=core");
}

/// A path in a rule of make.
std::string escapedForMake(StringRef path) {
  std::string text;
  for (char c : path) {
    if (c == ' ' || c == '#' || c == '\\')
      text += '\\';
    text += c == '$' ? "$$" : std::string(1, c);
  }
  return text;
}

/// "model.o: model.onnx weights.bin": for build systems.
llvm::Error writeDepfile(const CommandLine &line, llvm::ArrayRef<std::string> files) {
  auto escaped = llvm::map_to_vector(files, [](StringRef file) { return escapedForMake(file); });
  return writeFile(line.depfile, escapedForMake(line.output) + ": " + llvm::join(escaped, " \\\n  ") + "\n");
}

std::string besideModel(StringRef model, StringRef location) {
  llvm::SmallString<256> path(llvm::sys::path::parent_path(model));
  llvm::sys::path::append(path, location);
  return path.str().str();
}

/// What to write, from --emit and the output's suffix; an error text if they say nothing or contradict each other.
std::optional<std::string> chooseEmit(CommandLine &line) {
  StringRef suffix = llvm::sys::path::extension(line.output);
  for (const Emit &emit : emits) {
    bool isChosen = line.emit.empty() ? suffix == emit.suffix && !suffix.empty() : emit.word && line.emit == emit.word;
    if (!isChosen)
      continue;
    line.compile.emit = emit.kind;
    if (line.output.empty()) {
      if (emit.kind == EmitKind::Object)
        return "--emit=obj needs an output: -o FILE.o";
      line.output = "-";
    }
    return std::nullopt;
  }
  return line.output.empty()
             ? "no output is given: -o FILE.so, FILE.a or FILE.o, or --emit"
             : "the output \"" + line.output + "\" ends with none of .so, .a, .o and .weights, and there is no --emit";
}

/// What the outputs must not be: each other, or what the model is read from.
std::optional<std::string> findCollision(llvm::ArrayRef<std::string> outputs, llvm::ArrayRef<std::string> inputs) {
  auto isSame = [](StringRef a, StringRef b) { return a != "-" && (a == b || llvm::sys::fs::equivalent(a, b)); };
  for (auto [index, output] : llvm::enumerate(outputs)) {
    for (StringRef input : inputs)
      if (isSame(output, input))
        return "the output " + output + " is " + (input == inputs.front() ? "the model itself" : "data of the model");
    for (StringRef other : outputs.drop_front(index + 1))
      if (isSame(output, other))
        return "two outputs are the same file: " + output;
  }
  return std::nullopt;
}

std::vector<std::string> outputsOf(const CommandLine &line) {
  std::vector<std::string> outputs = mlc::outputsOf(line.compile, line.output);
  for (const std::string &path : {line.depfile, line.reportFile})
    if (!path.empty())
      outputs.push_back(path);
  return outputs;
}

/// What cannot be written is told before the work, not after it.
llvm::Error checkOutputs(const CommandLine &line) {
  for (const std::string &output : mlc::outputsOf(line.compile, line.output))
    if (llvm::Error error = checkOutput(output, /*mayBeDevice=*/isText(line.compile.emit)))
      return error;
  for (const std::string &output : {line.depfile, line.reportFile})
    if (llvm::Error error = output.empty() ? llvm::Error::success() : checkOutput(output, /*mayBeDevice=*/true))
      return error;
  return line.compile.saveStages.empty() ? llvm::Error::success() : makeFolder(line.compile.saveStages);
}

int compileModel(const CommandLine &line, Progress &progress) {
  StringRef model = line.models.front();
  line.compile.clock->enter(Stage::Read);
  mlir::DialectRegistry registry;
  registerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.printOpOnDiagnostic(false); // users know nodes, not operations
  ModelDiagnostics diagnostics(context, model, progress.errors());
  auto fail = [&](const llvm::Twine &text) {
    progress.errors() << "mlc compile: error: " << text << '\n';
    return Failed;
  };
  auto module = importOnnx(model, line.compile, context);
  std::vector<std::string> files{model.str()};
  if (module)
    for (StringRef location : onnx::sourceOf(*module).externalData)
      files.push_back(besideModel(model, location));
  if (auto collision = findCollision(outputsOf(line), files))
    return fail(*collision);
  if (module && mlir::succeeded(compileModule(*module, line.compile, line.output))) {
    llvm::Error error = line.depfile.empty() ? llvm::Error::success() : writeDepfile(line, files);
    return error ? fail(llvm::toString(std::move(error))) : Success;
  }
  if (diagnostics.errorCount() == 0)
    progress.errors() << llvm::sys::path::filename(model) << ": error: compilation failed\n";
  return diagnostics.isUnsupportedOnly() ? Unsupported : Failed;
}

} // namespace

int mlc::compileCommand(Arguments arguments) {
  CommandLine line;
  Options options(
      "mlc compile", "mlc compile MODEL.onnx -o FILE.so [OPTIONS]",
      "Makes a native library of an ONNX model, with a C header and a manifest beside it. The library needs libc and "
      "libm, nothing else.");
  declare(options, line);
  if (auto code = options.parse(arguments))
    return *code;
  if (auto error = chooseEmit(line))
    return options.usageError(*error);
  if (auto code = checkNeeds(options, line))
    return *code;
  if (auto collision = findCollision(outputsOf(line), line.models))
    return options.usageError(*collision);
  if (llvm::Error error = checkOutputs(line)) {
    llvm::errs() << "mlc compile: error: " << llvm::toString(std::move(error)) << '\n';
    return Failed;
  }

  Progress progress(line.isQuiet || line.output == "-");
  StageClock clock;
  clock.onEnter = [&](Stage stage) { progress.show(stageText(stage), int64_t(stage) + 1, kStageCount); };
  line.compile.clock = &clock;
  if ((line.isReported || !line.reportFile.empty()) && line.compile.reports.empty())
    for (const ReportPage &page : reportPages())
      line.compile.reports.insert(page.word);
  std::string report;
  llvm::raw_string_ostream reportStream(report);
  line.compile.reportStream = &reportStream;
  int code = compileModel(line, progress);
  if (line.reportFile.empty()) {
    progress.errors() << report;
    return code;
  }
  if (llvm::Error error = writeFile(line.reportFile, report)) {
    progress.errors() << "mlc compile: error: " << llvm::toString(std::move(error)) << '\n';
    return Failed;
  }
  return code;
}
