// If this failed, an operation would leave a loop without its check, and read memory of sizes that do not fit.
// RUN: %mlc-opt %s --split-input-file --hoist-invariants | FileCheck %s

// The stretch does not depend on the step, nor does what it assumes, and there are steps.
// CHECK-LABEL: func @stretch
// CHECK:         core.require
// CHECK:         core.stretch
// CHECK:         core.loop
// CHECK-NOT:     core.require
// CHECK:         core.add
func.func @stretch(%x: tensor<?xf32>, %y: tensor<?xf32>, %m: index) -> tensor<?xf32> {
  %n = arith.constant 3 : index
  %0, %1 = core.loop %n carry(%x : tensor<?xf32>) {
  ^bb0(%step: index, %v: tensor<?xf32>):
    %c0 = arith.constant 0 : index
    %size = tensor.dim %y, %c0 : tensor<?xf32>
    %fits = arith.cmpi eq, %size, %m : index
    core.require %fits "sizes differ: %d and %d" (%size, %m)
    %s = core.stretch %y sizes = [%m] : tensor<?xf32> to tensor<?xf32>
    %w = core.add %v, %s : tensor<?xf32>
    core.yield %w : tensor<?xf32>
  } -> tensor<?xf32>
  return %1 : tensor<?xf32>
}

// -----
// Without a step nothing is assumed.
// CHECK-LABEL: func @no_step
// CHECK:         core.loop
// CHECK:         core.require
// CHECK:         core.stretch
// CHECK:         core.add
func.func @no_step(%x: tensor<?xf32>, %y: tensor<?xf32>, %n: index, %m: index) -> tensor<?xf32> {
  %0, %1 = core.loop %n carry(%x : tensor<?xf32>) {
  ^bb0(%step: index, %v: tensor<?xf32>):
    %c0 = arith.constant 0 : index
    %size = tensor.dim %y, %c0 : tensor<?xf32>
    %fits = arith.cmpi eq, %size, %m : index
    core.require %fits "sizes differ: %d and %d" (%size, %m)
    %s = core.stretch %y sizes = [%m] : tensor<?xf32> to tensor<?xf32>
    %w = core.add %v, %s : tensor<?xf32>
    core.yield %w : tensor<?xf32>
  } -> tensor<?xf32>
  return %1 : tensor<?xf32>
}

// -----
// What the step decides stays.
// CHECK-LABEL: func @slice
// CHECK:         core.loop
// CHECK:         core.require
// CHECK:         core.slice
func.func @slice(%x: tensor<?xf32>, %y: tensor<1xf32>, %n: index) -> tensor<1xf32> {
  %c0 = arith.constant 0 : index
  %size = tensor.dim %x, %c0 : tensor<?xf32>
  %0, %1 = core.loop %n carry(%y : tensor<1xf32>) {
  ^bb0(%step: index, %v: tensor<1xf32>):
    %fits = arith.cmpi slt, %step, %size : index
    core.require %fits "position %d of %d" (%step, %size)
    %s = core.slice %x starts = [%step] sizes = [1] strides = [1] : tensor<?xf32> to tensor<1xf32>
    %w = core.add %v, %s : tensor<1xf32>
    core.yield %w : tensor<1xf32>
  } -> tensor<1xf32>
  return %1 : tensor<1xf32>
}
