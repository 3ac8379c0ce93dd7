// Reading and writing at positions that are values: Gather .. ScatterND, OneHot, Compress, ReverseSequence.
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

using core::Comparison;
using core::Reduction;

static bool indicesFit(Node &n, int64_t i, OpFoldResult size) {
  return n.elementIs(i, kInteger, "indices") && n.requirePositions(n.in(i), size);
}

/// Index tuples: element k addresses dimension `first` + k of x.
static bool tuplesFit(Node &n, Value x, Value tuples, int64_t first) {
  int64_t last = CoreBuilder::rankOf(tuples) - 1, count = CoreBuilder::typeOf(tuples).getDimSize(last);
  for (int64_t k = 0; k < count; ++k) {
    Expr column = count == 1 ? n.b.expr(tuples)
                             : part(n.b.expr(tuples), last, n.b.builder.getIndexAttr(k), n.b.builder.getIndexAttr(1));
    if (!n.requirePositions(column, n.b.dim(x, first + k)))
      return false;
  }
  return true;
}

static Values gather(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), indices = n.in(1);
  auto axis = n.axis("axis", 0, n.rank(0));
  if (!axis || !n.elementIs(1, kInteger, "indices"))
    return failure();
  // One constant position is a slice.
  auto known = n.known.find(b, indices);
  if (known && known->values.size() == 1) {
    auto index = asIndex(known->values[0]);
    if (auto c = index ? constantSize(*index) : std::nullopt) {
      if (!n.requirePositions(indices, b.dim(x, *axis)))
        return failure();
      OpFoldResult start = *c >= 0 ? *index : b.indexSum(b.dim(x, *axis), *index);
      Expr y = b.squeeze(part(x, *axis, start, b.builder.getIndexAttr(1)), {*axis});
      SmallVector<int64_t> added = countingFrom(*axis, n.rank(1));
      return added.empty() ? y : b.unsqueeze(y, added);
    }
  }
  return n.requirePositions(indices, b.dim(x, *axis)) ? Values(b.gather(x, indices, *axis)) : failure();
}

/// Indices are not larger than the data; where only the run knows, CheckSizes sees to it.
static bool fitsInside(Node &n, Value indices, Value data, int64_t d) {
  int64_t have = CoreBuilder::typeOf(data).getDimSize(d), wanted = CoreBuilder::typeOf(indices).getDimSize(d);
  return n.check(ShapedType::isDynamic(have) || ShapedType::isDynamic(wanted) || wanted <= have,
                 "indices have size {0} in dimension {1}, the data {2}", wanted, d, have);
}

static Values gatherElements(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), indices = n.in(1);
  auto axis = n.axis("axis", 0, n.rank(0));
  if (!axis || !n.ranked(1, n.rank(0), n.rank(0), "indices") || !indicesFit(n, 1, b.dim(x, *axis)))
    return failure();
  for (int64_t d = 0; d < n.rank(0); ++d)
    if (d != *axis && !fitsInside(n, indices, x, d))
      return failure();
  return b.gatherElements(x, indices, *axis);
}

/// The size of the last dimension of an index tensor: how many positions one index has.
static std::optional<int64_t> tupleSize(Node &n, int64_t i, int64_t most) {
  if (!n.elementIs(i, kInteger, "indices") || !n.check(n.rank(i) >= 1, "indices are a scalar"))
    return std::nullopt;
  auto size = staticDim(n, n.in(i), n.rank(i) - 1, "a last dimension of indices");
  if (!size || !n.check(*size <= most, "index tuples of {0} for {1} dimensions", *size, most))
    return std::nullopt;
  return size;
}

static Values gatherNd(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), indices = n.in(1);
  int64_t batch = n.i64("batch_dims", 0);
  if (!n.check(batch >= 0 && batch < n.rank(0) && batch < n.rank(1),
               "batch_dims {0} is out of range for ranks {1} and {2}", batch, n.rank(0), n.rank(1)) ||
      !tupleSize(n, 1, n.rank(0) - batch))
    return failure();
  for (int64_t d = 0; d < batch; ++d)
    if (!n.sameSize(b.dim(x, d), b.dim(indices, d), "batch sizes"))
      return failure();
  return tuplesFit(n, x, indices, batch) ? Values(b.gatherNd(x, indices, batch)) : failure();
}

