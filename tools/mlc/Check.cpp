// mlc check: every unsupported node of one or more models in a table, without compiling anything.
#include "Commands.h"
#include "Options.h"
#include "compiler/Compile.h"
#include "compiler/Import/Diagnostics.h"
#include "compiler/Table.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/PrettyStackTrace.h"

using namespace mlc;

static void printUnsupported(const std::vector<UnsupportedNode> &nodes) {
  Table table({"node", "operator", "opset", "what is not supported"});
  llvm::MapVector<llvm::StringRef, int> counts;
  for (const UnsupportedNode &node : nodes) {
    std::string op = node.domain.empty() || node.domain == "ai.onnx" ? node.op : node.domain + "." + node.op;
    table.add({printable(node.node), printable(op), std::to_string(node.opset), printable(node.reason)});
    ++counts[node.op];
  }
  table.print(llvm::outs());
  llvm::outs() << '\n' << nodes.size() << (nodes.size() == 1 ? " node is" : " nodes are") << " not supported:";
  auto sorted = counts.takeVector();
  llvm::sort(sorted, [](auto &a, auto &b) { return std::pair(-a.second, a.first) < std::pair(-b.second, b.first); });
  for (auto [index, entry] : llvm::enumerate(sorted))
    llvm::outs() << (index ? ", " : " ") << printable(entry.first) << " (" << entry.second << ')';
  llvm::outs() << '\n';
}

static int checkModel(llvm::StringRef path, const CompileOptions &options) {
  llvm::PrettyStackTraceFormat trace("checking the model %s", path.str().c_str());
  mlir::DialectRegistry registry;
  registerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.printOpOnDiagnostic(false); // users know nodes, not operations
  ModelDiagnostics diagnostics(context, path, llvm::errs());
  CompileOptions all = options;
  all.keepsGoing = true;
  auto module = importOnnx(path, all, context);
  if (!module)
    return diagnostics.isUnsupportedOnly() ? Unsupported : Failed;
  std::vector<UnsupportedNode> unsupported;
  bool isFine = mlir::succeeded(decomposeOnnx(*module, unsupported));
  if (!unsupported.empty())
    printUnsupported(unsupported);
  if (diagnostics.errorCount() > 0 && !diagnostics.isUnsupportedOnly())
    return Failed;
  if (diagnostics.errorCount() > 0 || !unsupported.empty())
    return Unsupported;
  return isFine ? Success : Failed;
}

int mlc::checkCommand(Arguments arguments) {
  std::vector<std::string> models;
  CompileOptions compile;
  Options options(
      "mlc check", "mlc check MODEL.onnx... [OPTIONS]",
      "Reads models and tells everything in them that mlc does not support: node, operator, opset version and "
      "reason. With several models the exit code is the worst one.");
  options.positional("MODEL.onnx...", "one or more models", models, 1, SIZE_MAX);
  options.values("--dim", "NAME=SIZE[,...]", "make a symbolic dimension constant",
                 [&](llvm::StringRef text) { return readDims(text, compile.dims); });
  options.values("--shape", "INPUT=1x3x224x224", "the shape of an input, \"?\" for a size that stays dynamic",
                 [&](llvm::StringRef text) { return readShape(text, compile.shapes); });
  options.epilogue("exit codes: 0 everything is supported; 1 a model is malformed; 2 something is not supported");
  if (auto code = options.parse(arguments))
    return *code;
  int worst = Success, counts[3] = {};
  for (const std::string &model : models) {
    // The name first: should a model ever crash mlc, this is the last line.
    if (models.size() > 1) {
      llvm::outs() << "== " << printable(model) << '\n';
      llvm::outs().flush();
    }
    int code = checkModel(model, compile);
    ++counts[code];
    worst = code == Failed || worst == Failed ? int(Failed) : std::max(code, worst);
    if (code == Success)
      llvm::outs() << printable(model) << ": every node is supported\n";
    llvm::outs().flush();
  }
  if (models.size() > 1)
    llvm::outs() << "== " << models.size() << " models: " << counts[Success] << " supported, " << counts[Unsupported]
                 << " not supported, " << counts[Failed] << " malformed\n";
  return worst;
}
