// passMemRefsAsPointers (PassMemRefs.h). Upstream's convention expands a memref of rank 4 into eleven arguments, ten of which
// a static type already knows; here it is one pointer, and a context of tasks is small.
#include "compiler/Bufferize/PassMemRefs.h"
#include "compiler/Bufferize/MemRefDescriptors.h"
#include "dialects/rt/Rt.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace {

LogicalResult rewriteFunction(func::FuncOp function) {
  MLIRContext *context = function.getContext();
  if (llvm::any_of(function.getResultTypes(), llvm::IsaPred<MemRefType>))
    return function.emitOpError("returns a memref");
  SmallVector<Type> types;
  SmallVector<size_t> begin;
  for (Type type : function.getArgumentTypes()) {
    begin.push_back(types.size());
    auto memref = dyn_cast<MemRefType>(type);
    if (!memref) {
      types.push_back(type);
      continue;
    }
    auto open = mlc::openTypes(memref);
    if (failed(open))
      return function.emitOpError("argument ") << begin.size() - 1 << " of type " << memref << " has no strided layout";
    llvm::append_range(types, *open);
  }

  SmallVector<Type> before(function.getArgumentTypes());
  function.setType(FunctionType::get(context, types, function.getResultTypes()));
  function.setAllArgAttrs(SmallVector<DictionaryAttr>(types.size(), DictionaryAttr::get(context)));
  if (function.isExternal())
    return success();
  Block &entry = function.front();
  OpBuilder b = OpBuilder::atBlockBegin(&entry);
  SmallVector<Location> locations(types.size(), function.getLoc());
  auto arguments = llvm::to_vector(entry.addArguments(types, locations));
  begin.push_back(types.size());
  for (auto [number, type] : llvm::enumerate(before)) {
    ArrayRef<BlockArgument> now = ArrayRef(arguments).slice(begin[number], begin[number + 1] - begin[number]);
    Value replacement = now.front();
    if (auto memref = dyn_cast<MemRefType>(type))
      replacement = mlc::putTogether(b, function.getLoc(), memref, SmallVector<Value>(now));
    entry.getArgument(number).replaceAllUsesWith(replacement);
  }
  entry.eraseArguments(0, before.size());
  return success();
}

/// The operands with every memref taken apart.
SmallVector<Value> takeApartAll(Operation *op, ValueRange operands) {
  OpBuilder b(op);
  SmallVector<Value> values;
  for (Value operand : operands)
    if (isa<MemRefType>(operand.getType()))
      llvm::append_range(values, mlc::takeApart(b, op->getLoc(), operand));
    else
      values.push_back(operand);
  return values;
}

} // namespace

LogicalResult mlc::passMemRefsAsPointers(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>())
    if (failed(rewriteFunction(function)))
      return failure();
  // Callees have been checked: an operand has its parameter's type, so its layout is strided.
  module.walk([](Operation *op) {
    if (auto call = dyn_cast<func::CallOp>(op))
      call.getOperandsMutable().assign(takeApartAll(op, call.getOperands()));
    else if (auto loop = dyn_cast<rt::ParallelForOp>(op))
      loop.getCapturesMutable().assign(takeApartAll(op, loop.getCaptures()));
    else if (auto launch = dyn_cast<rt::LaunchOp>(op))
      launch.getArgumentsMutable().assign(takeApartAll(op, launch.getArguments()));
  });
  return success();
}
