// See Artifact.h.
#include "compiler/Emit/Artifact.h"
#include "dialects/core/ElementTypes.h"
#include "dialects/onnx/Signature.h"
#include "dialects/rt/Program.h"
#include "dialects/sched/Kernel.h"
#include "mlc/mlc.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;

namespace {

// clang-format off: one word a line would be pages
/// Words that cannot name a type, a parameter or a field: keywords of C and C++, types that headers use, and `main`.
constexpr StringLiteral keywords[] = {
      "alignas", "alignof", "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break", "case", "catch",
      "char", "char16_t", "char32_t", "char8_t", "class", "co_await", "co_return", "co_yield", "compl", "concept",
      "const", "const_cast", "consteval", "constexpr", "constinit", "continue", "contract_assert", "decltype",
      "default", "delete", "do", "double", "dynamic_cast", "else", "enum", "explicit", "export", "extern", "false",
      "float", "for", "friend", "goto", "if", "inline", "int", "int16_t", "int32_t", "int64_t", "int8_t", "long",
      "main", "mutable", "namespace", "new", "noexcept", "not", "not_eq", "nullptr", "nullptr_t", "operator", "or",
      "or_eq", "private", "protected", "ptrdiff_t", "public", "register", "reinterpret_cast", "requires", "restrict",
      "return", "short", "signed", "size_t", "sizeof", "static", "static_assert", "static_cast", "struct", "switch",
      "template", "this", "thread_local", "throw", "true", "try", "typedef", "typeid", "typename", "typeof",
      "typeof_unqual", "uint16_t", "uint32_t", "uint64_t", "uint8_t", "union", "unsigned", "using", "virtual", "void",
      "volatile", "wchar_t", "while", "xor", "xor_eq",
};
/// Macros that do not look like macros (see looksLikeMacro), or that a library could be named after: of the compilers, the standard
/// headers and POSIX.
constexpr StringLiteral macros[] = {
      "I", "NULL", "EOF", "NAN", "INFINITY", "HUGE_VAL", "BUFSIZ", "EDOM", "ERANGE", "EILSEQ", "NDEBUG", "DOMAIN",
      "SING", "OVERFLOW", "UNDERFLOW", "PLOSS", "TLOSS", "errno", "stdin", "stdout", "stderr", "unix", "linux", "i386",
      "complex", "imaginary", "noreturn", "math_errhandling", "environ", "st_atime", "st_mtime", "st_ctime",
      "sa_handler", "sa_sigaction", "sched_priority", "s6_addr", "s6_addr16", "s6_addr32", "si_addr", "si_addr_lsb",
      "si_arch", "si_band", "si_call_addr", "si_fd", "si_int", "si_lower", "si_overrun", "si_pid", "si_pkey", "si_ptr",
      "si_status", "si_stime", "si_syscall", "si_timerid", "si_uid", "si_upper", "si_utime", "si_value",
      "sigev_notify_attributes", "sigev_notify_function",
};
// clang-format on

bool isReserved(StringRef name) {
  return llvm::is_contained(keywords, name) || llvm::is_contained(macros, name) || name.starts_with("__") ||
         (name.size() > 1 && name[0] == '_' && isupper(name[1]));
}

/// As all macros of the standard headers do that are not in the table: INT_MAX, PRId64, L_tmpnam, M_PIf, E2BIG, atomic_load. Single
/// letters do not: N is the usual name of a dimension.
bool looksLikeMacro(StringRef name) {
  bool hasLower = llvm::any_of(name, llvm::isLower);
  return name.starts_with("atomic_") || (name.size() > 1 && llvm::isUpper(name[0]) &&
                                         (llvm::isUpper(name[1]) || name[1] == '_' || (name.size() > 2 && !hasLower)));
}

FailureOr<mlc::ValueInfo> describe(func::FuncOp function, Type type, StringRef name, const Twine &fallbackName) {
  mlc::ValueInfo info;
  info.name = name.empty() ? fallbackName.str() : name.str();
  auto shaped = dyn_cast<RankedTensorType>(type);
  info.dtype = shaped ? mlc::dtypeOf(shaped.getElementType()) : 0;
  if (!info.dtype) {
    function.emitError() << info.name << ": values of type " << type << " cannot be passed to or from a compiled model";
    return failure();
  }
  if (shaped.getRank() > MLC_RANK_MAX) {
    function.emitError() << info.name << ": rank " << shaped.getRank() << " is above " << MLC_RANK_MAX;
    return failure();
  }
  for (int64_t size : shaped.getShape())
    info.dims.push_back({ShapedType::isDynamic(size) ? -1 : size, -1});
  return info;
}

LogicalResult collectValues(func::FuncOp function, const mlc::onnx::Symbols &symbols,
                            std::vector<mlc::ValueInfo> &inputs, std::vector<mlc::ValueInfo> &outputs) {
  for (auto [number, type] : llvm::enumerate(function.getArgumentTypes())) {
    StringRef name = mlc::onnx::Declaration::ofArgument(function, number).name();
    auto info = describe(function, type, name, "input" + Twine(number));
    if (failed(info))
      return failure();
    for (auto [axis, dim] : llvm::enumerate(info->dims))
      if (dim.value < 0)
        dim.symbol = int32_t(symbols.find(function, number, axis));
    inputs.push_back(std::move(*info));
  }
  for (auto [number, type] : llvm::enumerate(function.getResultTypes())) {
    auto declared = mlc::onnx::Declaration::ofResult(function, number);
    auto info = describe(function, type, declared.name(), "output" + Twine(number));
    if (failed(info))
      return failure();
    for (auto [axis, dim] : llvm::enumerate(info->dims))
      if (dim.value < 0)
        dim.symbol = int32_t(symbols.find(declared.symbol(axis)));
    outputs.push_back(std::move(*info));
  }
  return success();
}

} // namespace

