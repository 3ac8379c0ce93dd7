// scan, sorts, scatters, compact and nms as plain loops (see StructuredLoops.h). No memory besides the outputs is used: sorting is a heap
// sort in place, which is stable because equal values are ordered by their positions.
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

/// What is sorted: a heap of entries in memory.
struct Heap {
  using Entry = SmallVector<Value, 2>;
  LoopBuilder l;
  llvm::function_ref<Entry(Value)> load;
  llvm::function_ref<void(const Entry &, Value)> store;
  llvm::function_ref<Value(const Entry &, const Entry &)> precedes; // in the order of the result

  /// Moves the entry at `root` down the heap of the first `end` entries until no child follows it in order.
  void siftDown(Value root, Value end) {
    Value one = l.index(1), two = l.index(2);
    Type index = l.b.getIndexType();
    auto firstChild = [&](Value parent) { return l.add(l.multiply(parent, two), one); };
    auto choose = [&](Value condition, const Entry &x, const Entry &y) {
      Entry result;
      for (auto [a, c] : llvm::zip_equal(x, y))
        result.push_back(l.select(condition, a, c));
      return result;
    };
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
          Entry larger = choose(takesRight, c, a);
          Value swaps = precedes(p, larger);
          store(choose(swaps, larger, p), parent);
          store(choose(swaps, p, larger), child);
          scf::YieldOp::create(b, loc, l.select(swaps, child, end));
        });
  }
  void build(Value count) {
    Value one = l.index(1), half = arith::ShRUIOp::create(l.b, l.loc, count, one);
    l.loop(half, [&](Value i) { siftDown(l.subtract(l.subtract(half, one), i), count); });
  }
  /// The first entry, which is the last of the order, and the one at `last` change places; the others are a heap again.
  void moveFirstTo(Value last) {
    Value zero = l.index(0);
    Entry first = load(zero), end = load(last);
    store(end, zero);
    store(first, last);
    siftDown(zero, last);
  }
  void sort(Value count) {
    build(count);
    Value one = l.index(1);
    l.loop(l.subtract(count, one), [&](Value i) { moveFirstTo(l.subtract(l.subtract(count, one), i)); });
  }
};

/// NaN is larger than every number and equal to itself.
Value isLess(LoopBuilder l, Type element, Value x, Value y) {
  if (!isa<FloatType>(element))
    return ScalarBuilder{l.b, l.loc, element}.compare(Comparison::LT, x, y);
  Value lessOrNaN = arith::CmpFOp::create(l.b, l.loc, arith::CmpFPredicate::ULT, x, y);
  return l.both(lessOrNaN, arith::CmpFOp::create(l.b, l.loc, arith::CmpFPredicate::ORD, x, x));
}

/// By value, then by position.
Value precedes(LoopBuilder l, Value less, Value greater, Value p, Value q) {
  Value earlier = l.compare(arith::CmpIPredicate::slt, p, q);
  return l.select(less, less, l.select(greater, arith::ConstantIntOp::create(l.b, l.loc, 0, 1), earlier));
}

void lowerSort(SortOp op, LoopBuilder l, Value x, Value values, Value positions) {
  int64_t axis = op.getAxis();
  Type element = signedElement(x, op.getIsUnsigned());
  SmallVector<Value> sizes = l.dims(values);
  Value count = sizes[axis];
  sizes.erase(sizes.begin() + axis);
  l.nest(sizes, [&](ArrayRef<Value> outer) {
    auto at = [&](Value i) {
      SmallVector<Value> coordinates(outer);
      coordinates.insert(coordinates.begin() + axis, i);
      return coordinates;
    };
    auto load = [&](Value i) { return Heap::Entry{l.load(values, at(i)), l.load(positions, at(i))}; };
    auto store = [&](const Heap::Entry &entry, Value i) {
      l.store(entry[0], values, at(i));
      l.store(entry[1], positions, at(i));
    };
    auto before = [&](const Heap::Entry &p, const Heap::Entry &q) {
      Value x = p[0], y = q[0];
      if (op.getDescending())
        std::swap(x, y);
      return precedes(l, isLess(l, element, x, y), isLess(l, element, y, x), p[1], q[1]);
    };
    l.loop(count,
           [&](Value i) { store({l.load(x, at(i)), arith::IndexCastOp::create(l.b, l.loc, l.b.getI64Type(), i)}, i); });
    Heap{l, load, store, before}.sort(count);
  });
}

/// Positions are sorted; what they stand for stays where it is.
struct PositionHeap {
  LoopBuilder l;
  Value positions; // memref<?xi64>

