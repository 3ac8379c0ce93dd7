// CoreBuilder: makes core ops with inferred types and folds what is constant on the way. The one place through which
// decomposition, differentiation and the optimizer create mathematics; `Expr` is the same with operators.
#ifndef MLC_DIALECTS_CORE_COREBUILDER_H
#define MLC_DIALECTS_CORE_COREBUILDER_H
#include "dialects/core/Core.h"
#include "dialects/core/SizeFacts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include <functional>
#include <optional>

namespace mlc::core {

using mlir::Location;
using mlir::OpFoldResult;
using mlir::RankedTensorType;
using mlir::Type;
using mlir::Value;
using Sizes = llvm::SmallVector<OpFoldResult>;
using Ints = llvm::ArrayRef<int64_t>;

class CoreBuilder;

/// A tensor with operators. Operands of different shapes are broadcast to each other by NumPy's rules, also where only the run knows
/// which of two sizes is 1 (StretchOp); numbers become splats of the other's type.
struct Expr {
  CoreBuilder *b = nullptr;
  Value v;
  operator Value() const { return v; }
};
Expr operator+(Expr, Expr);
Expr operator-(Expr, Expr);
Expr operator*(Expr, Expr);
Expr operator/(Expr, Expr);
Expr operator-(Expr);
Expr operator+(Expr, double);
Expr operator-(Expr, double);
Expr operator*(Expr, double);
Expr operator/(Expr, double);
Expr operator+(double, Expr);
Expr operator-(double, Expr);
Expr operator*(double, Expr);
Expr operator/(double, Expr);

class CoreBuilder {
public:
  CoreBuilder(mlir::OpBuilder &builder, Location location) : builder(builder), loc(location) {}
  mlir::OpBuilder &builder;
  Location loc;

  Expr expr(Value v) { return Expr{this, v}; }

  // ---- constants ------------------------------------------------------------------------------------------------
  /// A splat of `value` rounded to `element` if that is a float; integers must hold it. Shape {} makes a scalar tensor.
  Expr splat(double value, Type element, Ints shape = {});
  /// A splat with the type and (dynamic) sizes of `like`.
  Expr splatLike(double value, Value like);
  Expr constant(mlir::ElementsAttr value);
  /// 1-D i64 constant.
  Expr ints(Ints values);

  // ---- shapes ---------------------------------------------------------------------------------------------------
  static RankedTensorType typeOf(Value v) { return mlir::cast<RankedTensorType>(v.getType()); }
  static int64_t rankOf(Value v) { return typeOf(v).getRank(); }
  static Type elementOf(Value v) { return typeOf(v).getElementType(); }
  /// Size of one dimension: an attribute if static, else an `index` value.
  OpFoldResult dim(Value v, int64_t axis);
  Sizes dims(Value v);
  Value index(OpFoldResult size); // as an SSA value
  OpFoldResult indexSum(OpFoldResult, OpFoldResult);
  OpFoldResult indexDifference(OpFoldResult, OpFoldResult);
  OpFoldResult indexProduct(OpFoldResult, OpFoldResult);
  OpFoldResult indexFloorDiv(OpFoldResult, OpFoldResult);
  OpFoldResult indexCeilDiv(OpFoldResult, OpFoldResult);
  OpFoldResult indexMin(OpFoldResult, OpFoldResult);
  OpFoldResult indexMax(OpFoldResult, OpFoldResult);
  Value indexCompare(mlir::arith::CmpIPredicate predicate, OpFoldResult, OpFoldResult);
  OpFoldResult indexSelect(Value condition, OpFoldResult, OpFoldResult);
  /// Certainly equal, or required to be.
  bool isSame(OpFoldResult, OpFoldResult);
  /// The size that NumPy gives two dimensions that are broadcast to each other; that they can be is checked where they are.
  OpFoldResult broadcastSize(OpFoldResult, OpFoldResult);
  /// Names of the dimensions of function arguments, where the builder's user has them.
  const std::function<llvm::StringRef(Value, int64_t)> *symbolOf = nullptr;

