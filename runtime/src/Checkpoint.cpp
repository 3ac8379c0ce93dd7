// Checkpoint.cpp: saving and loading the state as a safetensors file. A save replaces the file in one step; a load
// changes the state only after the whole file was found valid and was read.
#include "Checkpoint.h"

#include "Device.h"
#include "Parameters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef O_CLOEXEC
#define O_CLOEXEC 0
#endif

namespace mlc {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors files are little endian");

namespace {
/// Memory of the handle's allocator, released at the end of the scope.
class Buffer {
public:
  Buffer(mlc_handle *handle, size_t bytes, const char *purpose)
      : handle(handle), memory((char *)allocate(handle, bytes, purpose)) {}
  ~Buffer() { release(handle, memory); }
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  char *data() { return memory; }

private:
  mlc_handle *handle;
  char *memory;
};

class File {
public:
  explicit File(int descriptor) : descriptor(descriptor) {}
  ~File() { close(); }
  File(const File &) = delete;
  File &operator=(const File &) = delete;
  int get() const { return descriptor; }
  bool close() {
    int closed = descriptor;
    descriptor = -1;
    return closed < 0 || ::close(closed) == 0;
  }

private:
  int descriptor;
};
} // namespace

static mlc_status failFile(mlc_handle *handle, const char *path, const char *action) {
  return fail(handle, MLC_IO_ERROR, "%s: cannot %s: %s", path, action, strerror(errno));
}

static bool writeAll(int descriptor, const char *data, size_t bytes) {
  while (bytes) {
    ssize_t written = write(descriptor, data, bytes < 1u << 30 ? bytes : 1u << 30);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return false;
    data += written;
    bytes -= (size_t)written;
  }
  return true;
}

/// False with errno 0: the file ended.
static bool readAll(int descriptor, char *data, size_t bytes, int64_t offset) {
  while (bytes) {
    errno = 0;
    ssize_t got = pread(descriptor, data, bytes < 1u << 30 ? bytes : 1u << 30, (off_t)offset);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return false;
    data += got;
    offset += got;
    bytes -= (size_t)got;
  }
  return true;
}

static mlc_status failRead(mlc_handle *handle, const char *path) {
  if (errno == 0)
    return fail(handle, MLC_CORRUPT_DATA, "%s: the file ended while it was read", path);
  return failFile(handle, path, "read");
}

static mlc_status checkArguments(mlc_handle *handle, const char *path, const char *function) {
  handle->error[0] = 0;
  if (!path)
    return fail(handle, MLC_INVALID_ARGUMENT, "%s: the path is null", function);
  if (handle->program->state_slot_count == 0)
    return fail(handle, MLC_INVALID_ARGUMENT, "%s: the library has no parameters (it was compiled without --train)",
                function);
  return MLC_OK;
}

/// Creates a file beside `path` under a name that nobody uses; the name is left in `temporary`.
static int createTemporary(const char *path, char *temporary, size_t bytes) {
  for (int32_t attempt = 0; attempt < 100; ++attempt) {
    snprintf(temporary, bytes, "%s.%ld-%d.tmp", path, (long)getpid(), attempt);
    int descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST)
      return descriptor;
  }
  return -1;
}

static bool writeCheckpoint(const mlc_program *program, int descriptor, const char *header, uint64_t headerBytes,
                            const char *state) {
  if (!writeAll(descriptor, (const char *)&headerBytes, sizeof(headerBytes)) ||
      !writeAll(descriptor, header, headerBytes))
    return false;
  for (int32_t index = 0; index < program->state_slot_count; ++index) {
    const mlc_state_slot &slot = program->state_slots[index];
    if (!writeAll(descriptor, state + slot.offset, (size_t)slot.bytes))
      return false;
  }
  // On the disk before the rename, or a crash could leave an empty file under the old name.
  return fsync(descriptor) == 0;
}

static mlc_status saveState(mlc_handle *handle, const char *path, const char *state) {
  const mlc_program *program = handle->program;
  size_t headerBytes = writeCheckpointHeader(program, nullptr);
  Buffer header(handle, headerBytes, "checkpoint header");
  size_t temporaryBytes = strlen(path) + 48;
  Buffer temporary(handle, temporaryBytes, "name of a temporary file");
  if (!header.data() || !temporary.data())
    return MLC_OUT_OF_MEMORY;
  writeCheckpointHeader(program, header.data());
  File file(createTemporary(path, temporary.data(), temporaryBytes));
  if (file.get() < 0)
    return failFile(handle, temporary.data(), "create the file");
  bool written = writeCheckpoint(program, file.get(), header.data(), headerBytes, state);
  if (!written || !file.close()) {
    mlc_status status = failFile(handle, path, "write");
    unlink(temporary.data());
    return status;
  }
  if (rename(temporary.data(), path) != 0) {
    mlc_status status = failFile(handle, path, "replace the file");
    unlink(temporary.data());
    return status;
  }
  return MLC_OK;
}

