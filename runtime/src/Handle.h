// Handle.h: everything behind an mlc_handle, and the few functions that the files of the runtime share.
#ifndef MLC_RUNTIME_HANDLE_H
#define MLC_RUNTIME_HANDLE_H

#include "mlc/abi.h"

namespace mlc {
struct Device;
struct Pool;

/// What differs between run and train_step.
struct Signature {
  mlc_entry entry;
  mlc_sizes sizes;
  int32_t inputCount, outputCount;
  const mlc_value_info *inputs, *outputs;
};
} // namespace mlc

struct mlc_handle {
  const mlc_program *program;   // first in every version: generated code compares it (compiler/Emit/Program.cpp)
  mlc_options options;          // a copy; allocate and release are never null
  mlc_parallel_for parallelFor; // never null
  void *poolArgument;           // first argument of parallelFor
  mlc::Pool *ownPool;           // null: serial, or the caller's pool
  mlc::Device *device;          // null on the CPU

  const char *hostWeights; // the constant blob, wherever it is
  void *mappedWeights;     // the file that holds it; null if no file does
  size_t mappedWeightsBytes;

  // Device memory on a GPU, host memory otherwise.
  const void *weights;
  void *state;
  void *ownArena;
  size_t ownArenaBytes;

  // Scratch of one call, allocated together with the handle so that a call allocates nothing.
  int64_t *dims;             // symbol_count sizes
  int64_t *binders;          // index of the input that bound each symbol, -1: none
  int64_t *sizes;            // result of mlc_sizes
  int64_t *resultSizes;      // shapes of the outputs of the last call
  int64_t resultSizeCount;   // of that call; -1 if it did not succeed
  int64_t *inputBytes;       // of each input
  int64_t *outputBytes;      // of each output
  const void **inputs;       // data of each input
  void **outputs;            // data of each output
  const void **stagedInputs; // on a GPU: the device copies of the inputs
  void **stagedOutputs;      // on a GPU: where the kernels write the outputs

  uint32_t failed;  // a task or entry called mlc_rt_fail during this call, or a launch failed (atomic)
  bool writesState; // this call has begun to write the state
  bool stateLost;   // a call failed while it wrote the state
  char error[1024];
};

namespace mlc {

Signature signatureOf(const mlc_program *program, bool training);

/// Number of values that `sizes` of this signature writes.
int64_t sizesCount(const Signature &signature);

/// Writes the message of last_error and returns `status`.
/// The text of this thread that last_error(NULL) returns.
char *createErrorText(size_t *bytes);
[[gnu::format(printf, 3, 4)]] mlc_status fail(mlc_handle *handle, mlc_status status, const char *format, ...);

/// Memory of the handle's allocator, aligned to 64 bytes; null and a message naming `purpose` if there is none.
void *allocate(mlc_handle *handle, size_t bytes, const char *purpose);
void release(mlc_handle *handle, void *memory);

/// Finds a workspace of `bytes`: the caller's, or the own one, which grows if it is too small.
mlc_status reserveArena(mlc_handle *handle, size_t bytes, void **arena);

} // namespace mlc
#endif
