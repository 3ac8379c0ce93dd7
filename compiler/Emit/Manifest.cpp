// writeManifest (Emit.h): what a program or a person wants to know of a library without loading it.
#include "compiler/Emit/Emit.h"
#include "compiler/Version.h"
#include "dialects/core/ElementTypes.h"
#include "mlc/mlc.h"
#include "llvm/Support/JSON.h"

using namespace llvm;

namespace {

json::Array strings(ArrayRef<std::string> values) {
  json::Array array;
  for (const std::string &value : values)
    array.push_back(json::fixUTF8(value));
  return array;
}

/// Shapes mix numbers, names of symbols, null for sizes that the library computes, and for those that only the data tells
/// {"bound": their upper bound if it is constant, else null}.
json::Array values(ArrayRef<mlc::ValueInfo> infos, ArrayRef<std::string> symbols) {
  json::Array array;
  for (const mlc::ValueInfo &info : infos) {
    json::Array shape;
    for (const mlc::DimInfo &dim : info.dims)
      if (dim.value >= 0)
        shape.push_back(dim.value);
      else if (dim.symbol >= 0)
        shape.push_back(json::fixUTF8(symbols[dim.symbol]));
      else if (dim.isBounded)
        shape.push_back(json::Object{{"bound", dim.bound >= 0 ? json::Value(dim.bound) : json::Value(nullptr)}});
      else
        shape.push_back(nullptr);
    array.push_back(json::Object{
        {"name", json::fixUTF8(info.name)}, {"dtype", mlc::dataTypeName(info.dtype)}, {"shape", std::move(shape)}});
  }
  return array;
}

json::Value orNull(std::optional<int64_t> value) { return value ? json::Value(*value) : json::Value(nullptr); }

/// As messages of the runtime write it.
std::string structureText(const mlc::Artifact &artifact) {
  return formatv("{0:x-16}{1:x-16}", artifact.weightsStructure[0], artifact.weightsStructure[1]).str();
}

} // namespace

std::string mlc::writeManifest(const Artifact &artifact) {
  json::Array kernels;
  for (const Kernel &kernel : artifact.kernels)
    kernels.push_back(json::Object{{"name", kernel.name}, {"kind", kernel.kind}, {"calls", kernel.calls}});
  json::Object memory{{"weights_bytes", artifact.weightsBytes},
                      {"state_bytes", artifact.stateBytes},
                      {"workspace_bytes", orNull(artifact.arenaBytes)}};
  json::Object weights{{"bytes", artifact.weightsBytes}, {"structure", structureText(artifact)}};
  weights["file"] = artifact.weightsFileName.empty() ? json::Value(nullptr) : json::fixUTF8(artifact.weightsFileName);
  json::Object root{{"name", artifact.name},
                    {"model", json::fixUTF8(artifact.model)},
                    {"source_hash", artifact.sourceHash},
                    {"compiler", "mlc " MLC_VERSION},
                    {"abi_version", MLC_ABI_VERSION},
                    {"target", artifact.target},
                    {"triple", artifact.triple},
                    {"cpu", artifact.cpu},
                    {"cpu_features", strings(artifact.cpuFeatures)},
                    {"symbols", strings(artifact.symbols)},
                    {"inputs", values(artifact.inputs, artifact.symbols)},
                    {"outputs", values(artifact.outputs, artifact.symbols)}};
  if (artifact.trainable) {
    memory["train_workspace_bytes"] = orNull(artifact.trainArenaBytes);
    root["training"] = json::Object{{"inputs", values(artifact.trainInputs, artifact.symbols)},
                                    {"outputs", values(artifact.trainOutputs, artifact.symbols)},
                                    {"parameters", values(artifact.params, artifact.symbols)}};
  }
  if (!artifact.deviceArch.empty())
    root["device_arch"] = artifact.deviceArch;
  root["weights"] = std::move(weights);
  root["memory"] = std::move(memory);
  root["kernels"] = std::move(kernels);
  std::string text;
  raw_string_ostream os(text);
  os << formatv("{0:2}", json::Value(std::move(root))) << '\n';
  return text;
}
