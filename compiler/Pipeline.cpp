// The pipeline: every pass, in order. No pass is added anywhere else. docs/ir.md says what holds between the stages.
#include "compiler/Compile.h"
#include "compiler/Emit/Artifact.h"
#include "compiler/Emit/CpuTarget.h"
#include "compiler/Emit/Emit.h"
#include "compiler/Emit/Ptx.h"
#include "compiler/Passes.h"
#include "compiler/Report/Report.h"
#include "compiler/Resources.h"
#include "compiler/Schedule/Kernels.h"
#include "compiler/StageClock.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace {

/// Runs passes one by one and keeps the IR after each if --save-stages asks for it.
class Stages {
public:
  Stages(ModuleOp module, const mlc::CompileOptions &options) : module(module), options(options) {}

  /// A pass on the module.
  Stages &run(std::unique_ptr<Pass> pass) {
    return runPass(std::move(pass),
                   [](OpPassManager &manager, std::unique_ptr<Pass> pass) { manager.addPass(std::move(pass)); });
  }
  /// A pass on every function.
  Stages &runOnFunctions(std::unique_ptr<Pass> pass) {
    return runPass(std::move(pass), [](OpPassManager &manager, std::unique_ptr<Pass> pass) {
      manager.addNestedPass<func::FuncOp>(std::move(pass));
    });
  }
  /// Frees constants that passes have replaced by others.
  Stages &releaseUnusedResources() {
    if (!hasFailed)
      mlc::releaseUnusedResources(module);
    return *this;
  }
  bool failed() const { return hasFailed; }

private:
  Stages &runPass(std::unique_ptr<Pass> pass, llvm::function_ref<void(OpPassManager &, std::unique_ptr<Pass>)> add) {
    if (hasFailed)
      return *this;
    std::string name = pass->getArgument().str();
    PassManager manager(module.getContext());
    add(manager, std::move(pass));
    // What a pass calls an error is one, also if the pass goes on: its module is not what it should be.
    ScopedDiagnosticHandler handler(module.getContext(), [this](Diagnostic &diagnostic) {
      hasFailed |= diagnostic.getSeverity() == DiagnosticSeverity::Error;
      return failure(); // and is for the others, too
    });
    hasFailed |= mlir::failed(manager.run(module));
    save(name);
    return *this;
  }

  /// NN-pass-name.mlir; weights are left out.
  void save(StringRef name) {
    if (options.saveStages.empty())
      return;
    std::string path = llvm::formatv("{0}/{1,0+2}-{2}.mlir", options.saveStages, number++, name);
    hasFailed |= mlir::failed(mlc::writeText(module, path, [&](llvm::raw_ostream &os) {
      module->print(os, OpPrintingFlags().elideLargeElementsAttrs(16).elideLargeResourceString(64).assumeVerified());
    }));
  }

  ModuleOp module;
  const mlc::CompileOptions &options;
  int number = 0;
  bool hasFailed = false;
};

mlc::AddTrainingOptions trainingOptions(const mlc::TrainOptions &train) {
  mlc::AddTrainingOptions options;
  options.loss = train.loss;
  options.optimizer = train.optimizer;
  options.learningRate = train.learningRate;
  options.momentum = train.momentum;
  options.beta1 = train.beta1;
  options.beta2 = train.beta2;
  options.epsilon = train.epsilon;
  options.trainable.assign(train.trainable.begin(), train.trainable.end());
  return options;
}

/// Every kernel as plain scalar loops, without a plan: --naive-kernels.
void makeKernelsNaive(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>())
    if (mlc::sched::isKernel(function))
      mlc::sched::setKind(function, mlc::sched::Kind::Naive);
}

LogicalResult printStage(ModuleOp module, StringRef output) {
  return mlc::writeText(module, output, [&](llvm::raw_ostream &os) { module->print(os); });
}

} // namespace

