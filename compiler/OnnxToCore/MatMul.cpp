// MatMul, Gemm, Einsum, Det.
#include "compiler/OnnxToCore/MatMul.h"

using namespace mlir;
namespace mlc::decompose {

bool matmulFits(Node &n, Value x, Value y) {
  auto a = CoreBuilder::typeOf(x).getShape(), c = CoreBuilder::typeOf(y).getShape();
  if (!n.check(!a.empty() && !c.empty(), "an operand is a scalar"))
    return false;
  int64_t left = a.back(), right = c.size() == 1 ? c[0] : c[c.size() - 2];
  if (!n.check(left == right || ShapedType::isDynamic(left) || ShapedType::isDynamic(right),
               "inner sizes differ: {0} and {1}", left, right))
    return false;
  for (size_t back = 3; back <= std::min(a.size(), c.size()); ++back) {
    int64_t p = a[a.size() - back], q = c[c.size() - back];
    if (!n.check(p == q || p == 1 || q == 1 || ShapedType::isDynamic(p) || ShapedType::isDynamic(q),
                 "batch sizes cannot be broadcast: {0} and {1}", p, q))
      return false;
  }
  return true;
}

static Values matmul(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), y = n.in(1);
  if (!n.sameElement({x, y}) || !matmulFits(n, x, y))
    return failure();
  return b.matmul(x, y);
}

// alpha * A' B' + beta * C
static Values gemm(Node &n, CoreBuilder &b) {
  Expr x = n.in(0), y = n.in(1);
  n.ignoreAttr("broadcast"); // before opset 7; C is broadcast anyway
  double alpha = n.f32("alpha", 1), beta = n.f32("beta", 1);
  bool transA = n.i64("transA", 0), transB = n.i64("transB", 0);
  if (!n.ranked(0, 2, 2, "A") || !n.ranked(1, 2, 2, "B") || !n.sameElement({x, y}) ||
      !n.sameSize(b.dim(x, transA ? 0 : 1), b.dim(y, transB ? 1 : 0), "inner sizes"))
    return failure();
  CoreBuilder::DotDims dims;
  dims.lhsContract = {transA ? 0 : 1};
  dims.rhsContract = {transB ? 1 : 0};
  Type element = n.element(0), wide = accumulatorOf(element);
  Expr z = b.dot(x, y, dims, wide);
  auto scaled = [&](Expr v, double factor) {
    if (factor == 1)
      return v;
    if (kindOf(element) == kFloat)
      return v * factor;
    return b.cast(b.cast(v, b.builder.getF64Type()) * factor, element);
  };
  z = scaled(z, alpha);
  if (n.has(2)) {
    auto c =
        n.sameElement({x, n.in(2)}) ? n.broadcastTo(scaled(convert(b, n.in(2), wide), beta), b.dims(z)) : std::nullopt;
    if (!c)
      return failure();
    z = z + *c;
  }
  return convert(b, z, element);
}

// ---- Einsum -------------------------------------------------------------------------------------------------------------

namespace {
/// A tensor whose dimensions have labels. Dimensions of an ellipsis are labelled '0' + number, from the right.
struct Labelled {
  Expr x;
  std::string labels;
};
} // namespace

/// The terms' labels, spaces removed; nullopt if the equation is not well formed.
static std::optional<std::pair<SmallVector<std::string>, std::string>> parseEquation(Node &n, std::string text) {
  llvm::erase(text, ' ');
  auto [left, right] = StringRef(text).split("->");
  bool isExplicit = StringRef(text).contains("->");
  SmallVector<StringRef> parts;
  left.split(parts, ',');
  SmallVector<std::string> terms;
  int64_t ellipsis = 0;
  if (!n.check(int64_t(parts.size()) == n.inputCount(), "the equation has {0} terms for {1} inputs", parts.size(),
               n.inputCount()))
    return std::nullopt;
  auto expand = [&](StringRef term, int64_t dims) -> std::optional<std::string> {
    std::string labels;
    bool seen = false;
    for (size_t i = 0; i < term.size(); ++i) {
      if (term.substr(i).starts_with("...") && !seen && dims >= 0) {
        for (int64_t k = dims - 1; k >= 0; --k)
          labels.push_back(char('0' + k));
        seen = true;
        i += 2;
      } else if (llvm::isAlpha(term[i])) {
        labels.push_back(term[i]);
      } else {
        n.check(false, "the equation \"{0}\" is not well formed", text);
        return std::nullopt;
      }
    }
    return labels;
  };
  for (auto [i, part] : llvm::enumerate(parts)) {
    bool hasEllipsis = part.contains("...");
    int64_t dims = hasEllipsis ? n.rank(i) - int64_t(part.size()) + 3 : 0;
    if (!n.check(dims >= 0 && dims < 10, "term \"{0}\" does not fit rank {1}", part, n.rank(i)))
      return std::nullopt;
    auto labels = expand(part, hasEllipsis ? dims : -1);
    if (!labels ||
        !n.check(int64_t(labels->size()) == n.rank(i), "term \"{0}\" does not fit rank {1}", part, n.rank(i)))
      return std::nullopt;
    ellipsis = std::max(ellipsis, dims);
    terms.push_back(*labels);
  }
  std::string all = llvm::join(terms, "");
  std::string result;
  if (isExplicit) {
    auto labels = expand(right, ellipsis);
    if (!labels)
      return std::nullopt;
    result = *labels;
  } else { // dimensions of the ellipsis, then labels that occur once, in alphabetical order
    for (int64_t k = ellipsis - 1; k >= 0; --k)
      result.push_back(char('0' + k));
    std::string once;
    for (char c : all)
      if (llvm::isAlpha(c) && llvm::count(all, c) == 1)
        once.push_back(c);
    llvm::sort(once);
    result += once;
  }
  for (char c : result)
    if (!n.check(llvm::count(result, c) == 1 && llvm::is_contained(all, c),
                 "label '{0}' of the result is not one of the inputs' or occurs twice", c))
      return std::nullopt;
  return std::pair{terms, result};
}