std::string mlc::toCIdentifier(StringRef name, bool maybeMacro) {
  std::string identifier;
  for (char c : name)
    identifier += llvm::isAlnum(c) ? c : '_';
  if (identifier.empty() || llvm::isDigit(identifier[0]))
    identifier = "m" + identifier;
  return isReserved(identifier) || (maybeMacro && looksLikeMacro(identifier)) ? "m_" + identifier : identifier;
}

std::string mlc::signatureOf(const Artifact &artifact) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << MLC_ABI_VERSION;
  auto add = [&](ArrayRef<ValueInfo> infos) {
    os << '\n';
    for (const ValueInfo &info : infos) {
      os << info.name << '\0' << info.dtype;
      for (const DimInfo &dim : info.dims)
        os << ' ' << dim.value << ' ' << dim.symbol << ' ' << dim.isBounded << ' ' << dim.bound;
    }
  };
  for (const std::string &symbol : artifact.symbols)
    os << '\0' << symbol;
  for (ArrayRef<ValueInfo> infos :
       {ArrayRef(artifact.inputs), ArrayRef(artifact.outputs), ArrayRef(artifact.trainInputs),
        ArrayRef(artifact.trainOutputs), ArrayRef(artifact.params)})
    add(infos);
  return llvm::formatv("{0:x-16}", llvm::xxh3_64bits(StringRef(text))).str();
}

/// The name by which a library finds its file of weights: without a folder if the file is beside it, or an absolute path.
static FailureOr<std::string> nameInLibrary(ModuleOp module, StringRef weights, StringRef output) {
  auto folderOf = [](StringRef path) {
    StringRef folder = llvm::sys::path::parent_path(path);
    return folder.empty() ? StringRef(".") : folder;
  };
  if (llvm::sys::fs::equivalent(folderOf(weights), folderOf(output)))
    return llvm::sys::path::filename(weights).str();
  if (llvm::sys::path::is_absolute(weights))
    return weights.str();
  return module.emitError() << "--weights=" << weights << ": expected a file in the folder of " << output
                            << " or an absolute path, since the library must find it";
}

FailureOr<mlc::Artifact> mlc::collectSignature(ModuleOp module, const CompileOptions &options, StringRef output) {
  Artifact artifact;
  onnx::Source source = onnx::sourceOf(module);
  artifact.model = source.name.str();
  artifact.sourceHash = source.hash.str();
  StringRef stem = llvm::sys::path::stem(output);
  if (stem != "lib" && stem != "library") // libmodel.a is the library of model, which -lmodel finds
    stem.consume_front("lib");
  artifact.name = toCIdentifier(options.name.empty() ? stem : StringRef(options.name));
  if (StringRef(artifact.name).starts_with("mlc")) // the runtime's own prefix
    artifact.name = "m_" + artifact.name;
  if (!options.weightsFile.empty()) {
    auto name = nameInLibrary(module, options.weightsFile, output);
    if (failed(name))
      return failure();
    artifact.weightsFile = options.weightsFile;
    artifact.weightsFileName = *name;
  }
  artifact.target = options.target;
  auto symbols = onnx::Symbols::of(module);
  artifact.symbols = symbols.names;
  auto main = module.lookupSymbol<func::FuncOp>("main");
  if (!main)
    return module.emitError("the module has no @main"), failure();
  if (failed(collectValues(main, symbols, artifact.inputs, artifact.outputs)))
    return failure();
  if (auto step = module.lookupSymbol<func::FuncOp>("train_step")) {
    artifact.trainable = true;
    if (failed(collectValues(step, symbols, artifact.trainInputs, artifact.trainOutputs)))
      return failure();
  }
  return artifact;
}

