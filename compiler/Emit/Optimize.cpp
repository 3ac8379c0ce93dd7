// optimize (Emit.h): LLVM's usual pipeline. Kernels whose vectors and tiles our own passes have chosen are kept as they are: LLVM
// must not unroll or vectorise them again. Kernels of kind "loops" rely on its vectoriser.
#include "compiler/Emit/Optimize.h"
#include "compiler/Emit/Emit.h"
#include "llvm/Analysis/LoopInfo.h"
#include "llvm/IR/Dominators.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/Utils/LoopUtils.h"

using namespace llvm;

static void keepLoops(Function &function) {
  DominatorTree dominators(function);
  LoopInfo loops(dominators);
  for (Loop *loop : loops.getLoopsInPreorder()) {
    loop->setLoopAlreadyUnrolled();
    addStringMetadataToLoop(loop, "llvm.loop.vectorize.enable", 0);
  }
}

void mlc::runDefaultPipeline(Module &module, TargetMachine &machine, OptimizationLevel level,
                             PipelineTuningOptions tuning) {
  PassBuilder builder(&machine, tuning);
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(level).run(module, modules);
}

void mlc::optimize(Module &module, TargetMachine &machine) {
  for (Function &function : module) {
    StringRef kind = function.getFnAttribute("mlc-kind").getValueAsString();
    if (function.isDeclaration() || kind.empty())
      continue;
    // Analyses of loops look at all of a function for each: with 4,000 small kernels inlined, @main took 48 s.
    function.addFnAttr(Attribute::NoInline);
    if (kind != "loops")
      keepLoops(function);
  }
  PipelineTuningOptions tuning;
  tuning.SLPVectorization = false; // finds nothing in kernels, and costs the most time of all passes
  runDefaultPipeline(module, machine, OptimizationLevel::O2, tuning);
}
