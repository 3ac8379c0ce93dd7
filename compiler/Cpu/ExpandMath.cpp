// ExpandMath: transcendental functions on f32 as arith, for scalars and vectors alike, so that they vectorise with the loop
// around them (a libm call for each lane is 12 to 45 times slower). f16 and bf16 go through f32; f64 stays for libm. Products and
// sums carry `contract`: they fuse where the target has fma and stay exact enough where it has not.
// docs/math.md has the method, the source and the measured error of each.
#include "compiler/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlc {
#define GEN_PASS_DEF_EXPANDMATH
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;

namespace {

constexpr double kLn2 = 0.693147180559945309417, kLog2e = 1.44269504088896340736;
constexpr double kPi = 3.14159265358979323846;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// ln 2 in two parts (Cephes): n * kLn2High is exact for |n| < 2^14.
constexpr double kLn2High = 0.693359375, kLn2Low = -2.12194440e-4;

/// Builds code on one shape (scalar, or the shape of the vector). Values are f32 unless said otherwise.
struct Code {
  OpBuilder &b;
  Location loc;
  Type shape; // any type of the shape

  Type like(Type element) const {
    auto vector = dyn_cast<VectorType>(shape);
    return vector ? Type(vector.clone(element)) : element;
  }
  Type f32() const { return like(b.getF32Type()); }
  Type f64() const { return like(b.getF64Type()); }
  Type i32() const { return like(b.getI32Type()); }
  Type i64() const { return like(b.getI64Type()); }

  Value constant(Type type, Attribute value) const {
    if (auto vector = dyn_cast<VectorType>(type))
      value = DenseElementsAttr::get(vector, value);
    return arith::ConstantOp::create(b, loc, cast<TypedAttr>(value));
  }
  Value c(double value) const { return constant(f32(), b.getF32FloatAttr(value)); }
  Value d(double value) const { return constant(f64(), b.getF64FloatAttr(value)); }
  Value i(int32_t value) const { return constant(i32(), b.getI32IntegerAttr(value)); }
  Value l(int64_t value) const { return constant(i64(), b.getI64IntegerAttr(value)); }
  /// Whether a condition holds anywhere: i1.
  Value anyLane(Value condition) const {
    return isa<VectorType>(shape)
               ? vector::ReductionOp::create(b, loc, vector::CombiningKind::OR, condition).getResult()
               : condition;
  }
  /// A constant of the type of `of` (f32 or f64).
  Value of(Value like, double value) const { return getElementTypeOrSelf(like).isF64() ? d(value) : c(value); }

  static constexpr arith::FastMathFlags kFuse = arith::FastMathFlags::contract;
  Value mul(Value x, Value y) const { return arith::MulFOp::create(b, loc, x, y, kFuse); }
  Value add(Value x, Value y) const { return arith::AddFOp::create(b, loc, x, y, kFuse); }
  Value sub(Value x, Value y) const { return arith::SubFOp::create(b, loc, x, y, kFuse); }
  Value div(Value x, Value y) const { return arith::DivFOp::create(b, loc, x, y); }
  Value fma(Value x, Value y, Value z) const { return add(mul(x, y), z); }
  Value neg(Value x) const { return arith::NegFOp::create(b, loc, x); }
  Value abs(Value x) const { return math::AbsFOp::create(b, loc, x); }
  Value sqrt(Value x) const { return math::SqrtOp::create(b, loc, x); }
  Value rounded(Value x) const { return math::RoundEvenOp::create(b, loc, x); }
  Value floor(Value x) const { return math::FloorOp::create(b, loc, x); }
  Value copysign(Value x, Value sign) const { // f32 only
    Value magnitude = iand(bits(x), i(0x7fffffff)), top = iand(bits(sign), i(std::numeric_limits<int32_t>::min()));
    return fromBits(arith::OrIOp::create(b, loc, magnitude, top));
  }

  /// Of odd functions: -0 stays -0.
  Value keepZero(Value x, Value result) const { return select(equal(x, c(0.0)), x, result); }

