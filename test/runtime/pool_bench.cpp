// pool_bench.cpp: what one fork and join of the thread pool costs. Prints nanoseconds; usage: pool_bench [threads]
// [loops]. With 2 threads on 2 free cores the median must stay below 1000 ns.
#include "../../runtime/src/Pool.h"

#include <algorithm>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <vector>

static double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

static void emptyTask(void *, int64_t) {}

int main(int argumentCount, char **arguments) {
  int32_t threads = argumentCount > 1 ? atoi(arguments[1]) : 2;
  size_t loops = argumentCount > 2 ? (size_t)atol(arguments[2]) : 20000;
  void *pool = aligned_alloc(64, (mlc::poolBytes(threads) + 63) / 64 * 64);
  mlc::poolStart(pool, threads);
  for (int64_t tasks : {(int64_t)threads, (int64_t)4 * threads, (int64_t)16 * threads}) {
    std::vector<double> times(loops);
    for (double &time : times) {
      double start = now();
      mlc::poolParallelFor(pool, emptyTask, nullptr, tasks);
      time = now() - start;
    }
    std::sort(times.begin(), times.end());
    printf("%d threads, %3lld empty tasks: min %.0f ns, median %.0f ns, p99 %.0f ns\n", threads, (long long)tasks,
           times[0], times[loops / 2], times[loops * 99 / 100]);
  }
  mlc::poolStop((mlc::Pool *)pool);
  free(pool);
}
