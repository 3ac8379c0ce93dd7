// addProgram (Emit.h): mlc_program and mlc_model as LLVM constants, and the functions that an application calls. The structures
// repeat abi.h field by field; checkLayout compares every offset that matters with the C compiler's.
#include "compiler/Emit/Emit.h"
#include "mlc/abi.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"

using namespace llvm;

namespace {

class ProgramBuilder {
public:
  ProgramBuilder(Module &module, const mlc::Artifact &artifact, mlc::EmitKind kind)
      : module(module), artifact(artifact), kind(kind), context(module.getContext()),
        pointer(PointerType::getUnqual(context)), i32(Type::getInt32Ty(context)), i64(Type::getInt64Ty(context)),
        null(ConstantPointerNull::get(pointer)) {}

  std::vector<std::string> build() {
    SmallVector<Type *> modelFields{i32, i32, pointer, pointer};
    modelFields.append(4, i32);
    modelFields.append(4, pointer);
    modelFields.append(2, i32);
    modelFields.append(13, pointer);
    auto *modelType = StructType::get(context, modelFields);
    auto *programType =
        StructType::get(context, {modelType, pointer, pointer, pointer, pointer, pointer, i64, i64, i32, i32, pointer,
                                  pointer, pointer, pointer, i32, i32, pointer, pointer, ArrayType::get(i64, 2)});
    checkLayout(modelType, programType);
    program = new GlobalVariable(module, programType, /*isConstant=*/true, GlobalValue::InternalLinkage, nullptr,
                                 "mlc.program");
    program->setInitializer(ConstantStruct::get(programType, programFields(modelType)));
    addTypedFunctions();
    return exported;
  }

private:
  // Constants.
  Constant *number(int64_t value) { return ConstantInt::getSigned(i64, value); }
  Constant *count(int64_t value) { return ConstantInt::getSigned(i32, value); }
  Constant *constant(Constant *initializer, const Twine &name) {
    auto *global = new GlobalVariable(module, initializer->getType(), /*isConstant=*/true, GlobalValue::PrivateLinkage,
                                      initializer, name);
    global->setUnnamedAddr(GlobalValue::UnnamedAddr::Global);
    return global;
  }
  Constant *text(StringRef value) { return constant(ConstantDataArray::getString(context, value), "mlc.text"); }
  /// In a section of its own: `mlc info` reads it out of files that it cannot load, those for other machines among them.
  Constant *manifest() {
    Constant *pointer = text(artifact.manifest);
    cast<GlobalVariable>(pointer)->setSection(mlc::kManifestSection);
    return pointer;
  }
  Constant *array(ArrayRef<Constant *> values, const Twine &name) {
    return values.empty()
               ? null
               : constant(ConstantArray::get(ArrayType::get(values[0]->getType(), values.size()), values), name);
  }
  Constant *texts(ArrayRef<std::string> values, const Twine &name) {
    SmallVector<Constant *> pointers;
    for (const std::string &value : values)
      pointers.push_back(text(value));
    return array(pointers, name);
  }
  Constant *values(ArrayRef<mlc::ValueInfo> infos, const Twine &name) {
    SmallVector<Constant *> entries;
    for (const mlc::ValueInfo &info : infos) {
      SmallVector<Constant *> dims;
      for (const mlc::DimInfo &dim : info.dims)
        dims.push_back(ConstantStruct::getAnon({number(dim.value), count(dim.symbol), count(dim.isBounded)}));
      entries.push_back(ConstantStruct::getAnon(
          {text(info.name), count(info.dtype), count(info.dims.size()), array(dims, "mlc.dims")}));
    }
    return array(entries, name);
  }
  Constant *stateSlots() {
    SmallVector<Constant *> slots;
    for (const mlc::StateSlot &slot : artifact.state)
      slots.push_back(ConstantStruct::getAnon(
          {text(slot.name), number(slot.offset), number(slot.bytes), number(slot.weightsOffset)}));
    return array(slots, "mlc.state_slots");
  }
  Constant *weights() {
    if (artifact.weightsBytes == 0 || !artifact.weightsFileName.empty())
      return null;
    auto *blob =
        new GlobalVariable(module, ArrayType::get(Type::getInt8Ty(context), artifact.weightsBytes), /*isConstant=*/true,
                           GlobalValue::ExternalLinkage, nullptr, artifact.name + "_weights");
    blob->setVisibility(GlobalValue::HiddenVisibility);
    return blob;
  }
  /// One of the model's compiled entries; null if it has none.
  Constant *entry(StringRef name) {
    Function *function = module.getFunction(name);
    if (!function)
      return null;
    function->setName("mlc." + name); // `main` means something to linkers and to LLVM
    return function;
  }

