// lowerRuntimeOps (RuntimeCalls.h): the ops of rt become loads of mlc_call's fields and calls of abi.def's functions.
#include "compiler/Bufferize/MemRefDescriptors.h"
#include "compiler/Cpu/RuntimeCalls.h"
#include "dialects/rt/Rt.h"
#include "mlc/abi.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace {

// C types as llvm types, so that abi.def is the only list of the runtime's functions.
template <class T> Type llvmType(MLIRContext *context) {
  if constexpr (std::is_void_v<T>)
    return LLVM::LLVMVoidType::get(context);
  else if constexpr (std::is_pointer_v<T>)
    return LLVM::LLVMPointerType::get(context);
  else
    return IntegerType::get(context, 8 * sizeof(T));
}
template <class R, class... A> LLVM::LLVMFunctionType llvmFunctionType(MLIRContext *context, R (*)(A...)) {
  return LLVM::LLVMFunctionType::get(llvmType<R>(context), {llvmType<A>(context)...});
}

enum CallField : int32_t { Inputs, Outputs, Dims, Weights, State, Arena, ResultSizes = 10, Checks, CallFieldCount };

class Lowering {
public:
  Lowering(ModuleOp module) : module(module), context(module.getContext()), detached(context), symbols(module) {
    pointer = LLVM::LLVMPointerType::get(context);
    i64 = IntegerType::get(context, 64);
#define MLC_RT(RESULT, NAME, ...) abi[#NAME] = llvmFunctionType(context, static_cast<RESULT (*)(__VA_ARGS__)>(nullptr));
#include "mlc/abi.def"
#undef MLC_RT
  }

  void lower(Operation *op) {
    if (auto dim = dyn_cast<mlc::rt::DimOp>(op))
      lower(dim);
    else if (auto buffer = dyn_cast<mlc::rt::BufferOp>(op))
      lower(buffer);
    else if (auto loop = dyn_cast<mlc::rt::ParallelForOp>(op))
      lower(loop);
    else if (auto check = dyn_cast<mlc::rt::CheckOp>(op))
      lower(check);
    else if (auto size = dyn_cast<mlc::rt::BoundedSizeOp>(op))
      lower(size);
    else if (auto size = dyn_cast<mlc::rt::ResultSizeOp>(op))
      lower(size);
    else if (auto launch = dyn_cast<mlc::rt::LaunchOp>(op))
      lower(launch);
    else if (auto commit = dyn_cast<mlc::rt::CommitOp>(op))
      lower(commit);
    else if (auto message = dyn_cast<mlc::rt::MessageOp>(op))
      lower(message);
  }

private:
  Value constant(OpBuilder &b, Location loc, int64_t value) {
    return LLVM::ConstantOp::create(b, loc, b.getI64IntegerAttr(value));
  }
  Value toInteger(OpBuilder &b, Location loc, Value index) { return arith::IndexCastOp::create(b, loc, i64, index); }

