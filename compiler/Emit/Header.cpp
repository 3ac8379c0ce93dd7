// writeHeader (Emit.h): the typed C interface of one model. The header repeats the whole of mlc.h under mlc.h's own guard, so that
// it needs no other file, and several of them, and mlc.h itself, can be included together.
#include "compiler/Emit/Emit.h"
#include "mlc/mlc.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

using namespace llvm;

namespace {

// The #include above makes tools that track includes, ccache among them, see changes of the embedded file.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wc23-extensions"
constexpr char mlcHeader[] = {
#embed "../../runtime/include/mlc/mlc.h" suffix(, 0)
};
#pragma clang diagnostic pop

StringRef cType(int32_t dtype) {
  switch (dtype) {
#define MLC_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, ...)                                                           \
  case MLC_##NAME:                                                                                                     \
    return #C;
#include "mlc/types.def"
  default:
    llvm_unreachable("collectSignature refuses what has no mlc_dtype");
  }
}

/// What the C type does not say.
StringRef dtypeNote(int32_t dtype) {
  switch (dtype) {
#define MLC_FLOAT_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, ...)                                                     \
  case MLC_##NAME:                                                                                                     \
    return std::is_floating_point_v<C> ? "" : ", " TEXT " bits";
#include "mlc/types.def"
  default:
    return dtype == MLC_BOOL ? ", 0 or 1" : "";
  }
}

/// A name of the model inside a C comment.
std::string inComment(StringRef name) {
  std::string text;
  for (char c : name)
    if (std::pair pair(text.empty() ? ' ' : text.back(), c); pair == std::pair('*', '/') || pair == std::pair('/', '*'))
      text += ' '; // neither ends the comment nor looks like a second one
    else
      text += isPrint(c) ? c : '?';
  return text;
}

std::string shapeText(const mlc::ValueInfo &info, ArrayRef<std::string> symbols) {
  std::string text = "[";
  for (auto [axis, dim] : enumerate(info.dims)) {
    text += axis ? ", " : "";
    text += dim.value >= 0    ? std::to_string(dim.value)
            : dim.symbol >= 0 ? inComment(symbols[dim.symbol])
            : dim.bound >= 0  ? "<=" + std::to_string(dim.bound)
            : dim.isBounded   ? "<=?"
                              : "?";
  }
  return text + "]";
}

class HeaderWriter {
public:
  HeaderWriter(const mlc::Artifact &artifact, raw_ostream &os) : artifact(artifact), name(artifact.name), os(os) {}

  void write(mlc::EmitKind kind) {
    std::string guard = "MLC_GENERATED_" + StringRef(name).upper() + "_H";
    os << formatv("/* {0}.h: {1}, compiled by mlc. Generated; do not edit. Self-contained C11, also valid C++. */\n",
                  name, inComment(artifact.model.empty() ? "a model" : artifact.model));
    if (!artifact.weightsFileName.empty())
      os << formatv("/* The weights are in the file {0}, {1}. */\n", inComment(artifact.weightsFileName),
                    sys::path::is_absolute(artifact.weightsFileName) ? "at this path"
                    : kind == mlc::EmitKind::Library                 ? "in the library's folder"
                                                                     : "in the program's current folder");
    os << formatv("#ifndef {0}\n#define {0}\n\n", guard) << mlcHeader
       << "\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
    writeTypes();
    writeLifetime();
    writeCall("run", "Computes the model. Tensors are dense and row-major, and belong to the caller.", artifact.inputs,
              artifact.outputs);
    if (artifact.trainable)
      writeTraining();
    os << "/** What went wrong last on this handle; null: in this thread's last failed call without one. Never null. "
          "*/\n";
    os << formatv("const char *{0}_last_error(const {0} *handle);\n\n", name);
    os << "/** The reflective table of this model (see mlc_model). */\n";
    os << formatv("const mlc_model *{0}_mlc_model_v1(void);\n", name);
    if (kind == mlc::EmitKind::Library)
      os << "const mlc_model *mlc_model_v1(void);\n";
    os << "\n#ifdef __cplusplus\n}\n#endif\n#endif\n";
  }

private:
  bool hasDims() const { return !artifact.symbols.empty(); }
  std::string dimsParameter() const { return hasDims() ? formatv("const {0}_dims *dims", name).str() : ""; }

  void writeTypes() {
    os << "/** One instance of the model: its memory and its threads. One handle serves one thread at a time. */\n";
    os << formatv("typedef struct mlc_handle {0};\n\n", name);
    if (!hasDims())
      return;
    os << "/** Sizes of the model's symbolic dimensions. */\n" << formatv("typedef struct {0}_dims {{\n", name);
    for (auto [symbol, field] : zip_equal(artifact.symbols, mlc::toUniqueIdentifiers(artifact.symbols, {}))) {
      os << "  int64_t " << field << ";";
      if (symbol != field)
        os << " /* " << inComment(symbol) << " */";
      os << "\n";
    }
    os << formatv("} {0}_dims;\n\n", name);
  }

