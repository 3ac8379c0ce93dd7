// emit (Emit.h): the llvm dialect becomes LLVM IR, joins the runtime and the model's program, and is compiled and linked.
#include "compiler/Emit/Emit.h"
#include "compiler/Emit/Files.h"
#include "compiler/Emit/Link.h"
#include "compiler/Emit/RuntimeBitcode.h"
#include "compiler/Resources.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/OptBisect.h"
#include "llvm/Linker/Linker.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/xxhash.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/IPO/Internalize.h"

using namespace llvm;

namespace {

/// The machine scheduler spills accumulators inside the unrolled loops of contractions (research/cpu-codegen: 114 becomes 48
/// GF/s); instructions stay in the order of our generator there. LLVM asks this gate before it runs a pass on a function,
/// which spares a global command line option that would change every function.
class SchedulerGate : public OptPassGate {
public:
  explicit SchedulerGate(const Module &module) {
    for (const Function &function : module)
      if (!function.isDeclaration() && function.getFnAttribute("mlc-kind").getValueAsString() == "contract")
        contractions.insert(("function (" + function.getName() + ")").str());
  }
  bool isEnabled() const override { return true; }
  bool shouldRunPass(StringRef pass, StringRef description) const override {
    if (pass != "machine-scheduler" || !contractions.contains(description))
      return true;
    ++skipped;
    return false;
  }
  /// False if LLVM has renamed the pass.
  bool hasWorked() const { return skipped >= contractions.size(); }

private:
  StringSet<> contractions;
  mutable size_t skipped = 0;
};

Expected<std::unique_ptr<TargetMachine>> makeTargetMachine(const mlc::CpuTarget &target) {
  InitializeAllTargetInfos();
  InitializeAllTargets();
  InitializeAllTargetMCs();
  InitializeAllAsmPrinters();
  InitializeAllAsmParsers(); // the runtime has inline assembly
  Triple triple(target.triple);
  std::string message;
  const Target *found = TargetRegistry::lookupTarget(triple, message);
  if (!found)
    return createStringError("%s", message.c_str());
  TargetOptions options;
  options.FunctionSections = options.DataSections = true;
  return std::unique_ptr<TargetMachine>(found->createTargetMachine(triple, target.baseline, "", options, Reloc::PIC_,
                                                                   std::nullopt, CodeGenOptLevel::Default));
}

/// Functions that run before the library has checked the CPU must not use its features.
bool runsBeforeCpuCheck(const Function &function) { return function.getName().ends_with("_sizes"); }

void setTarget(Module &module, const mlc::CpuTarget &target) {
  for (Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr(Attribute::NoUnwind);
    function.addFnAttr("target-cpu", target.baseline);
    if (runsBeforeCpuCheck(function))
      continue;
    function.addFnAttr("tune-cpu", target.tune);
    function.addFnAttr("target-features", target.features);
    function.addFnAttr("prefer-vector-width", std::to_string(target.vectorBits));
    function.addFnAttr("no-trapping-math", "true");
  }
}

/// The runtime and the generated code as one module that exports only the model's functions.
Error addRuntimeAndProgram(Module &module, const mlc::Artifact &artifact, mlc::EmitKind kind) {
  auto runtime = parseBitcodeFile(
      MemoryBufferRef(mlc::runtimeBitcode(module.getTargetTriple().getArch()), "mlc_runtime"), module.getContext());
  if (!runtime)
    return runtime.takeError();
  (*runtime)->setTargetTriple(module.getTargetTriple());
  (*runtime)->setDataLayout(module.getDataLayout());
  if (Linker::linkModules(module, std::move(*runtime)))
    return createStringError("the runtime does not link with the generated code");
  std::vector<std::string> exported = mlc::addProgram(module, artifact, kind);
  StringSet<> keep;
  keep.insert(exported.begin(), exported.end());
  internalizeModule(module, [&](const GlobalValue &value) { return keep.contains(value.getName()); });
  return Error::success();
}

/// A hash of everything but the values of the weights. Libraries and files with the same hash fit each other: the code that
/// would have been generated for these weights is the code that the library has.
std::array<uint64_t, 2> structureOf(const Module &module, const mlc::Artifact &artifact) {
  SmallVector<char, 0> bytes;
  raw_svector_ostream os(bytes);
  WriteBitcodeToFile(module, os);
  auto add = [&](int64_t number) { os.write(reinterpret_cast<const char *>(&number), sizeof(number)); };
  for (const mlc::Weight &weight : artifact.weights) {
    add(weight.offset);
    weight.value.getShapedType().print(os);
  }
  for (const mlc::StateSlot &slot : artifact.state) {
    os << slot.name << '\0';
    llvm::for_each(ArrayRef{slot.offset, slot.bytes, slot.weightsOffset}, add);
  }
  for (const std::string &image : artifact.deviceImages)
    os << image << '\0';
  XXH128_hash_t hash = xxh3_128bits(ArrayRef(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()));
  return {hash.high64, hash.low64};
}

Error generate(Module &module, TargetMachine &machine, raw_pwrite_stream &os, CodeGenFileType type) {
  SchedulerGate gate(module);
  module.getContext().setOptPassGate(gate);
  legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, os, nullptr, type))
    return createStringError("the target cannot emit this kind of file");
  passes.run(module);
  assert(gate.hasWorked() && "the machine scheduler ran on a contraction");
  return Error::success();
}