static mlc_status copyToDevice(mlc_handle *handle, const char *copy) {
  const mlc_program *program = handle->program;
  mlc_status status = MLC_OK;
  for (int32_t index = 0; index < program->state_slot_count && status == MLC_OK; ++index) {
    const mlc_state_slot &slot = program->state_slots[index];
    status = deviceWrite(handle, (char *)handle->state + slot.offset, copy + slot.offset, (size_t)slot.bytes);
  }
  if (status == MLC_OK)
    return deviceWait(handle);
  deviceSettle(handle); // the copy goes away
  return status;
}

/// Replaces the state; what a failed train_step has left undefined is defined again. A device that fails in between
/// leaves it undefined.
static mlc_status writeState(mlc_handle *handle, const char *copy) {
  const mlc_program *program = handle->program;
  if (!handle->device) {
    for (int32_t index = 0; index < program->state_slot_count; ++index) {
      const mlc_state_slot &slot = program->state_slots[index];
      memcpy((char *)handle->state + slot.offset, copy + slot.offset, (size_t)slot.bytes);
    }
    handle->stateLost = false;
    return MLC_OK;
  }
  DeviceScope scope(handle);
  if (mlc_status status = scope.status())
    return status;
  mlc_status status = scope.leave(copyToDevice(handle, copy));
  if (status)
    loseState(handle);
  else
    handle->stateLost = false;
  return status;
}

/// Reads the tensors into a copy of the state, and the copy into the state.
static mlc_status loadState(mlc_handle *handle, const char *path, int descriptor, int64_t dataOffset,
                            const int64_t *begins) {
  const mlc_program *program = handle->program;
  Buffer copy(handle, (size_t)program->state_bytes, "checkpoint");
  if (!copy.data())
    return MLC_OUT_OF_MEMORY;
  for (int32_t index = 0; index < program->state_slot_count; ++index) {
    const mlc_state_slot &slot = program->state_slots[index];
    if (!readAll(descriptor, copy.data() + slot.offset, (size_t)slot.bytes, dataOffset + begins[index]))
      return failRead(handle, path);
  }
  return writeState(handle, copy.data());
}

} // namespace mlc

using namespace mlc;

mlc_status mlc_rt_save(mlc_handle *handle, const char *path) {
  if (!handle)
    return fail(nullptr, MLC_INVALID_ARGUMENT, "the handle is null");
  if (mlc_status status = checkArguments(handle, path, "save"))
    return status;
  if (mlc_status status = checkState(handle))
    return status;
  if (!handle->device)
    return saveState(handle, path, (const char *)handle->state);
  size_t stateBytes = (size_t)handle->program->state_bytes;
  Buffer copy(handle, stateBytes, "checkpoint");
  if (!copy.data())
    return MLC_OUT_OF_MEMORY;
  DeviceScope scope(handle);
  mlc_status status = scope.status();
  if (status == MLC_OK)
    status = deviceRead(handle, copy.data(), handle->state, stateBytes);
  if (status == MLC_OK)
    status = deviceWait(handle);
  status = scope.leave(status);
  if (status != MLC_OK)
    return status;
  return saveState(handle, path, copy.data());
}

mlc_status mlc_rt_load(mlc_handle *handle, const char *path) {
  if (!handle)
    return fail(nullptr, MLC_INVALID_ARGUMENT, "the handle is null");
  if (mlc_status status = checkArguments(handle, path, "load"))
    return status;
  // O_NONBLOCK, so that a FIFO is refused below instead of waited for.
  File file(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0)
    return failFile(handle, path, "open");
  struct stat information;
  if (fstat(file.get(), &information) != 0)
    return failFile(handle, path, "open");
  if (!S_ISREG(information.st_mode))
    return fail(handle, MLC_IO_ERROR, "%s: cannot open: not a regular file", path);
  int64_t fileBytes = information.st_size;
  const int64_t lengthBytes = 8;
  uint64_t headerBytes = 0;
  if (fileBytes < lengthBytes)
    return fail(handle, MLC_CORRUPT_DATA, "%s: the file has only %lld bytes", path, (long long)fileBytes);
  if (!readAll(file.get(), (char *)&headerBytes, sizeof(headerBytes), 0))
    return failRead(handle, path);
  if (headerBytes > (uint64_t)(fileBytes - lengthBytes) || headerBytes > (uint64_t)checkpointHeaderBytesMax)
    return fail(handle, MLC_CORRUPT_DATA, "%s: the header's length of %llu bytes is impossible in a file of %lld bytes",
                path, (unsigned long long)headerBytes, (long long)fileBytes);
  Buffer header(handle, (size_t)headerBytes, "checkpoint header");
  size_t slotCount = (size_t)handle->program->state_slot_count;
  Buffer begins(handle, sizeof(int64_t) * slotCount, "checkpoint layout");
  if (!header.data() || !begins.data())
    return MLC_OUT_OF_MEMORY;
  if (!readAll(file.get(), header.data(), (size_t)headerBytes, lengthBytes))
    return failRead(handle, path);
  int64_t dataOffset = lengthBytes + (int64_t)headerBytes;
  CheckpointLayout layout = {(int64_t *)begins.data(), fileBytes - dataOffset};
  for (size_t index = 0; index < slotCount; ++index)
    layout.begins[index] = -1;
  if (mlc_status status = readCheckpointHeader(handle, path, header.data(), (size_t)headerBytes, layout))
    return status;
  return loadState(handle, path, file.get(), dataOffset, layout.begins);
}