  void writeLifetime() {
    StringRef none = hasDims() ? "" : "void";
    os << "/** Bytes of workspace that a call needs" << (hasDims() ? " for these dimensions" : "") << ". */\n";
    os << formatv("size_t {0}_workspace_size({1}{2});\n\n", name, none, dimsParameter());
    if (hasDims()) {
      os << "/** Sizes of every output, one output after the other, into `shapes`. */\n";
      os << formatv("mlc_status {0}_output_shapes({1}, int64_t *shapes);\n\n", name, dimsParameter());
    }
    if (artifact.hasBoundedOutputs()) {
      os << "/** Sizes of every output of the last run, one output after the other, into `shapes`: those of which only "
            "the\n"
         << " * upper bound is known before (\"<=\" below). Outputs have room for the bound"
         << (hasDims() ? ", which output_shapes tells" : "") << "; data is dense at the size. */\n";
      os << formatv("mlc_status {0}_result_shapes({0} *handle, int64_t *shapes);\n\n", name);
    }
    os << "/** Makes an instance; `options` may be null. The linker's name tells the signature, so that a program "
          "links only with a\n"
          " * library that this header describes. */\n"
       << formatv("mlc_status {0}_create(const mlc_options *options, {0} **handle)\n"
                  "    __asm__(\"{0}_{1}\");\n\n",
                  name, mlc::checkedCreate(artifact));
    os << "/** Frees it; `handle` may be null. */\n" << formatv("void {0}_destroy({0} *handle);\n\n", name);
  }

  void writeCall(StringRef function, StringRef summary, ArrayRef<mlc::ValueInfo> inputs,
                 ArrayRef<mlc::ValueInfo> outputs) {
    std::vector<std::string> names;
    for (const auto &info : inputs)
      names.push_back(info.name);
    for (const auto &info : outputs)
      names.push_back(info.name);
    names = mlc::toUniqueIdentifiers(names, {"handle", "dims"});
    os << "/**\n * " << summary << "\n";
    std::string parameters = name + " *handle";
    if (hasDims())
      parameters += ", " + dimsParameter();
    for (auto [number, identifier] : enumerate(names)) {
      bool isInput = number < inputs.size();
      const mlc::ValueInfo &info = isInput ? inputs[number] : outputs[number - inputs.size()];
      os << formatv(" * @param {0} {1} {2} {3}{4}", identifier, isInput ? "in:" : "out:", cType(info.dtype),
                    shapeText(info, artifact.symbols), dtypeNote(info.dtype));
      if (info.name != identifier)
        os << ", \"" << inComment(info.name) << "\" in the model";
      os << "\n";
      parameters += formatv(", {0}{1} *{2}", isInput ? "const " : "", cType(info.dtype), identifier);
    }
    os << " */\n" << formatv("mlc_status {0}_{1}({2});\n\n", name, function, parameters);
  }

  void writeTraining() {
    writeCall("train_step", "One step of training: loss, gradients, and the optimizer's update of every parameter.",
              artifact.trainInputs, artifact.trainOutputs);
    os << "/** A view of a parameter's memory, valid as long as the handle:\n";
    for (const auto &info : artifact.params)
      os << " *   \"" << inComment(info.name) << "\" " << cType(info.dtype) << ' ' << shapeText(info, artifact.symbols)
         << "\n";
    os << " */\n" << formatv("mlc_status {0}_param({0} *handle, const char *name, mlc_tensor *view);\n\n", name);
    os << "/** Writes and reads parameters and optimizer state as a safetensors file. */\n";
    os << formatv(
        "mlc_status {0}_save({0} *handle, const char *path);\nmlc_status {0}_load({0} *handle, const char *path);\n\n",
        name);
  }

  const mlc::Artifact &artifact;
  std::string name;
  raw_ostream &os;
};

} // namespace

std::vector<std::string> mlc::toUniqueIdentifiers(ArrayRef<std::string> names, ArrayRef<StringRef> taken) {
  StringSet<> used;
  used.insert(taken.begin(), taken.end());
  std::vector<std::string> identifiers;
  for (const std::string &name : names) {
    std::string identifier = toCIdentifier(name, /*maybeMacro=*/true), base = identifier;
    for (int number = 2; !used.insert(identifier).second; ++number)
      identifier = base + "_" + std::to_string(number);
    identifiers.push_back(identifier);
  }
  return identifiers;
}

std::string mlc::checkedCreate(const Artifact &artifact) { return "create_with_signature_" + signatureOf(artifact); }

std::string mlc::writeHeader(const Artifact &artifact, EmitKind kind) {
  std::string text;
  raw_string_ostream os(text);
  HeaderWriter(artifact, os).write(kind);
  return text;
}
