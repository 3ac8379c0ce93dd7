// GroupOps: which ops become one kernel. A group's members get the same `sched.group`; the first member carries
// `sched.kind`. Decides only; OutlineGroups makes the functions.
//
// A contraction takes one pointwise consumer that covers exactly its result. A reduction over trailing dimensions takes what
// shares its rows: further reductions, and pointwise ops on whole rows or on row scalars. Everything else stays alone.
#include "compiler/Passes.h"
#include "compiler/Schedule/GroupKinds.h"
#include "compiler/Schedule/Kernels.h"
#include "dialects/core/Core.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlc {
#define GEN_PASS_DEF_GROUPOPS
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;

/// Maps whose results are plain loops, each at most once.
static bool allProjected(linalg::GenericOp op) {
  return llvm::all_of(op.getIndexingMapsArray(), [](AffineMap map) { return map.isProjectedPermutation(); });
}

/// (d0, d1, ...) -> (d0, ..., d[count - 1])
static bool isLeading(AffineMap map, int64_t count) {
  if (map.getNumResults() != static_cast<unsigned>(count))
    return false;
  for (int64_t i = 0; i < count; ++i)
    if (map.getResult(i) != getAffineDimExpr(i, map.getContext()))
      return false;
  return true;
}

static bool readsTensorInBody(linalg::GenericOp op) {
  return op.getRegion().walk([](tensor::ExtractOp) { return WalkResult::interrupt(); }).wasInterrupted();
}

bool mlc::isPointwise(linalg::GenericOp op) {
  if (op.getNumLoops() != op.getNumParallelLoops() || readsTensorInBody(op) || !allProjected(op))
    return false;
  for (int64_t i = 0; i < op.getNumDpsInits(); ++i)
    if (!op.getIndexingMapsArray()[op.getNumDpsInputs() + i].isPermutation() ||
        !op.getBody()->getArgument(op.getNumDpsInputs() + i).use_empty())
      return false;
  return true;
}

/// Parallel loops first, then reductions; result i of the output is loop i; every input starts with a subset of the
/// parallel loops in order and some input ends with the last reduction loop.
static bool reducesRows(linalg::GenericOp op) {
  int64_t loops = op.getNumLoops(), rows = op.getNumParallelLoops();
  if (rows == loops || op.getNumDpsInits() != 1 || !allProjected(op) || readsTensorInBody(op))
    return false;
  for (auto [index, iterator] : llvm::enumerate(op.getIteratorTypesArray()))
    if ((iterator == utils::IteratorType::parallel) != (static_cast<int64_t>(index) < rows))
      return false;
  if (!isLeading(op.getIndexingMapsArray().back(), rows))
    return false;
  bool contiguous = false;
  for (OpOperand *input : op.getDpsInputOperands()) {
    AffineMap map = op.getMatchingIndexingMap(input);
    if (map.getNumResults() == 0)
      continue;
    int64_t previous = -1;
    for (AffineExpr result : map.getResults()) {
      int64_t position = cast<AffineDimExpr>(result).getPosition();
      if (position < previous)
        return false;
      previous = position;
    }
    contiguous |= previous == loops - 1;
    // An input that moves along the reduction must have all the rows: otherwise this is a matrix-vector product.
    if (previous >= rows && map.getNumResults() != static_cast<unsigned>(loops) && op.getNumDpsInputs() > 1 &&
        !op.getBody()->getArgument(input->getOperandNumber()).use_empty()) {
      int64_t moving = llvm::count_if(map.getResults(), [&](AffineExpr e) {
        return static_cast<int64_t>(cast<AffineDimExpr>(e).getPosition()) < rows;
      });
      if (moving != rows && moving != 0)
        return false;
    }
  }
  return contiguous;
}

/// Two inputs that take part, and that move along different parallel loops.
static bool isContraction(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 2)
    return false;
  Block *body = op.getBody();
  if (body->getArgument(0).use_empty() || body->getArgument(1).use_empty())
    return false;
  auto maps = op.getIndexingMapsArray();
  for (auto [loop, iterator] : llvm::enumerate(op.getIteratorTypesArray()))
    if (iterator == utils::IteratorType::parallel && maps[0].isFunctionOfDim(loop) != maps[1].isFunctionOfDim(loop))
      return true;
  return false;
}

