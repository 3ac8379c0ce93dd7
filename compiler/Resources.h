// Resources: the bytes of large constants live in the context, not in the IR, so nothing frees them when an operation goes. A model
// of many gigabytes is compiled in twice its weights only if what passes have replaced is let go.
#ifndef MLC_COMPILER_RESOURCES_H
#define MLC_COMPILER_RESOURCES_H
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"

namespace mlc {

/// Frees the bytes of every constant that no attribute of the module names any more.
void releaseUnusedResources(mlir::ModuleOp module);

/// Frees the bytes of `value` if it is a resource. Nobody may read them afterwards.
void releaseResource(mlir::ElementsAttr value);

} // namespace mlc
#endif
