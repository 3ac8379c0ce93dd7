// The sched dialect (see SchedOps.td).
#ifndef MLC_DIALECTS_SCHED_SCHED_H
#define MLC_DIALECTS_SCHED_SCHED_H
#include "mlir/IR/Attributes.h"
#include "mlir/IR/Dialect.h"

#include "dialects/sched/SchedDialect.h.inc"
#include "dialects/sched/SchedEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/sched/SchedAttributes.h.inc"
#endif
