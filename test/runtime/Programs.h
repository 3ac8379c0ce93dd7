// Programs.h: hand-written stand-ins for what the compiler emits: one model with symbolic dimensions, one with static
// shapes and a training step.
#ifndef MLC_TEST_RUNTIME_PROGRAMS_H
#define MLC_TEST_RUNTIME_PROGRAMS_H

#include "mlc/abi.h"

// `sum`: sum[N,4] = a[N,4] + b[N,4]; flags bool[M] -> count int64[1], the number of true flags. The rows of the sum are
// tasks; they go through the workspace of 64 + 16 N bytes.
extern const mlc_program sumProgram;

// `step`: run: y[2] = w[2,3] x[3] + b[2]; train_step: additionally w.momentum = 0.5 w.momentum + g, w -= w.momentum,
// steps += 1, with g[2,3] an input. b is float16 and takes no part. Workspace: 256 bytes for run, 512 for train_step.
extern const mlc_program stepProgram;
extern const float stepWeights[8]; // w, then the bits of b

/// What the entry of `sum` does instead of its sum.
enum Misbehaviour { none, refuseSizes, failInEntry, failInTasks, returnStatus };
extern Misbehaviour misbehaviour;

#endif