  SmallVector<Constant *> programFields(StructType *modelType) {
    Constant *run = entry("main"), *runSizes = entry("main_sizes"), *step = entry("train_step"),
             *stepSizes = entry("train_step_sizes");
    return {ConstantStruct::get(modelType, modelFields()),
            run,
            step,
            runSizes,
            stepSizes,
            weights(),
            number(artifact.weightsBytes),
            number(artifact.stateBytes),
            count(artifact.state.size()),
            count(kind == mlc::EmitKind::Library),
            stateSlots(),
            text(join(artifact.cpuFeatures, ",")),
            texts(artifact.deviceImages, "mlc.device_images"),
            texts(artifact.deviceKernels, "mlc.device_kernels"),
            count(artifact.deviceImages.size()),
            count(artifact.deviceKernels.size()),
            artifact.deviceArch.empty() ? null : text(artifact.deviceArch),
            artifact.weightsFileName.empty() ? null : text(artifact.weightsFileName),
            ConstantDataArray::get(context, artifact.weightsStructure)};
  }

  SmallVector<Constant *> modelFields() {
    return {count(MLC_ABI_VERSION),
            count(sizeof(mlc_model)),
            text(artifact.name),
            manifest(),
            count(artifact.symbols.size()),
            count(artifact.inputs.size()),
            count(artifact.outputs.size()),
            count(artifact.params.size()),
            texts(artifact.symbols, "mlc.symbols"),
            values(artifact.inputs, "mlc.inputs"),
            values(artifact.outputs, "mlc.outputs"),
            values(artifact.params, "mlc.params"),
            count(artifact.trainInputs.size()),
            count(artifact.trainOutputs.size()),
            values(artifact.trainInputs, "mlc.train_inputs"),
            values(artifact.trainOutputs, "mlc.train_outputs"),
            forwardWithProgram("workspace_size", i64, {pointer}),
            forwardWithProgram("output_shapes", i32, {pointer, pointer}),
            forwardWithProgram("create", i32, {pointer, pointer}),
            forwardHandle("destroy", Type::getVoidTy(context), {pointer}),
            callTensors("run", 0),
            callTensors("train_step", 1),
            forwardHandle("param", i32, {pointer, pointer, pointer}),
            forwardHandle("save", i32, {pointer, pointer}),
            forwardHandle("load", i32, {pointer, pointer}),
            forwardHandle("last_error", pointer, {pointer}),
            forwardHandle("result_shapes", i32, {pointer, pointer})};
  }

  void checkLayout(StructType *model, StructType *programType) {
    const DataLayout &layout = module.getDataLayout();
    auto same = [&](StructType *type, unsigned field, size_t offset) {
      if (layout.getStructLayout(type)->getElementOffset(field) != offset)
        report_fatal_error("the compiler and abi.h disagree on a structure");
    };
    same(model, 8, offsetof(mlc_model, symbols));
    same(model, 12, offsetof(mlc_model, train_input_count));
    same(model, 16, offsetof(mlc_model, workspace_size));
    same(model, 25, offsetof(mlc_model, last_error));
    same(model, 26, offsetof(mlc_model, result_shapes));
    same(programType, 1, offsetof(mlc_program, run));
    same(programType, 6, offsetof(mlc_program, weights_bytes));
    same(programType, 10, offsetof(mlc_program, state_slots));
    same(programType, 16, offsetof(mlc_program, device_arch));
    same(programType, 18, offsetof(mlc_program, weights_structure));
    if (layout.getTypeAllocSize(model) != sizeof(mlc_model) ||
        layout.getTypeAllocSize(programType) != sizeof(mlc_program))
      report_fatal_error("the compiler and abi.h disagree on a structure");
  }

