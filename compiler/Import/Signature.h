// The inputs and outputs of a model: their types, the names of their dynamic sizes, and what --dim and --shape make of them.
#ifndef MLC_COMPILER_IMPORT_SIGNATURE_H
#define MLC_COMPILER_IMPORT_SIGNATURE_H
#include "compiler/Compile.h"
#include "compiler/Import/OnnxProto.h"
#include "mlir/IR/BuiltinTypes.h"

namespace mlc {

/// The sizes that --dim and --shape gave to symbols.
using SymbolSizes = llvm::StringMap<int64_t>;

struct ModelInput {
  std::string name;
  mlir::RankedTensorType type;
  llvm::SmallVector<std::string> symbols; // one for each dimension; "" where the size is static
};

/// Types of all inputs that are not initializers. Every dynamic dimension has a symbol afterwards, `x_dim0` if the model has none.
/// `unknown`: with options.keepsGoing the names of inputs that are not supported, which fail otherwise.
mlir::FailureOr<std::vector<ModelInput>> bindInputs(const pb::GraphProto &graph, const CompileOptions &options,
                                                    mlir::Location location, SymbolSizes &sizes,
                                                    std::vector<std::string> &unknown);

/// What the model declares an output to be, if it does; a hint, nothing verifies it.
struct DeclaredOutput {
  mlir::RankedTensorType type; // null: unknown
  llvm::SmallVector<std::string> symbols;
};

mlir::FailureOr<DeclaredOutput> declaredOutput(const pb::ValueInfoProto &output, const SymbolSizes &sizes,
                                               mlir::Location location);

} // namespace mlc
#endif
