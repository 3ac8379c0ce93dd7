/* Recognises handwritten digits with the library that `mlc compile digits.onnx -o digits.so` makes.
 *
 *   cc digits.c digits.so -Wl,-rpath,'$ORIGIN' -o digits      (or digits.a -lm)
 *   ./digits held_out.bin
 *
 * held_out.bin comes from data.py: int32 count, float32 images[count][8][8], uint8 labels[count]. Prints some predictions and
 * the accuracy; returns 1 below 97 %, 2 on an error. */
#include "digits.h"
#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 10, SHOWN = 3 };

typedef struct Images {
  int32_t count;
  float *pixels;
  uint8_t *labels;
} Images;

static int readImages(const char *path, Images *images) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return 0;
  int ok = fread(&images->count, sizeof images->count, 1, file) == 1 && images->count > 0 && images->count <= 1 << 20;
  if (ok) {
    size_t count = (size_t)images->count;
    images->pixels = malloc(count * PIXELS * sizeof(float));
    images->labels = malloc(count);
    ok = images->pixels && images->labels && fread(images->pixels, PIXELS * sizeof(float), count, file) == count &&
         fread(images->labels, 1, count, file) == count;
  }
  fclose(file);
  return ok;
}

static int largest(const float *logits) {
  int best = 0;
  for (int digit = 1; digit < CLASSES; ++digit)
    if (logits[digit] > logits[best])
      best = digit;
  return best;
}

static void show(const float *pixels, int predicted, int label) {
  for (int row = 0; row < SIDE; ++row) {
    for (int column = 0; column < SIDE; ++column) {
      char shade = " .:-=+*#%@"[(int)(pixels[row * SIDE + column] * 9.0f + 0.5f)];
      putchar(shade);
      putchar(shade);
    }
    printf(row == SIDE / 2 ? "   predicted %d, labelled %d\n" : "\n", predicted, label);
  }
}

int main(int argc, char **argv) {
  Images images = {0};
  if (argc != 2 || !readImages(argv[1], &images)) {
    fprintf(stderr, argc == 2 ? "error: cannot read images from %s\n" : "usage: %s held_out.bin\n", argv[argc - 1]);
    return 2;
  }

  /* The batch dimension is symbolic: this call passes all images, another may pass one. */
  digits_dims dims = {.batch = images.count};
  printf("%d images, %zu bytes of workspace\n", images.count, digits_workspace_size(&dims));

  digits *model = NULL;
  mlc_options options = {0};
  float *logits = malloc((size_t)images.count * CLASSES * sizeof(float));
  if (!logits || digits_create(&options, &model) != MLC_OK ||
      digits_run(model, &dims, images.pixels, logits) != MLC_OK) {
    fprintf(stderr, "error: %s\n", logits ? digits_last_error(model) : "out of memory");
    return 2;
  }

  int right = 0;
  for (int i = 0; i < images.count; ++i) {
    int predicted = largest(logits + (size_t)i * CLASSES);
    right += predicted == images.labels[i];
    if (i < SHOWN)
      show(images.pixels + (size_t)i * PIXELS, predicted, images.labels[i]);
  }
  double accuracy = 100.0 * right / images.count;
  printf("accuracy: %.2f %% (%d of %d held-out digits)\n", accuracy, right, images.count);

  digits_destroy(model);
  free(logits);
  free(images.pixels);
  free(images.labels);
  return accuracy >= 97.0 ? 0 : 1;
}
