/* abi_test.c: if this fails, mlc.h or abi.h is not C11 any more, or a structure that compiled libraries contain has
   moved. With the argument "print" it prints every offset, for the compiler's own test to compare with its LLVM
   structures. */
#include "Check.h"

#include "mlc/abi.h"

// clang-format off: a table
#define FIELDS(F) \
  F(mlc_call, inputs, 0) \
  F(mlc_call, outputs, 8) \
  F(mlc_call, dims, 16) \
  F(mlc_call, weights, 24) \
  F(mlc_call, state, 32) \
  F(mlc_call, arena, 40) \
  F(mlc_call, parallel_for, 48) \
  F(mlc_call, pool, 56) \
  F(mlc_call, device, 64) \
  F(mlc_call, handle, 72) \
  F(mlc_call, result_sizes, 80) \
  F(mlc_call, checks, 88) \
  F(mlc_tensor, data, 0) \
  F(mlc_tensor, dtype, 8) \
  F(mlc_tensor, rank, 12) \
  F(mlc_tensor, shape, 16) \
  F(mlc_dim, value, 0) \
  F(mlc_dim, symbol, 8) \
  F(mlc_dim, bounded, 12) \
  F(mlc_value_info, name, 0) \
  F(mlc_value_info, dtype, 8) \
  F(mlc_value_info, rank, 12) \
  F(mlc_value_info, dims, 16) \
  F(mlc_options, threads, 0) \
  F(mlc_options, parallel_for, 8) \
  F(mlc_options, pool, 16) \
  F(mlc_options, allocate, 24) \
  F(mlc_options, release, 32) \
  F(mlc_options, user, 40) \
  F(mlc_options, arena, 48) \
  F(mlc_options, arena_bytes, 56) \
  F(mlc_options, device, 64) \
  F(mlc_options, seed, 72) \
  F(mlc_options, weights_file, 80) \
  F(mlc_options, weights, 88) \
  F(mlc_options, weights_bytes, 96) \
  F(mlc_model, abi_version, 0) \
  F(mlc_model, struct_bytes, 4) \
  F(mlc_model, name, 8) \
  F(mlc_model, manifest, 16) \
  F(mlc_model, symbol_count, 24) \
  F(mlc_model, input_count, 28) \
  F(mlc_model, output_count, 32) \
  F(mlc_model, param_count, 36) \
  F(mlc_model, symbols, 40) \
  F(mlc_model, inputs, 48) \
  F(mlc_model, outputs, 56) \
  F(mlc_model, params, 64) \
  F(mlc_model, train_input_count, 72) \
  F(mlc_model, train_output_count, 76) \
  F(mlc_model, train_inputs, 80) \
  F(mlc_model, train_outputs, 88) \
  F(mlc_model, workspace_size, 96) \
  F(mlc_model, output_shapes, 104) \
  F(mlc_model, create, 112) \
  F(mlc_model, destroy, 120) \
  F(mlc_model, run, 128) \
  F(mlc_model, train_step, 136) \
  F(mlc_model, param, 144) \
  F(mlc_model, save, 152) \
  F(mlc_model, load, 160) \
  F(mlc_model, last_error, 168) \
  F(mlc_model, result_shapes, 176) \
  F(mlc_state_slot, name, 0) \
  F(mlc_state_slot, offset, 8) \
  F(mlc_state_slot, bytes, 16) \
  F(mlc_state_slot, weights_offset, 24) \
  F(mlc_program, model, 0) \
  F(mlc_program, run, 184) \
  F(mlc_program, train_step, 192) \
  F(mlc_program, run_sizes, 200) \
  F(mlc_program, train_sizes, 208) \
  F(mlc_program, weights, 216) \
  F(mlc_program, weights_bytes, 224) \
  F(mlc_program, state_bytes, 232) \
  F(mlc_program, state_slot_count, 240) \
  F(mlc_program, weights_beside_library, 244) \
  F(mlc_program, state_slots, 248) \
  F(mlc_program, cpu_features, 256) \
  F(mlc_program, device_images, 264) \
  F(mlc_program, device_kernels, 272) \
  F(mlc_program, device_image_count, 280) \
  F(mlc_program, device_kernel_count, 284) \
  F(mlc_program, device_arch, 288) \
  F(mlc_program, weights_file, 296) \
  F(mlc_program, weights_structure, 304) \
  F(mlc_weights_header, version, 8) \
  F(mlc_weights_header, weights_bytes, 16) \
  F(mlc_weights_header, structure, 24)

#define SIZES(S) \
  S(mlc_call, 96) \
  S(mlc_tensor, 144) \
  S(mlc_dim, 16) \
  S(mlc_value_info, 24) \
  S(mlc_options, 104) \
  S(mlc_model, 184) \
  S(mlc_state_slot, 32) \
  S(mlc_program, 320) \
  S(mlc_weights_header, 64)
// clang-format on

int main(int argumentCount, char **arguments) {
  int print = argumentCount > 1 && strcmp(arguments[1], "print") == 0;
#define CHECK_FIELD(STRUCT, FIELD, OFFSET)                                                                             \
  CHECK(offsetof(STRUCT, FIELD) == OFFSET);                                                                            \
  if (print)                                                                                                           \
    printf("%s.%s %zu\n", #STRUCT, #FIELD, offsetof(STRUCT, FIELD));
#define CHECK_SIZE(STRUCT, BYTES)                                                                                      \
  CHECK(sizeof(STRUCT) == BYTES);                                                                                      \
  if (print)                                                                                                           \
    printf("%s %zu\n", #STRUCT, sizeof(STRUCT));
  FIELDS(CHECK_FIELD)
  SIZES(CHECK_SIZE)
  return finish();
}