  using P = arith::CmpFPredicate;
  Value cmp(P predicate, Value x, Value y) const { return arith::CmpFOp::create(b, loc, predicate, x, y); }
  Value less(Value x, Value y) const { return cmp(P::OLT, x, y); }
  Value greater(Value x, Value y) const { return cmp(P::OGT, x, y); }
  Value equal(Value x, Value y) const { return cmp(P::OEQ, x, y); }
  Value select(Value condition, Value yes, Value no) const {
    return arith::SelectOp::create(b, loc, condition, yes, no);
  }
  Value both(Value x, Value y) const { return arith::AndIOp::create(b, loc, x, y); }
  Value either(Value x, Value y) const { return arith::OrIOp::create(b, loc, x, y); }
  Value negate(Value x) const {
    return arith::XOrIOp::create(b, loc, x, constant(like(b.getI1Type()), b.getBoolAttr(true)));
  }
  // Clamps that keep NaN; each is one max or min instruction.
  Value atLeast(Value x, double low) const {
    Value k = of(x, low);
    return select(greater(k, x), k, x);
  }
  Value atMost(Value x, double high) const {
    Value k = of(x, high);
    return select(less(k, x), k, x);
  }

  Value iadd(Value x, Value y) const { return arith::AddIOp::create(b, loc, x, y); }
  Value isub(Value x, Value y) const { return arith::SubIOp::create(b, loc, x, y); }
  Value iand(Value x, Value y) const { return arith::AndIOp::create(b, loc, x, y); }
  Value shl(Value x, Value by) const { return arith::ShLIOp::create(b, loc, x, by); }
  Value shr(Value x, Value by) const { return arith::ShRSIOp::create(b, loc, x, by); }
  Value isZero(Value x) const { return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, x, i(0)); }
  Value toInt(Value x) const { return arith::FPToSIOp::create(b, loc, i32(), x); }
  Value toFloat(Value x) const { return arith::SIToFPOp::create(b, loc, f32(), x); }
  Value bits(Value x) const {
    return arith::BitcastOp::create(b, loc, getElementTypeOrSelf(x).isF64() ? i64() : i32(), x);
  }
  Value fromBits(Value x) const {
    return arith::BitcastOp::create(b, loc, getElementTypeOrSelf(x).isInteger(64) ? f64() : f32(), x);
  }
  Value wide(Value x) const { return arith::ExtFOp::create(b, loc, f64(), x); }
  Value narrow(Value x) const { return arith::TruncFOp::create(b, loc, f32(), x); }

  /// Horner, highest coefficient first.
  Value polynomial(Value x, ArrayRef<double> coefficients) const {
    Value sum = of(x, coefficients.front());
    for (double coefficient : coefficients.drop_front())
      sum = fma(sum, x, of(x, coefficient));
    return sum;
  }

  // --- exp and its kin -------------------------------------------------------------------------------------------------

  /// x = n ln2 + r, |r| <= ln2 / 2. The low bits of `magic` hold n.
  struct Reduced {
    Value magic, n, r;
  };
  Reduced reduce(Value x) const {
    Value magic = fma(x, c(kLog2e), c(12582912.0)); // adding 1.5 * 2^23 rounds to an integer
    Value n = sub(magic, c(12582912.0));
    return {magic, n, sub(sub(x, mul(n, c(kLn2High))), mul(n, c(kLn2Low)))};
  }

  /// 2^(n - down): exponent bits; n - down must be in [-127, 127], and -127 gives 0.
  Value power(Value magic, int32_t down) const {
    return fromBits(iadd(shl(bits(magic), i(23)), i((127 - down) << 23)));
  }

  /// 2^(1 - down) * e^r * 2^n.
  Value expOf(Value r, Value magic, int32_t down) const {
    Value twice = polynomial(r, {2 * 1.9875691500e-4, 2 * 1.3981999507e-3, 2 * 8.3334519073e-3, 2 * 4.1665795894e-2,
                                 2 * 1.6666665459e-1, 1.0, 2.0, 2.0});
    return mul(twice, power(magic, down));
  }

  // 2 e^r * 2^(n-1): n = 128 overflows to infinity by itself, n = -126 gives 0.
  Value exp(Value x) const {
    Reduced p = reduce(atMost(atLeast(x, -87.5), 89.0));
    return expOf(p.r, p.magic, 1);
  }

