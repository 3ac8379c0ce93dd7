// pool_test.cpp: if this fails, tasks are lost, run twice, or a loop hangs. Run it under ThreadSanitizer as well.
#include "Check.h"
#include "Programs.h"

#include "../../runtime/src/Pool.h"

#include <atomic>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>
#include <vector>

using namespace mlc;

namespace {
struct PoolHolder {
  explicit PoolHolder(int threads) : memory(aligned_alloc(64, (poolBytes(threads) + 63) / 64 * 64)) {
    CHECK(poolStart(memory, threads) == threads);
  }
  ~PoolHolder() {
    poolStop((Pool *)memory);
    free(memory);
  }
  void *memory;
};

struct Tally {
  std::vector<int>
      runs; // not atomic on purpose: ThreadSanitizer sees a task that runs twice, or a join that is too early
  void *pool;
  int64_t innerCount;
  std::atomic<int64_t> innerRuns{0};
};
} // namespace

static void countRun(void *context, int64_t index) { ++((Tally *)context)->runs[(size_t)index]; }

static bool allOnce(void *pool, int64_t count) {
  Tally tally;
  tally.runs.resize((size_t)count);
  poolParallelFor(pool, countRun, &tally, count);
  for (int runs : tally.runs)
    if (runs != 1)
      return false;
  return true;
}

static void countInner(void *context, int64_t) { ++((Tally *)context)->innerRuns; }

static void runNested(void *context, int64_t index) {
  Tally *tally = (Tally *)context;
  ++tally->runs[(size_t)index];
  poolParallelFor(tally->pool, countInner, tally, tally->innerCount);
}

static void testCounts(int threads) {
  PoolHolder pool(threads);
  bool good = true;
  for (int64_t count = 0; count < 300; ++count)
    good = good && allOnce(pool.memory, count);
  for (int64_t count : {1000, 4096, 100000})
    good = good && allOnce(pool.memory, count);
  CHECK(good);
}

static void testNested(int threads) {
  PoolHolder pool(threads);
  for (int64_t outer : {1, 2, 7, 64}) {
    Tally tally;
    tally.runs.resize((size_t)outer);
    tally.pool = pool.memory;
    tally.innerCount = 33;
    poolParallelFor(pool.memory, runNested, &tally, outer);
    CHECK(tally.innerRuns == 33 * outer);
  }
}

// Each loop reads what the previous one wrote in other threads.
static void testStress(int threads, int loops) {
  PoolHolder pool(threads);
  std::vector<int64_t> values(2 * 16);
  // Alternating halves: every task of a loop reads one half and writes the other.
  bool good = true;
  for (int loop = 0; loop < loops; ++loop) {
    struct Half {
      int64_t *from, *to;
    } half = {values.data() + (loop & 1 ? 16 : 0), values.data() + (loop & 1 ? 0 : 16)};
    poolParallelFor(
        pool.memory,
        [](void *context, int64_t index) {
          Half *half = (Half *)context;
          half->to[index] = half->from[15 - index] + 1;
        },
        &half, 16);
    if (loop % 1000 == 0)
      usleep(50);
  }
  for (int64_t index = 0; index < 16; ++index)
    good = good && values[(size_t)index + (loops & 1 ? 16 : 0)] == loops;
  CHECK(good);
}

// Workers fall asleep between loops and must be woken.
static void testSleepers(int threads) {
  PoolHolder pool(threads);
  bool good = true;
  for (int loop = 0; loop < 20; ++loop) {
    usleep(5000);
    good = good && allOnce(pool.memory, 2 + loop);
  }
  CHECK(good);
}

static void testStartStop() {
  for (int round = 0; round < 200; ++round) {
    PoolHolder pool(1 + round % 5);
    if (round & 1)
      CHECK(allOnce(pool.memory, 10));
  }
}

static void *ownPool(void *) {
  testStress(2, 2000);
  return nullptr;
}

// Two handles in two threads: pools do not know of each other.
static void testTwoPools() {
  pthread_t threads[2];
  for (pthread_t &thread : threads)
    pthread_create(&thread, nullptr, ownPool, nullptr);
  for (pthread_t &thread : threads)
    pthread_join(thread, nullptr);
}

#if defined(__x86_64__)
namespace {
struct Products {
  float values[2];
  std::atomic<int> started{0};
};
} // namespace

/// Waits for the other task, so that two threads take part.
static void multiplyTinyNumbers(void *context, int64_t index) {
  Products *products = (Products *)context;
  for (++products->started; products->started < 2;)
    sched_yield();
  volatile float tiny = 1e-30f;
  products->values[index] = tiny * 1e-10f;
}

// The caller flushes denormal numbers after the pool was made: every task must do so, whichever thread runs it.
static void testFloatControl() {
  PoolHolder pool(2);
  for (int round = 0; round < 50; ++round) {
    unsigned before = __builtin_ia32_stmxcsr(), flush = round & 1 ? 0x8000 : 0;
    Products products;
    __builtin_ia32_ldmxcsr(before | flush);
    poolParallelFor(pool.memory, multiplyTinyNumbers, &products, 2);
    __builtin_ia32_ldmxcsr(before);
    uint32_t bits[2];
    memcpy(bits, products.values, sizeof(bits));
    CHECK((bits[0] == 0) == (flush != 0) && bits[0] == bits[1]);
  }
}
#endif

int main() {
  CHECK(coreCount() >= 1);
  for (int threads : {1, 2, 3, 8}) {
    testCounts(threads);
    testNested(threads);
    testStress(threads, 20000 / threads);
    testSleepers(threads);
  }
  testStartStop();
  testTwoPools();
#if defined(__x86_64__)
  testFloatControl();
#endif
  return finish();
}
