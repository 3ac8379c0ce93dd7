// Domain com.microsoft: what ONNX Runtime's tools, and exporters that aim at it, make of several operators of a transformer.
// Meaning and order of inputs follow ONNX Runtime's docs/ContribOperators.md.
#include "compiler/OnnxToCore/Activations.h"
#include "compiler/OnnxToCore/Attention.h"
#include "compiler/OnnxToCore/MatMul.h"
#include "compiler/OnnxToCore/Normalization.h"
#include <cmath>

using namespace mlir;
namespace mlc::decompose {

/// x + input i, if the model gives it; fails the node if they do not fit.
static std::optional<Expr> plus(Node &n, Expr x, int64_t i) {
  if (!n.has(i))
    return x;
  auto y = n.sameElement({x, n.in(i)}) ? n.broadcastTo(n.in(i), n.b.dims(x)) : std::nullopt;
  return y ? std::optional(x + *y) : std::nullopt;
}

// ---- activations --------------------------------------------------------------------------------------------------------

static Values plainGelu(Node &n, CoreBuilder &) { return gelu(n.in(0)); }

static Values biasGelu(Node &n, CoreBuilder &) {
  auto x = plus(n, n.in(0), 1);
  return x ? Values(gelu(*x)) : failure();
}

static Values fastGelu(Node &n, CoreBuilder &) {
  auto x = plus(n, n.in(0), 1);
  return x ? Values(geluByTanh(*x)) : failure();
}

static Values quickGelu(Node &n, CoreBuilder &) {
  Expr x = n.in(0);
  return x * sigmoid(x * n.f32("alpha", 1.702f));
}

// ---- products -----------------------------------------------------------------------------------------------------------

/// Input i with its last two dimensions swapped if the attribute says so.
static Expr maybeTransposed(Node &n, int64_t i, StringRef attribute) {
  int64_t rank = n.rank(i);
  if (!n.i64(attribute, 0) || rank < 2)
    return n.in(i);
  SmallVector<int64_t> permutation = countingFrom(0, rank);
  std::swap(permutation[rank - 1], permutation[rank - 2]);
  return n.b.transpose(n.in(i), permutation);
}

static Values fusedMatMul(Node &n, CoreBuilder &b) {
  if (n.i64("transBatchA", 0) || n.i64("transBatchB", 0))
    return n.unsupported("transBatchA or transBatchB");
  Expr x = maybeTransposed(n, 0, "transA"), y = maybeTransposed(n, 1, "transB");
  if (!n.sameElement({x, y}) || !matmulFits(n, x, y))
    return failure();
  double alpha = n.f32("alpha", 1);
  if (alpha == 1)
    return b.matmul(x, y);
  return convert(b, b.matmul(x, y, accumulatorOf(n.element(0))) * alpha, n.element(0));
}

// ---- normalizations -----------------------------------------------------------------------------------------------------

/// Over the last dimension, at least in f32: layer norm with input `gamma` and `beta` behind it, or x / rms with `gamma` alone.
static std::optional<Expr> normalizedLast(Node &n, Expr x, int64_t gamma, bool isCentred) {
  CoreBuilder &b = n.b;
  double epsilon = n.f32("epsilon", 1e-12f);
  Type element = CoreBuilder::elementOf(x);
  int64_t last = CoreBuilder::rankOf(x) - 1;
  Expr wide = convert(b, x, accumulatorOf(element));
  if (!n.ranked(gamma, 1, 1, "gamma") || !n.sameElement({x, n.in(gamma)}) ||
      !n.sameSize(b.dim(n.in(gamma), 0), b.dim(x, last), "sizes of gamma and of the last dimension"))
    return std::nullopt;
  auto scale = n.broadcastTo(n.in(gamma), b.dims(x));
  if (!scale)
    return std::nullopt;
  Expr y = isCentred ? standardized(wide, moments(wide, {last}), epsilon) : overRootMeanSquare(wide, {last}, epsilon);
  y = convert(b, y, element) * *scale;
  return isCentred ? plus(n, y, gamma + 1) : y;
}

/// Normalizes input + skip + bias. Results: y, mean and deviation (of training alone), the sum.
static Values skipNormalization(Node &n, bool isCentred) {
  if (!n.ranked(0, 2, 3, "the input") || !n.ranked(1, 1, n.rank(0), "what is skipped"))
    return failure();
  for (int64_t back = 1; back <= std::min<int64_t>(n.rank(1), 2); ++back) // one batch may be that of all
    if (!n.sameSize(n.b.dim(n.in(0), n.rank(0) - back), n.b.dim(n.in(1), n.rank(1) - back), "sizes of both inputs"))
      return failure();
  auto sum = plus(n, n.in(0), 1);
  if (sum)
    sum = plus(n, *sum, isCentred ? 4 : 3);
  auto y = sum ? normalizedLast(n, *sum, 2, isCentred) : std::nullopt;
  if (!y)
    return failure();
  return {*y, Value(), Value(), *sum};
}
static Values skipLayerNormalization(Node &n, CoreBuilder &) { return skipNormalization(n, /*isCentred=*/true); }
static Values skipRmsNormalization(Node &n, CoreBuilder &) { return skipNormalization(n, /*isCentred=*/false); }

/// Rows of the table `table` that input `indices` names.
static std::optional<Expr> rowsOf(Node &n, int64_t table, int64_t indices) {
  if (!n.ranked(table, 2, 2, "a table") || !n.ranked(indices, 2, 2, "indices") ||
      !n.elementIs(indices, kInteger, "indices"))
    return std::nullopt;
  if (!n.requireInRange(n.in(indices), n.b.builder.getIndexAttr(0), n.b.dim(n.in(table), 0), "index"))
    return std::nullopt;
  return n.b.gather(n.in(table), n.in(indices), 0);
}

// Tables of words, positions and segments, added and normalized. Results: y, the number of tokens of each row, the sum.
static Values embedLayerNormalization(Node &n, CoreBuilder &b) {
  enum Input { Words, Segments, WordTable, PositionTable, SegmentTable, Gamma, Beta, Mask, Positions };
  auto sum = rowsOf(n, WordTable, Words);
  if (!sum || !n.ranked(PositionTable, 2, 2, "the table of positions"))
    return failure();
  Sizes sizes = b.dims(n.in(Words));
  std::optional<Expr> positions = n.has(Positions) ? rowsOf(n, PositionTable, Positions)
                                                   : part(n.in(PositionTable), 0, b.builder.getIndexAttr(0), sizes[1]);
  if (!positions || !n.sameElement({*sum, *positions}))
    return failure();
  positions = n.broadcastTo(*positions, b.dims(*sum));
  if (!positions)
    return failure();
  sum = *sum + *positions;
  if (n.has(Segments) != n.has(SegmentTable))
    return n.fail("segment ids and their table must come together");
  if (n.has(Segments)) {
    auto segments = rowsOf(n, SegmentTable, Segments);
    if (!segments || !n.sameElement({*sum, *segments}))
      return failure();
    for (int64_t i = 0; i < 3; ++i) // batch, sequence, hidden
      if (!n.sameSize(b.dim(*sum, i), b.dim(*segments, i), "sizes of words and segments"))
        return failure();
    sum = *sum + *segments;
  }
  auto y = normalizedLast(n, *sum, Gamma, /*isCentred=*/true);
  if (!y)
    return failure();
  if (n.i64("mask_index_type", n.has(Mask) ? 1 : 0) > 1)
    return n.unsupported("mask_index_type {0}", n.i64("mask_index_type", 0));
  Type i32 = b.builder.getI32Type();
  Expr counts = n.has(Mask) ? b.reduce(core::Reduction::Sum, convert(b, n.in(Mask), i32), {1})
                            : b.broadcast(b.splat(0, i32), {sizes[0]}, {});
  return {*y, counts, *sum};
}

// ---- attention ----------------------------------------------------------------------------------------------------------

namespace {
/// What both attentions compute from, as [batch, heads, sequence, size].
struct Heads {
  Expr q, k, v;
  OpFoldResult past;  // how many of the keys come from the cache
  int64_t mask, bias; // inputs
};
} // namespace

/// What is added to the scores: `filter` where a mask hides a key. [batch] are lengths, [2 batch] the ends of the keys that are seen and
/// behind these their starts, [batch, keys] and [batch, queries, keys] flags.
static std::optional<Expr> keyMask(Node &n, int64_t i, OpFoldResult batch, OpFoldResult keys, Type element,
                                   double filter) {
  CoreBuilder &b = n.b;
  if (!n.ranked(i, 1, 3, "the mask") || !n.elementIs(i, kInteger, "the mask"))
    return std::nullopt;
  Expr mask = n.in(i), isSeen = mask;
  if (n.rank(i) == 1) {
    Type i64 = b.builder.getI64Type();
    OpFoldResult zero = b.builder.getIndexAttr(0);
    if (!n.requireInRange(mask, zero, b.indexSum(keys, b.builder.getIndexAttr(1)), "number of keys"))
      return std::nullopt;
    auto size = constantSize(b.dim(mask, 0)), count = constantSize(batch);
    bool hasStarts = size && count && *size == 2 * *count;
    if (size && count && *size == 3 * *count + 2) {
      (void)n.unsupported("a mask of {0} numbers for a batch of {1} (queries and keys packed without padding)", *size,
                          *count);
      return std::nullopt;
    }
    if (!hasStarts && !n.sameSize(b.dim(mask, 0), batch, "lengths of the mask and the batch"))
      return std::nullopt;
    Expr key = b.iota({keys}, 0, i64);
    auto perBatch = [&](Expr lengths) { return b.unsqueeze(convert(b, lengths, i64), {1, 2, 3}); };
    isSeen = b.compare(core::Comparison::LT, key, perBatch(hasStarts ? part(mask, 0, zero, batch) : mask));
    if (hasStarts)
      isSeen = b.binary("and", isSeen, b.compare(core::Comparison::GE, key, perBatch(part(mask, 0, batch, batch))));
  } else {
    isSeen = b.unsqueeze(b.compare(core::Comparison::GT, mask, 0.0),
                         n.rank(i) == 2 ? ArrayRef<int64_t>{1, 2} : ArrayRef<int64_t>{1});
  }
  return b.select(isSeen, b.splat(0, element), b.splat(filter, element));
}

/// softmax(q k' * scale + bias + mask) v as [batch, sequence, hidden].
static std::optional<Expr> attended(Node &n, const Heads &h) {
  CoreBuilder &b = n.b;
  Type element = CoreBuilder::elementOf(h.q), wide = accumulatorOf(element); // scores of f16 may be larger than f16
  double filter = n.f32("mask_filter_value", -10000), scale = n.f32("scale", 0);
  auto depth = staticDim(n, h.q, 3, "a head size");
  if (!depth || !n.sameElement({h.q, h.k, h.v}) ||
      !n.sameSize(b.dim(h.q, 3), b.dim(h.k, 3), "head sizes of query and key") ||
      !n.sameSize(b.dim(h.k, 2), b.dim(h.v, 2), "lengths of key and value"))
    return std::nullopt;
  scale = scale == 0 ? 1 / std::sqrt(double(std::max<int64_t>(*depth, 1))) : scale;
  Expr scores = b.dot(h.q * scale, h.k, {{0, 1}, {0, 1}, {3}, {3}}, wide);
  if (n.has(h.bias)) {
    auto bias = n.sameElement({h.q, n.in(h.bias)}) ? n.broadcastTo(n.in(h.bias), b.dims(scores)) : std::nullopt;
    if (!bias)
      return std::nullopt;
    scores = scores + convert(b, *bias, wide);
  }
  if (n.has(h.mask)) {
    auto mask = keyMask(n, h.mask, b.dim(h.k, 0), b.dim(h.k, 2), wide, filter);
    mask = mask ? n.broadcastTo(*mask, b.dims(scores)) : std::nullopt;
    if (!mask)
      return std::nullopt;
    scores = scores + *mask;
  }
  if (n.i64("unidirectional", 0))
    scores = hideLaterKeys(scores, h.past, b.splat(-INFINITY, wide));
  Expr weights = convert(b, softmax(scores, {3}), element);
  return joinHeads(b.dot(weights, h.v, {{0, 1}, {0, 1}, {3}, {2}}));
}

/// `x` behind what the cache holds; `cached` has rank 4.
static std::optional<Expr> behindCache(Node &n, Expr cached, Expr x) {
  CoreBuilder &b = n.b;
  if (!n.check(CoreBuilder::rankOf(cached) == 4, "a cache has rank {0} instead of 4", CoreBuilder::rankOf(cached)) ||
      !n.sameElement({cached, x}))
    return std::nullopt;
  for (int64_t d : {0, 1, 3})
    if (!n.sameSize(b.dim(cached, d), b.dim(x, d), "sizes of a cache and what is behind it"))
      return std::nullopt;
  return b.concat({cached, x}, 2);
}

/// Consecutive parts of the last dimension, of these sizes.
static SmallVector<Expr> partsOfLast(Expr x, ArrayRef<int64_t> sizes) {
  SmallVector<Expr> parts;
  int64_t start = 0;
  for (int64_t size : sizes) {
    auto index = [&](int64_t v) { return x.b->builder.getIndexAttr(v); };
    parts.push_back(part(x, CoreBuilder::rankOf(x) - 1, index(start), index(size)));
    start += size;
  }
  return parts;
}

/// How the columns of Attention's weights divide into those of query, key and value.
static std::optional<SmallVector<int64_t>> hiddenSizes(Node &n) {
  auto columns = staticDim(n, n.in(1), 1, "a second dimension of the weights");
  if (!columns)
    return std::nullopt;
  SmallVector<int64_t> sizes = n.ints("qkv_hidden_sizes", {*columns / 3, *columns / 3, *columns / 3});
  if (!n.check(sizes.size() == 3 && llvm::all_of(sizes, [](int64_t size) { return size > 0 && size < (1 << 30); }) &&
                   sizes[0] + sizes[1] + sizes[2] == *columns,
               "qkv_hidden_sizes {0} do not divide {1} columns", toString(sizes), *columns))
    return std::nullopt;
  return sizes;
}

// Query, key and value are one product of the input; past and present hold keys, then values.
static Values fusedAttention(Node &n, CoreBuilder &b) {
  enum Input { X, Weights, Bias, Mask, Past, ScoreBias };
  int64_t heads = n.i64("num_heads", 0);
  if (n.i64("do_rotary", 0) || n.i64("past_present_share_buffer", 0))
    return n.unsupported("do_rotary or past_present_share_buffer");
  if (!n.ranked(X, 3, 3, "the input") || !n.ranked(Weights, 2, 2, "the weights") ||
      !n.sameElement({n.in(X), n.in(Weights)}) || !matmulFits(n, n.in(X), n.in(Weights)))
    return failure();
  auto sizes = hiddenSizes(n);
  auto all = sizes ? plus(n, b.matmul(n.in(X), n.in(Weights)), Bias) : std::nullopt;
  if (!all)
    return failure();
  SmallVector<Expr> parts = partsOfLast(*all, *sizes);
  auto q = splitHeads(n, parts[0], heads, "the query"), k = splitHeads(n, parts[1], heads, "the key"),
       v = splitHeads(n, parts[2], heads, "the value");
  if (!q || !k || !v)
    return failure();
  OpFoldResult past = b.builder.getIndexAttr(0);
  if (n.has(Past)) {
    if (!n.ranked(Past, 5, 5, "past"))
      return failure();
    past = b.dim(n.in(Past), 3);
    k = behindCache(n, at(n.in(Past), 0, 0), *k);
    v = k ? behindCache(n, at(n.in(Past), 0, 1), *v) : std::nullopt;
    if (!v)
      return failure();
  }
  auto y = attended(n, {*q, *k, *v, past, Mask, ScoreBias});
  if (!y)
    return failure();
  return {*y, n.wants(1) ? Value(b.concat({b.unsqueeze(*k, {0}), b.unsqueeze(*v, {0})}, 0)) : Value()};
}

/// Query, key or value with its part of the bias, as heads; four dimensions are heads already.
static std::optional<Expr> separateHeads(Node &n, int64_t i, int64_t heads, std::optional<Expr> bias) {
  std::string what = llvm::formatv("input {0}", i);
  if (!n.ranked(i, 3, 4, what))
    return std::nullopt;
  if (n.rank(i) == 4)
    return n.in(i);
  Expr x = n.in(i);
  if (bias) {
    auto y = n.sameElement({x, *bias}) ? n.broadcastTo(*bias, n.b.dims(x)) : std::nullopt;
    if (!y)
      return std::nullopt;
    x = x + *y;
  }
  return splitHeads(n, x, heads, what);
}

static Values multiHeadAttention(Node &n, CoreBuilder &b) {
  enum Input { Query, Key, Value_, Bias, Mask, ScoreBias, PastKey, PastValue };
  int64_t heads = n.i64("num_heads", 0);
  if (!n.has(Key) || !n.has(Value_) || n.rank(Key) == 5)
    return n.unsupported("packing queries, keys and values");
  SmallVector<std::optional<Expr>> biases(3);
  if (n.has(Bias)) {
    SmallVector<int64_t> sizes;
    for (int64_t i : {Query, Key, Value_}) {
      auto size =
          n.ranked(i, 3, 3, "an input with a bias") ? staticDim(n, n.in(i), 2, "a hidden dimension") : std::nullopt;
      if (!size)
        return failure();
      sizes.push_back(*size);
    }
    if (!n.ranked(Bias, 1, 1, "the bias") ||
        !n.sameSize(b.dim(n.in(Bias), 0), b.builder.getIndexAttr(sizes[0] + sizes[1] + sizes[2]),
                    "sizes of the bias and of query, key and value"))
      return failure();
    for (auto [i, bias] : llvm::enumerate(partsOfLast(n.in(Bias), sizes)))
      biases[i] = bias;
  }
  auto q = separateHeads(n, Query, heads, biases[0]), k = q ? separateHeads(n, Key, heads, biases[1]) : std::nullopt,
       v = k ? separateHeads(n, Value_, heads, biases[2]) : std::nullopt;
  if (!v)
    return failure();
  OpFoldResult past = b.builder.getIndexAttr(0);
  if (n.has(PastKey)) {
    if (!n.check(n.has(PastValue), "past_key without past_value") || !n.ranked(PastKey, 4, 4, "past_key"))
      return failure();
    past = b.dim(n.in(PastKey), 2);
    k = behindCache(n, n.in(PastKey), *k);
    v = k ? behindCache(n, n.in(PastValue), *v) : std::nullopt;
    if (!v)
      return failure();
  }
  auto y = attended(n, {*q, *k, *v, past, Mask, ScoreBias});
  if (!y)
    return failure();
  return {*y, *k, *v};
}

static const Rule rules[] = {
    {"Gelu", 1, plainGelu, 1, kFloat},
    {"BiasGelu", 1, biasGelu, 2, kFloat},
    {"FastGelu", 1, fastGelu, 1, kFloat},
    {"QuickGelu", 1, quickGelu, 1, kFloat},
    {"FusedMatMul", 1, fusedMatMul, 2, kFloat},
    {"SkipLayerNormalization", 1, skipLayerNormalization, 3, kFloat},
    {"SkipSimplifiedLayerNormalization", 1, skipRmsNormalization, 3, kFloat},
    {"EmbedLayerNormalization", 1, embedLayerNormalization, 1, kInteger},
    {"Attention", 1, fusedAttention, 2, kFloat},
    {"MultiHeadAttention", 1, multiHeadAttention, 1, kFloat},
};
const ArrayRef<Rule> fusedRules(rules);

} // namespace mlc::decompose
