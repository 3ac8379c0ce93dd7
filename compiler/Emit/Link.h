// From object code and weights to a file that a linker or loader reads.
#ifndef MLC_COMPILER_EMIT_LINK_H
#define MLC_COMPILER_EMIT_LINK_H
#include "compiler/Emit/Artifact.h"
#include "llvm/Support/Error.h"

namespace mlc {

class OutputFiles;

/// Writes an ELF object of the target of `triple` that holds the weights and the hidden symbol `symbol` at their begin, piece by
/// piece: the blob never exists in memory.
llvm::Error writeWeightsObject(llvm::StringRef path, llvm::StringRef triple, llvm::StringRef symbol,
                               const Artifact &artifact);

/// Writes the blob behind a header that names the libraries it fits, which map it at create.
llvm::Error writeWeightsFile(llvm::StringRef path, const Artifact &artifact, OutputFiles &files);

/// Makes `output` of the objects: a shared library that needs libc and libm only, a static library, or one object. Symbols of
/// the C library are resolved if the one of the artifact's triple is found, and left to the loader otherwise.
llvm::Error linkObjects(llvm::ArrayRef<std::string> objects, llvm::StringRef output, EmitKind kind,
                        const Artifact &artifact, OutputFiles &files);

} // namespace mlc
#endif
