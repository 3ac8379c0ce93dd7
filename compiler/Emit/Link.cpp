// linkObjects (Link.h): lld and LLVM's archive writer as libraries. No compiler driver and no development package is needed.
#include "compiler/Emit/Link.h"
#include "compiler/Emit/Files.h"
#include "lld/Common/Driver.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

LLD_HAS_DRIVER(elf)

using namespace llvm;

namespace {

/// Where a file of the triple's C library lies on this machine: as its dynamic loader would find it, or where distributions put
/// libraries for cross-compiling; empty if nowhere.
std::string findLibrary(const mlc::Artifact &artifact, StringRef name) {
  Triple triple(artifact.triple);
  std::string multiarch = (triple.getArchName() + "-linux-gnu").str();
  SmallVector<std::string> folders;
  for (StringRef prefix : {"", "/usr"})
    folders.push_back((artifact.sysroot + prefix + "/lib/" + multiarch).str());
  if (!artifact.sysroot.empty() || triple.getArch() == Triple(sys::getDefaultTargetTriple()).getArch())
    for (StringRef folder : {"/lib64", "/usr/lib64", "/lib", "/usr/lib"})
      folders.push_back((artifact.sysroot + folder).str());
  else
    folders.push_back("/usr/" + multiarch + "/lib");
  for (StringRef folder : folders) {
    SmallString<128> path(folder);
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

/// An empty shared library that is called `name`: linking with it records the name as needed.
Expected<std::string> makeStub(StringRef name, StringRef object) {
  ELF::Elf64_Ehdr header;
  auto from = MemoryBuffer::getFileSlice(object, sizeof(header), 0);
  if (!from)
    return createFileError(object, from.getError());
  memcpy(&header, (*from)->getBufferStart(), sizeof(header)); // the machine and its flags
  header.e_shoff = header.e_shnum = header.e_shstrndx = 0;
  std::string empty = (sys::path::parent_path(object) + "/empty.o").str();
  if (Error error = mlc::writeFile(empty, StringRef(reinterpret_cast<const char *>(&header), sizeof(header))))
    return std::move(error);
  std::string stub = (sys::path::parent_path(object) + "/" + name).str();
  if (Error error = runLld({"-shared", "-soname", name.str(), "-o", stub, empty}))
    return std::move(error);
  return stub;
}

/// Without a soname: a program finds the library where it was when it was linked, and the file's name is not in its bytes.
Error linkShared(ArrayRef<std::string> objects, StringRef output, const mlc::Artifact &artifact) {
  std::vector<std::string> arguments{
      "-shared", "-o",  output.str(), "--hash-style=gnu", "--gc-sections",  "--discard-locals", "-z", "relro",
      "-z",      "now", "-z",         "noexecstack",      "--build-id=none"};
  llvm::append_range(arguments, objects);
  std::string libc = findLibrary(artifact, "libc.so.6"), libm = findLibrary(artifact, "libm.so.6");
  bool isFound = !libc.empty() && !libm.empty();
  for (auto [name, path] : {std::pair("libm.so.6", &libm), std::pair("libc.so.6", &libc)}) {
    if (isFound)
      continue;
    auto stub = makeStub(name, objects.front());
    if (!stub)
      return stub.takeError();
    *path = *stub;
  }
  llvm::append_range(arguments, std::vector<std::string>{"--no-as-needed", libm, libc, "--as-needed"});
  if (isFound) {
    llvm::append_range(arguments, std::vector<std::string>{"-z", "defs"});
    // Thread-local storage is reached through a function of the loader.
    for (StringRef loader : {"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"})
      if (std::string path = findLibrary(artifact, loader); !path.empty())
        arguments.push_back(path);
  }
  return runLld(arguments);
}

Error archive(ArrayRef<std::string> objects, raw_ostream &os) {
  std::vector<NewArchiveMember> members;
  for (const std::string &object : objects) {
    auto member = NewArchiveMember::getFile(object, /*Deterministic=*/true);
    if (!member)
      return member.takeError();
    member->MemberName = sys::path::filename(object); // without the temporary directory
    members.push_back(std::move(*member));
  }
  return writeArchiveToStream(os, members, SymtabWritingMode::NormalSymtab, object::Archive::K_GNU,
                              /*Deterministic=*/true,
                              /*Thin=*/false);
}

/// No output of the linker is larger than its inputs and some tables.
uint64_t sizeMax(ArrayRef<std::string> objects) {
  uint64_t bytes = 1 << 14;
  for (const std::string &object : objects)
    if (uint64_t size; !sys::fs::file_size(object, size))
      bytes += size;
  return bytes;
}

} // namespace

Error mlc::linkObjects(ArrayRef<std::string> objects, StringRef output, EmitKind kind, const Artifact &artifact,
                       OutputFiles &files) {
  if (kind == EmitKind::Archive)
    return files.write(output, [&](raw_pwrite_stream &os) { return archive(objects, os); });
  return files.writeMapped(output, sizeMax(objects), [&](StringRef path) {
    if (kind == EmitKind::Library)
      return linkShared(objects, path, artifact);
    std::vector<std::string> arguments{"-r", "--discard-locals", "-o", path.str()};
    llvm::append_range(arguments, objects);
    return runLld(arguments);
  });
}
