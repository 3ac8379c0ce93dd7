// What a model file says about itself, without importing it: for `mlc info`, which also serves models that do not compile.
#ifndef MLC_COMPILER_IMPORT_SUMMARY_H
#define MLC_COMPILER_IMPORT_SUMMARY_H
#include "llvm/Support/Error.h"
#include <map>
#include <string>
#include <vector>

namespace mlc {

struct ModelSummary {
  struct Value {
    std::string name, type; // "float32[batch,3,224,224]"
  };
  int64_t irVersion;
  std::string producer;
  std::vector<std::pair<std::string, int64_t>> opsets; // domain, version
  std::vector<Value> inputs, outputs;
  int64_t initializerCount = 0;
  uint64_t initializerElements = 0; // the largest number when there are more
  std::vector<std::string> functions;
  std::map<std::string, int64_t> operators; // with those in subgraphs and functions; other domains as "domain.Op"
};

llvm::Expected<ModelSummary> summarizeOnnx(llvm::StringRef path);

} // namespace mlc
#endif
