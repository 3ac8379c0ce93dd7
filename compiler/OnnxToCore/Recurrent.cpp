// RNN, GRU and LSTM: a loop over the sequence. The inputs' share of all gates, biases included, is one product in front of it for all
// steps; what is left in the loop is the product with the state and the cell.
#include "compiler/OnnxToCore/Activations.h"
#include "compiler/OnnxToCore/Loops.h"

using namespace mlir;
namespace mlc::decompose {

using core::Comparison;

namespace {
/// Sequences up to this length are unrolled; where derivatives are wanted, up to the longer one.
constexpr int64_t kUnrolledStepsMax = 4, kTrainedStepsMax = 1024;

struct Activation {
  std::string name;
  double alpha, beta;
};

/// One direction's tensors: W [gates * hidden, input], R [gates * hidden, hidden], biases [gates * hidden], state [batch, hidden].
struct Direction {
  Expr r;
  std::optional<Expr> stateBias, peepholes; // the part of the state's bias that cannot be added to the inputs' share
  ArrayRef<Activation> activations;
};

struct Cell {
  int64_t gates, activations;
  bool hasCellState = false;
  /// Gates whose state bias is added before something else than the inputs' share: the last ones.
  int64_t lateBiasGates = 0;
};

/// The state after one step.
struct State {
  Expr h;
  std::optional<Expr> c;
};
} // namespace

static std::optional<Expr> apply(Node &n, const Activation &f, Expr x) {
  CoreBuilder &b = n.b;
  std::string name = StringRef(f.name).lower();
  if (name == "sigmoid")
    return sigmoid(x);
  if (name == "tanh")
    return b.tanh(x);
  if (name == "relu")
    return relu(x);
  if (name == "affine")
    return x * f.alpha + f.beta;
  if (name == "leakyrelu")
    return leakyRelu(x, f.alpha);
  if (name == "thresholdedrelu")
    return thresholdedRelu(x, Comparison::GE, f.alpha);
  if (name == "scaledtanh")
    return b.tanh(x * f.beta) * f.alpha;
  if (name == "hardsigmoid")
    return hardSigmoid(x, f.alpha, f.beta);
  if (name == "elu")
    return elu(x, f.alpha);
  if (name == "softsign")
    return softsign(x);
  if (name == "softplus")
    return softplus(x);
  (void)n.unsupported("activation \"{0}\"", f.name);
  return std::nullopt;
}

/// The names in order with their parameters: each list is consumed by the functions that have such a parameter.
static std::optional<SmallVector<Activation>> readActivations(Node &n, int64_t directions,
                                                              ArrayRef<std::string> absent) {
  SmallVector<std::string> all;
  for (int64_t d = 0; d < directions; ++d)
    all.append(absent.begin(), absent.end());
  SmallVector<std::string> names = n.strs("activations", all);
  SmallVector<double> alphas = n.floats("activation_alpha"), betas = n.floats("activation_beta");
  if (!n.check(names.size() == all.size(), "{0} activations instead of {1}", names.size(), all.size()))
    return std::nullopt;
  SmallVector<Activation> result;
  size_t alpha = 0, beta = 0;
  for (const std::string &name : names) {
    std::string lower = StringRef(name).lower();
    auto defaults = llvm::StringSwitch<std::pair<double, double>>(lower)
                        .Case("affine", {1, 0})
                        .Case("leakyrelu", {0.01f, NAN})
                        .Case("thresholdedrelu", {1, NAN})
                        .Case("scaledtanh", {1, 1})
                        .Case("hardsigmoid", {0.2f, 0.5})
                        .Case("elu", {1, NAN})
                        .Default({NAN, NAN});
    Activation f{name, defaults.first, defaults.second};
    if (!std::isnan(f.alpha) && alpha < alphas.size())
      f.alpha = alphas[alpha++];
    if (!std::isnan(f.beta) && beta < betas.size())
      f.beta = betas[beta++];
    result.push_back(f);
  }
  return result;
}

/// One gate of [batch, gates * hidden].
static Expr gate(Expr x, int64_t index, int64_t hidden) {
  CoreBuilder &b = *x.b;
  return part(x, CoreBuilder::rankOf(x) - 1, b.builder.getIndexAttr(index * hidden), b.builder.getIndexAttr(hidden));
}

static Expr timesTransposed(Expr x, Expr w) { return x.b->dot(x, w, {{}, {}, {CoreBuilder::rankOf(x) - 1}, {1}}); }

namespace {

/// What the three cells share: directions, layout, lengths, clipping and the loop.
class Recurrence {
public:
  Recurrence(Node &n, const Cell &cell) : n(n), b(n.b), cell(cell) {}

