/* One image of zeros and ones, checkered; prints its logits. */
#include "digits.h"
#include <stdio.h>

int main(void) {
  float image[64], logits[10];
  for (int i = 0; i < 64; ++i)
    image[i] = (float)((i / 8 + i) % 2);
  digits *model = NULL;
  if (digits_create(NULL, &model) != MLC_OK || digits_run(model, image, logits) != MLC_OK) {
    fprintf(stderr, "error: %s\n", digits_last_error(model));
    return 1;
  }
  for (int i = 0; i < 10; ++i)
    printf("%.9g\n", (double)logits[i]);
  digits_destroy(model);
  return 0;
}
