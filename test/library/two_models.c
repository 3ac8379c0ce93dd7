/* Two generated models in one program, each in a thread of its own: prints the logits of each for one image, one line per model.
 * Both headers, in either order and twice, are part of the test; so is compiling this file as C++. */
/* The formatter would drop what is included twice. */
/* clang-format off */
#include "second.h"
#include "first.h"
#include "second.h"
/* clang-format on */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { CLASSES = 10, TIMES = 50 };

#define DEFINE(NAME)                                                                                                   \
  static float NAME##Logits[CLASSES];                                                                                  \
  static void *NAME##Thread(void *image) {                                                                             \
    NAME *model = NULL;                                                                                                \
    static mlc_options options;                                                                                        \
    NAME##_dims dims = {1};                                                                                            \
    options.threads = 2;                                                                                               \
    if (NAME##_create(&options, &model) != MLC_OK)                                                                     \
      return (void *)NAME##_last_error(NULL);                                                                          \
    for (int i = 0; i < TIMES; ++i) {                                                                                  \
      float logits[CLASSES];                                                                                           \
      if (NAME##_run(model, &dims, (const float *)image, logits) != MLC_OK)                                            \
        return (void *)"run failed";                                                                                   \
      if (i && memcmp(logits, NAME##Logits, sizeof logits) != 0)                                                       \
        return (void *)"results differ";                                                                               \
      memcpy(NAME##Logits, logits, sizeof logits);                                                                     \
    }                                                                                                                  \
    NAME##_destroy(model);                                                                                             \
    return NULL;                                                                                                       \
  }
DEFINE(first)
DEFINE(second)

int main(void) {
  static float image[64];
  for (int i = 0; i < 64; ++i)
    image[i] = (float)i / 64.0f;
  pthread_t threads[2];
  void *messages[2] = {NULL, NULL};
  pthread_create(&threads[0], NULL, firstThread, image);
  pthread_create(&threads[1], NULL, secondThread, image);
  for (int i = 0; i < 2; ++i) {
    pthread_join(threads[i], &messages[i]);
    if (messages[i]) {
      fprintf(stderr, "%s: %s\n", i ? "second" : "first", (const char *)messages[i]);
      return 1;
    }
  }
  for (int i = 0; i < CLASSES; ++i)
    printf("%.9g ", firstLogits[i]);
  printf("\n");
  for (int i = 0; i < CLASSES; ++i)
    printf("%.9g ", secondLogits[i]);
  printf("\n");
  return 0;
}
