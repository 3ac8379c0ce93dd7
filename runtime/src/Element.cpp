// Element.cpp: the table of element types and the size of a dense tensor.
#include "Element.h"

namespace mlc {

static const Element elements[] = {
    {0, 1, "unknown", ""},
#define MLC_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, CPP, FIELD, NPY, SAFETENSORS)                                  \
  {MLC_##NAME, (BITS + 7) / 8, TEXT, SAFETENSORS},
#include "mlc/types.def"
};

#define MLC_TYPE(NAME, CODE, ...) static_assert(MLC_##NAME == CODE, "mlc.h and types.def differ");
#include "mlc/types.def"

const Element &elementOf(int32_t dtype) {
  for (const Element &element : elements)
    if (element.dtype == dtype)
      return element;
  return elements[0];
}

bool tensorBytes(int32_t dtype, int32_t rank, const int64_t *shape, int64_t *bytes) {
  // A zero anywhere makes the tensor empty, however large the other sizes are.
  bool empty = false;
  for (int32_t axis = 0; axis < rank; ++axis) {
    if (shape[axis] < 0)
      return false;
    empty |= shape[axis] == 0;
  }
  *bytes = 0;
  if (empty)
    return true;
  int64_t product = elementOf(dtype).bytes;
  for (int32_t axis = 0; axis < rank; ++axis)
    if (__builtin_mul_overflow(product, shape[axis], &product))
      return false;
  *bytes = product;
  return true;
}

} // namespace mlc
