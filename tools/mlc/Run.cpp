// mlc run: a compiled library on given tensors, once; prints, writes or compares what comes out.
#include "Commands.h"
#include "Compare.h"
#include "Inputs.h"
#include "Library.h"
#include "compiler/Emit/Files.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlc;
using llvm::StringRef;

namespace {

struct CommandLine {
  std::vector<std::string> libraries;
  InputOptions inputs;
  std::map<std::string, std::string> outputs, expected; // files by output
  double relativeTolerance = 1e-4, absoluteTolerance = 1e-5;
  int64_t threads = 0, device = 0;
};

/// "NAME=@FILE" into `files`; "@FILE" alone is for a model with one output.
std::optional<std::string> readFileOption(StringRef text, std::map<std::string, std::string> &files) {
  size_t at = text.find('@');
  bool isWellFormed = at != StringRef::npos && at + 1 < text.size() && (at == 0 || text[at - 1] == '=');
  if (!isWellFormed)
    return "expected NAME=@FILE";
  std::string name = at == 0 ? "" : text.substr(0, at - 1).str();
  if (!files.try_emplace(name, text.substr(at + 1).str()).second)
    return "output \"" + name + "\" is given twice";
  return std::nullopt;
}

llvm::Expected<int> findOutput(const mlc_model &model, StringRef name) {
  if (name.empty() && model.output_count == 1)
    return 0;
  return findValue("output", name, model.outputs, model.output_count);
}

/// True if the output is as the file says; prints how far off it is.
llvm::Expected<bool> compareOutput(StringRef name, const HostTensor &actual, StringRef path, Tolerance tolerance) {
  auto expected = readTensorFile(path);
  if (!expected)
    return expected.takeError();
  if (actual.dtype != expected->dtype || actual.shape != expected->shape) {
    llvm::outs() << name << ": differs: it is " << actual.type() << ", " << path << " has " << expected->type() << '\n';
    return false;
  }
  Comparison result = compareTensors(actual, *expected, tolerance);
  bool isEqual = result.mismatchCount == 0;
  llvm::outs() << name << ": " << (isEqual ? "equal" : "differs") << ", "
               << llvm::formatv("largest error {0} absolute, {1} relative",
                                llvm::format("%.3g", result.maxAbsoluteError),
                                llvm::format("%.3g", result.maxRelativeError));
  if (!isEqual)
    llvm::outs() << "; " << result.mismatchCount << " of " << actual.elementCount() << " elements differ, the first at "
                 << positionText(actual, result.firstMismatch) << ": " << elementText(actual, result.firstMismatch)
                 << " instead of " << elementText(*expected, result.firstMismatch);
  llvm::outs() << '\n';
  return isEqual;
}

llvm::Error runOnce(const mlc_model &model, const CommandLine &line, BoundTensors &tensors) {
  mlc_options options = {};
  options.threads = int32_t(line.threads);
  options.device = int32_t(line.device);
  options.seed = line.inputs.seedOrDefault();
  options.weights_file = line.inputs.weightsFile();
  mlc_handle *handle = nullptr;
  if (mlc_status status = model.create(&options, &handle))
    return statusError(model, nullptr, status, "create");
  auto inputs = llvm::map_to_vector(tensors.inputs, [](const HostTensor &tensor) { return tensor.view(); });
  auto outputs = llvm::map_to_vector(tensors.outputs, [](const HostTensor &tensor) { return tensor.view(); });
  mlc_status status = model.run(handle, inputs.data(), outputs.data());
  for (auto [tensor, view] : llvm::zip_equal(tensors.outputs, outputs)) // what the data decides is known now
    tensor.shape.assign(view.shape, view.shape + view.rank);
  llvm::Error error = status ? statusError(model, handle, status, "run") : llvm::Error::success();
  model.destroy(handle);
  return error;
}

llvm::Expected<bool> run(const CommandLine &line) {
  auto model = loadLibrary(line.libraries.front());
  if (!model)
    return model.takeError();
  for (auto &files : {line.outputs, line.expected})
    for (auto &[name, path] : files)
      if (auto index = findOutput(**model, name); !index)
        return index.takeError();
  auto tensors = bindTensors(**model, line.inputs, "");
  if (!tensors)
    return tensors.takeError();
  for (auto &[name, path] : line.outputs) // before the work
    if (llvm::Error error = checkOutput(path, /*mayBeDevice=*/true))
      return std::move(error);
  if (llvm::Error error = checkDevice(**model, line.device))
    return std::move(error);
  if (llvm::Error error = runOnce(**model, line, *tensors))
    return std::move(error);

  bool isEqual = true, isSilent = !line.outputs.empty() || !line.expected.empty();
  for (auto [index, output] : llvm::enumerate(tensors->outputs))
    if (!isSilent)
      printTensor(llvm::outs(), (*model)->outputs[index].name, output);
  for (auto &[name, path] : line.outputs)
    if (llvm::Error error = writeTensorFile(path, tensors->outputs[*findOutput(**model, name)]))
      return std::move(error);
  for (auto &[name, path] : line.expected) {
    int index = *findOutput(**model, name);
    auto result = compareOutput((*model)->outputs[index].name, tensors->outputs[index], path,
                                {line.relativeTolerance, line.absoluteTolerance});
    if (!result)
      return result.takeError();
    isEqual &= *result;
  }
  return isEqual;
}

} // namespace

int mlc::runCommand(Arguments arguments) {
  CommandLine line;
  Options options("mlc run", "mlc run FILE.so --input NAME=@FILE.npy [OPTIONS]",
                  "Runs a compiled library once. Prints the outputs, or writes or compares those that options name.");
  options.positional("FILE.so", "a library made by mlc compile", line.libraries, 1, 1);
  options.heading("inputs");
  line.inputs.declare(options, "", /*hasWeights=*/true);
  options.heading("outputs");
  options.values("--output", "[NAME=]@FILE.npy", "write an output to a file",
                 [&](StringRef text) { return readFileOption(text, line.outputs); });
  options.values("--expect", "[NAME=]@FILE.npy", "compare an output with a .npy or .pb file; exit code 1 if it differs",
                 [&](StringRef text) { return readFileOption(text, line.expected); });
  options.value("--rtol", "NUMBER", "relative tolerance of --expect (default: 1e-4)", line.relativeTolerance, 0);
  options.value("--atol", "NUMBER", "absolute tolerance of --expect (default: 1e-5)", line.absoluteTolerance, 0);
  options.heading("execution");
  options.value("--threads", "NUMBER", "0: one for each core (default: 0)", line.threads, 0);
  options.value("--device", "NUMBER", "ordinal of the GPU (default: 0)", line.device, 0);
  options.epilogue("examples:\n"
                   "  mlc run digits.so --input image=@images.npy --output logits=@logits.npy\n"
                   "  mlc run digits.so --input random --dim batch=8\n"
                   "  mlc run digits.so --input @input_0.pb --expect @output_0.pb --rtol 1e-3");
  if (auto code = options.parse(arguments))
    return *code;
  if (auto code = options.check(
          {{"--rtol", !line.expected.empty(), "--expect"}, {"--atol", !line.expected.empty(), "--expect"}}))
    return *code;
  auto isEqual = run(line);
  if (isEqual)
    return *isEqual ? Success : Failed;
  llvm::errs() << "mlc run: error: " << llvm::toString(isEqual.takeError()) << '\n';
  return Failed;
}
