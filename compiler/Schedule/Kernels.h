// The kernel generators behind the pass LowerKernels: one for each kind of group (docs/ir.md, section 4). Each replaces the
// linalg ops of a kernel's body by one scf.forall of tasks over loops of vectors, following the kernel's #sched.tiling.
#ifndef MLC_COMPILER_SCHEDULE_KERNELS_H
#define MLC_COMPILER_SCHEDULE_KERNELS_H
#include "dialects/sched/Kernel.h"

namespace mlc {

mlir::LogicalResult lowerPointwise(mlir::func::FuncOp kernel, sched::TilingAttr tiling);
mlir::LogicalResult lowerRows(mlir::func::FuncOp kernel, sched::TilingAttr tiling);
mlir::LogicalResult lowerContract(mlir::func::FuncOp kernel, sched::TilingAttr tiling);
/// Also the fallback: any mix of linalg ops on buffers, memref.copy and core's structured ops, without a plan.
mlir::LogicalResult lowerLoops(mlir::func::FuncOp kernel);

} // namespace mlc
#endif
