// The rt dialect (see RtOps.td).
#ifndef MLC_DIALECTS_RT_RT_H
#define MLC_DIALECTS_RT_RT_H
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/rt/RtDialect.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/rt/RtAttributes.h.inc"
#define GET_OP_CLASSES
#include "dialects/rt/RtOps.h.inc"
#endif
