// The planner's decisions, each with the measurement behind it (docs/ir.md, section 5).
#include "compiler/Schedule/Tiling.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>

using namespace mlc;

static constexpr int64_t kUnknown = mlir::ShapedType::kDynamic;
/// What an unknown size counts as when work is estimated.
static constexpr int64_t kTypicalSize = 128;

const Machine &Machine::get(llvm::StringRef name) {
  // 16 tasks an op balance two threads to within 5 %; below about 20k scalar operations a task costs more to hand over
  // (90-270 ns) than it saves.
  static const Machine machines[] = {
      {"sse2", 16, 16, 16, 20000, false}, {"avx2", 32, 16, 16, 20000, false}, {"avx512", 64, 32, 16, 20000, false},
      {"neon", 16, 32, 16, 20000, false}, {"cuda", 4, 64, 16384, 1, true},
  };
  for (const Machine &machine : machines)
    if (machine.name == name)
      return machine;
  return machines[0];
}

static int64_t sizeOr(int64_t size, int64_t fallback) { return size == kUnknown ? fallback : size; }

/// Splits `size` into the fewest tiles of at most `tileMax`, as even as possible: 49 by 8 -> 7.
static int64_t evenTile(int64_t size, int64_t tileMax) {
  if (size == kUnknown)
    return tileMax;
  if (size <= tileMax)
    return std::max<int64_t>(size, 1);
  return llvm::divideCeil(size, llvm::divideCeil(size, tileMax));
}

static double totalWork(const LoopNest &nest) {
  double work = 1;
  for (const Loop &loop : nest.loops)
    work *= sizeOr(loop.size, kTypicalSize);
  return work;
}

/// The lane loop: parallel, the result contiguous along it, and the inputs contiguous or unmoved. Ties go to the larger.
static int64_t chooseLaneLoop(const LoopNest &nest) {
  int64_t best = -1;
  double bestScore = -1;
  const Access &result = nest.accesses.back();
  for (auto [index, loop] : llvm::enumerate(nest.loops)) {
    if (loop.reduction || result.step[index] != 1)
      continue;
    double score = 1 + std::min<int64_t>(sizeOr(loop.size, kTypicalSize), 64) / 64.0;
    for (const Access &access : llvm::ArrayRef(nest.accesses).drop_back())
      score += access.step[index] == 0 || access.step[index] == 1 ? 10 : 0;
    if (score > bestScore)
      bestScore = score, best = static_cast<int64_t>(index);
  }
  return best;
}

/// The row loop: parallel, an operand that moves along the lanes stays where it is (its vectors are used once for each row).
static int64_t chooseRowLoop(const LoopNest &nest, int64_t laneLoop) {
  int64_t best = -1;
  double bestScore = 0;
  for (auto [index, loop] : llvm::enumerate(nest.loops)) {
    if (loop.reduction || static_cast<int64_t>(index) == laneLoop)
      continue;
    int64_t size = sizeOr(loop.size, kTypicalSize);
    if (size <= 1)
      continue;
    bool reuses = false;
    for (const Access &access : llvm::ArrayRef(nest.accesses).drop_back())
      reuses |= access.step[index] == 0 && (laneLoop < 0 || access.step[laneLoop] != 0);
    // Later loops are nearer in memory; a loop of fewer than 4 iterations makes a poor tile.
    // An unknown size may be 1: a known one of at least 4 is the better choice.
    double score = (reuses ? 100 : 0) + (loop.size == kUnknown ? 3.5 : std::min<int64_t>(size, 8)) + index * 0.1;
    if (score > bestScore)
      bestScore = score, best = static_cast<int64_t>(index);
  }
  return best;
}

bool mlc::widensForFewRows(int64_t vectors, int64_t lanes, int64_t rowSize, int64_t laneSize) {
  return rowSize == kUnknown && vectors == 2 && lanes > 1 &&
         (laneSize == kUnknown || laneSize >= kFewRowsWidening * vectors * lanes);
}

