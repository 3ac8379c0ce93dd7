// If this failed, a batch norm would stay a pass over memory after every convolution, or weights would be computed at every run.
// RUN: %mlc-opt %s --split-input-file --simplify-core | FileCheck %s

// A scale along the output channels is in the weights.
// CHECK-LABEL: func.func @scale
// CHECK-SAME:    (%[[X:.*]]: tensor<?x1x4x4xf32>)
// CHECK:         %[[W:.*]] = core.constant dense<{{\[\[\[\[}}6.0{{.*}}]]], {{\[\[\[}}8.0{{.*}}]]]]> : tensor<2x1x1x1xf32>
// CHECK:         %[[Y:.*]] = core.conv %[[X]], %[[W]]
// CHECK-NOT:     core.mul
// CHECK:         return %[[Y]]
func.func @scale(%x: tensor<?x1x4x4xf32>) -> tensor<?x2x4x4xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x1x4x4xf32>
  %w = core.constant {name = "w"} dense<2.0> : tensor<2x1x1x1xf32>
  %s = core.constant {name = "s"} dense<[3.0, 4.0]> : tensor<2xf32>
  %c = core.conv %x, %w strides = [1, 1] pad_low = [0, 0] pad_high = [0, 0] lhs_dilation = [1, 1] rhs_dilation = [1, 1] groups = 1
      : tensor<?x1x4x4xf32>, tensor<2x1x1x1xf32> to tensor<?x2x4x4xf32>
  %b = core.broadcast %s axes = [1] sizes = [%n, 2, 4, 4] : tensor<2xf32> to tensor<?x2x4x4xf32>
  %y = core.mul %c, %b : tensor<?x2x4x4xf32>
  return %y : tensor<?x2x4x4xf32>
}

// -----

// (x w - m) / d + b is x (w / d) + (b - m / d): one shift is left. All of it is a matmul's.
// CHECK-LABEL: func.func @norm
// CHECK-SAME:    (%[[X:.*]]: tensor<?x1xf32>)
// CHECK-DAG:     %[[W:.*]] = core.constant dense<{{\[\[}}5.0{{.*}}, 2.5{{.*}}]]> : tensor<1x2xf32>
// CHECK-DAG:     %[[B:.*]] = core.constant dense<[4.5{{.*}}, 5.75{{.*}}]> : tensor<2xf32>
// CHECK-DAG:     %[[Z:.*]] = core.dot %[[X]], %[[W]]
// CHECK-DAG:     %[[SHIFT:.*]] = core.broadcast %[[B]]
// CHECK:         %[[Y:.*]] = core.add %[[Z]], %[[SHIFT]]
// CHECK:         return %[[Y]]
func.func @norm(%x: tensor<?x1xf32>) -> tensor<?x2xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x1xf32>
  %w = core.constant {name = "w"} dense<10.0> : tensor<1x2xf32>
  %m = core.constant dense<1.0> : tensor<2xf32>
  %d = core.constant dense<[2.0, 4.0]> : tensor<2xf32>
  %b = core.constant dense<[5.0, 6.0]> : tensor<2xf32>
  %0 = core.dot %x, %w batch = [], [] contract = [1], [0] : tensor<?x1xf32>, tensor<1x2xf32> to tensor<?x2xf32>
  %1 = core.broadcast %m axes = [1] sizes = [%n, 2] : tensor<2xf32> to tensor<?x2xf32>
  %2 = core.sub %0, %1 : tensor<?x2xf32>
  %3 = core.broadcast %d axes = [1] sizes = [%n, 2] : tensor<2xf32> to tensor<?x2xf32>
  %4 = core.div %2, %3 : tensor<?x2xf32>
  %5 = core.broadcast %b axes = [1] sizes = [%n, 2] : tensor<2xf32> to tensor<?x2xf32>
  %6 = core.add %4, %5 : tensor<?x2xf32>
  return %6 : tensor<?x2xf32>
}

// -----

// A scale along the rows is no property of the weights.
// CHECK-LABEL: func.func @rows
// CHECK:         core.dot
// CHECK:         core.mul
func.func @rows(%x: tensor<2x8xf32>) -> tensor<2x2xf32> {
  %w = core.constant dense<2.0> : tensor<8x2xf32>
  %s = core.constant dense<[3.0, 4.0]> : tensor<2xf32>
  %0 = core.dot %x, %w batch = [], [] contract = [1], [0] : tensor<2x8xf32>, tensor<8x2xf32> to tensor<2x2xf32>
  %1 = core.broadcast %s axes = [0] sizes = [2, 2] : tensor<2xf32> to tensor<2x2xf32>
  %2 = core.mul %0, %1 : tensor<2x2xf32>
  return %2 : tensor<2x2xf32>
}

// -----

// A product with two users keeps its weights: someone needs it without the scale.
// CHECK-LABEL: func.func @two_users
// CHECK:         %[[Z:.*]] = core.dot
// CHECK:         %[[Y:.*]] = core.mul %[[Z]]
// CHECK:         return %[[Z]], %[[Y]]
func.func @two_users(%x: tensor<2x8xf32>) -> (tensor<2x2xf32>, tensor<2x2xf32>) {
  %w = core.constant dense<2.0> : tensor<8x2xf32>
  %s = core.constant dense<[3.0, 4.0]> : tensor<2xf32>
  %0 = core.dot %x, %w batch = [], [] contract = [1], [0] : tensor<2x8xf32>, tensor<8x2xf32> to tensor<2x2xf32>
  %1 = core.broadcast %s axes = [1] sizes = [2, 2] : tensor<2xf32> to tensor<2x2xf32>
  %2 = core.mul %0, %1 : tensor<2x2xf32>
  return %0, %2 : tensor<2x2xf32>, tensor<2x2xf32>
}

