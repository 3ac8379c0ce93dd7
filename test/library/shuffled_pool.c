/* An application's own pool as mlc_options.parallel_for: three threads that start anew for every loop and take its tasks in random
 * order. Nothing could be slower, or show better that tasks are independent. */
#include "mlc/mlc.h"
#include <pthread.h>
#include <stdlib.h>

enum { THREADS = 3 };

typedef struct Loop {
  mlc_task task;
  void *context;
  int64_t *order, count, next;
} Loop;

static void *work(void *argument) {
  Loop *loop = argument;
  for (int64_t taken; (taken = __atomic_fetch_add(&loop->next, 1, __ATOMIC_RELAXED)) < loop->count;)
    loop->task(loop->context, loop->order[taken]);
  return NULL;
}

void shuffled(void *pool, mlc_task task, void *context, int64_t count);
void shuffled(void *pool, mlc_task task, void *context, int64_t count) {
  unsigned *random = pool;
  Loop loop = {task, context, malloc((size_t)(count ? count : 1) * sizeof(int64_t)), count, 0};
  for (int64_t i = 0; i < count; ++i) {
    *random = *random * 1664525u + 1013904223u;
    int64_t other = (int64_t)(*random >> 8) % (i + 1);
    loop.order[i] = loop.order[other];
    loop.order[other] = i;
  }
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; ++i)
    pthread_create(&threads[i], NULL, work, &loop);
  for (int i = 0; i < THREADS; ++i)
    pthread_join(threads[i], NULL);
  free(loop.order);
}
