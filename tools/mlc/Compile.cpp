// mlc compile: options to CompileOptions, a file name to an EmitKind; the work is in compiler/Compile.h.
#include "compiler/Compile.h"
#include "Commands.h"
#include "Inputs.h"
#include "Options.h"
#include "Progress.h"
#include "compiler/Import/Diagnostics.h"
#include "compiler/Report/Report.h"
#include "compiler/StageClock.h"
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

std::optional<std::string> readReports(StringRef text, llvm::StringSet<> &reports) {
  llvm::SmallVector<StringRef> parts;
  text.split(parts, ',', /*MaxSplit=*/-1, /*KeepEmpty=*/false);
  for (StringRef part : parts.empty() ? llvm::SmallVector<StringRef>(reportPages()) : parts) {
    if (!llvm::is_contained(reportPages(), part))
      return "expected a list of " + llvm::join(reportPages(), ", ") + ", found \"" + part.str() + "\"";
    reports.insert(part);
  }
  return std::nullopt;
}

struct CommandLine {
  std::vector<std::string> models;
  std::string output, emit, depfile;
  CompileOptions compile;
  std::string reportFile;
  bool isQuiet = false;
  std::string trainingOption; // the first one that was given without --train
};

void declareTraining(Options &options, CommandLine &line) {
  TrainOptions &train = line.compile.train;
  auto note = [&line](StringRef name) {
    if (line.trainingOption.empty())
      line.trainingOption = name.str();
  };
  auto choice = [&](StringRef name, StringRef help, std::string &target, std::vector<std::string> choices) {
    std::string list = llvm::join(choices, "|");
    options.value(name, list, help, [&target, note, name, choices](StringRef text) -> std::optional<std::string> {
      note(name);
      if (!llvm::is_contained(choices, text))
        return "expected one of " + llvm::join(choices, ", ");
      target = text.str();
      return std::nullopt;
    });
  };
  auto number = [&](StringRef name, StringRef help, double &target) {
    options.value(name, "NUMBER", help, [&target, note, name](StringRef text) -> std::optional<std::string> {
      note(name);
      double value;
      if (text.getAsDouble(value) || !(value >= 0 && value <= 1e30))
        return "expected a number of at least 0";
      target = value;
      return std::nullopt;
    });
  };
  options.heading("training");
  options.flag("--train", "also export train_step: loss, gradients and optimizer in the library", train.enabled);
  choice("--loss", "what train_step minimises (default: cross_entropy)", train.loss, {"cross_entropy", "mse"});
  choice("--optimizer", "how it updates the parameters (default: sgd)", train.optimizer, {"sgd", "adam"});
  number("--learning-rate", "default: 0.05 for sgd, 0.001 for adam", train.learningRate);
  number("--momentum", "of sgd (default: 0)", train.momentum);
  options.value(
      "--trainable", "PATTERN",
      "initializers to train, by name, '*' matches anything; may be repeated (default: every floating-point one)",
      [&train, note](StringRef text) -> std::optional<std::string> {
        note("--trainable");
        if (text.empty())
          return "expected a name or a pattern";
        train.trainable.push_back(text.str());
        return std::nullopt;
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
  options.value("--dim", "NAME=SIZE[,...]", "make a symbolic dimension of the model constant; may be repeated",
                [&compile](StringRef text) { return readDims(text, compile.dims); });
  options.value("--shape", "INPUT=1x3x224x224",
                "the shape of an input, \"?\" for a size that stays dynamic; may be repeated",
                [&compile](StringRef text) { return readShape(text, compile.shapes); });
  options.value(
      "--input-value", "INPUT=@FILE.npy|.pb",
      "make an input constant: the library has no such input, and what depends on it (axes, new shapes, sizes) "
      "is known to the compiler; may be repeated",
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
      "--report", llvm::join(reportPages(), ","),
      "print pages about the compilation: the model, what its nodes became, its kernels, where memory "
      "and the time of the compilation go (default: all)",
      [&compile](StringRef text) { return readReports(text, compile.reports); });
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
mlir::LogicalResult writeDepfile(const CommandLine &line, llvm::ArrayRef<std::string> externalData) {
  StringRef model = line.models.front();
  std::error_code error;
  llvm::raw_fd_ostream os(line.depfile, error);
  if (!error) {
    os << escapedForMake(line.output) << ": " << escapedForMake(model);
    for (const std::string &location : externalData) {
      llvm::SmallString<256> path(llvm::sys::path::parent_path(model));
      llvm::sys::path::append(path, location);
      os << " \\\n  " << escapedForMake(path);
    }
    os << '\n';
    os.close();
    error = os.error();
    os.clear_error();
  }
  if (!error)
    return mlir::success();
  llvm::errs() << line.depfile << ": error: cannot be written: " << error.message() << '\n';
  return mlir::failure();
}

/// The files beside the model that hold its weights, which importOnnx names.
std::vector<std::string> externalDataOf(mlir::ModuleOp module) {
  std::vector<std::string> locations;
  if (auto names = module->getAttrOfType<mlir::ArrayAttr>("onnx.external_data"))
    for (auto name : names.getAsRange<mlir::StringAttr>())
      locations.push_back(name.str());
  return locations;
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

int compileModel(const CommandLine &line, Progress &progress) {
  StringRef model = line.models.front();
  line.compile.clock->enter(Stage::Read);
  mlir::DialectRegistry registry;
  registerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.printOpOnDiagnostic(false); // users know nodes, not operations
  ModelDiagnostics diagnostics(context, model, progress.errors());
  auto module = importOnnx(model, line.compile, context);
  auto externalData = module ? externalDataOf(*module) : std::vector<std::string>();
  if (module && mlir::succeeded(compileModule(*module, line.compile, line.output)))
    return line.depfile.empty() || mlir::succeeded(writeDepfile(line, externalData)) ? Success : Failed;
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
  bool isLibrary = llvm::is_contained({EmitKind::Library, EmitKind::Archive, EmitKind::Object}, line.compile.emit);
  if (!line.compile.weightsFile.empty() && !isLibrary)
    return options.usageError("option --weights needs a library as output: -o FILE.so, FILE.a or FILE.o");
  if (!line.depfile.empty() && line.output == "-")
    return options.usageError("option --depfile needs an output: -o FILE");
  if (!line.trainingOption.empty() && !line.compile.train.enabled)
    return options.usageError("option " + line.trainingOption + " needs --train");
  StringRef model = line.models.front();
  if (line.output != "-" && llvm::sys::fs::equivalent(model, line.output))
    return options.usageError("the output is the model itself");

  Progress progress(line.isQuiet || line.output == "-");
  StageClock clock;
  clock.onEnter = [&](Stage stage) { progress.show(stageText(stage), int64_t(stage) + 1, kStageCount); };
  line.compile.clock = &clock;
  std::error_code reportError;
  llvm::raw_fd_ostream reportFile(line.reportFile.empty() ? "/dev/null" : line.reportFile, reportError);
  if (reportError)
    return options.usageError("--report-file " + line.reportFile + ": " + reportError.message());
  if (!line.reportFile.empty() && line.compile.reports.empty())
    readReports("", line.compile.reports);
  line.compile.reportStream = line.reportFile.empty() ? &progress.errors() : &reportFile;
  int code = compileModel(line, progress);
  reportFile.close();
  if (!reportFile.has_error())
    return code;
  progress.errors() << "mlc compile: error: --report-file " << line.reportFile << ": " << reportFile.error().message()
                    << '\n';
  reportFile.clear_error(); // or the destructor ends the process
  return Failed;
}