  // Functions.
  Function *runtime(StringRef name, Type *result, ArrayRef<Type *> parameters) {
    return cast<Function>(module.getOrInsertFunction(name, FunctionType::get(result, parameters, false)).getCallee());
  }
  Function *define(const Twine &name, Type *result, ArrayRef<Type *> parameters, GlobalValue::LinkageTypes linkage) {
    auto *function = Function::Create(FunctionType::get(result, parameters, false), linkage, name, module);
    function->addFnAttr(Attribute::NoUnwind);
    return function;
  }
  /// return callee(arguments);
  void forward(Function *from, Function *callee, ArrayRef<Value *> arguments, IRBuilder<> &b) {
    Value *result = b.CreateCall(callee, arguments);
    from->getReturnType()->isVoidTy() ? b.CreateRetVoid() : b.CreateRet(result);
  }
  /// Lets null and the handles of this model pass. Any other is refused, because it has other inputs, and perhaps another
  /// version of the runtime: all that versions agree on is that a handle begins with its program.
  void refuseOthersHandles(Function *function, IRBuilder<> &b) {
    auto *check = BasicBlock::Create(context, "", function), *refuse = BasicBlock::Create(context, "", function),
         *pass = BasicBlock::Create(context, "", function);
    Value *handle = function->getArg(0);
    b.CreateCondBr(b.CreateIsNull(handle), pass, check);
    b.SetInsertPoint(check);
    b.CreateCondBr(b.CreateICmpEQ(b.CreateLoad(pointer, handle), program), pass, refuse);
    b.SetInsertPoint(refuse);
    Type *result = function->getReturnType();
    if (result->isVoidTy())
      b.CreateRetVoid();
    else
      b.CreateRet(result->isPointerTy() ? text("the handle is not one of the model \"" + artifact.name + "\"")
                                        : count(MLC_INVALID_ARGUMENT));
    b.SetInsertPoint(pass);
  }
  /// A function of mlc_model that is given a handle.
  Function *forwardHandle(StringRef name, Type *result, ArrayRef<Type *> parameters) {
    Function *function = define("mlc." + name, result, parameters, GlobalValue::InternalLinkage);
    IRBuilder<> b(BasicBlock::Create(context, "", function));
    refuseOthersHandles(function, b);
    SmallVector<Value *> arguments;
    for (Argument &argument : function->args())
      arguments.push_back(&argument);
    forward(function, runtime(("mlc_rt_" + name).str(), result, parameters), arguments, b);
    return function;
  }
  /// A function of mlc_model whose runtime counterpart also takes the program.
  Function *forwardWithProgram(StringRef name, Type *result, ArrayRef<Type *> parameters) {
    SmallVector<Type *> types{pointer};
    append_range(types, parameters);
    Function *callee = runtime(("mlc_rt_" + name).str(), result, types);
    Function *function = define("mlc." + name, result, parameters, GlobalValue::InternalLinkage);
    IRBuilder<> b(BasicBlock::Create(context, "", function));
    SmallVector<Value *> arguments{program};
    for (Argument &argument : function->args())
      arguments.push_back(&argument);
    forward(function, callee, arguments, b);
    return function;
  }
  Function *callTensors(StringRef name, int32_t training) {
    Function *callee = runtime("mlc_rt_call_tensors", i32, {pointer, i32, pointer, pointer});
    Function *function =
        define("mlc." + name + "_tensors", i32, {pointer, pointer, pointer}, GlobalValue::InternalLinkage);
    IRBuilder<> b(BasicBlock::Create(context, "", function));
    refuseOthersHandles(function, b);
    forward(function, callee, {function->getArg(0), count(training), function->getArg(1), function->getArg(2)}, b);
    return function;
  }

