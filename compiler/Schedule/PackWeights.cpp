// PackWeights: constants of contractions in panels (see Passes.td). A panel holds the lanes of one register tile for every step
// of the reduction, so the inner loop reads memory in order and every vector is whole: 115 against 104 GF/s unpacked. On a GPU,
// where lanes are threads, one panel holds all lanes: the threads of a warp read side by side, and not from a line each.
#include "compiler/Passes.h"
#include "compiler/Schedule/Kernels.h"
#include "dialects/rt/Program.h"
#include "dialects/rt/Rt.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/DialectResourceBlobManager.h"

namespace mlc {
#define GEN_PASS_DEF_PACKWEIGHTS
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
using namespace mlc;

namespace {

/// Which dimension of the operand is cut into panels of `width`, and the order of the others between panel and lane.
struct Layout {
  int64_t laneAxis, width;
  SmallVector<int64_t> others;

  SmallVector<int64_t> order() const {
    SmallVector<int64_t> axes = others;
    axes.push_back(laneAxis);
    return axes;
  }
};

ArrayRef<char> rawData(ElementsAttr value) {
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(value))
    return resource.getRawHandle().getBlob()->getData();
  return cast<DenseElementsAttr>(value).getRawData();
}

/// The weights that a kernel's operand is, whole, in whatever shape; null if it is anything else.
rt::BufferOp packable(Value operand) {
  Operation *op = operand.getDefiningOp();
  while (isa_and_nonnull<memref::CollapseShapeOp, memref::ExpandShapeOp>(op))
    op = op->getOperand(0).getDefiningOp();
  auto buffer = dyn_cast_or_null<rt::BufferOp>(op);
  return buffer && buffer.getSpace() == "weights" ? buffer : rt::BufferOp();
}

/// Erases views that nothing reads, and the buffer below them.
void eraseUnused(Value operand) {
  Operation *op = operand.getDefiningOp();
  while (op && op->use_empty()) {
    Operation *source = isa<rt::BufferOp>(op) ? nullptr : op->getOperand(0).getDefiningOp();
    op->erase();
    op = source;
  }
}

/// The constant, read as `source`, rearranged; lanes beyond the end are zero.
ElementsAttr pack(ElementsAttr value, ShapedType source, const Layout &layout, RankedTensorType type, int64_t number) {
  if (auto dense = dyn_cast<DenseElementsAttr>(value); dense && dense.isSplat())
    return DenseElementsAttr::getFromRawBuffer(type, dense.getRawData());
  int64_t bytes = llvm::divideCeil(source.getElementTypeBitWidth(), 8);
  ArrayRef<char> from = rawData(value);
  AsmResourceBlob blob = HeapAsmResourceBlob::allocate(type.getNumElements() * bytes, 64, /*dataIsMutable=*/true);
  MutableArrayRef<char> to = blob.getMutableData();
  SmallVector<int64_t> strides(source.getRank(), 1);
  for (int64_t axis = source.getRank() - 2; axis >= 0; --axis)
    strides[axis] = strides[axis + 1] * source.getDimSize(axis + 1);
  int64_t lanes = source.getDimSize(layout.laneAxis), panels = llvm::divideCeil(lanes, layout.width);
  int64_t middle = 1;
  for (int64_t axis : layout.others)
    middle *= source.getDimSize(axis);
  int64_t position = 0;
  for (int64_t panel = 0; panel < panels; ++panel)
    for (int64_t m = 0; m < middle; ++m) {
      int64_t offset = 0, rest = m;
      for (int64_t axis : llvm::reverse(layout.others)) {
        offset += rest % source.getDimSize(axis) * strides[axis];
        rest /= source.getDimSize(axis);
      }
      for (int64_t lane = 0; lane < layout.width; ++lane, position += bytes) {
        int64_t n = panel * layout.width + lane;
        if (n < lanes)
          std::memcpy(&to[position], &from[(offset + n * strides[layout.laneAxis]) * bytes], bytes);
        else
          std::memset(&to[position], 0, bytes);
      }
    }
  return DenseResourceElementsAttr::get(type, ("packed_" + Twine(number)).str(), std::move(blob));
}

struct PackWeights : mlc::impl::PackWeightsBase<PackWeights> {
  SmallVector<rt::WeightAttr> weights;
  DenseMap<Attribute, int64_t> packed; // by value, how it was read, order of axes and type