static std::optional<Reduction> reductionOf(Node &n) {
  auto choice = n.choice("reduction", "none", {"none", "add", "mul", "max", "min"});
  if (!choice)
    return std::nullopt;
  return std::array{Reduction::None, Reduction::Sum, Reduction::Prod, Reduction::Max, Reduction::Min}[*choice];
}

static Values scatterElements(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), indices = n.in(1), updates = n.in(2);
  auto axis = n.axis("axis", 0, n.rank(0));
  auto reduction = reductionOf(n);
  if (!axis || !reduction || !n.sameElement({x, updates}) || !n.ranked(1, n.rank(0), n.rank(0), "indices") ||
      !n.ranked(2, n.rank(0), n.rank(0), "updates") || !indicesFit(n, 1, b.dim(x, *axis)))
    return failure();
  for (int64_t d = 0; d < n.rank(0); ++d)
    if (!n.sameSize(b.dim(indices, d), b.dim(updates, d), "sizes of indices and updates") ||
        (d != *axis && !fitsInside(n, indices, x, d)))
      return failure();
  return b.scatterElements(x, indices, updates, *axis, *reduction);
}

static Values scatterNd(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), indices = n.in(1), updates = n.in(2);
  auto reduction = reductionOf(n);
  auto tuple = tupleSize(n, 1, n.rank(0));
  if (!reduction || !tuple || !n.sameElement({x, updates}))
    return failure();
  Sizes wanted = b.dims(indices), own = b.dims(x), have = b.dims(updates);
  wanted.pop_back();
  wanted.append(own.begin() + *tuple, own.end());
  if (!n.check(wanted.size() == have.size(), "updates have rank {0} instead of {1}", have.size(), wanted.size()))
    return failure();
  for (auto [w, h] : llvm::zip_equal(wanted, have))
    if (!n.sameSize(w, h, "sizes of updates"))
      return failure();
  if (!tuplesFit(n, x, indices, 0))
    return failure();
  return b.scatterNd(x, indices, updates, *reduction);
}

// Positions outside of [-depth, depth) give the off value everywhere.
static Values oneHot(Node &n, CoreBuilder &b) {
  Expr indices = n.in(0), values = n.in(2);
  auto depth = [&]() -> std::optional<OpFoldResult> {
    if (kindOf(n.element(1)) != kFloat)
      return n.size(1);
    if (!n.check(n.type(1).hasStaticShape() && n.type(1).getNumElements() == 1, "depth is not a scalar"))
      return std::nullopt;
    auto constant = constantOf(n.in(1)) ? n.constantFloats(1, "depth") : std::nullopt;
    if (constant)
      return OpFoldResult(b.builder.getIndexAttr(int64_t(std::clamp(constant->front(), -1.0, double(kElementsMax)))));
    return OpFoldResult(b.extractIndex(b.cast(n.in(1), b.builder.getI64Type())));
  }();
  int64_t rank = n.rank(0);
  auto axis = n.axis("axis", -1, rank + 1);
  if (!depth || !axis || !n.ranked(2, 1, 1, "values") || !n.check(n.type(2).getDimSize(0) == 2, "values are not two"))
    return failure();
  Sizes sizes = b.dims(indices);
  sizes.insert(sizes.begin() + *axis, *depth);
  if (!n.validSizes(sizes))
    return failure();
  Type i64 = b.builder.getI64Type();
  Expr count = b.fromElements({*depth}, i64, /*scalar=*/true);
  Expr position = convert(b, indices, i64);
  position = b.unsqueeze(b.select(b.compare(Comparison::LT, position, 0.0), position + count, position), {*axis});
  Expr isHot = b.compare(Comparison::EQ, b.broadcastTo(position, sizes), b.iota(sizes, *axis, i64));
  return b.select(isHot, at(values, 0, 1), at(values, 0, 0));
}

