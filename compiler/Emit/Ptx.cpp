// See Ptx.h. The device module to LLVM IR, through LLVM's pipeline for NVPTX, to PTX text. Done here and not by upstream's
// gpu-module-to-binary, which drops what it cannot link without a word (research/gpu-ptx).
#include "compiler/Emit/Ptx.h"
#include "compiler/Emit/Optimize.h"
#include "compiler/Gpu/Gpu.h"
#include "dialects/rt/Program.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace llvm;

namespace {

/// The oldest PTX version that knows the processor: the fewer features, the older the drivers that take it.
const mlc::GpuArch archs[] = {
    {"sm_80", "+ptx70"},  {"sm_86", "+ptx71"},  {"sm_87", "+ptx74"},   {"sm_89", "+ptx78"},  {"sm_90", "+ptx78"},
    {"sm_90a", "+ptx80"}, {"sm_100", "+ptx86"}, {"sm_100a", "+ptx86"}, {"sm_120", "+ptx87"},
};

/// Every library holds PTX for this one: it runs on all that are newer.
constexpr StringLiteral baseline = "sm_80";

Expected<std::unique_ptr<TargetMachine>> makeTargetMachine(const mlc::GpuArch &arch) {
  InitializeAllTargetInfos();
  InitializeAllTargets();
  InitializeAllTargetMCs();
  InitializeAllAsmPrinters();
  Triple triple("nvptx64-nvidia-cuda");
  std::string message;
  const Target *target = TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return createStringError("%s", message.c_str());
  return std::unique_ptr<TargetMachine>(target->createTargetMachine(
      triple, arch.name, arch.features, TargetOptions(), std::nullopt, std::nullopt, CodeGenOptLevel::Aggressive));
}

/// Functions that NVPTX selects instructions for; all others would end the process inside LLVM.
bool isSelectable(const Function &function) {
  switch (function.getIntrinsicID()) {
  case Intrinsic::not_intrinsic:
    return false;
  case Intrinsic::acos:
  case Intrinsic::asin:
  case Intrinsic::atan:
  case Intrinsic::atan2:
  case Intrinsic::cos:
  case Intrinsic::cosh:
  case Intrinsic::exp:
  case Intrinsic::exp10:
  case Intrinsic::exp2:
  case Intrinsic::ldexp:
  case Intrinsic::log:
  case Intrinsic::log10:
  case Intrinsic::log2:
  case Intrinsic::pow:
  case Intrinsic::powi:
  case Intrinsic::sin:
  case Intrinsic::sinh:
  case Intrinsic::tan:
  case Intrinsic::tanh:
    return false;
  default:
    return true;
  }
}

Error checkCallees(const Module &module) {
  for (const Function &function : module)
    if (function.isDeclaration() && !function.use_empty() && !isSelectable(function)) {
      const auto *call = dyn_cast<CallInst>(*function.user_begin());
      return createStringError("kernel \"%s\" needs \"%s\", which the GPU does not have",
                               call ? call->getFunction()->getName().str().c_str() : "?",
                               function.getName().str().c_str());
    }
  return Error::success();
}

Expected<std::string> compile(Module &module, const mlc::GpuArch &arch) {
  auto machine = makeTargetMachine(arch);
  if (!machine)
    return machine.takeError();
  module.setTargetTriple((*machine)->getTargetTriple());
  module.setDataLayout((*machine)->createDataLayout());
  mlc::runDefaultPipeline(module, **machine, OptimizationLevel::O3);
  if (Error error = checkCallees(module))
    return std::move(error);
  SmallString<0> text;
  raw_svector_ostream os(text);
  legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, os, nullptr, CodeGenFileType::AssemblyFile))
    return createStringError("LLVM cannot emit PTX");
  passes.run(module);
  return text.str().str();
}

} // namespace

const mlc::GpuArch *mlc::findGpuArch(StringRef name) {
  const GpuArch *found = find_if(archs, [&](const GpuArch &arch) { return arch.name == name; });
  return found == std::end(archs) ? nullptr : found;
}

std::string mlc::listGpuArchs() {
  std::string list;
  for (const GpuArch &arch : archs)
    list += (list.empty() ? "" : ", ") + arch.name.str();
  return list;
}

mlir::LogicalResult mlc::emitPtx(mlir::ModuleOp module, StringRef arch) {
  const GpuArch *best = findGpuArch(arch);
  if (!best)
    return module.emitError() << "--target=cuda:" << arch << " is not supported: expected one of " << listGpuArchs();
  auto device = module.lookupSymbol<mlir::ModuleOp>(kDeviceModule);
  if (!device)
    return module.emitError("has no device code");
  LLVMContext context;
  std::unique_ptr<Module> code = mlir::translateModuleToLLVMIR(device, context, kDeviceModule);
  if (!code)
    return module.emitError("the device code cannot be translated to LLVM IR");
  SmallVector<const GpuArch *> wanted{best};
  if (best->name != baseline)
    wanted.push_back(findGpuArch(baseline));
  SmallVector<std::string> texts;
  for (const GpuArch *one : wanted) {
    std::unique_ptr<Module> copy = CloneModule(*code);
    auto text = compile(*copy, *one);
    if (!text)
      return module.emitError() << one->name << ": " << toString(text.takeError());
    texts.push_back(std::move(*text));
  }
  SmallVector<StringRef> images(texts.begin(), texts.end());
  rt::setDeviceImages(module, images, arch);
  device.erase();
  return mlir::success();
}
