// Every pass, in order. No pass is added anywhere else. docs/ir.md says what holds between the phases.
#include "compiler/Pipeline.h"
#include "compiler/Passes.h"

using namespace mlc;

static AddTrainingOptions trainingOptions(const TrainOptions &train) {
  AddTrainingOptions options;
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

void mlc::toCore(Stages &stages, const TrainOptions &train) {
  stages.run(createDecomposeOnnx({/*unrollLoops=*/train.enabled}));
  if (train.enabled) // before constants lose their names
    stages.run(createAddTraining(trainingOptions(train)));
  stages.run(createCheckSizes())
      .run(createSimplifyCore())
      .runOnFunctions(createHoistInvariants())
      .releaseUnusedResources();
}

void mlc::toLinalg(Stages &stages, bool onGpu, bool isNaive) {
  if (!isNaive)
    stages.run(createChannelsLast()).releaseUnusedResources();
  stages.run(createCoreToLinalg({onGpu}));
  if (!isNaive)
    stages.run(createFuseElementwise());
  stages.run(createMoveData()).releaseUnusedResources();
}

void mlc::toKernels(Stages &stages, bool onGpu, bool isNaive) {
  if (!isNaive)
    stages.run(createPackOperands());
  stages.run(createGroupOps({/*alone=*/isNaive})).run(createOutlineGroups({onGpu}));
}

void mlc::plan(Stages &stages, llvm::StringRef machine) { stages.runOnFunctions(createPlanTiling({machine.str()})); }

void mlc::placeMemory(Stages &stages) {
  stages.run(createPackWeights()).run(createPlanMemory()).releaseUnusedResources();
}

void mlc::toLoops(Stages &stages) { stages.runOnFunctions(createLowerKernels()).runOnFunctions(createExpandMath()); }

void mlc::simplifyLoops(Stages &stages) { stages.runOnFunctions(createSimplifyLoops()); }

void mlc::toDevice(Stages &stages) { stages.run(createOutlineGpuKernels()).run(createLowerToNVVM()); }

void mlc::toLLVM(Stages &stages) { stages.run(createOutlineTasks()).run(createLowerToLLVM()); }
