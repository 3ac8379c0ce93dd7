// From a linalg.generic to the planner's plain data.
#ifndef MLC_COMPILER_SCHEDULE_KERNELNEST_H
#define MLC_COMPILER_SCHEDULE_KERNELNEST_H
#include "compiler/Schedule/Tiling.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace mlc {

/// The loops of `op` and how its operands (tensors count as row-major, memrefs by their strides) move along them.
LoopNest describeNest(mlir::linalg::GenericOp op, sched::Kind kind);

} // namespace mlc
#endif
