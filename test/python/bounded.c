/* A library by hand, with the interface of mlc.h: y = the elements of x that are not zero. Only the data tells how many there
 * are: output_shapes gives the upper bound, and run the size. */
#include <mlc/mlc.h>

static const char *const symbols[] = {"n"};
static const mlc_dim in_dims[] = {{.value = -1, .symbol = 0}}, out_dims[] = {{.value = -1, .symbol = -1}};
static const mlc_value_info inputs[] = {{"x", MLC_FLOAT32, 1, in_dims}}, outputs[] = {{"y", MLC_FLOAT32, 1, out_dims}};

static size_t workspace_size(const int64_t *dims) {
  (void)dims;
  return 0;
}
static mlc_status output_shapes(const int64_t *dims, int64_t *shapes) {
  shapes[0] = dims[0];
  return MLC_OK;
}
static mlc_status create(const mlc_options *options, mlc_handle **handle) {
  static char instance;
  (void)options;
  *handle = (mlc_handle *)&instance;
  return MLC_OK;
}
static void destroy(mlc_handle *handle) { (void)handle; }
static mlc_status run(mlc_handle *handle, const mlc_tensor *in, mlc_tensor *out) {
  const float *x = in->data;
  float *y = out->data;
  (void)handle;
  if (out->shape[0] != in->shape[0])
    return MLC_INVALID_ARGUMENT;
  out->shape[0] = 0;
  for (int64_t i = 0; i < in->shape[0]; ++i)
    if (x[i] != 0)
      y[out->shape[0]++] = x[i];
  return MLC_OK;
}
static const char *last_error(const mlc_handle *handle) {
  (void)handle;
  return "";
}

const mlc_model *mlc_model_v1(void);
const mlc_model *mlc_model_v1(void) {
  static const mlc_model model = {.abi_version = MLC_ABI_VERSION,
                                  .struct_bytes = sizeof(mlc_model),
                                  .name = "bounded",
                                  .manifest = "{}",
                                  .symbol_count = 1,
                                  .input_count = 1,
                                  .output_count = 1,
                                  .symbols = symbols,
                                  .inputs = inputs,
                                  .outputs = outputs,
                                  .workspace_size = workspace_size,
                                  .output_shapes = output_shapes,
                                  .create = create,
                                  .destroy = destroy,
                                  .run = run,
                                  .last_error = last_error};
  return &model;
}
