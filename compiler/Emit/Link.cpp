// linkObjects (Link.h): lld and LLVM's archive writer as libraries. No compiler driver and no development package is needed.
#include "compiler/Emit/Link.h"
#include "lld/Common/Driver.h"
#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

LLD_HAS_DRIVER(elf)

using namespace llvm;

namespace {

/// The C library's files as the dynamic loader would find them; empty if there is none.
std::string findLibrary(StringRef name) {
  for (StringRef directory : {"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu",
                              "/usr/lib/aarch64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}) {
    SmallString<128> path(directory);
    sys::path::append(path, name);
    if (sys::fs::exists(path))
      return path.str().str();
  }
  return "";
}

Error runLld(ArrayRef<std::string> arguments) {
  SmallVector<const char *> pointers{"ld.lld"};
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());
  std::string messages;
  raw_string_ostream os(messages);
  lld::Result result = lld::lldMain(pointers, os, os, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode)
    return createStringError("linking failed: %s", messages.c_str());
  return Error::success();
}

/// Without a soname: a program finds the library where it was when it was linked, and the file's name is not in its bytes.
Error linkShared(ArrayRef<std::string> objects, StringRef output) {
  std::vector<std::string> arguments{
      "-shared", "-o",  output.str(), "--hash-style=gnu", "--gc-sections",  "--discard-locals", "-z", "relro",
      "-z",      "now", "-z",         "noexecstack",      "--build-id=none"};
  llvm::append_range(arguments, objects);
  std::string libc = findLibrary("libc.so.6"), libm = findLibrary("libm.so.6");
  if (!libc.empty() && !libm.empty()) {
    llvm::append_range(arguments, std::vector<std::string>{"-z", "defs", "--no-as-needed", libm, libc, "--as-needed"});
    // Thread-local storage is reached through a function of the loader.
    for (StringRef loader : {"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"})
      if (std::string path = findLibrary(loader); !path.empty())
        arguments.push_back(path);
  }
  return runLld(arguments);
}

Error archive(ArrayRef<std::string> objects, StringRef output) {
  std::vector<NewArchiveMember> members;
  for (const std::string &object : objects) {
    auto member = NewArchiveMember::getFile(object, /*Deterministic=*/true);
    if (!member)
      return member.takeError();
    member->MemberName = sys::path::filename(object); // without the temporary directory
    members.push_back(std::move(*member));
  }
  return writeArchive(output, members, SymtabWritingMode::NormalSymtab, object::Archive::K_GNU, /*Deterministic=*/true,
                      /*Thin=*/false);
}

} // namespace

Error mlc::linkObjects(ArrayRef<std::string> objects, StringRef output, EmitKind kind) {
  if (kind == EmitKind::Library)
    return linkShared(objects, output);
  if (kind == EmitKind::Archive)
    return archive(objects, output);
  std::vector<std::string> arguments{"-r", "--discard-locals", "-o", output.str()};
  llvm::append_range(arguments, objects);
  return runLld(arguments);
}