  /// exp(x) / 2 up to its own overflow, for x >= -80.
  Value halfExp(Value x) const {
    Reduced p = reduce(atMost(x, 90.0));
    return expOf(p.r, p.magic, 2);
  }

  Value exp2(Value x) const {
    x = atMost(atLeast(x, -126.0), 128.5);
    Value magic = add(x, c(12582912.0));
    return expOf(mul(sub(x, sub(magic, c(12582912.0))), c(kLn2)), magic, 1);
  }

  // 2 (2^(n-1) (e^r - 1) + (2^(n-1) - 1/2))
  Value expm1(Value x) const {
    Reduced p = reduce(atMost(atLeast(x, -18.0), 89.0));
    Value q = polynomial(
        p.r, {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1});
    Value e = fma(q, mul(p.r, p.r), p.r), scale = power(p.magic, 1);
    Value half = fma(scale, e, sub(scale, c(0.5)));
    return keepZero(x, add(half, half));
  }

  // e^x / 2 -+ 1 / (2 e^x)
  Value sinh(Value x) const {
    Value a = abs(x), z = mul(x, x), h = halfExp(a);
    Value large = copysign(sub(h, div(c(0.25), h)), x);
    Value small = fma(mul(polynomial(z, {2.03721912945e-4, 8.33028376239e-3, 1.66667160211e-1}), z), x, x);
    return select(less(a, c(1.0)), small, large);
  }
  Value cosh(Value x) const {
    Value h = halfExp(abs(x));
    return add(h, div(c(0.25), h));
  }

  // Odd rational of degree 13/6 (Eigen, generic_fast_tanh).
  Value tanh(Value x) const {
    Value clamped = atMost(atLeast(x, -7.90531110763549805), 7.90531110763549805), z = mul(clamped, clamped);
    Value p = polynomial(z, {-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-8,
                             1.48572235717979e-5, 6.37261928875436e-4, 4.89352455891786e-3});
    Value q = polynomial(z, {1.19825839466702e-6, 1.18534705686654e-4, 2.26843463243900e-3, 4.89352518554385e-3});
    return select(less(abs(x), c(0.0004)), x, div(mul(p, clamped), q));
  }

  // Odd rational of degree 13/8 (Eigen, generic_fast_erf before 2024).
  Value erf(Value x) const {
    x = atMost(atLeast(x, -4.0), 4.0);
    Value z = mul(x, x);
    Value p = polynomial(z, {-2.72614225801306e-10, 2.77068142495902e-8, -2.10102402082508e-6, -5.69250639462346e-5,
                             -7.34990630326855e-4, -2.95459980854025e-3, -1.60960333262415e-2});
    Value q = polynomial(z, {-1.45660718464996e-5, -2.13374055278905e-4, -1.68282697438203e-3, -7.37332916720468e-3,
                             -1.42647390514189e-2});
    return div(mul(p, x), q);
  }

  // --- Logarithms --------------------------------------------------------------------------------------------------------

