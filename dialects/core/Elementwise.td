//===- Elementwise.td - pointwise operations ----------------------------------------------------------------------===//
//
// Three snippets of C++ say everything about an operation:
//   scalar    one element as IR; s: ScalarBuilder (s.t is the tensor's element type, sign included), operands x, y, ...
//   evaluate  one element at compile time; T is double, int64_t or uint64_t
//   vjp       cotangents of the operands; operands and results are Expr, the result's cotangent is dy (of z: dz)
#ifndef MLC_CORE_ELEMENTWISE
#define MLC_CORE_ELEMENTWISE

class Core_PointwiseOp<string mnemonic, list<Trait> traits = []>
    : Core_Math<mnemonic, !listconcat([DeclareOpInterfaceMethods<Core_Pointwise>], traits)> {
  string formula = ?;
  string constraints = "C1. Operands and result have the same shape (dynamic sizes agree at run time) and element type.";
  string example = ?;
  let description = formula # "\n\n" # constraints # "\n\n```mlir\n" # example # "\n```\n";
}

//===- One operand ------------------------------------------------------------------------------------------------===//

class Core_UnaryOp<string mnemonic, Type type> : Core_PointwiseOp<mnemonic> {
  code scalar = ?;
  code evaluate = ?;
  code vjp = [{ Expr() }];
  bit floatOnly = 0;
  let example = "%y = core." # mnemonic # " %x : tensor<4x?x" # !if(floatOnly, "f32", "i32") # ">";
  let arguments = (ins type:$x);
  let results = (outs type:$y);
  let assemblyFormat = "$x attr-dict `:` custom<PointwiseTypes>(type($x), type($y))";
  let more = [{
    ::llvm::LogicalResult $cppClass::inferReturnTypes(::mlir::MLIRContext *, std::optional<::mlir::Location> location, Adaptor adaptor,
                                                      ::llvm::SmallVectorImpl<::mlir::Type> &types) {
      return ::mlc::core::inferPointwise(location, adaptor.getOperands(), {}, types);
    }
    ::mlir::Value $cppClass::emitScalar(::mlir::OpBuilder &b, ::mlir::Location loc, ::mlir::ValueRange scalars) {
      ScalarBuilder s{b, loc, getX().getType().getElementType()};
      ::mlir::Value x = scalars[0];
      return }] # scalar # [{;
    }
    ::mlc::core::Evaluator $cppClass::getEvaluator(::mlc::core::NumberClass numbers) {
      auto evaluate = []<typename T>(T x) -> T { return static_cast<T>(}] # evaluate # [{); };
      return ::mlc::core::unaryEvaluator<decltype(evaluate), }] # floatOnly # [{>(numbers);
    }
    ::llvm::LogicalResult $cppClass::buildVjp(::mlc::core::CoreBuilder &b, ::mlir::ValueRange cotangents,
                                              ::llvm::SmallVectorImpl<::mlir::Value> &gradients) {
      gradients.assign(1, {});
      if (!::mlir::isa<::mlir::FloatType>(getX().getType().getElementType()))
        return ::mlir::success();
      [[maybe_unused]] Expr x = b.expr(getX()), y = b.expr(getY()), dy = b.expr(cotangents[0]);
      gradients[0] = }] # vjp # [{;
      return ::mlir::success();
    }
  }];
}
class Core_NumberUnary<string mnemonic> : Core_UnaryOp<mnemonic, Core_Tensor>;
class Core_FloatUnary<string mnemonic> : Core_UnaryOp<mnemonic, Core_FloatTensor> { let floatOnly = 1; }

