// libFuzzer over the files that data comes from: .npy and .pb tensors of `mlc run`, and safetensors checkpoints, which any
// program may load through a library. The first byte chooses the reader. What is read must also survive being used: a
// tensor is written back, a checkpoint that was taken over gives finite sizes.
#include "mlc/abi.h"
#include "test/runtime/Programs.h"
#include "tools/mlc/TensorFile.h"
#include <cstdlib>
#include <filesystem>
#include <fstream>

// The libraries of the system are not instrumented: what they do inside their containers is unknown to the sanitizer.
extern "C" const char *__asan_default_options() { return "detect_container_overflow=0"; }

namespace {

/// A folder of this process, removed when it exits.
struct Folder {
  Folder() : path(std::filesystem::temp_directory_path() / ("mlc-fuzz-" + std::to_string(getpid()))) {
    std::filesystem::create_directory(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  const std::filesystem::path path;
};

std::string writeFile(const char *name, const uint8_t *data, size_t size) {
  static const Folder folder;
  std::string path = folder.path / name;
  if (!std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char *>(data), size))
    std::abort();
  return path;
}

void readTensor(const std::string &path) {
  auto tensor = mlc::readTensorFile(path);
  if (!tensor)
    return llvm::consumeError(tensor.takeError());
  std::string copy = writeFile("copy.npy", nullptr, 0);
  if (llvm::Error failure = mlc::writeTensorFile(copy, *tensor))
    return llvm::consumeError(std::move(failure));
  auto again = mlc::readTensorFile(copy); // what mlc writes it reads, and nothing is lost
  if (!again || again->shape != tensor->shape || again->dtype != tensor->dtype ||
      !std::equal(tensor->data.get(), tensor->data.get() + tensor->bytes(), again->data.get()))
    std::abort();
}

void loadCheckpoint(const std::string &path) {
  static mlc_handle *const handle = [] {
    mlc_options options = {};
    options.threads = 1;
    mlc_handle *handle = nullptr;
    if (mlc_rt_create(&stepProgram, &options, &handle) != MLC_OK)
      std::abort();
    return handle;
  }();
  mlc_status status = mlc_rt_load(handle, path.c_str());
  bool isSilent = !*mlc_rt_last_error(handle);
  if ((status == MLC_OK) != isSilent)
    std::abort(); // a refusal says why
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  switch (*data % 3) {
  case 0:
    readTensor(writeFile("x.npy", data + 1, size - 1));
    break;
  case 1:
    readTensor(writeFile("x.pb", data + 1, size - 1));
    break;
  default:
    loadCheckpoint(writeFile("x.safetensors", data + 1, size - 1));
  }
  return 0;
}
