// PackOperands: a copy with another order of dimensions for operands that a contraction would read with a stride (see Passes.td).
#include "compiler/Passes.h"
#include "compiler/Schedule/GroupKinds.h"
#include "compiler/Schedule/KernelNest.h"
#include "compiler/Schedule/Kernels.h"
#include "dialects/core/Core.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlc {
#define GEN_PASS_DEF_PACKOPERANDS
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;

/// copy(x) whose dimension i is x's dimension permutation[i].
static Value transposedCopy(OpBuilder &b, Location loc, Value x, ArrayRef<int64_t> permutation) {
  auto type = cast<RankedTensorType>(x.getType());
  int64_t rank = type.getRank();
  SmallVector<OpFoldResult> sizes;
  for (int64_t axis : permutation)
    sizes.push_back(tensor::getMixedSize(b, loc, x, axis));
  Value empty = tensor::EmptyOp::create(b, loc, sizes, type.getElementType());
  SmallVector<AffineExpr> source(rank);
  for (auto [i, axis] : llvm::enumerate(permutation))
    source[axis] = b.getAffineDimExpr(i);
  SmallVector<AffineMap> maps = {AffineMap::get(rank, 0, source, b.getContext()), b.getMultiDimIdentityMap(rank)};
  SmallVector<utils::IteratorType> iterators(rank, utils::IteratorType::parallel);
  return linalg::GenericOp::create(b, loc, empty.getType(), ValueRange{x}, ValueRange{empty}, maps, iterators,
                                   [](OpBuilder &nested, Location l, ValueRange arguments) {
                                     linalg::YieldOp::create(nested, l, arguments[0]);
                                   })
      .getResult(0);
}

/// A constant, or one in another shape: PackWeights lays it out when everything else is decided.
static bool isConstant(Value value) {
  Operation *op = value.getDefiningOp();
  while (isa_and_nonnull<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op))
    op = op->getOperand(0).getDefiningOp();
  return isa_and_nonnull<core::ConstantOp>(op);
}

namespace {
struct PackOperands : mlc::impl::PackOperandsBase<PackOperands> {
  void runOnOperation() override {
    SmallVector<linalg::GenericOp> contractions;
    getOperation().walk([&](linalg::GenericOp op) {
      if (op.hasPureTensorSemantics() && groupKind(op) == sched::Kind::Contract && op.getNumDpsInputs() == 2)
        contractions.push_back(op);
    });
    for (linalg::GenericOp op : contractions) {
      LoopNest nest = describeNest(op, sched::Kind::Contract);
      Tiling tiling = planTiling(nest, Machine::get("avx512"));
      int64_t lane = tiling.laneLoop;
      if (lane < 0)
        continue;
      for (OpOperand *input : op.getDpsInputOperands()) {
        AffineMap map = op.getMatchingIndexingMap(input);
        int64_t step = nest.accesses[input->getOperandNumber()].step[lane];
        if (step == 0 || step == 1 || !map.isProjectedPermutation() || isConstant(input->get()))
          continue;
        // The lane dimension moves last; the others keep their order.
        int64_t rank = map.getNumResults(), laneAxis = *map.getResultPosition(getAffineDimExpr(lane, &getContext()));
        SmallVector<int64_t> permutation;
        for (int64_t axis = 0; axis < rank; ++axis)
          if (axis != laneAxis)
            permutation.push_back(axis);
        permutation.push_back(laneAxis);
        // In front of the loops that do not change the operand.
        Operation *place = op;
        while (place->getBlock() != input->get().getParentBlock() &&
               isa<core::IfOp, core::LoopOp>(place->getParentOp()))
          place = place->getParentOp();
        OpBuilder b(place);
        Value copy = transposedCopy(b, op.getLoc(), input->get(), permutation);
        SmallVector<AffineMap> maps = op.getIndexingMapsArray();
        SmallVector<AffineExpr> results;
        for (int64_t axis : permutation)
          results.push_back(map.getResult(axis));
        maps[input->getOperandNumber()] = AffineMap::get(map.getNumDims(), 0, results, &getContext());
        input->set(copy);
        op.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
      }
    }
  }
};
} // namespace