  /// call->field
  Value loadField(OpBuilder &b, Location loc, Value call, CallField field) {
    SmallVector<Type> fields(CallFieldCount, pointer);
    auto type = LLVM::LLVMStructType::getLiteral(context, fields);
    Value address = LLVM::GEPOp::create(b, loc, pointer, type, call, ArrayRef<LLVM::GEPArg>{0, field});
    return LLVM::LoadOp::create(b, loc, pointer, address);
  }
  /// array[position]
  Value loadElement(OpBuilder &b, Location loc, Type type, Value array, int64_t position) {
    Value address =
        LLVM::GEPOp::create(b, loc, pointer, type, array, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(position)});
    return LLVM::LoadOp::create(b, loc, type, address);
  }

  /// A call of a function of abi.def.
  LLVM::CallOp callRuntime(OpBuilder &b, Location loc, StringRef name, ValueRange arguments) {
    auto function = symbols.lookup<LLVM::LLVMFuncOp>(name);
    if (!function) {
      function = LLVM::LLVMFuncOp::create(detached, loc, name, abi.lookup(name));
      symbols.insert(function, module.getBody()->begin());
    }
    return LLVM::CallOp::create(b, loc, function, arguments);
  }

  /// Stack memory, allocated once for each call of the function whatever loop the op stands in.
  Value stack(Operation *op, Type type) {
    Block &entry = op->getParentOfType<func::FuncOp>().front();
    OpBuilder b = OpBuilder::atBlockBegin(&entry);
    return LLVM::AllocaOp::create(b, op->getLoc(), pointer, type, constant(b, op->getLoc(), 1));
  }

  /// Index values as i64, so that they can live in a structure.
  Value asField(OpBuilder &b, Location loc, Value value) {
    return value.getType().isIndex() ? toInteger(b, loc, value) : value;
  }

  void lower(mlc::rt::DimOp op) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    Value size = loadElement(b, loc, i64, loadField(b, loc, op.getCall(), Dims), op.getSymbol());
    op.replaceAllUsesWith(arith::IndexCastOp::create(b, loc, b.getIndexType(), size).getResult());
    op.erase();
  }

  void lower(mlc::rt::BufferOp op) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    Value base;
    if (op.getSpace() == "input" || op.getSpace() == "output") {
      Value array = loadField(b, loc, op.getCall(), op.getSpace() == "input" ? Inputs : Outputs);
      base = loadElement(b, loc, pointer, array, op.getPosition());
    } else {
      base = loadField(b, loc, op.getCall(),
                       op.getSpace() == "weights"  ? Weights
                       : op.getSpace() == "state"  ? State
                       : op.getSpace() == "checks" ? Checks
                                                   : Arena);
    }
    if (op.getOffset())
      base = LLVM::GEPOp::create(b, loc, pointer, b.getI8Type(), base, toInteger(b, loc, op.getOffset()));
    op.replaceAllUsesWith(mlc::putTogetherRowMajor(b, loc, cast<MemRefType>(op.getType()), base, op.getSizes()));
    op.erase();
  }

  /// void task_thunk(void *context, int64_t index) { task(context->0, context->1, ..., index); }
  LLVM::LLVMFuncOp makeThunk(mlc::rt::ParallelForOp op, LLVM::LLVMStructType captured) {
    Location loc = op.getLoc();
    auto task = symbols.lookup<func::FuncOp>(op.getTask());
    auto type = llvmFunctionType(context, static_cast<mlc_task>(nullptr));
    auto thunk =
        LLVM::LLVMFuncOp::create(detached, loc, (op.getTask() + "_thunk").str(), type, LLVM::Linkage::Internal);
    symbols.insert(thunk, std::next(task->getIterator()));
    OpBuilder b(context);
    Block *entry = thunk.addEntryBlock(b);
    b.setInsertionPointToEnd(entry);
    SmallVector<Value> arguments;
    for (auto [number, field] : llvm::enumerate(captured.getBody())) {
      Value address = LLVM::GEPOp::create(b, loc, pointer, captured, entry->getArgument(0),
                                          ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(number)});
      arguments.push_back(LLVM::LoadOp::create(b, loc, field, address));
    }
    arguments.push_back(entry->getArgument(1));
    // The task is still a func.func: its indices are index values.
    for (auto [value, wanted] : llvm::zip_equal(arguments, task.getArgumentTypes()))
      if (wanted.isIndex())
        value = arith::IndexCastOp::create(b, loc, wanted, value);
    func::CallOp::create(b, loc, task, arguments);
    LLVM::ReturnOp::create(b, loc, ValueRange());
    return thunk;
  }

  void lower(mlc::rt::ParallelForOp op) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    SmallVector<Value> values;
    for (Value capture : op.getCaptures())
      values.push_back(asField(b, loc, capture));
    auto captured = LLVM::LLVMStructType::getLiteral(context, llvm::to_vector(ValueRange(values).getTypes()));
    Value memory = stack(op, captured);
    for (auto [number, value] : llvm::enumerate(values)) {
      Value address = LLVM::GEPOp::create(b, loc, pointer, captured, memory,
                                          ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(number)});
      LLVM::StoreOp::create(b, loc, value, address);
    }
    Value thunk = LLVM::AddressOfOp::create(b, loc, makeThunk(op, captured));
    callRuntime(b, loc, "mlc_rt_parallel_for", {op.getCall(), thunk, memory, toInteger(b, loc, op.getCount())});
    op.erase();
  }

  /// Returns from the op's function: with the status if it returns one; a task or kernel just ends, the handle remembers.
  void returnFrom(OpBuilder &b, Location loc, func::FuncOp function, Value status) {
    func::ReturnOp::create(b, loc, function.getNumResults() == 0 ? ValueRange() : ValueRange(status));
  }

  Value text(OpBuilder &b, Location loc, StringRef message) {
    LLVM::GlobalOp &global = texts[message];
    if (!global) {
      std::string terminated = (message + StringRef("\0", 1)).str();
      auto type = LLVM::LLVMArrayType::get(b.getI8Type(), terminated.size());
      global = LLVM::GlobalOp::create(detached, loc, type, /*isConstant=*/true, LLVM::Linkage::Internal, "message",
                                      b.getStringAttr(terminated));
      symbols.insert(global, module.getBody()->begin());
    }
    return LLVM::AddressOfOp::create(b, loc, global);
  }

  /// if (!condition) return mlc_rt_fail(call, message, a, b);
  void lower(mlc::rt::CheckOp op) {
    Location loc = op.getLoc();
    auto function = op->getParentOfType<func::FuncOp>();
    Block *before = op->getBlock(), *after = before->splitBlock(op);
    OpBuilder b(context);
    Block *failed = b.createBlock(after);
    Value status = callRuntime(b, loc, "mlc_rt_fail",
                               {op.getCall(), text(b, loc, op.getMessage()), toInteger(b, loc, op.getA()),
                                toInteger(b, loc, op.getB())})
                       .getResult();
    returnFrom(b, loc, function, status);
    b.setInsertionPointToEnd(before);
    cf::CondBranchOp::create(b, loc, op.getCondition(), after, failed);
    op.erase();
  }

  /// A check and the size itself; what is negative is large when it counts as unsigned.
  void lower(mlc::rt::BoundedSizeOp op) {
    OpBuilder b(op);
    Value fits = arith::CmpIOp::create(b, op.getLoc(), arith::CmpIPredicate::ule, op.getSize(), op.getMax());
    auto check =
        mlc::rt::CheckOp::create(b, op.getLoc(), op.getCall(), fits, op.getMessage(), op.getSize(), op.getMax());
    op.replaceAllUsesWith(op.getSize());
    op.erase();
    lower(check);
  }

  /// call->result_sizes[position] = size
  void lower(mlc::rt::ResultSizeOp op) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    Value address = LLVM::GEPOp::create(b, loc, pointer, i64, loadField(b, loc, op.getCall(), ResultSizes),
                                        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(op.getPosition())});
    LLVM::StoreOp::create(b, loc, toInteger(b, loc, op.getSize()), address);
    op.erase();
  }

  /// if (status = mlc_rt_commit(call)) return status;
  void lower(mlc::rt::CommitOp op) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    Value status = callRuntime(b, loc, "mlc_rt_commit", {op.getCall()}).getResult();
    Value zero = arith::ConstantIntOp::create(b, loc, 0, 32);
    Value good = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, status, zero);
    Block *before = op->getBlock(), *after = before->splitBlock(op);
    Block *failed = b.createBlock(after);
    returnFrom(b, loc, op->getParentOfType<func::FuncOp>(), status);
    b.setInsertionPointToEnd(before);
    cf::CondBranchOp::create(b, loc, good, after, failed);
    op.erase();
  }

  void lower(mlc::rt::MessageOp op) {
    OpBuilder b(op);
    Value address = LLVM::PtrToIntOp::create(b, op.getLoc(), i64, text(b, op.getLoc(), op.getMessage()));
    op.replaceAllUsesWith(arith::IndexCastOp::create(b, op.getLoc(), b.getIndexType(), address).getResult());
    op.erase();
  }

  /// mlc_rt_launch(...): the call remembers a failure.
  void lower(mlc::rt::LaunchOp op) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    int64_t count = op.getArguments().size();
    Value array = stack(op, LLVM::LLVMArrayType::get(pointer, std::max<int64_t>(count, 1)));
    for (auto [number, argument] : llvm::enumerate(op.getArguments())) {
      Value value = asField(b, loc, argument), memory = stack(op, value.getType());
      LLVM::StoreOp::create(b, loc, value, memory);
      Value address =
          LLVM::GEPOp::create(b, loc, pointer, pointer, array, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(number)});
      LLVM::StoreOp::create(b, loc, memory, address);
    }
    callRuntime(b, loc, "mlc_rt_launch",
                {op.getCall(), constant(b, loc, op.getKernel()), toInteger(b, loc, op.getBlocks()),
                 constant(b, loc, op.getThreads()), array, constant(b, loc, count)});
    op.erase();
  }

  ModuleOp module;
  MLIRContext *context;
  OpBuilder detached; // for symbols, which SymbolTable inserts
  SymbolTable symbols;
  Type pointer, i64;
  llvm::StringMap<LLVM::LLVMFunctionType> abi;
  llvm::StringMap<LLVM::GlobalOp> texts;
};

} // namespace

