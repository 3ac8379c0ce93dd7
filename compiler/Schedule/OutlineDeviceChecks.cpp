// The part of EntryOutliner that checks elements where the host cannot read them: kernels that leave what they find in the
// call's record of checks (mlc_call.checks), which the runtime reads before the call succeeds. Kernels that run meanwhile
// must not rely on a check: they stay inside of their buffers whatever the elements are.
#include "compiler/Schedule/EntryOutliner.h"
#include "dialects/rt/Rt.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlc;

namespace {

/// The kernel's operands, in this order.
enum Operand { Elements, Lower, Upper, Below, NotBelow, Record, OperandCount };

/// Words of the record (runtime/src/Device.h).
enum Word : int64_t { Position, Message, Found, Bound, WordCount };

class CheckKernel {
public:
  CheckKernel(func::FuncOp kernel, Location loc)
      : kernel(kernel), b(OpBuilder::atBlockEnd(&kernel.getBody().front())), loc(loc) {}

  /// A thread for each element: position = min(position, i) of those out of range, whatever their order. -1 is the largest.
  func::FuncOp findFirst() {
    Value elements = operand(Elements);
    OpFoldResult count = b.getIndexAttr(1);
    if (auto type = cast<MemRefType>(elements.getType()); type.getRank() == 1) {
      count = b.getIndexAttr(type.getDimSize(0));
      if (type.isDynamicDim(0))
        count = memref::DimOp::create(b, loc, elements, 0).getResult();
    }
    auto threads = scf::ForallOp::create(b, loc, ArrayRef<OpFoldResult>{count}, ValueRange{}, std::nullopt);
    func::FuncOp whole = finish();
    b.setInsertionPointToStart(threads.getBody());
    Value position = threads.getInductionVar(0), element = elementAt(position);
    Value notBelow = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, element, operand(Upper));
    Value isBad = arith::OrIOp::create(b, loc, isBelow(element, operand(Lower)), notBelow);
    auto bad = scf::IfOp::create(b, loc, isBad, /*withElseRegion=*/false);
    b.setInsertionPointToStart(bad.thenBlock());
    memref::AtomicRMWOp::create(b, loc, arith::AtomicRMWKind::minu, toInteger(position), operand(Record),
                                ValueRange{word(Position)});
    return whole;
  }

  /// One thread, and a kernel of its own so that all others have ended: the value and the message, unless an earlier check
  /// has failed.
  func::FuncOp recordFirst() {
    Value position = load(Position), none = constant(-1);
    Value isBad = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, position, none);
    auto bad = scf::IfOp::create(b, loc, isBad, /*withElseRegion=*/false);
    func::FuncOp whole = finish();
    b.setInsertionPointToStart(bad.thenBlock());
    store(none, Position);
    Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, load(Message), constant(0));
    auto first = scf::IfOp::create(b, loc, isFirst, /*withElseRegion=*/false);
    b.setInsertionPointToStart(first.thenBlock());
    Value element = elementAt(arith::IndexCastOp::create(b, loc, b.getIndexType(), position));
    Value below = isBelow(element, operand(Lower));
    auto either = [&](Operand yes, Operand no) {
      return toInteger(arith::SelectOp::create(b, loc, below, operand(yes), operand(no)));
    };
    store(either(Below, NotBelow), Message);
    store(toInteger(element), Found);
    store(either(Lower, Upper), Bound);
    return whole;
  }

private:
  func::FuncOp finish() {
    func::ReturnOp::create(b, loc);
    return kernel;
  }
  Value operand(Operand number) { return kernel.getArgument(number); }
  Value constant(int64_t value) { return arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(value)); }
  Value word(Word number) { return arith::ConstantIndexOp::create(b, loc, number); }
  Value toInteger(Value index) { return arith::IndexCastOp::create(b, loc, b.getI64Type(), index); }
  Value elementAt(Value position) {
    Value elements = operand(Elements);
    bool isScalar = cast<MemRefType>(elements.getType()).getRank() == 0;
    Value element = memref::LoadOp::create(b, loc, elements, isScalar ? ValueRange() : ValueRange(position));
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), element);
  }
  Value isBelow(Value x, Value y) { return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, x, y); }
  Value load(Word number) { return memref::LoadOp::create(b, loc, operand(Record), word(number)); }
  void store(Value value, Word number) { memref::StoreOp::create(b, loc, value, operand(Record), word(number)); }

  func::FuncOp kernel;
  OpBuilder b;
  Location loc;
};

} // namespace

/// `memref` has at most one dimension.
LogicalResult EntryOutliner::emitDeviceCheck(Value memref, const Range &range) {
  SmallVector<Value> operands(OperandCount);
  operands[Elements] = kernelOperand(memref);
  operands[Lower] = range.lower;
  operands[Upper] = range.upper;
  operands[Below] = rt::MessageOp::create(b, loc, b.getIndexType(), b.getStringAttr(range.below));
  operands[NotBelow] = rt::MessageOp::create(b, loc, b.getIndexType(), b.getStringAttr(range.notBelow));
  operands[Record] = rt::BufferOp::create(b, loc, MemRefType::get({WordCount}, b.getI64Type()), call,
                                          b.getStringAttr("checks"), b.getI64IntegerAttr(0), Value(), ValueRange{});
  auto kernel = [&] { return CheckKernel(makeKernel(context, sched::Kind::Check, operands), loc); };
  if (failed(callKernel(kernel().findFirst(), operands)))
    return failure();
  return callKernel(kernel().recordFirst(), operands);
}