def Core_NegOp : Core_NumberUnary<"neg"> {
  let summary = "Negation; integers wrap around";
  let formula = "y = -x";
  let scalar = [{ s.isFloat() ? s.make<arith::NegFOp>(x) : s.make<arith::SubIOp>(s.constant(0), x) }];
  let evaluate = [{ host::negate(x) }];
  let vjp = [{ -dy }];
}
def Core_AbsOp : Core_NumberUnary<"abs"> {
  let summary = "Absolute value; the smallest integer stays as it is";
  let formula = "y = |x|";
  let scalar = [{ s.isFloat() ? s.make<math::AbsFOp>(x) : s.isUnsigned() ? x : s.make<math::AbsIOp>(x) }];
  let evaluate = [{ host::abs(x) }];
  let vjp = [{ dy * b.unary("sign", x) }];
}
def Core_SignOp : Core_NumberUnary<"sign"> {
  let summary = "Sign: -1, 0 or 1; NaN stays NaN";
  let formula = "y = x > 0 ? 1 : x < 0 ? -1 : x";
  let scalar = [{ s.sign(x) }];
  let evaluate = [{ x > T(0) ? T(1) : x < T(0) ? T(-1) : x }];
}
def Core_ExpOp : Core_FloatUnary<"exp"> {
  let summary = "Exponential function";
  let formula = "y = e^x";
  let scalar = [{ s.make<math::ExpOp>(x) }];
  let evaluate = [{ std::exp(x) }];
  let vjp = [{ dy * y }];
}
def Core_LogOp : Core_FloatUnary<"log"> {
  let summary = "Natural logarithm";
  let formula = "y = ln x";
  let scalar = [{ s.make<math::LogOp>(x) }];
  let evaluate = [{ std::log(x) }];
  let vjp = [{ dy / x }];
}
def Core_Log1pOp : Core_FloatUnary<"log1p"> {
  let summary = "Natural logarithm of 1 + x, exact near 0";
  let formula = "y = ln(1 + x)";
  let scalar = [{ s.make<math::Log1pOp>(x) }];
  let evaluate = [{ std::log1p(x) }];
  let vjp = [{ dy / (x + 1.0) }];
}
def Core_Expm1Op : Core_FloatUnary<"expm1"> {
  let summary = "Exponential function less 1, exact near 0";
  let formula = "y = e^x - 1";
  let scalar = [{ s.make<math::ExpM1Op>(x) }];
  let evaluate = [{ std::expm1(x) }];
  let vjp = [{ dy * (y + 1.0) }];
}
def Core_SqrtOp : Core_FloatUnary<"sqrt"> {
  let summary = "Square root";
  let formula = "y = x^(1/2)";
  let scalar = [{ s.make<math::SqrtOp>(x) }];
  let evaluate = [{ std::sqrt(x) }];
  let vjp = [{ dy * 0.5 / y }];
}
def Core_TanhOp : Core_FloatUnary<"tanh"> {
  let summary = "Hyperbolic tangent";
  let formula = "y = (e^x - e^-x) / (e^x + e^-x)";
  let scalar = [{ s.make<math::TanhOp>(x) }];
  let evaluate = [{ std::tanh(x) }];
  let vjp = [{ dy * (1.0 - y * y) }];
}
def Core_ErfOp : Core_FloatUnary<"erf"> {
  let summary = "Error function";
  let formula = "y = 2 / sqrt(pi) * integral of e^(-t^2) from 0 to x";
  let scalar = [{ s.make<math::ErfOp>(x) }];
  let evaluate = [{ std::erf(x) }];
  let vjp = [{ dy * (1.1283791670955126 * b.exp(-(x * x))) }];
}
def Core_SinOp : Core_FloatUnary<"sin"> {
  let summary = "Sine";
  let formula = "y = sin x";
  let scalar = [{ s.make<math::SinOp>(x) }];
  let evaluate = [{ std::sin(x) }];
  let vjp = [{ dy * b.unary("cos", x) }];
}
def Core_CosOp : Core_FloatUnary<"cos"> {
  let summary = "Cosine";
  let formula = "y = cos x";
  let scalar = [{ s.make<math::CosOp>(x) }];
  let evaluate = [{ std::cos(x) }];
  let vjp = [{ -(dy * b.unary("sin", x)) }];
}
def Core_TanOp : Core_FloatUnary<"tan"> {
  let summary = "Tangent";
  let formula = "y = tan x";
  let scalar = [{ s.make<math::TanOp>(x) }];
  let evaluate = [{ std::tan(x) }];
  let vjp = [{ dy * (y * y + 1.0) }];
}
def Core_AsinOp : Core_FloatUnary<"asin"> {
  let summary = "Inverse sine";
  let formula = "y = arcsin x";
  let scalar = [{ s.make<math::AsinOp>(x) }];
  let evaluate = [{ std::asin(x) }];
  let vjp = [{ dy / b.sqrt(1.0 - x * x) }];
}
def Core_AcosOp : Core_FloatUnary<"acos"> {
  let summary = "Inverse cosine";
  let formula = "y = arccos x";
  let scalar = [{ s.make<math::AcosOp>(x) }];
  let evaluate = [{ std::acos(x) }];
  let vjp = [{ -(dy / b.sqrt(1.0 - x * x)) }];
}
def Core_AtanOp : Core_FloatUnary<"atan"> {
  let summary = "Inverse tangent";
  let formula = "y = arctan x";
  let scalar = [{ s.make<math::AtanOp>(x) }];
  let evaluate = [{ std::atan(x) }];
  let vjp = [{ dy / (x * x + 1.0) }];
}
def Core_SinhOp : Core_FloatUnary<"sinh"> {
  let summary = "Hyperbolic sine";
  let formula = "y = (e^x - e^-x) / 2";
  let scalar = [{ s.make<math::SinhOp>(x) }];
  let evaluate = [{ std::sinh(x) }];
  let vjp = [{ dy * b.unary("cosh", x) }];
}
def Core_CoshOp : Core_FloatUnary<"cosh"> {
  let summary = "Hyperbolic cosine";
  let formula = "y = (e^x + e^-x) / 2";
  let scalar = [{ s.make<math::CoshOp>(x) }];
  let evaluate = [{ std::cosh(x) }];
  let vjp = [{ dy * b.unary("sinh", x) }];
}
def Core_AsinhOp : Core_FloatUnary<"asinh"> {
  let summary = "Inverse hyperbolic sine";
  let formula = "y = ln(x + sqrt(x^2 + 1))";
  let scalar = [{ s.make<math::AsinhOp>(x) }];
  let evaluate = [{ std::asinh(x) }];
  let vjp = [{ dy / b.sqrt(x * x + 1.0) }];
}
def Core_AcoshOp : Core_FloatUnary<"acosh"> {
  let summary = "Inverse hyperbolic cosine";
  let formula = "y = ln(x + sqrt(x^2 - 1))";
  let scalar = [{ s.make<math::AcoshOp>(x) }];
  let evaluate = [{ std::acosh(x) }];
  let vjp = [{ dy / b.sqrt(x * x - 1.0) }];
}
def Core_AtanhOp : Core_FloatUnary<"atanh"> {
  let summary = "Inverse hyperbolic tangent";
  let formula = "y = ln((1 + x) / (1 - x)) / 2";
  let scalar = [{ s.make<math::AtanhOp>(x) }];
  let evaluate = [{ std::atanh(x) }];
  let vjp = [{ dy / (1.0 - x * x) }];
}
def Core_FloorOp : Core_FloatUnary<"floor"> {
  let summary = "Largest integer not above x; not differentiable";
  let formula = "y = max {n : n <= x}";
  let scalar = [{ s.make<math::FloorOp>(x) }];
  let evaluate = [{ std::floor(x) }];
}
def Core_CeilOp : Core_FloatUnary<"ceil"> {
  let summary = "Smallest integer not below x; not differentiable";
  let formula = "y = min {n : n >= x}";
  let scalar = [{ s.make<math::CeilOp>(x) }];
  let evaluate = [{ std::ceil(x) }];
}
def Core_RoundOp : Core_FloatUnary<"round"> {
  let summary = "Nearest integer, halves to even; not differentiable";
  let formula = "y = the n that minimises |x - n|, the even one of two";
  let scalar = [{ s.make<math::RoundEvenOp>(x) }];
  let evaluate = [{ std::nearbyint(x) }];
}
def Core_NotOp : Core_UnaryOp<"not", Core_IntegerTensor> {
  let summary = "Complement of every bit; of a truth value, its opposite";
  let formula = "y = ~x";
  let scalar = [{ s.make<arith::XOrIOp>(x, s.constant(-1)) }];
  let evaluate = [{ host::complement(x) }];
}

