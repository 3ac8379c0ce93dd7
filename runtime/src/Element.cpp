// Element.cpp: the table of element types and the size of a dense tensor.
#include "Element.h"

namespace mlc {

static const Element elements[] = {
    {0, 1, "unknown", ""},
    {MLC_FLOAT32, 4, "float32", "F32"},
    {MLC_UINT8, 1, "uint8", "U8"},
    {MLC_INT8, 1, "int8", "I8"},
    {MLC_UINT16, 2, "uint16", "U16"},
    {MLC_INT16, 2, "int16", "I16"},
    {MLC_INT32, 4, "int32", "I32"},
    {MLC_INT64, 8, "int64", "I64"},
    {MLC_BOOL, 1, "bool", "BOOL"},
    {MLC_FLOAT16, 2, "float16", "F16"},
    {MLC_FLOAT64, 8, "float64", "F64"},
    {MLC_UINT32, 4, "uint32", "U32"},
    {MLC_UINT64, 8, "uint64", "U64"},
    {MLC_BFLOAT16, 2, "bfloat16", "BF16"},
};

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
