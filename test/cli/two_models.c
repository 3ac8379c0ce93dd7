/* Two generated models in one program: prints the logits of each for one image, one line per model. */
#include "first.h"
#include "second.h"
#include <stdio.h>

static void print(const float *logits) {
  for (int i = 0; i < 10; ++i)
    printf("%.9g ", logits[i]);
  printf("\n");
}

int main(void) {
  float image[64], logits[10];
  for (int i = 0; i < 64; ++i)
    image[i] = (float)i / 64.0f;
  mlc_options options = {.threads = 1};
  first *one = NULL;
  second *two = NULL;
  if (first_create(&options, &one) != MLC_OK || second_create(&options, &two) != MLC_OK)
    return 1;
  first_dims oneDims = {.batch = 1};
  second_dims twoDims = {.batch = 1};
  if (first_run(one, &oneDims, image, logits) != MLC_OK) {
    fprintf(stderr, "first: %s\n", first_last_error(one));
    return 1;
  }
  print(logits);
  if (second_run(two, &twoDims, image, logits) != MLC_OK) {
    fprintf(stderr, "second: %s\n", second_last_error(two));
    return 1;
  }
  print(logits);
  first_destroy(one);
  second_destroy(two);
  return 0;
}