class Core_FloatPredicate<string mnemonic> : Core_PointwiseOp<mnemonic> {
  code scalar = ?;
  let constraints = "C1. The result has the operand's shape and element type i1.";
  let example = "%y = core." # mnemonic # " %x : tensor<4x?xf32>";
  let arguments = (ins Core_FloatTensor:$x);
  let results = (outs Core_BoolTensor:$y);
  let assemblyFormat = "$x attr-dict `:` custom<PredicateTypes>(type($x), type($y))";
  let more = [{
    ::llvm::LogicalResult $cppClass::inferReturnTypes(::mlir::MLIRContext *context, std::optional<::mlir::Location> location, Adaptor adaptor,
                                                      ::llvm::SmallVectorImpl<::mlir::Type> &types) {
      return ::mlc::core::inferPointwise(location, adaptor.getOperands(), ::mlir::IntegerType::get(context, 1), types);
    }
    ::mlir::Value $cppClass::emitScalar(::mlir::OpBuilder &b, ::mlir::Location loc, ::mlir::ValueRange scalars) {
      ScalarBuilder s{b, loc, getX().getType().getElementType()};
      ::mlir::Value x = scalars[0];
      return }] # scalar # [{;
    }
    ::mlc::core::Evaluator $cppClass::getEvaluator(::mlc::core::NumberClass) { return nullptr; }
    ::llvm::LogicalResult $cppClass::buildVjp(::mlc::core::CoreBuilder &, ::mlir::ValueRange, ::llvm::SmallVectorImpl<::mlir::Value> &gradients) {
      gradients.assign(1, {});
      return ::mlir::success();
    }
  }];
}
def Core_IsNanOp : Core_FloatPredicate<"is_nan"> {
  let summary = "Whether x is not a number";
  let formula = "y = x != x";
  let scalar = [{ s.make<arith::CmpFOp>(arith::CmpFPredicate::UNO, x, x) }];
}
def Core_IsInfOp : Core_FloatPredicate<"is_inf"> {
  let summary = "Whether x is infinite, of either sign";
  let formula = "y = |x| = inf";
  let scalar = [{ s.make<arith::CmpFOp>(arith::CmpFPredicate::OEQ, s.make<math::AbsFOp>(x), s.infinity()) }];
}

