// LinalgBuilder: each core operation as linalg and tensor ops on signless types. `element` arguments are core's element types,
// which still know their sign.
#ifndef MLC_COMPILER_CORETOLINALG_LINALGBUILDER_H
#define MLC_COMPILER_CORETOLINALG_LINALGBUILDER_H
#include "dialects/core/Core.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlc {

/// Whether an open dimension of one shape and one of another are the same.
using SameDims = llvm::function_ref<bool(int64_t, int64_t)>;

struct LinalgBuilder {
  using Value = mlir::Value;
  using Type = mlir::Type;
  using Ints = llvm::ArrayRef<int64_t>;
  using Sizes = core::Sizes;
  using Body = llvm::function_ref<Value(mlir::OpBuilder &, mlir::Location, mlir::ValueRange)>;

  mlir::OpBuilder &b;
  mlir::Location loc;
  LinalgBuilder(mlir::OpBuilder &b, mlir::Location loc) : b(b), loc(loc) {}

  // Pointwise.cpp
  Value pointwise(llvm::ArrayRef<Value> operands, mlir::RankedTensorType type, Body body);
  /// The tensor with its elements converted; `from` and `to` are core's types.
  Value convert(Value x, mlir::Type from, mlir::Type to);

  // DataMovement.cpp
  Value broadcast(Value x, Ints axes, const Sizes &sizes, Ints single = {});
  /// `isSame`: whether an open dimension of x and one of the result are known to have one size; by default they do where they are at the
  /// same place between known ones.
  Value reshape(Value x, const Sizes &sizes, SameDims isSame = [](int64_t, int64_t) { return true; });
  Value transpose(Value x, Ints permutation);
  Value slice(Value x, const Sizes &starts, const Sizes &sizes, Ints strides);
  Value reverse(Value x, Ints axes);
  Value pad(Value x, Value scalar, const Sizes &low, const Sizes &high, Ints interior);
  /// x in a box of `into`; `into` itself if x has no elements.
  Value insert(Value x, Value into, const Sizes &starts, const Sizes &sizes, const Sizes &steps);
  Value concat(llvm::ArrayRef<Value> values, int64_t axis, mlir::RankedTensorType type);
  Value iota(const Sizes &sizes, int64_t axis, Type element);

  // Random.cpp. The seed is an i64 scalar tensor, the result i32.
  Value randomBits(Value seed, const Sizes &sizes);

  // Gather.cpp. Indices are brought into range: nothing outside of x is ever read.
  Value gather(Value x, Value indices, int64_t axis);
  Value gatherNd(Value x, Value indices, int64_t batchDims);
  Value gatherElements(Value x, Value indices, int64_t axis);

  // Structured.cpp
  Value reduce(core::Reduction kind, Value x, Ints axes, Type element);
  Value argReduce(bool isMax, Value x, int64_t axis, bool last, Type element);
  Value windowReduce(core::Reduction kind, Value x, Ints size, Ints strides, Ints dilations, Ints padLow, Ints padHigh,
                     Type element);
  Value dot(core::DotOp op, Value x, Value y);
  Value conv(core::ConvOp op, Value x, Value y);

  // Shared.
  Sizes sizesOf(Value tensor);
  Value empty(const Sizes &sizes, Type element);
  Value filled(Value scalar, const Sizes &sizes);
  Value index(mlir::OpFoldResult size);
  Value constantIndex(int64_t value);
  mlir::OpFoldResult sum(mlir::OpFoldResult x, mlir::OpFoldResult y);
  /// The element of a rank-0 tensor.
  Value scalarOf(Value tensor);
  /// x without the dimensions `axes`, all of which have size 1.
  Value dropUnitDims(Value x, Ints axes);
};

/// Iterator types: 'p' and 'r'.
llvm::SmallVector<mlir::utils::IteratorType> iteratorsFrom(llvm::StringRef kinds);

} // namespace mlc
#endif