Error writeLibrary(Module &module, TargetMachine &machine, const mlc::Artifact &artifact, mlc::EmitKind kind,
                   StringRef output) {
  auto scratch = mlc::ScratchFolder::make();
  if (!scratch)
    return scratch.takeError();
  mlc::OutputFiles files;
  std::vector<std::string> objects{scratch->file(artifact.name + ".o")};
  if (!artifact.weightsFile.empty()) {
    if (Error error = mlc::writeWeightsFile(artifact.weightsFile, artifact, files))
      return error;
  } else if (artifact.weightsBytes > 0) {
    objects.push_back(scratch->file(artifact.name + "_weights.o"));
    if (Error error =
            mlc::writeWeightsObject(objects[1], machine.getTargetTriple().str(), artifact.name + "_weights", artifact))
      return error;
  }
  for (const mlc::Weight &weight : artifact.weights)
    mlc::releaseResource(weight.value); // before the linker maps the blob twice: its input and its output
  if (Error error = mlc::writeFile(objects[0], [&](raw_pwrite_stream &os) {
        return generate(module, machine, os, CodeGenFileType::ObjectFile);
      }))
    return error;
  if (Error error = mlc::linkObjects(objects, output, kind, artifact, files))
    return error;
  auto writeText = [&](StringRef suffix, StringRef text) {
    SmallString<128> beside(output);
    sys::path::replace_extension(beside, suffix);
    return files.write(beside, [&](raw_pwrite_stream &os) {
      os << text;
      return Error::success();
    });
  };
  if (Error error = writeText("h", mlc::writeHeader(artifact, kind)))
    return error;
  if (Error error = writeText("json", artifact.manifest))
    return error;
  return files.keep();
}

Error emitModule(Module &module, TargetMachine &machine, const mlc::Artifact &artifact, mlc::EmitKind kind,
                 StringRef output, function_ref<void()> onOptimized) {
  if (Error error = addRuntimeAndProgram(module, artifact, kind))
    return error;
  mlc::optimize(module, machine);
  onOptimized();
  if (kind != mlc::EmitKind::Assembly)
    return writeLibrary(module, machine, artifact, kind, output);
  SmallString<0> text; // what is written may be a pipe, which cannot seek
  raw_svector_ostream os(text);
  if (Error error = generate(module, machine, os, CodeGenFileType::AssemblyFile))
    return error;
  return mlc::writeFile(output, text);
}

} // namespace

mlir::LogicalResult mlc::writeText(mlir::ModuleOp module, StringRef output, function_ref<void(raw_ostream &)> write) {
  Error error = writeFile(output, [&](raw_pwrite_stream &os) {
    write(os);
    return Error::success();
  });
  return error ? module.emitError() << toString(std::move(error)) : mlir::success();
}

std::vector<std::string> mlc::outputsOf(const CompileOptions &options, StringRef output) {
  std::vector<std::string> paths{output.str()};
  if (!llvm::is_contained({EmitKind::Library, EmitKind::Archive, EmitKind::Object}, options.emit))
    return paths;
  for (StringRef suffix : {"h", "json"}) {
    SmallString<128> beside(output);
    sys::path::replace_extension(beside, suffix);
    paths.push_back(beside.str().str());
  }
  if (!options.weightsFile.empty())
    paths.push_back(options.weightsFile);
  return paths;
}

mlir::LogicalResult mlc::emit(mlir::ModuleOp module, Artifact &artifact, const CpuTarget &target, EmitKind kind,
                              StringRef output, function_ref<void()> onOptimized) {
  auto machine = makeTargetMachine(target);
  if (!machine)
    return module.emitError() << toString(machine.takeError());
  LLVMContext context;
  std::unique_ptr<Module> code = mlir::translateModuleToLLVMIR(module, context, "model");
  if (!code)
    return module.emitError("cannot be translated to LLVM IR");
  code->setTargetTriple((*machine)->getTargetTriple());
  code->setDataLayout((*machine)->createDataLayout());
  setTarget(*code, target);
  if (kind == EmitKind::LLVM)
    return writeText(module, output, [&](raw_ostream &os) { code->print(os, nullptr); });
  artifact.weightsStructure = structureOf(*code, artifact);
  if (kind == EmitKind::Weights) {
    OutputFiles files;
    Error error = writeWeightsFile(output, artifact, files);
    if (!error)
      error = files.keep();
    return error ? module.emitError() << toString(std::move(error)) : mlir::success();
  }
  artifact.manifest = writeManifest(artifact);
  if (Error error = emitModule(*code, **machine, artifact, kind, output, onOptimized))
    return module.emitError() << toString(std::move(error));
  return mlir::success();
}
