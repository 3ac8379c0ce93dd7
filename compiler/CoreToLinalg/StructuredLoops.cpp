// scan, sort and the scatters as plain loops (see StructuredLoops.h). No memory besides the outputs is used: sorting is a heap sort in
// place, which is stable because equal values are ordered by their positions.
#include "compiler/CoreToLinalg/StructuredLoops.h"
#include "dialects/core/Core.h"
#include "dialects/core/Scalar.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlc;
using namespace mlc::core;

namespace {

/// Index arithmetic, loads, stores and loop nests, briefly.
struct LoopBuilder {
  OpBuilder &b;
  Location loc;

  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }
  Value add(Value x, Value y) { return b.createOrFold<arith::AddIOp>(loc, x, y); }
  Value subtract(Value x, Value y) { return b.createOrFold<arith::SubIOp>(loc, x, y); }
  Value multiply(Value x, Value y) { return b.createOrFold<arith::MulIOp>(loc, x, y); }
  Value compare(arith::CmpIPredicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, predicate, x, y);
  }
  Value select(Value condition, Value x, Value y) { return arith::SelectOp::create(b, loc, condition, x, y); }
  Value both(Value x, Value y) { return arith::AndIOp::create(b, loc, x, y); }
  Value dim(Value memref, int64_t axis) { return b.createOrFold<memref::DimOp>(loc, memref, axis); }
  Value load(Value memref, ValueRange at) { return memref::LoadOp::create(b, loc, memref, at); }
  void store(Value value, Value memref, ValueRange at) { memref::StoreOp::create(b, loc, value, memref, at); }
  SmallVector<Value> dims(Value memref) {
    SmallVector<Value> sizes;
    for (int64_t axis = 0; axis < cast<MemRefType>(memref.getType()).getRank(); ++axis)
      sizes.push_back(dim(memref, axis));
    return sizes;
  }

  /// A loop over each size, the first outermost; the body sees one position for each.
  void nest(ArrayRef<Value> sizes, llvm::function_ref<void(ArrayRef<Value>)> body) {
    OpBuilder::InsertionGuard guard(b);
    SmallVector<Value> position;
    Value zero = index(0), one = index(1);
    for (Value size : sizes) {
      auto loop = scf::ForOp::create(b, loc, zero, size, one);
      position.push_back(loop.getInductionVar());
      b.setInsertionPointToStart(loop.getBody());
    }
    body(position);
  }
  void loop(Value count, llvm::function_ref<void(Value)> body) {
    nest(count, [&](ArrayRef<Value> position) { body(position[0]); });
  }

  void copy(Value from, Value to) {
    nest(dims(to), [&](ArrayRef<Value> position) { store(load(from, position), to, position); });
  }

  /// An element of an index tensor: negative ones count from the end. `isInside` becomes false for what lies outside.
  Value position(Value element, Value size, Value &isInside) {
    Value i = arith::IndexCastOp::create(b, loc, b.getIndexType(), element);
    i = select(compare(arith::CmpIPredicate::slt, i, index(0)), add(i, size), i);
    Value fits = compare(arith::CmpIPredicate::ult, i, size); // what is still negative is large
    isInside = isInside ? both(isInside, fits) : fits;
    return i;
  }
};

/// The element type with the sign that CoreToLinalg took away.
Type signedElement(Value memref, bool isUnsigned) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  if (isUnsigned && element.isSignlessInteger() && !element.isInteger(1))
    return IntegerType::get(element.getContext(), element.getIntOrFloatBitWidth(), IntegerType::Unsigned);
  return element;
}

// ---- scan --------------------------------------------------------------------------------------------------------------------

