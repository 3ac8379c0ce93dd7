// Floats that sizes are computed from (compiler/OnnxToCore/FloatSizes.h). A size is cut off from the last of them, so each is rounded to
// the type that the model names: of one operation on f32 numbers, a double holds enough to round it right.
#include "compiler/Reference/Interpreter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace mlir;

namespace mlc::reference {

static std::optional<bool> compare(arith::CmpFPredicate predicate, double x, double y) {
  switch (predicate) {
  case arith::CmpFPredicate::OEQ:
    return x == y;
  case arith::CmpFPredicate::OLT:
    return x < y;
  case arith::CmpFPredicate::OLE:
    return x <= y;
  case arith::CmpFPredicate::OGT:
    return x > y;
  case arith::CmpFPredicate::OGE:
    return x >= y;
  default:
    return std::nullopt;
  }
}

/// The minimum or maximum that is NaN where an operand is.
static double orNaN(double x, double y, double chosen) { return std::isnan(x) || std::isnan(y) ? NAN : chosen; }

static std::optional<double> evaluateReal(Operation *op, ArrayRef<double> v) {
  return llvm::TypeSwitch<Operation *, std::optional<double>>(op)
      .Case<arith::SIToFPOp, arith::ExtFOp, arith::TruncFOp>([&](auto) { return v[0]; })
      .Case([&](arith::FPToSIOp) { return std::trunc(v[0]); })
      .Case([&](arith::AddFOp) { return v[0] + v[1]; })
      .Case([&](arith::SubFOp) { return v[0] - v[1]; })
      .Case([&](arith::MulFOp) { return v[0] * v[1]; })
      .Case([&](arith::DivFOp) { return v[0] / v[1]; })
      .Case([&](arith::NegFOp) { return -v[0]; })
      .Case([&](arith::MinimumFOp) { return orNaN(v[0], v[1], std::fmin(v[0], v[1])); })
      .Case([&](arith::MaximumFOp) { return orNaN(v[0], v[1], std::fmax(v[0], v[1])); })
      .Case([&](arith::MinNumFOp) { return std::fmin(v[0], v[1]); })
      .Case([&](arith::MaxNumFOp) { return std::fmax(v[0], v[1]); })
      .Case([&](math::FloorOp) { return std::floor(v[0]); })
      .Case([&](math::CeilOp) { return std::ceil(v[0]); })
      .Case([&](math::RoundEvenOp) { return std::nearbyint(v[0]); })
      .Case([&](math::SqrtOp) { return std::sqrt(v[0]); })
      .Case([&](math::AbsFOp) { return std::abs(v[0]); })
      .Case([&](arith::CmpFOp cmp) -> std::optional<double> { return compare(cmp.getPredicate(), v[0], v[1]); })
      .Case([&](arith::SelectOp) { return v[0] != 0 ? v[1] : v[2]; })
      .Default([](Operation *) { return std::nullopt; });
}

bool Interpreter::visitReal(Operation *op) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto number = dyn_cast<FloatAttr>(constant.getValue());
    if (number)
      reals[constant] = number.getValueAsDouble();
    return bool(number);
  }
  SmallVector<double> operands;
  for (Value operand : op->getOperands()) {
    auto real = reals.find(operand);
    auto integer = scalars.find(operand);
    if (real == reals.end() && integer == scalars.end())
      return false;
    operands.push_back(real != reals.end() ? real->second : double(integer->second));
  }
  auto value = op->getNumResults() == 1 ? evaluateReal(op, operands) : std::nullopt;
  if (!value)
    return false;
  Value result = op->getResult(0);
  if (!isa<FloatType>(result.getType()))
    scalars[result] = int64_t(*value);
  else
    reals[result] = result.getType().isF32() ? double(float(*value)) : *value;
  return true;
}

} // namespace mlc::reference
