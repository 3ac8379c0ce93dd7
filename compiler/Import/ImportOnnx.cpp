// importOnnx: a model file as a module of the onnx dialect (docs/ir.md, section 1).
#include "compiler/Compile.h"
#include "compiler/Import/Diagnostics.h"
#include "compiler/Import/GraphImporter.h"
#include "compiler/Import/Signature.h"
#include "dialects/onnx/Onnx.h"
#include "dialects/onnx/Signature.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/xxhash.h"

using namespace mlc;
using namespace mlir;

static func::FuncOp makeMain(OpBuilder &builder, Location location, ArrayRef<ModelInput> inputs) {
  auto types = llvm::map_to_vector(inputs, [](const ModelInput &input) -> Type { return input.type; });
  auto main = func::FuncOp::create(builder, location, "main", builder.getFunctionType(types, {}));
  Block *entry = main.addEntryBlock();
  SmallVector<DictionaryAttr> attributes; // set together: each change of one makes a new list of all
  for (auto [input, argument] : llvm::zip_equal(inputs, entry->getArguments())) {
    attributes.push_back(mlc::onnx::Declaration::make(builder, input.name, input.symbols));
    argument.setLoc(NameLoc::get(builder.getStringAttr(input.name)));
  }
  main.setAllArgAttrs(attributes);
  return main;
}

/// An input whose value --input-value gives.
static Value constantInput(OpBuilder &builder, const ModelInput &input, const InputValue &value) {
  OperationState state(NameLoc::get(builder.getStringAttr(input.name)), "core.constant");
  state.addAttribute("value", denseElements(input.type, value.bytes));
  state.addAttribute("name", builder.getStringAttr(input.name));
  state.addTypes(input.type);
  return builder.create(state)->getResult(0);
}

static LogicalResult addOutputs(func::FuncOp main, OpBuilder &builder, const pb::GraphProto &graph,
                                const ValueScope &scope, const SymbolSizes &sizes, bool keepsGoing) {
  Location location = main.getLoc();
  if (graph.output().empty())
    return emitError(location) << "the model has no outputs";
  SmallVector<Value> values;
  SmallVector<DictionaryAttr> attributes;
  llvm::StringSet<> names;
  bool hasFailed = false;
  for (const auto &output : graph.output()) {
    if (!names.insert(output.name()).second)
      return emitError(location) << "the model has two outputs named \"" << output.name() << '"';
    Value value = scope.find(output.name());
    if (!value)
      return emitError(location) << "output \"" << output.name() << "\" is made by no node of the model";
    auto declared = declaredOutput(output, sizes, location);
    hasFailed |= failed(declared);
    if (failed(declared))
      continue;
    values.push_back(value);
    auto symbols = declared->type ? std::optional<ArrayRef<std::string>>(declared->symbols) : std::nullopt;
    attributes.push_back(mlc::onnx::Declaration::make(builder, output.name(), symbols, declared->type));
  }
  if (hasFailed && !keepsGoing)
    return failure();
  func::ReturnOp::create(builder, location, values);
  main.setFunctionType(builder.getFunctionType(main.getArgumentTypes(), TypeRange(ValueRange(values))));
  main.setAllResultAttrs(attributes);
  return success();
}

OwningOpRef<ModuleOp> mlc::importOnnx(StringRef path, const CompileOptions &options, MLIRContext &context) {
  context.getOrLoadDialect<func::FuncDialect>();
  context.getOrLoadDialect<onnx::OnnxDialect>();
  context.getOrLoadDialect("core");
  OpBuilder builder(&context);
  Location location = builder.getUnknownLoc();
  auto file = ModelFile::open(path);
  if (!file) {
    emitError(location) << llvm::toString(file.takeError());
    return {};
  }
  const pb::ModelProto &model = (*file)->model();
  const pb::GraphProto &graph = model.graph();
  if (model.ir_version() > pb::IR_VERSION)
    emitWarning(location) << "IR version " << model.ir_version() << " is newer than " << int(pb::IR_VERSION)
                          << ", the newest that mlc knows";
  if (model.training_info_size())
    emitWarning(location) << "training_info of the model is not read";

  OwningOpRef<ModuleOp> module = ModuleOp::create(location);
  StringRef name = llvm::sys::path::filename(path);
  llvm::XXH128_hash_t hash = llvm::xxh3_128bits(llvm::arrayRefFromStringRef<uint8_t>((*file)->bytes()));
  (*file)->releasePages();

  SymbolSizes sizes;
  std::vector<std::string> unknownInputs;
  auto inputs = bindInputs(graph, options, location, sizes, unknownInputs);
  if (failed(inputs))
    return {};
  std::vector<ModelInput> arguments, constants;
  for (ModelInput &input : *inputs)
    (options.inputValues.count(input.name) ? constants : arguments).push_back(std::move(input));
  builder.setInsertionPointToEnd(module->getBody());
  func::FuncOp main = makeMain(builder, location, arguments);
  builder.setInsertionPointToEnd(&main.front());
  ValueScope scope;
  for (const ModelInput &input : constants)
    scope.define(input.name, constantInput(builder, input, options.inputValues.at(input.name)));
  for (auto [input, argument] : llvm::zip_equal(arguments, main.getArguments()))
    scope.define(input.name, argument);
  AttributeImporter attributes(*file, &context);
  GraphImporter importer(model, attributes, builder, &main.front(), options.keepsGoing);
  for (const std::string &name : unknownInputs)
    scope.define(name, importer.unknown());
  if (failed(importer.prepare(location)) || failed(importer.importMain(graph, scope)) ||
      failed(addOutputs(main, builder, graph, scope, sizes, options.keepsGoing)))
    return {};
  std::string hashText = llvm::formatv("xxh3:{0:x-16}{1:x-16}", hash.high64, hash.low64);
  std::vector<std::string> locations = (*file)->externalLocations();
  mlc::onnx::setSource(*module, {name, hashText, model.ir_version(), {locations.begin(), locations.end()}});
  return module;
}
