// OutlineGpuKernels: a thread for every iteration of a kernel's scf.forall. The forall's body becomes a device function, the
// forall itself a launch; what remains of the kernel's function is host code that computes sizes. Device memory is touched on the
// device only: kernels without a forall, and single stores of entries, are launched as one thread.
#include "compiler/Gpu/Gpu.h"
#include "compiler/Passes.h"
#include "dialects/rt/Program.h"
#include "dialects/sched/Kernel.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Transforms.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "mlir/Transforms/RegionUtils.h"

namespace mlc {
#define GEN_PASS_DEF_OUTLINEGPUKERNELS
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;

namespace {

bool isParameter(Type type) { return isa<MemRefType>(type) || type.isIntOrIndexOrFloat(); }

/// May stay in host code: it reads and writes no memory.
bool isHostCode(Operation &op) {
  return op.hasTrait<OpTrait::IsTerminator>() || isa<mlc::rt::CheckOp>(op) || isMemoryEffectFree(&op);
}

class Outliner {
public:
  explicit Outliner(ModuleOp module)
      : module(module), device(ModuleOp::create(module.getLoc(), mlc::kDeviceModule)), symbols(device) {
    module.push_back(device);
  }

  LogicalResult outlineKernel(func::FuncOp kernel);
  LogicalResult outlineEntry(func::FuncOp entry);

  void finish() { mlc::rt::setDeviceKernels(module, names); }

private:
  struct Captured {
    SmallVector<Value> parameters;
    SetVector<Operation *> recomputed; // in an order in which they can be cloned
  };
  LogicalResult capture(Value value, Captured &captured);
  LogicalResult launch(scf::ForallOp forall, Value call, StringRef name);
  LogicalResult launchWhole(func::FuncOp kernel);

