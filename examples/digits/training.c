/* Trains the digits CNN from random weights with nothing but the library that mlc has made of it:
 *
 *   mlc compile digits_init.onnx --train --loss=cross_entropy --optimizer=sgd --name=digits -o digits.so
 *   cc training.c digits.so -Wl,-rpath,'$ORIGIN' -o training
 *   ./training train.bin held_out.bin [trained.safetensors]
 *
 * Both files come from data.py: int32 count, float32 images[count][8][8], uint8 labels[count]. Batches of 32 in the order of the
 * file. Returns 1 when fewer than 97 % of the held-out digits are recognised, 2 on an error. */
#include "digits.h"
#include <stdio.h>
#include <stdlib.h>

enum { PIXELS = 64, CLASSES = 10, BATCH = 32, EPOCHS = 30 };

typedef struct Images {
  int32_t count;
  float *pixels;
  int64_t *labels;
} Images;

static int readImages(const char *path, Images *images) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return 0;
  int ok = fread(&images->count, sizeof images->count, 1, file) == 1 && images->count > 0 && images->count <= 1 << 20;
  if (ok) {
    size_t count = (size_t)images->count;
    images->pixels = malloc(count * PIXELS * sizeof(float));
    images->labels = malloc(count * sizeof(int64_t));
    ok = images->pixels && images->labels && fread(images->pixels, PIXELS * sizeof(float), count, file) == count;
    for (size_t i = 0; ok && i < count; ++i) {
      int label = fgetc(file);
      ok = label >= 0 && label < CLASSES;
      images->labels[i] = label;
    }
  }
  fclose(file);
  return ok;
}

/* Percentage of the images that the model recognises, or a negative number. */
static double accuracy(digits *model, const Images *images) {
  digits_dims dims = {.batch = images->count};
  float *logits = malloc((size_t)images->count * CLASSES * sizeof(float));
  if (!logits || digits_run(model, &dims, images->pixels, logits) != MLC_OK) {
    free(logits);
    return -1;
  }
  int right = 0;
  for (int i = 0; i < images->count; ++i) {
    const float *row = logits + (size_t)i * CLASSES;
    int best = 0;
    for (int digit = 1; digit < CLASSES; ++digit)
      if (row[digit] > row[best])
        best = digit;
    right += best == images->labels[i];
  }
  free(logits);
  return 100.0 * right / images->count;
}

static int fail(const digits *model) {
  fprintf(stderr, "error: %s\n", digits_last_error(model));
  return 2;
}

int main(int argc, char **argv) {
  Images train = {0}, held = {0};
  if (argc != 3 && argc != 4) {
    fprintf(stderr, "usage: %s train.bin held_out.bin [trained.safetensors]\n", argv[0]);
    return 2;
  }
  if (!readImages(argv[1], &train) || !readImages(argv[2], &held)) {
    fprintf(stderr, "error: cannot read images from %s and %s\n", argv[1], argv[2]);
    return 2;
  }

  digits *model = NULL;
  mlc_options options = {0};
  if (digits_create(&options, &model) != MLC_OK)
    return fail(model);
  printf("before training: %.2f %% of %d held-out digits\n", accuracy(model, &held), held.count);

  digits_dims dims = {.batch = BATCH};
  for (int epoch = 1; epoch <= EPOCHS; ++epoch) {
    double total = 0;
    int steps = 0;
    for (int start = 0; start + BATCH <= train.count; start += BATCH, ++steps) {
      float loss;
      if (digits_train_step(model, &dims, train.pixels + (size_t)start * PIXELS, train.labels + start, &loss) != MLC_OK)
        return fail(model);
      total += loss;
    }
    if (epoch % 10 == 0)
      printf("epoch %d: mean loss %.4f\n", epoch, total / steps);
  }

  double reached = accuracy(model, &held);
  if (reached < 0 || (argc == 4 && digits_save(model, argv[3]) != MLC_OK))
    return fail(model);
  printf("accuracy: %.2f %% of %d held-out digits\n", reached, held.count);

  digits_destroy(model);
  free(train.pixels);
  free(train.labels);
  free(held.pixels);
  free(held.labels);
  return reached >= 97.0 ? 0 : 1;
}
