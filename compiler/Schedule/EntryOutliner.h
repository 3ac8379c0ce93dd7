// EntryOutliner: the work of OutlineGroups for one entry. Buffers are decided here, by hand: a value is a buffer of its own, a view of
// another value's buffer, or placed inside the buffer that it will be inserted into (padding and concatenation cost nothing).
// Memory is found on demand, so an allocation precedes its first use; what is defined around a loop is made in front of it.
//
// OutlineBuffers.cpp finds memory and index values, OutlineChecks.cpp compares sizes that only the run knows, OutlineDeviceChecks.cpp
// makes kernels that check elements on a GPU, OutlineKernels.cpp
// makes functions and calls, OutlineControl.cpp loops and branches, OutlineGroups.cpp brings them into order.
#ifndef MLC_COMPILER_SCHEDULE_ENTRYOUTLINER_H
#define MLC_COMPILER_SCHEDULE_ENTRYOUTLINER_H
#include "dialects/core/Core.h"
#include "dialects/onnx/Signature.h"
#include "dialects/rt/Program.h"
#include "dialects/sched/Kernel.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"

namespace mlc {

using llvm::ArrayRef;
using llvm::DenseMap;
using llvm::SmallVector;
using llvm::StringRef;
using mlir::Attribute;
using mlir::FailureOr;
using mlir::LogicalResult;
using mlir::Operation;
using mlir::OpFoldResult;
using mlir::RankedTensorType;
using mlir::Value;

/// State of the whole module: kernels by their text, constants, parameters.
struct Outlined {
  mlir::ModuleOp module;
  llvm::StringMap<mlir::func::FuncOp> kernels;
  SmallVector<mlir::ElementsAttr> weights; // by number
  DenseMap<Attribute, int64_t> weightNumber;
  SmallVector<std::pair<mlir::StringAttr, RankedTensorType>>
      state; // declared by rt::stateOf before this pass, or in order of occurrence
  llvm::StringMap<int64_t> stateNumber;
  onnx::Symbols symbols;

  bool onDevice; // the host cannot read what kernels compute

  Outlined(mlir::ModuleOp module, bool onDevice)
      : module(module), symbols(onnx::Symbols::of(module)), onDevice(onDevice) {}
};

/// A private function on the operands' types and %call.
mlir::func::FuncOp makeKernel(mlir::MLIRContext *context, sched::Kind kind, ArrayRef<Value> operands);

/// What runs at once, in the block's order, and what must wait for it.
struct Units {
  SmallVector<SmallVector<Operation *>> members;
  DenseMap<Operation *, int64_t> of;
  SmallVector<SmallVector<int64_t>> followers;

  void order(Operation *first, Operation *second);
  /// Does `to` wait for `from`?
  bool reaches(int64_t from, int64_t to) const;
};

class EntryOutliner {
public:
  EntryOutliner(Outlined &all, mlir::func::FuncOp source)
      : all(all), source(source), b(source.getContext()), loc(source.getLoc()), context(source.getContext()) {}
  LogicalResult run();

private:
  struct Placement {
    Value destination;
    SmallVector<OpFoldResult> offsets, sizes;
    llvm::SmallBitVector dropped;
  };

  /// A block of the source that is being emitted, and in it, unless it is the innermost, the entry's op for the next one.
  struct Scope {
    mlir::Block *block;
    Operation *inner = nullptr;
  };

  // ---- analysis
  void planPlacements(mlir::Block &block);
  void planInits(mlir::Block &block);
  void planOutputs();
  bool ownsBuffer(Value value);
  bool isInPlace(mlir::tensor::InsertSliceOp insert);
  Value bufferOwner(Value value);
  bool mayShareBuffer(Value owner, mlir::Block &block, mlir::Type type);

  // ---- order
  Units unitsOf(mlir::Block &block);
  Operation *fillOf(Value destination);
  void orderAfterFills(mlir::Block &block, Units &units);
  LogicalResult emitUnits(const Units &units);
  LogicalResult emitUnit(ArrayRef<Operation *> members);

