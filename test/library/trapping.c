/* trapping.c: linked to run_tensors.c, it makes a program that stops at the first division by 0, invalid operation or overflow, on every
   thread (new ones inherit it), and that fails if the floating-point environment is another one at its end. */
#define _GNU_SOURCE
#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>

enum { Traps = FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW };

__attribute__((constructor)) static void enable(void) { feenableexcept(Traps); }

__attribute__((destructor)) static void check(void) {
  if (fegetexcept() == Traps && fegetround() == FE_TONEAREST)
    return;
  fprintf(stderr, "traps are %#x, rounding is %#x\n", (unsigned)fegetexcept(), (unsigned)fegetround());
  fflush(stdout);
  _Exit(9);
}
