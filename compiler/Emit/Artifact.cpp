// See Artifact.h.
#include "compiler/Emit/Artifact.h"
#include "compiler/Schedule/Kernels.h"
#include "dialects/core/ElementTypes.h"
#include "dialects/onnx/Signature.h"
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

/// Name and symbol of a dynamic dimension; named by its place if the model does not name it.
std::string symbolName(func::FuncOp function, unsigned argument, unsigned axis) {
  auto declared = mlc::onnx::Declaration::ofArgument(function, argument);
  if (StringRef symbol = declared.symbol(axis); !symbol.empty())
    return symbol.str();
  return ((declared.name().empty() ? StringRef("input") : declared.name()) + "_dim" + Twine(axis)).str();
}

void addSymbols(func::FuncOp function, std::vector<std::string> &names) {
  if (!function)
    return;
  for (auto [argument, type] : llvm::enumerate(function.getArgumentTypes()))
    if (auto shaped = dyn_cast<ShapedType>(type); shaped && shaped.hasRank())
      for (int64_t axis = 0; axis < shaped.getRank(); ++axis)
        if (shaped.isDynamicDim(axis))
          if (std::string name = symbolName(function, argument, axis); !llvm::is_contained(names, name))
            names.push_back(name);
}

int32_t indexOf(ArrayRef<std::string> names, StringRef name) {
  auto at = llvm::find(names, name);
  return at == names.end() ? -1 : static_cast<int32_t>(at - names.begin());
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

LogicalResult collectValues(func::FuncOp function, ArrayRef<std::string> symbols, std::vector<mlc::ValueInfo> &inputs,
                            std::vector<mlc::ValueInfo> &outputs) {
  for (auto [number, type] : llvm::enumerate(function.getArgumentTypes())) {
    StringRef name = mlc::onnx::Declaration::ofArgument(function, number).name();
    auto info = describe(function, type, name, "input" + Twine(number));
    if (failed(info))
      return failure();
    for (auto [axis, dim] : llvm::enumerate(info->dims))
      if (dim.value < 0)
        dim.symbol = indexOf(symbols, symbolName(function, number, axis));
    inputs.push_back(std::move(*info));
  }
  for (auto [number, type] : llvm::enumerate(function.getResultTypes())) {
    auto declared = mlc::onnx::Declaration::ofResult(function, number);
    auto info = describe(function, type, declared.name(), "output" + Twine(number));
    if (failed(info))
      return failure();
    for (auto [axis, dim] : llvm::enumerate(info->dims))
      if (dim.value < 0)
        dim.symbol = indexOf(symbols, declared.symbol(axis));
    outputs.push_back(std::move(*info));
  }
  return success();
}

std::vector<std::string> strings(Operation *op, StringRef attribute) {
  std::vector<std::string> values;
  if (auto list = op->getAttrOfType<ArrayAttr>(attribute))
    for (auto value : list.getAsRange<StringAttr>())
      values.push_back(value.str());
  return values;
}

std::optional<int64_t> integer(Operation *op, StringRef attribute) {
  if (auto value = op->getAttrOfType<IntegerAttr>(attribute))
    return value.getInt();
  return std::nullopt;
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

mlc::DimSymbols mlc::DimSymbols::of(ModuleOp module) {
  DimSymbols symbols;
  addSymbols(module.lookupSymbol<func::FuncOp>("main"), symbols.names);
  addSymbols(module.lookupSymbol<func::FuncOp>("train_step"), symbols.names);
  return symbols;
}

int64_t mlc::DimSymbols::find(func::FuncOp function, unsigned argument, unsigned axis) const {
  return indexOf(names, symbolName(function, argument, axis));
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
  auto model = module->getAttrOfType<StringAttr>("onnx.model");
  artifact.model = model ? model.str() : "";
  StringRef stem = llvm::sys::path::stem(output);
  if (stem != "lib" && stem != "library") // libmodel.a is the library of model, which -lmodel finds
    stem.consume_front("lib");
  artifact.name = toCIdentifier(options.name.empty() ? stem : StringRef(options.name));
  if (StringRef(artifact.name).starts_with("mlc")) // the runtime's own prefix
    artifact.name = "m_" + artifact.name;
  if (auto hash = module->getAttrOfType<StringAttr>("onnx.hash"))
    artifact.sourceHash = hash.str();
  if (!options.weightsFile.empty()) {
    auto name = nameInLibrary(module, options.weightsFile, output);
    if (failed(name))
      return failure();
    artifact.weightsFile = options.weightsFile;
    artifact.weightsFileName = *name;
  }
  artifact.target = options.target;
  artifact.symbols = DimSymbols::of(module).names;
  auto main = module.lookupSymbol<func::FuncOp>("main");
  if (!main)
    return module.emitError("the module has no @main"), failure();
  if (failed(collectValues(main, artifact.symbols, artifact.inputs, artifact.outputs)))
    return failure();
  if (auto step = module.lookupSymbol<func::FuncOp>("train_step")) {
    artifact.trainable = true;
    if (failed(collectValues(step, artifact.symbols, artifact.trainInputs, artifact.trainOutputs)))
      return failure();
  }
  return artifact;
}

void mlc::collectKernels(ModuleOp module, Artifact &artifact) {
  llvm::StringMap<int64_t> calls;
  module.walk([&](func::CallOp call) { ++calls[call.getCallee()]; });
  for (auto function : module.getOps<func::FuncOp>())
    if (StringRef kind = kernelKind(function); !kind.empty())
      artifact.kernels.push_back({function.getName().str(), kind.str(), calls[function.getName()]});
}

void mlc::collectDevice(ModuleOp module, Artifact &artifact) {
  artifact.deviceImages = strings(module, kDeviceImagesAttr);
  artifact.deviceKernels = strings(module, kDeviceKernelsAttr);
  if (auto arch = module->getAttrOfType<StringAttr>(kDeviceArchAttr))
    artifact.deviceArch = arch.str();
}

bool mlc::Artifact::hasBoundedOutputs() const {
  auto isBounded = [](const ValueInfo &info) {
    return llvm::any_of(info.dims, [](auto &dim) { return dim.isBounded; });
  };
  return llvm::any_of(outputs, isBounded) || llvm::any_of(trainOutputs, isBounded);
}

/// Marks the sizes of results that only a run knows; a symbol that the model declares for one is none of its dimensions.
static void markBounded(ModuleOp module, StringRef attribute, std::vector<mlc::ValueInfo> &outputs) {
  auto pairs = module->getAttrOfType<DenseI64ArrayAttr>(attribute);
  if (!pairs)
    return;
  SmallVector<mlc::DimInfo *> dims;
  for (mlc::ValueInfo &output : outputs)
    for (mlc::DimInfo &dim : output.dims)
      dims.push_back(&dim);
  for (int64_t i = 0; i < pairs.size(); i += 2)
    *dims[pairs[i]] = {-1, -1, true, pairs[i + 1]};
}

LogicalResult mlc::collectMemory(ModuleOp module, Artifact &artifact) {
  artifact.weightsBytes = integer(module, kWeightsBytesAttr).value_or(0);
  artifact.stateBytes = integer(module, kStateBytesAttr).value_or(0);
  artifact.arenaBytes = integer(module, kArenaBytesAttr);
  artifact.trainArenaBytes = integer(module, kTrainArenaBytesAttr);
  markBounded(module, kDataSizesAttr, artifact.outputs);
  markBounded(module, kTrainDataSizesAttr, artifact.trainOutputs);
  constexpr int64_t repeatedBytesMax = int64_t(1) << 30;
  int64_t repeatedBytes = 0;
  if (auto list = module->getAttrOfType<ArrayAttr>(kWeightsAttr))
    for (auto entry : list.getAsRange<DictionaryAttr>()) {
      auto offset = entry.getAs<IntegerAttr>("offset");
      auto value = entry.getAs<ElementsAttr>("value");
      if (!offset || !value)
        return module.emitError() << kWeightsAttr << ": an entry lacks offset or value";
      // A file says "10^12 zeros" in a few bytes; the library holds them all.
      if (auto splat = dyn_cast<SplatElementsAttr>(value))
        repeatedBytes += splat.getNumElements() * std::max(8u, splat.getElementType().getIntOrFloatBitWidth()) / 8;
      if (repeatedBytes > repeatedBytesMax)
        return module.emitError() << "constants of one repeated value take more than " << repeatedBytesMax << " bytes";
      artifact.weights.push_back({offset.getInt(), value});
    }
  if (auto list = module->getAttrOfType<ArrayAttr>(kStateAttr))
    for (auto entry : list.getAsRange<DictionaryAttr>()) {
      auto name = entry.getAs<StringAttr>("name");
      auto type = entry.getAs<TypeAttr>("type");
      auto shaped = type ? dyn_cast<RankedTensorType>(type.getValue()) : RankedTensorType();
      auto offset = entry.getAs<IntegerAttr>("offset"), weightsOffset = entry.getAs<IntegerAttr>("weights_offset");
      if (!name || !shaped || !shaped.hasStaticShape() || !dtypeOf(shaped.getElementType()) || !offset ||
          !weightsOffset)
        return module.emitError() << kStateAttr << ": an entry lacks name, type, offset or weights_offset";
      int64_t bytes = shaped.getNumElements() * llvm::divideCeil(shaped.getElementTypeBitWidth(), 8);
      artifact.state.push_back({name.str(), offset.getInt(), bytes, weightsOffset.getInt()});
      if (!entry.get("parameter"))
        continue;
      if (artifact.params.size() + 1 != artifact.state.size())
        return module.emitError() << kStateAttr << ": parameters must come before optimizer slots";
      ValueInfo info{name.str(), dtypeOf(shaped.getElementType()), {}};
      for (int64_t size : shaped.getShape())
        info.dims.push_back({size, -1});
      artifact.params.push_back(std::move(info));
    }
  return success();
}