  Function *addExported(StringRef suffix, Type *result, ArrayRef<Type *> parameters) {
    exported.push_back(artifact.name + "_" + suffix.str());
    return define(exported.back(), result, parameters, GlobalValue::ExternalLinkage);
  }
  void addForward(StringRef suffix, Function *callee) {
    Function *function = addExported(suffix, callee->getReturnType(), callee->getFunctionType()->params());
    IRBuilder<> b(BasicBlock::Create(context, "", function));
    SmallVector<Value *> arguments;
    for (Argument &argument : function->args())
      arguments.push_back(&argument);
    forward(function, callee, arguments, b);
  }

  /// NAME_run(handle, [dims,] inputs..., outputs...)
  void addCall(StringRef suffix, int32_t training, size_t inputs, size_t outputs) {
    SmallVector<Type *> parameters(1 + !artifact.symbols.empty() + inputs + outputs, pointer);
    Function *function = addExported(suffix, i32, parameters);
    IRBuilder<> b(BasicBlock::Create(context, "", function));
    refuseOthersHandles(function, b);
    unsigned next = 1;
    Value *dims = artifact.symbols.empty() ? static_cast<Value *>(null) : function->getArg(next++);
    auto pack = [&](size_t size) {
      auto *type = ArrayType::get(pointer, std::max<size_t>(size, 1));
      BasicBlock &first = function->getEntryBlock(); // elsewhere it would be a stack that grows
      Value *memory = IRBuilder<>(&first, first.begin()).CreateAlloca(type);
      for (size_t index = 0; index < size; ++index)
        b.CreateStore(function->getArg(next++), b.CreateConstInBoundsGEP2_64(type, memory, 0, index));
      return memory;
    };
    Value *inputArray = pack(inputs), *outputArray = pack(outputs);
    forward(function, runtime("mlc_rt_call", i32, {pointer, i32, pointer, pointer, pointer}),
            {function->getArg(0), count(training), dims, inputArray, outputArray}, b);
  }

  void addTypedFunctions() {
    if (artifact.symbols.empty()) {
      Function *function = addExported("workspace_size", i64, {});
      IRBuilder<> b(BasicBlock::Create(context, "", function));
      forward(function, module.getFunction("mlc.workspace_size"), {null}, b);
    } else {
      addForward("workspace_size", module.getFunction("mlc.workspace_size"));
      addForward("output_shapes", module.getFunction("mlc.output_shapes"));
    }
    addForward("create", module.getFunction("mlc.create"));
    addForward(mlc::checkedCreate(artifact), module.getFunction("mlc.create"));
    addForward("destroy", module.getFunction("mlc.destroy"));
    addForward("last_error", module.getFunction("mlc.last_error"));
    if (artifact.hasBoundedOutputs())
      addForward("result_shapes", module.getFunction("mlc.result_shapes"));
    addCall("run", 0, artifact.inputs.size(), artifact.outputs.size());
    if (artifact.trainable) {
      addCall("train_step", 1, artifact.trainInputs.size(), artifact.trainOutputs.size());
      for (StringRef name : {"param", "save", "load"})
        addForward(name, module.getFunction(("mlc." + name).str()));
    }
    addReflection(artifact.name + "_mlc_model_v1");
    if (kind == mlc::EmitKind::Library)
      addReflection("mlc_model_v1"); // the one name that programs look for which load libraries at run time
  }

  void addReflection(const std::string &name) {
    exported.push_back(name);
    IRBuilder<> b(BasicBlock::Create(context, "", define(name, pointer, {}, GlobalValue::ExternalLinkage)));
    b.CreateRet(program);
  }

  Module &module;
  const mlc::Artifact &artifact;
  mlc::EmitKind kind;
  LLVMContext &context;
  PointerType *pointer;
  IntegerType *i32, *i64;
  Constant *null;
  GlobalVariable *program = nullptr;
  std::vector<std::string> exported;
};

} // namespace

std::vector<std::string> mlc::addProgram(Module &module, const Artifact &artifact, EmitKind kind) {
  return ProgramBuilder(module, artifact, kind).build();
}
