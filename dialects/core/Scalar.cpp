// Scalar bodies that are more than one arith or math op (see Scalar.h).
#include "dialects/core/Scalar.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace mlc::core {

Type signless(Type element) {
  return element.isUnsignedInteger() ? IntegerType::get(element.getContext(), element.getIntOrFloatBitWidth())
                                     : element;
}

/// Of integers: a whole number of 64 bits, of which a narrower type takes the low ones (-1: all bits).
static TypedAttr numberAttr(Type type, double value) {
  if (auto floatType = dyn_cast<FloatType>(type))
    return FloatAttr::get(floatType, value);
  assert(value == static_cast<double>(static_cast<int64_t>(value)) && "no whole number");
  APInt bits(128, static_cast<uint64_t>(static_cast<int64_t>(value)), true);
  return IntegerAttr::get(type, bits.trunc(type.getIntOrFloatBitWidth()));
}

Value ScalarBuilder::constant(double value) { return make<arith::ConstantOp>(numberAttr(signless(t), value)); }
Value ScalarBuilder::infinity() {
  auto type = cast<FloatType>(t);
  return make<arith::ConstantOp>(FloatAttr::get(type, APFloat::getInf(type.getFloatSemantics())));
}

// x > 0 ? 1 : x < 0 ? -1 : x
Value ScalarBuilder::sign(Value x) {
  Value zero = constant(0), positive = compare(Comparison::GT, x, zero);
  if (!isFloat() && isUnsigned())
    return make<arith::SelectOp>(positive, constant(1), x);
  Value negative = compare(Comparison::LT, x, zero);
  return make<arith::SelectOp>(positive, constant(1), make<arith::SelectOp>(negative, constant(-1), x));
}

// Dividing by 0, or the smallest integer by -1, traps on some machines: both are done another way.
Value ScalarBuilder::divide(Value x, Value y) {
  if (isFloat())
    return make<arith::DivFOp>(x, y);
  Value one = constant(1), isZero = make<arith::CmpIOp>(arith::CmpIPredicate::eq, y, constant(0));
  if (isUnsigned())
    return make<arith::DivUIOp>(x, make<arith::SelectOp>(isZero, one, y));
  Value isMinusOne = make<arith::CmpIOp>(arith::CmpIPredicate::eq, y, constant(-1));
  Value quotient = make<arith::DivSIOp>(x, make<arith::SelectOp>(make<arith::OrIOp>(isZero, isMinusOne), one, y));
  return make<arith::SelectOp>(isMinusOne, make<arith::SubIOp>(constant(0), x), quotient);
}
Value ScalarBuilder::remainder(Value x, Value y) {
  if (isFloat())
    return make<arith::RemFOp>(x, y);
  Value one = constant(1), unsafe = make<arith::CmpIOp>(arith::CmpIPredicate::eq, y, constant(0));
  if (isUnsigned())
    return make<arith::RemUIOp>(x, make<arith::SelectOp>(unsafe, one, y));
  unsafe = make<arith::OrIOp>(unsafe, make<arith::CmpIOp>(arith::CmpIPredicate::eq, y, constant(-1)));
  return make<arith::RemSIOp>(x, make<arith::SelectOp>(unsafe, one, y));
}
// r = x rem y; r != 0 and of another sign than y ? r + y : r
Value ScalarBuilder::modulo(Value x, Value y) {
  Value r = remainder(x, y);
  if (!isFloat() && isUnsigned())
    return r;
  Value zero = constant(0), isNonzero = compare(Comparison::NE, r, zero);
  Value differs = make<arith::XOrIOp>(compare(Comparison::LT, r, zero), compare(Comparison::LT, y, zero));
  Value sum = isFloat() ? make<arith::AddFOp>(r, y) : make<arith::AddIOp>(r, y);
  return make<arith::SelectOp>(make<arith::AndIOp>(isNonzero, differs), sum, r);
}

