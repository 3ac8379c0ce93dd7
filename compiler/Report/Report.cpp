// See Report.h. Here: the pages that need no look into kernels, and the words that all share.
#include "compiler/Report/Report.h"
#include "compiler/Import/Diagnostics.h"
#include "compiler/StageClock.h"
#include "compiler/Table.h"
#include "dialects/core/Core.h"
#include "dialects/onnx/Onnx.h"
#include "dialects/onnx/Signature.h"
#include "dialects/rt/Program.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

ArrayRef<mlc::ReportPage> mlc::reportPages() {
  static const ReportPage pages[] = {{"model", EmitKind::Onnx},
                                     {"ops", EmitKind::Core},
                                     {"groups", EmitKind::Tiled},
                                     {"memory", EmitKind::Tiled},
                                     {"time", EmitKind::Onnx}};
  return pages;
}

static void heading(llvm::raw_ostream &os, StringRef title) { os << "== " << title << "\n\n"; }

mlc::Report::~Report() {
  if (wants("time"))
    addTimes();
  if (options.reportStream)
    *options.reportStream << text;
}

// ---- words -------------------------------------------------------------------------------------------------------------------

static std::string scaledText(double value, ArrayRef<StringRef> units, double step) {
  size_t unit = 0;
  for (; value >= step && unit + 1 < units.size(); ++unit)
    value /= step;
  const char *format = unit == 0 ? "%.0f" : value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f";
  return llvm::formatv("{0} {1}", llvm::format(format, value), units[unit]).str();
}

std::string mlc::bytesText(double bytes, bool isAssumed) {
  return (isAssumed ? "~" : "") + scaledText(bytes, {"B", "KB", "MB", "GB", "TB"}, 1000);
}
std::string mlc::countText(double count, bool isAssumed) {
  return (isAssumed ? "~" : "") + StringRef(scaledText(count, {"", "k", "M", "G", "T"}, 1000)).rtrim().str();
}

double mlc::elementsOf(ShapedType type, bool &isAssumed) {
  constexpr double typicalSize = 128; // as the planner's
  double count = 1;
  for (int64_t size : type.getShape()) {
    isAssumed |= ShapedType::isDynamic(size);
    count *= ShapedType::isDynamic(size) ? typicalSize : double(size);
  }
  return count;
}

static void collectNames(Location location, const llvm::StringSet<> &nodes, llvm::SetVector<StringRef> &names) {
  if (auto name = dyn_cast<NameLoc>(location)) {
    if (nodes.contains(name.getName()))
      names.insert(name.getName());
    collectNames(name.getChildLoc(), nodes, names);
  } else if (auto fused = dyn_cast<FusedLoc>(location)) {
    for (Location part : fused.getLocations())
      collectNames(part, nodes, names);
  } else if (auto call = dyn_cast<CallSiteLoc>(location)) {
    collectNames(call.getCallee(), nodes, names);
    collectNames(call.getCaller(), nodes, names);
  }
}

std::vector<std::string> mlc::nodesOf(Operation *op, const llvm::StringSet<> &nodes) {
  llvm::SetVector<StringRef> names;
  op->walk<WalkOrder::PreOrder>([&](Operation *inner) { collectNames(inner->getLoc(), nodes, names); });
  std::vector<std::string> result;
  for (StringRef name : names)
    result.push_back(printable(name));
  return result;
}

std::string mlc::listText(ArrayRef<std::string> names, size_t shownMax) {
  std::string result = llvm::join(names.take_front(shownMax), ", ");
  if (names.size() > shownMax)
    result += " and " + std::to_string(names.size() - shownMax) + " more";
  return result;
}

// ---- pages -------------------------------------------------------------------------------------------------------------------

static std::string typeText(Type type, const mlc::onnx::Declaration &declared) {
  auto shaped = dyn_cast_or_null<RankedTensorType>(type);
  if (!shaped)
    return "";
  std::vector<std::string> sizes;
  for (auto [axis, size] : llvm::enumerate(shaped.getShape())) {
    StringRef symbol = declared.symbol(axis);
    sizes.push_back(!ShapedType::isDynamic(size) ? std::to_string(size)
                    : symbol.empty()             ? "?"
                                                 : mlc::printable(symbol));
  }
  std::string element;
  llvm::raw_string_ostream(element) << shaped.getElementType();
  return element + "[" + llvm::join(sizes, ",") + "]";
}

