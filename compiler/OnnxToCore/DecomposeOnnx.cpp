// The pass: one forward walk over @main that replaces every onnx.node by what its rule builds. Nodes that cannot be translated
// are all reported; what depends on them is skipped.
#include "compiler/Compile.h"
#include "compiler/OnnxToCore/Rules.h"
#include "compiler/Passes.h"
#include "dialects/onnx/Signature.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlc {
#define GEN_PASS_DEF_DECOMPOSEONNX
#include "compiler/Passes.h.inc"
} // namespace mlc

using namespace mlir;
namespace mlc::decompose {
namespace {

class Decomposition {
public:
  Decomposition(func::FuncOp function, bool unrollsLoops, std::vector<UnsupportedNode> &unsupported,
                std::vector<Location> &unsupportedAt)
      : function(function), unrollsLoops(unrollsLoops), unsupported(unsupported), unsupportedAt(unsupportedAt),
        builder(function.getContext()) {}

  LogicalResult run() {
    Block &body = function.getBody().front();
    findSymbols();
    known.areParameters = unrollsLoops; // derivatives are wanted
    for (Operation &op : llvm::make_early_inc_range(body)) {
      builder.setInsertionPoint(&op);
      if (auto node = dyn_cast<onnx::NodeOp>(op))
        visit(node);
      else if (isa<onnx::AbsentOp>(op) && op.hasAttr("unknown")) // the importer has said why
        hasError = poisoned.insert(op.getResult(0)).second;
      else if (auto ret = dyn_cast<func::ReturnOp>(op))
        finish(ret);
    }
    if (hasError || !unsupported.empty())
      return failure();
    eraseNodes(body);
    joinSymbols();
    return success();
  }

private:
  // ---- nodes ------------------------------------------------------------------------------------------------------

  void visit(onnx::NodeOp op) {
    bool followsFailure = llvm::any_of(op->getOperands(), [&](Value operand) { return poisoned.contains(operand); });
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(poisoned.contains(operand) ? Value() : mapped(operand));
    CoreBuilder b(builder, op.getLoc());
    b.symbolOf = &known.symbolOf;
    Node n(op, operands, b, known);
    n.unrollsLoops = unrollsLoops;
    // Behind a failure nothing is known of the operands, but an operator that mlc lacks is told all the same.
    if (followsFailure) {
      if (!findRule(op.getDomain(), op.getOpType(), op.getOpset())) {
        (void)n.unsupported("the operator");
        report(n);
      }
      return poison(op);
    }
    n.inlineRegion = [&](Region &region, ArrayRef<Value> arguments) { return inlineRegion(region, arguments, n); };
    Values values = translate(n);
    if (!values.failed()) {
      checkResults(n, values);
      n.checkAllRead();
    }
    if (values.failed() || n.failed() || b.failed) {
      hasError |= b.failed && !n.failed(); // the builder has said why
      if (!isInnerFailure && !(b.failed && !n.failed()))
        report(n);
      isInnerFailure = false;
      return poison(op);
    }
    for (auto [i, result] : llvm::enumerate(op->getResults())) {
      Value value = i < values.get().size() ? values.get()[i] : Value();
      if (value)
        map[result] = know(n, i, value);
    }
  }

  Values translate(Node &n) {
    const Rule *rule = findRule(n.op.getDomain(), n.name(), n.opset());
    if (!rule)
      return n.unsupported("the operator");
    if (n.outputCount() == 0)
      return n.fail("the node has no outputs");
    for (int64_t i = 0; i < n.inputCount(); ++i) {
      Value v = n.peek(i);
      if (!v) {
        if (i < rule->inputs)
          return n.fail("input {0} is missing", i);
      } else if (!isa<RankedTensorType>(v.getType())) {
        return n.unsupported("input {0}, which is not a tensor of known rank,", i);
      } else if (kindOf(n.element(i)) == kOther) {
        return n.unsupported("input {0} of element type {1}", i, nameOf(n.element(i)));
      } else if (rule->elements != kData && !(rule->elements & kNarrow) && kindOf(n.element(i)) == kNarrow) {
        return n.unsupported("input {0} of element type {1}", i, nameOf(n.element(i)));
      }
    }
    if (n.inputCount() < rule->inputs)
      return n.fail("{0} inputs instead of {1}", n.inputCount(), rule->inputs);
    if (rule->inputs > 0 && !n.elementIs(0, rule->elements, "input 0"))
      return failure();
    return rule->build(n, n.b);
  }

