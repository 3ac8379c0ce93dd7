// See GraphImporter.h. The walk checks what ONNX leaves to the reader: order, names, imports, recursion, size after inlining.
#include "compiler/Import/GraphImporter.h"
#include "compiler/Import/NodeOrder.h"
#include "dialects/onnx/Onnx.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlc;
using namespace mlir;
using pb::AttributeProto;
using pb::FunctionProto;
using pb::GraphProto;
using pb::NodeProto;

static constexpr int nestingMax = 100;              // functions and subgraphs inside each other
static constexpr int64_t inlinedUnitsMax = 500'000; // nodes, operands and results made by inlining
static constexpr size_t nodeNameMax = 1000;
static constexpr size_t cycleNamesMax = 10; // in a message

/// The function being inlined, or the main graph.
struct GraphImporter::Frame {
  const Frame *caller = nullptr;
  const FunctionProto *function = nullptr; // null: the main graph
  const Opsets *opsets = nullptr;
  std::string namePrefix;
  llvm::StringMap<const AttributeProto *> arguments;
  int depth = 0;

  /// The same function one level deeper, in a subgraph.
  Frame nested() const {
    Frame inner = *this;
    ++inner.depth;
    return inner;
  }
};

Value ValueScope::find(StringRef name) const {
  for (const ValueScope *scope = this; scope; scope = scope->outer)
    if (Value value = scope->values.lookup(name))
      return value;
  return {};
}

/// Of the domains that ONNX defines; what a later version changes is not known.
static int64_t newestOpset(StringRef domain) {
  return llvm::StringSwitch<int64_t>(domain)
      .Case("ai.onnx", 27)
      .Case("ai.onnx.ml", 5)
      .Case("ai.onnx.preview.training", 1)
      .Default(0);
}

static StringRef domainName(StringRef domain) { return domain.empty() ? "ai.onnx" : domain; }

static std::string functionKey(StringRef domain, StringRef name, StringRef overload) {
  return (domainName(domain) + Twine('\0') + name + Twine('\0') + overload).str();
}

static std::string nodeName(const NodeProto &node, int index) {
  return node.name().empty() ? node.op_type() + "_" + std::to_string(index) : node.name();
}

GraphImporter::GraphImporter(const pb::ModelProto &model, AttributeImporter &attributes, OpBuilder &builder,
                             Block *entry, bool keepsGoing)
    : model(model), attributes(attributes), builder(builder), entry(entry), keepsGoing(keepsGoing) {}

LogicalResult GraphImporter::prepare(Location location) {
  if (failed(readOpsets(model.opset_import(), modelOpsets, location)))
    return failure();
  if (modelOpsets.empty() && model.ir_version() < 3)
    modelOpsets["ai.onnx"] = 1; // before IR version 3 there was only this one
  if (modelOpsets.empty())
    return emitError(location) << "the model imports no operator set (opset_import is empty)";
  for (const FunctionProto &function : model.functions()) {
    if (!functions.try_emplace(functionKey(function.domain(), function.name(), function.overload()), &function).second)
      return emitError(location) << "the model has two functions " << domainName(function.domain()) << '.'
                                 << function.name();
    Opsets opsets = modelOpsets;
    if (failed(readOpsets(function.opset_import(), opsets, location)))
      return failure();
    functionOpsets[&function] = std::move(opsets);
  }
  return success();
}

LogicalResult GraphImporter::readOpsets(const google::protobuf::RepeatedPtrField<pb::OperatorSetIdProto> &imports,
                                        Opsets &opsets, Location location) {
  Opsets own;
  for (const auto &import : imports) {
    StringRef domain = domainName(import.domain());
    if (import.version() < 1)
      return emitError(location) << "the imported version of operator set " << domain << " is " << import.version();
    auto [entry, isNew] = own.try_emplace(domain, import.version());
    if (!isNew && entry->second != import.version())
      return emitError(location) << "operator set " << domain << " is imported in versions " << entry->second << " and "
                                 << import.version();
    opsets[domain] = import.version();
  }
  return success();
}

LogicalResult GraphImporter::importMain(const GraphProto &graph, ValueScope &scope) {
  Frame frame;
  frame.opsets = &modelOpsets;
  return success(succeeded(importInitializers(graph, scope, frame)) &&
                 succeeded(importNodes(graph.node(), scope, frame)));
}

