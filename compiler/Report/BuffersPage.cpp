// Which intermediate results make the workspace: those alive together at the moment that needs most, by the order of the kernels.
#include "compiler/Report/Report.h"
#include "compiler/Table.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace {

struct Buffer {
  MemRefType type;
  std::string writer; // nodes of the first kernel that uses it
  double bytes = 0;
  int64_t first = -1, last = -1; // calls
};

/// Calls that use a buffer, also through views.
void collectCalls(Value value, SmallVectorImpl<Operation *> &calls) {
  for (Operation *user : value.getUsers()) {
    if (isa<func::CallOp>(user))
      calls.push_back(user);
    else if (isa<ViewLikeOpInterface>(user) || isa<memref::ReshapeOp>(user))
      for (Value result : user->getResults())
        collectCalls(result, calls);
  }
}

std::vector<Buffer> collectBuffers(func::FuncOp main, const llvm::StringSet<> &nodes, bool &isAssumed) {
  llvm::DenseMap<Operation *, int64_t> order;
  main.walk([&](func::CallOp call) { order.try_emplace(call, order.size()); });
  std::vector<Buffer> buffers;
  main.walk([&](memref::AllocOp alloc) {
    SmallVector<Operation *> calls;
    collectCalls(alloc, calls);
    if (calls.empty())
      return;
    llvm::sort(calls, [&](Operation *a, Operation *b) { return order[a] < order[b]; });
    Buffer buffer{alloc.getType(), "", 0, order[calls.front()], order[calls.back()]};
    buffer.bytes =
        mlc::elementsOf(buffer.type, isAssumed) * double(llvm::divideCeil(buffer.type.getElementTypeBitWidth(), 8));
    for (Operation *call : calls) {
      auto names = mlc::nodesOf(call, nodes);
      if (!names.empty()) {
        buffer.writer = mlc::listText(names, 2);
        break;
      }
    }
    buffers.push_back(std::move(buffer));
  });
  return buffers;
}

std::string typeText(MemRefType type) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << type.getElementType() << '[';
  llvm::interleave(
      type.getShape(), os,
      [&](int64_t size) {
        if (ShapedType::isDynamic(size))
          os << '?';
        else
          os << size;
      },
      ",");
  os << ']';
  return text;
}

} // namespace

std::string mlc::buffersPage(ModuleOp module, const llvm::StringSet<> &nodes) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  bool isAssumed = false;
  std::vector<Buffer> buffers = collectBuffers(main, nodes, isAssumed);
  std::vector<const Buffer *> alive;
  double most = 0;
  for (const Buffer &moment : buffers) { // the largest sum is reached where a buffer begins
    std::vector<const Buffer *> now;
    double bytes = 0;
    for (const Buffer &buffer : buffers)
      if (buffer.first <= moment.first && moment.first <= buffer.last) {
        now.push_back(&buffer);
        bytes += buffer.bytes;
      }
    if (bytes > most) {
      most = bytes;
      alive = std::move(now);
    }
  }
  if (alive.empty())
    return "No intermediate result needs workspace.\n\n";
  llvm::sort(alive, [](auto *a, auto *b) { return std::pair(-a->bytes, a) < std::pair(-b->bytes, b); });
  std::string text;
  llvm::raw_string_ostream os(text);
  constexpr size_t shownMax = 12;
  os << "Most workspace is needed at kernel call "
     << (*llvm::max_element(alive, [](auto *a, auto *b) { return a->first < b->first; }))->first + 1 << ": "
     << bytesText(most, isAssumed) << " in " << alive.size() << " of " << buffers.size() << " buffers\n";
  Table table({"size", "type", "first used with"});
  for (const Buffer *buffer : ArrayRef(alive).take_front(shownMax))
    table.add({bytesText(buffer->bytes, !buffer->type.hasStaticShape()), typeText(buffer->type),
               buffer->writer.empty() ? "(data movement)" : buffer->writer});
  table.print(os);
  if (alive.size() > shownMax)
    os << "and " << alive.size() - shownMax << " smaller ones\n";
  os << '\n';
  return text;
}
