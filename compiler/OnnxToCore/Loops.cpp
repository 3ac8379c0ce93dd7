// See Loops.h.
#include "compiler/OnnxToCore/Loops.h"
#include "compiler/OnnxToCore/Compose.h"
#include "dialects/core/Control.h"
#include "dialects/core/SizeFacts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
namespace mlc::decompose {

std::optional<bool> knownTruth(Node &n, Value condition) {
  ElementsAttr attr = constantOf(condition);
  auto values = attr ? readInts(attr, 1) : std::nullopt;
  if (values && values->size() == 1)
    return values->front() != 0;
  if (auto found = n.known.find(n.b, condition); found && found->values.size() == 1)
    if (auto c = constantSize(found->values[0].numerator))
      return *c != 0;
  return std::nullopt;
}

Expr at(Expr x, int64_t axis, OpFoldResult position) {
  return x.b->squeeze(part(x, axis, position, x.b->builder.getIndexAttr(1)), {axis});
}

// ---- sizes out of a region ------------------------------------------------------------------------------------------

namespace {
/// Clones what a size follows from. Of a tensor whose sizes alone are asked for, carried values stand for their initial ones.
struct Hoister {
  Region &region;
  OpBuilder b;
  IRMapping mapping[2] = {}; // exact values, values of the same sizes

  Value operator()(Value value, bool onlySizes) {
    if (!region.isAncestor(value.getParentRegion()))
      return value;
    if (Value known = mapping[onlySizes].lookupOrNull(value))
      return known;
    if (onlySizes)
      if (Value init = core::carriedFrom(value); init != value)
        return (*this)(init, true);
    Operation *op = value.getDefiningOp();
    if (!op || op->getNumRegions() > 0 || !isMemoryEffectFree(op))
      return {};
    IRMapping operands;
    for (Value operand : op->getOperands()) {
      bool isTensor = isa<RankedTensorType>(operand.getType());
      Value outside = (*this)(operand, isTensor && (onlySizes || isa<tensor::DimOp>(op)));
      if (!outside)
        return {};
      operands.map(operand, outside);
    }
    Operation *clone = b.clone(*op, operands);
    for (auto [inside, outside] : llvm::zip_equal(op->getResults(), clone->getResults()))
      mapping[onlySizes].map(inside, outside);
    return clone->getResult(cast<OpResult>(value).getResultNumber());
  }
};
} // namespace

std::optional<OpFoldResult> hoistSize(CoreBuilder &b, OpFoldResult size, Region &region) {
  auto value = dyn_cast<Value>(size);
  if (!value)
    return size;
  Value outside = Hoister{region, OpBuilder(region.getParentOp())}(value, /*onlySizes=*/false);
  return outside ? std::optional<OpFoldResult>(outside) : std::nullopt;
}

// ---- loops ----------------------------------------------------------------------------------------------------------

namespace {

/// A state to which every step appends along one dimension: it lives in a buffer that has room for the last step.
struct Growth {
  int64_t axis = -1;
  OpFoldResult before, by; // elements at the start, and those that a step adds
  bool isGrowing() const { return axis >= 0; }
};

class LoopMaker {
public:
  LoopMaker(Node &n, const LoopDescription &description, StepBuilder buildStep, std::string &obstacle)
      : n(n), b(n.b), d(description), buildStep(buildStep), obstacle(obstacle), growth(description.states.size()) {
    count = b.indexMax(d.count, b.builder.getIndexAttr(0));
    isEndless = constantSize(d.count) == INT64_MAX;
  }

  Values run() {
    // Each attempt but the last finds a state that grows.
    while (true) {
      auto attempt = build();
      if (!attempt)
        return failure();
      if (*attempt)
        return finish(**attempt);
    }
  }

private:
  struct Built {
    core::LoopOp loop; // states only
    Step step;
  };

  OpFoldResult index(int64_t v) { return b.builder.getIndexAttr(v); }

  Values isObstacle(std::string text) {
    obstacle = std::move(text);
    return failure();
  }

