// Element types, from the lines of mlc/types.def: between ONNX's numbers, which are also those of mlc_dtype, and MLIR's types; names.
// Separate because import, rules, emission and tools all ask.
#ifndef MLC_DIALECTS_CORE_ELEMENTTYPES_H
#define MLC_DIALECTS_CORE_ELEMENTTYPES_H
#include "mlir/IR/BuiltinTypes.h"

namespace mlc {

/// The MLIR type of an mlc_dtype; null for any other number.
mlir::Type elementTypeOf(int64_t dtype, mlir::MLIRContext *context);
/// Also of what tensors of a library cannot hold: complex numbers, 8-bit floats, integers of a few bits. Null for strings.
mlir::Type onnxTypeOf(int64_t dataType, mlir::MLIRContext *context);
/// The mlc_dtype of an MLIR type; 0: there is none.
int32_t dtypeOf(mlir::Type element);

/// "float32"; for types that mlc does not have, ONNX's name: "float8e4m3fn". "unknown" for what ONNX does not have.
llvm::StringRef dataTypeName(int32_t dataType);
/// Bytes of one element; 0 for types that mlc does not have.
unsigned dataTypeBytes(int32_t dataType);
bool isFloat(int32_t dataType);

} // namespace mlc
#endif
