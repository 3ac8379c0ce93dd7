// See Interpreter.h. Here: the walk over a function, arithmetic on sizes, and the life of values.
#include "compiler/Reference/Interpreter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace mlc::reference {

FailureOr<Results> Interpreter::run(func::FuncOp function, Operands arguments) {
  Block &body = function.getBody().front();
  for (auto [argument, tensor] : llvm::zip_equal(body.getArguments(), arguments))
    tensors[argument] = tensor;
  body.walk([&](Operation *op) {
    for (Value operand : op->getOperands())
      ++usesLeft[operand];
  });
  for (Operation &op : body.without_terminator()) {
    if (failed(visit(&op)))
      return failure();
    release(&op);
  }
  return llvm::map_to_vector(body.getTerminator()->getOperands(), [&](Value value) { return tensors.at(value); });
}

/// Nothing is freed in a region: its next step needs what is around it.
void Interpreter::release(Operation *op) {
  op->walk([&](Operation *reader) {
    for (Value operand : reader->getOperands())
      if (--usesLeft[operand] == 0)
        tensors.erase(operand);
  });
}

FailureOr<Results> Interpreter::evaluate(Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(visit(&op)))
      return failure();
  return llvm::map_to_vector(block.getTerminator()->getOperands(), [&](Value value) { return tensors.at(value); });
}

Shape Interpreter::sizes(ArrayRef<OpFoldResult> mixed) const {
  Shape result;
  for (OpFoldResult size : mixed) {
    auto attribute = dyn_cast<Attribute>(size);
    result.push_back(attribute ? cast<IntegerAttr>(attribute).getInt() : scalars.at(cast<Value>(size)));
  }
  return result;
}

/// One tensor for each result, or none.
static Results evaluateOp(Operation *op, Operands operands, const Interpreter &sizes) {
  if (op->getNumResults() == 1) {
    if (auto constant = dyn_cast<core::ConstantOp>(op))
      if (Result result = Tensor::read(constant.getValue()))
        return {*result};
    for (auto family : {evaluatePointwise, evaluateReduction, evaluateContraction})
      if (Result result = family(op, operands))
        return {*result};
    for (auto family : {evaluateMovement, evaluateIndexed})
      if (Result result = family(op, operands, sizes))
        return {*result};
  }
  return evaluateCounted(op, operands, sizes);
}

LogicalResult Interpreter::visit(Operation *op) {
  if (auto control = dyn_cast<core::IfOp>(op))
    return branch(control);
  if (auto control = dyn_cast<core::LoopOp>(op))
    return loop(control);
  if (auto size = dyn_cast<core::BoundedSizeOp>(op))
    return boundedSize(size);
  if (isa<core::CheckRangeOp, core::RequireOp>(op) || visitScalar(op) ||
      visitReal(op)) // ranges: the library refuses what is outside
    return success();
  SmallVector<Tensor> operands;
  for (Value operand : op->getOperands())
    if (auto found = tensors.find(operand); found != tensors.end())
      operands.push_back(found->second);
  Results results = evaluateOp(op, operands, *this);
  if (results.empty())
    return op->emitError() << "the reference interpreter does not have " << op->getName() << " of these types";
  for (auto [value, tensor] : llvm::zip_equal(op->getResults(), results))
    tensors[value] = tensor;
  return success();
}

LogicalResult Interpreter::boundedSize(core::BoundedSizeOp op) {
  int64_t size = this->size(op.getSize()), max = this->size(op.getMax());
  if (size < 0 || size > max)
    return op.emitError() << op.getWhat() << " is " << size << ", between 0 and " << max << " was expected";
  scalars[op] = size;
  return success();
}

static int64_t floorDivide(int64_t x, int64_t y) {
  int64_t quotient = x / y;
  return x % y != 0 && (x < 0) != (y < 0) ? quotient - 1 : quotient;
}

