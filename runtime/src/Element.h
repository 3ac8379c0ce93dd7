// Element.h: what the runtime knows of element types: their size, their name in messages, their name in safetensors.
// Separate because calls, parameters and checkpoints all need it.
#ifndef MLC_RUNTIME_ELEMENT_H
#define MLC_RUNTIME_ELEMENT_H

#include "mlc/mlc.h"

namespace mlc {

struct Element {
  int8_t dtype; // mlc_dtype; 0 for a type that no tensor can have
  int8_t bytes;
  char name[10];
  char safetensorsName[5];
};

/// The row of `dtype`; a row with dtype 0 and the name "unknown" for any other number.
const Element &elementOf(int32_t dtype);

/// bytes = product of the sizes times the element's bytes; false if a size is negative or the product overflows.
bool tensorBytes(int32_t dtype, int32_t rank, const int64_t *shape, int64_t *bytes);

} // namespace mlc
#endif
