// See ExportNode.h. The inverse of AttributeImporter and GraphImporter for one node with its subgraphs.
#include "compiler/Import/ExportNode.h"
#include "compiler/Import/Attributes.h"
#include "compiler/Import/OnnxProto.h"
#include "dialects/core/ElementTypes.h"
#include "dialects/core/HostTensor.h"
#include "dialects/onnx/Signature.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"

using namespace mlc;
using namespace mlir;

SmallVector<Value> mlc::valuesRead(mlc::onnx::NodeOp node) {
  llvm::SetVector<Value> values;
  node->walk([&](Operation *op) {
    for (Value operand : op->getOperands())
      if (!operand.getDefiningOp<mlc::onnx::AbsentOp>() && !node->isAncestor(operand.getParentBlock()->getParentOp()))
        values.insert(operand);
  });
  return values.takeVector();
}

SmallVector<unsigned> mlc::resultsUsed(mlc::onnx::NodeOp node) {
  SmallVector<unsigned> numbers;
  for (OpResult result : node->getResults())
    if (!result.use_empty())
      numbers.push_back(result.getResultNumber());
  return numbers;
}

namespace {

class Exporter {
public:
  explicit Exporter(pb::ModelProto &model) : model(model) {}

  void name(Value value, std::string text) { names[value] = std::move(text); }

  llvm::Error exportInto(mlc::onnx::NodeOp op, pb::NodeProto &node) {
    node.set_op_type(op.getOpType().str());
    if (op.getDomain() != "ai.onnx")
      node.set_domain(op.getDomain().str());
    if (llvm::Error error = import(op.getDomain(), op.getOpset()))
      return error;
    for (Value operand : op.getOperands())
      node.add_input(names.lookup(operand)); // "" if absent
    for (Value result : op.getResults())
      node.add_output(nameOf(result));
    for (NamedAttribute attribute : op.getAttrs())
      if (llvm::Error error = exportInto(attribute, *node.add_attribute()))
        return error;
    for (auto [index, region] : llvm::enumerate(op.getSubgraphs())) {
      pb::AttributeProto &attribute = *node.add_attribute();
      attribute.set_name(cast<StringAttr>((*op.getGraphs())[index]).str());
      attribute.set_type(pb::AttributeProto::GRAPH);
      if (llvm::Error error = exportInto(region, *attribute.mutable_g()))
        return error;
    }
    return llvm::Error::success();
  }

  static llvm::Error exportInto(ElementsAttr value, pb::TensorProto &tensor) {
    int32_t dataType = dtypeOf(value.getElementType());
    auto host = core::HostTensor::read(value);
    if (!dataType || !host)
      return llvm::createStringError("it holds a tensor of a type that has no place in a model of its own");
    tensor.set_data_type(dataType);
    for (int64_t size : value.getShapedType().getShape())
      tensor.add_dims(size);
    std::string &bytes = *tensor.mutable_raw_data();
    for (int64_t i = 0, repetitions = host->isSplat ? value.getNumElements() : 1; i < repetitions; ++i)
      bytes.append(host->data().data(), host->data().size());
    return llvm::Error::success();
  }

private:
  /// The name of a result or of a subgraph's value: made where it is met first; "" if nothing uses it.
  std::string nameOf(Value value) {
    std::string &text = names[value];
    if (text.empty() && !value.use_empty())
      text = "v" + std::to_string(names.size());
    return text;
  }

  llvm::Error import(StringRef domain, int64_t opset) {
    std::string name = domain == "ai.onnx" ? "" : domain.str();
    for (const auto &known : model.opset_import())
      if (known.domain() == name)
        return known.version() == opset ? llvm::Error::success()
                                        : llvm::createStringError("it holds nodes of two versions of one operator set");
    auto &added = *model.add_opset_import();
    added.set_domain(name);
    added.set_version(opset);
    return llvm::Error::success();
  }