LogicalResult mlc::compileModule(ModuleOp module, const CompileOptions &options, StringRef output) {
  auto cpu = CpuTarget::of(options.cpu, options.triple);
  if (!cpu)
    return module.emitError() << llvm::toString(cpu.takeError());
  StringRef gpu = options.target;
  bool onGpu = gpu.consume_front("cuda:");
  if (!onGpu && gpu != "cpu")
    return module.emitError() << "--target=" << gpu << ": expected cpu or cuda:sm_80";
  if (onGpu && !findGpuArch(gpu))
    return module.emitError() << "--target=cuda:" << gpu << " is not supported: expected one of " << listGpuArchs();
  if (options.emit == EmitKind::Ptx && !onGpu)
    return module.emitError("--emit=ptx needs --target=cuda:...");
  auto enter = [&](Stage stage) {
    if (options.clock)
      options.clock->enter(stage);
  };
  Report report(module, options);
  report.addModel();
  if (options.emit == EmitKind::Onnx)
    return printStage(module, output);
  enter(Stage::Translate);
  Stages stages(module, options);
  stages.run(createDecomposeOnnx({/*unrollLoops=*/options.train.enabled}));
  if (options.train.enabled) // before constants lose their names
    stages.run(createAddTraining(trainingOptions(options.train)));
  stages.run(createCheckSizes())
      .run(createSimplifyCore())
      .runOnFunctions(createHoistInvariants())
      .releaseUnusedResources();
  if (stages.failed())
    return failure();
  auto artifact = collectSignature(module, options, output);
  if (failed(artifact))
    return failure();
  artifact->cpu = cpu->name;
  artifact->triple = cpu->triple;
  artifact->sysroot = options.sysroot;
  artifact->cpuFeatures = cpu->required;
  report.addOps();
  if (options.emit == EmitKind::Core)
    return printStage(module, output);

  enter(Stage::Fuse);
  if (!options.naiveKernels)
    stages.run(createChannelsLast()).releaseUnusedResources();
  stages.run(createCoreToLinalg({onGpu}));
  if (!options.naiveKernels)
    stages.run(createFuseElementwise());
  stages.run(createMoveData()).releaseUnusedResources();
  if (stages.failed())
    return failure();
  if (options.emit == EmitKind::Linalg)
    return printStage(module, output);

  if (!options.naiveKernels)
    stages.run(createPackOperands());
  stages.run(createGroupOps({/*alone=*/options.naiveKernels})).run(createOutlineGroups({onGpu}));
  if (stages.failed())
    return failure();
  collectKernels(module, *artifact);
  if (options.naiveKernels)
    makeKernelsNaive(module);
  stages.runOnFunctions(createPlanTiling({onGpu ? "cuda" : cpu->machine}));
  if (stages.failed())
    return failure();
  report.addKernels(Machine::get(onGpu ? "cuda" : cpu->machine));
  stages.run(createPackWeights()).run(createPlanMemory()).releaseUnusedResources();
  if (stages.failed() || failed(collectMemory(module, *artifact)))
    return failure();
  report.addMemory();
  enter(Stage::Generate);
  stages.runOnFunctions(createLowerKernels()).runOnFunctions(createExpandMath());
  if (stages.failed())
    return failure();
  if (options.emit == EmitKind::Tiled)
    return printStage(module, output);

  enter(Stage::Lower);
  stages.runOnFunctions(createSimplifyLoops());
  if (onGpu) {
    stages.run(createOutlineGpuKernels()).run(createLowerToNVVM());
    if (stages.failed() || failed(emitPtx(module, gpu)))
      return failure();
    collectDevice(module, *artifact);
    if (options.emit == EmitKind::Ptx)
      return writeText(module, output, [&](llvm::raw_ostream &os) { os << artifact->deviceImages.front(); });
  }
  stages.run(createOutlineTasks()).run(createLowerToLLVM());
  if (stages.failed())
    return failure();
  enter(Stage::Optimize);
  return emit(module, *artifact, *cpu, options.emit, output, [&] { enter(Stage::Write); });
}