sched::Kind mlc::groupKind(linalg::GenericOp op) {
  if (op.getNumReductionLoops() == 0)
    return isPointwise(op) ? sched::Kind::Pointwise : sched::Kind::Loops;
  if (op.getNumDpsInits() != 1 || readsTensorInBody(op) || !op.getIndexingMapsArray().back().isProjectedPermutation())
    return sched::Kind::Loops;
  if (!op.getDpsInits()[0].getDefiningOp<linalg::FillOp>())
    return sched::Kind::Loops;
  if (reducesRows(op) && !isContraction(op))
    return sched::Kind::Rows;
  return sched::Kind::Contract;
}

namespace {

struct Group {
  sched::Kind kind;
  SmallVector<linalg::GenericOp> members;
  int64_t rows = 0; // rows: parallel loops of the first reduction
  bool closed = false;
};

struct Grouper {
  std::vector<Group> groups;
  DenseMap<Operation *, int64_t> groupOf;

  void create(linalg::GenericOp op, sched::Kind kind) {
    groupOf[op] = groups.size();
    groups.push_back({kind, {op}, static_cast<int64_t>(op.getNumParallelLoops())});
  }

  /// The group, if any, whose members (other than through themselves) `op` would come after AND before.
  bool makesCycle(linalg::GenericOp op, int64_t group) {
    // An operand of `op` from outside the group must not depend on a member. What comes from around the block does not.
    llvm::SmallPtrSet<Operation *, 16> members, seen;
    for (linalg::GenericOp member : groups[group].members)
      members.insert(member);
    Operation *first = groups[group].members.front();
    SmallVector<Operation *> work;
    auto push = [&](Operation *user) {
      user->walk([&](Operation *nested) {
        for (Value operand : nested->getOperands())
          if (Operation *definition = operand.getDefiningOp();
              definition && definition->getBlock() == first->getBlock())
            work.push_back(definition);
      });
    };
    for (OpOperand &operand : op->getOpOperands())
      if (Operation *definition = operand.get().getDefiningOp();
          definition && definition->getBlock() == first->getBlock() && !members.contains(definition))
        work.push_back(definition);
    while (!work.empty()) {
      Operation *current = work.pop_back_val();
      if (current->isBeforeInBlock(first) || !seen.insert(current).second)
        continue;
      if (members.contains(current))
        return true;
      // A later member group as a whole must be taken: a value of another group depends on all of that group's operands.
      if (auto it = groupOf.find(current); it != groupOf.end())
        for (linalg::GenericOp member : groups[it->second].members)
          push(member);
      push(current);
    }
    return false;
  }

  bool joinContraction(linalg::GenericOp op) {
    if (!isPointwise(op))
      return false;
    int64_t best = -1;
    for (OpOperand *input : op.getDpsInputOperands()) {
      auto producer = input->get().getDefiningOp<linalg::GenericOp>();
      auto it = producer ? groupOf.find(producer) : groupOf.end();
      if (it == groupOf.end() || groups[it->second].kind != sched::Kind::Contract || groups[it->second].closed)
        continue;
      if (!input->get().hasOneUse() || !op.getMatchingIndexingMap(input).isPermutation() || makesCycle(op, it->second))
        continue;
      best = std::max(best, it->second);
    }
    if (best < 0)
      return false;
    groups[best].members.push_back(op);
    groups[best].closed = true;
    groupOf[op] = best;
    return true;
  }

