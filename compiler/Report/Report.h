// What --report tells a person of a compilation, one page for each question: what the model is, what its nodes became, which kernels
// there are, where memory goes, where the time of the compilation went. The same model gives the same pages, but for times.
#ifndef MLC_COMPILER_REPORT_REPORT_H
#define MLC_COMPILER_REPORT_REPORT_H
#include "compiler/Compile.h"
#include "compiler/Schedule/Tiling.h"

namespace mlc {

/// A page, by its word of --report.
struct ReportPage {
  llvm::StringRef word;
  EmitKind stage; // the first whose compilation makes the page
};
llvm::ArrayRef<ReportPage> reportPages();

class Report {
public:
  Report(mlir::ModuleOp module, const CompileOptions &options) : module(module), options(options) {}
  /// Writes the pages that were made, also of a compilation that has failed.
  ~Report();

  // Each makes its page, if it is wanted, of the module as it is at that moment.
  void addModel();                         // the onnx dialect
  void addOps();                           // core
  void addKernels(const Machine &machine); // kernels with plans, before buffers have places
  void addMemory();                        // after PlanMemory

private:
  bool wants(llvm::StringRef page) const { return options.reports.contains(page); }
  void addTimes();

  mlir::ModuleOp module;
  const CompileOptions &options;
  llvm::StringSet<> nodes; // names of the model's nodes
  std::string text, buffers;
};

// The pages that look into kernels, each in a file of its own.
std::string kernelsPage(mlir::ModuleOp module, const Machine &machine, const llvm::StringSet<> &nodes);
std::string buffersPage(mlir::ModuleOp module, const llvm::StringSet<> &nodes);

/// Names of the model's nodes that an operation and what is inside of it come from, in order, without repetitions.
std::vector<std::string> nodesOf(mlir::Operation *op, const llvm::StringSet<> &nodes);
/// "a, b, c and 3 more"
std::string listText(llvm::ArrayRef<std::string> names, size_t shownMax);
/// "12.3 MB"; "~" in front if a size was assumed.
std::string bytesText(double bytes, bool isAssumed = false);
std::string countText(double count, bool isAssumed = false);

/// Elements of a type; unknown sizes count as 128 and set `isAssumed`.
double elementsOf(mlir::ShapedType type, bool &isAssumed);

} // namespace mlc
#endif
