// See NodeWalk.h. Values between nodes are what the reference says, rounded to their type: the library of a node gets the same inputs as
// the reference does, so that a node is blamed for its own errors only.
#include "NodeWalk.h"
#include "compiler/Import/Diagnostics.h"
#include "dialects/core/Core.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/xxhash.h"

using namespace mlc;
using llvm::StringRef;

/// Operands that the compiler must know (axes, shapes, scales) have few elements.
static constexpr int64_t smallElementsMax = 1024;
/// Models of nodes above this are not kept for later nodes: their weights differ anyway.
static constexpr size_t keptModelBytesMax = 64 << 10;

static std::string nameOf(onnx::NodeOp node) {
  std::string name = nodeNameOf(node.getLoc());
  return name.empty() ? node.getOpType().str() : name;
}

static SharedTensor constantTensor(core::ConstantOp op) {
  auto elements = reference::Tensor::read(op.getValue());
  if (!elements)
    return nullptr;
  auto host = toHost(*elements);
  if (host)
    return std::make_shared<const HostTensor>(std::move(*host));
  llvm::consumeError(host.takeError());
  return nullptr;
}

SharedTensor NodeWalk::valueOf(mlir::Value value) {
  if (auto found = values.find(value); found != values.end())
    return found->second;
  auto constant = value.getDefiningOp<core::ConstantOp>();
  return constant ? constantTensor(constant) : nullptr;
}

llvm::Expected<WalkResult> NodeWalk::run(mlir::ModuleOp module, std::vector<SharedTensor> inputs) {
  auto main = module.lookupSymbol<mlir::func::FuncOp>("main");
  mlir::Block &body = main.getBody().front();
  for (auto [argument, tensor] : llvm::zip_equal(body.getArguments(), inputs))
    values[argument] = tensor;
  int64_t count = 0, number = 0;
  for (mlir::Operation &op : body)
    if (auto node = llvm::dyn_cast<onnx::NodeOp>(op)) {
      ++count;
      for (mlir::Value value : valuesRead(node))
        ++usesLeft[value];
    }
  for (mlir::Value output : body.getTerminator()->getOperands())
    ++usesLeft[output];
  for (mlir::Operation &op : body) {
    if (llvm::isa<core::ConstantOp>(op))
      constants.insert(op.getResult(0));
    if (auto node = llvm::dyn_cast<onnx::NodeOp>(op)) {
      progress.show(options.checksNodes ? "checking nodes" : "evaluating the reference", number + 1, count);
      visit(node, number++);
    }
  }
  for (mlir::Value output : body.getTerminator()->getOperands())
    result.outputs.push_back(valueOf(output));
  return std::move(result);
}

void NodeWalk::release(llvm::ArrayRef<mlir::Value> reads) {
  for (mlir::Value value : reads)
    if (--usesLeft[value] == 0)
      values.erase(value);
}

void NodeWalk::visit(onnx::NodeOp node, int64_t number) {
  if (resultsUsed(node).empty())
    return;
  NodeReport report;
  report.number = number;
  report.node = nameOf(node);
  report.op = node.getOpType().str();
  auto reads = valuesRead(node);
  bool isReady = llvm::all_of(reads, [&](mlir::Value value) { return valueOf(value) != nullptr; });
  if (!isReady)
    report.note = "not checked: an input is not known";
  else if (llvm::Error error = check(node, reads, report))
    report.note = "not checked: " + llvm::toString(std::move(error));
  if (options.keep.count(number))
    for (unsigned i : resultsUsed(node))
      result.kept[number].push_back(values.lookup(node->getResult(i)));
  release(reads);
  result.nodes.push_back(std::move(report));
}

llvm::Expected<std::vector<NodeInput>> NodeWalk::inputsOf(llvm::ArrayRef<mlir::Value> reads,
                                                          bool smallOnesAreConstant) {
  std::vector<NodeInput> inputs;
  for (auto [index, value] : llvm::enumerate(reads)) {
    SharedTensor tensor = valueOf(value);
    bool isSmall = index > 0 && tensor->elementCount() <= smallElementsMax;
    bool isConstant = constants.contains(value) || (smallOnesAreConstant && isSmall);
    InputValue described{tensor->dtype, tensor->shape, ""};
    if (isConstant)
      described.bytes.assign(tensor->data.get(), tensor->bytes());
    inputs.push_back({value, std::move(described), isConstant});
  }
  return std::move(inputs);
}

llvm::Expected<NodeWalk::Program> NodeWalk::programOf(onnx::NodeOp node, llvm::ArrayRef<NodeInput> inputs) {
  auto nameless = exportNode(node, "", inputs);
  if (!nameless)
    return nameless.takeError();
  llvm::XXH128_hash_t hash = llvm::xxh3_128bits(llvm::arrayRefFromStringRef<uint8_t>(*nameless));
  std::string key = llvm::formatv("{0:x-16}{1:x-16}", hash.high64, hash.low64).str();
  if (auto found = programs.find(key); found != programs.end())
    return found->second;
  auto text = exportNode(node, nameOf(node), inputs);
  if (!text)
    return text.takeError();
  Program program;
  program.model = scratch.file("node_" + llvm::Twine(programCount++) + ".onnx");
  if (llvm::Error error = writeFile(program.model, *text))
    return std::move(error);
  if (options.checksNodes && node.getOpType() != "Constant") {
    CompileOptions compile = options.compile;
    compile.name = "node";
    StringRef stem = StringRef(program.model).drop_back(StringRef(".onnx").size());
    auto library = compileAndLoad(program.model, compile, (stem + ".so").str());
    if (library)
      program.library = *library;
    else
      program.problem = llvm::toString(library.takeError());
  }
  if (text->size() <= keptModelBytesMax)
    programs[key] = program;
  return program;
}