  // ---- assumptions: proved, or checked by the run before anything of the block touches memory -------------------------------------
  /// `message` has at most two %d, which are x and y.
  void require(Value condition, const llvm::Twine &message, OpFoldResult x, OpFoldResult y);
  /// "`what` differ: x and y" unless they are equal; false after the error that they never are. What this builder makes afterwards, in the same block or inside, takes them for equal.
  bool requireSame(OpFoldResult x, OpFoldResult y, const llvm::Twine &what);
  /// Takes for equal what the block's core.require say.
  void assumeRequired(mlir::Block &block);
  /// The elements of an integer tensor of rank 0 or 1 when they are known as constants or index values (constants,
  /// tensor.from_elements, what folds from them); nullopt otherwise.
  std::optional<Sizes> elements(Value v);
  /// As above, all of them constants.
  std::optional<llvm::SmallVector<int64_t>> constantInts(Value v);
  /// A rank-1 (or, with scalar, rank-0) integer tensor of these index values.
  Expr fromElements(const Sizes &values, Type element, bool scalar = false);
  /// An index value read out of a rank-0 or 1-element integer tensor that is only known at run time.
  Value extractIndex(Value v, int64_t position = 0);
  /// A size that is read from data, and that is at most `max` or the run fails.
  OpFoldResult boundedSize(OpFoldResult size, OpFoldResult max, llvm::StringRef what);

  // ---- pointwise (operands already of one shape and type, except where said) --------------------------------------
  Expr unary(llvm::StringRef name, Value x);           // "exp", "tanh", ...: a core op core.<name>
  Expr binary(llvm::StringRef name, Value x, Value y); // broadcasts like Expr's operators: "add", "max", "pow", ...
  Expr exp(Value x) { return unary("exp", x); }
  Expr log(Value x) { return unary("log", x); }
  Expr sqrt(Value x) { return unary("sqrt", x); }
  Expr tanh(Value x) { return unary("tanh", x); }
  Expr erf(Value x) { return unary("erf", x); }
  Expr abs(Value x) { return unary("abs", x); }
  Expr neg(Value x) { return unary("neg", x); }
  Expr logicalNot(Value x) { return unary("not", x); }
  Expr maximum(Value x, Value y) { return binary("max", x, y); }
  Expr minimum(Value x, Value y) { return binary("min", x, y); }
  Expr maximum(Value x, double y);
  Expr minimum(Value x, double y);
  Expr compare(Comparison predicate, Value x,
               Value y); // broadcasts; result i1. Comparison::EQ NE LT LE GT GE (ordered; NE unordered)
  Expr compare(Comparison predicate, Value x, double y); // of integers with the number itself: x > -0.5 is x >= 0
  Expr select(Value condition, Value x, Value y);        // broadcasts all three
  Expr cast(Value x, Type element);                      // ONNX Cast's rules: float -> int truncates, -> bool is x != 0

  // ---- data movement ----------------------------------------------------------------------------------------------
  /// Result dimension axes[i] is operand dimension i (size equal or 1, which the run may have to tell); others are new.
  Expr broadcast(Value x, const Sizes &sizes, Ints axes);
  /// NumPy: align at the right.
  Expr broadcastTo(Value x, const Sizes &sizes);
  static Sizes broadcastSizes(CoreBuilder &b, llvm::ArrayRef<Value> values);
  Expr reshape(Value x, const Sizes &sizes);
  Expr squeeze(Value x, Ints axes);
  Expr unsqueeze(Value x, Ints axes);
  Expr transpose(Value x, Ints permutation);
  Expr slice(Value x, const Sizes &starts, const Sizes &sizes, Ints strides = {}); // strides > 0
  Expr reverse(Value x, Ints axes);
  Expr pad(Value x, Value scalar, const Sizes &low, const Sizes &high, Ints interior = {}); // low/high >= 0
  Expr concat(llvm::ArrayRef<Value> values, int64_t axis);
  Expr iota(const Sizes &sizes, int64_t axis, Type element);
  /// ui32 bits, a function of the seed (an i64 scalar tensor) and the position.
  Expr randomBits(Value seed, const Sizes &sizes);
  /// y[outer..., i..., inner...] = x[outer..., indices[i...], inner...]: ONNX Gather. Negative indices count from the end.
  Expr gather(Value x, Value indices, int64_t axis);
  /// General forms used by GatherND/ScatterND/GatherElements: indices [..., k] address the first k dimensions after batchDims.
  Expr gatherNd(Value x, Value indices, int64_t batchDims = 0);
  Expr scatterNd(Value x, Value indices, Value updates, Reduction reduction /* None: replace */);
  Expr gatherElements(Value x, Value indices, int64_t axis);
  Expr scatterElements(Value x, Value indices, Value updates, int64_t axis, Reduction reduction);
  /// Sorts along axis; returns values and i64 positions. Stable.
  std::pair<Expr, Expr> sort(Value x, int64_t axis, bool descending);
  /// The order of a matrix' rows, compared element by element: i64 positions. Stable.
  Expr sortRows(Value x);
  /// The positions of a vector's true elements, as many as there are.
  Expr positionsOf(Value mask);
  struct BoxChoice {
    Value iouThreshold, scoreThreshold; // scalars
    OpFoldResult limit;                 // boxes of one class
    bool centerPoints;
  };
  /// [batch, class, box] of the boxes that non-maximum suppression chooses.
  Expr nms(Value boxes, Value scores, const BoxChoice &choice);