  void checkResults(Node &n, const Values &values) {
    if (n.failed())
      return;
    for (auto [i, result] : llvm::enumerate(n.op->getResults())) {
      Value value = i < values.get().size() ? values.get()[i] : Value();
      if (!value && !result.use_empty()) {
        (void)n.unsupported("result {0}", i);
        return;
      }
      if (!value)
        continue;
      ArrayRef<int64_t> shape = CoreBuilder::typeOf(value).getShape();
      if (!n.check(shape.size() <= kRankMax, "a result of rank {0}, the largest is {1}", shape.size(), kRankMax))
        return;
      int64_t product = 1;
      for (int64_t size : shape) {
        if (ShapedType::isDynamic(size) || size == 0)
          continue;
        if (size < 0 || size > kElementsMax || product > kElementsMax / size) {
          (void)n.fail("a result of sizes {0} is too large", toString(shape));
          return;
        }
        product *= size;
      }
    }
  }

  /// Shape arithmetic: integers become elements, anything else is remembered beside the value.
  Value know(Node &n, unsigned i, Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    if (constantOf(value))
      return value;
    auto found = known.evaluate(n, i, type);
    if (!found)
      return value;
    if (auto integer = dyn_cast<IntegerType>(type.getElementType()); integer && integer.getWidth() > 1) {
      core::Sizes elements;
      for (const Ratio &r : found->values)
        if (auto size = asIndex(r))
          elements.push_back(*size);
      if (elements.size() == found->values.size()) {
        Expr list = n.b.fromElements(elements, type.getElementType(), /*scalar=*/type.getRank() == 0);
        if (type.getRank() > 1) {
          core::Sizes shape;
          for (int64_t size : type.getShape())
            shape.push_back(builder.getIndexAttr(size));
          list = n.b.reshape(list, shape);
        }
        value = list;
      }
    }
    if (!constantOf(value))
      known.record(value, std::move(*found));
    return value;
  }

  void report(Node &n) {
    std::string domain = n.op.getDomain() == "ai.onnx" ? "" : n.op.getDomain().str() + " ";
    if (n.isUnsupported) {
      unsupported.push_back({nodeName(n.op), n.name().str(), n.op.getDomain().str(), n.error, n.opset()});
      unsupportedAt.push_back(n.op.getLoc());
      return;
    }
    hasError = true;
    auto diagnostic = n.op.emitError() << n.name() << " (" << domain << "opset " << n.opset()
                                       << "): " << (n.error.empty() ? "the node is not valid" : n.error);
    for (int64_t i = 0; i < n.inputCount(); ++i)
      if (Value v = n.peek(i))
        diagnostic.attachNote(n.op.getLoc()) << "input " << i << " has type " << v.getType();
  }

  static std::string nodeName(onnx::NodeOp op) {
    if (auto named = dyn_cast<NameLoc>(op.getLoc()))
      return named.getName().str();
    return op.getOpType().str();
  }

  void poison(Operation *op) {
    for (Value result : op->getResults())
      poisoned.insert(result);
  }

  /// Null for an absent input.
  Value mapped(Value v) {
    if (auto it = map.find(v); it != map.end())
      return it->second;
    return v.getDefiningOp<onnx::AbsentOp>() ? Value() : v;
  }

  // ---- subgraphs --------------------------------------------------------------------------------------------------