  /// log(x) = n ln2 + f + rest for x > 0.
  struct Logarithm {
    Value n, f, rest;
  };
  /// m = 1 + f in [sqrt(1/2), sqrt(2)), and the exponent n; denormals are scaled first.
  std::pair<Value, Value> mantissa(Value x) const {
    Value tiny = less(x, c(1.17549435e-38));
    x = select(tiny, mul(x, c(8388608.0)), x);
    Value word = bits(x), exponent = shr(isub(word, i(0x3f3504f3)), i(23));
    Value n = toFloat(exponent);
    n = select(tiny, sub(n, c(23.0)), n);
    return {fromBits(isub(word, shl(exponent, i(23)))), n};
  }
  Logarithm logarithm(Value x) const {
    auto [m, n] = mantissa(x);
    Value f = sub(m, c(1.0)), z = mul(f, f);
    Value p = polynomial(f, {7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
                             -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1});
    return {n, f, fma(mul(p, f), z, mul(c(-0.5), z))};
  }
  /// log of 0, of negative numbers, of infinity and of NaN.
  Value logSpecial(Value x, Value result) const {
    result = select(cmp(P::ULT, x, c(0.0)), c(std::numeric_limits<double>::quiet_NaN()), result); // NaN too
    result = select(equal(x, c(kInfinity)), x, result);
    return select(equal(x, c(0.0)), c(-kInfinity), result);
  }
  Value log(Value x) const {
    Logarithm l = logarithm(x);
    return logSpecial(x, fma(l.n, c(kLn2High), add(l.f, fma(l.n, c(kLn2Low), l.rest))));
  }
  Value log2(Value x) const {
    Logarithm l = logarithm(x);
    Value fraction = c(kLog2e - 1.0); // log2(e) = 1 + fraction
    Value sum = add(fma(l.f, fraction, fma(l.rest, fraction, l.rest)), l.f);
    return logSpecial(x, add(sum, l.n));
  }
  Value log10(Value x) const {
    Logarithm l = logarithm(x);
    // log10(2) and log10(e), each as a part of few bits and the rest
    Value sum = fma(l.n, c(2.48745663981195213739e-4), mul(l.rest, c(7.00731903251827651129e-4)));
    sum = fma(l.f, c(7.00731903251827651129e-4), sum);
    sum = fma(l.rest, c(4.3359375e-1), sum);
    sum = fma(l.f, c(4.3359375e-1), sum);
    return logSpecial(x, fma(l.n, c(3.0078125e-1), sum));
  }
  // log(u) + (x - (u - 1)) / u, u = fl(1 + x)
  Value log1p(Value x) const {
    Value u = arith::AddFOp::create(b, loc, x, c(1.0));
    Value lost = select(greater(x, c(1.0)), arith::SubFOp::create(b, loc, c(1.0), arith::SubFOp::create(b, loc, u, x)),
                        arith::SubFOp::create(b, loc, x, arith::SubFOp::create(b, loc, u, c(1.0))));
    Logarithm l = logarithm(u);
    Value correction = div(lost, u);
    Value sum = fma(l.n, c(kLn2High), add(l.f, add(fma(l.n, c(kLn2Low), l.rest), correction)));
    return select(equal(x, c(0.0)), x, logSpecial(u, sum));
  }

  Value asinh(Value x) const {
    Value a = abs(x), bounded = atMost(a, 1e9), z = mul(bounded, bounded); // neither side overflows
    Value q = atMost(z, 0.25);
    Value small =
        fma(mul(polynomial(q, {2.0122003309e-2, -4.2699340972e-2, 7.4847586088e-2, -1.6666288134e-1}), q), x, x);
    Value huge = greater(a, c(1e9)); // log1p(a + a^2 / (1 + sqrt(a^2 + 1))), and log(2a) where a^2 might overflow
    Value large = log1p(select(huge, a, add(a, div(z, add(c(1.0), sqrt(add(z, c(1.0))))))));
    large = add(large, select(huge, c(kLn2), c(0.0)));
    return keepZero(x, select(less(a, c(0.5)), small, copysign(large, x)));
  }
  Value acosh(Value x) const {
    Value z = sub(x, c(1.0)), bounded = atMost(x, 1e9), q = atMost(z, 0.5); // neither side overflows
    Value small = mul(
        polynomial(q, {1.7596881071e-3, -7.5272886713e-3, 2.6454905019e-2, -1.1784741703e-1, 1.4142135263}), sqrt(q));
    Value huge = greater(x, c(1e9));
    Value large = log(select(huge, x, add(x, sqrt(mul(sub(bounded, c(1.0)), add(bounded, c(1.0)))))));
    large = add(large, select(huge, c(kLn2), c(0.0)));
    return select(less(z, c(0.5)), small, large);
  }
  Value atanh(Value x) const {
    Value z = mul(x, x);
    Value small = fma(
        mul(polynomial(z, {1.81740078349e-1, 8.24370301058e-2, 1.46691431730e-1, 1.99782164500e-1, 3.33337300303e-1}),
            z),
        x, x);
    Value large = mul(c(0.5), log(div(add(c(1.0), x), sub(c(1.0), x))));
    return select(less(abs(x), c(0.5)), small, large);
  }

  // --- Trigonometry --------------------------------------------------------------------------------------------------------