  // ---- loops and branches
  bool findReaders(Value value, mlir::Block &body, llvm::SetVector<Operation *> &readers);
  void planInserts(core::LoopOp loop, Units &units);
  void planYields(core::LoopOp loop, Units &units);
  bool mayOverwrite(core::LoopOp loop, unsigned number, Value owner, ArrayRef<Operation *> readers, const Units &units);
  LogicalResult emitLoop(core::LoopOp op);
  LogicalResult emitCounted(core::LoopOp op, Value count);
  LogicalResult emitConditional(core::LoopOp op, Value count);
  LogicalResult emitBody(core::LoopOp op);
  LogicalResult emitYields(core::LoopOp op);
  LogicalResult emitIf(core::IfOp op);
  LogicalResult emitBranch(core::IfOp op, mlir::Region &branch);
  LogicalResult emitMove(Value from, Value to);
  FailureOr<Value> truthOf(Value condition);
  void enterScopeOf(Value value);

  // ---- memory
  FailureOr<Value> memoryOf(Value tensor);
  FailureOr<Value> makeMemory(Value tensor);
  FailureOr<Value> contiguous(Value tensor, Value memref);
  Value allocate(RankedTensorType type, ArrayRef<Value> sizes);
  FailureOr<SmallVector<Value>> dynamicSizes(Value tensor);
  FailureOr<SmallVector<Value>> sizesOfMemory(Value tensor, RankedTensorType type);
  Value subview(Value memref, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                ArrayRef<OpFoldResult> strides, RankedTensorType result);

  // ---- scalars
  FailureOr<Value> scalarOf(Value value);
  Value divisorOf(Value divisor);
  FailureOr<OpFoldResult> scalarOf(OpFoldResult value);

  // ---- checks: sizes that must agree, and that only the run can tell
  Value dim(int64_t symbol);
  OpFoldResult sizeOf(Value memref, int64_t axis);
  Value elementCount(Value memref);
  std::string withNode(const llvm::Twine &message);
  void requireEqual(OpFoldResult x, OpFoldResult y, const llvm::Twine &message);
  void requireSameSizes(Value x, Value y);
  void checkLoops(mlir::linalg::GenericOp op, llvm::function_ref<Value(Value)> bufferOf);

  // ---- code
  LogicalResult emitGroup(ArrayRef<Operation *> members);
  LogicalResult emitStructured(Operation *op);
  LogicalResult emitInsert(mlir::tensor::InsertSliceOp op);
  LogicalResult emitCopy(Value from, Value to);
  LogicalResult emitRepeat(Value from, Value to);
  LogicalResult emitRequire(core::RequireOp op);
  LogicalResult emitStretch(core::StretchOp op);
  struct Range {
    Value lower, upper;
    std::string below, notBelow; // messages
  };
  void requireInRange(Value element, const Range &range);
  LogicalResult emitCheck(core::CheckRangeOp op);
  LogicalResult emitDeviceCheck(Value memref, const Range &range);
  LogicalResult emitAssignments();
  FailureOr<SmallVector<Value>> emitResults();
  bool isInOutput(Value value, unsigned number);
  LogicalResult callKernel(mlir::func::FuncOp kernel, ArrayRef<Value> operands);
  Value kernelOperand(Value memref);

  Outlined &all;
  mlir::func::FuncOp source;
  mlir::OpBuilder b;
  mlir::Location loc;
  mlir::MLIRContext *context;
  Value call;
  DenseMap<Value, Value> memory, scalars;
  llvm::DenseSet<Value> making; // whose memory is being decided
  DenseMap<Value, Placement> placements;
  DenseMap<Value, Value> aliases;      // values that are made in another value's buffer
  llvm::DenseSet<Operation *> inPlace; // insertions into carried values that others have read before
  SmallVector<Scope> scopes;           // outermost first
  DenseMap<int64_t, Value> dims;       // by symbol
  DenseMap<Value, unsigned> outputs;   // buffer owner -> number of the result that it is
};

} // namespace mlc
#endif