  /// Decomposes the region's nodes in place of the node, with these arguments; returns what it yields.
  Values inlineRegion(Region &region, ArrayRef<Value> arguments, Node &n) {
    if (!region.hasOneBlock() || region.getNumArguments() != arguments.size())
      return n.fail("a subgraph has {0} inputs instead of {1}", region.getNumArguments(), arguments.size());
    for (auto [argument, value] : llvm::zip_equal(region.getArguments(), arguments))
      map[argument] = value;
    SmallVector<Value> results;
    for (Operation &op : region.front()) {
      if (auto node = dyn_cast<onnx::NodeOp>(op)) {
        visit(node);
      } else if (auto yield = dyn_cast<onnx::YieldOp>(op)) {
        for (Value v : yield->getOperands()) {
          if (poisoned.contains(v)) {
            isInnerFailure = true; // already reported
            return failure();
          }
          results.push_back(mapped(v));
        }
      } else if (!isa<onnx::AbsentOp>(op)) {
        map[op.getResult(0)] = builder.clone(op)->getResult(0); // an initializer
      }
    }
    for (Value v : results)
      if (!v || !isa<RankedTensorType>(v.getType()))
        return n.unsupported("a subgraph's result that is not a tensor");
    return results;
  }

  // ---- the function -----------------------------------------------------------------------------------------------

  void finish(func::ReturnOp ret) {
    SmallVector<Type> types;
    SmallVector<DictionaryAttr> resultAttributes;
    for (auto [i, operand] : llvm::enumerate(ret->getOpOperands())) {
      if (poisoned.contains(operand.get()))
        return;
      Value v = mapped(operand.get());
      if (!v || !isa<RankedTensorType>(v.getType())) {
        unsupported.push_back(
            {"", "graph", "ai.onnx", llvm::formatv("output {0}, which is not a tensor,", i).str(), 0});
        unsupportedAt.push_back(ret.getLoc());
        return;
      }
      checkDeclared(i, cast<RankedTensorType>(v.getType()));
      if (!hasError)
        v = withDeclaredSizes(i, v);
      operand.set(v);
      types.push_back(v.getType());
      resultAttributes.push_back(onnx::Declaration::ofResult(function, i).withoutType());
    }
    function.setAllResultAttrs(resultAttributes);
    function.setType(FunctionType::get(function.getContext(), function.getFunctionType().getInputs(), types));
  }

  /// The model promises sizes of its outputs that inference does not find.
  Value withDeclaredSizes(unsigned i, Value v) {
    auto declared = dyn_cast_or_null<RankedTensorType>(onnx::Declaration::ofResult(function, i).type());
    auto type = cast<RankedTensorType>(v.getType());
    if (!declared || type.hasStaticShape())
      return v;
    CoreBuilder b(builder, v.getLoc());
    b.symbolOf = &known.symbolOf;
    core::Sizes sizes = b.dims(v);
    bool isRefined = false;
    for (int64_t d = 0; d < type.getRank(); ++d)
      if (type.isDynamicDim(d) && !declared.isDynamicDim(d)) {
        sizes[d] = builder.getIndexAttr(declared.getDimSize(d));
        isRefined = true;
      }
    return isRefined ? Value(b.reshape(v, sizes)) : v;
  }

  void checkDeclared(unsigned i, RankedTensorType inferred) {
    auto declared = dyn_cast_or_null<RankedTensorType>(onnx::Declaration::ofResult(function, i).type());
    if (!declared)
      return;
    bool agrees = declared.getElementType() == inferred.getElementType() && declared.getRank() == inferred.getRank();
    for (int64_t d = 0; agrees && d < declared.getRank(); ++d)
      agrees = declared.isDynamicDim(d) || inferred.isDynamicDim(d) || declared.getDimSize(d) == inferred.getDimSize(d);
    if (agrees)
      return;
    hasError = true;
    StringRef name = onnx::Declaration::ofResult(function, i).name();
    function.emitError() << "output '" << name << "' is declared as " << declared << " but is " << inferred;
  }

