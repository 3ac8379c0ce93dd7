// NonZero, Compress, Unique and NonMaxSuppression: only the data tells the size of their results. Each is what core's compact or nms
// finds, in as many rows as there are.
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

using core::Comparison;
using core::Reduction;

static Expr integer(CoreBuilder &b, OpFoldResult value) {
  return b.fromElements({value}, b.builder.getI64Type(), /*scalar=*/true);
}

/// The positions of a vector's true elements; what is known at compile time costs nothing at run time.
static Expr positionsOf(CoreBuilder &b, Value mask) {
  if (ElementsAttr attr = constantOf(mask))
    if (auto values = readInts(attr, 1 << 20)) {
      SmallVector<int64_t> positions;
      for (auto [i, value] : llvm::enumerate(*values))
        if (value)
          positions.push_back(i);
      return b.ints(positions);
    }
  if (auto splat = dyn_cast_if_present<IntegerAttr>(core::splatOf(mask)))
    return b.iota({splat.getValue().isZero() ? OpFoldResult(b.builder.getIndexAttr(0)) : b.dim(mask, 0)}, 0,
                  b.builder.getI64Type());
  return b.positionsOf(mask);
}

// One row of coordinates for each dimension, one column for each element that is not 0.
static Values nonZero(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  Sizes sizes = b.dims(x);
  auto count = productOf(n, sizes);
  if (!count)
    return failure();
  Expr mask = kindOf(n.element(0)) == kBool ? x : b.compare(Comparison::NE, x, 0.0);
  Expr rest = positionsOf(b, b.reshape(mask, {*count}));
  SmallVector<Value> rows;
  for (OpFoldResult size : llvm::reverse(sizes)) {
    bool isOutermost = rows.size() + 1 == sizes.size();
    rows.push_back(b.unsqueeze(isOutermost ? rest : b.binary("rem", rest, integer(b, size)), {0}));
    if (!isOutermost)
      rest = b.binary("div", rest, integer(b, size));
  }
  if (rows.empty()) { // a scalar has no coordinates
    OpFoldResult zero = b.builder.getIndexAttr(0);
    return b.slice(b.unsqueeze(rest, {0}), {zero, zero}, {zero, b.dim(rest, 0)});
  }
  std::reverse(rows.begin(), rows.end());
  return b.concat(rows, 0);
}

// The slices whose condition is true; a condition that is too short is false for the rest.
static Values compress(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), condition = n.in(1);
  if (!n.ranked(1, 1, 1, "the condition") || !n.elementIs(1, kBool, "the condition"))
    return failure();
  int64_t axis = 0;
  if (n.hasAttr("axis")) {
    auto given = n.axis("axis", 0, n.rank(0));
    if (!given)
      return failure();
    axis = *given;
  } else {
    auto count = productOf(n, b.dims(x));
    if (!count)
      return failure();
    x = b.reshape(x, {*count});
  }
  OpFoldResult have = b.dim(x, axis), given = b.dim(condition, 0);
  if (!n.known.isSame(have, given))
    condition = part(condition, 0, b.builder.getIndexAttr(0), b.indexMin(have, given));
  return b.gather(x, positionsOf(b, condition), axis);
}

/// Rows of x in an order in which equal ones are neighbours and keep their order, and that order.
static std::pair<Expr, Expr> sortedRows(CoreBuilder &b, Expr rows) {
  if (CoreBuilder::rankOf(rows) == 1)
    return b.sort(rows, 0, /*descending=*/false);
  Expr order = b.sortRows(rows);
  return {b.gather(rows, order, 0), order};
}

/// Whether each of the sorted rows differs from the one before it; the first one does.
static Expr startsGroup(CoreBuilder &b, Expr sorted) {
  Type i64 = b.builder.getI64Type();
  Expr position = b.iota({b.dim(sorted, 0)}, 0, i64);
  Expr differs = b.compare(Comparison::NE, sorted, b.gather(sorted, b.maximum(position - 1.0, 0.0), 0));
  if (CoreBuilder::rankOf(sorted) == 2)
    differs = b.reduce(Reduction::Or, differs, {1});
  return b.select(b.compare(Comparison::EQ, position, 0.0), b.splatLike(1, differs), differs);
}

