// See Files.h.
#include "compiler/Emit/Files.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Signals.h"
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace llvm;

// ---- signals ---------------------------------------------------------------------------------------------------------------

// What a signal handler reads: it can only look at globals, and call what is safe there.
static std::array<std::atomic<char *>, 8> scratchFolders;
static std::atomic<const char *> mappedOutput;
static struct sigaction busBefore;

/// Files without folders among them; by system calls, since the signal may have come inside of malloc.
static void removeScratchFolder(const char *path) {
  struct Entry { // linux_dirent64
    uint64_t inode, offset;
    uint16_t bytes;
    uint8_t kind;
    char name[1];
  };
  int folder = open(path, O_RDONLY | O_DIRECTORY);
  if (folder < 0)
    return;
  alignas(Entry) char buffer[4096];
  for (long size; (size = syscall(SYS_getdents64, folder, buffer, sizeof(buffer))) > 0;)
    for (long at = 0; at < size; at += reinterpret_cast<Entry *>(buffer + at)->bytes)
      unlinkat(folder, reinterpret_cast<Entry *>(buffer + at)->name, 0);
  close(folder);
  rmdir(path);
}

static void removeTemporaries() {
  for (auto &folder : scratchFolders)
    if (char *path = folder.exchange(nullptr))
      removeScratchFolder(path);
  sys::RunInterruptHandlers(); // LLVM's list of files
}

static void onEnd(int signal) {
  removeTemporaries();
  raise(signal); // its default action
}

static void onBus(int signal, siginfo_t *info, void *context) {
  const char *output = mappedOutput.load();
  if (!output)
    return busBefore.sa_sigaction(signal, info, context); // a defect: LLVM tells where
  removeTemporaries();
  auto print = [](const char *text) { (void)!write(STDERR_FILENO, text, strlen(text)); };
  print("mlc: error: ");
  print(output);
  print(": cannot be written: No space left on device\n");
  _exit(1);
}

void mlc::handleSignals() {
  constexpr int ends[] = {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGXCPU}; // the last two are crashes to LLVM
  struct sigaction before[std::size(ends)];
  for (auto [index, number] : enumerate(ends))
    sigaction(number, nullptr, &before[index]);
  sys::AddSignalHandler([](void *) { removeTemporaries(); },
                        nullptr); // of crashes; LLVM's handlers are there from now on
  for (auto [index, number] : enumerate(ends)) {
    struct sigaction action = {};
    action.sa_handler = onEnd;
    action.sa_flags = SA_RESETHAND | SA_NODEFER;
    // What is ignored from the start, as by nohup, stays so.
    sigaction(number, before[index].sa_handler == SIG_IGN ? &before[index] : &action, nullptr);
  }
  struct sigaction bus = {};
  bus.sa_sigaction = onBus;
  bus.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigaction(SIGBUS, &bus, &busBefore);
  signal(SIGXFSZ, SIG_IGN);
}

// ---- files -----------------------------------------------------------------------------------------------------------------

static Error cannotWrite(StringRef path, std::error_code code) {
  return createStringError(code, path + ": cannot be written: " + code.message());
}
static std::error_code lastError(int number = errno) { return std::error_code(number, std::generic_category()); }

/// Closes a stream and tells what went wrong since it was opened.
static Error finish(raw_fd_ostream &os, StringRef path, Error error) {
  if (&os == &outs())
    os.flush();
  else
    os.close();
  std::error_code failed = os.error();
  os.clear_error(); // or the destructor ends the process
  return failed ? joinErrors(std::move(error), cannotWrite(path, failed)) : std::move(error);
}

mlc::OutputFiles::~OutputFiles() {
  for (const File &file : files) {
    sys::fs::remove(file.temporary);
    sys::DontRemoveFileOnSignal(file.temporary);
  }
}

Expected<int> mlc::OutputFiles::open(StringRef path) {
  if (sys::fs::is_directory(path))
    return cannotWrite(path, lastError(EISDIR));
  if (sys::fs::exists(path) && !sys::fs::is_regular_file(path)) // a device would be replaced
    return createStringError(path + ": is not a regular file");
  // createUniqueFile would replace every % of the path, and is for secrets: what we leave has the permissions of any new file.
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string temporary = (path + "." + Twine::utohexstr(sys::Process::GetRandomNumber()) + ".tmp").str();
    int descriptor = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor < 0 && errno == EEXIST)
      continue;
    if (descriptor < 0)
      return cannotWrite(path, lastError());
    sys::RemoveFileOnSignal(temporary);
    files.push_back({temporary, path.str()});
    return descriptor;
  }
  return cannotWrite(path, lastError(EEXIST));
}

