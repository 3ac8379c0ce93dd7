// If this failed, convolutions would gather channels, or layouts would change at every op of a network instead of at its edges.
// RUN: %mlc-opt %s --split-input-file --channels-last --canonicalize | FileCheck %s

// Two convolutions, and what lies between: one transpose at either end.
// CHECK-LABEL: func.func @network
// CHECK-SAME:    (%[[X:.*]]: tensor<?x3x8x8xf32>)
// CHECK:         %[[L:.*]] = core.transpose %[[X]] permutation = [0, 2, 3, 1]
// CHECK:         %[[A:.*]] = core.conv %[[L]], %{{.*}} channels_last {{.*}} to tensor<?x8x8x4xf32>
// CHECK:         %[[B:.*]] = core.tanh %[[A]] : tensor<?x8x8x4xf32>
// CHECK:         %[[P:.*]] = core.window_reduce max %[[B]] size = [1, 2, 2, 1] strides = [1, 2, 2, 1]
// CHECK:         %[[C:.*]] = core.conv %[[P]], %{{.*}} channels_last
// CHECK:         %[[Y:.*]] = core.transpose %[[C]] permutation = [0, 3, 1, 2]
// CHECK:         return %[[Y]]
func.func @network(%x: tensor<?x3x8x8xf32>) -> tensor<?x2x4x4xf32> {
  %v = core.constant dense<1.0> : tensor<4x3x3x3xf32>
  %w = core.constant dense<1.0> : tensor<2x4x1x1xf32>
  %a = core.conv %x, %v strides = [1, 1] pad_low = [1, 1] pad_high = [1, 1] lhs_dilation = [1, 1] rhs_dilation = [1, 1] groups = 1
      : tensor<?x3x8x8xf32>, tensor<4x3x3x3xf32> to tensor<?x4x8x8xf32>
  %b = core.tanh %a : tensor<?x4x8x8xf32>
  %p = core.window_reduce max %b size = [1, 1, 2, 2] strides = [1, 1, 2, 2] dilations = [1, 1, 1, 1] pad_low = [0, 0, 0, 0] pad_high = [0, 0, 0, 0]
      : tensor<?x4x8x8xf32> to tensor<?x4x4x4xf32>
  %c = core.conv %p, %w strides = [1, 1] pad_low = [0, 0] pad_high = [0, 0] lhs_dilation = [1, 1] rhs_dilation = [1, 1] groups = 1
      : tensor<?x4x4x4xf32>, tensor<2x4x1x1xf32> to tensor<?x2x4x4xf32>
  return %c : tensor<?x2x4x4xf32>
}

// -----

// A bias stays a spread vector; concatenation and padding are along other dimensions. The other operand is transposed.
// CHECK-LABEL: func.func @between
// CHECK:         core.broadcast %{{.*}} axes = [3] sizes = [1, 4, 4, 2]
// CHECK:         %[[S:.*]] = core.add
// CHECK:         %[[O:.*]] = core.transpose %arg1 permutation = [0, 2, 3, 1]
// CHECK:         %[[C:.*]] = core.concat %[[S]], %[[O]] axis = 3
// CHECK:         core.pad %[[C]], %{{.*}} low = [0, 1, 2, 0] high = [0, 0, 0, 0]
// CHECK:         core.transpose
func.func @between(%x: tensor<1x3x4x4xf32>, %z: tensor<1x5x4x4xf32>, %bias: tensor<2xf32>) -> tensor<1x7x5x6xf32> {
  %zero = core.constant dense<0.0> : tensor<f32>
  %w = core.constant dense<1.0> : tensor<2x3x1x1xf32>
  %a = core.conv %x, %w strides = [1, 1] pad_low = [0, 0] pad_high = [0, 0] lhs_dilation = [1, 1] rhs_dilation = [1, 1] groups = 1
      : tensor<1x3x4x4xf32>, tensor<2x3x1x1xf32> to tensor<1x2x4x4xf32>
  %b = core.broadcast %bias axes = [1] sizes = [1, 2, 4, 4] : tensor<2xf32> to tensor<1x2x4x4xf32>
  %s = core.add %a, %b : tensor<1x2x4x4xf32>
  %c = core.concat %s, %z axis = 1 : (tensor<1x2x4x4xf32>, tensor<1x5x4x4xf32>) -> tensor<1x7x4x4xf32>
  %p = core.pad %c, %zero low = [0, 0, 1, 2] high = [0, 0, 0, 0] interior = [0, 0, 0, 0] : tensor<1x7x4x4xf32> to tensor<1x7x5x6xf32>
  return %p : tensor<1x7x5x6xf32>
}