// Equal rows are a group after sorting. Results: the rows; the first position of each; each position's row; how often each occurs.
static Values unique(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  auto count = productOf(n, b.dims(x));
  auto isSorted = n.i64("sorted", 1);
  int64_t axis = 0;
  if (!count)
    return failure();
  Expr rows = x;
  if (n.hasAttr("axis")) {
    auto given = n.axis("axis", 0, n.rank(0));
    if (!given)
      return failure();
    axis = *given;
    SmallVector<int64_t> order = countingFrom(0, n.rank(0));
    order.erase(order.begin() + axis);
    order.insert(order.begin(), axis);
    rows = b.transpose(x, order);
    Sizes inner = b.dims(rows);
    auto width = productOf(n, ArrayRef(inner).drop_front());
    if (!width)
      return failure();
    rows = n.rank(0) == 1 ? rows : b.reshape(rows, {inner[0], *width});
  } else {
    rows = x = b.reshape(x, {*count});
  }
  if (kindOf(n.element(0)) == kBool)
    rows = b.cast(rows, b.builder.getIntegerType(8, /*isSigned=*/false));
  Type i64 = b.builder.getI64Type();
  auto [sorted, order] = sortedRows(b, rows);
  Expr starts = startsGroup(b, sorted), isStart = b.cast(starts, i64);
  Expr group = b.scan(Reduction::Sum, isStart, 0, /*exclusive=*/false, /*reverse=*/false) - 1.0;
  Expr first = b.gather(order, b.positionsOf(starts), 0);
  OpFoldResult zero = b.builder.getIndexAttr(0), groups = b.dim(first, 0);
  Expr none = b.splatLike(0, order), ones = b.splatLike(1, order);
  Expr inverse = b.scatterElements(none, order, group, 0, Reduction::None);
  Expr counts = part(b.scatterElements(none, group, ones, 0, Reduction::Sum), 0, zero, groups);
  if (!isSorted) { // by first position
    auto [positions, rank] = b.sort(first, 0, /*descending=*/false);
    Expr newGroup = b.scatterElements(b.splatLike(0, rank), rank, b.iota({groups}, 0, i64), 0, Reduction::None);
    first = positions;
    counts = b.gather(counts, rank, 0);
    inverse = b.gather(newGroup, inverse, 0);
  }
  return {b.gather(x, first, axis), first, inverse, counts};
}

static Values nonMaxSuppression(Node &n, CoreBuilder &b) {
  if (!n.ranked(0, 3, 3, "the boxes") || !n.ranked(1, 3, 3, "the scores") || !n.sameElement({n.in(0), n.in(1)}) ||
      !n.sameSize(b.dim(n.in(0), 0), b.dim(n.in(1), 0), "batch sizes") ||
      !n.sameSize(b.dim(n.in(0), 1), b.dim(n.in(1), 2), "numbers of boxes") ||
      !n.sameSize(b.dim(n.in(0), 2), b.builder.getIndexAttr(4), "numbers of coordinates"))
    return failure();
  auto scalar = [&](int64_t i, double absent) {
    return n.has(i) ? b.reshape(convert(b, n.in(i), n.element(0)), {}) : b.splat(absent, n.element(0));
  };
  for (int64_t i = 2; i < n.inputCount(); ++i)
    if (n.has(i) &&
        !n.check(n.type(i).hasStaticShape() && n.type(i).getNumElements() == 1, "input {0} is not a scalar", i))
      return failure();
  auto centerPoints = n.i64("center_point_box", 0);
  auto limit = n.has(2) ? n.size(2) : OpFoldResult(b.builder.getIndexAttr(0));
  if (!limit || !n.check(centerPoints == 0 || centerPoints == 1, "center_point_box is {0}", centerPoints))
    return failure();
  return b.nms(n.in(0), n.in(1), {scalar(3, 0), scalar(4, std::nan("")), *limit, centerPoints == 1});
}

static const Rule rules[] = {
    {"NonZero", 9, nonZero},
    {"Compress", 9, compress, 2},
    {"Unique", 11, unique},
    {"NonMaxSuppression", 10, nonMaxSuppression, 2, kFloat},
};
const ArrayRef<Rule> countedRules(rules);

} // namespace mlc::decompose
