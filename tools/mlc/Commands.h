// The commands of `mlc`, one file each. A command gets the arguments after its name and returns an exit code.
#ifndef MLC_TOOLS_MLC_COMMANDS_H
#define MLC_TOOLS_MLC_COMMANDS_H
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace mlc {

using Arguments = llvm::ArrayRef<llvm::StringRef>;

int compileCommand(Arguments arguments);
int checkCommand(Arguments arguments);
int infoCommand(Arguments arguments);
int runCommand(Arguments arguments);
int verifyCommand(Arguments arguments);
int benchCommand(Arguments arguments);
int opsCommand(Arguments arguments);

} // namespace mlc
#endif
