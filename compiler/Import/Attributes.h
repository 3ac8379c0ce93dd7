// From protobuf to MLIR's builtin attributes: tensors, node attributes.
#ifndef MLC_COMPILER_IMPORT_ATTRIBUTES_H
#define MLC_COMPILER_IMPORT_ATTRIBUTES_H
#include "compiler/Import/TensorData.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"

namespace mlc {

/// Row-major elements, of which a bool is one byte, as `dense`.
mlir::ElementsAttr denseElements(mlir::RankedTensorType type, llvm::StringRef bytes);

/// Converts protobuf objects once each: a function body that is inlined a thousand times shares its tensors.
class AttributeImporter {
public:
  AttributeImporter(std::shared_ptr<ModelFile> file, mlir::MLIRContext *context)
      : file(std::move(file)), context(context) {}

  /// Small tensors are `dense`; above 1 KiB they are resources that point into the mapped file when its bytes are aligned.
  llvm::Expected<mlir::ElementsAttr> tensor(const pb::TensorProto &tensor);
  /// Every kind but graphs.
  llvm::Expected<mlir::Attribute> attribute(const pb::AttributeProto &attribute);

private:
  llvm::Expected<mlir::Attribute> convert(const pb::AttributeProto &attribute);

  std::shared_ptr<ModelFile> file;
  mlir::MLIRContext *context;
  llvm::DenseMap<const pb::TensorProto *, mlir::ElementsAttr> tensors;
  llvm::DenseMap<const pb::AttributeProto *, mlir::Attribute> attributes;
};

/// The kind of an attribute; files of IR version 1 leave `type` unset and fill a field.
pb::AttributeProto::AttributeType attributeKind(const pb::AttributeProto &attribute);

} // namespace mlc
#endif