LogicalResult mlc::lowerRuntimeOps(ModuleOp module) {
  SmallVector<Operation *> ops;
  WalkResult result = module.walk([&](Operation *op) {
    if (!isa_and_nonnull<rt::RtDialect>(op->getDialect()))
      return WalkResult::advance();
    auto buffer = dyn_cast<rt::BufferOp>(op);
    if (buffer && failed(openTypes(cast<MemRefType>(buffer.getType())))) {
      buffer.emitOpError("has no strided layout");
      return WalkResult::interrupt();
    }
    if (isa<rt::CheckOp, rt::BoundedSizeOp, rt::CommitOp>(op) && !isa<func::FuncOp>(op->getParentOp())) {
      op->emitOpError("must stand in flat control flow");
      return WalkResult::interrupt();
    }
    ops.push_back(op);
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    return failure();
  // What ends a block goes last and from behind: the rest of a block moves once for each that it holds.
  auto endsBlock = [](Operation *op) { return isa<rt::CheckOp, rt::BoundedSizeOp, rt::CommitOp>(op); };
  Lowering lowering(module);
  SmallVector<Operation *> last;
  llvm::copy_if(llvm::reverse(ops), std::back_inserter(last), endsBlock);
  llvm::erase_if(ops, endsBlock);
  for (Operation *op : llvm::concat<Operation *>(ops, last))
    lowering.lower(op);
  return success();
}