// Integers: square and multiply over the six lowest bits of the exponent. With larger exponents only -1, 0, 1 have a result that is
// not wrapped around; of these an exponent of the same parity gives the same.
Value ScalarBuilder::power(Value x, Value y) {
  if (isFloat())
    return make<math::PowFOp>(x, y);
  Value zero = constant(0), one = constant(1);
  Value parity = make<arith::AndIOp>(y, one);
  Value n = y;
  unsigned width = t.getIntOrFloatBitWidth();
  if (width > 6) {
    Value isLarge = make<arith::CmpIOp>(arith::CmpIPredicate::ugt, y, constant(63));
    n = make<arith::SelectOp>(isLarge, make<arith::OrIOp>(parity, constant(62)), y);
  }
  Value result = one, factor = x;
  for (unsigned bit = 0; bit < std::min(6u, width); ++bit) {
    Value isSet = make<arith::CmpIOp>(arith::CmpIPredicate::ne, make<arith::AndIOp>(n, constant(1 << bit)), zero);
    result = make<arith::SelectOp>(isSet, make<arith::MulIOp>(result, factor), result);
    if (bit < 5)
      factor = make<arith::MulIOp>(factor, factor);
  }
  if (isUnsigned())
    return result;
  // y < 0: 1 for x = 1, 1 or -1 for x = -1 (the product above has it, n has y's parity), else 0.
  Value isNegative = make<arith::CmpIOp>(arith::CmpIPredicate::slt, y, zero);
  Value isUnit = make<arith::OrIOp>(make<arith::CmpIOp>(arith::CmpIPredicate::eq, x, one),
                                    make<arith::CmpIOp>(arith::CmpIPredicate::eq, x, constant(-1)));
  return make<arith::SelectOp>(isNegative, make<arith::SelectOp>(isUnit, result, zero), result);
}

Value ScalarBuilder::maximum(Value x, Value y) {
  return isFloat()      ? make<arith::MaximumFOp>(x, y)
         : isUnsigned() ? make<arith::MaxUIOp>(x, y)
                        : make<arith::MaxSIOp>(x, y);
}
Value ScalarBuilder::minimum(Value x, Value y) {
  return isFloat()      ? make<arith::MinimumFOp>(x, y)
         : isUnsigned() ? make<arith::MinUIOp>(x, y)
                        : make<arith::MinSIOp>(x, y);
}

// Shifting by the width or more is poison in arith.
Value ScalarBuilder::shiftLeft(Value x, Value y) {
  unsigned width = t.getIntOrFloatBitWidth();
  Value fits = make<arith::CmpIOp>(arith::CmpIPredicate::ult, y, constant(width));
  return make<arith::SelectOp>(fits, make<arith::ShLIOp>(x, make<arith::SelectOp>(fits, y, constant(0))), constant(0));
}
Value ScalarBuilder::shiftRight(Value x, Value y) {
  unsigned width = t.getIntOrFloatBitWidth();
  Value fits = make<arith::CmpIOp>(arith::CmpIPredicate::ult, y, constant(width));
  if (isUnsigned())
    return make<arith::SelectOp>(fits, make<arith::ShRUIOp>(x, make<arith::SelectOp>(fits, y, constant(0))),
                                 constant(0));
  return make<arith::ShRSIOp>(x, make<arith::SelectOp>(fits, y, constant(width - 1)));
}

Value ScalarBuilder::compare(Comparison predicate, Value x, Value y) {
  using F = arith::CmpFPredicate;
  using I = arith::CmpIPredicate;
  bool u = isUnsigned();
  if (isFloat()) {
    static const F predicates[] = {F::OEQ, F::UNE, F::OLT, F::OLE, F::OGT, F::OGE};
    return make<arith::CmpFOp>(predicates[static_cast<int>(predicate)], x, y);
  }
  const I predicates[] = {
      I::eq, I::ne, u ? I::ult : I::slt, u ? I::ule : I::sle, u ? I::ugt : I::sgt, u ? I::uge : I::sge};
  return make<arith::CmpIOp>(predicates[static_cast<int>(predicate)], x, y);
}

