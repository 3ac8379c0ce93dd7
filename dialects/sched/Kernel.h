// What a kernel's function says of itself: its kind and its plan. Typed views of `sched.kind` and `sched.tiling`, and of `sched.group`, which
// ties ops together before they are a function.
#ifndef MLC_DIALECTS_SCHED_KERNEL_H
#define MLC_DIALECTS_SCHED_KERNEL_H
#include "dialects/sched/Sched.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlc::sched {

inline constexpr llvm::StringLiteral kindName = "sched.kind", tilingName = "sched.tiling", groupName = "sched.group";

/// Of a kernel, of a task that was outlined of one, or of the first op of a group; nothing otherwise.
inline std::optional<Kind> kindOf(mlir::Operation *op) {
  auto kind = op->getAttrOfType<KindAttr>(kindName);
  return kind ? std::optional(kind.getValue()) : std::nullopt;
}
inline void setKind(mlir::Operation *op, Kind kind) { op->setAttr(kindName, KindAttr::get(op->getContext(), kind)); }
inline bool isKernel(mlir::func::FuncOp function) { return kindOf(function).has_value(); }

/// Null before PlanTiling, and of kernels without a plan.
inline TilingAttr tilingOf(mlir::func::FuncOp kernel) { return kernel->getAttrOfType<TilingAttr>(tilingName); }
inline void setTiling(mlir::func::FuncOp kernel, TilingAttr tiling) { kernel->setAttr(tilingName, tiling); }

/// The number of an op's group.
inline std::optional<int64_t> groupOf(mlir::Operation *op) {
  auto group = op->getAttrOfType<mlir::IntegerAttr>(groupName);
  return group ? std::optional(group.getInt()) : std::nullopt;
}
inline void setGroup(mlir::Operation *op, int64_t group) {
  op->setAttr(groupName, mlir::Builder(op->getContext()).getI64IntegerAttr(group));
}

/// Takes kind and plan off what becomes LLVM's.
template <typename Op> void removeFacts(Op op) {
  op->removeAttr(kindName);
  op->removeAttr(tilingName);
}

/// Tasks are GPU threads: one iteration, row or register tile each.
inline bool isPerThread(TilingAttr tiling) {
  return tiling && tiling.getLanes() == 1 && !tiling.getTask().empty() && !llvm::is_contained(tiling.getTask(), 0);
}

} // namespace mlc::sched
#endif
