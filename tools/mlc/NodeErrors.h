// How far a result is from what the reference says it should be.
#ifndef MLC_TOOLS_MLC_NODEERRORS_H
#define MLC_TOOLS_MLC_NODEERRORS_H
#include "TensorFile.h"
#include "compiler/Reference/Tensor.h"

namespace mlc {

/// What is accepted. An element may differ by relative * |expected| + absolute, and by ulpMax units in its last place.
struct ErrorBounds {
  std::optional<double> relative, absolute; // not given: by element type, see boundsFor
  double ulpMax = HUGE_VAL;
};

struct ErrorSummary {
  double maxUlp = 0;      // in units of the last place of the exact value
  double maxRelative = 0; // |difference| / |expected|, where expected is not 0
  double ofTolerance = 0; // the largest |difference| as a share of what is accepted
  int64_t beyondCount = 0, firstBeyond = -1;
  std::string detail; // the first element beyond the bounds, or why nothing could be compared

  bool isFine() const { return detail.empty(); }
  void add(const ErrorSummary &other);
};

/// `slack` widens the default bounds (whole models collect the errors of their nodes).
ErrorSummary compareWithReference(const HostTensor &actual, const reference::Tensor &expected,
                                  const ErrorBounds &bounds, double slack);

reference::Tensor toReference(const HostTensor &tensor);
/// Rounded to the element type.
llvm::Expected<HostTensor> toHost(const reference::Tensor &tensor);

} // namespace mlc
#endif