  /// Does the op walk whole rows of the group? Every operand that the group made must be read row by row.
  bool sharesRows(linalg::GenericOp op, const Group &group) {
    int64_t rows = group.rows;
    linalg::GenericOp anchor = group.members.front();
    if (static_cast<int64_t>(op.getNumLoops()) < rows || op->getNumResults() != 1)
      return false;
    SmallVector<int64_t> mine = op.getStaticLoopRanges(), theirs = anchor.getStaticLoopRanges();
    for (int64_t i = 0; i < rows; ++i)
      if (mine[i] != theirs[i])
        return false;
    if (op.getNumReductionLoops() > 0) {
      if (!reducesRows(op) || static_cast<int64_t>(op.getNumParallelLoops()) != rows ||
          !op.getDpsInits()[0].getDefiningOp<linalg::FillOp>())
        return false;
    } else {
      if (!isPointwise(op))
        return false;
      // Either whole rows, of the same loops as the reduction, or row scalars.
      if (static_cast<int64_t>(op.getNumLoops()) != rows && op.getNumLoops() != anchor.getNumLoops())
        return false;
      if (!op.getIndexingMapsArray().back().isIdentity())
        return false;
    }
    for (size_t i = rows; i < mine.size(); ++i)
      if (mine.size() == theirs.size() && mine[i] != theirs[i])
        return false;
    for (OpOperand *input : op.getDpsInputOperands()) {
      auto producer = input->get().getDefiningOp<linalg::GenericOp>();
      bool inside = producer && llvm::is_contained(group.members, producer);
      if (!inside)
        continue;
      AffineMap map = op.getMatchingIndexingMap(input);
      if (!isLeading(map, map.getNumResults()))
        return false;
      if (static_cast<int64_t>(map.getNumResults()) < rows)
        return false;
    }
    return true;
  }

  bool joinRows(linalg::GenericOp op) {
    int64_t best = -1;
    for (Value input : op.getDpsInputs())
      if (Operation *producer = input.getDefiningOp())
        if (auto it = groupOf.find(producer); it != groupOf.end() && groups[it->second].kind == sched::Kind::Rows)
          best = std::max(best, it->second);
    // A second reduction of the same input (variance beside the mean) joins through the input they share: its rows are both's. A
    // vector that both read along the rows says nothing of how many rows there are.
    auto hasRows = [](OpOperand &operand, int64_t rows) {
      AffineMap map = cast<linalg::GenericOp>(operand.getOwner()).getMatchingIndexingMap(&operand);
      return static_cast<int64_t>(map.getNumResults()) >= rows && isLeading(map, map.getNumResults());
    };
    if (best < 0 && op.getNumReductionLoops() > 0)
      for (OpOperand *input : op.getDpsInputOperands())
        for (OpOperand &use : input->get().getUses())
          if (auto it = groupOf.find(use.getOwner());
              it != groupOf.end() && groups[it->second].kind == sched::Kind::Rows)
            if (int64_t rows = groups[it->second].rows; hasRows(*input, rows) && hasRows(use, rows))
              best = std::max(best, it->second);
    if (best < 0 || !sharesRows(op, groups[best]) || makesCycle(op, best))
      return false;
    groups[best].members.push_back(op);
    groupOf[op] = best;
    return true;
  }
};

struct GroupOps : mlc::impl::GroupOpsBase<GroupOps> {
  using GroupOpsBase::GroupOpsBase;
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal() && !sched::isKernel(function))
        groupBlock(function.getBody().front());
  }

private:
  /// No group reaches over the border of a branch or a loop.
  void groupBlock(Block &block) {
    Grouper grouper;
    for (Operation &op : block) {
      if (isa<core::IfOp, core::LoopOp>(op))
        for (Region &region : op.getRegions())
          groupBlock(region.front());
      auto generic = dyn_cast<linalg::GenericOp>(op);
      if (!generic)
        continue;
      sched::Kind kind = groupKind(generic);
      if (!alone && kind == sched::Kind::Pointwise && (grouper.joinContraction(generic) || grouper.joinRows(generic)))
        continue;
      if (!alone && kind == sched::Kind::Rows && grouper.joinRows(generic))
        continue;
      grouper.create(generic, kind);
    }
    for (Group &group : grouper.groups) {
      sched::setKind(group.members.front(), group.kind);
      for (linalg::GenericOp member : group.members)
        sched::setGroup(member, number);
      ++number;
    }
  }

  int64_t number = 0;
};

} // namespace