// -----

// A parameter changes from step to step: nothing is folded into it.
// CHECK-LABEL: func.func @parameter
// CHECK:         %[[W:.*]] = core.parameter "w"
// CHECK:         core.dot %{{.*}}, %[[W]]
// CHECK:         core.mul
func.func @parameter(%x: tensor<2x8xf32>) -> tensor<2x2xf32> {
  %w = core.parameter "w" : tensor<8x2xf32>
  %s = core.constant dense<[3.0, 4.0]> : tensor<2xf32>
  %0 = core.dot %x, %w batch = [], [] contract = [1], [0] : tensor<2x8xf32>, tensor<8x2xf32> to tensor<2x2xf32>
  %1 = core.broadcast %s axes = [1] sizes = [2, 2] : tensor<2xf32> to tensor<2x2xf32>
  %2 = core.mul %0, %1 : tensor<2x2xf32>
  return %2 : tensor<2x2xf32>
}

// -----

// What depends on constants alone is one, names or not; equal values are computed once.
// CHECK-LABEL: func.func @constants
// CHECK:         %[[C:.*]] = core.constant dense<[4.0{{.*}}, 6.0{{.*}}]> : tensor<2xf32>
// CHECK:         %[[T:.*]] = core.tanh %{{.*}}
// CHECK-NOT:     core.tanh
// CHECK:         core.add %[[T]], %[[T]]
// CHECK:         return %[[C]]
func.func @constants(%x: tensor<?xf32>) -> (tensor<2xf32>, tensor<?xf32>) {
  %a = core.constant {name = "a"} dense<[1.0, 2.0]> : tensor<2xf32>
  %b = core.constant {name = "b"} dense<[3.0, 4.0]> : tensor<2xf32>
  %c = core.add %a, %b : tensor<2xf32>
  %s = core.tanh %x : tensor<?xf32>
  %t = core.tanh %x : tensor<?xf32>
  %u = core.add %s, %t : tensor<?xf32>
  return %c, %u : tensor<2xf32>, tensor<?xf32>
}

// -----

// A fold that would make the library larger is none: 2 elements, 16777216 of them.
// CHECK-LABEL: func.func @growth
// CHECK:         core.broadcast %{{.*}} : tensor<2xf32> to tensor<8388608x2xf32>
// CHECK:         core.tanh
func.func @growth(%x: tensor<8388608x2xf32>) -> tensor<8388608x2xf32> {
  %a = core.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %b = core.broadcast %a axes = [1] sizes = [8388608, 2] : tensor<2xf32> to tensor<8388608x2xf32>
  %c = core.tanh %b : tensor<8388608x2xf32>
  %y = core.add %x, %c : tensor<8388608x2xf32>
  return %y : tensor<8388608x2xf32>
}

// -----

// Row scalars with a kept dimension: sqrt works on the vector, and the dimension is added afterwards.
// CHECK-LABEL: func.func @kept
// CHECK-SAME:    (%[[X:.*]]: tensor<4xf32>)
// CHECK:         %[[Y:.*]] = core.sqrt %[[X]] : tensor<4xf32>
// CHECK:         core.reshape %[[Y]]
func.func @kept(%x: tensor<4xf32>) -> tensor<4x1xf32> {
  %0 = core.reshape %x sizes = [4, 1] : tensor<4xf32> to tensor<4x1xf32>
  %1 = core.sqrt %0 : tensor<4x1xf32>
  return %1 : tensor<4x1xf32>
}

// -----

// What has no elements is a constant: later stages would compute offsets into nothing.
// CHECK-LABEL: func.func @empty
// CHECK-NEXT:    %[[C:.*]] = core.constant dense<> : tensor<0x4xf32>
// CHECK-NEXT:    return %[[C]]
func.func @empty(%x: tensor<0x4xf32>) -> tensor<0x4xf32> {
  %0 = core.exp %x : tensor<0x4xf32>
  %1 = core.add %0, %x : tensor<0x4xf32>
  return %1 : tensor<0x4xf32>
}

// -----

// Row scalars of a batch of one stay vectors; [n, m] to [m, n, 1] is another shape, and stays in front.
// CHECK-LABEL: func.func @row_scalars
// CHECK:       %[[SQRT:.*]] = core.sqrt %arg0 : tensor<1x?xf32>
// CHECK:       core.reshape %[[SQRT]] sizes = [1, %{{.*}}, 1] : tensor<1x?xf32> to tensor<1x?x1xf32>
// CHECK-LABEL: func.func @swapped
// CHECK:       %[[SWAPPED:.*]] = core.reshape %arg0 sizes = [%{{.*}}, %{{.*}}, 1] : tensor<?x?xf32> to tensor<?x?x1xf32>
// CHECK:       core.sqrt %[[SWAPPED]] : tensor<?x?x1xf32>
func.func @row_scalars(%x: tensor<1x?xf32>) -> tensor<1x?x1xf32> {
  %one = arith.constant 1 : index
  %n = tensor.dim %x, %one : tensor<1x?xf32>
  %0 = core.reshape %x sizes = [1, %n, 1] : tensor<1x?xf32> to tensor<1x?x1xf32>
  %1 = core.sqrt %0 : tensor<1x?x1xf32>
  return %1 : tensor<1x?x1xf32>
}
func.func @swapped(%x: tensor<?x?xf32>) -> tensor<?x?x1xf32> {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %n = tensor.dim %x, %zero : tensor<?x?xf32>
  %m = tensor.dim %x, %one : tensor<?x?xf32>
  %0 = core.reshape %x sizes = [%m, %n, 1] : tensor<?x?xf32> to tensor<?x?x1xf32>
  %1 = core.sqrt %0 : tensor<?x?x1xf32>
  return %1 : tensor<?x?x1xf32>
}
