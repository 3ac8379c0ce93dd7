// What a linalg.generic on tensors can be made into; GroupOps and OutlineGroups share it.
#ifndef MLC_COMPILER_SCHEDULE_GROUPKINDS_H
#define MLC_COMPILER_SCHEDULE_GROUPKINDS_H
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace mlc {

/// All loops parallel, plain maps, results written once.
bool isPointwise(mlir::linalg::GenericOp op);

/// "pointwise", "rows", "contract" or "loops" (docs/ir.md, section 4), for the op alone.
llvm::StringRef groupKind(mlir::linalg::GenericOp op);

} // namespace mlc
#endif