/// A label that occurs twice in one term means a diagonal.
static Labelled takeDiagonals(CoreBuilder &b, Labelled t) {
  for (size_t i = 0; i < t.labels.size(); ++i) {
    size_t k = t.labels.find(t.labels[i], i + 1);
    if (k == std::string::npos)
      continue;
    // x[.., p, .., p, ..]: a sum over k of what lies on the diagonal.
    Sizes sizes = b.dims(t.x);
    Type i64 = b.builder.getI64Type();
    Expr isDiagonal = b.compare(core::Comparison::EQ, b.iota(sizes, i, i64), b.iota(sizes, k, i64));
    t.x = b.reduce(core::Reduction::Sum, b.select(isDiagonal, t.x, b.splatLike(0, t.x)), {int64_t(k)});
    t.labels.erase(k, 1);
    --i;
  }
  return t;
}

/// Sums over the labels that nothing else has.
static Labelled sumOut(CoreBuilder &b, Labelled t, StringRef needed) {
  SmallVector<int64_t> axes;
  std::string kept;
  for (auto [i, c] : llvm::enumerate(t.labels)) {
    if (needed.contains(c))
      kept.push_back(c);
    else
      axes.push_back(i);
  }
  if (!axes.empty())
    t = {b.reduce(core::Reduction::Sum, t.x, axes), kept};
  return t;
}

static Labelled permuted(CoreBuilder &b, Labelled t, StringRef order) {
  SmallVector<int64_t> permutation;
  for (char c : order)
    permutation.push_back(t.labels.find(c));
  return {llvm::is_sorted(permutation) ? t.x : b.transpose(t.x, permutation), order.str()};
}

/// The product of two tensors, summed over what both have and `needed` has not.
static std::optional<Labelled> contract(Node &n, CoreBuilder &b, Labelled x, Labelled y, StringRef needed) {
  x = sumOut(b, x, needed.str() + y.labels);
  y = sumOut(b, y, needed.str() + x.labels);
  // Dimensions of size 1 (of an ellipsis) are broadcast.
  auto dropOnes = [&](Labelled &t, const Labelled &other) {
    for (size_t i = 0; i < t.labels.size();) {
      size_t k = other.labels.find(t.labels[i]);
      if (k != std::string::npos && CoreBuilder::typeOf(t.x).getDimSize(i) == 1 &&
          CoreBuilder::typeOf(other.x).getDimSize(k) != 1) {
        t.x = b.squeeze(t.x, {int64_t(i)});
        t.labels.erase(i, 1);
      } else {
        ++i;
      }
    }
  };
  dropOnes(x, y);
  dropOnes(y, x);
  x = sumOut(b, x, needed.str() + y.labels);
  y = sumOut(b, y, needed.str() + x.labels);
  CoreBuilder::DotDims dims;
  std::string labels;
  for (auto [i, c] : llvm::enumerate(x.labels)) {
    size_t k = y.labels.find(c);
    if (k == std::string::npos)
      continue;
    if (!n.sameSize(b.dim(x.x, i), b.dim(y.x, k), llvm::formatv("sizes of '{0}'", c).str()))
      return std::nullopt;
    if (needed.contains(c)) {
      dims.lhsBatch.push_back(i);
      dims.rhsBatch.push_back(k);
      labels.push_back(c);
    } else {
      dims.lhsContract.push_back(i);
      dims.rhsContract.push_back(k);
    }
  }
  for (char c : x.labels)
    if (y.labels.find(c) == std::string::npos)
      labels.push_back(c);
  for (char c : y.labels)
    if (x.labels.find(c) == std::string::npos)
      labels.push_back(c);
  return Labelled{b.dot(x.x, y.x, dims), labels};
}

