// What a file is that is no ONNX model, for messages: people give compilers all that their tools write.
#ifndef MLC_COMPILER_IMPORT_FOREIGNFILE_H
#define MLC_COMPILER_IMPORT_FOREIGNFILE_H
#include "llvm/ADT/StringRef.h"
#include <string>

namespace mlc {

/// "is a TensorFlow Lite model; ...": what the file or folder is, and what to do with it. "" if it is nothing that we know.
std::string describeForeignFile(llvm::StringRef path);

} // namespace mlc
#endif
