/* Uses a generated header twice, beside mlc.h or alone, as C or C++, with the library linked in any way. */
/* The formatter would drop the second one. */
/* clang-format off */
#include "NAME.h"
#include "NAME.h"
/* clang-format on */
#ifdef WITH_MLC_H
#include "mlc/mlc.h"
#endif
#include <stdio.h>

int main(void) {
  NAME *handle;
  NAME_dims dims = {2};
  float x[8] = {1, 0, 0, 0, 1, 1, 1, 1}, v[6] = {0, 0, 0, 1, 1, 1}, y[6] = {0};
  if (NAME_create(NULL, &handle) || NAME_run(handle, &dims, x, v, y)) {
    printf("failed: %s\n", NAME_last_error(NULL));
    return 1;
  }
  for (int i = 0; i < 6; ++i)
    printf("%g ", y[i]);
  printf("\n");
  NAME_destroy(handle);
  return 0;
}
