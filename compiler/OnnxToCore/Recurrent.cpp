// RNN, GRU and LSTM, unrolled over a static sequence. The inputs' share of all gates is one product for the whole sequence.
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

using core::Comparison;

namespace {
constexpr int64_t kStepsMax = 1024;

struct Activation {
  std::string name;
  double alpha, beta;
};

/// One direction's tensors: W [gates * hidden, input], R [gates * hidden, hidden], biases [gates * hidden], state [batch, hidden].
struct Direction {
  Expr w, r;
  std::optional<Expr> inputBias, stateBias, peepholes;
  Expr h;
  std::optional<Expr> c;
  ArrayRef<Activation> activations;
};

struct Cell {
  int64_t gates, activations;
  bool hasCellState = false;
};

/// State and output after one step; `input` is X W' (+ biases that do not depend on the state): [batch, gates * hidden].
struct State {
  Expr h;
  std::optional<Expr> c;
};
} // namespace

static std::optional<Expr> apply(Node &n, const Activation &f, Expr x) {
  CoreBuilder &b = n.b;
  std::string name = StringRef(f.name).lower();
  auto piecewise = [&](Expr below) { return b.select(b.compare(Comparison::GE, x, 0.0), x, below); };
  if (name == "sigmoid")
    return sigmoid(x);
  if (name == "tanh")
    return b.tanh(x);
  if (name == "relu")
    return b.maximum(x, 0.0);
  if (name == "affine")
    return x * f.alpha + f.beta;
  if (name == "leakyrelu")
    return piecewise(x * f.alpha);
  if (name == "thresholdedrelu")
    return b.select(b.compare(Comparison::GE, x, f.alpha), x, b.splatLike(0, x));
  if (name == "scaledtanh")
    return b.tanh(x * f.beta) * f.alpha;
  if (name == "hardsigmoid")
    return clamp(x * f.alpha + f.beta, 0, 1);
  if (name == "elu")
    return piecewise((b.exp(x) - 1.0) * f.alpha);
  if (name == "softsign")
    return x / (1.0 + b.abs(x));
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

/// What the three cells share: directions, layout, lengths, clipping and the loop. `step` makes the next state.
template <typename StepFunction>
static Values unroll(Node &n, CoreBuilder &b, const Cell &cell, ArrayRef<std::string> activationNames,
                     StepFunction step) {
  n.ignoreAttr("output_sequence"); // of opset 1
  auto which = n.choice("direction", "forward", {"forward", "reverse", "bidirectional"});
  bool isBatchFirst = n.i64("layout", 0);
  int64_t directions = which && *which == 2 ? 2 : 1;
  double clip = n.f32("clip", 0);
  auto activations = which ? readActivations(n, directions, activationNames) : std::nullopt;
  if (!activations || !n.ranked(0, 3, 3, "X") || !n.ranked(1, 3, 3, "W") || !n.ranked(2, 3, 3, "R") ||
      !n.sameElement({n.in(0), n.in(1), n.in(2)}))
    return failure();
  auto hidden = staticDim(n, n.in(2), 2, "a hidden dimension");
  if (!hidden || !n.check(n.i64("hidden_size", *hidden) == *hidden, "hidden_size is {0}, but R's {1}",
                          n.i64("hidden_size", 0), *hidden))
    return failure();
  Expr x = n.in(0); // [steps, batch, input]
  if (isBatchFirst)
    x = b.transpose(x, {1, 0, 2});
  auto index = [&](int64_t v) -> OpFoldResult { return b.builder.getIndexAttr(v); };
  OpFoldResult batch = b.dim(x, 1), rows = index(cell.gates * *hidden);
  auto fits = [&](int64_t i, ArrayRef<OpFoldResult> sizes, StringRef what) {
    if (!n.ranked(i, sizes.size(), sizes.size(), what) || !n.sameElement({n.in(0), n.in(i)}))
      return false;
    for (auto [d, size] : llvm::enumerate(sizes))
      if (!n.sameSize(b.dim(n.in(i), d), size, (what + llvm::Twine("'s sizes")).str()))
        return false;
    return true;
  };
  if (!fits(1, {index(directions), rows, b.dim(x, 2)}, "W") || !fits(2, {index(directions), rows, index(*hidden)}, "R"))
    return failure();
  if (n.has(3) && !fits(3, {index(directions), index(2 * cell.gates * *hidden)}, "B"))
    return failure();
  auto steps = constantSize(b.dim(x, 0));
  if (!steps || *steps > kStepsMax)
    return n.unsupported("a sequence of {0} steps",
                         steps ? std::to_string(*steps) + " (more than " + std::to_string(kStepsMax) + ")"
                               : "a dynamic number of");
  if (!n.check(*steps > 0, "the sequence is empty"))
    return failure();
  std::optional<Expr> lengths;
  if (n.has(4)) {
    if (!n.ranked(4, 1, 1, "sequence_lens") || !n.elementIs(4, kInteger, "sequence_lens") ||
        !n.sameSize(b.dim(n.in(4), 0), batch, "batch sizes"))
      return failure();
    lengths = b.unsqueeze(n.in(4), {1});
  }
  Type element = n.element(0);
  /// Initial state i of direction d: [batch, hidden].
  auto initial = [&](int64_t i, int64_t d) -> std::optional<Expr> {
    if (!n.has(i))
      return b.broadcast(b.splat(0, element), {batch, index(*hidden)}, {});
    SmallVector<OpFoldResult> sizes = {index(directions), batch, index(*hidden)};
    if (isBatchFirst)
      std::swap(sizes[0], sizes[1]);
    if (!fits(i, sizes, "the initial state"))
      return std::nullopt;
    return at(n.in(i), isBatchFirst ? 1 : 0, d);
  };
  bool hasPeepholes = cell.hasCellState && n.has(7);
  if (hasPeepholes && !fits(7, {index(directions), index(3 * *hidden)}, "P"))
    return failure();

  SmallVector<SmallVector<Value>> outputs(*steps); // [batch, hidden] for each direction
  SmallVector<Value> lastH, lastC;
  for (int64_t d = 0; d < directions; ++d) {
    bool isReverse = *which == 1 || d == 1;
    Direction tensors;
    tensors.w = at(n.in(1), 0, d);
    tensors.r = at(n.in(2), 0, d);
    if (n.has(3)) {
      Expr both = at(n.in(3), 0, d);
      tensors.inputBias = part(both, 0, index(0), rows);
      tensors.stateBias = part(both, 0, rows, rows);
    }
    if (hasPeepholes)
      tensors.peepholes = at(n.in(7), 0, d);
    tensors.activations = ArrayRef<Activation>(*activations).slice(d * cell.activations, cell.activations);
    auto h = initial(5, d);
    auto c = h && cell.hasCellState ? initial(6, d) : std::nullopt;
    if (!h || (cell.hasCellState && !c))
      return failure();
    State state{*h, c};
    Expr inputs = timesTransposed(x, tensors.w); // [steps, batch, gates * hidden]
    if (tensors.inputBias)
      inputs = inputs + *tensors.inputBias;
    for (int64_t k = 0; k < *steps; ++k) {
      int64_t t = isReverse ? *steps - 1 - k : k;
      auto clipped = [&](Expr v) { return clip > 0 ? clamp(v, -clip, clip) : v; };
      std::optional<State> next = step(tensors, state, at(inputs, 0, t), *hidden, clipped);
      if (!next)
        return failure();
      Expr y = next->h;
      if (lengths) { // beyond a sequence's end the state stays and the output is 0
        Expr inside = b.compare(Comparison::GT, *lengths, double(t));
        y = b.select(inside, next->h, b.splatLike(0, next->h));
        next->h = b.select(inside, next->h, state.h);
        if (next->c)
          next->c = b.select(inside, *next->c, *state.c);
      }
      state = *next;
      outputs[t].push_back(y);
    }
    lastH.push_back(state.h);
    if (state.c)
      lastC.push_back(*state.c);
  }
  // [batch, hidden] of each direction and step -> Y [steps, directions, batch, hidden] or [batch, steps, directions, hidden]
  int64_t directionAxis = isBatchFirst ? 1 : 0;
  auto stack = [&](ArrayRef<Value> values, int64_t axis) {
    SmallVector<Value> raised;
    for (Value v : values)
      raised.push_back(b.unsqueeze(v, {axis}));
    return raised.size() == 1 ? b.expr(raised[0]) : b.concat(raised, axis);
  };
  SmallVector<Value> results(3);
  if (n.wants(0)) {
    SmallVector<Value> all;
    for (ArrayRef<Value> step : outputs)
      all.push_back(stack(step, directionAxis));
    results[0] = stack(all, isBatchFirst ? 1 : 0);
  }
  if (n.wants(1))
    results[1] = stack(lastH, directionAxis);
  if (n.wants(2) && cell.hasCellState)
    results[2] = stack(lastC, directionAxis);
  return results;
}

static Values rnn(Node &n, CoreBuilder &b) {
  return unroll(
      n, b, {1, 1}, {"Tanh"},
      [&](const Direction &d, const State &s, Expr input, int64_t hidden, auto clipped) -> std::optional<State> {
        Expr sum = input + timesTransposed(s.h, d.r);
        if (d.stateBias)
          sum = sum + *d.stateBias;
        auto h = apply(n, d.activations[0], clipped(sum));
        return h ? std::optional(State{*h, {}}) : std::nullopt;
      });
}

// Gates z, r, h.
static Values gru(Node &n, CoreBuilder &b) {
  bool isLinearFirst = n.i64("linear_before_reset", 0);
  return unroll(
      n, b, {3, 2}, {"Sigmoid", "Tanh"},
      [&](const Direction &d, const State &s, Expr input, int64_t hidden, auto clipped) -> std::optional<State> {
        auto rows = [&](Expr r, int64_t first, int64_t count) {
          return part(r, 0, b.builder.getIndexAttr(first * hidden), b.builder.getIndexAttr(count * hidden));
        };
        Expr zr = timesTransposed(s.h, rows(d.r, 0, 2));
        if (d.stateBias)
          zr = zr + rows(*d.stateBias, 0, 2);
        auto z = apply(n, d.activations[0], clipped(gate(input, 0, hidden) + gate(zr, 0, hidden)));
        auto r = z ? apply(n, d.activations[0], clipped(gate(input, 1, hidden) + gate(zr, 1, hidden))) : std::nullopt;
        if (!r)
          return std::nullopt;
        Expr share = timesTransposed(isLinearFirst ? s.h : *r * s.h, rows(d.r, 2, 1));
        if (d.stateBias)
          share = share + rows(*d.stateBias, 2, 1);
        auto h = apply(n, d.activations[1], clipped(gate(input, 2, hidden) + (isLinearFirst ? *r * share : share)));
        return h ? std::optional(State{(1.0 - *z) * *h + *z * s.h, {}}) : std::nullopt;
      });
}

// Gates i, o, f, c; peepholes i, o, f.
static Values lstm(Node &n, CoreBuilder &b) {
  bool isCoupled = n.i64("input_forget", 0);
  return unroll(
      n, b, {4, 3, true}, {"Sigmoid", "Tanh", "Tanh"},
      [&](const Direction &d, const State &s, Expr input, int64_t hidden, auto clipped) -> std::optional<State> {
        Expr gates = input + timesTransposed(s.h, d.r);
        if (d.stateBias)
          gates = gates + *d.stateBias;
        auto peek = [&](Expr g, int64_t which, Expr c) {
          return d.peepholes ? g + gate(*d.peepholes, which, hidden) * c : g;
        };
        auto i = apply(n, d.activations[0], clipped(peek(gate(gates, 0, hidden), 0, *s.c)));
        auto f = !i          ? std::nullopt
                 : isCoupled ? std::optional(1.0 - *i)
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