LogicalResult GraphImporter::report(Location location, const Twine &where, llvm::Error error) {
  return emitError(location) << where << ": " << llvm::toString(std::move(error));
}

Value GraphImporter::absent() {
  if (absentValue)
    return absentValue;
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(entry);
  absentValue = onnx::AbsentOp::create(builder, builder.getUnknownLoc(), onnx::ValueType::get(builder.getContext()));
  return absentValue;
}

Value GraphImporter::unknown() {
  auto op = onnx::AbsentOp::create(builder, builder.getUnknownLoc(), onnx::ValueType::get(builder.getContext()));
  op->setAttr("unknown", builder.getUnitAttr());
  return op;
}

LogicalResult GraphImporter::reportTogether(ArrayRef<std::pair<std::string, std::string>> errors) {
  llvm::MapVector<StringRef, std::pair<StringRef, int64_t>> counts; // by text: the first name, and how many
  for (auto &[name, text] : errors)
    ++counts.try_emplace(text, name, 0).first->second.second;
  for (auto &[text, named] : counts) {
    auto diagnostic = emitError(builder.getUnknownLoc()) << "initializer \"" << named.first << '"';
    if (named.second > 1)
      diagnostic << " and " << named.second - 1 << " more";
    diagnostic << ": " << text;
  }
  return failure(!errors.empty());
}

LogicalResult GraphImporter::importInitializers(const GraphProto &graph, ValueScope &scope, const Frame &frame) {
  Location location = builder.getUnknownLoc();
  if (failed(spend(graph.initializer_size(), frame, location)))
    return failure();
  std::vector<std::pair<std::string, std::string>> errors;
  for (const auto &tensor : graph.initializer()) {
    std::string where = "initializer \"" + tensor.name() + "\"";
    if (tensor.name().empty())
      return emitError(location) << "an initializer has no name";
    auto value = attributes.tensor(tensor);
    if (!value) {
      errors.emplace_back(tensor.name(), llvm::toString(value.takeError()));
      scope.define(tensor.name(), unknown());
      continue;
    }
    OperationState state(NameLoc::get(builder.getStringAttr(tensor.name())), "core.constant");
    state.addAttribute("value", *value);
    state.addAttribute("name", builder.getStringAttr(tensor.name()));
    state.addTypes(value->getType());
    if (!scope.define(tensor.name(), builder.create(state)->getResult(0)))
      return emitError(location) << where << ": another value of the graph has this name";
  }
  for (const auto &sparse : graph.sparse_initializer())
    errors.emplace_back(sparse.values().name(), "sparse tensors are not supported");
  for (const auto &sparse : graph.sparse_initializer())
    scope.define(sparse.values().name(), unknown());
  return success(succeeded(reportTogether(errors)) || keepsGoing);
}

LogicalResult GraphImporter::importNodes(const Nodes &nodes, ValueScope &scope, const Frame &frame) {
  NodeOrder order = orderOf(nodes, [&](StringRef name) { return bool(scope.find(name)); });
  if (!order.cycle.empty()) {
    int first = order.cycle.front();
    InFlightDiagnostic diagnostic = emitError(locationOf(nodes[first], first, frame))
                                    << nodes[first].op_type() << ": the node needs its own result, by way of ";
    for (int node : ArrayRef(order.cycle).drop_front().take_front(cycleNamesMax))
      diagnostic << '"' << nodeName(nodes[node], node) << "\", ";
    if (order.cycle.size() > cycleNamesMax + 1)
      diagnostic << "... (" << order.cycle.size() << " nodes), ";
    return diagnostic << "itself";
  }
  for (int index : order.nodes)
    if (failed(importNode(nodes, index, scope, frame)))
      return failure();
  return success();
}

Location GraphImporter::locationOf(const NodeProto &node, int index, const Frame &frame) {
  std::string name = frame.namePrefix + nodeName(node, index);
  if (name.size() > nodeNameMax)
    name = name.substr(0, nodeNameMax / 2) + "..." + name.substr(name.size() - nodeNameMax / 2);
  return NameLoc::get(builder.getStringAttr(name));
}

