// The kernel generators behind the pass LowerKernels: one for each kind of group (docs/ir.md, section 4). Each replaces the
// linalg ops of a kernel's body by one scf.forall of tasks over loops of vectors, following the kernel's #sched.tiling.
#ifndef MLC_COMPILER_SCHEDULE_KERNELS_H
#define MLC_COMPILER_SCHEDULE_KERNELS_H
#include "dialects/sched/Sched.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlc {

// Attributes on a kernel's function.
inline constexpr llvm::StringLiteral kKindAttr = "sched.kind";     // "pointwise" | "rows" | "contract" | "loops"
inline constexpr llvm::StringLiteral kTilingAttr = "sched.tiling"; // #sched.tiling
inline constexpr llvm::StringLiteral kGroupAttr = "sched.group";   // i64 on ops before outlining

/// The kernel's kind, "" for functions that are no kernels.
inline llvm::StringRef kernelKind(mlir::func::FuncOp function) {
  auto kind = function->getAttrOfType<mlir::StringAttr>(kKindAttr);
  return kind ? kind.getValue() : llvm::StringRef();
}

/// Tasks are GPU threads: one iteration, row or register tile each.
inline bool isPerThread(sched::TilingAttr tiling) {
  return tiling && tiling.getLanes() == 1 && !tiling.getTask().empty() && !llvm::is_contained(tiling.getTask(), 0);
}

mlir::LogicalResult lowerPointwise(mlir::func::FuncOp kernel, sched::TilingAttr tiling);
mlir::LogicalResult lowerRows(mlir::func::FuncOp kernel, sched::TilingAttr tiling);
mlir::LogicalResult lowerContract(mlir::func::FuncOp kernel, sched::TilingAttr tiling);
/// Also the fallback: any mix of linalg ops on buffers, memref.copy and core's structured ops, without a plan.
mlir::LogicalResult lowerLoops(mlir::func::FuncOp kernel);

} // namespace mlc
#endif