  /// The next state; `input` is X W' with its biases: [batch, gates * hidden].
  using StepFunction = llvm::function_ref<std::optional<State>(const Direction &, const State &, Expr input,
                                                               llvm::function_ref<Expr(Expr)> clipped)>;
  int64_t hidden = 0;

  Values run(ArrayRef<std::string> activationNames, StepFunction step) {
    if (!read(activationNames))
      return failure();
    for (int64_t d = 0; d < directions; ++d)
      if (!runDirection(d, step))
        return failure();
    // Parts of each direction: Y [steps, 1, batch, hidden] or [batch, steps, 1, hidden], states [1, batch, hidden] or [batch, 1, hidden].
    auto joined = [&](ArrayRef<Value> parts, int64_t axis) {
      return parts.size() == 1 ? parts[0] : b.concat(parts, axis).v;
    };
    SmallVector<Value> results(3);
    if (n.wants(0))
      results[0] = joined(sequences, isBatchFirst ? 2 : 1);
    if (n.wants(1))
      results[1] = joined(lastH, isBatchFirst ? 1 : 0);
    if (n.wants(2) && cell.hasCellState)
      results[2] = joined(lastC, isBatchFirst ? 1 : 0);
    return results;
  }

private:
  OpFoldResult index(int64_t v) { return b.builder.getIndexAttr(v); }

  bool fits(int64_t i, ArrayRef<OpFoldResult> sizes, StringRef what) {
    if (!n.ranked(i, sizes.size(), sizes.size(), what) || !n.sameElement({n.in(0), n.in(i)}))
      return false;
    for (auto [d, size] : llvm::enumerate(sizes))
      if (!n.sameSize(b.dim(n.in(i), d), size, (what + llvm::Twine("'s sizes")).str()))
        return false;
    return true;
  }

  /// Reads and checks attributes and inputs.
  bool read(ArrayRef<std::string> activationNames) {
    n.ignoreAttr("output_sequence"); // of opset 1
    auto which = n.choice("direction", "forward", {"forward", "reverse", "bidirectional"});
    isBatchFirst = n.i64("layout", 0);
    isReverse = which && *which == 1;
    directions = which && *which == 2 ? 2 : 1;
    clip = n.f32("clip", 0);
    auto read = which ? readActivations(n, directions, activationNames) : std::nullopt;
    if (!read || !n.ranked(0, 3, 3, "X") || !n.ranked(1, 3, 3, "W") || !n.ranked(2, 3, 3, "R") ||
        !n.sameElement({n.in(0), n.in(1), n.in(2)}))
      return false;
    activations = *read;
    auto size = staticDim(n, n.in(2), 2, "a hidden dimension");
    if (!size || !n.check(n.i64("hidden_size", *size) == *size, "hidden_size is {0}, but R's {1}",
                          n.i64("hidden_size", 0), *size))
      return false;
    hidden = *size;
    x = isBatchFirst ? b.transpose(n.in(0), {1, 0, 2}) : n.in(0);
    count = b.dim(x, 0);
    batch = b.dim(x, 1);
    OpFoldResult rows = index(cell.gates * hidden);
    if (!fits(1, {index(directions), rows, b.dim(x, 2)}, "W") ||
        !fits(2, {index(directions), rows, index(hidden)}, "R") ||
        (n.has(3) && !fits(3, {index(directions), index(2 * cell.gates * hidden)}, "B")) ||
        (cell.hasCellState && n.has(7) && !fits(7, {index(directions), index(3 * hidden)}, "P")))
      return false;
    if (!n.has(4))
      return true;
    if (!n.ranked(4, 1, 1, "sequence_lens") || !n.elementIs(4, kInteger, "sequence_lens") ||
        !n.sameSize(b.dim(n.in(4), 0), batch, "batch sizes") ||
        !n.requireInRange(n.in(4), index(0), b.indexSum(count, index(1)), "sequence length"))
      return false;
    lengths = b.unsqueeze(b.cast(n.in(4), b.builder.getI64Type()), {1});
    return true;
  }

  /// Initial state i of direction d: [batch, hidden].
  std::optional<Expr> initial(int64_t i, int64_t d) {
    if (!n.has(i))
      return b.broadcast(b.splat(0, n.element(0)), {batch, index(hidden)}, {});
    SmallVector<OpFoldResult> sizes = {index(directions), batch, index(hidden)};
    if (isBatchFirst)
      std::swap(sizes[0], sizes[1]);
    if (!fits(i, sizes, "the initial state"))
      return std::nullopt;
    return at(n.in(i), isBatchFirst ? 1 : 0, d);
  }