  /// Up to here restOfNear is exact enough; what is further takes another way.
  static constexpr double kNearMax = 1e9;

  /// sine and cosine of the rest of x by pi/2, and the quadrant (i32).
  struct Angle {
    Value sine, cosine, quadrant;
  };
  Angle angle(Value x) const {
    Value xd = wide(x), far = greater(abs(x), c(kNearMax));
    auto [nearRest, nearQuadrant] = restOfNear(xd);
    auto branch = scf::IfOp::create(b, loc, TypeRange{f64(), i32()}, anyLane(far), /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    auto [farRest, farQuadrant] = restOfFar(xd);
    scf::YieldOp::create(b, loc, ValueRange{select(far, farRest, nearRest), select(far, farQuadrant, nearQuadrant)});
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, loc, ValueRange{nearRest, nearQuadrant});
    b.setInsertionPointAfter(branch);
    Value r = narrow(branch.getResult(0)), z = mul(r, r);
    Value sine = fma(mul(polynomial(z, {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1}), z), r, r);
    Value cosine = fma(polynomial(z, {2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2}), mul(z, z),
                       fma(c(-0.5), z, c(1.0)));
    return {sine, cosine, branch.getResult(1)};
  }
  std::pair<Value, Value> restOfNear(Value xd) const {
    // In f64, with pi/2 in parts of 22, 23 and 53 bits: products and differences are exact for |n| < 2^30, without fma too.
    Value magic = add(mul(xd, d(2 / kPi)), d(6755399441055744.0)); // 1.5 * 2^52
    Value n = sub(magic, d(6755399441055744.0));
    Value rest = sub(sub(xd, mul(n, d(1.570796012878418))), mul(n, d(3.1391647326017846e-07)));
    rest = sub(rest, mul(n, d(5.390302858158119e-15)));
    return {rest, arith::TruncIOp::create(b, loc, i32(), bits(magic))};
  }
  // x times 2/pi in pieces of 24 bits: each product is exact in f64, and so is its rest by 4 (a whole turn). Products that are whole
  // turns vanish. The sum of the others is kept in two parts, as whole quarter turns are taken off it: where they cancel, bits below
  // those of one f64 are what is left.
  std::pair<Value, Value> restOfFar(Value xd) const {
    static const double pieces[] = {0xa2f983p-24,  0x6e4e44p-48,  0x1529fcp-72,  0x2757d1p-96, 0xf534ddp-120,
                                    0xc0db62p-144, 0x95993cp-168, 0x439041p-192, 0xfe5163p-216};
    Value sum = d(0.0), lost = d(0.0), turns = d(0.0);
    for (double piece : pieces) {
      Value product = arith::MulFOp::create(b, loc, xd, d(piece));
      Value term = arith::SubFOp::create(b, loc, product, mul(rounded(mul(product, d(0.25))), d(4.0)));
      Value total = arith::AddFOp::create(b, loc, sum, term), part = arith::SubFOp::create(b, loc, total, sum);
      Value error =
          arith::AddFOp::create(b, loc, arith::SubFOp::create(b, loc, sum, arith::SubFOp::create(b, loc, total, part)),
                                arith::SubFOp::create(b, loc, term, part));
      lost = arith::AddFOp::create(b, loc, lost, error);
      Value whole = rounded(total);
      sum = arith::SubFOp::create(b, loc, total, whole);
      turns = arith::AddFOp::create(b, loc, turns, whole);
    }
    Value quadrant = arith::TruncIOp::create(b, loc, i32(), bits(add(turns, d(6755399441055744.0))));
    return {mul(add(sum, lost), d(kPi / 2)), quadrant};
  }
  /// Moved on by `quarter` quarter turns: the sine of it.
  Value sineOf(const Angle &angle, int32_t quarter) const {
    Value quadrant = quarter == 0 ? angle.quadrant : iadd(angle.quadrant, i(quarter));
    Value value = select(isZero(iand(quadrant, i(1))), angle.sine, angle.cosine);
    return fromBits(arith::XOrIOp::create(b, loc, bits(value), shl(iand(quadrant, i(2)), i(30))));
  }
  Value sin(Value x) const { return keepZero(x, sineOf(angle(x), 0)); }
  Value cos(Value x) const { return sineOf(angle(x), 1); }
  Value tan(Value x) const {
    Angle a = angle(x);
    Value even = isZero(iand(a.quadrant, i(1)));
    return keepZero(x, div(select(even, a.sine, neg(a.cosine)), select(even, a.cosine, a.sine)));
  }

