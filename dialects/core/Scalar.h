// ScalarBuilder: the scalar bodies of pointwise operations and reductions as arith and math. Scalars are signless; signedness
// comes from `t`, the element type of the tensor.
#ifndef MLC_DIALECTS_CORE_SCALAR_H
#define MLC_DIALECTS_CORE_SCALAR_H
#include "dialects/core/Core.h"
#include "mlir/IR/Builders.h"

namespace mlc::core {

/// The type without its sign: ui8 -> i8.
mlir::Type signless(mlir::Type element);

struct ScalarBuilder {
  using Value = mlir::Value;
  mlir::OpBuilder &b;
  mlir::Location loc;
  mlir::Type t;

  template <typename Op, typename... Args> Value make(Args &&...args) {
    return Op::create(b, loc, std::forward<Args>(args)...);
  }
  bool isFloat() const { return mlir::isa<mlir::FloatType>(t); }
  bool isUnsigned() const { return core::isUnsigned(t); }

  Value constant(double value); // of the signless type
  Value infinity();
  Value sign(Value x);
  Value divide(Value x, Value y);
  Value remainder(Value x, Value y);
  Value modulo(Value x, Value y);
  Value power(Value x, Value y);
  Value maximum(Value x, Value y);
  Value minimum(Value x, Value y);
  Value shiftLeft(Value x, Value y);
  Value shiftRight(Value x, Value y);
  Value compare(Comparison predicate, Value x, Value y);
  Value cast(Value x, mlir::Type to);
  Value truncate(Value x, mlir::Type to); // float -> integer

  /// One step of a reduction, and what it starts from.
  Value combine(Reduction kind, Value x, Value y);
  mlir::TypedAttr neutral(Reduction kind);
};

} // namespace mlc::core
#endif