void lowerScan(ScanOp op, LoopBuilder l, Value x, Value y) {
  int64_t axis = op.getAxis();
  Type element = signedElement(x, op.getIsUnsigned()), sum = element;
  bool isNarrow = isa<FloatType>(element) && element.getIntOrFloatBitWidth() < 32;
  if (isNarrow)
    sum = l.b.getF32Type();
  SmallVector<Value> sizes = l.dims(y);
  Value count = sizes[axis];
  sizes.erase(sizes.begin() + axis);
  l.nest(sizes, [&](ArrayRef<Value> outer) {
    ScalarBuilder scalar{l.b, l.loc, sum};
    Value start = arith::ConstantOp::create(l.b, l.loc, scalar.neutral(op.getKind())), zero = l.index(0),
          one = l.index(1);
    auto loop = scf::ForOp::create(l.b, l.loc, zero, count, one, start);
    OpBuilder::InsertionGuard guard(l.b);
    l.b.setInsertionPointToStart(loop.getBody());
    Value i = loop.getInductionVar(), before = loop.getRegionIterArg(0);
    if (op.getReverse())
      i = l.subtract(l.subtract(count, one), i);
    SmallVector<Value> at(outer);
    at.insert(at.begin() + axis, i);
    Value value = ScalarBuilder{l.b, l.loc, element}.cast(l.load(x, at), sum);
    Value after = scalar.combine(op.getKind(), before, value);
    l.store(scalar.cast(op.getExclusive() ? before : after, element), y, at);
    scf::YieldOp::create(l.b, l.loc, after);
  });
}

// ---- scatter -----------------------------------------------------------------------------------------------------------------

/// y[at] = reduction(y[at], update)
void accumulate(LoopBuilder l, Reduction reduction, Type element, Value update, Value y, ValueRange at) {
  if (reduction != Reduction::None)
    update = ScalarBuilder{l.b, l.loc, element}.combine(reduction, l.load(y, at), update);
  l.store(update, y, at);
}

