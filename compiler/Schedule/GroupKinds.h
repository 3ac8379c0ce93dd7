// What a linalg.generic on tensors can be made into; GroupOps and OutlineGroups share it.
#ifndef MLC_COMPILER_SCHEDULE_GROUPKINDS_H
#define MLC_COMPILER_SCHEDULE_GROUPKINDS_H
#include "dialects/sched/Kernel.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace mlc {

/// All loops parallel, plain maps, results written once.
bool isPointwise(mlir::linalg::GenericOp op);

/// Pointwise, Rows, Contract or Loops, for the op alone.
sched::Kind groupKind(mlir::linalg::GenericOp op);

} // namespace mlc
#endif
