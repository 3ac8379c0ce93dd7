// compileModule: what surrounds the pipeline. Checks the target, runs the phases, collects what the library says of itself, prints stages
// and reports.
#include "compiler/Compile.h"
#include "compiler/Emit/Artifact.h"
#include "compiler/Emit/CpuTarget.h"
#include "compiler/Emit/Emit.h"
#include "compiler/Emit/Ptx.h"
#include "compiler/Pipeline.h"
#include "compiler/Report/Report.h"
#include "compiler/StageClock.h"
#include "dialects/sched/Kernel.h"

using namespace mlir;
using namespace mlc;

namespace {

/// Every kernel as plain scalar loops, without a plan: --naive-kernels.
void makeKernelsNaive(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>())
    if (sched::isKernel(function))
      sched::setKind(function, sched::Kind::Naive);
}

LogicalResult printStage(ModuleOp module, StringRef output) {
  return writeText(module, output, [&](llvm::raw_ostream &os) { module->print(os); });
}

/// The GPU's name, "" for the CPU; a failure if there is no code for it.
FailureOr<StringRef> gpuOf(ModuleOp module, const CompileOptions &options) {
  StringRef gpu = options.target;
  if (gpu == "cpu" && options.emit == EmitKind::Ptx)
    return module.emitError("--emit=ptx needs --target=cuda:...");
  if (gpu == "cpu")
    return StringRef();
  if (!gpu.consume_front("cuda:"))
    return module.emitError() << "--target=" << gpu << ": expected cpu or cuda:sm_80";
  if (!findGpuArch(gpu))
    return module.emitError() << "--target=cuda:" << gpu << " is not supported: expected one of " << listGpuArchs();
  return gpu;
}

class Compilation {
public:
  Compilation(ModuleOp module, const CompileOptions &options, StringRef output)
      : module(module), options(options), output(output), report(module, options), stages(module, options) {}

  LogicalResult run();

private:
  void enter(Stage stage) {
    if (options.clock)
      options.clock->enter(stage);
  }
  LogicalResult describe(const CpuTarget &cpu);
  LogicalResult makeKernels(StringRef machine);
  LogicalResult makeDeviceCode(StringRef gpu);

  ModuleOp module;
  const CompileOptions &options;
  StringRef output;
  Report report;
  Stages stages;
  Artifact artifact;
};

/// What is known while entries still are functions on tensors.
LogicalResult Compilation::describe(const CpuTarget &cpu) {
  auto collected = collectSignature(module, options, output);
  if (failed(collected))
    return failure();
  artifact = std::move(*collected);
  artifact.cpu = cpu.name;
  artifact.triple = cpu.triple;
  artifact.sysroot = options.sysroot;
  artifact.cpuFeatures = cpu.required;
  return success();
}

/// From groups to loops on placed memory.
LogicalResult Compilation::makeKernels(StringRef machine) {
  toKernels(stages, machine == "cuda", options.naiveKernels);
  if (stages.failed())
    return failure();
  collectKernels(module, artifact);
  if (options.naiveKernels)
    makeKernelsNaive(module);
  plan(stages, machine);
  if (stages.failed())
    return failure();
  report.addKernels(Machine::get(machine));
  placeMemory(stages);
  if (stages.failed() || failed(collectMemory(module, artifact)))
    return failure();
  report.addMemory();
  enter(Stage::Generate);
  toLoops(stages);
  return failure(stages.failed());
}

LogicalResult Compilation::makeDeviceCode(StringRef gpu) {
  toDevice(stages);
  if (stages.failed() || failed(emitPtx(module, gpu)))
    return failure();
  collectDevice(module, artifact);
  return success();
}

LogicalResult Compilation::run() {
  auto cpu = CpuTarget::of(options.cpu, options.triple);
  if (!cpu)
    return module.emitError() << llvm::toString(cpu.takeError());
  auto gpu = gpuOf(module, options);
  if (failed(gpu))
    return failure();
  bool onGpu = !gpu->empty();
  report.addModel();
  if (options.emit == EmitKind::Onnx)
    return printStage(module, output);

  enter(Stage::Translate);
  toCore(stages, options.train);
  if (stages.failed() || failed(describe(*cpu)))
    return failure();
  report.addOps();
  if (options.emit == EmitKind::Core)
    return printStage(module, output);

  enter(Stage::Fuse);
  toLinalg(stages, onGpu, options.naiveKernels);
  if (stages.failed())
    return failure();
  if (options.emit == EmitKind::Linalg)
    return printStage(module, output);

  if (failed(makeKernels(onGpu ? "cuda" : cpu->machine)))
    return failure();
  if (options.emit == EmitKind::Tiled)
    return printStage(module, output);

  enter(Stage::Lower);
  simplifyLoops(stages);
  if (onGpu && failed(makeDeviceCode(*gpu)))
    return failure();
  if (options.emit == EmitKind::Ptx)
    return writeText(module, output, [&](llvm::raw_ostream &os) { os << artifact.deviceImages.front(); });
  toLLVM(stages);
  if (stages.failed())
    return failure();
  enter(Stage::Optimize);
  return emit(module, artifact, *cpu, options.emit, output, [&] { enter(Stage::Write); });
}

} // namespace

LogicalResult mlc::compileModule(ModuleOp module, const CompileOptions &options, StringRef output) {
  return Compilation(module, options, output).run();
}
