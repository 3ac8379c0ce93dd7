// See BodyEmitter.h. Scalars stay scalars as long as possible: only a value that differs between lanes becomes a vector, so
// row scalars, constants and loop-invariant arithmetic cost nothing inside a vector loop.
#include "compiler/Schedule/BodyEmitter.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlc;

namespace {

/// The factor of d<loop> in a linear expression; nothing if the expression is not linear in it.
std::optional<int64_t> coefficientOf(AffineExpr expr, unsigned loop) {
  if (!expr.isFunctionOfDim(loop))
    return 0;
  if (isa<AffineDimExpr>(expr))
    return 1;
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return std::nullopt;
  if (expr.getKind() == AffineExprKind::Add) {
    auto left = coefficientOf(binary.getLHS(), loop), right = coefficientOf(binary.getRHS(), loop);
    if (!left || !right)
      return std::nullopt;
    return *left + *right;
  }
  if (expr.getKind() == AffineExprKind::Mul)
    if (auto factor = dyn_cast<AffineConstantExpr>(binary.getRHS()))
      if (auto inner = coefficientOf(binary.getLHS(), loop))
        return *inner * factor.getValue();
  return std::nullopt;
}

/// Elements between two lanes of an access; nothing if unknown.
std::optional<int64_t> stepOf(AffineMap map, MemRefType type, int64_t laneLoop) {
  if (laneLoop < 0 || !map.isFunctionOfDim(laneLoop))
    return 0;
  SmallVector<int64_t> strides;
  int64_t offset, step = 0;
  if (failed(type.getStridesAndOffset(strides, offset)))
    return std::nullopt;
  for (auto [expr, stride] : llvm::zip_equal(map.getResults(), strides)) {
    std::optional<int64_t> coefficient = coefficientOf(expr, laneLoop);
    if (!coefficient || (*coefficient != 0 && ShapedType::isDynamic(stride)))
      return std::nullopt;
    step += *coefficient == 0 ? 0 : *coefficient * stride;
  }
  return step;
}

/// vector.load wants a last stride of 1.
bool hasUnitLastStride(MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset;
  return succeeded(type.getStridesAndOffset(strides, offset)) && !strides.empty() && strides.back() == 1;
}

VectorType vectorOf(Type element, int64_t lanes) { return VectorType::get({lanes}, element); }

Value maskOf(OpBuilder &b, Location loc, const Position &at) {
  return vector::CreateMaskOp::create(b, loc, vectorOf(b.getI1Type(), at.lanes), at.active);
}

Value lastActive(OpBuilder &b, Location loc, const Position &at) {
  return b.createOrFold<arith::SubIOp>(loc, at.active, arith::ConstantIndexOp::create(b, loc, 1));
}

/// What the lanes of a load that do not exist hold: the element `distance` behind `indices`, where the last active lane reads.
Value inactiveOf(OpBuilder &b, Location loc, VectorType type, Value memref, SmallVector<Value> indices, Value distance,
                 Inactive inactive) {
  if (inactive == Inactive::Zero)
    return arith::ConstantOp::create(b, loc, type, b.getZeroAttr(type));
  indices.back() = b.createOrFold<arith::AddIOp>(loc, indices.back(), distance);
  return vector::BroadcastOp::create(b, loc, type, memref::LoadOp::create(b, loc, memref, indices));
}

/// The value as vector<lanes>; constants become splats.
Value broadcastTo(OpBuilder &b, Location loc, Value value, int64_t lanes) {
  if (isa<VectorType>(value.getType()))
    return value;
  VectorType type = vectorOf(value.getType(), lanes);
  Attribute constant;
  if (matchPattern(value, m_Constant(&constant)) && isa<FloatAttr, IntegerAttr>(constant))
    return arith::ConstantOp::create(b, loc, type, DenseElementsAttr::get(type, constant));
  return vector::BroadcastOp::create(b, loc, type, value);
}

/// A bool is one byte in memory, but vector<Nxi1> is N bits: vectors of bools go through the bytes.
Value asBytes(OpBuilder &b, Location loc, Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  auto bytes = MemRefType::get(type.getShape(), b.getI8Type(), type.getLayout(), type.getMemorySpace());
  return UnrealizedConversionCastOp::create(b, loc, bytes, memref).getResult(0);
}

/// The position of one lane.
Position laneAt(OpBuilder &b, Location loc, const Position &at, int64_t lane) {
  Position scalar = at;
  scalar.lanes = 1;
  scalar.active = nullptr;
  Value offset = arith::ConstantIndexOp::create(b, loc, lane);
  scalar.indices[at.laneLoop] = arith::AddIOp::create(b, loc, at.indices[at.laneLoop], offset);
  return scalar;
}

/// Every second element (a window of stride 2): two loads that end with the last lane's element, and a shuffle.
Value loadEvens(OpBuilder &b, Location loc, Value memref, AffineMap map, const Position &at, Inactive inactive) {
  VectorType type = vectorOf(cast<MemRefType>(memref.getType()).getElementType(), at.lanes);
  SmallVector<Value> indices = mapIndices(b, loc, map, at);
  Value other;
  if (at.active) {
    Value last = lastActive(b, loc, at);
    other = inactiveOf(b, loc, type, memref, indices, b.createOrFold<arith::AddIOp>(loc, last, last), inactive);
  }
  auto loadFrom = [&](int64_t skip) -> Value { // elements [skip, skip + lanes) of the 2 * lanes - 1
    SmallVector<Value> from(indices);
    from.back() = arith::AddIOp::create(b, loc, from.back(), arith::ConstantIndexOp::create(b, loc, skip));
    if (!at.active)
      return vector::LoadOp::create(b, loc, type, memref, from);
    Value twice = arith::AddIOp::create(b, loc, at.active, at.active);
    Value count =
        arith::SubIOp::create(b, loc, twice, arith::ConstantIndexOp::create(b, loc, skip + 1)); // may be negative: none
    Value mask = vector::CreateMaskOp::create(b, loc, vectorOf(b.getI1Type(), at.lanes), count);
    return vector::MaskedLoadOp::create(b, loc, type, memref, from, mask, other);
  };
  Value first = loadFrom(0), second = loadFrom(at.lanes - 1);
  SmallVector<int64_t> evens;
  for (int64_t lane = 0; lane < at.lanes; ++lane) // element i of the second load is element i + lanes - 1
    evens.push_back(2 * lane < at.lanes ? 2 * lane : at.lanes + 2 * lane - (at.lanes - 1));
  return vector::ShuffleOp::create(b, loc, first, second, evens);
}

Value gatherAt(OpBuilder &b, Location loc, Value memref, AffineMap map, const Position &at, Inactive inactive) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  VectorType type = vectorOf(element, at.lanes);
  SmallVector<Value> lanes;
  Value last;
  if (at.active)
    last = lastActive(b, loc, at);
  for (int64_t lane = 0; lane < at.lanes; ++lane) {
    Position scalar = laneAt(b, loc, at, lane);
    if (last) { // Inactive lanes read the last active one.
      Value offset = arith::MinUIOp::create(b, loc, arith::ConstantIndexOp::create(b, loc, lane), last);
      scalar.indices[at.laneLoop] = arith::AddIOp::create(b, loc, at.indices[at.laneLoop], offset);
    }
    lanes.push_back(memref::LoadOp::create(b, loc, memref, mapIndices(b, loc, map, scalar)));
  }
  Value vector = vector::FromElementsOp::create(b, loc, type, lanes);
  if (!at.active || inactive == Inactive::RepeatsLast)
    return vector;
  Value zero = arith::ConstantOp::create(b, loc, type, b.getZeroAttr(type));
  return arith::SelectOp::create(b, loc, maskOf(b, loc, at), vector, zero);
}

