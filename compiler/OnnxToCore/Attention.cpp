// Attention and RotaryEmbedding.
#include "compiler/OnnxToCore/Attention.h"
#include <cmath>

using namespace mlir;
namespace mlc::decompose {

std::optional<Expr> splitHeads(Node &n, Expr x, int64_t heads, StringRef what) {
  CoreBuilder &b = n.b;
  auto hidden = staticDim(n, x, 2, "a hidden dimension");
  if (!hidden || !n.check(heads > 0 && *hidden % heads == 0, "hidden size {0} of {1} cannot be divided into {2} heads",
                          *hidden, what, heads))
    return std::nullopt;
  Sizes sizes = b.dims(x);
  return b.transpose(
      b.reshape(x, {sizes[0], sizes[1], b.builder.getIndexAttr(heads), b.builder.getIndexAttr(*hidden / heads)}),
      {0, 2, 1, 3});
}

Expr joinHeads(Expr x) {
  CoreBuilder &b = *x.b;
  Sizes sizes = b.dims(x);
  return b.reshape(b.transpose(x, {0, 2, 1, 3}), {sizes[0], sizes[2], b.indexProduct(sizes[1], sizes[3])});
}

Expr hideLaterKeys(Expr scores, OpFoldResult past, Expr hidden) {
  CoreBuilder &b = *scores.b;
  int64_t rank = CoreBuilder::rankOf(scores);
  Type i64 = b.builder.getI64Type();
  Sizes plane = {b.dim(scores, rank - 2), b.dim(scores, rank - 1)};
  Expr row = b.iota(plane, 0, i64);
  if (constantSize(past) != 0)
    row = row + b.fromElements({past}, i64, /*scalar=*/true);
  return b.select(b.compare(core::Comparison::LE, b.iota(plane, 1, i64), row), scores, hidden);
}

/// Input i as [batch, heads, sequence, size]; four dimensions stay.
static std::optional<Expr> inputHeads(Node &n, int64_t i, int64_t heads) {
  std::string what = llvm::formatv("input {0}", i);
  if (!n.ranked(i, 3, 4, what))
    return std::nullopt;
  return n.rank(i) == 4 ? n.in(i) : splitHeads(n, n.in(i), heads, what);
}

/// softmax(softcap(q k' * scale) + mask) v; query heads that share a key head are one longer sequence.
static Values attention(Node &n, CoreBuilder &b) {
  int64_t qHeads = n.i64("q_num_heads", 0), kvHeads = n.i64("kv_num_heads", 0),
          outputMode = n.i64("qk_matmul_output_mode", 0);
  double softcap = n.f32("softcap", 0);
  bool isCausal = n.i64("is_causal", 0);
  // Scores of f16 may be larger than f16.
  Type element = n.element(0), wide = accumulatorOf(element), softmaxType = n.dtype("softmax_precision", wide);
  if (!softmaxType || !(kindOf(softmaxType) & kFloat))
    return n.fail("softmax_precision is not a float type");
  if (!n.check(outputMode >= 0 && outputMode <= 3, "qk_matmul_output_mode is {0}", outputMode) ||
      !n.check(n.rank(0) == n.rank(1) && n.rank(0) == n.rank(2), "ranks of Q, K and V differ"))
    return failure();
  auto q = inputHeads(n, 0, qHeads), k = q ? inputHeads(n, 1, kvHeads) : std::nullopt,
       v = k ? inputHeads(n, 2, kvHeads) : std::nullopt;
  if (!v || !n.sameElement({*q, *k}))
    return failure();
  OpFoldResult past = b.builder.getIndexAttr(0);
  if (n.has(4)) {
    if (!n.check(n.has(5), "past_key without past_value") || !n.ranked(4, 4, 4, "past_key") ||
        !n.ranked(5, 4, 4, "past_value") || !n.sameElement({*k, n.in(4)}) || !n.sameElement({*v, n.in(5)}))
      return failure();
    for (int64_t d : {0, 1, 3})
      if (!n.sameSize(b.dim(*k, d), b.dim(n.in(4), d), "sizes of key and past_key") ||
          !n.sameSize(b.dim(*v, d), b.dim(n.in(5), d), "sizes of value and past_value"))
        return failure();
    past = b.dim(n.in(4), 2);
    k = b.concat({n.in(4), *k}, 2);
    v = b.concat({n.in(5), *v}, 2);
  }
  Sizes qSizes = b.dims(*q), kSizes = b.dims(*k), vSizes = b.dims(*v);
  auto queries = constantSize(qSizes[1]), keys = constantSize(kSizes[1]), depth = constantSize(qSizes[3]);
  if (!queries || !keys || !depth)
    return n.unsupported("a dynamic number or size of heads");
  if (!n.check(*keys > 0 && *queries % *keys == 0, "{0} query heads for {1} key heads", *queries, *keys) ||
      !n.sameSize(kSizes[1], vSizes[1], "heads of key and value") ||
      !n.sameSize(kSizes[2], vSizes[2], "lengths of key and value") ||
      !n.sameSize(qSizes[3], kSizes[3], "sizes of query and key") || !n.sameSize(qSizes[0], kSizes[0], "batch sizes") ||
      !n.sameSize(qSizes[0], vSizes[0], "batch sizes"))
    return failure();
  double scale = n.hasAttr("scale") ? n.f32("scale", 1) : 1 / std::sqrt(double(std::max<int64_t>(*depth, 1)));
  int64_t shared = *queries / *keys;
  Sizes scoreSizes = {qSizes[0], qSizes[1], qSizes[2], kSizes[2]};
  Expr grouped = *q * scale;
  if (shared > 1)
    grouped = b.reshape(grouped,
                        {qSizes[0], kSizes[1], b.indexProduct(qSizes[2], b.builder.getIndexAttr(shared)), qSizes[3]});
  CoreBuilder::DotDims byDepth{{0, 1}, {0, 1}, {3}, {3}};
  Expr product = b.dot(grouped, *k, byDepth, wide);
  if (shared > 1)
    product = b.reshape(product, scoreSizes);
  Expr capped = softcap > 0 ? b.tanh(product / softcap) * softcap : product;
  Expr scores = capped;

  // Masks: what may not be seen gets minus infinity.
  Expr hidden = b.splat(-INFINITY, wide);
  if (n.has(3)) {
    Expr mask = n.in(3);
    int64_t rank = n.rank(3);
    bool isBool = kindOf(n.element(3)) == kBool;
    if (!n.check(rank >= 1 && rank <= 4, "the mask has rank {0}", rank) || (!isBool && !n.sameElement({*q, mask})))
      return failure();
    OpFoldResult have = b.dim(mask, rank - 1), want = kSizes[2];
    bool isOpen = !constantSize(have) || !constantSize(want);
    if (isOpen
            ? n.opset() >= 24 && constantSize(have) != 1 && !b.isSame(have, want)
            : *constantSize(have) != 1 && *constantSize(have) < *constantSize(want)) { // a shorter mask hides the rest
      Sizes low = constantSizes(b, SmallVector<int64_t>(rank, 0)), high = low;
      high.back() = b.indexMax(b.indexDifference(want, have), b.builder.getIndexAttr(0));
      mask = b.pad(mask, b.splat(isBool ? 0 : -INFINITY, n.element(3)), low, high);
    }
    auto spread = n.broadcastTo(isBool ? b.select(mask, b.splat(0, wide), hidden) : convert(b, mask, wide), scoreSizes);
    if (!spread)
      return failure();
    scores = scores + *spread;
  }
  if (n.has(6)) {
    Type i64 = b.builder.getI64Type();
    if (!n.ranked(6, 1, 1, "nonpad_kv_seqlen") || !n.elementIs(6, kInteger, "nonpad_kv_seqlen") ||
        !n.sameSize(b.dim(n.in(6), 0), qSizes[0], "numbers of nonpad_kv_seqlen and batches") ||
        !n.requireInRange(n.in(6), b.builder.getIndexAttr(0), b.indexSum(kSizes[2], b.builder.getIndexAttr(1)),
                          "nonpad_kv_seqlen"))
      return failure();
    Expr last = b.unsqueeze(convert(b, n.in(6), i64), {1, 2, 3}) - 1.0; // that each query sees, of each batch
    Expr key = b.iota({kSizes[2]}, 0, i64);
    if (isCausal) { // the last query sees all that is no padding, and each before it one key less
      Expr row = b.iota({qSizes[2]}, 0, i64), count = b.fromElements({qSizes[2]}, i64, /*scalar=*/true);
      last = last + b.unsqueeze(row - (count - 1.0), {1});
    }
    scores = b.select(b.compare(core::Comparison::LE, key, last), scores, hidden);
  } else if (isCausal) {
    scores = hideLaterKeys(scores, past, hidden);
  }
  bool mayHideAll = n.has(3) || n.has(6);
  Expr precise = convert(b, scores, softmaxType),
       weights = mayHideAll ? maskedSoftmax(precise, {3}) : softmax(precise, {3});
  Expr debug = outputMode == 0 ? product : outputMode == 1 ? capped : outputMode == 2 ? scores : weights;
  Expr factors = convert(b, weights, CoreBuilder::elementOf(*v));
  if (shared > 1)
    factors = b.reshape(factors,
                        {qSizes[0], kSizes[1], b.indexProduct(qSizes[2], b.builder.getIndexAttr(shared)), kSizes[2]});
  Expr y = b.dot(factors, *v, {{0, 1}, {0, 1}, {3}, {2}});
  if (shared > 1)
    y = b.reshape(y, {qSizes[0], qSizes[1], qSizes[2], vSizes[3]});
  y = convert(b, y, element);
  if (n.rank(0) == 3)
    y = joinHeads(y);
  return {y, *k, *v, convert(b, debug, element)};
}

/// (x1, x2) rotated: (x1 cos - x2 sin, x1 sin + x2 cos); x1 and x2 are the halves, or the even and odd elements.
static Values rotaryEmbedding(Node &n, CoreBuilder &b) {
  bool isInterleaved = n.i64("interleaved", 0);
  int64_t heads = n.i64("num_heads", 0), rotated = n.i64("rotary_embedding_dim", 0);
  Expr cosine = n.in(1), sine = n.in(2);
  auto x = inputHeads(n, 0, heads); // [batch, heads, sequence, size]
  if (!x || !n.sameElement({*x, cosine, sine}))
    return failure();
  auto size = staticDim(n, *x, 3, "a head size");
  if (!size)
    return failure();
  rotated = rotated == 0 ? *size : rotated;
  if (!n.check(rotated > 0 && rotated <= *size && rotated % 2 == 0,
               "rotary_embedding_dim {0} does not fit head size {1}", rotated, *size))
    return failure();
  if (n.has(3)) {
    if (!n.ranked(1, 2, 2, "cos_cache") || !n.ranked(2, 2, 2, "sin_cache") ||
        !n.elementIs(3, kInteger, "position_ids") || !n.ranked(3, 1, 2, "position_ids"))
      return failure();
    for (Expr cache : {cosine, sine})
      if (!n.requirePositions(n.in(3), b.dim(cache, 0)))
        return failure();
    cosine = b.gather(cosine, n.in(3), 0);
    sine = b.gather(sine, n.in(3), 0);
  }
  for (Expr cache : {cosine, sine})
    if (!n.check(CoreBuilder::rankOf(cache) == 3, "caches have rank {0} instead of 3", CoreBuilder::rankOf(cache)) ||
        !n.sameSize(b.dim(cache, 2), b.builder.getIndexAttr(rotated / 2),
                    "sizes of a cache and half of rotary_embedding_dim"))
      return failure();
  cosine = b.unsqueeze(cosine, {1});
  sine = b.unsqueeze(sine, {1});
  auto index = [&](int64_t v) { return b.builder.getIndexAttr(v); };
  Sizes sizes = b.dims(*x), half = sizes;
  half[3] = index(rotated / 2);
  auto take = [&](int64_t start) {
    Sizes starts = constantSizes(b, {0, 0, 0, start});
    return b.slice(*x, starts, half, {1, 1, 1, isInterleaved ? 2 : 1});
  };
  Expr x1 = take(0), x2 = take(isInterleaved ? 1 : rotated / 2);
  for (Expr *factor : {&cosine, &sine}) {
    auto spread = n.broadcastTo(*factor, b.dims(x1));
    if (!spread)
      return failure();
    *factor = *spread;
  }
  Expr real = x1 * cosine - x2 * sine, imaginary = x1 * sine + x2 * cosine;
  Sizes whole = sizes;
  whole[3] = index(rotated);
  Expr y = isInterleaved ? b.reshape(b.concat({b.unsqueeze(real, {4}), b.unsqueeze(imaginary, {4})}, 4), whole)
                         : b.concat({real, imaginary}, 3);
  if (rotated < *size)
    y = b.concat({y, part(*x, 3, index(rotated), index(*size - rotated))}, 3);
  if (n.rank(0) == 3)
    y = b.reshape(b.transpose(y, {0, 2, 1, 3}), b.dims(n.in(0)));
  return y;
}

static const Rule rules[] = {
    {"Attention", 23, attention, 3, kFloat},
    {"RotaryEmbedding", 23, rotaryEmbedding, 3, kFloat},
};
const ArrayRef<Rule> attentionRules(rules);

} // namespace mlc::decompose