  /// X W' for all steps, [steps, batch, gates * hidden], with all biases that may be added there. One matrix of steps * batch rows:
  /// tiles are full whichever of the two is 1.
  Expr inputShare(int64_t d, Direction &tensors) {
    Expr rows = b.reshape(x, {b.indexProduct(count, batch), b.dim(x, 2)});
    Expr inputs = timesTransposed(rows, at(n.in(1), 0, d));
    if (n.has(3))
      inputs = inputs + inputBias(d, tensors);
    return b.reshape(inputs, {count, batch, index(cell.gates * hidden)});
  }

  /// All biases that may be added to X W'; the others become the state's.
  Expr inputBias(int64_t d, Direction &tensors) {
    int64_t rows = cell.gates * hidden, early = (cell.gates - cell.lateBiasGates) * hidden;
    Expr both = at(n.in(3), 0, d), bias = part(both, 0, index(0), index(rows));
    if (early == rows) {
      bias = bias + part(both, 0, index(rows), index(rows));
    } else {
      Expr sum = part(bias, 0, index(0), index(early)) + part(both, 0, index(rows), index(early));
      bias = b.concat({sum, part(bias, 0, index(early), index(rows - early))}, 0);
      tensors.stateBias = part(both, 0, index(rows + early), index(rows - early));
    }
    return bias;
  }

  bool runDirection(int64_t d, StepFunction step) {
    Direction tensors;
    tensors.r = at(n.in(2), 0, d);
    if (cell.hasCellState && n.has(7))
      tensors.peepholes = at(n.in(7), 0, d);
    tensors.activations = ArrayRef<Activation>(activations).slice(d * cell.activations, cell.activations);
    LoopDescription loop;
    loop.count = count;
    for (int64_t i = 0; i < (cell.hasCellState ? 2 : 1); ++i) {
      auto state = initial(5 + i, d);
      if (!state)
        return false;
      loop.states.push_back(*state);
    }
    bool isBackward = isReverse || d == 1;
    if (n.wants(0))
      loop.outputs.push_back({isBatchFirst ? 1 : 0, isBackward, {isBatchFirst ? 2 : 1}});
    if (constantSize(count) == 0) { // the states stay
      OpFoldResult hidden = b.dim(loop.states[0], 1), none = index(0), one = index(1);
      Sizes sizes = isBatchFirst ? Sizes{batch, none, one, hidden} : Sizes{none, one, batch, hidden};
      Expr y = b.broadcast(b.splat(0, n.element(0)), sizes, {});
      loop.states.push_back(y);
      keepResults(loop.states);
      return true;
    }
    Expr inputs = inputShare(d, tensors);
    auto buildStep = [&](Value number, ArrayRef<Value> states) {
      OpFoldResult t = getAsOpFoldResult(number);
      if (isBackward)
        t = b.indexDifference(b.indexDifference(count, t), index(1));
      return cellStep(tensors, states, at(inputs, 0, t), t, step);
    };
    Values values = loopOrSteps(loop, buildStep);
    if (values.failed())
      return false;
    keepResults(values.get());
    return true;
  }

  /// Of a direction: the last states, then the sequence.
  void keepResults(ArrayRef<Value> values) {
    int64_t directionAxis = isBatchFirst ? 1 : 0;
    lastH.push_back(b.unsqueeze(values[0], {directionAxis}));
    if (cell.hasCellState)
      lastC.push_back(b.unsqueeze(values[1], {directionAxis}));
    if (n.wants(0))
      sequences.push_back(values.back());
  }

  std::optional<Step> cellStep(const Direction &tensors, ArrayRef<Value> states, Expr input, OpFoldResult t,
                               StepFunction step) {
    State state{b.expr(states[0]), cell.hasCellState ? std::optional(b.expr(states[1])) : std::nullopt};
    auto clipped = [&](Expr v) { return clip > 0 ? clamp(v, -clip, clip) : v; };
    std::optional<State> next = step(tensors, state, input, clipped);
    if (!next)
      return std::nullopt;
    Expr y = next->h;
    if (lengths) { // beyond a sequence's end the state stays and the output is 0
      Expr inside = b.compare(Comparison::GT, *lengths, b.fromElements({t}, b.builder.getI64Type(), /*scalar=*/true));
      y = b.select(inside, next->h, b.splatLike(0, next->h));
      next->h = b.select(inside, next->h, state.h);
      if (next->c)
        next->c = b.select(inside, *next->c, *state.c);
    }
    Step result{{}, {next->h.v}, {}};
    if (next->c)
      result.states.push_back(next->c->v);
    if (n.wants(0))
      result.outputs.push_back(y);
    return result;
  }

