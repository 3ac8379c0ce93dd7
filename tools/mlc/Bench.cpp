// mlc bench: how long one run takes. One handle, one thread that calls; the library's own threads as --threads says.
#include "Commands.h"
#include "Inputs.h"
#include "Library.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include <chrono>

using namespace mlc;
using llvm::StringRef;

namespace {

struct CommandLine {
  std::vector<std::string> libraries;
  InputOptions inputs;
  int64_t warmup = 5, iterations = 0, threads = 0, device = 0;
  double durationSeconds = 3;
  bool asJson = false;
};

struct Timings {
  std::vector<double> seconds; // sorted

  /// Of the measured values, the one below which this share lies (nearest rank).
  double percentile(double share) const {
    return seconds[std::min(seconds.size() - 1, size_t(share * double(seconds.size())))];
  }
  double median() const {
    size_t middle = seconds.size() / 2;
    return seconds.size() % 2 ? seconds[middle] : (seconds[middle - 1] + seconds[middle]) / 2;
  }
};

std::string timeText(double seconds) {
  if (seconds < 1e-3)
    return llvm::formatv("{0:f2} us", seconds * 1e6);
  if (seconds < 1)
    return llvm::formatv("{0:f3} ms", seconds * 1e3);
  return llvm::formatv("{0:f3} s", seconds);
}

llvm::Expected<Timings> measure(const mlc_model &model, const CommandLine &line, BoundTensors &tensors) {
  using Clock = std::chrono::steady_clock;
  mlc_options options = {};
  options.threads = int32_t(line.threads);
  options.device = int32_t(line.device);
  options.weights_file = line.inputs.weightsFile();
  mlc_handle *handle = nullptr;
  if (mlc_status status = model.create(&options, &handle))
    return statusError(model, nullptr, status, "create");
  auto inputs = llvm::map_to_vector(tensors.inputs, [](const HostTensor &tensor) { return tensor.view(); });
  auto outputs = llvm::map_to_vector(tensors.outputs, [](const HostTensor &tensor) { return tensor.view(); });
  auto rooms = outputs;
  auto seconds = [](Clock::duration duration) { return std::chrono::duration<double>(duration).count(); };
  Timings timings;
  constexpr size_t iterationsMax = 10'000'000;
  Clock::time_point start = Clock::now();
  mlc_status status = MLC_OK;
  for (int64_t i = -line.warmup; status == MLC_OK; ++i) {
    if (i == 0)
      start = Clock::now();
    if (i >= 0 && line.iterations > 0 && i >= line.iterations)
      break;
    if (i > 0 && line.iterations == 0 &&
        (seconds(Clock::now() - start) >= line.durationSeconds || size_t(i) >= iterationsMax))
      break;
    llvm::copy(rooms, outputs.begin()); // a run replaces the bounds of sizes that the data decides
    Clock::time_point before = Clock::now();
    status = model.run(handle, inputs.data(), outputs.data());
    if (i >= 0)
      timings.seconds.push_back(seconds(Clock::now() - before));
  }
  llvm::Error error = status ? statusError(model, handle, status, "run") : llvm::Error::success();
  model.destroy(handle);
  if (error)
    return std::move(error);
  llvm::sort(timings.seconds);
  return timings;
}

void print(const CommandLine &line, const mlc_model &model, const BoundTensors &tensors, const Timings &timings) {
  StringRef path = line.libraries.front();
  if (line.asJson) {
    llvm::json::Object dims;
    for (auto [index, size] : llvm::enumerate(tensors.dims))
      dims[model.symbols[index]] = size;
    llvm::json::Object result{{"library", path},
                              {"model", model.name},
                              {"dims", std::move(dims)},
                              {"threads", line.threads},
                              {"iterations", int64_t(timings.seconds.size())},
                              {"median_s", timings.median()},
                              {"p5_s", timings.percentile(0.05)},
                              {"p95_s", timings.percentile(0.95)},
                              {"min_s", timings.seconds.front()}};
    llvm::outs() << llvm::json::Value(std::move(result)) << '\n';
    return;
  }
  llvm::outs() << llvm::sys::path::filename(path);
  for (auto [index, size] : llvm::enumerate(tensors.dims))
    llvm::outs() << ' ' << model.symbols[index] << '=' << size;
  llvm::outs() << ": median " << timeText(timings.median()) << ", p5 " << timeText(timings.percentile(0.05)) << ", p95 "
               << timeText(timings.percentile(0.95)) << ", min " << timeText(timings.seconds.front()) << " ("
               << timings.seconds.size() << " iterations, threads "
               << (line.threads ? std::to_string(line.threads) : "auto") << ")\n";
}

llvm::Error bench(const CommandLine &line) {
  auto model = loadLibrary(line.libraries.front());
  if (!model)
    return model.takeError();
  if (llvm::Error error = checkDevice(**model, line.device))
    return error;
  auto tensors = bindTensors(**model, line.inputs, "random");
  if (!tensors)
    return tensors.takeError();
  auto timings = measure(**model, line, *tensors);
  if (!timings)
    return timings.takeError();
  print(line, **model, *tensors, *timings);
  return llvm::Error::success();
}

} // namespace

int mlc::benchCommand(Arguments arguments) {
  CommandLine line;
  Options options(
      "mlc bench", "mlc bench FILE.so [OPTIONS]",
      "Measures how long one run of a compiled library takes: median, 5th and 95th percentile and minimum.");
  options.positional("FILE.so", "a library made by mlc compile", line.libraries, 1, 1);
  options.heading("inputs");
  line.inputs.declare(options, "random", /*hasWeights=*/true);
  options.heading("measurement");
  options.value("--warmup", "NUMBER", "runs before the measured ones (default: 5)", line.warmup, 0);
  options.value("--iterations", "NUMBER", "measured runs (default: as many as fit into --duration)", line.iterations,
                1);
  options.value("--duration", "SECONDS", "how long to measure (default: 3)", line.durationSeconds, 0);
  options.value("--threads", "NUMBER", "0: one for each core (default: 0)", line.threads, 0);
  options.value("--device", "NUMBER", "ordinal of the GPU (default: 0)", line.device, 0);
  options.flag("--json", "print one JSON object, times in seconds", line.asJson);
  if (auto code = options.parse(arguments))
    return *code;
  if (auto code = options.check({{"--duration", line.iterations == 0, "the runs not to be counted by --iterations"}}))
    return *code;
  llvm::Error error = bench(line);
  if (!error)
    return Success;
  llvm::errs() << "mlc bench: error: " << llvm::toString(std::move(error)) << '\n';
  return Failed;
}
