// A typed view of one onnx.node, for the rules that decompose it. It marks what a rule reads: an attribute or an input that
// the model sets and the rule did not read is an error. A rule fails by `return n.fail(...)` (the model is wrong) or
// `return n.unsupported(...)` (we are).
#ifndef MLC_COMPILER_ONNXTOCORE_NODE_H
#define MLC_COMPILER_ONNXTOCORE_NODE_H
#include "compiler/OnnxToCore/KnownValues.h"
#include "dialects/core/CoreBuilder.h"
#include "dialects/onnx/Onnx.h"
#include "llvm/ADT/SmallBitVector.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FormatVariadic.h"
#include <functional>

namespace mlc::decompose {

using core::CoreBuilder;
using core::Expr;
using core::Ints;
using core::Sizes;
using llvm::ArrayRef;
using llvm::SmallVector;
using llvm::StringRef;
using mlir::OpFoldResult;
using mlir::RankedTensorType;
using mlir::Type;
using mlir::Value;

/// What a rule returns: the node's results, or failure (whose reason the node holds). A null value is an optional result
/// that the rule does not produce.
class Values {
public:
  Values(llvm::LogicalResult) {}
  Values(Expr e) : ok(true), list{e.v} {}
  Values(Value v) : ok(true), list{v} {}
  Values(std::initializer_list<Value> values) : ok(true), list(values) {}
  Values(SmallVector<Value> values) : ok(true), list(std::move(values)) {}
  bool failed() const { return !ok; }
  ArrayRef<Value> get() const { return list; }

private:
  bool ok = false;
  SmallVector<Value> list;
};

/// Classes of element types; a rule's row names those that its first input may have.
enum ElementKind : unsigned {
  kFloat = 1,    // f16 bf16 f32 f64
  kSigned = 2,   // i8 .. i64
  kUnsigned = 4, // ui8 .. ui64
  kBool = 8,     // i1
  kNarrow = 16,  // 4 bits and less, and 8-bit floats: only conversions and data movement know them
  kOther = 32,   // strings, complex numbers
  kInteger = kSigned | kUnsigned,
  kNumber = kFloat | kInteger,
  kWide = kNumber | kBool,
  kData = kWide | kNarrow,
};
ElementKind kindOf(Type element);
/// The ONNX name of an element type: "float", "uint8"; as MLIR prints it when ONNX has none.
std::string nameOf(Type element);

/// No tensor that a model describes is larger: products of sizes below this cannot overflow.
constexpr int64_t kElementsMax = int64_t(1) << 40;
/// As in tensors of files: enough for every operator's detours, and work that grows with its square stays small.
constexpr size_t kRankMax = 64;

class Node {
public:
  Node(onnx::NodeOp op, SmallVector<Value> operands, CoreBuilder &b, KnownValues &known);

  onnx::NodeOp op;
  CoreBuilder &b;
  KnownValues &known;

  StringRef name() { return op.getOpType(); }
  int64_t opset() { return op.getOpset(); }
  mlir::MLIRContext *context() { return op.getContext(); }

  // ---- inputs -----------------------------------------------------------------------------------------------------
  int64_t inputCount() const { return operands.size(); }
  /// True if the model gives input i; does not count as reading it.
  bool has(int64_t i) const { return i < inputCount() && operands[i]; }
  /// Input i, which must be present: the rule's row says how many are, `has` tells the others.
  Expr in(int64_t i);
  SmallVector<Value> inputs();
  /// Input i or null, without marking it read.
  Value peek(int64_t i) const { return i < inputCount() ? operands[i] : Value(); }
  RankedTensorType type(int64_t i);
  int64_t rank(int64_t i) { return type(i).getRank(); }
  Type element(int64_t i) { return type(i).getElementType(); }
  /// The input is used, though not its values.
  void markRead(int64_t i);

  // ---- results ----------------------------------------------------------------------------------------------------
  int64_t outputCount() { return op.getNumResults(); }
  bool wants(int64_t i) { return i < outputCount() && !op.getResult(i).use_empty(); }