  /// before + by * steps
  OpFoldResult sizeAfter(const Growth &g, OpFoldResult steps) {
    return b.indexSum(g.before, b.indexProduct(g.by, steps));
  }

  Expr prefix(Value x, const Growth &g, OpFoldResult size) { return part(b.expr(x), g.axis, index(0), size); }

  Expr insertAlong(Value value, Value into, int64_t axis, OpFoldResult position) {
    if (core::hasNoElements(CoreBuilder::typeOf(value))) // would be outside, by what tensor.insert_slice demands
      return b.expr(into);
    Sizes offsets(CoreBuilder::rankOf(value), index(0)), strides(offsets.size(), index(1));
    offsets[axis] = position;
    return b.expr(
        tensor::InsertSliceOp::create(b.builder, b.loc, value, into, offsets, b.dims(value), strides).getResult());
  }

  /// What the loop carries for a state at its beginning.
  Value initial(size_t k) {
    Value state = d.states[k];
    if (!growth[k].isGrowing())
      return state;
    Sizes room = b.dims(state);
    room[growth[k].axis] = sizeAfter(growth[k], count);
    Value empty = tensor::EmptyOp::create(b.builder, b.loc, room, CoreBuilder::elementOf(state));
    return insertAlong(state, empty, growth[k].axis, index(0));
  }

  /// One attempt; nullopt on failure, an empty one if a state was found to grow.
  std::optional<std::optional<Built>> build() {
    SmallVector<Value> inits;
    for (size_t k = 0; k < d.states.size(); ++k)
      inits.push_back(initial(k));
    auto loop = core::LoopOp::create(b.builder, b.loc, b.builder.getIndexType(), ValueRange(inits).getTypes(),
                                     b.index(count), Value(), inits);
    OpBuilder::InsertionGuard guard(b.builder);
    SmallVector<Type> arguments = {b.builder.getIndexType()};
    llvm::append_range(arguments, ValueRange(inits).getTypes());
    b.builder.createBlock(&loop.getBody(), {}, arguments, SmallVector<Location>(arguments.size(), b.loc));
    SmallVector<Value> states;
    for (auto [k, carried] : llvm::enumerate(loop.getCarried()))
      states.push_back(growth[k].isGrowing() ? prefix(carried, growth[k], sizeBefore(loop, k)) : mayGrow(carried));
    auto step = buildStep(loop.getStep(), states);
    // Even if it is not used: what was learnt of its values must not meet others at the same addresses.
    auto end = core::YieldOp::create(b.builder, b.loc, loop.getCarried());
    if (!step || !n.check(step->states.size() == states.size() && step->outputs.size() == d.outputs.size(),
                          "the body has {0} states and {1} outputs instead of {2} and {3}", step->states.size(),
                          step->outputs.size(), states.size(), d.outputs.size()))
      return std::nullopt;
    b.builder.setInsertionPoint(end);
    bool isStable = true;
    for (size_t k = 0; k < states.size(); ++k) {
      auto stable = agree(loop, k, states[k], step->states[k]);
      if (!stable)
        return std::nullopt;
      isStable &= *stable;
    }
    if (!isStable)
      return std::optional<Built>();
    SmallVector<Value> yielded;
    for (size_t k = 0; k < states.size(); ++k)
      yielded.push_back(growth[k].isGrowing() ? grown(loop, k, states[k], step->states[k]) : step->states[k]);
    end.getValuesMutable().assign(yielded);
    return Built{loop, *step};
  }

  /// What is empty at the start may not stay so: to the body its sizes of 0 are open, or concatenation would leave it out.
  Value mayGrow(Value carried) {
    auto type = CoreBuilder::typeOf(carried);
    SmallVector<int64_t> shape(type.getShape());
    llvm::replace(shape, int64_t(0), ShapedType::kDynamic);
    if (type.getShape() == ArrayRef<int64_t>(shape))
      return carried;
    return tensor::CastOp::create(b.builder, b.loc, type.clone(shape), carried);
  }

