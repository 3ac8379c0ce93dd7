// Loops of core as rules see them: a body that is built once, values carried from step to step, and outputs to which each step
// contributes. Loop, Scan and the recurrent operators share it.
#ifndef MLC_COMPILER_ONNXTOCORE_LOOPS_H
#define MLC_COMPILER_ONNXTOCORE_LOOPS_H
#include "compiler/OnnxToCore/Rules.h"

namespace mlc::decompose {

/// Where one step's part lies in an output: along a dimension that the part does not have, among further ones of size 1.
struct StackedOutput {
  int64_t axis = 0; // in the result
  bool isReversed = false;
  SmallVector<int64_t> unitAxes; // in the result, rising, without `axis`
};

/// What one step makes.
struct Step {
  Value condition; // of the next step; null if there always is one
  SmallVector<Value> states, outputs;
};

struct LoopDescription {
  OpFoldResult count; // of steps, at most
  Value condition;    // of the first step; null if there is none
  SmallVector<Value> states;
  SmallVector<StackedOutput> outputs;
};

/// Builds one step where the node's builder stands; nullopt after the node has failed. May be called again, with more general types.
using StepBuilder = llvm::function_ref<std::optional<Step>(Value step, ArrayRef<Value> states)>;

/// core.loop: the last states, then the outputs. What no loop can carry is an `obstacle`: the node has not failed then.
Values makeLoop(Node &n, const LoopDescription &description, StepBuilder buildStep, std::string &obstacle);

/// The same without a loop: the operations of at most `countMax` steps one after the other. Conditions must be known.
Values unrollLoop(Node &n, int64_t count, int64_t countMax, const LoopDescription &description, StepBuilder buildStep,
                  std::string &obstacle);

/// The truth of a condition that is a constant or follows from sizes.
std::optional<bool> knownTruth(Node &n, Value condition);

/// A size that is computed in a region, computed in front of the region's op; nullopt if it depends on what the region computes.
std::optional<OpFoldResult> hoistSize(CoreBuilder &b, OpFoldResult size, mlir::Region &region);

/// The elements of x at a position of an axis, without that axis.
Expr at(Expr x, int64_t axis, OpFoldResult position);

} // namespace mlc::decompose
#endif
