// Weights.cpp: finds, maps and checks files of weights. Whatever a file holds, its header decides before a value is read;
// only a file that shrinks while it is mapped can still hurt, as it does with a library.
#include "Weights.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace mlc {

static const size_t pathBytesMax = 4096; // Linux's PATH_MAX

static_assert(sizeof(mlc_weights_header) == 64, "the blob that follows is aligned like the header");

/// `bytes` is what there is; `name` says where, for messages.
static mlc_status checkHeader(mlc_handle *handle, const char *name, const void *memory, size_t bytes) {
  const mlc_program *program = handle->program;
  mlc_weights_header header;
  if (bytes < sizeof(header))
    return fail(handle, MLC_CORRUPT_DATA, "%s: %zu bytes are too few for a file of weights", name, bytes);
  memcpy(&header, memory, sizeof(header));
  if (memcmp(header.magic, MLC_WEIGHTS_MAGIC, sizeof(header.magic)) != 0)
    return fail(handle, MLC_CORRUPT_DATA, "%s: not a file of weights made by mlc", name);
  if (header.version != MLC_WEIGHTS_VERSION)
    return fail(handle, MLC_CORRUPT_DATA, "%s: a file of weights of version %llu, this library reads version %d", name,
                (unsigned long long)header.version, MLC_WEIGHTS_VERSION);
  if (header.structure[0] != program->weights_structure[0] || header.structure[1] != program->weights_structure[1] ||
      header.weights_bytes != program->weights_bytes)
    return fail(handle, MLC_CORRUPT_DATA,
                "%s: weights for other code (structure %016llx%016llx with %lld bytes, this library has "
                "%016llx%016llx with %lld bytes): another model, or compiled with other options",
                name, (unsigned long long)header.structure[0], (unsigned long long)header.structure[1],
                (long long)header.weights_bytes, (unsigned long long)program->weights_structure[0],
                (unsigned long long)program->weights_structure[1], (long long)program->weights_bytes);
  size_t expected = sizeof(header) + (size_t)program->weights_bytes;
  if (bytes != expected)
    return fail(handle, MLC_CORRUPT_DATA, "%s: %zu bytes, expected %zu: the file is %s", name, bytes, expected,
                bytes < expected ? "truncated" : "too long");
  return MLC_OK;
}

static mlc_status mapFile(mlc_handle *handle, const char *path) {
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO must not block
  if (file < 0)
    return fail(handle, MLC_IO_ERROR, "%s: cannot open the weights: %s", path, strerror(errno));
  struct stat status;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) {
    close(file);
    return fail(handle, MLC_IO_ERROR, "%s: cannot open the weights: not a regular file, or empty", path);
  }
  size_t bytes = (size_t)status.st_size;
  void *memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
  int error = errno;
  close(file);
  if (memory == MAP_FAILED)
    return fail(handle, MLC_IO_ERROR, "%s: cannot map the weights: %s", path, strerror(error));
  handle->mappedWeights = memory;
  handle->mappedWeightsBytes = bytes;
  handle->hostWeights = (const char *)memory + sizeof(mlc_weights_header);
  return checkHeader(handle, path, memory, bytes);
}

/// The recorded name, in the folder of the shared library that holds this very code if it says so.
static mlc_status mapRecordedFile(mlc_handle *handle) {
  const mlc_program *program = handle->program;
  Dl_info library;
  const char *slash = nullptr;
  if (program->weights_beside_library && program->weights_file[0] != '/' && dladdr(program, &library) &&
      library.dli_fname)
    slash = strrchr(library.dli_fname, '/');
  if (!slash)
    return mapFile(handle, program->weights_file);
  char path[pathBytesMax];
  int length = snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - library.dli_fname), library.dli_fname,
                        program->weights_file);
  if (length < 0 || (size_t)length >= sizeof(path))
    return fail(handle, MLC_IO_ERROR, "%s: the path of the weights is too long", program->weights_file);
  return mapFile(handle, path);
}

mlc_status openWeights(mlc_handle *handle) {
  const mlc_program *program = handle->program;
  const mlc_options &options = handle->options;
  bool isReplaced = options.weights_file || options.weights;
  if (isReplaced && program->weights_bytes == 0)
    return fail(handle, MLC_INVALID_ARGUMENT, "options: weights are given, but the model has none");
  if (options.weights_file)
    return mapFile(handle, options.weights_file);
  if (options.weights) {
    handle->hostWeights = (const char *)options.weights + sizeof(mlc_weights_header);
    return checkHeader(handle, "options.weights", options.weights, options.weights_bytes);
  }
  handle->hostWeights = (const char *)program->weights;
  return program->weights || program->weights_bytes == 0 ? MLC_OK : mapRecordedFile(handle);
}

void closeWeights(mlc_handle *handle) {
  if (handle->mappedWeights)
    munmap(handle->mappedWeights, handle->mappedWeightsBytes);
}

} // namespace mlc