  /// n + c, n + n, n * c or n - min(n, c), which is n in no step; a number of elements that the data decide; the size of a branch's result
  /// where one of the branches has such a size.
  bool isOther(OpFoldResult size, OpFoldResult next) {
    auto value = dyn_cast<Value>(next);
    Operation *op = value ? value.getDefiningOp() : nullptr;
    if (isa_and_nonnull<core::CompactOp, core::NmsOp>(op))
      return true;
    if (isa_and_nonnull<core::BoundedSizeOp, arith::IndexCastOp, tensor::ExtractOp>(op))
      return isOther(size, op->getOperand(0));
    if (isa_and_nonnull<core::SelectOp, tensor::FromElementsOp>(op))
      return llvm::any_of(op->getOperands(), [&](Value operand) { return isOther(size, operand); });
    if (!isa_and_nonnull<arith::AddIOp, arith::SubIOp, arith::MulIOp>(op) || !b.isSame(op->getOperand(0), size))
      return false;
    if (auto by = getConstantIntValue(op->getOperand(1)))
      return *by != (isa<arith::MulIOp>(op) ? 1 : 0);
    if (isa<arith::AddIOp>(op) && b.isSame(op->getOperand(1), size))
      return true;
    auto few = op->getOperand(1).getDefiningOp<arith::MinSIOp>();
    return few &&
           (getConstantIntValue(few.getLhs()).value_or(0) > 0 || getConstantIntValue(few.getRhs()).value_or(0) > 0);
  }

  /// The size of a growing state in front of this step.
  OpFoldResult sizeBefore(core::LoopOp loop, size_t k) {
    return b.boundedSize(sizeAfter(growth[k], loop.getStep()), b.dim(loop.getInitial()[k], growth[k].axis),
                         "the size of a value that grows");
  }

  static core::ConcatOp appends(Value next, Value state, int64_t axis) {
    while (auto cast = next.getDefiningOp<tensor::CastOp>())
      next = cast.getSource();
    auto concat = next.getDefiningOp<core::ConcatOp>();
    return concat && int64_t(concat.getAxis()) == axis && llvm::count(concat.getValues(), state) == 1
               ? concat
               : core::ConcatOp();
  }

  /// Does the next state have the state's sizes? False if it was found to grow; nullopt if it does what no loop can carry.
  std::optional<bool> agree(core::LoopOp loop, size_t k, Value state, Value next) {
    auto from = CoreBuilder::typeOf(state), to = CoreBuilder::typeOf(next);
    if (!n.check(from.getElementType() == to.getElementType(), "carried value {0} is {1} and becomes {2}", k,
                 nameOf(from.getElementType()), nameOf(to.getElementType())))
      return std::nullopt;
    auto changes = [&](std::string what) -> std::optional<bool> {
      obstacle = llvm::formatv("carried value {0}, which {1} in each step,", k, what);
      return std::nullopt;
    };
    if (from.getRank() != to.getRank())
      return changes(llvm::formatv("changes its rank from {0} to {1}", from.getRank(), to.getRank()));
    for (int64_t axis = 0; axis < from.getRank(); ++axis) {
      auto concat = appends(next, state, axis);
      if (growth[k].axis == axis) {
        if (!concat)
          return changes("grows otherwise than by concatenation");
        continue;
      }
      OpFoldResult size = b.dim(state, axis), nextSize = b.dim(next, axis);
      if (!concat) {
        if (constantSize(size) && constantSize(nextSize) && constantSize(size) != constantSize(nextSize))
          return changes(
              llvm::formatv("changes its shape from {0} to {1}", toString(from.getShape()), toString(to.getShape())));
        if (isOther(size, nextSize))
          return changes(llvm::formatv("changes the size of dimension {0}", axis));
        continue; // the same, or the run will tell
      }
      if (growth[k].isGrowing())
        return changes("grows along two dimensions");
      if (isEndless)
        return changes("grows without a bound on the number of steps");
      OpFoldResult by = index(0);
      for (Value part : concat.getValues())
        if (part != state) {
          auto outside = hoistSize(b, b.dim(part, axis), loop.getBody());
          if (!outside)
            return changes("grows by a size that differs from step to step");
          by = b.indexSum(by, *outside);
        }
      if (constantSize(by) == 0)
        continue;
      // Computed here, in the body, of what is around it.
      growth[k] = {axis, *hoistSize(b, b.dim(d.states[k], axis), loop.getBody()), *hoistSize(b, by, loop.getBody())};
      return false;
    }
    return true;
  }