void scatterAt(OpBuilder &b, Location loc, Value vector, Value memref, AffineMap map, const Position &at) {
  for (int64_t lane = 0; lane < at.lanes; ++lane) {
    OpBuilder::InsertionGuard guard(b);
    if (at.active) {
      Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt, at.active,
                                           arith::ConstantIndexOp::create(b, loc, lane));
      auto branch = scf::IfOp::create(b, loc, exists, /*withElseRegion=*/false);
      b.setInsertionPointToStart(branch.thenBlock());
    }
    Value element = vector::ExtractOp::create(b, loc, vector, lane);
    memref::StoreOp::create(b, loc, element, memref, mapIndices(b, loc, map, laneAt(b, loc, at, lane)));
  }
}

/// Clones a generic's body at one position.
struct Emission {
  OpBuilder &b;
  linalg::GenericOp generic;
  const Position &at;
  IRMapping mapping;

  Value index(Location loc, int64_t loop) {
    Value start = at.indices[loop];
    if (loop != at.laneLoop || at.lanes == 1)
      return start;
    auto type = vectorOf(b.getIndexType(), at.lanes);
    // A constant and no vector.step: that has no lowering for index elements.
    Value steps = arith::ConstantOp::create(
        b, loc,
        DenseElementsAttr::get(type, llvm::map_to_vector(llvm::seq<int64_t>(0, type.getNumElements()),
                                                         [&](int64_t i) { return Attribute(b.getIndexAttr(i)); })));
    if (at.active)
      steps = arith::MinUIOp::create(b, loc, steps, vector::BroadcastOp::create(b, loc, type, lastActive(b, loc, at)));
    return arith::AddIOp::create(b, loc, vector::BroadcastOp::create(b, loc, type, start), steps);
  }

