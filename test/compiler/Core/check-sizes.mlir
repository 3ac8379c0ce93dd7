// If this failed, a run with sizes that do not fit would read or write outside of the caller's memory, or answer with other rows.
// RUN: %mlc-opt %s --split-input-file --check-sizes --cse | FileCheck %s

// Two parts side by side.
// CHECK-LABEL: func @concat
// CHECK-DAG:     %[[M:.*]] = tensor.dim %arg0, %c1
// CHECK-DAG:     %[[N:.*]] = tensor.dim %arg1, %c1
// CHECK:         %[[EQUAL:.*]] = arith.cmpi eq, %[[M]], %[[N]]
// CHECK:         core.require %[[EQUAL]] "sizes of dimension 1 differ: %d and %d"(%[[M]], %[[N]])
// CHECK:         core.concat
func.func @concat(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %0 = core.concat %a, %b axis = 0 : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----
// What is certain is not checked, and what was checked is not checked again.
// CHECK-LABEL: func @once
// CHECK-COUNT-1: core.require
// CHECK-NOT:     core.require
func.func @once(%a: tensor<?xf32>, %b: tensor<?xf32>) -> tensor<?xf32> {
  %0 = core.add %a, %a : tensor<?xf32>
  %1 = core.mul %0, %b : tensor<?xf32>
  %2 = core.sub %1, %b : tensor<?xf32>
  return %2 : tensor<?xf32>
}

// -----
// A known size that an open one has to be, although the type of the result says so already.
// CHECK-LABEL: func @refined
// CHECK:         core.require %{{.*}} "sizes of dimension 0 differ: %d and %d"
func.func @refined(%a: tensor<?xf32>, %b: tensor<3xf32>) -> tensor<3xf32> {
  %0 = core.add %a, %b : (tensor<?xf32>, tensor<3xf32>) -> tensor<3xf32>
  return %0 : tensor<3xf32>
}

// -----
// A box inside of a tensor: nothing to check where it is as large as a minimum says, else its last element.
// CHECK-LABEL: func @slice
// CHECK-NOT:     core.require
// CHECK:         core.slice
// CHECK:         core.require %{{.*}} "a slice reaches position %d of a dimension of size %d"
// CHECK:         core.slice
func.func @slice(%a: tensor<?xf32>) -> (tensor<?xf32>, tensor<5xf32>) {
  %c0 = arith.constant 0 : index
  %c5 = arith.constant 5 : index
  %n = tensor.dim %a, %c0 : tensor<?xf32>
  %few = arith.minsi %n, %c5 : index
  %0 = core.slice %a starts = [0] sizes = [%few] strides = [1] : tensor<?xf32> to tensor<?xf32>
  %1 = core.slice %a starts = [0] sizes = [5] strides = [1] : tensor<?xf32> to tensor<5xf32>
  return %0, %1 : tensor<?xf32>, tensor<5xf32>
}

// -----
// Elements before and after; a factor that both sides have is none of the question.
// CHECK-LABEL: func @reshape
// CHECK-NOT:     core.require
// CHECK:         core.reshape
// CHECK:         core.require %{{.*}} "%d elements cannot be reshaped to %d"
func.func @reshape(%a: tensor<?x6xf32>) -> (tensor<?x2x3xf32>, tensor<4x3xf32>) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %a, %c0 : tensor<?x6xf32>
  %0 = core.reshape %a sizes = [%n, 2, 3] : tensor<?x6xf32> to tensor<?x2x3xf32>
  %1 = core.reshape %a sizes = [4, 3] : tensor<?x6xf32> to tensor<4x3xf32>
  return %0, %1 : tensor<?x2x3xf32>, tensor<4x3xf32>
}

// -----
// A window that has to fit, and a size that would be negative.
// CHECK-LABEL: func @window
// CHECK:         core.require %{{.*}} "dimension 1 has size %d with its padding, the window %d"
// CHECK:         core.require %{{.*}} "the size of dimension 0 is %d, expected at least %d"
func.func @window(%a: tensor<4x?xf32>) -> (tensor<4x?xf32>, tensor<?xi64>) {
  %0 = core.window_reduce max %a size = [1, 3] strides = [1, 1] dilations = [1, 1] pad_low = [0, 0] pad_high = [0, 0] : tensor<4x?xf32> to tensor<4x?xf32>
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  %n = tensor.dim %a, %c1 : tensor<4x?xf32>
  %m = arith.subi %n, %c9 : index
  %1 = core.iota axis = 0 sizes = [%m] : tensor<?xi64>
  return %0, %1 : tensor<4x?xf32>, tensor<?xi64>
}

// -----
// A check around a loop holds inside of it.
// CHECK-LABEL: func @loop
// CHECK-COUNT-1: core.require
// CHECK:         core.loop
// CHECK-NOT:     core.require
func.func @loop(%a: tensor<?xf32>, %b: tensor<?xf32>, %n: index) -> tensor<?xf32> {
  %0 = core.add %a, %b : tensor<?xf32>
  %1, %2 = core.loop %n carry(%0 : tensor<?xf32>) {
  ^bb0(%step: index, %v: tensor<?xf32>):
    %3 = core.add %a, %b : tensor<?xf32>
    core.yield %3 : tensor<?xf32>
  } -> tensor<?xf32>
  return %2 : tensor<?xf32>
}
