// Pool.h: the thread pool of one handle. Loops are short (microseconds), so workers spin before they sleep.
#ifndef MLC_RUNTIME_POOL_H
#define MLC_RUNTIME_POOL_H

#include "mlc/mlc.h"

namespace mlc {

struct Pool;

/// Number of cores that this process may run on, at least 1.
int32_t coreCount();

/// Bytes of a pool for `threads` threads (the caller's included); its memory is aligned to 64 bytes.
size_t poolBytes(int32_t threads);

/// Starts threads - 1 workers in `memory`. Returns how many threads could be started, the caller's included: if that is
/// less than `threads`, the caller reports it and stops the pool.
int32_t poolStart(void *memory, int32_t threads);

/// Stops and joins every worker. Must not be called during a loop.
void poolStop(Pool *pool);

/// An mlc_parallel_for over a Pool. Only one thread at a time may start loops; a loop started inside a task of the same
/// pool runs serially in that task.
void poolParallelFor(void *pool, mlc_task task, void *context, int64_t count);

/// An mlc_parallel_for that needs no pool.
void serialParallelFor(void *pool, mlc_task task, void *context, int64_t count);

} // namespace mlc
#endif