  /// An arith op on two values of which each is scalar or vector.
  template <typename Op> Value binary(Location loc, Value left, Value right) {
    if (isa<VectorType>(left.getType()) || isa<VectorType>(right.getType())) {
      left = broadcastTo(b, loc, left, at.lanes);
      right = broadcastTo(b, loc, right, at.lanes);
    }
    return Op::create(b, loc, left, right);
  }

  Value compare(Location loc, arith::CmpIPredicate predicate, Value left, Value right) {
    if (isa<VectorType>(left.getType()))
      right = broadcastTo(b, loc, right, at.lanes);
    return arith::CmpIOp::create(b, loc, predicate, left, right);
  }

  Value select(Location loc, Value condition, Value yes, Value no) {
    return arith::SelectOp::create(b, loc, condition, yes, no);
  }

  /// affine.apply, which linalg's fusion puts into bodies; its operands may be vectors of indices.
  Value affine(Location loc, AffineExpr expr, unsigned dims, ValueRange operands) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      return operands[dim.getPosition()];
    if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
      return operands[dims + symbol.getPosition()];
    if (auto constant = dyn_cast<AffineConstantExpr>(expr))
      return arith::ConstantIndexOp::create(b, loc, constant.getValue());
    auto both = cast<AffineBinaryOpExpr>(expr);
    Value left = affine(loc, both.getLHS(), dims, operands), right = affine(loc, both.getRHS(), dims, operands);
    if (expr.getKind() == AffineExprKind::Add)
      return binary<arith::AddIOp>(loc, left, right);
    if (expr.getKind() == AffineExprKind::Mul)
      return binary<arith::MulIOp>(loc, left, right);
    // The rest by truncated division; affine divisors are positive.
    Value quotient = binary<arith::DivSIOp>(loc, left, right), rest = binary<arith::RemSIOp>(loc, left, right);
    Value zero = arith::ConstantIndexOp::create(b, loc, 0), one = arith::ConstantIndexOp::create(b, loc, 1);
    bool ceil = expr.getKind() == AffineExprKind::CeilDiv;
    Value adjust = compare(loc, ceil ? arith::CmpIPredicate::sgt : arith::CmpIPredicate::slt, rest, zero);
    if (expr.getKind() == AffineExprKind::Mod)
      return select(loc, adjust, binary<arith::AddIOp>(loc, rest, right), rest);
    if (ceil)
      return select(loc, adjust, binary<arith::AddIOp>(loc, quotient, one), quotient);
    return select(loc, adjust, binary<arith::SubIOp>(loc, quotient, one), quotient);
  }

  /// memref[indices] inside a body (a gather), where an index may differ between lanes. Inactive lanes compute what the last active
  /// one does, so what they read exists.
  Value load(memref::LoadOp op) {
    Location loc = op.getLoc();
    Value memref = mapping.lookupOrDefault(op.getMemRef());
    auto type = cast<MemRefType>(memref.getType());
    SmallVector<Value> indices;
    int64_t vectors = 0;
    for (Value index : op.getIndices()) {
      indices.push_back(mapping.lookupOrDefault(index));
      vectors += isa<VectorType>(indices.back().getType());
    }
    if (vectors == 0)
      return memref::LoadOp::create(b, loc, memref, indices);
    auto last = op.getIndices().back().getDefiningOp<linalg::IndexOp>();
    if (vectors == 1 && last && static_cast<int64_t>(last.getDim()) == at.laneLoop && hasUnitLastStride(type)) {
      // Consecutive elements: an access through the identity map.
      Position from = at;
      indices.back() = at.indices[at.laneLoop];
      from.indices = indices;
      from.laneLoop = indices.size() - 1;
      return loadAt(b, loc, memref, AffineMap::getMultiDimIdentityMap(type.getRank(), b.getContext()), from);
    }
    SmallVector<Value> lanes;
    for (int64_t lane = 0; lane < at.lanes; ++lane) { // the indices of lanes that do not exist are the last one's
      SmallVector<Value> scalar;
      for (Value index : indices)
        scalar.push_back(isa<VectorType>(index.getType()) ? Value(vector::ExtractOp::create(b, loc, index, lane))
                                                          : index);
      lanes.push_back(memref::LoadOp::create(b, loc, memref, scalar));
    }
    return vector::FromElementsOp::create(b, loc, vectorOf(type.getElementType(), at.lanes), lanes);
  }

  void emit(Operation &op) {
    Location loc = op.getLoc();
    if (auto access = dyn_cast<memref::LoadOp>(op); access && at.lanes > 1) {
      mapping.map(access.getResult(), load(access));
      return;
    }
    if (auto index = dyn_cast<linalg::IndexOp>(op)) {
      mapping.map(index.getResult(), this->index(loc, index.getDim()));
      return;
    }
    if (auto apply = dyn_cast<affine::AffineApplyOp>(op)) {
      SmallVector<Value> operands;
      for (Value operand : apply.getMapOperands())
        operands.push_back(mapping.lookupOrDefault(operand));
      mapping.map(apply.getResult(),
                  affine(loc, apply.getAffineMap().getResult(0), apply.getAffineMap().getNumDims(), operands));
      return;
    }
    SmallVector<Value> operands;
    for (Value operand : op.getOperands())
      operands.push_back(mapping.lookupOrDefault(operand));
    bool vectors = llvm::any_of(operands, [](Value v) { return isa<VectorType>(v.getType()); });
    if (!vectors) {
      Operation *clone = b.clone(op, mapping);
      clone->walk([&](linalg::IndexOp nested) { // inside scf.if and the like
        OpBuilder::InsertionGuard guard(b);
        nested.replaceAllUsesWith(at.indices[nested.getDim()]);
        nested.erase();
      });
      return;
    }
    bool scalarCondition = isa<arith::SelectOp>(op) && !isa<VectorType>(operands[0].getType());
    IRMapping wide;
    for (auto [i, operand] : llvm::enumerate(operands))
      operands[i] = scalarCondition && i == 0 ? operand : broadcastTo(b, loc, operand, at.lanes);
    Operation *clone = op.cloneWithoutRegions();
    clone->setOperands(operands);
    for (OpResult result : clone->getResults())
      result.setType(vectorOf(result.getType(), at.lanes));
    b.insert(clone);
    for (auto [from, to] : llvm::zip_equal(op.getResults(), clone->getResults()))
      mapping.map(from, to);
  }
};

} // namespace