  /// The buffer of a growing state after this step. What is appended is written behind what is there.
  Value grown(core::LoopOp loop, size_t k, Value state, Value next) {
    const Growth &g = growth[k];
    Value buffer = loop.getCarried()[k];
    auto concat = appends(next, state, g.axis);
    if (concat.getValues().front() != state)
      return insertAlong(next, buffer, g.axis, index(0));
    OpFoldResult position = b.dim(state, g.axis);
    for (Value part : concat.getValues().drop_front()) {
      buffer = insertAlong(part, buffer, g.axis, position);
      position = b.indexSum(position, b.dim(part, g.axis));
    }
    return buffer;
  }

  /// Room for every step's part of an output.
  std::optional<Value> roomFor(const StackedOutput &output, Value part, Region &body) {
    Sizes inside, sizes;
    {
      OpBuilder::InsertionGuard guard(b.builder);
      b.builder.setInsertionPoint(body.front().getTerminator());
      inside = b.dims(part);
    }
    for (OpFoldResult size : inside) {
      auto outside = hoistSize(b, size, body);
      if (!outside) {
        obstacle = "an output whose size is computed in the loop";
        return std::nullopt;
      }
      sizes.push_back(*outside);
    }
    for (int64_t axis = 0, rank = sizes.size() + 1 + output.unitAxes.size(); axis < rank; ++axis)
      if (axis == output.axis)
        sizes.insert(sizes.begin() + axis, count);
      else if (llvm::is_contained(output.unitAxes, axis))
        sizes.insert(sizes.begin() + axis, index(1));
    if (!n.validSizes(sizes))
      return std::nullopt;
    return tensor::EmptyOp::create(b.builder, b.loc, sizes, CoreBuilder::elementOf(part)).getResult();
  }

  Value insertPart(const StackedOutput &output, Value part, Value room, Value step) {
    if (core::hasNoElements(CoreBuilder::typeOf(part)))
      return room;
    OpFoldResult position = step;
    if (output.isReversed)
      position = b.indexDifference(b.indexDifference(count, step), index(1));
    Sizes sizes = b.dims(room), offsets(sizes.size(), index(0)), strides(sizes.size(), index(1));
    sizes[output.axis] = index(1);
    offsets[output.axis] = position;
    return tensor::InsertSliceOp::create(b.builder, b.loc, part, room, offsets, sizes, strides);
  }

  /// The loop with its outputs and its condition.
  Values finish(Built built) {
    auto [probe, step] = built;
    Value first = d.condition, next = step.condition;
    auto isTrue = [&](Value v) { return !v || knownTruth(n, v) == true; };
    bool isConditional = !isTrue(first) || !isTrue(next);
    if (isEndless && !d.outputs.empty())
      return isObstacle("an output of a loop without a bound on the number of steps");
    SmallVector<Value> inits(probe.getInitial());
    for (auto [output, part] : llvm::zip_equal(d.outputs, step.outputs)) {
      auto room = roomFor(output, part, probe.getBody());
      if (!room)
        return failure();
      inits.push_back(*room);
    }
    Value condition;
    if (isConditional)
      condition = first ? Value(b.reshape(first, {})) : Value(b.splat(1, b.builder.getI1Type()));
    auto loop = core::LoopOp::create(b.builder, b.loc, b.builder.getIndexType(), ValueRange(inits).getTypes(),
                                     b.index(count), condition, inits);
    loop.getBody().takeBody(probe.getBody());
    probe.erase();
    {
      OpBuilder::InsertionGuard guard(b.builder);
      core::YieldOp end = loop.getYield();
      b.builder.setInsertionPoint(end);
      SmallVector<Value> yielded(end.getValues());
      for (auto [output, part] : llvm::zip_equal(d.outputs, step.outputs)) {
        Value room = loop.getBody().addArgument(inits[yielded.size()].getType(), b.loc);
        yielded.push_back(insertPart(output, part, room, loop.getStep()));
      }
      if (isConditional)
        yielded.insert(yielded.begin(), next ? Value(b.reshape(next, {})) : Value(b.splat(1, b.builder.getI1Type())));
      end.getValuesMutable().assign(yielded);
    }
    return results(loop, isConditional);
  }