  void packOperand(func::FuncOp kernel, ArrayRef<func::CallOp> calls, linalg::GenericOp op, OpOperand &operand,
                   sched::TilingAttr tiling) {
    auto argument = dyn_cast<BlockArgument>(operand.get());
    AffineMap map = op.getMatchingIndexingMap(&operand);
    bool onePanel = sched::isPerThread(tiling);
    int64_t lane = tiling.getLaneLoop(), width = tiling.getLanes() * tiling.getVectors();
    if (!argument || argument.getOwner() != &kernel.getBody().front() || !argument.hasOneUse() ||
        !map.isProjectedPermutation())
      return;
    auto laneAxis = map.getResultPosition(getAffineDimExpr(lane, &getContext()));
    auto type = cast<MemRefType>(argument.getType());
    if (!laneAxis || !type.hasStaticShape() || !type.getLayout().isIdentity())
      return;
    unsigned number = argument.getArgNumber();
    if (!llvm::all_of(calls, [&](func::CallOp call) { return bool(packable(call.getOperand(number))); }))
      return;
    if (onePanel)
      width = type.getDimSize(*laneAxis);
    Layout layout{static_cast<int64_t>(*laneAxis), width, {}};
    SmallVector<std::pair<int64_t, int64_t>> others; // loop, axis
    for (int64_t axis = 0; axis < type.getRank(); ++axis)
      if (axis != layout.laneAxis)
        others.push_back({map.getDimPosition(axis), axis});
    llvm::sort(others);
    SmallVector<int64_t> shape;
    AffineExpr laneExpression = getAffineDimExpr(lane, &getContext());
    SmallVector<AffineExpr> results;
    if (!onePanel) {
      shape.push_back(llvm::divideCeil(type.getDimSize(layout.laneAxis), width));
      results.push_back(laneExpression.floorDiv(width));
    }
    for (auto [loop, axis] : others) {
      layout.others.push_back(axis);
      shape.push_back(type.getDimSize(axis));
      results.push_back(getAffineDimExpr(loop, &getContext()));
    }
    shape.push_back(width);
    results.push_back(onePanel ? laneExpression : laneExpression % width);
    if (onePanel && llvm::is_sorted(layout.order()))
      return; // it lies so already

    auto tensorType = RankedTensorType::get(shape, type.getElementType());
    auto memrefType = MemRefType::get(shape, type.getElementType());
    Builder b(&getContext());
    for (func::CallOp call : calls) {
      Value operand = call.getOperand(number);
      rt::BufferOp buffer = packable(operand);
      ElementsAttr value = weights[buffer.getPosition()].getValue();
      Attribute key = b.getArrayAttr(
          {value, TypeAttr::get(type), b.getDenseI64ArrayAttr(layout.order()), TypeAttr::get(tensorType)});
      auto [it, fresh] = packed.try_emplace(key, weights.size());
      if (fresh)
        weights.push_back(
            rt::WeightAttr::get(&getContext(), pack(value, type, layout, tensorType, weights.size()), /*offset=*/-1));
      OpBuilder builder(call);
      call.setOperand(number, rt::BufferOp::create(builder, call.getLoc(), memrefType, buffer.getCall(),
                                                   b.getStringAttr("weights"), b.getI64IntegerAttr(it->second), Value(),
                                                   ValueRange{}));
      eraseUnused(operand);
    }
    argument.setType(memrefType);
    SmallVector<Type> inputs(kernel.getArgumentTypes());
    inputs[number] = memrefType;
    kernel.setType(FunctionType::get(&getContext(), inputs, {}));
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    maps[operand.getOperandNumber()] = AffineMap::get(map.getNumDims(), 0, results, &getContext());
    op.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    weights = rt::weightsOf(module);
    if (weights.empty())
      return;
    llvm::StringMap<SmallVector<func::CallOp>> calls;
    module.walk([&](func::CallOp call) { calls[call.getCallee()].push_back(call); });
    for (auto kernel : module.getOps<func::FuncOp>()) {
      auto tiling = sched::tilingOf(kernel);
      if (sched::kindOf(kernel) != sched::Kind::Contract || !tiling || tiling.getLaneLoop() < 0 ||
          (tiling.getLanes() == 1 && !sched::isPerThread(tiling)))
        continue;
      auto generics = kernel.getOps<linalg::GenericOp>();
      if (generics.empty())
        continue;
      linalg::GenericOp contraction = *generics.begin();
      for (OpOperand *operand : contraction.getDpsInputOperands())
        packOperand(kernel, calls[kernel.getName()], contraction, *operand, tiling);
    }
    rt::setWeights(module, weights);
  }
};

} // namespace
