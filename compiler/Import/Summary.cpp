// See Summary.h.
#include "compiler/Import/Summary.h"
#include "compiler/Import/TensorData.h"
#include "dialects/core/ElementTypes.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/MathExtras.h"

using namespace mlc;

static std::string typeText(const pb::TypeProto &type) {
  if (!type.has_tensor_type())
    return type.value_case() == pb::TypeProto::VALUE_NOT_SET ? "unknown" : "not a tensor";
  std::string text = dataTypeName(type.tensor_type().elem_type()).str();
  if (!type.tensor_type().has_shape())
    return text + "[...]";
  auto sizes = llvm::map_range(type.tensor_type().shape().dim(), [](const auto &dim) {
    return dim.has_dim_value() ? std::to_string(dim.dim_value()) : dim.dim_param().empty() ? "?" : dim.dim_param();
  });
  return text + "[" + llvm::join(sizes, ",") + "]";
}

// Subgraphs nest at most as deep as WireFormat lets messages nest.
static void countOperators(const google::protobuf::RepeatedPtrField<pb::NodeProto> &nodes, ModelSummary &summary) {
  for (const auto &node : nodes) {
    bool isStandard = node.domain().empty() || node.domain() == "ai.onnx";
    ++summary.operators[isStandard ? node.op_type() : node.domain() + "." + node.op_type()];
    for (const auto &attribute : node.attribute()) {
      countOperators(attribute.g().node(), summary);
      for (const auto &graph : attribute.graphs())
        countOperators(graph.node(), summary);
    }
  }
}

llvm::Expected<ModelSummary> mlc::summarizeOnnx(llvm::StringRef path) {
  auto file = ModelFile::open(path);
  if (!file)
    return file.takeError();
  const pb::ModelProto &model = (*file)->model();
  ModelSummary summary;
  summary.irVersion = model.ir_version();
  summary.producer = llvm::StringRef(model.producer_name() + " " + model.producer_version()).trim().str();
  for (const auto &import : model.opset_import())
    summary.opsets.emplace_back(import.domain().empty() ? "ai.onnx" : import.domain(), import.version());
  llvm::StringSet<> initializers;
  for (const auto &tensor : model.graph().initializer()) {
    initializers.insert(tensor.name());
    ++summary.initializerCount;
    if (auto count = checkedByteCount(llvm::ArrayRef<int64_t>(tensor.dims().data(), tensor.dims_size()), 1))
      summary.initializerElements = llvm::SaturatingAdd<uint64_t>(summary.initializerElements, *count);
    else
      llvm::consumeError(count.takeError());
  }
  for (const auto &input : model.graph().input())
    if (!initializers.contains(input.name()))
      summary.inputs.push_back({input.name(), typeText(input.type())});
  for (const auto &output : model.graph().output())
    summary.outputs.push_back({output.name(), typeText(output.type())});
  countOperators(model.graph().node(), summary);
  for (const auto &function : model.functions()) {
    summary.functions.push_back(function.domain() + "." + function.name());
    countOperators(function.node(), summary);
  }
  return summary;
}