  Value at(Value i) { return arith::IndexCastOp::create(l.b, l.loc, l.b.getIndexType(), l.load(positions, i)); }
  void with(llvm::function_ref<Value(Value, Value)> before, llvm::function_ref<void(Heap)> use) {
    auto load = [&](Value i) { return Heap::Entry{l.load(positions, i)}; };
    auto store = [&](const Heap::Entry &entry, Value i) { l.store(entry[0], positions, i); };
    auto toIndex = [&](Value position) {
      return arith::IndexCastOp::create(l.b, l.loc, l.b.getIndexType(), position).getResult();
    };
    auto entries = [&](const Heap::Entry &p, const Heap::Entry &q) { return before(toIndex(p[0]), toIndex(q[0])); };
    use(Heap{l, load, store, entries});
  }
};

void lowerSortRows(SortRowsOp op, LoopBuilder l, Value x, Value positions) {
  Type element = signedElement(x, op.getIsUnsigned());
  Value count = l.dim(x, 0), width = l.dim(x, 1), zero = l.index(0), one = l.index(1);
  l.loop(count, [&](Value i) { l.store(arith::IndexCastOp::create(l.b, l.loc, l.b.getI64Type(), i), positions, i); });
  /// The first column where the rows differ, or the last one.
  auto firstDifference = [&](Value p, Value q) {
    Value last = l.subtract(width, one);
    return scf::WhileOp::create(
               l.b, l.loc, TypeRange{l.b.getIndexType()}, ValueRange{zero},
               [&](OpBuilder &b, Location loc, ValueRange state) {
                 Value a = l.load(x, {p, state[0]}), c = l.load(x, {q, state[0]});
                 Value differ = arith::OrIOp::create(b, loc, isLess(l, element, a, c), isLess(l, element, c, a));
                 Value more = l.compare(arith::CmpIPredicate::slt, state[0], last);
                 Value same = arith::XOrIOp::create(b, loc, differ, arith::ConstantIntOp::create(b, loc, 1, 1));
                 scf::ConditionOp::create(b, loc, l.both(more, same), state);
               },
               [&](OpBuilder &b, Location loc, ValueRange state) {
                 scf::YieldOp::create(b, loc, l.add(state[0], one));
               })
        .getResult(0);
  };
  auto before = [&](Value p, Value q) {
    Value column = firstDifference(p, q);
    Value a = l.load(x, {p, column}), c = l.load(x, {q, column});
    return precedes(l, isLess(l, element, a, c), isLess(l, element, c, a), p, q);
  };
  // Rows of no elements are equal: their order is the one they have.
  Value hasElements = l.compare(arith::CmpIPredicate::sgt, width, zero);
  Value sorted = l.select(hasElements, count, zero);
  PositionHeap{l, positions}.with(before, [&](Heap heap) { heap.sort(sorted); });
}

// ---- compact -----------------------------------------------------------------------------------------------------------------

/// Every position is written to where the next true one belongs, without a branch; the rest becomes 0.
void lowerCompact(LoopBuilder l, Value mask, Value positions, Value count) {
  Value size = l.dim(mask, 0), zero = l.index(0), one = l.index(1);
  Type index = l.b.getIndexType(), i64 = l.b.getI64Type();
  auto loop = scf::ForOp::create(l.b, l.loc, zero, size, one, ValueRange{zero});
  {
    OpBuilder::InsertionGuard guard(l.b);
    l.b.setInsertionPointToStart(loop.getBody());
    Value i = loop.getInductionVar(), found = loop.getRegionIterArg(0);
    l.store(arith::IndexCastOp::create(l.b, l.loc, i64, i), positions, found); // found <= i
    Value isTrue = arith::IndexCastUIOp::create(l.b, l.loc, index, l.load(mask, i));
    scf::YieldOp::create(l.b, l.loc, l.add(found, isTrue));
  }
  Value found = loop.getResult(0), empty = arith::ConstantIntOp::create(l.b, l.loc, 0, 64);
  l.loop(l.subtract(size, found), [&](Value i) { l.store(empty, positions, l.add(found, i)); });
  l.store(arith::IndexCastOp::create(l.b, l.loc, i64, found), count, {});
}

// ---- nms ---------------------------------------------------------------------------------------------------------------------

/// Two opposite corners in order, and the area.
struct Box {
  Value low[2], high[2], area;
};

struct NmsLoops {
  NmsOp op;
  LoopBuilder l;
  Type element;
  Value boxes, scores, selected, workspace, iouThreshold, scoreThreshold;