LaneStep mlc::laneStep(AffineMap map, MemRefType type, int64_t laneLoop) {
  std::optional<int64_t> step = stepOf(map, type, laneLoop);
  if (step == 0)
    return LaneStep::Invariant;
  return step == 1 && hasUnitLastStride(type) ? LaneStep::Contiguous : LaneStep::Strided;
}

SmallVector<Value> mlc::mapIndices(OpBuilder &b, Location loc, AffineMap map, const Position &at) {
  SmallVector<Value> indices;
  for (AffineExpr expr : map.getResults())
    indices.push_back(affine::expandAffineExpr(b, loc, expr, at.indices, {}));
  return indices;
}

Value mlc::loadAt(OpBuilder &b, Location loc, Value memref, AffineMap map, const Position &at, Inactive inactive) {
  auto type = cast<MemRefType>(memref.getType());
  LaneStep step = at.lanes == 1 ? LaneStep::Invariant : laneStep(map, type, at.laneLoop);
  if (step == LaneStep::Strided && stepOf(map, type, at.laneLoop) == 2 && hasUnitLastStride(type) &&
      !type.getElementType().isInteger(1))
    return loadEvens(b, loc, memref, map, at, inactive);
  if (step == LaneStep::Strided)
    return gatherAt(b, loc, memref, map, at, inactive);
  SmallVector<Value> indices = mapIndices(b, loc, map, at);
  if (step == LaneStep::Invariant)
    return memref::LoadOp::create(b, loc, memref, indices);
  bool isBool = type.getElementType().isInteger(1);
  Value base = isBool ? asBytes(b, loc, memref) : memref;
  VectorType vector = vectorOf(isBool ? b.getI8Type() : type.getElementType(), at.lanes);
  Value loaded;
  if (at.active) {
    Value other = inactiveOf(b, loc, vector, base, indices, lastActive(b, loc, at), inactive);
    loaded = vector::MaskedLoadOp::create(b, loc, vector, base, indices, maskOf(b, loc, at), other);
  } else {
    loaded = vector::LoadOp::create(b, loc, vector, base, indices);
  }
  return isBool ? Value(arith::TruncIOp::create(b, loc, vectorOf(b.getI1Type(), at.lanes), loaded)) : loaded;
}

