// Driver of math-ulp.py: compares vector and scalar functions with libm in double.
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef void Function(const float *x, const float *y, float *out);
static int failures;

static double rsqrt(double x) { return 1 / sqrt(x); }
static float fromBits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

// The error in units of the float below the true result; results under 2^-125.6 may be flushed.
static double ulps(float got, double want) {
  if (isnan(want))
    return isnan(got) ? 0 : INFINITY;
  float rounded = (float)want;
  if (isinf(rounded) || isinf(got)) { // one float beyond the largest counts as one ulp
    if (got == rounded)
      return 0;
    return isinf(rounded) && !isinf(want) && got >= 0x1.fffffcp127f ? 1
           : isinf(got) && fabs(want) > 0x1.fffffcp127              ? 1
                                                                    : INFINITY;
  }
  if (fabs(want) < 0x1.8p-126 && fabs(got) < 0x1.8p-126)
    return 0;
  int exponent;
  frexp(want, &exponent);
  return fabs(got - want) / ldexp(1, exponent - 24 < -149 ? -149 : exponent - 24);
}

struct Worst {
  double ulp, absolute, x, y;
};

static void note(struct Worst *worst, const float *x, const float *y, const float *got, const double *want, int count,
                 double absolute) {
  for (int i = 0; i < count; ++i) {
    double ulp = ulps(got[i], want[i]), difference = fabs(got[i] - want[i]);
    if (absolute > 0 && difference <= absolute) {
      if (difference > worst->absolute)
        worst->absolute = difference;
      continue;
    }
    if (ulp > worst->ulp)
      *worst = (struct Worst){ulp, worst->absolute, x[i], y[i]};
  }
}

static void report(const char *name, struct Worst vector, struct Worst scalar, double limit) {
  int bad = !(vector.ulp <= limit && scalar.ulp <= limit);
  printf("%-6s %6.2f ulp at %.9g, %.9g (scalar %.2f); absolute %.2g%s\n", name, vector.ulp, vector.x, vector.y,
         scalar.ulp, vector.absolute, bad ? "  TOO LARGE" : "");
  failures += bad;
}

static void compare(Function *vector, Function *scalar, const float *x, const float *y, const double *want,
                    struct Worst *v, struct Worst *s, double absolute) {
  float out[16], single[16];
  vector(x, y, out);
  for (int i = 0; i < 16; i += 5)
    scalar(x + i, y + i, single + i);
  note(v, x, y, out, want, 16, absolute);
  for (int i = 0; i < 16; i += 5)
    note(s, x + i, y + i, single + i, want + i, 1, absolute);
}

static void check1(const char *name, Function *vector, Function *scalar, double (*exact)(double), double limit,
                   double absolute, double xMax, uint32_t stride) {
  struct Worst v = {0}, s = {0};
  static const uint32_t special[16] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                                       0x7fc00000, 0xffc00000, 0x7f7fffff, 0xff7fffff, 1,          0x80000001,
                                       0x00800000, 0x80800000, 0x7fc12345, 0x7f800001};
  uint64_t bits = 0;
  for (int first = 1; bits <= 0xffffffffu; first = 0) {
    float x[16];
    double want[16];
    for (int i = 0; i < 16; ++i) {
      x[i] = first ? fromBits(special[i]) : fromBits((uint32_t)bits);
      if (!first)
        bits += stride;
      if (fabs(x[i]) > xMax)
        x[i] = 1;
      want[i] = exact(x[i]);
    }
    compare(vector, scalar, x, x, want, &v, &s, absolute);
  }
  report(name, v, s, limit);
}

static void check2(const char *name, Function *vector, Function *scalar, double (*exact)(double, double), double limit,
                   double absolute, double xMax, uint32_t stride) {
  struct Worst v = {0}, s = {0};
  static const float special[] = {0,    -0.f,  1,      -1,     2,     -2,       3,        -3,       0.5f,      -0.5f,
                                  1.5f, 1e10f, -1e10f, 1e-40f, 3e38f, 16777215, 16777218, INFINITY, -INFINITY, NAN};
  enum { n = sizeof special / sizeof *special };
  float x[16], y[16];
  double want[16];
  int fill = 0;
  uint32_t state = 1;
  for (uint64_t number = 0; number < n * n + 0x100000000u / stride; ++number) {
    if (number < n * n) {
      x[fill] = special[number / n], y[fill] = special[number % n];
    } else {
      state = state * 1664525 + 1013904223;
      x[fill] = fromBits(state);
      state = state * 1664525 + 1013904223;
      y[fill] = fromBits(state);
      if (number & 1) { // results of moderate size
        x[fill] = ldexpf(1 + (state >> 9) * 0x1p-23f, (int)(number >> 1) % 40 - 20);
        state = state * 1664525 + 1013904223;
        y[fill] = ((int32_t)state) * 0x1p-26f;
      }
    }
    want[fill] = exact(x[fill], y[fill]);
    if (++fill < 16)
      continue;
    fill = 0;
    compare(vector, scalar, x, y, want, &v, &s, absolute);
  }
  report(name, v, s, limit);
}
