// mlc.h: what an application sees of a library that mlc has compiled. Self-contained C11, also valid C++.
//
// A generated header (`digits.h`) declares the typed functions of one model on top of these types. Programs that load a
// library at run time (dlopen, Python, the command line) use the reflective table below: `mlc_model_v1()`.
//
// Every function returns a status, none prints, none aborts. Handles are independent; one handle serves one thread at a
// time, any number of handles run at once.
//
// The floating-point environment (rounding, traps) stays as it is. A program may trap division by 0, overflow and invalid operations:
// where all results are finite, none of them happens on the way. (As in C, a float that does not fit into an integer is invalid.)
#ifndef MLC_MLC_H
#define MLC_MLC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Version of the structures of this file and of abi.h. A library and a program that disagree refuse each other.
#define MLC_ABI_VERSION 2

typedef enum mlc_status {
  MLC_OK = 0,
  MLC_INVALID_ARGUMENT = 1,   /// a null pointer, wrong shape, type, name or alignment
  MLC_OUT_OF_MEMORY = 2,      /// the allocator returned null, or the caller's arena is too small
  MLC_UNSUPPORTED_CPU = 3,    /// the library was compiled for CPU features that this machine lacks
  MLC_UNSUPPORTED_DEVICE = 4, /// no GPU driver, or no GPU that can run the library's code
  MLC_IO_ERROR = 5,           /// a file could not be read or written
  MLC_CORRUPT_DATA = 6,       /// a checkpoint or a file of weights is malformed or belongs to another model
  MLC_MODEL_ERROR = 7,        /// the model itself failed: an index out of range, a Reshape that does not fit
  MLC_INTERNAL = 8
} mlc_status;

/// Element types. Values are those of ONNX's TensorProto.DataType.
typedef enum mlc_dtype {
  MLC_FLOAT32 = 1,
  MLC_UINT8 = 2,
  MLC_INT8 = 3,
  MLC_UINT16 = 4,
  MLC_INT16 = 5,
  MLC_INT32 = 6,
  MLC_INT64 = 7,
  MLC_BOOL = 9,
  MLC_FLOAT16 = 10,
  MLC_FLOAT64 = 11,
  MLC_UINT32 = 12,
  MLC_UINT64 = 13,
  MLC_BFLOAT16 = 16
} mlc_dtype;

#define MLC_RANK_MAX 16

/// A dense row-major tensor that the caller owns. `data` is aligned to its element size at least.
typedef struct mlc_tensor {
  void *data;
  int32_t dtype; /// mlc_dtype
  int32_t rank;
  int64_t shape[MLC_RANK_MAX];
} mlc_tensor;

/// Task `index` of a parallel loop; tasks of one loop are independent of each other.
typedef void (*mlc_task)(void *context, int64_t index);

/// Runs task(context, 0) ... task(context, count - 1), in any order and on any threads, and returns when all are done.
typedef void (*mlc_parallel_for)(void *pool, mlc_task task, void *context, int64_t count);

/// How a handle is made. Zero-initialise it; every zero field means the default.
typedef struct mlc_options {
  int32_t threads;               /// threads of the own pool, the caller's included, at most 1024; 0: one for each core
  mlc_parallel_for parallel_for; /// the caller's pool instead of the own one
  void *pool;                    /// handed to parallel_for
  void *(*allocate)(void *user, size_t bytes, size_t alignment); /// default: aligned_alloc
  void (*release)(void *user, void *memory);
  void *user;  /// handed to allocate and release
  void *arena; /// the caller's workspace of arena_bytes, 64-byte aligned (of a GPU library: device
               /// memory); default: allocated, at create if all shapes are static, else at need
  size_t arena_bytes;
  int32_t device; /// ordinal of the GPU, for libraries that hold GPU code
  uint64_t seed;  /// of random initial parameters and of random operators
  /// Other weights than the library's own: the path of a file that `mlc compile --weights=FILE` has written, or such a
  /// file in memory (64-byte aligned, the caller's as long as the handle lives; of a GPU library: until create returns).
  /// It must come from a model that compiles to the same code: a retrained one, with the same options. Anything else is
  /// refused with MLC_CORRUPT_DATA. Default: the weights inside the library or in the file whose name it holds.
  const char *weights_file;
  const void *weights;
  size_t weights_bytes;
} mlc_options;

