// Checkpoint.h: the header of a safetensors file, as written and as read. The file is: header length (8 bytes, little
// endian), a JSON object, then the tensors' bytes without gaps.
#ifndef MLC_RUNTIME_CHECKPOINT_H
#define MLC_RUNTIME_CHECKPOINT_H

#include "Handle.h"

namespace mlc {

/// Longest header that load accepts: that of the safetensors library.
constexpr int64_t checkpointHeaderBytesMax = 100000000;

/// Where each slot's bytes lie in a checkpoint, counted from the end of the header; -1: not in the file.
struct CheckpointLayout {
  int64_t *begins;   // state_slot_count of them
  int64_t dataBytes; // what follows the header
};

/// Writes the header for the program's state slots into `to` (null: only counts). Returns its length, a multiple of 8.
size_t writeCheckpointHeader(const mlc_program *program, char *to);

/// Parses `header` (overwriting it: strings are decoded in place) and compares it with the program's slots.
mlc_status readCheckpointHeader(mlc_handle *handle, const char *path, char *header, size_t headerBytes,
                                const CheckpointLayout &layout);

} // namespace mlc
#endif
