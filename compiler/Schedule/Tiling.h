// The planner: from a loop nest and a machine to a tiling. Pure functions on plain data; test/compiler/Schedule has the table.
#ifndef MLC_COMPILER_SCHEDULE_TILING_H
#define MLC_COMPILER_SCHEDULE_TILING_H
#include "dialects/sched/Kernel.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <optional>

namespace mlc {

/// What the planner knows of a target.
struct Machine {
  llvm::StringRef name;
  int64_t vectorBytes; // one vector register
  int64_t registers;   // vector registers
  int64_t tasksMin;    // tasks wanted from one kernel, so that threads balance
  int64_t taskOpsMin;  // scalar operations below which a task is not worth its fork
  bool gpu;            // tasks are threads, vectors have one element

  static const Machine &get(llvm::StringRef name); // avx512, avx2, sse2, neon, cuda; unknown names give sse2
};

/// One loop of a nest.
struct Loop {
  int64_t size; // kDynamic (mlir::ShapedType's) if unknown
  bool reduction;
};

/// How one operand walks: elements per step of each loop (0: does not move; kDynamic: unknown, or not affine).
struct Access {
  llvm::SmallVector<int64_t> step;
};

/// A kernel's tiled op, as the planner sees it: inputs first, the result last.
struct LoopNest {
  sched::Kind kind;
  llvm::SmallVector<Loop> loops;
  llvm::SmallVector<Access> accesses;
  int64_t elementBytes;
  int64_t lanesMin = 1; // that fill the smallest register: what computes in the others may trap
};

struct Tiling {
  llvm::SmallVector<int64_t> task;
  int64_t lanes = 1, vectors = 1, rows = 1, rowLoop = -1, laneLoop = -1;
};

Tiling planTiling(const LoopNest &nest, const Machine &machine);

/// Rows that only the run knows may turn out to be this few; the generator then makes tiles of so many times the vectors.
inline constexpr int64_t kFewRows = 2, kFewRowsWidening = 2;
/// Whether a contraction with a tile of `vectors` gets that second form.
bool widensForFewRows(int64_t vectors, int64_t lanes, int64_t rowSize, int64_t laneSize);

} // namespace mlc
#endif
