// record_loops: an mlc_parallel_for that runs tasks one by one and notes when each parallel loop began and ended.
// kernels.py compiles and loads it; a library needs no instrumentation to be measured with it.
#include "mlc/mlc.h"
#include <time.h>

struct record {
  mlc_task task;
  int64_t count, begin, end; // nanoseconds
};

struct recorder {
  int64_t begin, end; // of the run
  int64_t used, capacity;
  struct record *records;
};

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

void record_loop(void *pool, mlc_task task, void *context, int64_t count) {
  struct recorder *recorder = pool;
  int64_t begin = now();
  for (int64_t index = 0; index < count; ++index)
    task(context, index);
  int64_t end = now();
  if (recorder->used < recorder->capacity)
    recorder->records[recorder->used] = (struct record){task, count, begin, end};
  ++recorder->used;
}

mlc_status record_run(mlc_status (*run)(mlc_handle *, const mlc_tensor *, mlc_tensor *), mlc_handle *handle,
                      const mlc_tensor *inputs, mlc_tensor *outputs, struct recorder *recorder) {
  recorder->used = 0;
  recorder->begin = now();
  mlc_status status = run(handle, inputs, outputs);
  recorder->end = now();
  return status;
}
