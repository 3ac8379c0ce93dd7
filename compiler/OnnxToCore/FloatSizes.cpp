// Scalar operations that mean the same as the core operations of the node (see FloatSizes.h).
#include "compiler/OnnxToCore/FloatSizes.h"
#include "dialects/core/Scalar.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
namespace mlc::decompose {

bool isFloatSize(OpFoldResult x) {
  if (auto value = dyn_cast<Value>(x))
    return isa<FloatType>(value.getType());
  return isa<FloatAttr>(cast<Attribute>(x));
}

/// What an op makes of constants is one: a size that is constant has to be seen before it becomes part of a type.
static Ratio folded(core::CoreBuilder &b, Value v) {
  SmallVector<Value> results;
  Operation *op = v.getDefiningOp();
  if (op && op->use_empty() && succeeded(b.builder.tryFold(op, results)) && !results.empty()) {
    op->erase();
    v = results[0];
  }
  Attribute constant;
  if (!matchPattern(v, m_Constant(&constant)))
    return Ratio{v};
  if (isa<FloatAttr>(constant))
    return Ratio{constant};
  auto integer = cast<IntegerAttr>(constant).getValue();
  return Ratio{b.builder.getIndexAttr(integer.getBitWidth() == 1 ? integer.getZExtValue() : integer.getSExtValue())};
}

/// The node's kernel converts the integer itself; a denominator is a power of two, so that dividing by it rounds nothing.
Value FloatSizes::of(const Ratio &x) {
  core::ScalarBuilder s{b.builder, b.loc, type};
  if (auto constant = dyn_cast_if_present<FloatAttr>(dyn_cast<Attribute>(x.numerator)))
    return s.constant(constant.getValueAsDouble());
  if (auto constant = getConstantIntValue(x.numerator))
    return s.constant(double(*constant) / double(x.denominator));
  Value value = cast<Value>(x.numerator);
  if (value.getType() == type)
    return value;
  if (isa<FloatType>(value.getType()))
    return core::ScalarBuilder{b.builder, b.loc, value.getType()}.cast(value, type);
  value = arith::IndexCastOp::create(b.builder, b.loc, b.builder.getI64Type(), value);
  value = arith::SIToFPOp::create(b.builder, b.loc, type, value);
  return x.denominator == 1 ? value : s.divide(value, s.constant(double(x.denominator)));
}

Ratio FloatSizes::convert(const Ratio &x) { return folded(b, of(x)); }

std::optional<Ratio> FloatSizes::unary(StringRef op, const Ratio &ratio) {
  core::ScalarBuilder s{b.builder, b.loc, type};
  if (op == "Identity")
    return ratio;
  Value x = of(ratio), y;
  if (op == "Floor")
    y = s.make<math::FloorOp>(x);
  else if (op == "Ceil")
    y = s.make<math::CeilOp>(x);
  else if (op == "Round")
    y = s.make<math::RoundEvenOp>(x);
  else if (op == "Sqrt")
    y = s.make<math::SqrtOp>(x);
  else if (op == "Reciprocal")
    y = s.divide(s.constant(1), x);
  else if (op == "Neg")
    y = s.make<arith::NegFOp>(x);
  else if (op == "Abs")
    y = s.make<math::AbsFOp>(x);
  else
    return std::nullopt;
  return folded(b, y);
}

static std::optional<core::Comparison> comparison(StringRef op) {
  return llvm::StringSwitch<std::optional<core::Comparison>>(op)
      .Case("Equal", core::Comparison::EQ)
      .Case("Less", core::Comparison::LT)
      .Case("LessOrEqual", core::Comparison::LE)
      .Case("Greater", core::Comparison::GT)
      .Case("GreaterOrEqual", core::Comparison::GE)
      .Default(std::nullopt);
}

std::optional<Ratio> FloatSizes::binary(StringRef op, const Ratio &p, const Ratio &q) {
  core::ScalarBuilder s{b.builder, b.loc, type};
  Value x = of(p), y = of(q);
  if (auto predicate = comparison(op))
    return folded(b, s.compare(*predicate, x, y));
  if (op == "Add")
    return folded(b, s.make<arith::AddFOp>(x, y));
  if (op == "Sub")
    return folded(b, s.make<arith::SubFOp>(x, y));
  if (op == "Mul")
    return folded(b, s.make<arith::MulFOp>(x, y));
  if (op == "Div")
    return folded(b, s.divide(x, y));
  if (op == "Min")
    return folded(b, s.minimum(x, y));
  if (op == "Max")
    return folded(b, s.maximum(x, y));
  return std::nullopt;
}

Ratio FloatSizes::select(Value condition, const Ratio &x, const Ratio &y) {
  return folded(b, arith::SelectOp::create(b.builder, b.loc, condition, of(x), of(y)));
}

/// Certainly not less than 0, though it may be NaN.
static bool isNotBelowZero(Value x, int depth = 8) {
  FloatAttr constant;
  if (matchPattern(x, m_Constant(&constant)))
    return !constant.getValue().isNegative();
  Operation *op = x.getDefiningOp();
  if (!op || depth == 0)
    return false;
  auto isOperand = [&](Value operand) { return isNotBelowZero(operand, depth - 1); };
  if (auto number = dyn_cast<arith::SIToFPOp>(op)) {
    auto index = number.getIn().getDefiningOp<arith::IndexCastOp>();
    return index && core::isNonNegative(index.getIn(), depth - 1);
  }
  if (isa<arith::SelectOp>(op))
    return llvm::all_of(op->getOperands().drop_front(), isOperand);
  if (isa<arith::MaximumFOp>(op))
    return llvm::any_of(op->getOperands(), isOperand);
  return isa<math::SqrtOp, math::AbsFOp>(op) ||
         (isa<arith::AddFOp, arith::MulFOp, arith::DivFOp, arith::MinimumFOp, arith::ExtFOp, arith::TruncFOp,
              math::FloorOp, math::CeilOp, math::RoundEvenOp>(op) &&
          llvm::all_of(op->getOperands(), isOperand));
}

std::optional<Ratio> FloatSizes::toIndex(const Ratio &x) {
  core::ScalarBuilder s{b.builder, b.loc, type};
  Value number = of(x);
  double most = double(int64_t(1) << 62);
  FloatAttr constant;
  if (matchPattern(number, m_Constant(&constant)) && !(std::abs(constant.getValueAsDouble()) <= most))
    return std::nullopt;
  Value least = s.constant(isNotBelowZero(number) ? 0 : -most);
  Value low = of(folded(b, s.make<arith::MaxNumFOp>(number, least)));
  Value held = of(folded(b, s.make<arith::MinNumFOp>(low, s.constant(most))));
  Value integer = b.builder.createOrFold<arith::FPToSIOp>(b.loc, b.builder.getI64Type(), held);
  return folded(b, arith::IndexCastOp::create(b.builder, b.loc, b.builder.getIndexType(), integer));
}

} // namespace mlc::decompose
