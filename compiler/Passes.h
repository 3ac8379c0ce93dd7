// Declarations of every pass (see Passes.td) and their registration for mlc-opt.
#ifndef MLC_COMPILER_PASSES_H
#define MLC_COMPILER_PASSES_H
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlc {
#define GEN_PASS_DECL
#include "compiler/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "compiler/Passes.h.inc"
} // namespace mlc
#endif