  /// asin(s) for |s| <= 1/2, z = s^2.
  Value asinSmall(Value s, Value z) const {
    return fma(
        mul(polynomial(z, {4.2163199048e-2, 2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2, 1.6666752422e-1}), z), s,
        s);
  }
  // asin(x) = pi/2 - 2 asin(sqrt((1 - x) / 2))
  Value asin(Value x) const {
    Value a = abs(x), large = greater(a, c(0.5)), z = select(large, mul(c(0.5), sub(c(1.0), a)), mul(a, a));
    Value p = asinSmall(select(large, sqrt(z), a), z);
    return copysign(select(large, sub(c(kPi / 2), add(p, p)), p), x);
  }
  Value acos(Value x) const {
    Value a = abs(x), large = greater(a, c(0.5)), z = select(large, mul(c(0.5), sub(c(1.0), a)), mul(a, a));
    Value p = asinSmall(select(large, sqrt(z), x), z), twice = add(p, p);
    Value outer = select(less(x, c(0.0)), sub(c(kPi), twice), twice);
    return select(large, outer, sub(c(kPi / 2), p));
  }

  /// atan(numerator / denominator) for a quotient in [0, 1].
  Value atanUnit(Value numerator, Value denominator) const {
    // above tan(pi/8): pi/4 + atan((q - 1) / (q + 1))
    Value large = greater(numerator, mul(denominator, c(0.41421356237)));
    Value q = div(select(large, sub(numerator, denominator), numerator),
                  select(large, add(numerator, denominator), denominator));
    Value z = mul(q, q);
    Value p = mul(polynomial(z, {8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1}), z);
    return add(select(large, c(kPi / 4), c(0.0)), fma(p, q, q));
  }
  Value atan(Value x) const {
    Value a = abs(x), large = greater(a, c(1.0));
    // of 1 / a for a > 1; infinity gives 0
    Value r = atanUnit(select(large, c(1.0), a), select(large, a, c(1.0)));
    return copysign(select(large, sub(c(kPi / 2), r), r), x);
  }
  Value atan2(Value y, Value x) const {
    Value ay = abs(y), ax = abs(x), steep = greater(ay, ax), low = select(steep, ax, ay), high = select(steep, ay, ax);
    Value one = c(1.0), bothInfinite = equal(low, c(kInfinity));
    // The quotient may underflow or its parts overflow when doubled: only the quotient goes on. Neither 0 / 0 nor infinity / infinity is
    // computed; as selects around the division LLVM would undo that.
    Value q = select(bothInfinite, one, div(atMost(low, 0x1.fffffep127), atLeast(high, 0x1p-149)));
    Value r = atanUnit(q, one);
    r = select(steep, sub(c(kPi / 2), r), r);
    Value negative = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, bits(x), i(0)); // -0 too
    r = copysign(select(negative, sub(c(kPi), r), r), y);
    return select(cmp(P::UNO, x, y), add(x, y), r);
  }

  // --- Powers ----------------------------------------------------------------------------------------------------------------

  // 2^(y log2 |x|) in f64, whose 29 extra bits cover the exponent's magnification of errors.
  Value pow(Value x, Value y) const {
    Value a = abs(x);
    auto [m, n] = mantissa(a);
    // log2(m) = 2/ln2 (s + s^3/3 + s^5/5 + ...), s = (m - 1) / (m + 1), |s| < 0.172
    Value md = wide(m), s = div(sub(md, d(1.0)), add(md, d(1.0))), z = mul(s, s);
    double scale = 2 * kLog2e;
    Value series =
        polynomial(z, {scale / 15, scale / 13, scale / 11, scale / 9, scale / 7, scale / 5, scale / 3, scale});
    Value log = fma(series, s, wide(n));
    log = select(equal(a, c(0.0)), d(-kInfinity), log);
    log = select(equal(a, c(kInfinity)), d(kInfinity), log);
    Value t = mul(wide(select(equal(y, c(0.0)), c(1.0), y)), log); // x^0 is 1 below
    t = atMost(atLeast(t, -200.0), 200.0);
    Value magic = add(t, d(6755399441055744.0)), r = mul(sub(t, sub(magic, d(6755399441055744.0))), d(kLn2));
    Value e =
        polynomial(r, {1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0});
    Value power = fromBits(iadd(shl(bits(magic), l(52)), l(int64_t(1023) << 52)));
    Value result = narrow(mul(e, power));
    // Signs and special cases of C's pow.
    Value zero = c(0.0), one = c(1.0), half = mul(y, c(0.5));
    Value isInteger = equal(floor(y), y), isOdd = both(isInteger, cmp(P::ONE, floor(half), half));
    result = select(isOdd, copysign(result, x), result);
    Value undefined = both(both(less(x, zero), cmp(P::ONE, x, c(-kInfinity))), negate(isInteger));
    undefined = either(undefined, cmp(P::UNO, x, y));
    result = select(undefined, c(std::numeric_limits<double>::quiet_NaN()), result);
    Value isOne = either(equal(x, one), equal(y, zero));
    isOne = either(isOne, both(equal(x, c(-1.0)), equal(abs(y), c(kInfinity))));
    return select(isOne, one, result);
  }

  Value rsqrt(Value x) const { return div(c(1.0), sqrt(x)); }

  // A third of the exponent, then two Halley steps in f64 (the method of fdlibm's cbrtf).
  Value cbrt(Value x) const {
    Value a = abs(x), tiny = less(a, c(1.17549435e-38));
    Value scaled = select(tiny, mul(a, c(16777216.0)), a);
    Value guess = toInt(fma(toFloat(bits(scaled)), c(1.0 / 3), c(709958130.0)));
    Value t = wide(fromBits(guess)), xd = wide(scaled);
    for (int step = 0; step < 2; ++step) {
      Value cube = mul(mul(t, t), t);
      t = div(mul(t, add(add(xd, xd), cube)), add(add(xd, cube), cube));
    }
    Value r = narrow(t);
    r = select(tiny, mul(r, c(1.0 / 256)), r);
    Value special = either(equal(a, c(0.0)), cmp(P::UEQ, a, c(kInfinity))); // NaN too
    return select(special, x, copysign(r, x));
  }
};

