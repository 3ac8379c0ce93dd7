/* The typed functions of examples/digits, called wrongly in every way that C allows: a status and a message that names what is wrong,
 * and afterwards the handle works as before. Prints what is not so; returns the number of complaints. */
#include "digits.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complaints;

static void expect(int line, mlc_status got, mlc_status want, const digits *handle, const char *text) {
  const char *message = digits_last_error(handle);
  if (got == want && message && strcmp(message, text) == 0)
    return;
  printf("typed_errors.c:%d: status %d, expected %d; \"%s\", expected \"%s\"\n", line, (int)got, (int)want, message,
         text);
  ++complaints;
}
#define EXPECT(CALL, STATUS, TEXT) expect(__LINE__, CALL, STATUS, model, TEXT)
#define CHECK(CONDITION)                                                                                               \
  do {                                                                                                                 \
    if (!(CONDITION))                                                                                                  \
      printf("typed_errors.c:%d: %s\n", __LINE__, #CONDITION), ++complaints;                                           \
  } while (0)

static void badOptions(void) {
  digits *model = NULL;
  static _Alignas(64) char arena[128];
  EXPECT(digits_create(NULL, NULL), MLC_INVALID_ARGUMENT, "create: the result pointer is null");
  mlc_options options = {.threads = -1};
  EXPECT(digits_create(&options, &model), MLC_INVALID_ARGUMENT, "options: threads is -1, expected 0 to 1024");
  options = (mlc_options){.threads = 1025};
  EXPECT(digits_create(&options, &model), MLC_INVALID_ARGUMENT, "options: threads is 1025, expected 0 to 1024");
  options = (mlc_options){.arena = arena + 8, .arena_bytes = 64};
  EXPECT(digits_create(&options, &model), MLC_INVALID_ARGUMENT, "options: arena is not aligned to 64 bytes");
  options = (mlc_options){.arena_bytes = 64};
  EXPECT(digits_create(&options, &model), MLC_INVALID_ARGUMENT, "options: arena_bytes is 64, but arena is null");
  options = (mlc_options){.device = -1};
  EXPECT(digits_create(&options, &model), MLC_INVALID_ARGUMENT, "options: device is -1, expected 0 or more");
  CHECK(model == NULL);
}

static void badCalls(digits *model) {
  static _Alignas(64) float image[4 * 64 + 1], logits[4 * 10 + 1];
  digits_dims dims = {4}, negative = {-4}, huge = {INT64_MAX}, large = {INT64_MAX / 4096};
  CHECK(digits_run(NULL, &dims, image, logits) == MLC_INVALID_ARGUMENT);
  EXPECT(digits_run(model, NULL, image, logits), MLC_INVALID_ARGUMENT, "the pointer to the dimensions is null");
  EXPECT(digits_run(model, &negative, image, logits), MLC_INVALID_ARGUMENT,
         "dimension \"batch\" is -4, expected 0 or more");
  CHECK(digits_run(model, &huge, image, logits) != MLC_OK && digits_last_error(model)[0]);
  CHECK(digits_run(model, &large, image, logits) != MLC_OK && digits_last_error(model)[0]);
  EXPECT(digits_run(model, &dims, NULL, logits), MLC_INVALID_ARGUMENT, "input \"image\": the data pointer is null");
  EXPECT(digits_run(model, &dims, image, NULL), MLC_INVALID_ARGUMENT, "output \"logits\": the data pointer is null");
  EXPECT(digits_run(model, &dims, (const float *)(const void *)((char *)image + 1), logits), MLC_INVALID_ARGUMENT,
         "input \"image\": the data pointer is not aligned to 4 bytes");
  EXPECT(digits_run(model, &dims, image, image + 4 * 64 - 1), MLC_INVALID_ARGUMENT,
         "output \"logits\" overlaps input \"image\"");
  EXPECT(digits_run(model, &dims, logits, logits), MLC_INVALID_ARGUMENT, "output \"logits\" overlaps input \"image\"");
  EXPECT(digits_run(model, &dims, image, logits), MLC_OK, "");
  EXPECT(digits_run(model, &dims, image + 1, logits + 1), MLC_OK, ""); /* aligned to an element is enough */
}

static void badSizes(void) {
  digits_dims dims = {4}, negative = {-4}, huge = {INT64_MAX};
  int64_t shape[2] = {-1, -1};
  CHECK(digits_workspace_size(NULL) == 0 && digits_workspace_size(&negative) == 0);
  CHECK(digits_workspace_size(&huge) == 0 || digits_workspace_size(&huge) > (size_t)INT64_MAX / 2);
  CHECK(digits_output_shapes(NULL, shape) == MLC_INVALID_ARGUMENT);
  CHECK(digits_output_shapes(&negative, shape) == MLC_INVALID_ARGUMENT);
  CHECK(digits_output_shapes(&dims, NULL) == MLC_INVALID_ARGUMENT);
  CHECK(shape[0] == -1 && shape[1] == -1);
  CHECK(digits_output_shapes(&dims, shape) == MLC_OK && shape[0] == 4 && shape[1] == 10);
}

/* The functions of training exist in the table of every model, and say what they lack. */
static void notTrainable(digits *model) {
  const mlc_model *table = MODEL();
  mlc_tensor view = {0};
  CHECK(table->train_input_count == 0 && table->param_count == 0);
  EXPECT(table->train_step(model, &view, &view), MLC_INVALID_ARGUMENT,
         "train_step: the library was compiled without --train");
  EXPECT(table->param(model, "w", &view), MLC_INVALID_ARGUMENT,
         "param: the library has no parameters (it was compiled without --train)");
  CHECK(table->save(model, "/nonexistent/file") != MLC_OK && digits_last_error(model)[0]);
  CHECK(table->load(model, "/nonexistent/file") != MLC_OK && digits_last_error(model)[0]);
}

int main(void) {
  digits *model = NULL;
  badOptions();
  badSizes();
  CHECK(digits_create(NULL, &model) == MLC_OK);
  badCalls(model);
  notTrainable(model);
  digits_destroy(model);
  digits_destroy(NULL);
  CHECK(digits_last_error(NULL) != NULL);
  printf("%d complaints\n", complaints);
  return complaints;
}