  Values loopOrSteps(const LoopDescription &loop, StepBuilder buildStep) {
    auto steps = constantSize(count);
    std::string obstacle;
    Values values = failure();
    if (n.unrollsLoops && !steps)
      obstacle = "a sequence of dynamic length, where derivatives are wanted,";
    else if (steps && *steps > 0 && (n.unrollsLoops || *steps <= kUnrolledStepsMax))
      values = unrollLoop(n, *steps, kTrainedStepsMax, loop, buildStep, obstacle);
    else
      values = makeLoop(n, loop, buildStep, obstacle);
    return values.failed() && !obstacle.empty() ? n.unsupported("{0}", obstacle) : values;
  }

  Node &n;
  CoreBuilder &b;
  const Cell &cell;
  bool isBatchFirst = false, isReverse = false;
  int64_t directions = 1;
  double clip = 0;
  SmallVector<Activation> activations;
  Expr x; // [steps, batch, input]
  OpFoldResult count, batch;
  std::optional<Expr> lengths;                // [batch, 1]
  SmallVector<Value> sequences, lastH, lastC; // of each direction
};

} // namespace

static Values rnn(Node &n, CoreBuilder &b) {
  Cell cell{1, 1};
  return Recurrence(n, cell).run(
      {"Tanh"}, [&](const Direction &d, const State &s, Expr input, auto clipped) -> std::optional<State> {
        auto h = apply(n, d.activations[0], clipped(input + timesTransposed(s.h, d.r)));
        return h ? std::optional(State{*h, {}}) : std::nullopt;
      });
}

// Gates z, r, h.
static Values gru(Node &n, CoreBuilder &b) {
  bool isLinearFirst = n.i64("linear_before_reset", 0);
  Cell cell{3, 2};
  cell.lateBiasGates = isLinearFirst ? 1 : 0;
  Recurrence recurrence(n, cell);
  const int64_t &hidden = recurrence.hidden;
  return recurrence.run(
      {"Sigmoid", "Tanh"}, [&](const Direction &d, const State &s, Expr input, auto clipped) -> std::optional<State> {
        auto rows = [&](int64_t first, int64_t count) {
          return part(d.r, 0, b.builder.getIndexAttr(first * hidden), b.builder.getIndexAttr(count * hidden));
        };
        // One product for all gates where the reset gate comes after it.
        Expr products = timesTransposed(s.h, isLinearFirst ? d.r : rows(0, 2));
        auto z = apply(n, d.activations[0], clipped(gate(input, 0, hidden) + gate(products, 0, hidden)));
        auto r =
            z ? apply(n, d.activations[0], clipped(gate(input, 1, hidden) + gate(products, 1, hidden))) : std::nullopt;
        if (!r)
          return std::nullopt;
        Expr share = isLinearFirst ? gate(products, 2, hidden) : timesTransposed(*r * s.h, rows(2, 1));
        if (d.stateBias)
          share = share + *d.stateBias;
        auto h = apply(n, d.activations[1], clipped(gate(input, 2, hidden) + (isLinearFirst ? *r * share : share)));
        return h ? std::optional(State{(1.0 - *z) * *h + *z * s.h, {}}) : std::nullopt;
      });
}

// Gates i, o, f, c; peepholes i, o, f.
static Values lstm(Node &n, CoreBuilder &b) {
  bool isCoupled = n.i64("input_forget", 0);
  Cell cell{4, 3, true};
  Recurrence recurrence(n, cell);
  const int64_t &hidden = recurrence.hidden;
  return recurrence.run({"Sigmoid", "Tanh", "Tanh"},
                        [&](const Direction &d, const State &s, Expr input, auto clipped) -> std::optional<State> {
                          Expr gates = input + timesTransposed(s.h, d.r);
                          auto peek = [&](Expr g, int64_t which, Expr c) {
                            return d.peepholes ? g + gate(*d.peepholes, which, hidden) * c : g;
                          };
                          auto i = apply(n, d.activations[0], clipped(peek(gate(gates, 0, hidden), 0, *s.c)));
                          auto f = !i ? std::nullopt
                                   : isCoupled
                                       ? std::optional(1.0 - *i)
                                       : apply(n, d.activations[0], clipped(peek(gate(gates, 2, hidden), 2, *s.c)));
                          auto g = f ? apply(n, d.activations[1], clipped(gate(gates, 3, hidden))) : std::nullopt;
                          if (!g)
                            return std::nullopt;
                          Expr c = *f * *s.c + *i * *g;
                          auto o = apply(n, d.activations[0], clipped(peek(gate(gates, 1, hidden), 1, c)));
                          auto h = o ? apply(n, d.activations[2], c) : std::nullopt;
                          return h ? std::optional(State{*o * *h, c}) : std::nullopt;
                        });
}

static const Rule rules[] = {
    {"RNN", 1, rnn, 3, kFloat},
    {"GRU", 1, gru, 3, kFloat},
    {"LSTM", 1, lstm, 3, kFloat},
};
const ArrayRef<Rule> recurrentRules(rules);

} // namespace mlc::decompose
