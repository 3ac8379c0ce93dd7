// The core dialect (see CoreOps.td), and what its families share: type inference, folding, sizes.
#ifndef MLC_DIALECTS_CORE_CORE_H
#define MLC_DIALECTS_CORE_CORE_H
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributeInterfaces.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace mlc::core {
class CoreBuilder;
using Sizes = llvm::SmallVector<mlir::OpFoldResult>;

/// How the evaluator holds elements: double, int64_t or uint64_t (i1 is unsigned).
enum class NumberClass { Real, Signed, Unsigned };
/// z[i] = op(x[i], y[i]) for `count` numbers of one class; y is unused by unary operations.
using Evaluator = void (*)(const void *x, const void *y, void *z, size_t count);

/// The shape all operands have, as static as any of them, with `element` (default: the operands' own, which then must agree).
llvm::LogicalResult inferPointwise(std::optional<mlir::Location> location, mlir::ValueRange operands,
                                   mlir::Type element, llvm::SmallVectorImpl<mlir::Type> &types);
/// Same element types, shapes that may agree at run time.
bool areCompatible(mlir::TypeRange inferred, mlir::TypeRange actual);

/// Checks of attributes that list something for each dimension, and of lists of dimensions; used by type inference.
llvm::LogicalResult verifyList(std::optional<mlir::Location> location, llvm::StringRef name,
                               llvm::ArrayRef<int64_t> fixed, size_t dynamicCount, int64_t rank, int64_t least);
llvm::LogicalResult verifyList(std::optional<mlir::Location> location, llvm::StringRef name,
                               llvm::ArrayRef<int64_t> values, int64_t rank, int64_t least);
llvm::LogicalResult verifyAxes(std::optional<mlir::Location> location, llvm::StringRef name,
                               llvm::ArrayRef<int64_t> axes, int64_t rank, bool increasing);

/// Unsigned integers and i1.
bool isUnsigned(mlir::Type element);
/// What sums, counts and squares of `element` are kept in: f32 for f16 and bf16, the type itself otherwise.
mlir::Type accumulatorOf(mlir::Type element);

/// What every op's folder does: identities and algebra, then evaluation of splats and of results of at most `foldedElementsMax`
/// elements, except that named constants of a floating-point type are opaque: they may become trainable.
mlir::OpFoldResult foldOp(mlir::Operation *op, llvm::ArrayRef<mlir::Attribute> operands);
constexpr int64_t foldedElementsMax = 1024;

/// Evaluates an op of constant operands, whatever their size and name. Results above 1 KiB are dense_resource blobs. Null if an operand
/// is not constant, the result's shape is dynamic, or the evaluator does not know the op.
mlir::ElementsAttr foldConstant(mlir::Operation *op);

/// The number that all elements of a constant are, also if it was broadcast to a dynamic shape; null if they differ. `named`: look into
/// named floating-point constants, too.
mlir::TypedAttr splatOf(mlir::Value value, bool named = false);
} // namespace mlc::core

#include "dialects/core/CoreDialect.h.inc"
#include "dialects/core/CoreEnums.h.inc"
#include "dialects/core/CoreInterfaces.h.inc"
#define GET_OP_CLASSES
#include "dialects/core/CoreOps.h.inc"
#endif
