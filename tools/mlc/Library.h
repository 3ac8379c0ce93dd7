// A compiled library, loaded: the checks before its table is trusted, and its errors as text.
#ifndef MLC_TOOLS_MLC_LIBRARY_H
#define MLC_TOOLS_MLC_LIBRARY_H
#include "mlc/mlc.h"
#include "llvm/Support/Error.h"
#include <map>
#include <string>
#include <vector>

namespace mlc {

/// Loads a library that mlc made; it stays loaded until the program ends.
llvm::Expected<const mlc_model *> loadLibrary(llvm::StringRef path);

/// "MLC_OUT_OF_MEMORY: text of last_error".
llvm::Error statusError(const mlc_model &model, const mlc_handle *handle, mlc_status status, llvm::StringRef doing);

/// "float32[batch,1,8,8]"; `bounds`: the value's shape as output_shapes gives it, for sizes that are neither constant nor a symbol.
std::string typeText(const mlc_model &model, const mlc_value_info &value, const int64_t *bounds = nullptr);

/// Sizes of the model's symbols from --dim and --shape; those that neither gives are -1.
llvm::Expected<std::vector<int64_t>> bindDims(const mlc_model &model, const std::map<std::string, int64_t> &dims,
                                              const std::map<std::string, std::vector<int64_t>> &shapes);

/// The index of a value by name; the error lists the names there are.
llvm::Expected<int> findValue(llvm::StringRef what, llvm::StringRef name, const mlc_value_info *values, int count);

} // namespace mlc
#endif
