// If, Loop and Scan. What is known when the model is compiled leaves no control flow: one branch, or the steps of a short loop one after
// the other. The rest becomes core.if and core.loop.
#include "compiler/OnnxToCore/Compose.h"
#include "compiler/OnnxToCore/Loops.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
namespace mlc::decompose {

/// Loops of no more nodes than this, over all steps, are unrolled: constants fold, and no step costs a branch.
constexpr int64_t kUnrolledNodesMax = 64;
/// Loops that cannot be carried (a rank changes, a derivative is wanted) are unrolled up to this number of steps.
constexpr int64_t kUnrolledStepsMax = 256;

static Region *subgraph(Node &n, StringRef name) {
  ArrayAttr names = n.op.getGraphsAttr();
  for (unsigned i = 0; names && i < names.size() && i < n.op->getNumRegions(); ++i)
    if (auto string = dyn_cast<StringAttr>(names[i]); string && string.getValue() == name)
      return &n.op->getRegion(i);
  n.check(false, "subgraph '{0}' is missing", name);
  return nullptr;
}

// ---- If -------------------------------------------------------------------------------------------------------------

/// A branch of its own block, yielding what the graph does; null after a failure.
static core::YieldOp buildBranch(Node &n, Region &branch, Region &graph) {
  OpBuilder::InsertionGuard guard(n.b.builder);
  n.b.builder.createBlock(&branch);
  Values values = n.inlineRegion(graph, {});
  if (values.failed())
    return {};
  return core::YieldOp::create(n.b.builder, n.b.loc, values.get());
}

/// One size of a result that is x after the condition and y otherwise; nullopt if it is not known in front of the op.
static std::optional<OpFoldResult> chosenSize(CoreBuilder &b, Value condition, core::YieldOp thenYield,
                                              core::YieldOp elseYield, unsigned result, int64_t axis) {
  OpFoldResult outside[2];
  for (auto [i, yield] : llvm::enumerate(std::array{thenYield, elseYield})) {
    OpFoldResult size;
    {
      OpBuilder::InsertionGuard guard(b.builder);
      b.builder.setInsertionPoint(yield);
      size = b.dim(yield.getValues()[result], axis);
    }
    auto hoisted = hoistSize(b, size, *yield->getParentRegion());
    if (!hoisted)
      return std::nullopt;
    outside[i] = *hoisted;
  }
  if (outside[0] == outside[1])
    return outside[0];
  Type i64 = b.builder.getI64Type();
  Expr x = b.fromElements({outside[0]}, i64, /*scalar=*/true), y = b.fromElements({outside[1]}, i64, /*scalar=*/true);
  return b.boundedSize(b.extractIndex(b.select(condition, x, y)), b.indexMax(outside[0], outside[1]),
                       "the size of a branch's result");
}

static Values branch(Node &n, CoreBuilder &b, Value condition, Region &thenGraph, Region &elseGraph) {
  auto probe = core::IfOp::create(b.builder, b.loc, TypeRange(), condition, ValueRange());
  core::YieldOp thenYield = buildBranch(n, probe.getThen(), thenGraph),
                elseYield = thenYield ? buildBranch(n, probe.getOtherwise(), elseGraph) : core::YieldOp();
  if (!elseYield ||
      !n.check(thenYield.getValues().size() == elseYield.getValues().size(), "the branches have {0} and {1} outputs",
               thenYield.getValues().size(), elseYield.getValues().size()))
    return failure();
  SmallVector<Type> types;
  SmallVector<Value> sizes;
  for (auto [i, pair] : llvm::enumerate(llvm::zip_equal(thenYield.getValues(), elseYield.getValues()))) {
    auto x = CoreBuilder::typeOf(std::get<0>(pair)), y = CoreBuilder::typeOf(std::get<1>(pair));
    if (!n.check(x.getElementType() == y.getElementType(), "the branches' outputs {0} are {1} and {2}", i,
                 nameOf(x.getElementType()), nameOf(y.getElementType())))
      return failure();
    if (x.getRank() != y.getRank())
      return n.unsupported("a condition that is computed at run time, with branches of ranks {0} and {1},", x.getRank(),
                           y.getRank());
    SmallVector<int64_t> shape;
    for (int64_t axis = 0; axis < x.getRank(); ++axis) {
      bool isFixed = x.getDimSize(axis) == y.getDimSize(axis) && !x.isDynamicDim(axis);
      auto size = isFixed ? std::optional(OpFoldResult(b.builder.getIndexAttr(x.getDimSize(axis))))
                          : chosenSize(b, condition, thenYield, elseYield, i, axis);
      if (!size)
        return n.unsupported("a condition that is computed at run time, with an output whose size a branch computes,");
      shape.push_back(constantSize(*size).value_or(ShapedType::kDynamic));
      if (ShapedType::isDynamic(shape.back()))
        sizes.push_back(cast<Value>(*size));
    }
    types.push_back(RankedTensorType::get(shape, x.getElementType()));
  }
  auto op = core::IfOp::create(b.builder, b.loc, types, condition, sizes);
  op.getThen().takeBody(probe.getThen());
  op.getOtherwise().takeBody(probe.getOtherwise());
  probe.erase();
  return SmallVector<Value>(op.getResults());
}

/// Nodes have no effects: both branches are computed, and one is chosen. This has a derivative.
static Values bothBranches(Node &n, CoreBuilder &b, Value condition, Region &thenGraph, Region &elseGraph) {
  Values a = n.inlineRegion(thenGraph, {}), c = a.failed() ? a : n.inlineRegion(elseGraph, {});
  if (c.failed() || !n.check(a.get().size() == c.get().size(), "the branches have {0} and {1} outputs", a.get().size(),
                             c.get().size()))
    return failure();
  SmallVector<Value> results;
  for (auto [x, y] : llvm::zip_equal(a.get(), c.get())) {
    if (x.getType() != y.getType() || !CoreBuilder::typeOf(x).hasStaticShape())
      return n.unsupported(
          "a condition that is computed at run time, with branches of types {0} and {1}, where derivatives "
          "are wanted,",
          x.getType(), y.getType());
    results.push_back(b.select(condition, x, y));
  }
  return results;
}

static Values ifRule(Node &n, CoreBuilder &b) {
  Expr condition = n.in(0);
  Region *thenBranch = subgraph(n, "then_branch"), *elseBranch = subgraph(n, "else_branch");
  if (!thenBranch || !elseBranch ||
      !n.check(n.type(0).hasStaticShape() && n.type(0).getNumElements() == 1, "the condition is not a scalar"))
    return failure();
  if (auto known = knownTruth(n, condition))
    return n.inlineRegion(*known ? *thenBranch : *elseBranch, {});
  auto build = n.unrollsLoops ? bothBranches : branch;
  return build(n, b, b.reshape(condition, {}), *thenBranch, *elseBranch);
}

// ---- Loop and Scan --------------------------------------------------------------------------------------------------

static int64_t countNodes(Region &graph) {
  int64_t count = 0;
  graph.walk([&](onnx::NodeOp node) { count += node.getOpType() != "Constant" && node.getOpType() != "Identity"; });
  return count;
}

/// Unrolled if that is short, or asked for; else a loop; what a loop cannot carry is unrolled after all, where the steps are known.
static Values loopOrSteps(Node &n, Region &body, const LoopDescription &d, StepBuilder buildStep) {
  auto count = constantSize(d.count);
  auto unroll = [&](std::string &obstacle) {
    if (count)
      return unrollLoop(n, *count, kUnrolledStepsMax, d, buildStep, obstacle);
    obstacle = "a number of steps that is computed at run time";
    return Values(failure());
  };
  std::string obstacle, unrolledObstacle;
  bool isShort = count && *count <= kUnrolledStepsMax && *count * countNodes(body) <= kUnrolledNodesMax;
  if (isShort || n.unrollsLoops) {
    Values values = unroll(unrolledObstacle);
    if (!values.failed() || unrolledObstacle.empty())
      return values;
    if (n.unrollsLoops)
      return n.unsupported("{0}, where derivatives are wanted,", unrolledObstacle);
  }
  Values values = makeLoop(n, d, buildStep, obstacle);
  if (!values.failed() || obstacle.empty())
    return values;
  unrolledObstacle.clear();
  values = unroll(unrolledObstacle);
  if (!values.failed() || unrolledObstacle.empty())
    return values;
  // Known steps could have been unrolled.
  if (!count)
    return n.unsupported("{0} with a trip count (input 0) that is computed at run time", obstacle);
  if (d.condition)
    return n.unsupported("{0} with a condition (input 1) that is computed at run time", obstacle);
  return n.unsupported("{0}", obstacle);
}

// body(i, condition, states...) -> condition, states..., outputs...
static Values loop(Node &n, CoreBuilder &b) {
  Region *body = subgraph(n, "body");
  if (!body)
    return failure();
  LoopDescription d;
  d.count = b.builder.getIndexAttr(INT64_MAX);
  if (n.has(0)) {
    auto count = n.size(0);
    if (!count)
      return failure();
    d.count = *count;
  }
  if (n.has(1)) {
    if (!n.check(n.type(1).hasStaticShape() && n.type(1).getNumElements() == 1 && n.element(1).isInteger(1),
                 "the condition is not a truth value"))
      return failure();
    d.condition = n.in(1);
    auto known = knownTruth(n, d.condition);
    if (known == false)
      d.count = b.builder.getIndexAttr(0);
    if (known)
      d.condition = {};
  }
  for (int64_t i = 2; i < n.inputCount(); ++i) {
    if (!n.check(n.has(i), "input {0} is missing", i))
      return failure();
    d.states.push_back(n.in(i));
  }
  int64_t stateCount = d.states.size();
  d.outputs.resize(std::max<int64_t>(n.outputCount() - stateCount, 0));
  return loopOrSteps(n, *body, d, [&](Value step, ArrayRef<Value> states) -> std::optional<Step> {
    SmallVector<Value> arguments = {b.fromElements({getAsOpFoldResult(step)}, b.builder.getI64Type(), /*scalar=*/true),
                                    b.splat(1, b.builder.getI1Type())};
    arguments.append(states.begin(), states.end());
    Values results = n.inlineRegion(*body, arguments);
    if (results.failed() || !n.check(int64_t(results.get().size()) >= 1 + stateCount + int64_t(d.outputs.size()),
                                     "the body has {0} outputs", results.get().size()))
      return std::nullopt;
    Value condition = results.get()[0];
    if (!n.check(CoreBuilder::elementOf(condition).isInteger(1) && CoreBuilder::typeOf(condition).hasStaticShape() &&
                     CoreBuilder::typeOf(condition).getNumElements() == 1,
                 "the body's condition is not a truth value"))
      return std::nullopt;
    ArrayRef<Value> values = results.get().drop_front();
    return Step{condition, SmallVector<Value>(values.take_front(stateCount)),
                SmallVector<Value>(values.slice(stateCount, d.outputs.size()))};
  });
}

namespace {
struct ScanAttributes {
  SmallVector<int64_t> inAxes, outAxes, inReversed, outReversed;
};
} // namespace

// body(states..., slices...) -> states..., outputs...
static Values scan(Node &n, CoreBuilder &b) {
  Region *body = subgraph(n, "body");
  int64_t scanCount = n.i64("num_scan_inputs", 0);
  if (!body || !n.check(scanCount > 0 && scanCount <= n.inputCount(), "num_scan_inputs is {0} for {1} inputs",
                        scanCount, n.inputCount()))
    return failure();
  int64_t stateCount = n.inputCount() - scanCount, outputCount = n.outputCount() - stateCount;
  if (!n.check(outputCount >= 0, "{0} outputs for {1} states", n.outputCount(), stateCount))
    return failure();
  auto list = [&](StringRef name, int64_t count) { return n.ints(name, SmallVector<int64_t>(count, 0)); };
  ScanAttributes a{list("scan_input_axes", scanCount), list("scan_output_axes", outputCount),
                   list("scan_input_directions", scanCount), list("scan_output_directions", outputCount)};
  if (!n.check(int64_t(a.inAxes.size()) == scanCount && int64_t(a.inReversed.size()) == scanCount &&
                   int64_t(a.outAxes.size()) == outputCount && int64_t(a.outReversed.size()) == outputCount,
               "axes or directions do not fit {0} inputs and {1} outputs", scanCount, outputCount))
    return failure();
  for (int64_t i = 0; i < n.inputCount(); ++i)
    if (!n.check(n.has(i), "input {0} is missing", i))
      return failure();
  LoopDescription d;
  for (int64_t i = 0; i < stateCount; ++i)
    d.states.push_back(n.in(i));
  for (int64_t i = 0; i < scanCount; ++i) {
    auto axis = n.axis(a.inAxes[i], n.rank(stateCount + i));
    if (!axis)
      return failure();
    a.inAxes[i] = *axis;
    OpFoldResult size = b.dim(n.in(stateCount + i), *axis);
    if (d.count && !n.sameSize(d.count, size, "scanned dimensions"))
      return failure();
    if (!d.count || constantSize(size)) // a constant says more
      d.count = size;
  }
  for (int64_t k = 0; k < outputCount; ++k)
    d.outputs.push_back({a.outAxes[k], a.outReversed[k] != 0, {}});
  return loopOrSteps(n, *body, d, [&](Value step, ArrayRef<Value> states) -> std::optional<Step> {
    SmallVector<Value> arguments(states);
    for (int64_t i = 0; i < scanCount; ++i) {
      OpFoldResult position = getAsOpFoldResult(step);
      if (a.inReversed[i])
        position = b.indexDifference(b.indexDifference(d.count, position), b.builder.getIndexAttr(1));
      arguments.push_back(at(n.in(stateCount + i), a.inAxes[i], position));
    }
    Values results = n.inlineRegion(*body, arguments);
    if (results.failed() || !n.check(int64_t(results.get().size()) == stateCount + outputCount,
                                     "the body has {0} outputs", results.get().size()))
      return std::nullopt;
    for (int64_t k = 0; k < outputCount; ++k) { // the rank is not known earlier
      auto axis = n.axis(a.outAxes[k], CoreBuilder::rankOf(results.get()[stateCount + k]) + 1);
      if (!axis)
        return std::nullopt;
      d.outputs[k].axis = *axis;
    }
    return Step{{},
                SmallVector<Value>(results.get().take_front(stateCount)),
                SmallVector<Value>(results.get().drop_front(stateCount))};
  });
}

static const Rule rules[] = {
    {"If", 1, ifRule, 1, kBool},
    {"Loop", 1, loop, 0},
    {"Scan", 9, scan, 1},
};
const ArrayRef<Rule> controlRules(rules);

} // namespace mlc::decompose