static bool compare(arith::CmpIPredicate predicate, int64_t x, int64_t y) {
  auto ux = static_cast<uint64_t>(x), uy = static_cast<uint64_t>(y);
  switch (predicate) {
  case arith::CmpIPredicate::eq:
    return x == y;
  case arith::CmpIPredicate::ne:
    return x != y;
  case arith::CmpIPredicate::slt:
    return x < y;
  case arith::CmpIPredicate::sle:
    return x <= y;
  case arith::CmpIPredicate::sgt:
    return x > y;
  case arith::CmpIPredicate::sge:
    return x >= y;
  case arith::CmpIPredicate::ult:
    return ux < uy;
  case arith::CmpIPredicate::ule:
    return ux <= uy;
  case arith::CmpIPredicate::ugt:
    return ux > uy;
  case arith::CmpIPredicate::uge:
    return ux >= uy;
  }
  llvm_unreachable("unknown predicate");
}

/// Sizes are not negative where they divide; a division by zero cannot be right, whatever it gives.
static std::optional<int64_t> evaluateIndex(Operation *op, ArrayRef<int64_t> v) {
  auto nonzero = [](int64_t y) { return y == 0 ? 1 : y; };
  return llvm::TypeSwitch<Operation *, std::optional<int64_t>>(op)
      .Case([&](arith::AddIOp) { return v[0] + v[1]; })
      .Case([&](arith::SubIOp) { return v[0] - v[1]; })
      .Case([&](arith::MulIOp) { return v[0] * v[1]; })
      .Case<arith::DivSIOp, arith::DivUIOp>([&](auto) { return v[0] / nonzero(v[1]); })
      .Case<arith::RemSIOp, arith::RemUIOp>([&](auto) { return v[0] % nonzero(v[1]); })
      .Case([&](arith::FloorDivSIOp) { return floorDivide(v[0], nonzero(v[1])); })
      .Case<arith::CeilDivSIOp, arith::CeilDivUIOp>([&](auto) { return -floorDivide(-v[0], nonzero(v[1])); })
      .Case<arith::MinSIOp, arith::MinUIOp>([&](auto) { return std::min(v[0], v[1]); })
      .Case<arith::MaxSIOp, arith::MaxUIOp>([&](auto) { return std::max(v[0], v[1]); })
      .Case([&](arith::AndIOp) { return v[0] & v[1]; })
      .Case([&](arith::OrIOp) { return v[0] | v[1]; })
      .Case([&](arith::CmpIOp cmp) { return compare(cmp.getPredicate(), v[0], v[1]); })
      .Case([&](arith::SelectOp) { return v[0] ? v[1] : v[2]; })
      .Case<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtSIOp, arith::ExtUIOp, arith::TruncIOp>(
          [&](auto) { return v[0]; })
      .Default([](Operation *) { return std::nullopt; });
}

bool Interpreter::visitScalar(Operation *op) {
  auto numbers = [&](ValueRange values) { return llvm::map_to_vector(values, [&](Value v) { return scalars.at(v); }); };
  if (auto list = dyn_cast<tensor::FromElementsOp>(op); list && list.getType().getElementType().isIntOrIndex()) {
    Tensor result(*Element::of(list.getType().getElementType()), list.getType().getShape());
    for (auto [i, value] : llvm::enumerate(numbers(list.getElements())))
      result.integers()[i] = result.element.wrap(value);
    tensors[list] = result;
    return true;
  }
  if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    scalars[dim] = tensors.at(dim.getSource()).shape[scalars.at(dim.getIndex())];
    return true;
  }
  if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
    const Tensor &source = tensors.at(extract.getTensor());
    int64_t at = 0;
    for (auto [index, stride] : llvm::zip_equal(numbers(extract.getIndices()), source.strides()))
      at += index * stride;
    if (source.element.isReal() || at >= source.count())
      return false;
    scalars[extract] = source.integers()[at];
    return true;
  }
  if (auto cast = dyn_cast<tensor::CastOp>(op)) {
    Tensor source = tensors.at(cast.getSource());
    tensors[cast] = source;
    return true;
  }
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto number = dyn_cast<IntegerAttr>(constant.getValue());
    if (number)
      scalars[constant] = number.getValue().getSExtValue();
    else if (auto elements = dyn_cast<ElementsAttr>(constant.getValue()))
      if (Result result = Tensor::read(elements))
        return tensors[constant] = *result, true;
    return bool(number);
  }
  if (op->getNumResults() != 1 || !llvm::all_of(op->getOperands(), [&](Value v) { return scalars.contains(v); }))
    return false;
  auto value = evaluateIndex(op, numbers(op->getOperands()));
  if (value)
    scalars[op->getResult(0)] = *value;
  return value.has_value();
}

} // namespace mlc::reference
