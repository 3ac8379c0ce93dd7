// Registration of the core dialect, constants, and the op definitions that tablegen makes of the families' .td files.
#include "dialects/core/Core.h"
#include "dialects/core/CoreBuilder.h"
#include "dialects/core/Evaluate.h"
#include "dialects/core/Scalar.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace mlc::core {

// ---- Types of pointwise operations: one if all are the same (or follow from it), else a function type ----------------------------

static void printFunctionType(OpAsmPrinter &printer, TypeRange inputs, Type output) {
  printer << '(';
  llvm::interleaveComma(inputs, printer);
  printer << ") -> " << output;
}
/// A function type gives them all and the answer is false; `single` receives any other type.
static FailureOr<bool> parseShortType(OpAsmParser &parser, ArrayRef<Type *> inputs, Type &output,
                                      RankedTensorType &single) {
  Type type;
  SMLoc at = parser.getCurrentLocation();
  if (parser.parseType(type))
    return failure();
  if (auto function = dyn_cast<FunctionType>(type)) {
    if (function.getNumInputs() != inputs.size() || function.getNumResults() != 1) {
      parser.emitError(at, "expected a function type with ") << inputs.size() << " inputs and 1 result";
      return failure();
    }
    for (auto [input, parsed] : llvm::zip(inputs, function.getInputs()))
      *input = parsed;
    output = function.getResult(0);
    return false;
  }
  single = dyn_cast<RankedTensorType>(type);
  if (!single) {
    parser.emitError(at, "expected a ranked tensor type");
    return failure();
  }
  return true;
}

static ParseResult parsePointwise(OpAsmParser &parser, ArrayRef<Type *> inputs, Type &output, bool predicate) {
  RankedTensorType single;
  FailureOr<bool> isShort = parseShortType(parser, inputs, output, single);
  if (failed(isShort))
    return failure();
  if (!*isShort)
    return success();
  for (Type *input : inputs)
    *input = single;
  output = predicate ? single.clone(parser.getBuilder().getI1Type()) : single;
  return success();
}
static void printPointwise(OpAsmPrinter &printer, TypeRange inputs, Type output, bool predicate) {
  auto first = cast<RankedTensorType>(inputs[0]);
  Type expected = predicate ? first.clone(IntegerType::get(first.getContext(), 1)) : first;
  if (llvm::all_equal(inputs) && output == expected)
    printer << first;
  else
    printFunctionType(printer, inputs, output);
}
static ParseResult parsePointwiseTypes(OpAsmParser &p, Type &x, Type &y) { return parsePointwise(p, {&x}, y, false); }
static ParseResult parsePointwiseTypes(OpAsmParser &p, Type &x, Type &y, Type &z) {
  return parsePointwise(p, {&x, &y}, z, false);
}
static ParseResult parsePredicateTypes(OpAsmParser &p, Type &x, Type &y) { return parsePointwise(p, {&x}, y, true); }
static ParseResult parsePredicateTypes(OpAsmParser &p, Type &x, Type &y, Type &z) {
  return parsePointwise(p, {&x, &y}, z, true);
}
static void printPointwiseTypes(OpAsmPrinter &p, Operation *, Type x, Type y) { printPointwise(p, {x}, y, false); }
static void printPointwiseTypes(OpAsmPrinter &p, Operation *, Type x, Type y, Type z) {
  printPointwise(p, {x, y}, z, false);
}
static void printPredicateTypes(OpAsmPrinter &p, Operation *, Type x, Type y) { printPointwise(p, {x}, y, true); }
static void printPredicateTypes(OpAsmPrinter &p, Operation *, Type x, Type y, Type z) {
  printPointwise(p, {x, y}, z, true);
}

static ParseResult parseSelectTypes(OpAsmParser &parser, Type &condition, Type &x, Type &y, Type &z) {
  RankedTensorType single;
  FailureOr<bool> isShort = parseShortType(parser, {&condition, &x, &y}, z, single);
  if (failed(isShort))
    return failure();
  if (*isShort) {
    x = y = z = single;
    condition = single.clone(parser.getBuilder().getI1Type());
  }
  return success();
}
static void printSelectTypes(OpAsmPrinter &printer, Operation *, Type condition, Type x, Type y, Type z) {
  if (x == y && x == z && condition == cast<RankedTensorType>(x).clone(IntegerType::get(x.getContext(), 1)))
    printer << x;
  else
    printFunctionType(printer, {condition, x, y}, z);
}

/// x's and y's type; the value's is a scalar of the same element type.
static ParseResult parsePadTypes(OpAsmParser &parser, Type &x, Type &value, Type &y) {
  RankedTensorType type;
  if (parser.parseType(type) || parser.parseKeyword("to") || parser.parseType(y))
    return failure();
  x = type;
  value = RankedTensorType::get({}, type.getElementType());
  return success();
}
static void printPadTypes(OpAsmPrinter &printer, Operation *, Type x, Type, Type y) { printer << x << " to " << y; }

} // namespace mlc::core

#include "dialects/core/CoreDialect.cpp.inc"
#include "dialects/core/CoreEnums.cpp.inc"
#include "dialects/core/CoreInterfaces.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/core/CoreOps.cpp.inc"

namespace mlc::core {

void CoreDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/core/CoreOps.cpp.inc"
      >();
}

Operation *CoreDialect::materializeConstant(OpBuilder &builder, Attribute value, Type type, Location loc) {
  if (auto elements = dyn_cast<ElementsAttr>(value); elements && elements.getType() == type)
    return ConstantOp::create(builder, loc, elements);
  return arith::ConstantOp::materialize(builder, value, type, loc);
}

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

} // namespace mlc::core
