// Diagnostics as users see them: `model.onnx:/encoder/MatMul_3: error: text`. The place is the model's node, not a line.
#ifndef MLC_COMPILER_IMPORT_DIAGNOSTICS_H
#define MLC_COMPILER_IMPORT_DIAGNOSTICS_H
#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/raw_ostream.h"
#include <string>

namespace mlc {

/// Prints every diagnostic of a context to a stream while it lives, with the name of the model's file in front.
class ModelDiagnostics : public mlir::ScopedDiagnosticHandler {
public:
  ModelDiagnostics(mlir::MLIRContext &context, llvm::StringRef modelPath, llvm::raw_ostream &os);

  unsigned errorCount() const { return errors; }
  /// True if errors were reported and all of them say that mlc lacks something; false if any says that the model is wrong.
  /// The words decide: "... is not supported" is how every stage says it (STYLE.md).
  bool isUnsupportedOnly() const { return unsupported > 0 && unsupported == errors; }

private:
  void print(mlir::Diagnostic &diagnostic);

  std::string modelName;
  llvm::raw_ostream &os;
  unsigned errors = 0, unsupported = 0;
};

/// The name that a location gives to its node; empty if it has none.
std::string nodeNameOf(mlir::Location location);

/// Text from a file, made fit for a terminal: control characters and broken UTF-8 are escaped.
std::string printable(llvm::StringRef text);

} // namespace mlc
#endif
