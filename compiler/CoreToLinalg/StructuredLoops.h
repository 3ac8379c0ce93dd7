// Loops for the core ops that have no form in linalg: scan, sort, sort_rows, scatter_nd, scatter_elements, compact, nms.
#ifndef MLC_COMPILER_CORETOLINALG_STRUCTUREDLOOPS_H
#define MLC_COMPILER_CORETOLINALG_STRUCTUREDLOOPS_H
#include "mlir/IR/Builders.h"
#include "mlir/IR/Operation.h"

namespace mlc {
/// Is this one of these ops?
bool isStructured(mlir::Operation *op);

/// Emits scf loops at the builder's place: what `op` computes of `inputs` (a memref for each tensor, an index for each index operand)
/// goes to the memrefs `outputs` (one for each result; it may not alias an input). The op itself stays. Fails if it is none of these ops.
llvm::LogicalResult lowerToLoops(mlir::Operation *op, mlir::OpBuilder &b, mlir::ValueRange inputs,
                                 mlir::ValueRange outputs);
} // namespace mlc
#endif