void mlc::collectKernels(ModuleOp module, Artifact &artifact) {
  llvm::StringMap<int64_t> calls;
  module.walk([&](func::CallOp call) { ++calls[call.getCallee()]; });
  for (auto function : module.getOps<func::FuncOp>())
    if (auto kind = sched::kindOf(function))
      artifact.kernels.push_back({function.getName().str(), stringifyKind(*kind).str(), calls[function.getName()]});
}

void mlc::collectDevice(ModuleOp module, Artifact &artifact) {
  rt::DeviceCode code = rt::deviceCode(module);
  artifact.deviceImages.assign(code.images.begin(), code.images.end());
  artifact.deviceKernels.assign(code.kernels.begin(), code.kernels.end());
  artifact.deviceArch = code.arch.str();
}

bool mlc::Artifact::hasBoundedOutputs() const {
  auto isBounded = [](const ValueInfo &info) {
    return llvm::any_of(info.dims, [](auto &dim) { return dim.isBounded; });
  };
  return llvm::any_of(outputs, isBounded) || llvm::any_of(trainOutputs, isBounded);
}

/// Marks the sizes of results that only a run knows; a symbol that the model declares for one is none of its dimensions.
static void markBounded(func::FuncOp entry, std::vector<mlc::ValueInfo> &outputs) {
  SmallVector<mlc::DimInfo *> dims;
  for (mlc::ValueInfo &output : outputs)
    for (mlc::DimInfo &dim : output.dims)
      dims.push_back(&dim);
  for (mlc::rt::DataSize size : mlc::rt::dataSizes(entry))
    *dims[size.position] = {-1, -1, true, size.bound};
}

LogicalResult mlc::collectMemory(ModuleOp module, Artifact &artifact) {
  artifact.weightsBytes = rt::weightsBytes(module);
  artifact.stateBytes = rt::stateBytes(module);
  if (auto main = module.lookupSymbol<func::FuncOp>("main")) {
    artifact.arenaBytes = rt::arenaBytes(main);
    markBounded(main, artifact.outputs);
  }
  if (auto step = module.lookupSymbol<func::FuncOp>("train_step")) {
    artifact.trainArenaBytes = rt::arenaBytes(step);
    markBounded(step, artifact.trainOutputs);
  }
  constexpr int64_t repeatedBytesMax = int64_t(1) << 30;
  int64_t repeatedBytes = 0;
  for (rt::WeightAttr weight : rt::weightsOf(module)) {
    if (weight.getOffset() < 0)
      return module.emitError("a weight has no place");
    // A file says "10^12 zeros" in a few bytes; the library holds them all.
    if (auto splat = dyn_cast<SplatElementsAttr>(weight.getValue()))
      repeatedBytes += splat.getNumElements() * std::max(8u, splat.getElementType().getIntOrFloatBitWidth()) / 8;
    if (repeatedBytes > repeatedBytesMax)
      return module.emitError() << "constants of one repeated value take more than " << repeatedBytesMax << " bytes";
    artifact.weights.push_back({weight.getOffset(), weight.getValue()});
  }
  for (rt::SlotAttr slot : rt::stateOf(module)) {
    RankedTensorType type = slot.getType();
    if (slot.getOffset() < 0 || !dtypeOf(type.getElementType()))
      return module.emitError() << "state '" << slot.getName() << "' of type " << type
                                << " has no place, or cannot be passed";
    int64_t bytes = type.getNumElements() * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    artifact.state.push_back({slot.getName().str(), slot.getOffset(), bytes, slot.getWeightsOffset()});
    if (!slot.getParameter())
      continue;
    ValueInfo info{slot.getName().str(), dtypeOf(type.getElementType()), {}};
    for (int64_t size : type.getShape())
      info.dims.push_back({size, -1});
    artifact.params.push_back(std::move(info));
  }
  return success();
}