  /// Arguments' dimensions by symbol: (argument number, dimension), in order.
  void findSymbols() {
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      auto type = dyn_cast<RankedTensorType>(function.getArgument(i).getType());
      for (int64_t d = 0; type && d < type.getRank(); ++d)
        if (StringRef name = onnx::symbolOf(function.getArgument(i), d); !name.empty() && type.isDynamicDim(d))
          symbols.insert({name, {function.getArgument(i), d}});
    }
    known.symbolOf = onnx::symbolOf;
  }

  /// One SSA value for each symbol, at the top of the function: its first occurrence.
  void joinSymbols() {
    llvm::StringMap<Value> values;
    SmallVector<tensor::DimOp> sizes;
    function.walk([&](tensor::DimOp dim) { sizes.push_back(dim); });
    for (tensor::DimOp dim : sizes) {
      auto at = dim.getConstantIndex();
      StringRef symbol = at ? onnx::symbolOf(dim.getSource(), *at) : "";
      auto first = symbols.find(symbol);
      if (symbol.empty() || first == symbols.end())
        continue;
      Value &value = values[symbol];
      if (!value) {
        builder.setInsertionPointToStart(&function.getBody().front());
        Value axis = arith::ConstantIndexOp::create(builder, function.getLoc(), first->second.second);
        value = tensor::DimOp::create(builder, function.getLoc(), first->second.first, axis);
      }
      dim.replaceAllUsesWith(value);
      dim.erase();
    }
  }

  /// Core ops that nothing uses stay, until CheckSizes has seen what they assume: the sizes of an operand that was folded away, or of a
  /// node of which only the shape is used.
  void eraseNodes(Block &body) {
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body))) {
      if (op.hasTrait<OpTrait::IsTerminator>())
        continue;
      if (isa<onnx::NodeOp>(op))
        op.dropAllUses();
      if (isa<onnx::NodeOp, onnx::AbsentOp>(op) || (isOpTriviallyDead(&op) && !isa<core::CoreDialect>(op.getDialect())))
        op.erase();
    }
  }

  func::FuncOp function;
  bool unrollsLoops;
  std::vector<UnsupportedNode> &unsupported;
  std::vector<Location> &unsupportedAt;
  OpBuilder builder;
  KnownValues known;
  DenseMap<Value, Value> map; // onnx results to core values
  DenseSet<Value> poisoned;   // results of nodes that failed, and all that depends on them
  std::map<StringRef, std::pair<Value, int64_t>> symbols;
  bool hasError = false, isInnerFailure = false;
};

LogicalResult decompose(ModuleOp module, bool unrollsLoops, std::vector<UnsupportedNode> &unsupported,
                        std::vector<Location> &unsupportedAt) {
  for (auto function : module.getOps<func::FuncOp>())
    if (!function.isExternal() && failed(Decomposition(function, unrollsLoops, unsupported, unsupportedAt).run()))
      return failure();
  return success();
}

struct DecomposeOnnx : impl::DecomposeOnnxBase<DecomposeOnnx> {
  using DecomposeOnnxBase::DecomposeOnnxBase;
  void runOnOperation() override {
    std::vector<UnsupportedNode> unsupported;
    std::vector<Location> unsupportedAt;
    if (succeeded(decompose(getOperation(), unrollLoops, unsupported, unsupportedAt)))
      return;
    for (auto [node, at] : llvm::zip_equal(unsupported, unsupportedAt)) {
      std::string domain = node.domain == "ai.onnx" ? "" : node.domain + " ";
      emitError(at) << node.op << " (" << domain << "opset " << node.opset << "): " << node.reason
                    << " is not supported";
    }
    signalPassFailure();
  }
};

} // namespace
} // namespace mlc::decompose

mlir::LogicalResult mlc::decomposeOnnx(ModuleOp module, std::vector<UnsupportedNode> &unsupported, bool unrollLoops) {
  module->getContext()->loadDialect<math::MathDialect>(); // no pass manager does it here
  std::vector<Location> unsupportedAt;
  return decompose::decompose(module, unrollLoops, unsupported, unsupportedAt);
}