/// Shapes are known here; what is computed of constants alone is constant.
static bool isConstantNode(onnx::NodeOp node, bool readsOnlyConstants) {
  StringRef op = node.getOpType();
  return op == "Shape" || op == "Size" || (readsOnlyConstants && !op.starts_with("Random") && op != "Bernoulli");
}

void NodeWalk::define(onnx::NodeOp node, llvm::ArrayRef<mlir::Value> reads, std::vector<HostTensor> results,
                      NodeReport &report) {
  std::vector<std::string> types;
  bool isConstant =
      isConstantNode(node, llvm::all_of(reads, [&](mlir::Value value) { return constants.contains(value); }));
  for (auto [number, tensor] : llvm::zip_equal(resultsUsed(node), results)) {
    types.push_back(tensor.type());
    mlir::Value value = node->getResult(number);
    values[value] = std::make_shared<const HostTensor>(std::move(tensor));
    if (isConstant)
      constants.insert(value);
  }
  report.result = llvm::join(types, " ");
}

std::vector<const HostTensor *> NodeWalk::Prepared::pointers() const {
  std::vector<const HostTensor *> result;
  for (const SharedTensor &argument : arguments)
    result.push_back(argument.get());
  return result;
}

llvm::Expected<NodeWalk::Prepared> NodeWalk::prepare(onnx::NodeOp node, llvm::ArrayRef<mlir::Value> reads,
                                                     bool smallOnesAreConstant) {
  auto inputs = inputsOf(reads, smallOnesAreConstant);
  if (!inputs)
    return inputs.takeError();
  auto program = programOf(node, *inputs);
  if (!program)
    return program.takeError();
  Prepared prepared;
  prepared.program = std::move(*program);
  prepared.inputs = std::move(*inputs);
  for (auto [index, input] : llvm::enumerate(prepared.inputs))
    if (!input.isConstant) {
      prepared.names.push_back("x" + std::to_string(index));
      prepared.arguments.push_back(valueOf(input.value));
    }
  auto expected = reference.evaluate(prepared.program.model, prepared.names, prepared.pointers());
  if (expected)
    prepared.expected = std::move(*expected);
  else
    prepared.referenceProblem = llvm::toString(expected.takeError());
  return std::move(prepared);
}

/// What the library gives, or why it gives nothing.
static std::vector<HostTensor> runNode(const mlc_model *library, llvm::ArrayRef<const HostTensor *> arguments,
                                       std::string &problem) {
  if (!library)
    return {};
  auto outputs = runLibrary(*library, {}, arguments);
  if (outputs)
    return std::move(*outputs);
  problem = llvm::toString(outputs.takeError());
  return {};
}

static ErrorSummary compareAll(llvm::ArrayRef<HostTensor> actual, const ReferenceResults &expected,
                               const ErrorBounds &bounds) {
  ErrorSummary result;
  for (auto [tensor, right] : llvm::zip_equal(actual, expected)) {
    if (tensor.dtype == right.element.dtype())
      result.add(compareWithReference(tensor, right, bounds, /*slack=*/1));
    else
      result.detail = "its type is " + tensor.type() + " instead of " + dtypeName(right.element.dtype());
  }
  return result;
}

llvm::Error NodeWalk::keepReproducer(onnx::NodeOp node, const Prepared &prepared, const NodeReport &report) {
  Reproducer &reproducer = result.firstBeyond.emplace();
  reproducer.node = report.node;
  reproducer.model = scratch.file("reproducer.onnx");
  for (auto [name, argument] : llvm::zip_equal(prepared.names, prepared.arguments))
    reproducer.inputs.emplace_back(name, argument);
  std::vector<InputValue> types;
  for (unsigned number : resultsUsed(node)) {
    SharedTensor tensor = values.at(node->getResult(number));
    types.push_back({tensor->dtype, tensor->shape, ""});
    reproducer.expected.emplace_back("y" + std::to_string(number), tensor);
  }
  auto text = exportNode(node, report.node, prepared.inputs, types);
  return text ? writeFile(reproducer.model, *text) : text.takeError();
}

llvm::Error NodeWalk::check(onnx::NodeOp node, llvm::ArrayRef<mlir::Value> reads, NodeReport &report) {
  auto prepared = prepare(node, reads, /*smallOnesAreConstant=*/false);
  if (prepared && (!prepared->program.problem.empty() || !prepared->referenceProblem.empty())) {
    // Some operators want axes or shapes at compile time.
    auto other = prepare(node, reads, /*smallOnesAreConstant=*/true);
    if (!other)
      llvm::consumeError(other.takeError());
    else if (other->program.problem.empty() && other->referenceProblem.empty())
      prepared = std::move(other);
  }
  if (!prepared)
    return prepared.takeError();
  std::string problem = prepared->program.problem;
  std::vector<HostTensor> actual = runNode(prepared->program.library, prepared->pointers(), problem);
  if (!prepared->referenceProblem.empty()) { // the library's results stand in, so that later nodes can be checked
    if (!actual.empty())
      define(node, reads, std::move(actual), report);
    return llvm::createStringError(prepared->referenceProblem);
  }
  std::vector<HostTensor> rounded;
  for (const reference::Tensor &tensor : prepared->expected) {
    auto host = toHost(tensor);
    if (!host)
      return host.takeError();
    rounded.push_back(std::move(*host));
  }
  define(node, reads, std::move(rounded), report);
  if (!problem.empty())
    return llvm::createStringError(problem);
  if (!actual.empty())
    report.errors = compareAll(actual, prepared->expected, options.bounds);
  if (!report.errors.isFine() && !result.firstBeyond)
    return keepReproducer(node, *prepared, report);
  return llvm::Error::success();
}