LogicalResult GraphImporter::spend(int64_t units, const Frame &frame, Location location) {
  if (!frame.function)
    return success();
  inlinedUnits += units;
  if (inlinedUnits <= inlinedUnitsMax)
    return success();
  return emitError(location) << "the model's functions expand to more than " << inlinedUnitsMax << " nodes and values";
}

FailureOr<SmallVector<Value>> GraphImporter::operandsOf(const NodeProto &node, const ValueScope &scope,
                                                        Location location) {
  int count = node.input_size();
  while (count > 0 && node.input(count - 1).empty()) // trailing absent inputs are like none
    --count;
  SmallVector<Value> operands;
  for (int i : llvm::seq(count)) {
    const std::string &name = node.input(i);
    Value value = name.empty() ? absent() : scope.find(name);
    if (!value)
      return emitError(location) << node.op_type() << ": input " << i << " \"" << name
                                 << "\" is not a value of the model";
    operands.push_back(value);
  }
  return operands;
}

LogicalResult GraphImporter::defineResults(const NodeProto &node, ValueRange results, ValueScope &scope,
                                           Location location) {
  for (auto [name, value] : llvm::zip_equal(node.output(), results)) {
    if (name.empty() || scope.define(name, value))
      continue;
    InFlightDiagnostic diagnostic = emitError(location)
                                    << node.op_type() << ": output \"" << name << "\" is already a value of the graph";
    if (Operation *other = scope.find(name).getDefiningOp())
      diagnostic.attachNote(other->getLoc()) << "it is made here";
    return failure();
  }
  return success();
}

// `ref_attr_name` stands for an argument of the function; without that argument the attribute is absent.
const AttributeProto *GraphImporter::resolve(const AttributeProto &attribute, const Frame &frame) {
  return attribute.ref_attr_name().empty() ? &attribute : frame.arguments.lookup(attribute.ref_attr_name());
}

LogicalResult GraphImporter::importNode(const Nodes &nodes, int index, ValueScope &scope, const Frame &frame) {
  const NodeProto &node = nodes[index];
  Location location = locationOf(node, index, frame);
  if (node.op_type().empty())
    return emitError(location) << "the node has no operator";
  if (failed(spend(1 + node.input_size() + node.output_size() + node.attribute_size(), frame, location)))
    return failure();
  auto operands = operandsOf(node, scope, location);
  if (failed(operands))
    return failure();
  if (auto *function = functions.lookup(functionKey(node.domain(), node.op_type(), node.overload())))
    return importCall(node, *function, *operands, scope, frame, location);

  StringRef domain = domainName(node.domain());
  auto opset = frame.opsets->find(domain);
  if (opset == frame.opsets->end())
    return emitError(location) << node.op_type() << ": the model imports no operator set of the domain \"" << domain
                               << '"';

  if (int64_t newest = newestOpset(domain); newest && opset->second > newest)
    return emitError(location) << node.op_type() << ": version " << opset->second << " of the operator set " << domain
                               << " is not supported: the newest that mlc knows is " << newest;
  NamedAttrList converted;
  SmallVector<std::pair<StringRef, const GraphProto *>> graphs;
  llvm::StringSet<> names;
  for (const AttributeProto &attribute : node.attribute()) {
    const AttributeProto *resolved = resolve(attribute, frame);
    std::string where = node.op_type() + ": attribute \"" + attribute.name() + "\"";
    if (attribute.name().empty() || !names.insert(attribute.name()).second)
      return emitError(location) << where << (attribute.name().empty() ? " has no name" : " is given twice");
    if (!resolved)
      continue;
    if (attributeKind(*resolved) == AttributeProto::GRAPH) {
      if (resolved != &attribute)
        return report(location, where, llvm::createStringError("graphs as function arguments are not supported"));
      graphs.emplace_back(attribute.name(), &resolved->g());
      continue;
    }
    auto value = attributes.attribute(*resolved);
    if (!value) {
      (void)report(location, where, value.takeError());
      if (!keepsGoing)
        return failure();
      SmallVector<Value> results;
      for (int i = 0; i < node.output_size(); ++i)
        results.push_back(unknown());
      return defineResults(node, results, scope, location);
    }
    converted.append(attribute.name(), *value);
  }
  auto graphNames = llvm::map_to_vector(graphs, [](auto &graph) { return graph.first; });
  SmallVector<Type> types(node.output_size(), onnx::ValueType::get(builder.getContext()));
  auto op = onnx::NodeOp::create(builder, location, types, node.op_type(), domain, opset->second, *operands,
                                 converted.getDictionary(builder.getContext()),
                                 graphs.empty() ? ArrayAttr() : builder.getStrArrayAttr(graphNames), graphs.size());
  for (auto [graph, region] : llvm::zip_equal(graphs, op.getSubgraphs()))
    if (failed(importSubgraph(*graph.second, region, scope, frame, location)))
      return failure();
  return defineResults(node, op.getResults(), scope, location);
}