/// A dimension of an input or output: a constant, or the symbol `symbol` of the model's table of dimension names.
/// Outputs may have sizes that are neither: value -1, symbol -1; `output_shapes` of the model's table computes them.
/// Where only the data tells the size (the number of detections, say) `bounded` is 1: output_shapes gives the upper
/// bound, for which the caller has room, and after a run result_shapes gives the size.
typedef struct mlc_dim {
  int64_t value;  /// >= 0: the size; -1: not a constant
  int32_t symbol; /// index into mlc_model.symbols, or -1
  int32_t bounded;
} mlc_dim;

typedef struct mlc_value_info {
  const char *name;
  int32_t dtype;
  int32_t rank;
  const mlc_dim *dims;
} mlc_value_info;

struct mlc_handle;
typedef struct mlc_handle mlc_handle;

/// The reflective table of one model. Static data of the library, never freed.
typedef struct mlc_model {
  int32_t abi_version; /// MLC_ABI_VERSION
  int32_t struct_bytes;
  const char *name;
  const char *manifest; /// the text of the .json file beside the library
  int32_t symbol_count, input_count, output_count, param_count;
  const char *const *symbols; /// names of the symbolic dimensions, in the order of `dims` arguments
  const mlc_value_info *inputs;
  const mlc_value_info *outputs;
  const mlc_value_info *params; /// weights that can be read and replaced (compiled with --train), else none
  int32_t train_input_count;    /// inputs of train_step (the model's inputs, then the loss's labels); 0: not trainable
  int32_t train_output_count;
  const mlc_value_info *train_inputs;
  const mlc_value_info *train_outputs;

  /// Bytes of workspace for these dimensions that serve run and, if there is one, train_step (`dims`: symbol_count
  /// sizes; null if there are none). 0 if dims is invalid, or
  /// the model cannot run with them.
  size_t (*workspace_size)(const int64_t *dims);
  /// Shapes of the outputs for these dimensions: their ranks' worth of sizes, one output after the other. MLC_MODEL_ERROR for
  /// dimensions with which the model cannot run (`MatMul_3: inner sizes differ: 7 and 8`): last_error(NULL) tells why.
  mlc_status (*output_shapes)(const int64_t *dims, int64_t *shapes);
  mlc_status (*create)(const mlc_options *options, mlc_handle **handle);
  void (*destroy)(mlc_handle *handle);
  /// Checks dtype, rank and shape of every tensor, then runs. Outputs are allocated by the caller; they overlap neither
  /// inputs nor each other. Returns when the outputs are there, on a GPU too. Data of empty tensors may be null.
  /// Bounded dimensions of outputs have their upper bound in `shape` before the call and their size after it; data is
  /// dense at that size.
  mlc_status (*run)(mlc_handle *handle, const mlc_tensor *inputs, mlc_tensor *outputs);
  /// A step that fails leaves parameters and optimizer state as they were. Where that was not possible (a GPU refused to
  /// go on while they were written) the message says that they are undefined, and run, train_step and save fail until
  /// load has succeeded. After a fault of a GPU (CUDA errors 700 to 719, say) every call of the handle fails, as the
  /// driver refuses all further work of the process: what was on the device is lost.
  mlc_status (*train_step)(mlc_handle *handle, const mlc_tensor *inputs, mlc_tensor *outputs);
  /// A view of a parameter's memory, which may be read and written between calls; valid as long as the handle. On a GPU
  /// it is managed memory, so that the view works there too.
  mlc_status (*param)(mlc_handle *handle, const char *name, mlc_tensor *view);
  /// safetensors: parameters and optimizer state. save replaces the file in one step; load changes nothing unless the
  /// whole file is valid and holds exactly the tensors of this model.
  mlc_status (*save)(mlc_handle *handle, const char *path);
  mlc_status (*load)(mlc_handle *handle, const char *path);
  /// What went wrong in the last call on this handle, "" if nothing did; valid until the next call on it. For a null
  /// handle: in the last create, workspace_size or output_shapes of this library on this thread. Never null.
  const char *(*last_error)(const mlc_handle *handle);
  /// Shapes of the outputs of the last run or train_step on this handle, as output_shapes writes them, bounded sizes as
  /// they were. MLC_INVALID_ARGUMENT if that did not succeed.
  mlc_status (*result_shapes)(mlc_handle *handle, int64_t *shapes);
} mlc_model;

/// The reflective symbol is `digits_mlc_model_v1`, after the model's name; a shared library has it as `mlc_model_v1`, too.
typedef const mlc_model *(*mlc_model_v1_fn)(void);

#ifdef __cplusplus
}
#endif
#endif
