// See NodeOrder.h. Kahn's algorithm; of the nodes that may come next, the one that is first in the file does.
#include "compiler/Import/NodeOrder.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include <queue>

using namespace llvm;
using namespace mlc;
using pb::GraphProto;
using pb::NodeProto;

/// Calls `use` with every name that the node reads, those included that its subgraphs take from around them.
static void forEachUse(const NodeProto &node, function_ref<void(StringRef)> use) {
  for (const std::string &name : node.input())
    if (!name.empty())
      use(name);
  for (const auto &attribute : node.attribute()) {
    if (!attribute.has_g())
      continue;
    const GraphProto &graph = attribute.g();
    StringSet<> own;
    for (const auto &input : graph.input())
      own.insert(input.name());
    for (const auto &tensor : graph.initializer())
      own.insert(tensor.name());
    for (const NodeProto &inner : graph.node())
      own.insert_range(inner.output());
    auto useOuter = [&](StringRef name) {
      if (!own.contains(name))
        use(name);
    };
    for (const NodeProto &inner : graph.node())
      forEachUse(inner, useOuter);
    for (const auto &output : graph.output())
      useOuter(output.name());
  }
}

/// One of the cycles among nodes that wait: from any of them, what it waits for leads back to a node seen before.
static SmallVector<int> cycleOf(ArrayRef<SmallVector<int>> makers, ArrayRef<int> waiting) {
  int node = int(llvm::find_if(waiting, [](int count) { return count > 0; }) - waiting.begin());
  SmallVector<int> path;
  SmallVector<int> placeOf(waiting.size(), -1);
  while (placeOf[node] < 0) {
    placeOf[node] = int(path.size());
    path.push_back(node);
    node = *llvm::find_if(makers[node], [&](int maker) { return waiting[maker] > 0; });
  }
  return SmallVector<int>(ArrayRef(path).drop_front(placeOf[node]));
}

NodeOrder mlc::orderOf(const google::protobuf::RepeatedPtrField<NodeProto> &nodes,
                       function_ref<bool(StringRef)> isKnown) {
  StringMap<int> makerOf;
  for (auto [index, node] : llvm::enumerate(nodes))
    for (const std::string &name : node.output())
      if (!name.empty())
        makerOf.try_emplace(name, int(index));
  SmallVector<SmallVector<int>> makers(nodes.size()), users(nodes.size());
  SmallVector<int> waiting(nodes.size(), 0); // how many makers are still to come
  std::priority_queue<int, std::vector<int>, std::greater<int>> ready;
  for (auto [index, node] : llvm::enumerate(nodes)) {
    forEachUse(node, [&](StringRef name) {
      if (auto maker = makerOf.find(name); maker != makerOf.end() && !isKnown(name))
        makers[index].push_back(maker->second);
    });
    llvm::sort(makers[index]);
    makers[index].erase(llvm::unique(makers[index]), makers[index].end());
    for (int maker : makers[index])
      users[maker].push_back(int(index));
    waiting[index] = int(makers[index].size());
    if (waiting[index] == 0)
      ready.push(int(index));
  }
  NodeOrder order;
  while (!ready.empty()) {
    int node = ready.top();
    ready.pop();
    order.nodes.push_back(node);
    for (int user : users[node])
      if (--waiting[user] == 0)
        ready.push(user);
  }
  if (order.nodes.size() < size_t(nodes.size()))
    order.cycle = cycleOf(makers, waiting);
  return order;
}