Error mlc::OutputFiles::write(StringRef path, FileWriter write) {
  auto descriptor = open(path);
  if (!descriptor)
    return descriptor.takeError();
  raw_fd_ostream os(*descriptor, /*shouldClose=*/true);
  return finish(os, path, write(os));
}

Error mlc::OutputFiles::writeMapped(StringRef path, uint64_t bytes, function_ref<Error(StringRef)> write) {
  auto descriptor = open(path);
  if (!descriptor)
    return descriptor.takeError();
  int failed = posix_fallocate(*descriptor, 0, std::max<uint64_t>(bytes, 1));
  // The linker takes the room that this gives back; should another program be faster, onBus tells it.
  if (failed == 0 && ftruncate(*descriptor, 0) != 0)
    failed = errno;
  close(*descriptor);
  if (failed)
    return cannotWrite(path, lastError(failed));
  std::string target = path.str();
  mappedOutput = target.c_str();
  llvm::scope_exit done([] { mappedOutput = nullptr; });
  // The linker takes each % of a folder's name for a place of random characters: it gets the folder by its descriptor.
  StringRef temporary = files.back().temporary, folder = sys::path::parent_path(temporary);
  if (!folder.contains('%'))
    return write(temporary);
  int descriptorOfFolder = ::open(folder.str().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (descriptorOfFolder < 0)
    return cannotWrite(path, lastError());
  llvm::scope_exit closed([&] { close(descriptorOfFolder); });
  return write(("/proc/self/fd/" + Twine(descriptorOfFolder) + "/" + sys::path::filename(temporary)).str());
}

Error mlc::OutputFiles::keep() {
  for (const File &file : files) {
    if (std::error_code failed = sys::fs::rename(file.temporary, file.target))
      return cannotWrite(file.target, failed);
    sys::DontRemoveFileOnSignal(file.temporary);
  }
  files.clear();
  return Error::success();
}

Error mlc::writeFile(StringRef path, FileWriter write) {
  if (path == "-")
    return finish(outs(), "standard output", write(outs()));
  sys::fs::file_status status;
  bool exists = !sys::fs::status(path, status, /*follow=*/false);
  if (exists && status.type() != sys::fs::file_type::regular_file) {
    std::error_code failed;
    raw_fd_ostream os(path, failed);
    return failed ? cannotWrite(path, failed) : finish(os, path, write(os));
  }
  OutputFiles files;
  if (Error error = files.write(path, write))
    return error;
  return files.keep();
}

Error mlc::writeFile(StringRef path, StringRef text) {
  return writeFile(path, [&](raw_pwrite_stream &os) {
    os << text;
    return Error::success();
  });
}

Error mlc::checkOutput(StringRef path, bool mayBeDevice) {
  if (path == "-")
    return Error::success();
  if (mayBeDevice && sys::fs::exists(path) && !sys::fs::is_regular_file(path) && !sys::fs::is_directory(path))
    return access(path.str().c_str(), W_OK) == 0 ? Error::success() : cannotWrite(path, lastError());
  OutputFiles files;
  return files.write(path, [](raw_pwrite_stream &) { return Error::success(); });
}

Error mlc::makeFolder(StringRef path) {
  if (std::error_code failed = sys::fs::create_directories(path))
    return cannotWrite(path, failed);
  if (!sys::fs::is_directory(path))
    return cannotWrite(path, lastError(ENOTDIR));
  return Error::success();
}

// ---- folders for temporary files -------------------------------------------------------------------------------------------

Expected<mlc::ScratchFolder> mlc::ScratchFolder::make() {
  SmallString<128> path;
  if (std::error_code failed = sys::fs::createUniqueDirectory("mlc", path))
    return createStringError(failed, "no temporary folder can be made: " + failed.message());
  for (auto &folder : scratchFolders) {
    char *none = nullptr, *copy = strdup(path.c_str());
    if (folder.compare_exchange_strong(none, copy))
      break;
    free(copy);
  }
  return ScratchFolder(path.str().str());
}

mlc::ScratchFolder::~ScratchFolder() {
  if (path.empty())
    return;
  sys::fs::remove_directories(path);
  for (auto &folder : scratchFolders)
    if (char *known = folder.load(); known && path == known && folder.compare_exchange_strong(known, nullptr))
      free(known);
}
