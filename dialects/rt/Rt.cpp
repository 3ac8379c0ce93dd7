// Registration and verifiers of the rt dialect.
#include "dialects/rt/Rt.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include "dialects/rt/RtDialect.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/rt/RtAttributes.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/rt/RtOps.cpp.inc"

using namespace mlir;

void mlc::rt::RtDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/rt/RtOps.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/rt/RtAttributes.cpp.inc"
      >();
}

LogicalResult mlc::rt::BufferOp::verify() {
  static constexpr StringRef spaces[] = {"input", "output", "weights", "state", "arena", "checks"};
  if (!llvm::is_contained(spaces, getSpace()))
    return emitOpError("unknown space '") << getSpace() << "'";
  auto type = cast<MemRefType>(getResult().getType());
  if (type.getNumDynamicDims() != getSizes().size())
    return emitOpError("needs one size for each of ") << type.getNumDynamicDims() << " dynamic dimensions";
  return success();
}

LogicalResult mlc::rt::ResultShapesOp::verify() {
  size_t open = 0;
  for (auto shape : getShapes().getAsRange<DenseI64ArrayAttr>())
    open += llvm::count(shape.asArrayRef(), ShapedType::kDynamic);
  if (open != getSizes().size())
    return emitOpError("needs one size for each of ") << open << " open dimensions";
  return success();
}

LogicalResult mlc::rt::ParallelForOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto task = symbols.lookupNearestSymbolFrom<func::FuncOp>(*this, getTaskAttr());
  if (!task)
    return success(); // after conversion to the llvm dialect the task is an llvm.func
  SmallVector<Type> expected(getCaptures().getTypes());
  expected.push_back(IndexType::get(getContext()));
  if (task.getArgumentTypes() != ArrayRef<Type>(expected))
    return emitOpError("captures do not match the arguments of ") << getTaskAttr();
  return success();
}