void lowerScatterNd(ScatterNdOp op, LoopBuilder l, Value x, Value indices, Value updates, Value y) {
  l.copy(x, y);
  Type element = signedElement(y, op.getIsUnsigned());
  auto indicesType = cast<MemRefType>(indices.getType());
  int64_t count = indicesType.getShape().back(), tupleRank = indicesType.getRank() - 1;
  SmallVector<Value> sizes = l.dims(updates), xSizes = l.dims(y);
  ArrayRef<Value> all(sizes);
  l.nest(all.take_front(tupleRank), [&](ArrayRef<Value> tuple) {
    SmallVector<Value> target;
    Value isInside = arith::ConstantIntOp::create(l.b, l.loc, 1, 1);
    for (int64_t i = 0; i < count; ++i) {
      SmallVector<Value> at(tuple);
      at.push_back(l.index(i));
      target.push_back(l.position(l.load(indices, at), xSizes[i], isInside));
    }
    auto branch = scf::IfOp::create(l.b, l.loc, isInside, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(l.b);
    l.b.setInsertionPointToStart(branch.thenBlock());
    l.nest(all.drop_front(tupleRank), [&](ArrayRef<Value> inner) {
      SmallVector<Value> from(tuple), to(target);
      from.append(inner.begin(), inner.end());
      to.append(inner.begin(), inner.end());
      accumulate(l, op.getReduction(), element, l.load(updates, from), y, to);
    });
  });
}

void lowerScatterElements(ScatterElementsOp op, LoopBuilder l, Value x, Value indices, Value updates, Value y) {
  l.copy(x, y);
  Type element = signedElement(y, op.getIsUnsigned());
  Value extent = l.dim(y, op.getAxis());
  l.nest(l.dims(indices), [&](ArrayRef<Value> from) {
    Value isInside;
    SmallVector<Value> to(from);
    to[op.getAxis()] = l.position(l.load(indices, from), extent, isInside);
    auto branch = scf::IfOp::create(l.b, l.loc, isInside, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(l.b);
    l.b.setInsertionPointToStart(branch.thenBlock());
    accumulate(l, op.getReduction(), element, l.load(updates, from), y, to);
  });
}

// ---- sort --------------------------------------------------------------------------------------------------------------------

/// One row: values and positions along the axis, at fixed other coordinates.
struct Row {
  LoopBuilder l;
  Type element;
  bool descending;
  Value values, positions;
  SmallVector<Value> outer;
  int64_t axis;

  struct Entry {
    Value value, position;
  };
  SmallVector<Value> at(Value i) {
    SmallVector<Value> coordinates(outer);
    coordinates.insert(coordinates.begin() + axis, i);
    return coordinates;
  }
  Entry load(Value i) { return {l.load(values, at(i)), l.load(positions, at(i))}; }
  void store(Entry entry, Value i) {
    l.store(entry.value, values, at(i));
    l.store(entry.position, positions, at(i));
  }

  /// NaN is larger than every number and equal to itself.
  Value isLess(Value x, Value y) {
    if (!isa<FloatType>(element))
      return ScalarBuilder{l.b, l.loc, element}.compare(Comparison::LT, x, y);
    Value lessOrNaN = arith::CmpFOp::create(l.b, l.loc, arith::CmpFPredicate::ULT, x, y);
    return l.both(lessOrNaN, arith::CmpFOp::create(l.b, l.loc, arith::CmpFPredicate::ORD, x, x));
  }
  /// Whether p comes before q in the sorted row: by value, then by position.
  Value precedes(Entry p, Entry q) {
    if (descending)
      std::swap(p.value, q.value);
    Value less = isLess(p.value, q.value), greater = isLess(q.value, p.value);
    Value earlier = l.compare(arith::CmpIPredicate::slt, p.position, q.position);
    return l.select(less, less, l.select(greater, arith::ConstantIntOp::create(l.b, l.loc, 0, 1), earlier));
  }

  /// Moves the entry at `root` down the heap of the first `end` entries until no child follows it in order.
  void siftDown(Value root, Value end) {
    Value one = l.index(1), two = l.index(2);
    Type index = l.b.getIndexType();
    auto firstChild = [&](Value parent) { return l.add(l.multiply(parent, two), one); };
    scf::WhileOp::create(
        l.b, l.loc, TypeRange{index}, ValueRange{root},
        [&](OpBuilder &b, Location loc, ValueRange state) {
          scf::ConditionOp::create(b, loc, l.compare(arith::CmpIPredicate::slt, firstChild(state[0]), end), state);
        },
        [&](OpBuilder &b, Location loc, ValueRange state) {
          Value parent = state[0], left = firstChild(parent), right = l.add(left, one);
          right = l.select(l.compare(arith::CmpIPredicate::slt, right, end), right,
                           left); // an only child is compared with itself
          Entry p = load(parent), a = load(left), c = load(right);
          Value takesRight = precedes(a, c);
          Value child = l.select(takesRight, right, left);
          Entry larger = {l.select(takesRight, c.value, a.value), l.select(takesRight, c.position, a.position)};
          Value swaps = precedes(p, larger);
          store({l.select(swaps, larger.value, p.value), l.select(swaps, larger.position, p.position)}, parent);
          store({l.select(swaps, p.value, larger.value), l.select(swaps, p.position, larger.position)}, child);
          scf::YieldOp::create(b, loc, l.select(swaps, child, end));
        });
  }
};

void lowerSort(SortOp op, LoopBuilder l, Value x, Value values, Value positions) {
  int64_t axis = op.getAxis();
  SmallVector<Value> sizes = l.dims(values);
  Value count = sizes[axis];
  sizes.erase(sizes.begin() + axis);
  l.nest(sizes, [&](ArrayRef<Value> outer) {
    Row row{l,   signedElement(x, op.getIsUnsigned()), op.getDescending(), values, positions, SmallVector<Value>(outer),
            axis};
    l.loop(count, [&](Value i) {
      l.store(l.load(x, row.at(i)), values, row.at(i));
      l.store(arith::IndexCastOp::create(l.b, l.loc, l.b.getI64Type(), i), positions, row.at(i));
    });
    Value one = l.index(1), half = arith::ShRUIOp::create(l.b, l.loc, count, one);
    l.loop(half, [&](Value i) { row.siftDown(l.subtract(l.subtract(half, one), i), count); });
    l.loop(l.subtract(count, one), [&](Value i) { // the first of the heap is the last of what is left
      Value last = l.subtract(l.subtract(count, one), i), zero = l.index(0);
      Row::Entry first = row.load(zero), end = row.load(last);
      row.store(end, zero);
      row.store(first, last);
      row.siftDown(zero, last);
    });
  });
}

} // namespace

LogicalResult mlc::lowerToLoops(Operation *op, OpBuilder &b, ValueRange inputs, ValueRange outputs) {
  LoopBuilder l{b, op->getLoc()};
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](ScanOp op) { return lowerScan(op, l, inputs[0], outputs[0]), success(); })
      .Case([&](SortOp op) { return lowerSort(op, l, inputs[0], outputs[0], outputs[1]), success(); })
      .Case(
          [&](ScatterNdOp op) { return lowerScatterNd(op, l, inputs[0], inputs[1], inputs[2], outputs[0]), success(); })
      .Case([&](ScatterElementsOp op) {
        return lowerScatterElements(op, l, inputs[0], inputs[1], inputs[2], outputs[0]), success();
      })
      .Default([](Operation *) { return failure(); });
}