//===- Two operands -----------------------------------------------------------------------------------------------===//

class Core_BinaryOp<string mnemonic, Type type> : Core_PointwiseOp<mnemonic> {
  code scalar = ?;
  code evaluate = ?;
  code vjpX = [{ Expr() }];
  code vjpY = [{ Expr() }];
  let example = "%z = core." # mnemonic # " %x, %y : tensor<4x?xi32>";
  let arguments = (ins type:$x, type:$y);
  let results = (outs type:$z);
  let assemblyFormat = "$x `,` $y attr-dict `:` custom<PointwiseTypes>(type($x), type($y), type($z))";
  let more = [{
    ::llvm::LogicalResult $cppClass::inferReturnTypes(::mlir::MLIRContext *, std::optional<::mlir::Location> location, Adaptor adaptor,
                                                      ::llvm::SmallVectorImpl<::mlir::Type> &types) {
      return ::mlc::core::inferPointwise(location, adaptor.getOperands(), {}, types);
    }
    ::mlir::Value $cppClass::emitScalar(::mlir::OpBuilder &b, ::mlir::Location loc, ::mlir::ValueRange scalars) {
      ScalarBuilder s{b, loc, getX().getType().getElementType()};
      ::mlir::Value x = scalars[0], y = scalars[1];
      return }] # scalar # [{;
    }
    ::mlc::core::Evaluator $cppClass::getEvaluator(::mlc::core::NumberClass numbers) {
      auto evaluate = []<typename T>(T x, T y) -> T { return static_cast<T>(}] # evaluate # [{); };
      return ::mlc::core::binaryEvaluator<decltype(evaluate)>(numbers);
    }
    ::llvm::LogicalResult $cppClass::buildVjp(::mlc::core::CoreBuilder &b, ::mlir::ValueRange cotangents,
                                              ::llvm::SmallVectorImpl<::mlir::Value> &gradients) {
      gradients.assign(2, {});
      if (!::mlir::isa<::mlir::FloatType>(getX().getType().getElementType()))
        return ::mlir::success();
      [[maybe_unused]] Expr x = b.expr(getX()), y = b.expr(getY()), z = b.expr(getZ()), dz = b.expr(cotangents[0]);
      gradients[0] = }] # vjpX # [{;
      gradients[1] = }] # vjpY # [{;
      return ::mlir::success();
    }
  }];
}
class Core_NumberBinary<string mnemonic> : Core_BinaryOp<mnemonic, Core_Tensor>;
class Core_IntegerBinary<string mnemonic> : Core_BinaryOp<mnemonic, Core_IntegerTensor>;