static Values einsum(Node &n, CoreBuilder &b) {
  SmallVector<Value> inputs = n.inputs();
  for (Value v : inputs)
    if (!n.check(bool(v), "an input is missing"))
      return failure();
  auto equation = parseEquation(n, n.str("equation", ""));
  if (!equation || !n.sameElement(inputs))
    return failure();
  auto &[terms, result] = *equation;
  for (auto [i, term] : llvm::enumerate(terms))
    for (auto [d, c] : llvm::enumerate(term))
      for (auto [k, other] : llvm::enumerate(term))
        if (c == other && !n.sameSize(b.dim(inputs[i], d), b.dim(inputs[i], k), "sizes of a repeated label"))
          return failure();
  // One product, or one sum, is rounded once; what several make is rounded at the end.
  bool isOne = inputs.size() == 1;
  if (inputs.size() == 2)
    isOne = llvm::all_of(terms[0] + terms[1], [&, &terms = terms, &result = result](char c) {
      return llvm::is_contained(result, c) || (llvm::is_contained(terms[0], c) && llvm::is_contained(terms[1], c));
    });
  if (!isOne)
    for (Value &v : inputs)
      v = widened(b, v);
  Labelled total = takeDiagonals(b, {b.expr(inputs[0]), terms[0]});
  for (size_t i = 1; i < inputs.size(); ++i) {
    std::string needed = result;
    for (size_t k = i + 1; k < inputs.size(); ++k)
      needed += terms[k];
    auto next = contract(n, b, total, takeDiagonals(b, {b.expr(inputs[i]), terms[i]}), needed);
    if (!next)
      return failure();
    total = *next;
  }
  return convert(b, permuted(b, sumOut(b, total, result), result).x, n.element(0));
}

// ---- Det ----------------------------------------------------------------------------------------------------------------

// Gaussian elimination with partial pivoting, unrolled; the row with the largest pivot is swapped in by selects.
static Values determinant(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  int64_t rank = n.rank(0);
  if (!n.check(rank >= 2, "the input has rank {0}", rank))
    return failure();
  auto size = staticDim(n, x, rank - 1, "a matrix"), rows = staticDim(n, x, rank - 2, "a matrix");
  if (!size || !rows || !n.check(*size == *rows, "the matrix is {0} x {1}", *rows, *size))
    return failure();
  if (*size > 32)
    return n.unsupported("a {0} x {0} matrix (more than 32 rows)", *size);
  int64_t last = rank - 1;
  Sizes batch = b.dims(x);
  batch.resize(rank - 2);
  Expr determinant = b.broadcast(b.splat(1, n.element(0)), batch, {});
  for (int64_t k = 0; k < *size; ++k) {
    // x is what is left: [batch..., size - k, size - k].
    Expr column = at(x, last, 0);
    Expr pivotRow = b.argReduce(/*isMax=*/true, b.abs(column), rank - 2, /*keepDims=*/true, /*lastIndex=*/false);
    Expr isPivot = b.compare(core::Comparison::EQ, b.iota(b.dims(column), rank - 2, b.builder.getI64Type()), pivotRow);
    Expr chosen = b.reduce(core::Reduction::Sum, b.select(b.unsqueeze(isPivot, {last}), x, b.splatLike(0, x)),
                           {rank - 2}); // [batch..., size - k]
    Expr first = at(x, rank - 2, 0);
    Expr pivot = at(chosen, rank - 2, 0);
    Expr swapped = b.compare(core::Comparison::NE, b.squeeze(pivotRow, {rank - 2}), 0.0);
    determinant = determinant * b.select(swapped, -pivot, pivot);
    if (k + 1 == *size)
      break;
    OpFoldResult one = b.builder.getIndexAttr(1), left = b.builder.getIndexAttr(*size - k - 1);
    Expr rest = b.select(b.unsqueeze(isPivot, {last}), b.unsqueeze(first, {rank - 2}),
                         x); // the first row takes the pivot row's place
    rest = part(rest, rank - 2, one, left);
    Expr safe = b.select(b.compare(core::Comparison::EQ, pivot, 0.0), b.splatLike(1, pivot), pivot);
    Expr factor = part(rest, last, b.builder.getIndexAttr(0), one) / b.unsqueeze(b.unsqueeze(safe, {rank - 2}), {last});
    x = part(rest, last, one, left) - factor * b.unsqueeze(part(chosen, rank - 2, one, left), {rank - 2});
  }
  return determinant;
}

static const Rule rules[] = {
    {"MatMul", 1, matmul, 2, kNumber},
    {"Gemm", 1, gemm, 2, kNumber},
    {"Einsum", 12, einsum, 1, kNumber},
    {"Det", 11, determinant, 1, kFloat},
};
const ArrayRef<Rule> matMulRules(rules);

} // namespace mlc::decompose
