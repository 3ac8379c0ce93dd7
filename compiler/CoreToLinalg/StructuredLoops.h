// Loops for the core ops that have no form in linalg: scan, sort, scatter_nd, scatter_elements.
#ifndef MLC_COMPILER_CORETOLINALG_STRUCTUREDLOOPS_H
#define MLC_COMPILER_CORETOLINALG_STRUCTUREDLOOPS_H
#include "mlir/IR/Builders.h"
#include "mlir/IR/Operation.h"

namespace mlc {
/// Emits scf loops over memrefs at the builder's place: what `op` computes of `inputs` (one memref for each operand) goes to `outputs` (one for
/// each result; it may not alias an input). The op itself stays. Fails if it is none of these ops.
llvm::LogicalResult lowerToLoops(mlir::Operation *op, mlir::OpBuilder &b, mlir::ValueRange inputs,
                                 mlir::ValueRange outputs);
} // namespace mlc
#endif