def Core_AddOp : Core_NumberBinary<"add"> {
  let summary = "Sum; integers wrap around";
  let formula = "z = x + y";
  let scalar = [{ s.isFloat() ? s.make<arith::AddFOp>(x, y) : s.make<arith::AddIOp>(x, y) }];
  let evaluate = [{ host::add(x, y) }];
  let vjpX = [{ dz }];
  let vjpY = [{ dz }];
}
def Core_SubOp : Core_NumberBinary<"sub"> {
  let summary = "Difference; integers wrap around";
  let formula = "z = x - y";
  let scalar = [{ s.isFloat() ? s.make<arith::SubFOp>(x, y) : s.make<arith::SubIOp>(x, y) }];
  let evaluate = [{ host::subtract(x, y) }];
  let vjpX = [{ dz }];
  let vjpY = [{ -dz }];
}
def Core_MulOp : Core_NumberBinary<"mul"> {
  let summary = "Product; integers wrap around";
  let formula = "z = x * y";
  let scalar = [{ s.isFloat() ? s.make<arith::MulFOp>(x, y) : s.make<arith::MulIOp>(x, y) }];
  let evaluate = [{ host::multiply(x, y) }];
  let vjpX = [{ dz * y }];
  let vjpY = [{ dz * x }];
}
def Core_DivOp : Core_NumberBinary<"div"> {
  let summary = "Quotient; of integers truncated towards 0, by 0 it is x (never a trap)";
  let formula = "z = x / y";
  let scalar = [{ s.divide(x, y) }];
  let evaluate = [{ host::divide(x, y) }];
  let vjpX = [{ dz / y }];
  let vjpY = [{ -(dz * z / y) }];
}
def Core_RemOp : Core_NumberBinary<"rem"> {
  let summary = "Remainder of the truncated quotient (C's % and fmod): it has the sign of x; of integers by 0 it is 0";
  let formula = "z = x - trunc(x / y) * y";
  let scalar = [{ s.remainder(x, y) }];
  let evaluate = [{ host::remainder(x, y) }];
  let vjpX = [{ dz }];
  let vjpY = [{ dz * (z - x) / y }];
}
def Core_ModOp : Core_NumberBinary<"mod"> {
  let summary = "Remainder of the floored quotient (Python's %): it has the sign of y";
  let formula = "z = x - floor(x / y) * y";
  let scalar = [{ s.modulo(x, y) }];
  let evaluate = [{ host::modulo(x, y) }];
  let vjpX = [{ dz }];
  let vjpY = [{ dz * (z - x) / y }];
}
def Core_PowOp : Core_NumberBinary<"pow"> {
  let summary = "Power; of integers it wraps around (exponents above 63 count as 62 or 63), and a negative exponent gives 0 but for x = 1 and -1";
  let formula = "z = x^y";
  let scalar = [{ s.power(x, y) }];
  let evaluate = [{ host::power(x, y) }];
  let vjpX = [{ b.select(b.compare(Comparison::EQ, y, 0.0), b.splatLike(0, z), dz * y * b.binary("pow", x, y - 1.0)) }];
  let vjpY = [{ dz * z * b.select(b.compare(Comparison::GT, x, 0.0), b.log(x), b.splatLike(0, x)) }];
}
def Core_MaxOp : Core_NumberBinary<"max"> {
  let summary = "The larger one; x if both are equal (zeros of either sign are), NaN if one is NaN. Where both are equal y has the whole derivative, so relu'(0) = max'(0, 0) = 0";
  let formula = "z = y > x ? y : x";
  let scalar = [{ s.maximum(x, y) }];
  let evaluate = [{ host::maximum(x, y) }];
  let vjpX = [{ b.select(b.compare(Comparison::GT, x, y), dz, b.splatLike(0, dz)) }];
  let vjpY = [{ b.select(b.compare(Comparison::GT, x, y), b.splatLike(0, dz), dz) }];
}
def Core_MinOp : Core_NumberBinary<"min"> {
  let summary = "The smaller one; x if both are equal (zeros of either sign are), NaN if one is NaN. Where both are equal y has the whole derivative";
  let formula = "z = y < x ? y : x";
  let scalar = [{ s.minimum(x, y) }];
  let evaluate = [{ host::minimum(x, y) }];
  let vjpX = [{ b.select(b.compare(Comparison::LT, x, y), dz, b.splatLike(0, dz)) }];
  let vjpY = [{ b.select(b.compare(Comparison::LT, x, y), b.splatLike(0, dz), dz) }];
}
def Core_AndOp : Core_IntegerBinary<"and"> {
  let summary = "And of every bit";
  let formula = "z = x & y";
  let scalar = [{ s.make<arith::AndIOp>(x, y) }];
  let evaluate = [{ host::bitAnd(x, y) }];
}
def Core_OrOp : Core_IntegerBinary<"or"> {
  let summary = "Or of every bit";
  let formula = "z = x | y";
  let scalar = [{ s.make<arith::OrIOp>(x, y) }];
  let evaluate = [{ host::bitOr(x, y) }];
}
def Core_XorOp : Core_IntegerBinary<"xor"> {
  let summary = "Exclusive or of every bit";
  let formula = "z = x ^ y";
  let scalar = [{ s.make<arith::XOrIOp>(x, y) }];
  let evaluate = [{ host::bitXor(x, y) }];
}
def Core_ShlOp : Core_IntegerBinary<"shl"> {
  let summary = "Shift to the left; by the width or more it is 0";
  let formula = "z = x * 2^y";
  let scalar = [{ s.shiftLeft(x, y) }];
  let evaluate = [{ host::shiftLeft(x, y) }];
}
def Core_ShrOp : Core_IntegerBinary<"shr"> {
  let summary = "Shift to the right, logical if unsigned, else arithmetic; by the width or more all bits are the sign";
  let formula = "z = floor(x / 2^y)";
  let scalar = [{ s.shiftRight(x, y) }];
  let evaluate = [{ host::shiftRight(x, y) }];
}

