// abi.h: the contract between generated code and the runtime that is linked into the same library. Not for
// applications.
//
// The compiler embeds the runtime as bitcode and internalises all of it, so every library is self-contained. The
// compiler builds the same structures as LLVM constants (compiler/Emit) and calls the functions of abi.def;
// test/runtime/abi checks that both sides agree on every offset.
#ifndef MLC_ABI_H
#define MLC_ABI_H

#include "mlc/mlc.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What a compiled entry receives. Generated code reads the fields by index: keep the order, append only.
typedef struct mlc_call {
  const void *const *inputs;     /// 0: data of each input
  void *const *outputs;          /// 1: data of each output
  const int64_t *dims;           /// 2: symbol_count sizes
  const void *weights;           /// 3: the constant blob (64-byte aligned)
  void *state;                   /// 4: parameters and optimizer state (mutable, 64-byte aligned); null if not trainable
  void *arena;                   /// 5: workspace (64-byte aligned)
  mlc_parallel_for parallel_for; /// 6: never null
  void *pool;                    /// 7: first argument of parallel_for
  void *device;          /// 8: the runtime's GPU state; null on the CPU. With a GPU, fields 0, 1, 3, 4 and 5 hold
                         /// pointers to device memory (the arrays `inputs` and `outputs` themselves are in host memory)
  mlc_handle *handle;    /// 9: for mlc_rt_fail
  int64_t *result_sizes; /// 10: every output's shape, one after the other; the entry replaces the sizes that it read
                         /// from data
  void *checks;          /// 11: on a GPU, four words of device memory for what kernels find wrong: -1 (each check
                         /// leaves it so), then of the first check that failed its message (0: none), value and bound
} mlc_call;

/// A compiled entry point; returns an mlc_status.
typedef int32_t (*mlc_entry)(const mlc_call *call);

/// Checks the sizes that follow from call->dims, and computes: result[0] = workspace bytes, -1 if 64 bits do not hold
/// them, then every output's shape, one after the other; a size that only the data tells as its upper bound. Of the call
/// dims and handle are read, and handle may be null. Returns an mlc_status; result is undefined unless it is MLC_OK.
typedef int32_t (*mlc_sizes)(const mlc_call *call, int64_t *result);

/// A parameter or optimizer slot inside the state. Slots do not overlap; `bytes` is the exact size of the tensor. A
/// checkpoint holds every slot under its name: parameters as model.params says, other slots as float32 in the shape of
/// the parameter `p` whose name they extend (`p.momentum`) if the number of elements agrees, else one-dimensional.
typedef struct mlc_state_slot {
  const char *name;
  int64_t offset; /// bytes from the start of the state
  int64_t bytes;
  int64_t weights_offset; /// initial value inside the constant blob; -1: zeros
} mlc_state_slot;

/// Everything static that the runtime needs to know of one model. The compiler emits one such constant for each model.
typedef struct mlc_program {
  mlc_model model; /// what mlc_model_v1 returns; the function pointers are the generated thunks
  mlc_entry run;
  mlc_entry train_step; /// null: not trainable
  mlc_sizes run_sizes;
  mlc_sizes train_sizes;
  const void *weights; /// the constant blob; null: in a file, see weights_file
  int64_t weights_bytes;
  int64_t state_bytes;
  int32_t state_slot_count; /// the first model.param_count slots are the parameters, in order; then optimizer slots
  int32_t weights_beside_library; /// a relative weights_file is in the library's folder; else in the current one
  const mlc_state_slot *state_slots;
  const char *cpu_features; /// comma-separated names as in /proc/cpuinfo that create checks; "" for none. A name that
                            /// the runtime does not know (runtime/src/Cpu.cpp) is an error, too
  const char *const *device_images;  /// PTX texts (null-terminated strings), best first; null on the CPU. Each kernel
                                     /// comes from the first image that holds it and whose .target the device can run
  const char *const *device_kernels; /// kernel names, by the index that mlc_rt_launch receives
  int32_t device_image_count, device_kernel_count;
  const char *device_arch;       /// "sm_80", for messages; null on the CPU
  const char *weights_file;      /// null: the weights are in the library
  uint64_t weights_structure[2]; /// a hash of the code and of where each weight lies: which files of weights fit
} mlc_program;

/// The first 64 bytes of a file of weights; the constant blob follows. Little-endian.
typedef struct mlc_weights_header {
  char magic[8];    /// MLC_WEIGHTS_MAGIC
  uint64_t version; /// MLC_WEIGHTS_VERSION
  int64_t weights_bytes;
  uint64_t structure[2]; /// mlc_program.weights_structure of the libraries that it fits
  uint64_t reserved[3];
} mlc_weights_header;

/// Not text, and damaged by any conversion of line ends.
#define MLC_WEIGHTS_MAGIC "\x93MLCW\r\n\0"
#define MLC_WEIGHTS_VERSION 1

#define MLC_RT(RESULT, NAME, ...) RESULT NAME(__VA_ARGS__);
#include "mlc/abi.def"
#undef MLC_RT

/// Called by the generated typed functions and by the thunks of mlc_model. They check every argument.
size_t mlc_rt_workspace_size(const mlc_program *program, const int64_t *dims);
mlc_status mlc_rt_output_shapes(const mlc_program *program, const int64_t *dims, int64_t *shapes);
mlc_status mlc_rt_create(const mlc_program *program, const mlc_options *options, mlc_handle **handle);
void mlc_rt_destroy(mlc_handle *handle);
/// Typed call: raw pointers and sizes. `training` selects train_step.
mlc_status mlc_rt_call(mlc_handle *handle, int32_t training, const int64_t *dims, const void *const *inputs,
                       void *const *outputs);
/// Reflective call: checks types and shapes, binds the symbols, then as above.
mlc_status mlc_rt_call_tensors(mlc_handle *handle, int32_t training, const mlc_tensor *inputs, mlc_tensor *outputs);
mlc_status mlc_rt_param(mlc_handle *handle, const char *name, mlc_tensor *view);
mlc_status mlc_rt_save(mlc_handle *handle, const char *path);
mlc_status mlc_rt_load(mlc_handle *handle, const char *path);
const char *mlc_rt_last_error(const mlc_handle *handle);
mlc_status mlc_rt_result_shapes(mlc_handle *handle, int64_t *shapes);

#ifdef __cplusplus
}
#endif
#endif