  // ---- attributes -------------------------------------------------------------------------------------------------
  bool hasAttr(StringRef name) { return bool(op.getAttrs().get(name)); }
  mlir::Attribute attr(StringRef name); // marks it read; null if absent
  void ignoreAttr(StringRef name) { readAttrs.insert(name); }
  int64_t i64(StringRef name, int64_t absent);
  double f32(StringRef name, double absent);
  std::string str(StringRef name, StringRef absent);
  SmallVector<int64_t> ints(StringRef name, ArrayRef<int64_t> absent = {});
  SmallVector<double> floats(StringRef name, ArrayRef<double> absent = {});
  SmallVector<std::string> strs(StringRef name, ArrayRef<std::string> absent = {});
  mlir::ElementsAttr tensor(StringRef name);
  Type dtype(StringRef name, Type absent);
  /// A string attribute that must be one of these; the position in the list.
  std::optional<int64_t> choice(StringRef name, StringRef absent, ArrayRef<StringRef> allowed);

  // ---- values known at compile time, or read at run time ---------------------------------------------------------
  /// The elements of an integer input of rank 0 or 1 as sizes; fails the node if their number is not known.
  std::optional<Sizes> sizes(int64_t i);
  /// One element as a size.
  std::optional<OpFoldResult> size(int64_t i);
  /// The elements of an integer input that must be constant; `what` names it in the error.
  std::optional<SmallVector<int64_t>> constantInts(int64_t i, StringRef what);
  std::optional<SmallVector<double>> constantFloats(int64_t i, StringRef what);

  // ---- checks: each records the error and returns false (or nullopt) ---------------------------------------------
  template <typename... Args> bool check(bool ok, const char *format, Args &&...args) {
    if (!ok)
      setError(llvm::formatv(format, std::forward<Args>(args)...).str(), /*isUnsupported=*/false);
    return ok;
  }
  std::optional<int64_t> axis(int64_t axis, int64_t rank);
  std::optional<int64_t> axis(StringRef attribute, int64_t absent, int64_t rank) {
    return axis(i64(attribute, absent), rank);
  }
  /// Normalised, in the order given, without repetitions.
  std::optional<SmallVector<int64_t>> axes(ArrayRef<int64_t> axes, int64_t rank);
  bool broadcastable(ArrayRef<Value> values);
  /// `from` expanded to the sizes of `to`, which stay; where only the run knows that it can be, the run checks it.
  std::optional<Expr> broadcastTo(Value from, const Sizes &to);
  /// Every element is in [lower, upper): an error if a constant is not, a check of the run where only the run knows. Negative positions
  /// count from the end: `requirePositions`.
  bool requireInRange(Value integers, OpFoldResult lower, OpFoldResult upper, StringRef what);
  bool requirePositions(Value indices, OpFoldResult size);
  bool sameElement(ArrayRef<Value> values);
  bool ranked(int64_t i, int64_t atLeast, int64_t atMost, StringRef what);
  /// Every constant size is >= 0 and their product is in bounds.
  bool validSizes(const Sizes &sizes);
  /// The sizes are equal: an error if they are known not to be, a check of the run where only the run knows.
  bool sameSize(OpFoldResult x, OpFoldResult y, StringRef what);
  bool elementIs(int64_t i, unsigned kinds, StringRef what);

  // ---- failure ----------------------------------------------------------------------------------------------------
  template <typename... Args> llvm::LogicalResult fail(const char *format, Args &&...args) {
    setError(llvm::formatv(format, std::forward<Args>(args)...).str(), /*isUnsupported=*/false);
    return llvm::failure();
  }
  /// `format` completes "<op> (opset n): ... is not supported".
  template <typename... Args> llvm::LogicalResult unsupported(const char *format, Args &&...args) {
    setError(llvm::formatv(format, std::forward<Args>(args)...).str(), /*isUnsupported=*/true);
    return llvm::failure();
  }
  bool failed() const { return !error.empty(); }
  /// After the rule: fails the node if something that the model sets was not read.
  void checkAllRead();

  /// Decomposes a subgraph in place of this node.
  std::function<Values(mlir::Region &, ArrayRef<Value>)> inlineRegion;

  /// Derivatives are wanted, which loops do not have.
  bool unrollsLoops = false;

  std::string error;
  bool isUnsupported = false;

private:
  void setError(std::string text, bool isUnsupported);
  SmallVector<Value> operands; // core values, null where absent
  llvm::SmallBitVector readInputs;
  llvm::StringSet<> readAttrs;
};

std::optional<int64_t> constantSize(OpFoldResult size);
std::string toString(const Sizes &sizes);
std::string toString(ArrayRef<int64_t> values);

} // namespace mlc::decompose
#endif