LogicalResult GraphImporter::importSubgraph(const GraphProto &graph, Region &region, const ValueScope &outer,
                                            const Frame &frame, Location location) {
  Frame inner = frame.nested();
  if (inner.depth > nestingMax)
    return emitError(location) << "subgraphs and functions nest deeper than " << nestingMax;
  if (failed(spend(graph.input_size() + graph.output_size(), frame, location)))
    return failure();
  OpBuilder::InsertionGuard guard(builder);
  Block *block = builder.createBlock(&region);
  ValueScope scope(&outer);
  for (const auto &input : graph.input())
    if (!scope.define(input.name(), block->addArgument(onnx::ValueType::get(builder.getContext()), location)))
      return emitError(location) << "the subgraph \"" << graph.name() << "\" has two inputs named \"" << input.name()
                                 << '"';
  if (failed(importInitializers(graph, scope, inner)) || failed(importNodes(graph.node(), scope, inner)))
    return failure();
  SmallVector<Value> results;
  for (const auto &output : graph.output()) {
    results.push_back(scope.find(output.name()));
    if (!results.back())
      return emitError(location) << "output \"" << output.name() << "\" of the subgraph \"" << graph.name()
                                 << "\" is made by none of its nodes";
  }
  onnx::YieldOp::create(builder, location, results);
  return success();
}

LogicalResult GraphImporter::importCall(const NodeProto &node, const FunctionProto &function, ValueRange operands,
                                        ValueScope &scope, const Frame &frame, Location location) {
  std::string called = (domainName(function.domain()) + "." + function.name()).str();
  for (const Frame *active = &frame; active; active = active->caller)
    if (active->function == &function)
      return emitError(location) << "the function " << called << " calls itself";
  Frame inner;
  inner.caller = &frame;
  inner.function = &function;
  inner.opsets = &functionOpsets[&function];
  inner.namePrefix = cast<NameLoc>(location).getName().str() + "/";
  inner.depth = frame.depth + 1;
  if (inner.depth > nestingMax)
    return emitError(location) << "subgraphs and functions nest deeper than " << nestingMax;
  if (failed(spend(function.input_size() + function.output_size(), inner, location)))
    return failure();
  if (operands.size() > size_t(function.input_size()) || node.output_size() > function.output_size())
    return emitError(location) << "the function " << called << " has " << function.input_size() << " inputs and "
                               << function.output_size() << " outputs, the node has " << operands.size() << " and "
                               << node.output_size();

  for (const AttributeProto &attribute : function.attribute_proto())
    inner.arguments[attribute.name()] = &attribute; // the default
  for (const AttributeProto &attribute : node.attribute()) {
    if (!inner.arguments.contains(attribute.name()) && !llvm::is_contained(function.attribute(), attribute.name()))
      return emitError(location) << "the function " << called << " has no attribute \"" << attribute.name() << '"';
    if (const AttributeProto *resolved = resolve(attribute, frame))
      inner.arguments[attribute.name()] = resolved;
  }
  ValueScope body;
  for (auto [index, name] : llvm::enumerate(function.input()))
    if (!body.define(name, index < operands.size() ? operands[index] : absent()))
      return emitError(location) << "the function " << called << " has two inputs named \"" << name << '"';
  if (failed(importNodes(function.node(), body, inner)))
    return failure();
  SmallVector<Value> results;
  for (int index : llvm::seq(node.output_size())) {
    results.push_back(body.find(function.output(index)));
    if (!results.back())
      return emitError(location) << "output \"" << function.output(index) << "\" of the function " << called
                                 << " is made by none of its nodes";
  }
  return defineResults(node, results, scope, location);
}
