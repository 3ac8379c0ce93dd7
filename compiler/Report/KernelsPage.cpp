// The page of kernels: which nodes each holds, how it is made, and what it costs by a simple model of the machine.
#include "compiler/Report/Report.h"
#include "compiler/Table.h"
#include "dialects/sched/Kernel.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using mlc::sched::Kind;

namespace {

struct Cost {
  double flops = 0, bytes = 0, cycles = 0; // of one call
  bool isAssumed = false;                  // a size is not known: it counts as 128
};

/// Scalar operations of one iteration; functions count for what their expansion takes.
double operationsOf(linalg::GenericOp op) {
  constexpr double functionOperations = 15;
  double count = 0;
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (isa<math::MathDialect>(inner.getDialect()))
      count += isa<math::AbsFOp, math::AbsIOp, math::FloorOp, math::CeilOp, math::RoundEvenOp>(inner)
                   ? 1
                   : functionOperations;
    else if (isa<arith::ArithDialect>(inner.getDialect()))
      count += !isa<arith::ConstantOp, arith::ExtFOp, arith::TruncFOp, arith::IndexCastOp>(inner);
  }
  return count;
}

/// The larger of arithmetic (contractions: two fused multiply-adds a cycle, else one operation) and data (16 bytes a cycle).
Cost costOf(func::FuncOp kernel, const mlc::Machine &machine) {
  Cost cost;
  auto kind = mlc::sched::kindOf(kernel);
  bool isScalar = llvm::is_contained({Kind::Loops, Kind::Lowered, Kind::Naive}, *kind);
  double lanes = isScalar ? 1 : double(machine.vectorBytes) / 4;
  double perCycle = lanes * (kind == Kind::Contract ? 4 : 1);
  kernel.walk([&](linalg::GenericOp op) {
    double iterations = 1;
    for (int64_t size : op.getStaticLoopRanges()) {
      cost.isAssumed |= ShapedType::isDynamic(size);
      iterations *= ShapedType::isDynamic(size) ? 128 : double(size);
    }
    cost.flops += iterations * operationsOf(op);
  });
  for (Type type : kernel.getArgumentTypes())
    if (auto memref = dyn_cast<MemRefType>(type))
      cost.bytes +=
          mlc::elementsOf(memref, cost.isAssumed) * double(llvm::divideCeil(memref.getElementTypeBitWidth(), 8));
  cost.cycles = std::max(cost.flops / perCycle, cost.bytes / 16);
  return cost;
}

std::string tilingText(func::FuncOp kernel) {
  auto tiling = mlc::sched::tilingOf(kernel);
  auto kind = mlc::sched::kindOf(kernel);
  if (!tiling)
    return kind == Kind::Lowered ? "loops of its own"
           : kind == Kind::Check ? "a thread for each element"
                                 : "scalar loops";
  std::string lanes = std::to_string(tiling.getVectors()) + " vectors of " + std::to_string(tiling.getLanes());
  std::string text =
      kind == Kind::Contract ? "register tile of " + std::to_string(tiling.getRows()) + " rows x " + lanes : lanes;
  bool isCut = llvm::any_of(tiling.getTask(), [](int64_t size) { return size != 0; });
  return text + (isCut ? ", many tasks" : ", one task");
}

StringRef kindText(Kind kind) {
  switch (kind) {
  case Kind::Contract:
    return "sums of products";
  case Kind::Rows:
    return "row by row";
  case Kind::Pointwise:
    return "element by element";
  case Kind::Loops:
    return "plain loops";
  case Kind::Lowered:
    return "sort, scan or scatter";
  case Kind::Check:
    return "check of a range";
  case Kind::Naive:
    return "naive";
  }
  return "";
}

struct Row {
  std::string name, kind, shape;
  int64_t calls = 0;
  Cost cost;
  std::vector<std::string> nodes;
};

void addNames(std::vector<std::string> &names, std::vector<std::string> more) {
  for (std::string &name : more)
    if (!llvm::is_contained(names, name))
      names.push_back(std::move(name));
}

} // namespace

std::string mlc::kernelsPage(ModuleOp module, const Machine &machine, const llvm::StringSet<> &nodes) {
  llvm::MapVector<StringRef, Row> rows;
  for (auto kernel : module.getOps<func::FuncOp>())
    if (auto kind = sched::kindOf(kernel))
      rows[kernel.getName()] = {kernel.getName().str(),  kindText(*kind).str(), tilingText(kernel), 0,
                                costOf(kernel, machine), nodesOf(kernel, nodes)};
  module.walk([&](func::CallOp call) {
    auto found = rows.find(call.getCallee());
    if (found == rows.end())
      return;
    ++found->second.calls;
    addNames(found->second.nodes, nodesOf(call, nodes));
  });
  auto entries = rows.takeVector();
  auto cycles = [](const Row &row) { return row.cost.cycles * double(row.calls); };
  double total = 0;
  std::vector<const Row *> sorted;
  for (auto &[name, row] : entries) {
    total += cycles(row);
    sorted.push_back(&row);
  }
  // Equal ones in the order of the program, which their places in `entries` have.
  llvm::sort(sorted, [&](const Row *a, const Row *b) { return std::pair(-cycles(*a), a) < std::pair(-cycles(*b), b); });

  std::string text;
  llvm::raw_string_ostream os(text);
  Table table({"kernel", "calls", "share", "operations", "bytes", "kind", "how", "nodes"});
  for (const Row *entry : sorted) {
    const Row &row = *entry;
    double share = total > 0 ? 100 * cycles(row) / total : 0;
    table.add({row.name, std::to_string(row.calls), llvm::formatv("{0} %", llvm::format("%4.1f", share)).str(),
               countText(row.cost.flops * double(row.calls), row.cost.isAssumed),
               bytesText(row.cost.bytes * double(row.calls), row.cost.isAssumed), row.kind, row.shape,
               row.nodes.empty() ? "(moves or fills data)" : listText(row.nodes, 4)});
  }
  table.print(os);
  os << "\nThe share is an estimate of the time: the larger of arithmetic and data, as the machine \"" << machine.name
     << "\" could do it. Operations and bytes are of all calls in one run"
     << (llvm::any_of(sorted, [](const Row *row) { return row->cost.isAssumed; })
             ? "; ~ where a size is not known: it counts as 128.\n"
             : ".\n");
  return text;
}
