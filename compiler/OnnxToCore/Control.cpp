// If, Loop and Scan as far as they need no control flow: a branch that is known, both branches and a choice, and loops whose
// number of steps is known.
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

constexpr int64_t kStepsMax = 256;

static Region *subgraph(Node &n, StringRef name) {
  ArrayAttr names = n.op.getGraphsAttr();
  for (unsigned i = 0; names && i < names.size() && i < n.op->getNumRegions(); ++i)
    if (auto string = dyn_cast<StringAttr>(names[i]); string && string.getValue() == name)
      return &n.op->getRegion(i);
  n.check(false, "subgraph '{0}' is missing", name);
  return nullptr;
}

static std::optional<bool> knownTruth(Node &n, Value v) {
  ElementsAttr attr = constantOf(v);
  auto values = attr ? readInts(attr, 1) : std::nullopt;
  if (values && values->size() == 1)
    return values->front() != 0;
  if (auto found = n.known.find(n.b, v); found && found->values.size() == 1)
    if (auto c = constantSize(found->values[0].numerator))
      return *c != 0;
  return std::nullopt;
}

static Values ifRule(Node &n, CoreBuilder &b) {
  Expr condition = n.in(0);
  Region *thenBranch = subgraph(n, "then_branch"), *elseBranch = subgraph(n, "else_branch");
  if (!thenBranch || !elseBranch ||
      !n.check(n.type(0).hasStaticShape() && n.type(0).getNumElements() == 1, "the condition is not a scalar"))
    return failure();
  if (auto known = knownTruth(n, condition))
    return n.inlineRegion(*known ? *thenBranch : *elseBranch, {});
  // Nodes have no effects: both branches are computed, and one is chosen.
  Values a = n.inlineRegion(*thenBranch, {}), c = a.failed() ? a : n.inlineRegion(*elseBranch, {});
  if (c.failed())
    return failure();
  if (!n.check(a.get().size() == c.get().size(), "the branches have {0} and {1} outputs", a.get().size(),
               c.get().size()))
    return failure();
  SmallVector<Value> results;
  Expr scalar = b.reshape(condition, {});
  for (auto [x, y] : llvm::zip_equal(a.get(), c.get())) {
    if (x.getType() != y.getType() || !CoreBuilder::typeOf(x).hasStaticShape())
      return n.unsupported("a condition that is computed at run time, with branches of types {0} and {1},", x.getType(),
                           y.getType());
    results.push_back(b.select(scalar, x, y));
  }
  return results;
}

/// The values of each step along a new first (or other) dimension.
static Expr stack(CoreBuilder &b, ArrayRef<Value> values, int64_t axis) {
  SmallVector<Value> raised;
  for (Value v : values)
    raised.push_back(b.unsqueeze(v, {axis}));
  return b.concat(raised, axis);
}

// body(i, condition, states...) -> condition, states..., outputs...
static Values loop(Node &n, CoreBuilder &b) {
  Region *body = subgraph(n, "body");
  if (!body)
    return failure();
  int64_t stateCount = std::max<int64_t>(n.inputCount() - 2, 0);
  int64_t steps = kStepsMax + 1;
  if (n.has(0)) {
    auto count = n.constantInts(0, "a trip count");
    if (!count || !n.check(count->size() == 1, "the trip count is not a scalar"))
      return failure();
    steps = count->front();
  }
  Expr condition = n.has(1) ? n.in(1) : b.splat(1, b.builder.getI1Type());
  SmallVector<Value> states;
  for (int64_t i = 0; i < stateCount; ++i) {
    if (!n.check(n.has(i + 2), "input {0} is missing", i + 2))
      return failure();
    states.push_back(n.in(i + 2));
  }
  SmallVector<SmallVector<Value>> outputs(std::max<int64_t>(n.outputCount() - stateCount, 0));
  for (int64_t i = 0; i < steps; ++i) {
    auto goesOn = knownTruth(n, condition);
    if (!goesOn)
      return n.unsupported("a condition that is computed at run time");
    if (!*goesOn)
      break;
    if (i >= kStepsMax)
      return n.unsupported("a loop of more than {0} steps", kStepsMax);
    SmallVector<Value> arguments = {
        b.constant(DenseElementsAttr::get(RankedTensorType::get({}, b.builder.getI64Type()), i)), condition};
    arguments.append(states);
    Values results = n.inlineRegion(*body, arguments);
    if (results.failed())
      return failure();
    if (!n.check(int64_t(results.get().size()) >= 1 + stateCount + int64_t(outputs.size()), "the body has {0} outputs",
                 results.get().size()))
      return failure();
    condition = b.expr(results.get()[0]);
    states.assign(results.get().begin() + 1, results.get().begin() + 1 + stateCount);
    for (size_t k = 0; k < outputs.size(); ++k)
      outputs[k].push_back(results.get()[1 + stateCount + k]);
  }
  SmallVector<Value> results(states);
  for (SmallVector<Value> &values : outputs) {
    if (values.empty())
      return n.unsupported("a loop of no steps");
    for (Value v : values)
      if (v.getType() != values[0].getType())
        return n.unsupported("an output whose shape changes from step to step");
    results.push_back(stack(b, values, 0));
  }
  return results;
}