void mlc::storeAt(OpBuilder &b, Location loc, Value value, Value memref, AffineMap map, const Position &at) {
  auto type = cast<MemRefType>(memref.getType());
  if (at.lanes == 1) {
    memref::StoreOp::create(b, loc, value, memref, mapIndices(b, loc, map, at));
    return;
  }
  LaneStep step = laneStep(map, type, at.laneLoop);
  if (step == LaneStep::Invariant && !isa<VectorType>(value.getType())) {
    memref::StoreOp::create(b, loc, value, memref, mapIndices(b, loc, map, at));
    return;
  }
  value = keptInAllLanes(b, loc, broadcastTo(b, loc, value, at.lanes), at);
  if (step != LaneStep::Contiguous)
    return scatterAt(b, loc, value, memref, map, at);
  SmallVector<Value> indices = mapIndices(b, loc, map, at);
  Value base = memref;
  if (type.getElementType().isInteger(1)) {
    base = asBytes(b, loc, memref);
    value = arith::ExtUIOp::create(b, loc, vectorOf(b.getI8Type(), at.lanes), value);
  }
  if (at.active)
    vector::MaskedStoreOp::create(b, loc, base, indices, maskOf(b, loc, at), value);
  else
    vector::StoreOp::create(b, loc, value, base, indices);
}

Value mlc::keptInAllLanes(OpBuilder &b, Location loc, Value vector, const Position &at) {
  return at.active && isa<VectorType>(vector.getType()) ? LLVM::FreezeOp::create(b, loc, vector) : vector;
}

Value mlc::repeatLast(OpBuilder &b, Location loc, Value vector, const Position &at) {
  if (!at.active || !isa<VectorType>(vector.getType()))
    return vector;
  Value last = lastActive(b, loc, at);
  std::optional<int64_t> known = getConstantIntValue(last);
  OpFoldResult position = known ? OpFoldResult(b.getIndexAttr(*known)) : OpFoldResult(last);
  Value element = vector::ExtractOp::create(b, loc, vector, position);
  return arith::SelectOp::create(b, loc, maskOf(b, loc, at), vector,
                                 vector::BroadcastOp::create(b, loc, vector.getType(), element));
}

bool mlc::mayTrap(linalg::GenericOp op) {
  return llvm::any_of(op.getBody()->without_terminator(), [](Operation &inner) {
    return isa<math::MathDialect>(inner.getDialect()) ||
           isa<arith::DivFOp, arith::RemFOp, arith::FPToSIOp, arith::FPToUIOp, arith::DivSIOp, arith::DivUIOp,
               arith::RemSIOp, arith::RemUIOp>(inner);
  });
}

bool mlc::isVectorizable(linalg::GenericOp op) {
  auto holds = [](Type type) {
    return VectorType::isValidElementType(type) && isa<IntegerType, IndexType, FloatType>(type);
  };
  for (Value operand : op->getOperands())
    if (!isa<MemRefType>(operand.getType()) && !holds(operand.getType()))
      return false;
  for (BlockArgument argument : op.getBody()->getArguments())
    if (!holds(argument.getType()))
      return false;
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (!llvm::all_of(inner.getResultTypes(), holds) || inner.getNumRegions() != 0)
      return false;
    if (isa<linalg::IndexOp, arith::ConstantOp, affine::AffineApplyOp, memref::LoadOp>(inner))
      continue;
    bool castsOne = isa<UnrealizedConversionCastOp>(inner) && inner.getNumOperands() == 1 && inner.getNumResults() == 1;
    if (!castsOne && !OpTrait::hasElementwiseMappableTraits(&inner))
      return false;
  }
  return true;
}

SmallVector<Value> mlc::emitBody(OpBuilder &b, linalg::GenericOp op, ArrayRef<Value> arguments, const Position &at) {
  Emission emission{b, op, at, {}};
  for (auto [argument, given, operand] :
       llvm::zip_equal(op.getBody()->getArguments(), arguments, op->getOpOperands())) {
    if (given)
      emission.mapping.map(argument, given);
    else if (!isa<MemRefType>(operand.get().getType()))
      emission.mapping.map(argument, operand.get());
    else if (!argument.use_empty())
      emission.mapping.map(argument, loadAt(b, op.getLoc(), operand.get(), op.getMatchingIndexingMap(&operand), at));
  }
  for (Operation &inner : op.getBody()->without_terminator())
    emission.emit(inner);
  SmallVector<Value> results;
  for (Value yielded : op.getBody()->getTerminator()->getOperands())
    results.push_back(emission.mapping.lookupOrDefault(yielded));
  return results;
}