  Value real(double value) { return arith::ConstantOp::create(l.b, l.loc, l.b.getFloatAttr(element, value)); }
  Value subtract(Value x, Value y) { return arith::SubFOp::create(l.b, l.loc, x, y); }
  Value multiply(Value x, Value y) { return arith::MulFOp::create(l.b, l.loc, x, y); }
  Value add(Value x, Value y) { return arith::AddFOp::create(l.b, l.loc, x, y); }
  Value isMore(Value x, Value y) { return arith::CmpFOp::create(l.b, l.loc, arith::CmpFPredicate::OGT, x, y); }
  Value toIndex(Value x) { return arith::IndexCastOp::create(l.b, l.loc, l.b.getIndexType(), x); }
  Value toInteger(Value x) { return arith::IndexCastOp::create(l.b, l.loc, l.b.getI64Type(), x); }

  /// Where a box begins and ends along one axis.
  std::pair<Value, Value> sideAt(Value batch, Value position, int64_t axis) {
    Value p = l.load(boxes, {batch, position, l.index(axis)}), q = l.load(boxes, {batch, position, l.index(axis + 2)});
    if (!op.getCenterPoints())
      return {arith::MinNumFOp::create(l.b, l.loc, p, q), arith::MaxNumFOp::create(l.b, l.loc, p, q)};
    Value half = multiply(q, real(0.5));
    return {subtract(p, half), add(p, half)};
  }

  Value areaOf(const Box &box) {
    return multiply(subtract(box.high[0], box.low[0]), subtract(box.high[1], box.low[1]));
  }

  Box boxAt(Value batch, Value position) {
    Box box;
    for (int64_t axis = 0; axis < 2; ++axis)
      std::tie(box.low[axis], box.high[axis]) = sideAt(batch, position, axis);
    box.area = areaOf(box);
    return box;
  }

  /// Whether the box and the one at `position` have intersection / union > threshold and all three areas are more than 0. Most pairs
  /// are apart along the first axis, so nothing else is read of them: a detector with thousands of boxes spends its time here.
  Value overlaps(const Box &box, Value batch, Value position) {
    Box other;
    SmallVector<Value> sides; // of the intersection
    return whereTheyMeet(box, other, batch, position, sides);
  }