void mlc::Report::addModel() {
  llvm::StringMap<int64_t> counts;
  module.walk([&](onnx::NodeOp node) {
    ++counts[node.getOpType()];
    nodes.insert(nodeNameOf(node.getLoc()));
  });
  if (!wants("model"))
    return;
  llvm::raw_string_ostream os(text);
  auto main = module.lookupSymbol<func::FuncOp>("main");
  heading(os, "the model");
  Table values({"", "name", "type"});
  for (auto [i, type] : llvm::enumerate(main.getArgumentTypes())) {
    auto declared = onnx::Declaration::ofArgument(main, i);
    values.add({"input", printable(declared.name()), typeText(type, declared)});
  }
  for (unsigned i = 0; i < main.getNumResults(); ++i) {
    auto declared = onnx::Declaration::ofResult(main, i);
    values.add({"output", printable(declared.name()), typeText(declared.type(), declared)});
  }
  values.print(os);
  int64_t tensors = 0;
  double elements = 0, bytes = 0;
  module.walk([&](core::ConstantOp constant) {
    ++tensors;
    elements += double(constant.getType().getNumElements());
    bytes +=
        double(constant.getType().getNumElements()) * llvm::divideCeil(constant.getType().getElementTypeBitWidth(), 8);
  });
  os << "\nparameters: " << countText(elements) << " in " << tensors << " tensors, " << bytesText(bytes) << "\n\n";
  std::vector<std::pair<int64_t, std::string>> sorted; // most frequent first
  for (auto &entry : counts)
    sorted.emplace_back(-entry.second, entry.first().str());
  llvm::sort(sorted);
  Table operators({"nodes", "operator"});
  for (auto &[count, op] : sorted)
    operators.add({std::to_string(-count), printable(op)});
  operators.print(os);
  os << '\n';
}

void mlc::Report::addOps() {
  if (!wants("ops"))
    return;
  std::map<std::string, int64_t> counts;
  module.walk([&](Operation *op) { ++counts[op->getName().getStringRef().str()]; });
  llvm::raw_string_ostream os(text);
  heading(os, "what nodes became: core operations");
  Table table({"count", "operation"});
  for (auto &[name, count] : counts)
    if (StringRef(name).starts_with("core."))
      table.add({std::to_string(count), name});
  table.print(os);
  os << '\n';
}

void mlc::Report::addKernels(const Machine &machine) {
  if (wants("groups")) {
    llvm::raw_string_ostream os(text);
    heading(os, "kernels");
    os << kernelsPage(module, machine, nodes) << '\n';
  }
  if (wants("memory"))
    buffers = buffersPage(module, nodes);
}

void mlc::Report::addMemory() {
  if (!wants("memory"))
    return;
  llvm::raw_string_ostream os(text);
  heading(os, "memory");
  auto size = [](std::optional<int64_t> bytes) {
    return bytes ? std::pair(bytesText(double(*bytes)), std::to_string(*bytes) + " bytes")
                 : std::pair(std::string("?"), std::string("depends on symbolic dimensions"));
  };
  Table table({"what", "size", ""});
  auto line = [&](StringRef what, std::optional<int64_t> bytes) {
    auto [brief, exact] = size(bytes);
    table.add({what.str(), brief, exact});
  };
  line("weights", rt::weightsBytes(module));
  line("state", rt::stateBytes(module));
  line("workspace", rt::arenaBytes(module.lookupSymbol<func::FuncOp>("main")));
  if (auto step = module.lookupSymbol<func::FuncOp>("train_step"))
    line("training workspace", rt::arenaBytes(step));
  table.print(os);
  os << '\n' << buffers;
}

void mlc::Report::addTimes() {
  if (!options.clock)
    return;
  llvm::raw_string_ostream os(text);
  heading(os, "time of the compilation");
  Table table({"stage", "seconds"});
  double total = 0;
  for (size_t i = 0; i < kStageCount; ++i) {
    double seconds = options.clock->seconds(static_cast<Stage>(i));
    total += seconds;
    table.add({stageText(static_cast<Stage>(i)).str(), llvm::formatv("{0}", llvm::format("%7.3f", seconds)).str()});
  }
  table.add({"all", llvm::formatv("{0}", llvm::format("%7.3f", total)).str()});
  table.print(os);
  os << '\n';
}