  ModuleOp module, device;
  SymbolTable symbols;
  SmallVector<StringRef> names; // of the kernels, by number
};

/// Constants, and values that no parameter can hold, are computed again on the device.
LogicalResult Outliner::capture(Value value, Captured &captured) {
  Operation *definition = value.getDefiningOp();
  bool isConstant = definition && definition->hasTrait<OpTrait::ConstantLike>();
  if (!isConstant && isParameter(value.getType())) {
    if (!llvm::is_contained(captured.parameters, value))
      captured.parameters.push_back(value);
    return success();
  }
  if (!definition || definition->getNumRegions() > 0 || !isMemoryEffectFree(definition))
    return emitError(value.getLoc()) << "a value of type " << value.getType() << " cannot be passed to the GPU";
  for (Value operand : definition->getOperands())
    if (failed(capture(operand, captured)))
      return failure();
  captured.recomputed.insert(definition);
  return success();
}

LogicalResult checkBody(scf::ForallOp forall) {
  WalkResult result = forall.walk([](Operation *op) {
    if (isa<mlc::rt::RtDialect>(op->getDialect())) {
      op->emitOpError("is not supported inside GPU code");
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

/// forall (%t) in (%n) { body }  ->  launch of `if (thread < n) body`
LogicalResult Outliner::launch(scf::ForallOp forall, Value call, StringRef name) {
  Location loc = forall.getLoc();
  if (forall.getRank() != 1 || !forall.isNormalized() || forall.getNumResults() != 0)
    return forall.emitOpError("must count from 0 in steps of 1 in one dimension, without results, to become a grid");
  // Foralls inside are loops of the thread.
  SmallVector<scf::ForallOp> nested;
  forall.getBody()->walk([&](scf::ForallOp inner) { nested.push_back(inner); });
  IRRewriter rewriter(module.getContext());
  for (scf::ForallOp inner : nested) {
    rewriter.setInsertionPoint(inner);
    if (failed(scf::forallToForLoop(rewriter, inner)))
      return inner.emitOpError("cannot become loops");
  }
  if (failed(checkBody(forall)))
    return failure();

  OpBuilder b(forall);
  OpFoldResult size = forall.getMixedUpperBound()[0];
  std::optional<int64_t> constantCount = getConstantIntValue(size);
  Value count = getValueOrCreateConstantIndexOp(b, loc, size);
  SetVector<Value> used;
  getUsedValuesDefinedAbove(forall.getRegion(), used);
  used.insert(count);
  Captured captured;
  for (Value value : used)
    if (failed(capture(value, captured)))
      return failure();

  auto function = func::FuncOp::create(loc, name, b.getFunctionType(TypeRange(ValueRange(captured.parameters)), {}));
  symbols.insert(function); // makes the name unique
  int64_t number = names.size();
  names.push_back(function.getSymName());

  Block *entry = function.addEntryBlock();
  OpBuilder d = OpBuilder::atBlockEnd(entry);
  IRMapping map;
  map.map(captured.parameters, entry->getArguments());
  for (Operation *op : captured.recomputed)
    d.clone(*op, map);
  // Never inside a block that has one thread only.
  bool once = constantCount == 1;
  Value index;
  if (once) {
    index = arith::ConstantIndexOp::create(d, loc, 0);
  } else {
    auto range = [&](int64_t end) {
      return LLVM::ConstantRangeAttr::get(d.getContext(), APInt(32, 0), APInt(32, end));
    };
    Value thread = NVVM::ThreadIdXOp::create(d, loc, d.getI32Type(), range(mlc::kBlockThreads));
    Value block = NVVM::BlockIdXOp::create(d, loc, d.getI32Type(), range(0x7fffffff));
    Value first = arith::MulIOp::create(d, loc, arith::IndexCastUIOp::create(d, loc, d.getIndexType(), block),
                                        arith::ConstantIndexOp::create(d, loc, mlc::kBlockThreads));
    index = arith::AddIOp::create(d, loc, first, arith::IndexCastUIOp::create(d, loc, d.getIndexType(), thread));
  }
  Block *into = entry;
  func::ReturnOp::create(d, loc);
  if (!once && !(constantCount && *constantCount % mlc::kBlockThreads == 0)) {
    d.setInsertionPoint(entry->getTerminator());
    Value exists = arith::CmpIOp::create(d, loc, arith::CmpIPredicate::ult, index, map.lookup(count));
    into = scf::IfOp::create(d, loc, exists, /*withElseRegion=*/false).thenBlock();
  }
  Block *body = forall.getBody();
  forall.getInductionVar(0).replaceAllUsesWith(index);
  into->getOperations().splice(std::prev(into->end()), body->getOperations(), body->begin(), std::prev(body->end()));
  function.walk([&](Operation *op) {
    for (OpOperand &operand : op->getOpOperands())
      if (Value inside = map.lookupOrNull(operand.get()))
        operand.set(inside);
  });

  Value blocks =
      once ? arith::ConstantIndexOp::create(b, loc, 1).getResult()
           : b.createOrFold<arith::CeilDivUIOp>(loc, count, arith::ConstantIndexOp::create(b, loc, mlc::kBlockThreads));
  mlc::rt::LaunchOp::create(b, loc, call, b.getI64IntegerAttr(number), blocks,
                            b.getI64IntegerAttr(once ? 1 : mlc::kBlockThreads), captured.parameters);
  forall.erase();
  return success();
}

/// { ops }  ->  forall (%t) in (1) { ops }
scf::ForallOp wrap(Block::iterator begin, Block::iterator end, Location loc) {
  OpBuilder b(begin->getBlock(), begin);
  auto forall = scf::ForallOp::create(b, loc, ArrayRef<OpFoldResult>{b.getIndexAttr(1)}, ValueRange{}, std::nullopt);
  Block *body = forall.getBody();
  body->getOperations().splice(body->begin(), begin->getBlock()->getOperations(), begin, end);
  return forall;
}

LogicalResult Outliner::launchWhole(func::FuncOp kernel) {
  Block &block = kernel.getBody().front();
  return launch(wrap(block.begin(), std::prev(block.end()), kernel.getLoc()), kernel.getArguments().back(),
                kernel.getName());
}

LogicalResult Outliner::outlineKernel(func::FuncOp kernel) {
  if (kernel.getNumArguments() == 0 || !isa<LLVM::LLVMPointerType>(kernel.getArgumentTypes().back()))
    return kernel.emitOpError("is a kernel: its last argument must be %call: !llvm.ptr");
  if (!kernel.getBody().hasOneBlock())
    return kernel.emitOpError("is a kernel: its control flow must be structured");
  SmallVector<scf::ForallOp> foralls(kernel.getOps<scf::ForallOp>());
  for (Operation &op : kernel.getBody().front())
    if (!isa<scf::ForallOp>(op) && !isHostCode(op))
      return launchWhole(kernel);
  for (scf::ForallOp forall : foralls)
    if (failed(launch(forall, kernel.getArguments().back(), kernel.getName())))
      return failure();
  return success();
}

/// Memory that host code may not touch: everything but stack memory.
bool isDeviceMemory(Value memref) {
  while (auto view = memref.getDefiningOp<ViewLikeOpInterface>())
    memref = view.getViewSource();
  return !memref.getDefiningOp<memref::AllocaOp>();
}

LogicalResult Outliner::outlineEntry(func::FuncOp entry) {
  SmallVector<memref::StoreOp> stores;
  WalkResult result = entry.walk([&](Operation *op) {
    if (auto load = dyn_cast<memref::LoadOp>(op); load && isDeviceMemory(load.getMemRef())) {
      op->emitError(
          "a size or index that depends on data is not supported on the GPU: the host would have to wait for it");
      return WalkResult::interrupt();
    }
    if (auto store = dyn_cast<memref::StoreOp>(op); store && isDeviceMemory(store.getMemRef()))
      stores.push_back(store);
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    return failure();
  for (memref::StoreOp store : stores) {
    auto at = store->getIterator();
    if (failed(launch(wrap(at, std::next(at), store.getLoc()), entry.getArgument(0), "store")))
      return failure();
  }
  return success();
}

struct OutlineGpuKernels : mlc::impl::OutlineGpuKernelsBase<OutlineGpuKernels> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> functions(module.getOps<func::FuncOp>());
    Outliner outliner(module);
    for (func::FuncOp function : functions) {
      if (function.isExternal())
        continue;
      bool isKernel = mlc::sched::isKernel(function);
      bool isEntry =
          !isKernel && function.getNumArguments() == 1 && isa<LLVM::LLVMPointerType>(function.getArgumentTypes()[0]);
      if ((isKernel && failed(outliner.outlineKernel(function))) ||
          (isEntry && failed(outliner.outlineEntry(function))))
        return signalPassFailure();
    }
    outliner.finish();
  }
};

} // namespace
