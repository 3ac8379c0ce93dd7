// ONNX Runtime as the reference of `mlc verify`: a Python process that reads one line for each model and answers with one line.
#include "NodeErrors.h"
#include "NodeProgram.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Program.h"
#include <csignal>
#include <cstdio>
#include <sys/wait.h>
#include <unistd.h>

using namespace mlc;
using llvm::StringRef;

// Request: model, number of the request, then input=file, separated by tabs. Outputs go to <folder>/ort_<i>.npy. Optimisations are off: the
// reference should do what the model says, step by step.
static const char script[] = R"(
import sys
try:
    import numpy, onnxruntime
except ImportError as error:
    print("error", error, flush=True)
    sys.exit()
print("ok", onnxruntime.__version__, flush=True)
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
options.intra_op_num_threads = 1
options.log_severity_level = 4
for line in sys.stdin:
    model, folder, *inputs = line.rstrip("\n").split("\t")
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feeds = dict((name, numpy.load(path)) for name, path in (item.rsplit("=", 1) for item in inputs))
        results = session.run(None, feeds)
        for index, value in enumerate(results):
            numpy.save(f"{folder}/ort_{index}.npy", value)
        print("ok", len(results), flush=True)
    except Exception as error:
        print("error", " ".join(str(error).split()), flush=True)
)";

namespace {

class OnnxRuntime : public Reference {
public:
  explicit OnnxRuntime(const ScratchFolder &scratch) : scratch(scratch) {}
  ~OnnxRuntime() override {
    if (requests)
      fclose(requests); // ends the process
    if (answers)
      fclose(answers);
    if (process > 0)
      waitpid(process, nullptr, 0);
  }
  StringRef name() const override { return title; }

  llvm::Error start(StringRef python) {
    int toChild[2], fromChild[2];
    if (pipe(toChild) || pipe(fromChild))
      return llvm::createStringError("no pipe can be made");
    process = fork();
    if (process == 0) {
      dup2(toChild[0], STDIN_FILENO);
      dup2(fromChild[1], STDOUT_FILENO);
      for (int end : {toChild[0], toChild[1], fromChild[0], fromChild[1]})
        close(end);
      execl(python.str().c_str(), python.str().c_str(), "-c", script, nullptr);
      _exit(127);
    }
    close(toChild[0]);
    close(fromChild[1]);
    signal(SIGPIPE, SIG_IGN); // a process that has died is an error of the answer
    requests = fdopen(toChild[1], "w");
    answers = fdopen(fromChild[0], "r");
    auto version = answer();
    if (!version)
      return version.takeError();
    title = "ONNX Runtime " + *version;
    return llvm::Error::success();
  }

  llvm::Expected<ReferenceResults> evaluate(StringRef model, llvm::ArrayRef<std::string> names,
                                            llvm::ArrayRef<const HostTensor *> inputs) override {
    std::string request = model.str() + "\t" + scratch.file("");
    for (auto [index, name] : llvm::enumerate(names)) {
      std::string path = scratch.file("ort_input_" + llvm::Twine(index) + ".npy");
      if (llvm::Error error = writeTensorFile(path, *inputs[index]))
        return std::move(error);
      request += "\t" + name + "=" + path;
    }
    fprintf(requests, "%s\n", request.c_str());
    fflush(requests);
    auto text = answer();
    if (!text)
      return text.takeError();
    ReferenceResults results;
    for (int index = 0, count = atoi(text->c_str()); index < count; ++index) {
      auto tensor = readTensorFile(scratch.file("ort_" + llvm::Twine(index) + ".npy"));
      if (!tensor)
        return tensor.takeError();
      results.push_back(toReference(*tensor));
    }
    return results;
  }

private:
  llvm::Expected<std::string> answer() {
    char *line = nullptr;
    size_t capacity = 0;
    ssize_t size = getline(&line, &capacity, answers);
    std::string text = size > 0 ? StringRef(line, size).rtrim().str() : "error the Python process has ended";
    free(line);
    StringRef rest = text;
    if (rest.consume_front("ok "))
      return rest.str();
    rest.consume_front("error ");
    return llvm::createStringError("ONNX Runtime: " + rest);
  }

  const ScratchFolder &scratch;
  std::string title;
  pid_t process = -1;
  FILE *requests = nullptr, *answers = nullptr;
};

} // namespace

llvm::Expected<std::unique_ptr<Reference>> mlc::makeOnnxRuntime(StringRef python, const ScratchFolder &scratch) {
  std::string path = python.str();
  if (path.empty()) {
    auto found = llvm::sys::findProgramByName("python3");
    if (!found)
      return llvm::createStringError(
          "--against=onnxruntime needs Python with onnxruntime: no python3 on the PATH; give "
          "one with --python=/path/to/python3");
    path = *found;
  }
  auto runtime = std::make_unique<OnnxRuntime>(scratch);
  if (llvm::Error error = runtime->start(path))
    return llvm::createStringError("--against=onnxruntime: " + path + ": " + llvm::toString(std::move(error)) +
                                   "; give a Python that has onnxruntime and numpy with --python=/path/to/python3");
  return std::move(runtime);
}
