// Comparison of tensors with tolerances, and printing of tensors for people.
#ifndef MLC_TOOLS_MLC_COMPARE_H
#define MLC_TOOLS_MLC_COMPARE_H
#include "TensorFile.h"
#include "llvm/Support/raw_ostream.h"

namespace mlc {

struct Tolerance {
  double relative, absolute;
};

struct Comparison {
  double maxAbsoluteError = 0, maxRelativeError = 0;
  int64_t mismatchCount = 0, firstMismatch = -1; // flat index
};

/// Element-wise |actual - expected| <= absolute + relative * |expected|; NaN equals NaN. Integers and bools must be equal.
/// Both have one type and shape.
Comparison compareTensors(const HostTensor &actual, const HostTensor &expected, Tolerance tolerance);

/// "[0,3,1]"
std::string positionText(const HostTensor &tensor, int64_t flatIndex);
std::string elementText(const HostTensor &tensor, int64_t flatIndex);

/// `name: float32[1,10] = ...`, all elements of small tensors, the ends of large ones.
void printTensor(llvm::raw_ostream &os, llvm::StringRef name, const HostTensor &tensor);

} // namespace mlc
#endif