  // ---- reductions ---------------------------------------------------------------------------------------------------
  Expr reduce(Reduction kind, Value x, Ints axes, bool keepDims = false); // Sum Prod Max Min And Or
  Expr reduceMean(Value x, Ints axes, bool keepDims = false);
  Expr argReduce(bool isMax, Value x, int64_t axis, bool keepDims, bool lastIndex); // i64
  Expr scan(Reduction kind, Value x, int64_t axis, bool exclusive, bool reverse);
  struct Window {
    llvm::SmallVector<int64_t> size, strides, dilations, padLow, padHigh; // one entry for each dimension of x
  };
  /// Padding takes part as the reduction's neutral element.
  Expr windowReduce(Reduction kind, Value x, const Window &window);

  // ---- contractions ---------------------------------------------------------------------------------------------------
  struct DotDims {
    llvm::SmallVector<int64_t> lhsBatch, rhsBatch, lhsContract, rhsContract;
  };
  /// Result: batch dims, then lhs free dims, then rhs free dims. Accumulates in `accumulator` (default: the element type).
  Expr dot(Value lhs, Value rhs, const DotDims &dims, Type accumulator = {});
  /// NumPy matmul of any ranks, batch dimensions broadcast.
  Expr matmul(Value lhs, Value rhs, Type accumulator = {});
  struct ConvDims {
    llvm::SmallVector<int64_t> strides, padLow, padHigh, lhsDilation, rhsDilation; // spatial
    int64_t groups = 1;
    bool channelsLast = false; // lhs [N, spatial..., C], result [N, spatial..., O]
  };
  /// lhs [N, C, spatial...], rhs [O, C / groups, spatial...] -> [N, O, spatial...].
  Expr conv(Value lhs, Value rhs, const ConvDims &dims);

  Expr wrap(Value v) { return Expr{this, v}; }

  /// As `pad`, where low and high may be negative constants: then elements are cut off.
  Expr padOrCrop(Value x, Value scalar, Sizes low, Sizes high, Ints interior = {});

  /// Set when an operation's constraints were not met. The diagnostic was emitted at `loc`; what was returned is a stand-in.
  bool failed = false;

private:
  template <typename Op, typename... Args> Value make(Args &&...args);
  Value insertOrFold(mlir::OperationState &state);
  Expr convertedScalar(double value, Value like);
  bool inferable(Value x, Value y);
  struct Equality {
    mlir::Block *block;
    OpFoldResult x, y;
  };
  llvm::SmallVector<Equality> equalities;
  // Results of arithmetic on small integer tensors that are lists of index values; null where the operands are not.
  bool isShapeArithmetic(mlir::ValueRange values);
  Value shapeBinary(llvm::StringRef name, Value x, Value y);
  Value shapeCompare(Comparison predicate, Value x, Value y);
  Value shapeSelect(Value condition, Value x, Value y);
  Value shapeReduce(Reduction kind, Value x, bool keepDims);
  static constexpr int64_t shapeElementsMax = 64;
};

/// Whether `size` is known to be the size of v's dimension; makes no operations.
bool hasSize(Value v, int64_t axis, OpFoldResult size, SymbolOf symbolOf = {});
/// For a reshape that only adds dimensions of size 1: where each dimension of the operand went. [n, m] to [m, n, 1] is none.
std::optional<llvm::SmallVector<int64_t>> addedUnits(ReshapeOp op);
/// The integers (or truth values) of a constant, in row-major order; nullopt for floats and for what is not dense.
std::optional<llvm::SmallVector<int64_t>> integersOf(mlir::ElementsAttr value);

} // namespace mlc::core
#endif
