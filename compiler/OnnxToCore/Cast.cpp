// Cast, CastLike and BitCast.
#include "compiler/OnnxToCore/Compose.h"
#include "dialects/core/ElementTypes.h"
#include "mlc/mlc.h"

using namespace mlir;
namespace mlc::decompose {

static Values castTo(Node &n, CoreBuilder &b, Type element) {
  Expr x = n.in(0);
  // Both attributes speak of 8-bit floats only.
  n.ignoreAttr("saturate");
  n.ignoreAttr("round_mode");
  if (n.element(0) == element)
    return x;
  if (!(kindOf(element) & kWide) || !(kindOf(n.element(0)) & kWide))
    return n.unsupported("conversion from {0} to {1}", nameOf(n.element(0)), nameOf(element));
  return b.cast(x, element);
}

static Values cast(Node &n, CoreBuilder &b) {
  if (!n.check(n.hasAttr("to"), "attribute 'to' is missing"))
    return failure();
  Type element = n.dtype("to", {});
  if (!element)
    return n.unsupported("the element type");
  return castTo(n, b, element);
}

/// Opset 1 writes the type as text. bfloat16 came later.
static Type typeNamed(StringRef name, mlir::MLIRContext *context) {
#define MLC_TYPE(NAME, CODE, TEXT, ONNX, ...)                                                                          \
  if (CODE != MLC_BFLOAT16 && name.equals_insensitive(ONNX))                                                           \
    return elementTypeOf(CODE, context);
#include "mlc/types.def"
  return {};
}

static Values castToNamed(Node &n, CoreBuilder &b) {
  std::string to = n.str("to", "");
  Type element = typeNamed(to, n.context());
  if (!n.check(bool(element), "type \"{0}\" is not known", StringRef(to).upper()))
    return failure();
  return castTo(n, b, element);
}

static Values castLike(Node &n, CoreBuilder &b) {
  n.markRead(1);
  return castTo(n, b, n.element(1));
}

// Integers of one width keep their bits when they are cast; core has no op for the bits of floats.
static Values bitCast(Node &n, CoreBuilder &b) {
  Expr x = n.in(0);
  Type from = n.element(0), to = n.dtype("to", {});
  if (!to)
    return n.failed() ? failure() : n.fail("attribute 'to' is missing");
  auto bits = [](Type t) { return t.isInteger(1) ? 8u : t.isIntOrFloat() ? t.getIntOrFloatBitWidth() : 0u; };
  if (!n.check(bits(from) == bits(to), "{0} and {1} have different sizes", nameOf(from), nameOf(to)))
    return failure();
  if (from != to && !((kindOf(from) & (kInteger | kBool)) && (kindOf(to) & kInteger)))
    return n.unsupported("the bits of {0} as {1}", nameOf(from), nameOf(to));
  return convert(b, x, to);
}

static const Rule rules[] = {
    {"Cast", 1, castToNamed, 1, kData},
    {"Cast", 6, cast, 1, kData},
    {"CastLike", 15, castLike, 2, kData},
    {"BitCast", 26, bitCast},
};
const ArrayRef<Rule> castRules(rules);

} // namespace mlc::decompose
