// Check.h: the smallest test harness that does: CHECK counts, and finish() prints the line that run.sh adds up.
#ifndef MLC_TEST_RUNTIME_CHECK_H
#define MLC_TEST_RUNTIME_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int passedCount, failedCount;

#define CHECK(CONDITION) checkThat((CONDITION), #CONDITION, "", __FILE__, __LINE__)

/// Checks a status and the whole text of the message beside it.
#define CHECK_ERROR(CALL, STATUS, HANDLE, TEXT)                                                                        \
  do {                                                                                                                 \
    mlc_status gotStatus = (CALL);                                                                                     \
    checkThat(gotStatus == (STATUS), #CALL " returns " #STATUS, mlc_rt_last_error(HANDLE), __FILE__, __LINE__);        \
    checkThat(strcmp(mlc_rt_last_error(HANDLE), (TEXT)) == 0, (TEXT), mlc_rt_last_error(HANDLE), __FILE__, __LINE__);  \
  } while (0)

static inline bool checkThat(bool condition, const char *text, const char *got, const char *file, int line) {
  if (condition) {
    __atomic_fetch_add(&passedCount, 1, __ATOMIC_RELAXED); // tests check in threads, too
    return true;
  }
  __atomic_fetch_add(&failedCount, 1, __ATOMIC_RELAXED);
  printf("%s:%d: failed: %s%s%s\n", file, line, text, *got ? "\n    got: " : "", got);
  return false;
}

static inline int finish() {
  printf("%d passed, %d failed\n", passedCount, failedCount);
  return failedCount ? 1 : 0;
}

#endif
