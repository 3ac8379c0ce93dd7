// See ElementTypes.h.
#include "dialects/core/ElementTypes.h"
#include "mlc/mlc.h"

using namespace mlir;

namespace {
enum Kind { Signed, Unsigned, Bool }; // of integers
} // namespace

Type mlc::elementTypeOf(int64_t dtype, MLIRContext *context) {
  switch (dtype) {
#define MLC_FLOAT_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, CPP, FIELD, NPY, SAFETENSORS, MLIR, ...)                 \
  case MLC_##NAME:                                                                                                     \
    return MLIR::get(context);
#define MLC_INTEGER_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, ...)                                                      \
  case MLC_##NAME:                                                                                                     \
    return IntegerType::get(context, BITS, KIND == Unsigned ? IntegerType::Unsigned : IntegerType::Signless);
#include "mlc/types.def"
  default:
    return {};
  }
}

Type mlc::onnxTypeOf(int64_t dataType, MLIRContext *context) {
  switch (dataType) {
#define MLC_OTHER_TYPE(CODE, TEXT, TYPE)                                                                               \
  case CODE:                                                                                                           \
    return TYPE;
#include "mlc/types.def"
  default:
    return elementTypeOf(dataType, context);
  }
}

int32_t mlc::dtypeOf(Type element) {
  auto integer = dyn_cast<IntegerType>(element);
#define MLC_FLOAT_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, CPP, FIELD, NPY, SAFETENSORS, MLIR, ...)                 \
  if (isa<MLIR>(element))                                                                                              \
    return MLC_##NAME;
#define MLC_INTEGER_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, ...)                                                      \
  if (integer && integer.getWidth() == BITS && (KIND == Bool || integer.isUnsigned() == (KIND == Unsigned)))           \
    return MLC_##NAME;
#include "mlc/types.def"
  return 0;
}

StringRef mlc::dataTypeName(int32_t dataType) {
  switch (dataType) {
#define MLC_TYPE(NAME, CODE, TEXT, ...)                                                                                \
  case CODE:                                                                                                           \
    return TEXT;
#define MLC_OTHER_TYPE(CODE, TEXT, ...)                                                                                \
  case CODE:                                                                                                           \
    return TEXT;
#include "mlc/types.def"
  default:
    return "unknown";
  }
}

unsigned mlc::dataTypeBytes(int32_t dataType) {
  switch (dataType) {
#define MLC_TYPE(NAME, CODE, TEXT, ONNX, BITS, ...)                                                                    \
  case CODE:                                                                                                           \
    return (BITS + 7) / 8;
#include "mlc/types.def"
  default:
    return 0;
  }
}

bool mlc::isFloat(int32_t dataType) {
  switch (dataType) {
#define MLC_FLOAT_TYPE(NAME, CODE, ...) case CODE:
#include "mlc/types.def"
    return true;
  default:
    return false;
  }
}