// y[t, b] = x[t < length[b] ? length[b] - 1 - t : t, b]
static Values reverseSequence(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), lengths = n.in(1);
  if (!n.ranked(0, 2, 1 << 20, "the input") || !n.ranked(1, 1, 1, "sequence_lens") ||
      !n.elementIs(1, kInteger, "sequence_lens"))
    return failure();
  auto batch = n.axis("batch_axis", 1, n.rank(0)), time = n.axis("time_axis", 0, n.rank(0));
  if (!batch || !time || !n.check(*batch != *time, "batch_axis and time_axis are both {0}", *batch) ||
      !n.sameSize(b.dim(x, *batch), b.dim(lengths, 0), "batch sizes") ||
      !n.requireInRange(lengths, b.builder.getIndexAttr(0), b.indexSum(b.dim(x, *time), b.builder.getIndexAttr(1)),
                        "sequence length"))
    return failure();
  Sizes sizes = b.dims(x);
  Type i64 = b.builder.getI64Type();
  Expr t = b.iota(sizes, *time, i64), length = b.broadcast(convert(b, lengths, i64), sizes, {*batch});
  return b.gatherElements(x, b.select(b.compare(Comparison::LT, t, length), length - 1.0 - t, t), *time);
}

// present = past with update written at write_indices[batch] along axis; circular wraps around.
static Values tensorScatter(Node &n, CoreBuilder &b) {
  Expr past = n.in(0), update = n.in(1);
  auto axis = n.axis("axis", -2, n.rank(0));
  auto isCircular = n.choice("mode", "linear", {"linear", "circular"});
  if (!axis || !isCircular || !n.check(*axis != 0, "axis is the batch dimension") || !n.sameElement({past, update}) ||
      !n.ranked(1, n.rank(0), n.rank(0), "the update"))
    return failure();
  for (int64_t d = 0; d < n.rank(0); ++d)
    if (d != *axis && !n.sameSize(b.dim(past, d), b.dim(update, d), "sizes of cache and update"))
      return failure();
  Sizes sizes = b.dims(update);
  Type i64 = b.builder.getI64Type();
  Expr position = b.iota(sizes, *axis, i64);
  OpFoldResult zero = b.builder.getIndexAttr(0), one = b.builder.getIndexAttr(1), room = b.dim(past, *axis);
  auto length = constantSize(sizes[*axis]), most = constantSize(room);
  if (!n.check(!length || !most || *length <= *most, "an update of {0} for a cache of {1}", length.value_or(0),
               most.value_or(0)))
    return failure();
  b.require(b.indexCompare(arith::CmpIPredicate::sle, sizes[*axis], room), "an update of %d for a cache of %d",
            sizes[*axis], room);
  if (n.has(2)) {
    // The last place where the update fits; a circular cache begins again.
    OpFoldResult end = *isCircular ? room : b.indexSum(b.indexDifference(room, sizes[*axis]), one);
    if (!n.ranked(2, 1, 1, "write_indices") || !n.elementIs(2, kInteger, "write_indices") ||
        !n.sameSize(b.dim(n.in(2), 0), sizes[0], "numbers of write_indices and batches") ||
        !n.requireInRange(n.in(2), zero, end, "write index"))
      return failure();
    position = position + b.broadcast(convert(b, n.in(2), i64), sizes, {0});
  }
  if (*isCircular)
    position = b.binary("mod", position, b.fromElements({b.dim(past, *axis)}, i64, /*scalar=*/true));
  return b.scatterElements(past, position, update, *axis, Reduction::None);
}

static const Rule rules[] = {
    {"Gather", 1, gather, 2},
    {"GatherElements", 11, gatherElements, 2},
    {"GatherND", 11, gatherNd, 2},
    {"Scatter", 9, scatterElements, 3},
    {"ScatterElements", 11, scatterElements, 3},
    {"ScatterND", 11, scatterNd, 3},
    {"OneHot", 9, oneHot, 3, kNumber},
    {"ReverseSequence", 10, reverseSequence, 2},
    {"TensorScatter", 24, tensorScatter, 2},
};
const ArrayRef<Rule> gatherRules(rules);

} // namespace mlc::decompose