  llvm::Error exportInto(NamedAttribute named, pb::AttributeProto &attribute) {
    attribute.set_name(named.getName().str());
    Attribute value = named.getValue();
    if (auto integer = dyn_cast<IntegerAttr>(value)) {
      attribute.set_type(pb::AttributeProto::INT);
      attribute.set_i(integer.getInt());
    } else if (auto real = dyn_cast<FloatAttr>(value)) {
      attribute.set_type(pb::AttributeProto::FLOAT);
      attribute.set_f(real.getValue().convertToFloat());
    } else if (auto text = dyn_cast<StringAttr>(value)) {
      attribute.set_type(pb::AttributeProto::STRING);
      attribute.set_s(text.str());
    } else if (auto integers = dyn_cast<DenseI64ArrayAttr>(value)) {
      attribute.set_type(pb::AttributeProto::INTS);
      for (int64_t element : integers.asArrayRef())
        attribute.add_ints(element);
    } else if (auto reals = dyn_cast<DenseF32ArrayAttr>(value)) {
      attribute.set_type(pb::AttributeProto::FLOATS);
      for (float element : reals.asArrayRef())
        attribute.add_floats(element);
    } else if (auto elements = dyn_cast<ElementsAttr>(value)) {
      attribute.set_type(pb::AttributeProto::TENSOR);
      return exportInto(elements, *attribute.mutable_t());
    } else if (auto list = dyn_cast<ArrayAttr>(value)) {
      return exportList(list, attribute);
    } else {
      return llvm::createStringError("attribute \"" + named.getName().str() + "\" has no place in a model of its own");
    }
    return llvm::Error::success();
  }

  static llvm::Error exportList(ArrayAttr list, pb::AttributeProto &attribute) {
    bool isText = llvm::all_of(list, [](Attribute element) { return isa<StringAttr>(element); });
    attribute.set_type(isText ? pb::AttributeProto::STRINGS : pb::AttributeProto::TENSORS);
    for (Attribute element : list) {
      if (isText)
        attribute.add_strings(cast<StringAttr>(element).str());
      else if (llvm::Error error = exportInto(cast<ElementsAttr>(element), *attribute.add_tensors()))
        return error;
    }
    return llvm::Error::success();
  }

  llvm::Error exportInto(Region &region, pb::GraphProto &graph) {
    graph.set_name("subgraph");
    Block &block = region.front();
    for (Value argument : block.getArguments()) {
      std::string &text = names[argument];
      text = "v" + std::to_string(names.size());
      graph.add_input()->set_name(text);
    }
    for (Operation &op : block.without_terminator()) {
      if (auto node = dyn_cast<mlc::onnx::NodeOp>(op)) {
        if (llvm::Error error = exportInto(node, *graph.add_node()))
          return error;
      } else if (auto constant = dyn_cast<core::ConstantOp>(op)) {
        pb::TensorProto &tensor = *graph.add_initializer();
        tensor.set_name(nameOf(constant));
        if (llvm::Error error = exportInto(constant.getValue(), tensor))
          return error;
      }
    }
    for (Value result : block.getTerminator()->getOperands())
      graph.add_output()->set_name(names.lookup(result));
    return llvm::Error::success();
  }

  pb::ModelProto &model;
  llvm::DenseMap<Value, std::string> names;
};

void describe(const InputValue &tensor, pb::ValueInfoProto &info) {
  auto &type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(tensor.dtype);
  type.mutable_shape();
  for (int64_t size : tensor.shape)
    type.mutable_shape()->add_dim()->set_dim_value(size);
}

void describe(const InputValue &tensor, pb::TensorProto &initializer) {
  initializer.set_data_type(tensor.dtype);
  for (int64_t size : tensor.shape)
    initializer.add_dims(size);
  initializer.set_raw_data(tensor.bytes);
}

} // namespace

llvm::Expected<std::string> mlc::exportNode(mlc::onnx::NodeOp op, StringRef name, ArrayRef<NodeInput> inputs,
                                            ArrayRef<InputValue> resultTypes) {
  pb::ModelProto model;
  int64_t version = mlc::onnx::sourceOf(op->getParentOfType<ModuleOp>()).irVersion;
  model.set_ir_version(version ? version : int64_t(pb::IR_VERSION));
  model.set_producer_name("mlc verify");
  pb::GraphProto &graph = *model.mutable_graph();
  graph.set_name("node");
  Exporter exporter(model);
  for (auto [index, input] : llvm::enumerate(inputs)) {
    std::string text = "x" + std::to_string(index);
    exporter.name(input.value, text);
    if (input.isConstant) {
      describe(input.tensor, *graph.add_initializer());
      graph.mutable_initializer()->rbegin()->set_name(text);
    } else {
      describe(input.tensor, *graph.add_input());
      graph.mutable_input()->rbegin()->set_name(text);
    }
  }
  for (auto [index, number] : llvm::enumerate(resultsUsed(op))) {
    std::string text = "y" + std::to_string(number);
    exporter.name(op->getResult(number), text);
    graph.add_output()->set_name(text);
    if (index < resultTypes.size())
      describe(resultTypes[index], *graph.mutable_output()->rbegin());
  }
  pb::NodeProto &node = *graph.add_node();
  node.set_name(name.str());
  if (llvm::Error error = exporter.exportInto(op, node))
    return std::move(error);
  return model.SerializeAsString();
}
