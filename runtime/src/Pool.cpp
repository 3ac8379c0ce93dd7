// Pool.cpp: workers claim tasks by compare-and-swap on one word (epoch, tasks left), and the join waits for tasks, not
// for workers: a worker that was preempted before it claimed anything delays nobody. Fork and join take 0.1-0.3 us,
// those of libomp 2.4 us (research/cpu-codegen, section 5).
//
// Why reading `task` and `context` without a lock is sound: a worker loads the word, then the job, then claims. The
// claim succeeds only while the word still carries the worker's epoch with tasks left. The caller overwrites the job
// only after all tasks of the old epoch were claimed and finished, so a claim that succeeds proves that the job read
// before it belonged to that epoch. The job's fields are atomics only to make the reads whose claim then fails well
// defined.
#include "Pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#else
#include <time.h>
#endif

namespace mlc {

struct Pool {
  alignas(64) uint64_t word;    // epoch << 32 | tasks that nobody has claimed yet
  alignas(64) int64_t done;     // tasks that workers have finished in this epoch
  alignas(64) uint32_t wakeups; // the futex: changes whenever sleepers must look again
  uint32_t sleepers;
  uint32_t stopping;
  alignas(64) mlc_task task; // the job of the current epoch
  void *context;
  int64_t end;           // one past the last index of the epoch
  uint64_t floatControl; // the caller's, for the workers
  uint32_t busy;
  int32_t workerCount;
  int32_t spins; // polls before a waiting thread gives its core away
  pthread_t workers[];
};

template <typename T> static T relaxed(const T &field) { return __atomic_load_n(&field, __ATOMIC_RELAXED); }
template <typename T> static void setRelaxed(T &field, T value) { __atomic_store_n(&field, value, __ATOMIC_RELAXED); }

static void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Rounding mode and flushing of denormal numbers belong to a thread. Workers take over the caller's for every loop, or
// the bits of a result would depend on which thread computed it.
#if defined(__x86_64__)
static uint64_t floatControl() {
  const uint32_t exceptionFlags = 0x3f; // a history, not a mode
  return __builtin_ia32_stmxcsr() & ~exceptionFlags;
}
static void setFloatControl(uint64_t control) { __builtin_ia32_ldmxcsr((uint32_t)control); }
#elif defined(__aarch64__)
static uint64_t floatControl() {
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  return control;
}
static void setFloatControl(uint64_t control) { __asm__ volatile("msr fpcr, %0" : : "r"(control)); }
#else
static uint64_t floatControl() { return 0; }
static void setFloatControl(uint64_t) {}
#endif

#ifdef __linux__
static void sleepUnlessWoken(uint32_t *wakeups, uint32_t seen) {
  syscall(SYS_futex, wakeups, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
}
static void wake(uint32_t *wakeups, int64_t count) {
  syscall(SYS_futex, wakeups, FUTEX_WAKE_PRIVATE, (int)count, nullptr, nullptr, 0);
}
#else
static void sleepUnlessWoken(uint32_t *wakeups, uint32_t seen) {
  timespec pollTime = {0, 50000};
  if (__atomic_load_n(wakeups, __ATOMIC_SEQ_CST) == seen)
    nanosleep(&pollTime, nullptr);
}
static void wake(uint32_t *, int64_t) {}
#endif

int32_t coreCount() {
#ifdef __linux__
  // The system call instead of sched_getaffinity: glibc's cpu_set_t ends at 1024 cores.
  unsigned long mask[128];
  long bytes = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);
  if (bytes > 0) {
    int32_t count = 0;
    for (unsigned long index = 0; index < bytes / sizeof(mask[0]); ++index)
      count += __builtin_popcountl(mask[index]);
    if (count > 0)
      return count;
  }
#endif
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (int32_t)count : 1;
}

size_t poolBytes(int32_t threads) { return sizeof(Pool) + sizeof(pthread_t) * (size_t)threads; }

/// Claims one task of `epoch`: sets how many were left, this one included.
static bool claim(Pool *pool, uint64_t epoch, int64_t *left) {
  uint64_t word = __atomic_load_n(&pool->word, __ATOMIC_ACQUIRE);
  while (word >> 32 == epoch && (uint32_t)word != 0) {
    if (__atomic_compare_exchange_n(&pool->word, &word, word - 1, /*weak=*/true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
      *left = (uint32_t)word;
      return true;
    }
  }
  return false;
}

/// Waits until a loop has unclaimed tasks; returns its epoch, or -1 when the pool stops.
static int64_t awaitLoop(Pool *pool) {
  for (int32_t polls = 0;; ++polls) {
    uint64_t word = __atomic_load_n(&pool->word, __ATOMIC_ACQUIRE);
    if ((uint32_t)word != 0)
      return (int64_t)(word >> 32);
    if (__atomic_load_n(&pool->stopping, __ATOMIC_ACQUIRE))
      return -1;
    if (polls < pool->spins) {
      pause();
      continue;
    }
    // Announce the sleep, then look again: the caller publishes its loop, then looks for sleepers. One of the two sees
    // the other, because all four accesses are sequentially consistent.
    uint32_t seen = __atomic_load_n(&pool->wakeups, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&pool->sleepers, 1, __ATOMIC_SEQ_CST);
    if ((uint32_t)__atomic_load_n(&pool->word, __ATOMIC_SEQ_CST) == 0 &&
        !__atomic_load_n(&pool->stopping, __ATOMIC_SEQ_CST))
      sleepUnlessWoken(&pool->wakeups, seen);
    __atomic_fetch_sub(&pool->sleepers, 1, __ATOMIC_SEQ_CST);
    polls = 0;
  }
}

static void *workerMain(void *argument) {
  Pool *pool = (Pool *)argument;
  for (;;) {
    int64_t epoch = awaitLoop(pool);
    if (epoch < 0)
      return nullptr;
    mlc_task task = relaxed(pool->task);
    void *context = relaxed(pool->context);
    int64_t end = relaxed(pool->end);
    uint64_t control = relaxed(pool->floatControl);
    if (control != floatControl())
      setFloatControl(control);
    int64_t left, finished = 0;
    for (; claim(pool, (uint64_t)epoch, &left); ++finished)
      task(context, end - left);
    if (finished)
      __atomic_fetch_add(&pool->done, finished, __ATOMIC_RELEASE);
  }
}

int32_t poolStart(void *memory, int32_t threads) {
  Pool *pool = (Pool *)memory;
  memset(pool, 0, poolBytes(threads));
  // With more threads than cores, spinning only keeps the others from running.
  pool->spins = threads > coreCount() ? 64 : 20000;
  // Signals are the application's business: workers must not run its handlers.
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  while (pool->workerCount < threads - 1 &&
         pthread_create(&pool->workers[pool->workerCount], nullptr, workerMain, pool) == 0)
    ++pool->workerCount;
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  return pool->workerCount + 1;
}

void poolStop(Pool *pool) {
  __atomic_store_n(&pool->stopping, 1, __ATOMIC_SEQ_CST);
  __atomic_fetch_add(&pool->wakeups, 1, __ATOMIC_SEQ_CST);
  wake(&pool->wakeups, pool->workerCount);
  for (int32_t index = 0; index < pool->workerCount; ++index)
    pthread_join(pool->workers[index], nullptr);
}

/// Runs the indices [begin, end), at most 2^32 - 1 of them, as one epoch.
static void runEpoch(Pool *pool, mlc_task task, void *context, int64_t begin, int64_t end) {
  int64_t count = end - begin;
  setRelaxed(pool->task, task);
  setRelaxed(pool->context, context);
  setRelaxed(pool->end, end);
  setRelaxed(pool->floatControl, floatControl());
  setRelaxed(pool->done, (int64_t)0);
  uint64_t epoch = ((relaxed(pool->word) >> 32) + 1) & 0xffffffffu;
  __atomic_store_n(&pool->word, epoch << 32 | (uint64_t)count, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&pool->sleepers, __ATOMIC_SEQ_CST)) {
    __atomic_fetch_add(&pool->wakeups, 1, __ATOMIC_SEQ_CST);
    wake(&pool->wakeups, count - 1 < pool->workerCount ? count - 1 : pool->workerCount);
  }
  int64_t left, own = 0;
  for (; claim(pool, epoch, &left); ++own)
    task(context, end - left);
  for (int32_t polls = 0; __atomic_load_n(&pool->done, __ATOMIC_ACQUIRE) + own < count; ++polls) {
    pause();
    if (polls >= pool->spins) {
      // A worker holds a task and may have lost its core to this very thread.
      sched_yield();
      polls = 0;
    }
  }
}

void poolParallelFor(void *argument, mlc_task task, void *context, int64_t count) {
  Pool *pool = (Pool *)argument;
  if (count <= 1 || relaxed(pool->busy))
    return serialParallelFor(nullptr, task, context, count);
  setRelaxed(pool->busy, 1u);
  const int64_t epochTasksMax = 0xffffffff;
  for (int64_t begin = 0; begin < count; begin += epochTasksMax)
    runEpoch(pool, task, context, begin, count - begin < epochTasksMax ? count : begin + epochTasksMax);
  setRelaxed(pool->busy, 0u);
}

void serialParallelFor(void *, mlc_task task, void *context, int64_t count) {
  for (int64_t index = 0; index < count; ++index)
    task(context, index);
}

} // namespace mlc
