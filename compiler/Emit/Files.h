// The one place where mlc writes files. A file is written to a temporary beside its target, every error is looked at, and the files of one
// command take their places together at the end: a failed command leaves what was there before.
#ifndef MLC_COMPILER_EMIT_FILES_H
#define MLC_COMPILER_EMIT_FILES_H
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"
#include <string>
#include <vector>

namespace mlc {

using FileWriter = llvm::function_ref<llvm::Error(llvm::raw_pwrite_stream &)>;

/// Files that appear together or not at all.
class OutputFiles {
public:
  OutputFiles() = default;
  OutputFiles(const OutputFiles &) = delete;
  ~OutputFiles();

  /// Makes a file; `write` gets a stream to it.
  llvm::Error write(llvm::StringRef path, FileWriter write);
  /// The same for the linker, which takes a file's name, maps what it writes, and could not tell that the disk is full: there is room for
  /// `bytes` when `write` is called.
  llvm::Error writeMapped(llvm::StringRef path, uint64_t bytes, llvm::function_ref<llvm::Error(llvm::StringRef)> write);
  /// Puts every file into its place.
  llvm::Error keep();

private:
  struct File {
    std::string temporary, target;
  };
  llvm::Expected<int> open(llvm::StringRef path);
  std::vector<File> files;
};

/// One file. What exists and is not a regular file (a pipe, a device, a link) is written into; "-" is standard output.
llvm::Error writeFile(llvm::StringRef path, FileWriter write);
llvm::Error writeFile(llvm::StringRef path, llvm::StringRef text);

/// Whether a file can be made there: what could not be written is to be found before the work. `mayBeDevice`: as writeFile does it.
llvm::Error checkOutput(llvm::StringRef path, bool mayBeDevice);
/// A folder for outputs, made if it is missing.
llvm::Error makeFolder(llvm::StringRef path);

/// A folder in the system's folder for temporary files, gone with this object or when a signal ends the process.
class ScratchFolder {
public:
  static llvm::Expected<ScratchFolder> make();
  ScratchFolder(ScratchFolder &&other) : path(std::exchange(other.path, "")) {}
  ~ScratchFolder();

  std::string file(const llvm::Twine &name) const { return path + "/" + name.str(); }

private:
  explicit ScratchFolder(std::string path) : path(std::move(path)) {}
  std::string path; // "": moved away
};

/// For main: signals from outside (SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGXCPU) end the process without leaving temporaries, a limit on the size of files is an error of the
/// write, and a disk that fills while the linker writes into its mapped output is an error, not a crash.
void handleSignals();

} // namespace mlc
#endif