static Tiling planContract(const LoopNest &nest, const Machine &machine) {
  Tiling tiling;
  tiling.task.assign(nest.loops.size(), 0);
  tiling.laneLoop = chooseLaneLoop(nest);
  tiling.lanes = std::max(nest.lanesMin, machine.vectorBytes / nest.elementBytes);
  int64_t laneSize = tiling.laneLoop < 0 ? 1 : nest.loops[tiling.laneLoop].size;
  if (tiling.laneLoop < 0)
    tiling.lanes = 1;
  else if (laneSize !=
           kUnknown) // short rows: a shorter vector wastes less (powers of two only: an n tile of 48 ran at 4.9 GF/s)
    while (tiling.lanes > nest.lanesMin && laneSize <= tiling.lanes / 2)
      tiling.lanes /= 2;
  tiling.rowLoop = chooseRowLoop(nest, tiling.laneLoop);
  tiling.vectors = laneSize != kUnknown && laneSize <= tiling.lanes ? 1 : 2;
  // MR * V + V + 1 <= registers, and at most 16 accumulators: with 28 LLVM's scheduler spills inside the k loop.
  int64_t rowsMax = std::min<int64_t>((machine.registers - tiling.vectors - 1) / tiling.vectors, 16 / tiling.vectors);
  if (tiling.rowLoop >= 0)
    tiling.rows = evenTile(nest.loops[tiling.rowLoop].size, rowsMax);
  // Skinny: with few rows more vectors keep the FMA units busy (4 cycles of latency, 2 a cycle: 8 in flight).
  if (tiling.rows <= 2 && tiling.vectors == 2 && (laneSize == kUnknown || laneSize >= 4 * tiling.lanes))
    tiling.vectors = 4;

  double work = totalWork(nest);
  if (work < 2.0 * machine.taskOpsMin)
    return tiling;
  double tasks = 1;
  double tasksWanted = std::min<double>(work / machine.taskOpsMin, machine.tasksMin);
  int64_t panel = tiling.lanes * tiling.vectors;
  if (tiling.rowLoop >= 0 && widensForFewRows(tiling.vectors, tiling.lanes, nest.loops[tiling.rowLoop].size, laneSize))
    panel *= kFewRowsWidening;
  if (tiling.laneLoop >= 0 && sizeOr(laneSize, kTypicalSize) > panel) {
    tiling.task[tiling.laneLoop] = panel;
    tasks *= llvm::divideCeil(sizeOr(laneSize, kTypicalSize), panel);
  }
  // Then the outer parallel loops one by one, outermost first, until there are enough tasks.
  for (auto [index, loop] : llvm::enumerate(nest.loops)) {
    if (tasks >= tasksWanted || loop.reduction || static_cast<int64_t>(index) == tiling.laneLoop)
      continue;
    int64_t size = sizeOr(loop.size, kTypicalSize);
    int64_t unit = static_cast<int64_t>(index) == tiling.rowLoop ? tiling.rows * (loop.size == kUnknown ? 4 : 1) : 1;
    int64_t pieces = std::min<int64_t>(llvm::divideCeil(size, unit),
                                       std::max<int64_t>(1, static_cast<int64_t>(tasksWanted / tasks + 0.999)));
    if (pieces <= 1)
      continue;
    int64_t task = llvm::alignTo(llvm::divideCeil(size, pieces), unit);
    tiling.task[index] = task;
    tasks *= llvm::divideCeil(size, task);
  }
  return tiling;
}

/// Pointwise and rows: vectors along the last loop, tasks of about taskOpsMin operations over the outer ones.
static Tiling planRows(const LoopNest &nest, const Machine &machine) {
  Tiling tiling;
  tiling.task.assign(nest.loops.size(), 0);
  tiling.laneLoop = static_cast<int64_t>(nest.loops.size()) - 1;
  tiling.lanes = std::max(nest.lanesMin, machine.vectorBytes / nest.elementBytes);
  tiling.vectors = machine.gpu ? 1 : 2;
  double work = totalWork(nest);
  double tasks = 1;
  double tasksWanted = std::min<double>(work / machine.taskOpsMin, machine.tasksMin);
  for (auto [index, loop] : llvm::enumerate(nest.loops)) {
    if (tasks >= tasksWanted || loop.reduction)
      break;
    int64_t size = sizeOr(loop.size, kTypicalSize);
    int64_t pieces = std::min<int64_t>(size, std::max<int64_t>(1, static_cast<int64_t>(tasksWanted / tasks + 0.999)));
    int64_t task = llvm::divideCeil(size, pieces);
    if (static_cast<int64_t>(index) == tiling.laneLoop)
      task = llvm::alignTo(task, tiling.lanes * tiling.vectors);
    tiling.task[index] = task;
    tasks *= llvm::divideCeil(size, task);
  }
  return tiling;
}

/// The largest tile of at most `tileMax` that divides the size; if only 1 does and the size is large, `tileMax` with a rest.
static int64_t threadTile(int64_t size, int64_t tileMax) {
  if (size == kUnknown)
    return tileMax;
  for (int64_t tile = tileMax; tile > 1; tile /= 2)
    if (size % tile == 0)
      return tile;
  return size >= 16 * tileMax ? tileMax : 1;
}

/// GPU: a task is a thread. Contractions give each one a register tile of rows x vectors, fewer elements while there are too few
/// threads to fill the device; everything else is one iteration, or one row, in a thread.
static Tiling planThreads(const LoopNest &nest, const Machine &machine) {
  Tiling tiling;
  tiling.task.assign(nest.loops.size(), 1);
  if (nest.kind != sched::Kind::Contract) {
    tiling.laneLoop = static_cast<int64_t>(nest.loops.size()) - 1;
    return tiling;
  }
  tiling.laneLoop = chooseLaneLoop(nest);
  tiling.rowLoop = chooseRowLoop(nest, tiling.laneLoop);
  if (tiling.laneLoop >= 0)
    tiling.vectors = threadTile(nest.loops[tiling.laneLoop].size, 4);
  if (tiling.rowLoop >= 0)
    tiling.rows = threadTile(nest.loops[tiling.rowLoop].size, 4);
  double results = 1;
  for (const Loop &loop : nest.loops)
    results *= loop.reduction ? 1 : sizeOr(loop.size, kTypicalSize);
  while (tiling.rows * tiling.vectors > 1 && results / (tiling.rows * tiling.vectors) < machine.tasksMin)
    (tiling.rows >= tiling.vectors ? tiling.rows : tiling.vectors) /= 2;
  if (tiling.laneLoop >= 0)
    tiling.task[tiling.laneLoop] = tiling.vectors;
  if (tiling.rowLoop >= 0)
    tiling.task[tiling.rowLoop] = tiling.rows;
  return tiling;
}

Tiling mlc::planTiling(const LoopNest &nest, const Machine &machine) {
  if (machine.gpu)
    return planThreads(nest, machine);
  return nest.kind == sched::Kind::Contract ? planContract(nest, machine) : planRows(nest, machine);
}