//===- Compare, select, cast --------------------------------------------------------------------------------------===//

def Core_CompareOp : Core_PointwiseOp<"compare"> {
  let summary = "Comparison; with NaN only ne is true";
  let formula = "z = x predicate y";
  let constraints = [{
    C1. Operands have the same shape (dynamic sizes agree at run time) and element type; the result has that shape and is i1.
  }];
  let example = "%z = core.compare lt %x, %y : tensor<4x?xf32>";
  let arguments = (ins Core_Comparison:$predicate, Core_Tensor:$x, Core_Tensor:$y);
  let results = (outs Core_BoolTensor:$z);
  let assemblyFormat = "$predicate $x `,` $y attr-dict `:` custom<PredicateTypes>(type($x), type($y), type($z))";
}

def Core_SelectOp : Core_PointwiseOp<"select"> {
  let summary = "One of two values";
  let formula = "z = condition ? x : y";
  let constraints = [{
    C1. All operands have the same shape (dynamic sizes agree at run time); condition is i1, x, y and the result have one element type.
  }];
  let example = "%z = core.select %c, %x, %y : tensor<4x?xf32>";
  let arguments = (ins Core_BoolTensor:$condition, Core_Tensor:$x, Core_Tensor:$y);
  let results = (outs Core_Tensor:$z);
  let assemblyFormat = "$condition `,` $x `,` $y attr-dict `:` custom<SelectTypes>(type($condition), type($x), type($y), type($z))";
}

def Core_CastOp : Core_Op<"cast", [Pure, SameOperandsAndResultShape, DeclareOpInterfaceMethods<Core_Pointwise>,
                                   DeclareOpInterfaceMethods<Core_Differentiable>]> {
  let summary = "Conversion of the element type, by ONNX Cast's rules";
  let description = [{
    y = x as another type: float to integer truncates towards 0, integers to narrower ones lose high bits, anything to i1 is x != 0,
    to a narrower float rounds to nearest, halves to even. Floats become integers of 32 bits, or of 64 for i64, ui32 and ui64, and
    narrower types take the low bits; NaN and what does not fit become the smallest integer (ui64: 0 above 2^64).

    C1. Operand and result have the same shape.

    ```mlir
    %y = core.cast %x : tensor<4x?xf32> to tensor<4x?xi64>
    ```
  }];
  let arguments = (ins Core_Tensor:$x);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x) `to` type($y)";
  let hasFolder = 1;
}
#endif
