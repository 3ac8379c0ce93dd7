// PlanTiling: asks the planner about each kernel and notes its answer on the function.
#include "compiler/Passes.h"
#include "compiler/Schedule/BodyEmitter.h"
#include "compiler/Schedule/KernelNest.h"
#include "compiler/Schedule/Kernels.h"

namespace mlc {
#define GEN_PASS_DEF_PLANTILING
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;

/// Elements between neighbours along each dimension; kDynamic where unknown.
static SmallVector<int64_t> stridesOf(Type type) {
  auto shaped = cast<ShapedType>(type);
  if (auto memref = dyn_cast<MemRefType>(type)) {
    SmallVector<int64_t> strides;
    int64_t offset;
    if (succeeded(memref.getStridesAndOffset(strides, offset)))
      return strides;
  }
  SmallVector<int64_t> strides(shaped.getRank(), 1);
  for (int64_t axis = shaped.getRank() - 2; axis >= 0; --axis)
    strides[axis] = ShapedType::isDynamic(strides[axis + 1]) || shaped.isDynamicDim(axis + 1)
                        ? ShapedType::kDynamic
                        : strides[axis + 1] * shaped.getDimSize(axis + 1);
  return strides;
}

/// Movement of an operand along one loop: the sum over results of (coefficient of the loop) * stride.
static int64_t stepAlong(AffineMap map, ArrayRef<int64_t> strides, unsigned loop) {
  int64_t step = 0;
  for (auto [result, expression] : llvm::enumerate(map.getResults())) {
    if (!expression.isFunctionOfDim(loop))
      continue;
    SmallVector<int64_t> coefficients;
    if (failed(getFlattenedAffineExpr(expression, map.getNumDims(), map.getNumSymbols(), &coefficients)) ||
        ShapedType::isDynamic(strides[result]) || coefficients.size() != map.getNumDims() + map.getNumSymbols() + 1)
      return ShapedType::kDynamic;
    step += coefficients[loop] * strides[result];
  }
  return step;
}

LoopNest mlc::describeNest(linalg::GenericOp op, sched::Kind kind) {
  LoopNest nest;
  nest.kind = kind;
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  for (auto [size, iterator] : llvm::zip(sizes, op.getIteratorTypesArray()))
    nest.loops.push_back({size, iterator == utils::IteratorType::reduction});
  nest.elementBytes = 1;
  for (OpOperand &operand : op->getOpOperands()) {
    Access access;
    SmallVector<int64_t> strides = stridesOf(operand.get().getType());
    for (unsigned loop = 0; loop < op.getNumLoops(); ++loop)
      access.step.push_back(stepAlong(op.getMatchingIndexingMap(&operand), strides, loop));
    nest.accesses.push_back(access);
    // Vectors hold the widest element among the operands that move with the lanes.
    nest.elementBytes = std::max<int64_t>(
        nest.elementBytes, llvm::divideCeil(getElementTypeOrSelf(operand.get().getType()).getIntOrFloatBitWidth(), 8));
  }
  return nest;
}

/// LLVM computes with vectors of less than 128 bits in registers of 128, whose other lanes hold anything: a division there may trap.
static int64_t lanesMin(func::FuncOp kernel) {
  constexpr int64_t registerBits = 128;
  int64_t lanes = 1;
  for (auto generic : kernel.getOps<linalg::GenericOp>()) {
    if (!mayTrap(generic))
      continue;
    for (Operation &op : *generic.getBody())
      for (Type type : op.getResultTypes())
        if (isa<FloatType>(type)) // of less than 32 bits is computed with 32
          lanes = std::max<int64_t>(lanes, registerBits / std::max(32u, type.getIntOrFloatBitWidth()));
  }
  return lanes;
}

namespace {
struct PlanTiling : mlc::impl::PlanTilingBase<PlanTiling> {
  using PlanTilingBase::PlanTilingBase;

  void runOnOperation() override {
    func::FuncOp kernel = getOperation();
    auto kind = sched::kindOf(kernel);
    if (!kind || *kind > sched::Kind::Loops)
      return;
    auto generics = kernel.getOps<linalg::GenericOp>();
    if (generics.empty())
      return;
    LoopNest nest = describeNest(*generics.begin(), *kind);
    nest.lanesMin = lanesMin(kernel);
    Tiling plan = planTiling(nest, Machine::get(machine));
    sched::setTiling(kernel, sched::TilingAttr::get(&getContext(), plan.task, plan.lanes, plan.vectors, plan.rows,
                                                    plan.rowLoop, plan.laneLoop));
  }
};
} // namespace
