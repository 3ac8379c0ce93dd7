// mlc: the command line. Here are only the table of commands and the top-level help.
#include "Commands.h"
#include "Options.h"
#include "compiler/Emit/Files.h"
#include "compiler/Version.h"
#include "mlc/mlc.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlc;

namespace {
struct Command {
  const char *name, *summary;
  int (*run)(Arguments);
};
} // namespace

static const Command commands[] = {
    {"compile", "make a native library of an ONNX model", compileCommand},
    {"check", "tell which nodes of models are not supported, without compiling", checkCommand},
    {"info", "describe a model or a compiled library", infoCommand},
    {"run", "run a compiled library on tensors from files, or random ones", runCommand},
    {"verify", "compare a model's library, and each node alone, with an independent reference", verifyCommand},
    {"bench", "measure how long a compiled library takes", benchCommand},
    {"ops", "list the ONNX operators that mlc has", opsCommand},
};

static void printHelp(llvm::raw_ostream &os) {
  os << "usage: mlc COMMAND [OPTIONS]\n\n"
        "Compiles ONNX models into native libraries.\n\n"
        "commands:\n";
  for (const Command &command : commands)
    os << "  " << llvm::formatv("{0,-10}", command.name) << command.summary << '\n';
  os << "\n  mlc COMMAND --help           options of a command\n"
        "  mlc --version                version of mlc, LLVM and the library interface\n\n"
        "exit codes: 0 done; 1 failed, or the input is bad; 2 the model has nodes that mlc does not support; 64 wrong "
        "usage\n";
}

/// What went to standard output must have arrived.
static int finish(int code) {
  llvm::outs().flush();
  std::error_code failed = llvm::outs().error();
  llvm::outs().clear_error(); // or the stream's destructor ends the process
  if (!failed)
    return code;
  llvm::errs() << "mlc: error: standard output: cannot be written: " << failed.message() << '\n';
  return code == Success ? int(Failed) : code;
}

int main(int argc, char **argv) {
  handleSignals();
  llvm::InitLLVM init(argc, argv);
  llvm::setBugReportMsg(
      "mlc crashed. This is a defect of mlc, never of the model: please report it with the lines below.\n");
  llvm::SmallVector<llvm::StringRef> arguments(argv + 1, argv + argc);
  if (arguments.empty()) {
    printHelp(llvm::errs());
    return Usage;
  }
  llvm::StringRef name = arguments.front();
  llvm::StringRef help = "--help";
  if (name == "help" && arguments.size() == 2) { // mlc help COMMAND
    arguments = {arguments[1], help};
    name = arguments.front();
  }
  if (name == "--help" || name == "-h" || name == "help") {
    printHelp(llvm::outs());
    return finish(Success);
  }
  if (name == "--version") {
    llvm::outs() << "mlc " << MLC_VERSION << " (LLVM " << LLVM_VERSION_STRING << ", library interface "
                 << MLC_ABI_VERSION << ")\n";
    return finish(Success);
  }
  std::vector<std::string> names;
  for (const Command &command : commands) {
    if (name == command.name)
      return finish(command.run(llvm::ArrayRef(arguments).drop_front()));
    names.push_back(command.name);
  }
  std::string nearest = nearestWord(name, names);
  llvm::errs() << "mlc: error: unknown " << (name.starts_with("-") ? "option" : "command") << " \"" << name << '"'
               << (nearest.empty() ? "" : "; did you mean \"" + nearest + "\"?") << "\nmlc: see mlc --help\n";
  return Usage;
}
