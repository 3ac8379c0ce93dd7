// BodyEmitter: the scalar body of a linalg.generic on buffers, emitted for a vector of iterations. All kernel generators share
// it, so a pointwise op means the same alone, in a row, and as the epilogue of a contraction, on the CPU and on the GPU.
#ifndef MLC_COMPILER_SCHEDULE_BODYEMITTER_H
#define MLC_COMPILER_SCHEDULE_BODYEMITTER_H
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Builders.h"

namespace mlc {

/// Where in an op's iteration space we are: one index value for each loop. Along `laneLoop` (-1: none) the position stands for
/// `lanes` consecutive iterations starting at its index; with lanes == 1 everything is scalar. `active` (may be null) is the
/// number of lanes, as an index value below `lanes`, that really exist, at least 1: loads and stores are masked with it.
struct Position {
  llvm::SmallVector<mlir::Value> indices;
  int64_t laneLoop = -1;
  int64_t lanes = 1;
  mlir::Value active;
};

/// What lanes hold that do not exist. Lanes that repeat the last active one compute what is computed anyway: a program that traps
/// floating-point exceptions stops at none of them. Zero is cheaper, and as good where they are only multiplied and added.
enum class Inactive { RepeatsLast, Zero };

/// How an operand moves when the lane loop advances by one.
enum class LaneStep { Invariant, Contiguous, Strided };

/// Strided: the map or the memref's last stride makes a step that is neither 0 nor 1.
LaneStep laneStep(mlir::AffineMap map, mlir::MemRefType type, int64_t laneLoop);

/// The indices map(position) as index values.
llvm::SmallVector<mlir::Value> mapIndices(mlir::OpBuilder &b, mlir::Location loc, mlir::AffineMap map,
                                          const Position &at);

/// memref[map(position)]: a scalar when lanes == 1 or the operand is invariant, else vector<lanes>; strided operands are
/// gathered lane by lane.
mlir::Value loadAt(mlir::OpBuilder &b, mlir::Location loc, mlir::Value memref, mlir::AffineMap map, const Position &at,
                   Inactive inactive = Inactive::RepeatsLast);
/// The vector, of which LLVM may not leave the inactive lanes undefined although only the others are used: a mask that it knows would
/// let it divide by whatever is in a register.
mlir::Value keptInAllLanes(mlir::OpBuilder &b, mlir::Location loc, mlir::Value vector, const Position &at);
/// A vector whose inactive lanes are the last active one.
mlir::Value repeatLast(mlir::OpBuilder &b, mlir::Location loc, mlir::Value vector, const Position &at);
/// Whether zeros in lanes that do not exist may raise floating-point exceptions or divide integers by 0.
bool mayTrap(mlir::linalg::GenericOp op);

/// memref[map(position)] = value (vector<lanes> or scalar; a scalar is broadcast when lanes > 1).
void storeAt(mlir::OpBuilder &b, mlir::Location loc, mlir::Value value, mlir::Value memref, mlir::AffineMap map,
             const Position &at);

/// Can the body be emitted with lanes > 1? False for regions and stores inside the body, and for types that vectors cannot hold.
/// linalg.index is fine; so is memref.load: a vector along the lane loop's index, else a gather lane by lane.
bool isVectorizable(mlir::linalg::GenericOp op);

/// Emits the body. `arguments` holds one value for each block argument (null: load it from the operand, through its map; the
/// outs arguments too, if the body uses them). Values may be scalars or vectors; scalars are broadcast where they meet a
/// vector. Returns the yielded values; the caller stores them.
llvm::SmallVector<mlir::Value> emitBody(mlir::OpBuilder &b, mlir::linalg::GenericOp op,
                                        llvm::ArrayRef<mlir::Value> arguments, const Position &at);

} // namespace mlc
#endif