/// The exponent of a power, if it is the same constant in every lane.
std::optional<double> constantExponent(Value y) {
  FloatAttr scalar;
  DenseElementsAttr dense;
  if (matchPattern(y, m_Constant(&scalar)))
    return scalar.getValueAsDouble();
  if (matchPattern(y, m_Constant(&dense)) && dense.isSplat())
    return dense.getSplatValue<FloatAttr>().getValueAsDouble();
  if (auto broadcast = y.getDefiningOp<vector::BroadcastOp>())
    return constantExponent(broadcast.getSource());
  return std::nullopt;
}

/// Powers that need no logarithm.
Value powConstant(const Code &code, Value x, double y) {
  if (y == 1)
    return x;
  if (y == 2)
    return code.mul(x, x);
  if (y == 3)
    return code.mul(code.mul(x, x), x);
  if (y == 4) {
    Value square = code.mul(x, x);
    return code.mul(square, square);
  }
  if (y == -1)
    return code.div(code.c(1.0), x);
  if (y == -2)
    return code.div(code.c(1.0), code.mul(x, x));
  return {};
}

Value expand(const Code &code, Operation *op, ArrayRef<Value> x) {
  return TypeSwitch<Operation *, Value>(op)
      .Case([&](math::ExpOp) { return code.exp(x[0]); })
      .Case([&](math::Exp2Op) { return code.exp2(x[0]); })
      .Case([&](math::ExpM1Op) { return code.expm1(x[0]); })
      .Case([&](math::LogOp) { return code.log(x[0]); })
      .Case([&](math::Log2Op) { return code.log2(x[0]); })
      .Case([&](math::Log10Op) { return code.log10(x[0]); })
      .Case([&](math::Log1pOp) { return code.log1p(x[0]); })
      .Case([&](math::TanhOp) { return code.tanh(x[0]); })
      .Case([&](math::ErfOp) { return code.erf(x[0]); })
      .Case([&](math::SinOp) { return code.sin(x[0]); })
      .Case([&](math::CosOp) { return code.cos(x[0]); })
      .Case([&](math::TanOp) { return code.tan(x[0]); })
      .Case([&](math::AsinOp) { return code.asin(x[0]); })
      .Case([&](math::AcosOp) { return code.acos(x[0]); })
      .Case([&](math::AtanOp) { return code.atan(x[0]); })
      .Case([&](math::Atan2Op) { return code.atan2(x[0], x[1]); })
      .Case([&](math::SinhOp) { return code.sinh(x[0]); })
      .Case([&](math::CoshOp) { return code.cosh(x[0]); })
      .Case([&](math::AsinhOp) { return code.asinh(x[0]); })
      .Case([&](math::AcoshOp) { return code.acosh(x[0]); })
      .Case([&](math::AtanhOp) { return code.atanh(x[0]); })
      .Case([&](math::PowFOp pow) {
        if (auto y = constantExponent(pow.getRhs()))
          if (Value simple = powConstant(code, x[0], *y))
            return simple;
        return code.pow(x[0], x[1]);
      })
      .Case([&](math::RsqrtOp) { return code.rsqrt(x[0]); })
      .Case([&](math::CbrtOp) { return code.cbrt(x[0]); })
      .Default([](Operation *) { return Value(); });
}