  Value whereTheyMeet(const Box &box, Box &other, Value batch, Value position, SmallVector<Value> &sides) {
    int64_t axis = sides.size();
    if (axis == 2)
      return exceeds(box, other, multiply(sides[0], sides[1]));
    std::tie(other.low[axis], other.high[axis]) = sideAt(batch, position, axis);
    Value low = arith::MaxNumFOp::create(l.b, l.loc, box.low[axis], other.low[axis]),
          high = arith::MinNumFOp::create(l.b, l.loc, box.high[axis], other.high[axis]);
    Value meets = isMore(high, low);
    sides.push_back(subtract(high, low));
    auto branch = scf::IfOp::create(l.b, l.loc, TypeRange{l.b.getI1Type()}, meets, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(l.b);
    l.b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(l.b, l.loc, whereTheyMeet(box, other, batch, position, sides));
    l.b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(l.b, l.loc, Value(arith::ConstantIntOp::create(l.b, l.loc, 0, 1)));
    return branch.getResult(0);
  }

  Value exceeds(const Box &x, Box &y, Value intersection) {
    y.area = areaOf(y);
    Value zero = real(0), whole = subtract(add(x.area, y.area), intersection);
    // LLVM divides before it knows that boxes meet: never by 0, which may trap.
    Value isSome = isMore(whole, zero), divisor = l.select(isSome, whole, real(1));
    Value all = l.both(isMore(arith::DivFOp::create(l.b, l.loc, intersection, divisor), iouThreshold), isSome);
    for (Value area : {x.area, y.area})
      all = l.both(all, isMore(area, zero));
    return all;
  }

  /// The positions of the boxes with enough score go into the workspace; how many there are.
  Value candidates(Value batch, Value group) {
    Value zero = l.index(0), one = l.index(1);
    Value takesAll = arith::CmpFOp::create(l.b, l.loc, arith::CmpFPredicate::UNO, scoreThreshold, scoreThreshold);
    Value threshold = l.select(takesAll, real(0), scoreThreshold); // a comparison with NaN may trap
    auto loop = scf::ForOp::create(l.b, l.loc, zero, l.dim(scores, 2), one, ValueRange{zero});
    OpBuilder::InsertionGuard guard(l.b);
    l.b.setInsertionPointToStart(loop.getBody());
    Value i = loop.getInductionVar(), found = loop.getRegionIterArg(0);
    l.store(toInteger(i), workspace, found);
    Value isEnough = arith::OrIOp::create(l.b, l.loc, takesAll, isMore(l.load(scores, {batch, group, i}), threshold));
    scf::YieldOp::create(l.b, l.loc,
                         l.add(found, arith::IndexCastUIOp::create(l.b, l.loc, l.b.getIndexType(), isEnough)));
    return loop.getResult(0);
  }

  /// Whether the box overlaps one of selected[first .. end).
  Value overlapsChosen(Value batch, const Box &box, Value first, Value end) {
    Type i1 = l.b.getI1Type();
    Value no = arith::ConstantIntOp::create(l.b, l.loc, 0, 1), yes = arith::ConstantIntOp::create(l.b, l.loc, 1, 1);
    return scf::WhileOp::create(
               l.b, l.loc, TypeRange{l.b.getIndexType(), i1}, ValueRange{first, no},
               [&](OpBuilder &b, Location loc, ValueRange state) {
                 Value apart = arith::XOrIOp::create(b, loc, state[1], yes);
                 scf::ConditionOp::create(b, loc, l.both(l.compare(arith::CmpIPredicate::slt, state[0], end), apart),
                                          state);
               },
               [&](OpBuilder &b, Location loc, ValueRange state) {
                 Value other = toIndex(l.load(selected, {state[0], l.index(2)}));
                 scf::YieldOp::create(b, loc, ValueRange{l.add(state[0], l.index(1)), overlaps(box, batch, other)});
               })
        .getResult(1);
  }

  /// Chooses boxes of one class, behind the `first` that are chosen; how many there are then.
  Value choose(Value batch, Value group, Value first, Value limit) {
    Value zero = l.index(0), one = l.index(1), left = candidates(batch, group);
    auto before = [&](Value p, Value q) { // the first of the heap is the last of this order
      Value x = l.load(scores, {batch, group, p}), y = l.load(scores, {batch, group, q});
      return precedes(l, isLess(l, element, x, y), isLess(l, element, y, x), q, p);
    };
    Value chosen;
    PositionHeap{l, workspace}.with(before, [&](Heap heap) {
      heap.build(left);
      Value end = l.add(first, limit);
      chosen = scf::WhileOp::create(
                   l.b, l.loc, TypeRange{l.b.getIndexType(), l.b.getIndexType()}, ValueRange{left, first},
                   [&](OpBuilder &b, Location loc, ValueRange state) {
                     Value more = l.compare(arith::CmpIPredicate::sgt, state[0], zero);
                     Value wanted = l.compare(arith::CmpIPredicate::slt, state[1], end);
                     scf::ConditionOp::create(b, loc, l.both(more, wanted), state);
                   },
                   [&](OpBuilder &b, Location loc, ValueRange state) {
                     Value position = PositionHeap{l, workspace}.at(zero), last = l.subtract(state[0], one);
                     heap.moveFirstTo(last);
                     Value drops = overlapsChosen(batch, boxAt(batch, position), first, state[1]);
                     // There is room: fewer than `limit` of this class are chosen.
                     for (auto [column, value] : llvm::enumerate(std::array{batch, group, position}))
                       l.store(toInteger(value), selected, {state[1], l.index(column)});
                     scf::YieldOp::create(b, loc, ValueRange{last, l.select(drops, state[1], l.add(state[1], one))});
                   })
                   .getResult(1);
    });
    return chosen;
  }
};

void lowerNms(NmsOp op, LoopBuilder l, ValueRange inputs, ValueRange outputs) {
  Type element = cast<MemRefType>(inputs[0].getType()).getElementType();
  NmsLoops nms{
      op, l, element, inputs[0], inputs[1], outputs[0], outputs[2], l.load(inputs[2], {}), l.load(inputs[3], {})};
  Value zero = l.index(0), one = l.index(1);
  auto batches = scf::ForOp::create(l.b, l.loc, zero, l.dim(inputs[1], 0), one, ValueRange{zero});
  {
    OpBuilder::InsertionGuard guard(l.b);
    l.b.setInsertionPointToStart(batches.getBody());
    auto classes = scf::ForOp::create(l.b, l.loc, zero, l.dim(inputs[1], 1), one, batches.getRegionIterArgs());
    scf::YieldOp::create(l.b, l.loc, classes.getResults());
    l.b.setInsertionPointToStart(classes.getBody());
    scf::YieldOp::create(
        l.b, l.loc,
        nms.choose(batches.getInductionVar(), classes.getInductionVar(), classes.getRegionIterArg(0), inputs[4]));
  }
  l.store(nms.toInteger(batches.getResult(0)), outputs[1], {});
}

} // namespace

bool mlc::isStructured(Operation *op) {
  return isa<ScanOp, SortOp, SortRowsOp, ScatterNdOp, ScatterElementsOp, CompactOp, NmsOp>(op);
}

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
      .Case([&](SortRowsOp op) { return lowerSortRows(op, l, inputs[0], outputs[0]), success(); })
      .Case([&](CompactOp) { return lowerCompact(l, inputs[0], outputs[0], outputs[1]), success(); })
      .Case([&](NmsOp op) { return lowerNms(op, l, inputs, outputs), success(); })
      .Default([](Operation *) { return failure(); });
}
