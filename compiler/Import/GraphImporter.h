// Nodes, subgraphs and model-local functions as operations of the onnx dialect.
#ifndef MLC_COMPILER_IMPORT_GRAPHIMPORTER_H
#define MLC_COMPILER_IMPORT_GRAPHIMPORTER_H
#include "compiler/Import/Attributes.h"
#include "mlir/IR/Builders.h"

namespace mlc {

/// Names of values in a graph; a subgraph also sees those of the graphs around it, a function body does not.
class ValueScope {
public:
  explicit ValueScope(const ValueScope *outer = nullptr) : outer(outer) {}
  mlir::Value find(llvm::StringRef name) const;
  /// False if this graph already has the name.
  bool define(llvm::StringRef name, mlir::Value value) { return values.try_emplace(name, value).second; }

private:
  const ValueScope *outer;
  llvm::StringMap<mlir::Value> values;
};

class GraphImporter {
public:
  /// `entry` receives operations that every region may use (onnx.absent).
  GraphImporter(const pb::ModelProto &model, AttributeImporter &attributes, mlir::OpBuilder &builder,
                mlir::Block *entry, bool keepsGoing);

  /// Checks the model's imports and functions.
  mlir::LogicalResult prepare(mlir::Location location);
  /// Initializers and nodes of the main graph, at the builder's place; `scope` holds the inputs.
  mlir::LogicalResult importMain(const pb::GraphProto &graph, ValueScope &scope);
  /// Stands for a value that could not be read; decomposition skips what needs it, and fails.
  mlir::Value unknown();

private:
  struct Frame;
  using Opsets = llvm::StringMap<int64_t>;
  using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;

  mlir::LogicalResult readOpsets(const google::protobuf::RepeatedPtrField<pb::OperatorSetIdProto> &imports,
                                 Opsets &opsets, mlir::Location location);
  mlir::LogicalResult importInitializers(const pb::GraphProto &graph, ValueScope &scope, const Frame &frame);
  mlir::LogicalResult importNodes(const Nodes &nodes, ValueScope &scope, const Frame &frame);
  mlir::LogicalResult importNode(const Nodes &nodes, int index, ValueScope &scope, const Frame &frame);
  mlir::LogicalResult importCall(const pb::NodeProto &node, const pb::FunctionProto &function,
                                 mlir::ValueRange operands, ValueScope &scope, const Frame &frame,
                                 mlir::Location location);
  mlir::LogicalResult importSubgraph(const pb::GraphProto &graph, mlir::Region &region, const ValueScope &outer,
                                     const Frame &frame, mlir::Location location);
  mlir::FailureOr<llvm::SmallVector<mlir::Value>> operandsOf(const pb::NodeProto &node, const ValueScope &scope,
                                                             mlir::Location location);
  mlir::LogicalResult defineResults(const pb::NodeProto &node, mlir::ValueRange results, ValueScope &scope,
                                    mlir::Location location);
  const pb::AttributeProto *resolve(const pb::AttributeProto &attribute, const Frame &frame);
  /// Counts what inlined functions make of a small file.
  mlir::LogicalResult spend(int64_t units, const Frame &frame, mlir::Location location);
  mlir::Location locationOf(const pb::NodeProto &node, int index, const Frame &frame);
  mlir::LogicalResult report(mlir::Location location, const llvm::Twine &where, llvm::Error error);
  mlir::Value absent();
  /// The same error for many tensors once: "initializer "w0" and 55 more: ...".
  mlir::LogicalResult reportTogether(llvm::ArrayRef<std::pair<std::string, std::string>> errors);

  const pb::ModelProto &model;
  AttributeImporter &attributes;
  mlir::OpBuilder &builder;
  mlir::Block *entry;
  mlir::Value absentValue;
  bool keepsGoing;
  Opsets modelOpsets;
  llvm::StringMap<const pb::FunctionProto *> functions;
  llvm::DenseMap<const pb::FunctionProto *, Opsets> functionOpsets;
  int64_t inlinedUnits = 0;
};

} // namespace mlc
#endif