  Values results(core::LoopOp loop, bool isConditional) {
    OpFoldResult steps = isConditional ? b.boundedSize(loop.getSteps(), count, "the number of steps") : count;
    SmallVector<Value> values;
    for (auto [k, value] : llvm::enumerate(loop.getResults())) {
      if (k < growth.size())
        values.push_back(growth[k].isGrowing()
                             ? prefix(value, growth[k],
                                      b.boundedSize(sizeAfter(growth[k], steps), b.dim(value, growth[k].axis),
                                                    "the size of a value that grows"))
                             : b.expr(value));
      else
        values.push_back(isConditional ? part(b.expr(value), d.outputs[k - growth.size()].axis, index(0), steps)
                                       : b.expr(value));
    }
    return values;
  }

  Node &n;
  CoreBuilder &b;
  const LoopDescription &d;
  StepBuilder buildStep;
  std::string &obstacle;
  SmallVector<Growth> growth;
  OpFoldResult count;
  bool isEndless = false;
};

} // namespace

Values makeLoop(Node &n, const LoopDescription &description, StepBuilder buildStep, std::string &obstacle) {
  return LoopMaker(n, description, buildStep, obstacle).run();
}

// ---- unrolled -------------------------------------------------------------------------------------------------------

Values unrollLoop(Node &n, int64_t count, int64_t countMax, const LoopDescription &d, StepBuilder buildStep,
                  std::string &obstacle) {
  CoreBuilder &b = n.b;
  SmallVector<Value> states = d.states;
  SmallVector<SmallVector<Value>> parts(d.outputs.size());
  Value condition = d.condition;
  for (int64_t i = 0; i < count; ++i) {
    auto goesOn = condition ? knownTruth(n, condition) : true;
    if (!goesOn) {
      obstacle = "a condition that is computed at run time";
      return failure();
    }
    if (!*goesOn)
      break;
    if (i == countMax) {
      obstacle = llvm::formatv("a loop of more than {0} steps", countMax);
      return failure();
    }
    auto step = buildStep(b.index(b.builder.getIndexAttr(i)), states);
    if (!step || !n.check(step->states.size() == states.size() && step->outputs.size() == parts.size(),
                          "the body has {0} states and {1} outputs instead of {2} and {3}", step->states.size(),
                          step->outputs.size(), states.size(), parts.size()))
      return failure();
    condition = step->condition;
    states = step->states;
    for (auto [part, list] : llvm::zip_equal(step->outputs, parts)) {
      if (!list.empty() && part.getType() != list.front().getType()) {
        obstacle = "an output whose shape changes from step to step";
        return failure();
      }
      list.push_back(part);
    }
  }
  SmallVector<Value> results(states);
  for (auto [output, list] : llvm::zip_equal(d.outputs, parts)) {
    if (list.empty()) {
      obstacle = "an output of a loop of no steps";
      return failure();
    }
    SmallVector<int64_t> added(output.unitAxes);
    added.push_back(output.axis);
    SmallVector<Value> raised;
    for (Value part : list)
      raised.push_back(b.unsqueeze(part, added));
    if (output.isReversed)
      std::reverse(raised.begin(), raised.end());
    results.push_back(raised.size() == 1 ? b.expr(raised[0]) : b.concat(raised, output.axis));
  }
  return results;
}

} // namespace mlc::decompose
