// What the model says of the inputs and outputs of a function: names, symbolic dimensions, declared types; and where it comes from. They are
// attributes `onnx.*` of the function's arguments and results, and of the module; nothing else reads or writes these.
#ifndef MLC_DIALECTS_ONNX_SIGNATURE_H
#define MLC_DIALECTS_ONNX_SIGNATURE_H
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <string>
#include <vector>

namespace mlc::onnx {

/// The file that a module was read from.
struct Source {
  llvm::StringRef name; // without a folder
  llvm::StringRef hash; // "xxh3:..." of its bytes
  int64_t irVersion = 0;
  llvm::SmallVector<llvm::StringRef> externalData; // files beside it that hold weights, as it names them
};
/// Empty names where the module does not say.
Source sourceOf(mlir::ModuleOp module);
void setSource(mlir::ModuleOp module, const Source &source);

class Declaration {
public:
  static Declaration ofArgument(mlir::func::FuncOp function, unsigned i) { return function.getArgAttrDict(i); }
  static Declaration ofResult(mlir::func::FuncOp function, unsigned i) { return function.getResultAttrDict(i); }

  /// "" if it has none.
  llvm::StringRef name() const;
  /// Of a dimension; "" if it has none.
  llvm::StringRef symbol(int64_t axis) const;
  /// Of an output, as the model declares it until DecomposeOnnx has compared; null if the model does not say.
  mlir::Type type() const;

  mlir::DictionaryAttr withoutType() const;
  /// `symbols`: one for each dimension, "" where it has none; of an output whose type is not declared there is no list.
  static mlir::DictionaryAttr make(mlir::Builder builder, llvm::StringRef name,
                                   std::optional<llvm::ArrayRef<std::string>> symbols, mlir::Type type = {});

private:
  Declaration(mlir::DictionaryAttr attributes) : attributes(attributes) {}
  mlir::DictionaryAttr attributes; // null: none
};

/// The symbol of a dimension of a function's argument; "" of other values.
llvm::StringRef symbolOf(mlir::Value value, int64_t axis);

/// The symbolic dimensions of a model, in the order of mlc_call.dims: first occurrence over the arguments of @main, then of @train_step. A
/// dynamic dimension without a name is a symbol of its own, called `<input>_dim<axis>`.
struct Symbols {
  std::vector<std::string> names;

  static Symbols of(mlir::ModuleOp module);
  /// The symbol of a dynamic dimension of an argument.
  int64_t find(mlir::func::FuncOp function, unsigned argument, unsigned axis) const;
  /// -1 if there is none of this name.
  int64_t find(llvm::StringRef name) const;
};

} // namespace mlc::onnx
#endif