/// maximumf and minimumf propagate NaN; x86's max returns its second operand then. LLVM's own expansion also orders -0 and +0: here,
/// as in core.max, the first of two zeros is the result.
Value expandExtremum(const Code &code, Operation *op) {
  bool isMax = isa<arith::MaximumFOp>(op);
  Value x = op->getOperand(0), y = op->getOperand(1);
  if (auto first = constantExponent(x); first && !constantExponent(y)) {
    if (*first == 0) // of two zeros x; NaN in y is y
      return code.select(code.cmp(isMax ? Code::P::UGT : Code::P::ULT, y, x), y, x);
    std::swap(x, y);
  }
  auto predicate = isMax ? Code::P::OGT : Code::P::OLT;
  Value extremum = code.select(code.cmp(predicate, y, x), y, x); // NaN in x, or in either for x86: x
  if (auto constant = constantExponent(y); constant && !std::isnan(*constant))
    return extremum;
  return code.select(code.cmp(Code::P::UNO, y, y), y, extremum);
}

struct ExpandMath : mlc::impl::ExpandMathBase<ExpandMath> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (op->getNumResults() == 1 &&
          (isa_and_nonnull<math::MathDialect>(op->getDialect()) || isa<arith::MaximumFOp, arith::MinimumFOp>(op)))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      Type type = op->getResult(0).getType(), element = getElementTypeOrSelf(type);
      if (auto vector = dyn_cast<VectorType>(type); vector && vector.isScalable())
        continue;
      OpBuilder b(op);
      Code code{b, op->getLoc(), type};
      if (isa<arith::MaximumFOp, arith::MinimumFOp>(op)) {
        op->getResult(0).replaceAllUsesWith(expandExtremum(code, op));
        op->erase();
        continue;
      }
      if (!element.isF32() && !element.isF16() && !element.isBF16())
        continue;
      bool small = !element.isF32();
      SmallVector<Value> operands(op->getOperands());
      if (llvm::any_of(operands, [&](Value v) { return v.getType() != type; }))
        continue; // fpowi and the like
      if (small)
        for (Value &operand : operands)
          operand = arith::ExtFOp::create(b, op->getLoc(), code.f32(), operand);
      Value result = expand(code, op, operands);
      if (!result) {
        for (Value operand : operands)
          if (small)
            operand.getDefiningOp()->erase();
        continue;
      }
      if (small)
        result = arith::TruncFOp::create(b, op->getLoc(), type, result);
      op->getResult(0).replaceAllUsesWith(result);
      op->erase();
    }
  }
};

} // namespace