// body(states..., slices...) -> states..., outputs...
static Values scan(Node &n, CoreBuilder &b) {
  Region *body = subgraph(n, "body");
  int64_t scanCount = n.i64("num_scan_inputs", 0), stateCount = n.inputCount() - scanCount,
          outputCount = n.outputCount() - stateCount;
  if (!body || !n.check(scanCount > 0 && stateCount >= 0 && outputCount >= 0, "num_scan_inputs is {0} for {1} inputs",
                        scanCount, n.inputCount()))
    return failure();
  SmallVector<int64_t> inAxes = n.ints("scan_input_axes", SmallVector<int64_t>(scanCount, 0)),
                       outAxes = n.ints("scan_output_axes", SmallVector<int64_t>(outputCount, 0)),
                       inReversed = n.ints("scan_input_directions", SmallVector<int64_t>(scanCount, 0)),
                       outReversed = n.ints("scan_output_directions", SmallVector<int64_t>(outputCount, 0));
  if (!n.check(int64_t(inAxes.size()) == scanCount && int64_t(inReversed.size()) == scanCount &&
                   int64_t(outAxes.size()) == outputCount && int64_t(outReversed.size()) == outputCount,
               "axes or directions do not fit {0} inputs and {1} outputs", scanCount, outputCount))
    return failure();
  SmallVector<Value> states;
  for (int64_t i = 0; i < n.inputCount(); ++i)
    if (!n.check(n.has(i), "input {0} is missing", i))
      return failure();
  for (int64_t i = 0; i < stateCount; ++i)
    states.push_back(n.in(i));
  std::optional<int64_t> steps;
  for (int64_t i = 0; i < scanCount; ++i) {
    auto axis = n.axis(inAxes[i], n.rank(stateCount + i));
    auto size = axis ? staticDim(n, n.in(stateCount + i), *axis, "a scanned dimension") : std::nullopt;
    if (!size ||
        !n.check(!steps || *steps == *size, "scanned dimensions differ: {0} and {1}", steps.value_or(0), *size))
      return failure();
    inAxes[i] = *axis;
    steps = size;
  }
  if (*steps > kStepsMax || *steps == 0)
    return n.unsupported("a scan of {0} steps (1 to {1} are unrolled)", *steps, kStepsMax);
  SmallVector<SmallVector<Value>> outputs(outputCount);
  for (int64_t t = 0; t < *steps; ++t) {
    SmallVector<Value> arguments(states);
    for (int64_t i = 0; i < scanCount; ++i)
      arguments.push_back(at(n.in(stateCount + i), inAxes[i], inReversed[i] ? *steps - 1 - t : t));
    Values results = n.inlineRegion(*body, arguments);
    if (results.failed() || !n.check(int64_t(results.get().size()) == stateCount + outputCount,
                                     "the body has {0} outputs", results.get().size()))
      return failure();
    states.assign(results.get().begin(), results.get().begin() + stateCount);
    for (int64_t k = 0; k < outputCount; ++k)
      outputs[k].push_back(results.get()[stateCount + k]);
  }
  SmallVector<Value> results(states);
  for (int64_t k = 0; k < outputCount; ++k) {
    for (Value v : outputs[k])
      if (v.getType() != outputs[k][0].getType())
        return n.unsupported("an output whose shape changes from step to step");
    auto axis = n.axis(outAxes[k], CoreBuilder::rankOf(outputs[k][0]) + 1);
    if (!axis)
      return failure();
    if (outReversed[k])
      std::reverse(outputs[k].begin(), outputs[k].end());
    results.push_back(stack(b, outputs[k], *axis));
  }
  return results;
}

static const Rule rules[] = {
    {"If", 1, ifRule, 1, kBool},
    {"Loop", 1, loop, 0},
    {"Scan", 9, scan, 1},
};
const ArrayRef<Rule> controlRules(rules);

} // namespace mlc::decompose