// What does not fit is poison in arith, and what instructions give differs between machines: it is chosen here, as C's conversions on
// x86 give it without AVX-512. Narrow types and ui32 wrap around through a wider one.
Value ScalarBuilder::truncate(Value x, Type to) {
  MLIRContext *context = t.getContext();
  unsigned toWidth = to.getIntOrFloatBitWidth();
  bool isLong = toWidth == 64 || (toWidth == 32 && core::isUnsigned(to));
  Type wide = IntegerType::get(context, isLong ? 64 : 32), real = t;
  if (t.getIntOrFloatBitWidth() < 32) {
    real = Float32Type::get(context);
    x = make<arith::ExtFOp>(real, x);
  }
  Value limit = make<arith::ConstantOp>(numberAttr(real, isLong ? 0x1p63 : 0x1p31));
  Value smallest = make<arith::ConstantOp>(IntegerAttr::get(wide, APInt::getSignedMinValue(isLong ? 64 : 32)));
  Value isUpper; // half of what ui64 holds is no i64
  if (toWidth == 64 && core::isUnsigned(to)) {
    isUpper = make<arith::CmpFOp>(arith::CmpFPredicate::OGE, x, limit);
    x = make<arith::SelectOp>(isUpper, make<arith::SubFOp>(x, limit), x);
  }
  Value fits = make<arith::CmpFOp>(arith::CmpFPredicate::OLT, make<math::AbsFOp>(x), limit);
  Value result = make<arith::SelectOp>(fits, make<arith::FPToSIOp>(wide, x), smallest);
  if (isUpper)
    result = make<arith::SelectOp>(isUpper, make<arith::XOrIOp>(result, smallest), result);
  return wide.getIntOrFloatBitWidth() == toWidth ? result : make<arith::TruncIOp>(signless(to), result);
}

Value ScalarBuilder::cast(Value x, Type to) {
  if (t == to)
    return x;
  MLIRContext *context = t.getContext();
  Type target = signless(to);
  unsigned fromWidth = t.getIntOrFloatBitWidth(), toWidth = to.getIntOrFloatBitWidth();
  if (to.isInteger(1))
    return compare(Comparison::NE, x, constant(0));
  if (isFloat() && isa<FloatType>(to)) {
    if (fromWidth == toWidth ||
        (fromWidth < 32 && toWidth < 32)) { // f16 and bf16, the 8-bit ones: neither contains the other
      Type wide = Float32Type::get(context);
      return make<arith::TruncFOp>(target, make<arith::ExtFOp>(wide, x));
    }
    return fromWidth < toWidth ? make<arith::ExtFOp>(target, x) : make<arith::TruncFOp>(target, x);
  }
  if (isFloat())
    return truncate(x, to);
  if (isa<FloatType>(to)) {
    Type step = toWidth < 32 ? Type(Float32Type::get(context)) : to;
    Value number = isUnsigned() ? make<arith::UIToFPOp>(step, x) : make<arith::SIToFPOp>(step, x);
    return step == to ? number : make<arith::TruncFOp>(to, number);
  }
  if (fromWidth == toWidth)
    return x;
  if (fromWidth > toWidth)
    return make<arith::TruncIOp>(target, x);
  return isUnsigned() ? make<arith::ExtUIOp>(target, x) : make<arith::ExtSIOp>(target, x);
}

Value ScalarBuilder::combine(Reduction kind, Value x, Value y) {
  switch (kind) {
  case Reduction::None:
    return y;
  case Reduction::Sum:
    return isFloat() ? make<arith::AddFOp>(x, y) : make<arith::AddIOp>(x, y);
  case Reduction::Prod:
    return isFloat() ? make<arith::MulFOp>(x, y) : make<arith::MulIOp>(x, y);
  case Reduction::Max:
    return maximum(x, y);
  case Reduction::Min:
    return minimum(x, y);
  case Reduction::And:
    return make<arith::AndIOp>(x, y);
  case Reduction::Or:
    return make<arith::OrIOp>(x, y);
  }
  llvm_unreachable("unknown reduction");
}

TypedAttr ScalarBuilder::neutral(Reduction kind) {
  Type type = signless(t);
  bool isMax = kind == Reduction::Max;
  if (kind == Reduction::Max || kind == Reduction::Min) {
    if (auto floatType = dyn_cast<FloatType>(type)) {
      const llvm::fltSemantics &semantics = floatType.getFloatSemantics();
      bool hasInfinity = APFloat::semanticsHasInf(semantics);
      return FloatAttr::get(floatType,
                            hasInfinity ? APFloat::getInf(semantics, isMax) : APFloat::getLargest(semantics, isMax));
    }
    unsigned width = type.getIntOrFloatBitWidth();
    APInt value = isUnsigned() ? (isMax ? APInt::getMinValue(width) : APInt::getMaxValue(width))
                               : (isMax ? APInt::getSignedMinValue(width) : APInt::getSignedMaxValue(width));
    return IntegerAttr::get(type, value);
  }
  return numberAttr(type, kind == Reduction::Prod ? 1 : kind == Reduction::And ? -1 : 0);
}

} // namespace mlc::core