// -----

// A mean over the whole image ends the layout without a transpose: [N, C] is the same in both.
// CHECK-LABEL: func.func @pooled
// CHECK:         %[[C:.*]] = core.conv {{.*}} channels_last
// CHECK:         %[[R:.*]] = core.reduce sum %[[C]] axes = [1, 2]
// CHECK-NOT:     core.transpose
// CHECK:         return %[[R]]
func.func @pooled(%x: tensor<?x3x4x4xf32>) -> tensor<?x2xf32> {
  %w = core.constant dense<1.0> : tensor<2x3x1x1xf32>
  %a = core.conv %x, %w strides = [1, 1] pad_low = [0, 0] pad_high = [0, 0] lhs_dilation = [1, 1] rhs_dilation = [1, 1] groups = 1
      : tensor<?x3x4x4xf32>, tensor<2x3x1x1xf32> to tensor<?x2x4x4xf32>
  %r = core.reduce sum %a axes = [2, 3] : tensor<?x2x4x4xf32> to tensor<?x2xf32>
  return %r : tensor<?x2xf32>
}

// -----

// A reduction of one side of the image would leave another order: it reads the old layout.
// CHECK-LABEL: func.func @side
// CHECK:         %[[Y:.*]] = core.transpose %{{.*}} permutation = [0, 3, 1, 2]
// CHECK:         core.reduce sum %[[Y]] axes = [3]
func.func @side(%x: tensor<1x3x4x4xf32>) -> tensor<1x2x4xf32> {
  %w = core.constant dense<1.0> : tensor<2x3x1x1xf32>
  %a = core.conv %x, %w strides = [1, 1] pad_low = [0, 0] pad_high = [0, 0] lhs_dilation = [1, 1] rhs_dilation = [1, 1] groups = 1
      : tensor<1x3x4x4xf32>, tensor<2x3x1x1xf32> to tensor<1x2x4x4xf32>
  %r = core.reduce sum %a axes = [3] : tensor<1x2x4x4xf32> to tensor<1x2x4xf32>
  return %r : tensor<1x2x4xf32>
}

// -----

// Weights that are trained keep the model's layout: they would be rearranged at every step.
// CHECK-LABEL: func.func @trained
// CHECK-NOT:     core.transpose
// CHECK:         core.conv
// CHECK-NOT:     channels_last
func.func @trained(%x: tensor<1x3x4x4xf32>) -> tensor<1x2x4x4xf32> {
  %w = core.parameter "w" : tensor<2x3x1x1xf32>
  %a = core.conv %x, %w strides = [1, 1] pad_low = [0, 0] pad_high = [0, 0] lhs_dilation = [1, 1] rhs_dilation = [1, 1] groups = 1
      : tensor<1x3x4x4xf32>, tensor<2x3x1x1xf32> to tensor<1x2x4x4xf32>
  return %a : tensor<1x2x4x4xf32>
}

// -----

// Without a convolution nothing moves.
// CHECK-LABEL: func.func @no_convolution
// CHECK-NOT:     core.transpose
func.func @no_convolution(%x: tensor<1x3x4x4xf32>) -> tensor<1x3x4x4xf32> {
  %0 = core.tanh %x : tensor<1x3x4x4xf32>
  return %0 : tensor<1x3x4x4xf32>
}
