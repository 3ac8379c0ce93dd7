// The tensors that `run` and `bench` hand to a library: from files, random, or constant; and the ones it writes to.
#ifndef MLC_TOOLS_MLC_INPUTS_H
#define MLC_TOOLS_MLC_INPUTS_H
#include "Options.h"
#include "TensorFile.h"
#include "compiler/Compile.h"

namespace mlc {

struct InputOptions {
  std::map<std::string, std::string> sources; // by input; "" for all the others
  std::map<std::string, int64_t> dims;
  std::map<std::string, std::vector<int64_t>> shapes;
  std::optional<int64_t> seed;
  std::string weights;

  uint64_t seedOrDefault() const { return uint64_t(seed.value_or(0)); }
  /// For mlc_options.
  const char *weightsFile() const { return weights.empty() ? nullptr : weights.c_str(); }

  /// --input, --dim, --shape, --seed, and --weights if `hasWeights`.
  void declare(Options &options, llvm::StringRef whenMissing, bool hasWeights);
};

struct BoundTensors {
  std::vector<int64_t> dims; // sizes of the model's symbols
  std::vector<HostTensor> inputs, outputs;
};

/// Tensors for the outputs of a run with these sizes of the symbols.
llvm::Expected<std::vector<HostTensor>> allocateOutputs(const mlc_model &model, llvm::ArrayRef<int64_t> dims);

/// Reads and makes every input, binds the symbols and allocates the outputs. `whenMissing` is the source of inputs that no
/// option names; empty: they are an error.
llvm::Expected<BoundTensors> bindTensors(const mlc_model &model, const InputOptions &options,
                                         llvm::StringRef whenMissing);

/// An error for the ordinal of a GPU that a library for the CPU would ignore.
llvm::Error checkDevice(const mlc_model &model, int64_t device);

/// "axes=@axes.npy" into `values`.
std::optional<std::string> readInputValue(llvm::StringRef text, std::map<std::string, InputValue> &values);

} // namespace mlc
#endif
