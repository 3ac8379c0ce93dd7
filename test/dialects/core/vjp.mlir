// Derivatives stay in the dialect and have their operand's shape; if this fails, a training step computes another gradient. Their values
// are checked against finite differences elsewhere.
// RUN: %mlc-opt %s -add-training="loss=mse optimizer=sgd" -canonicalize -split-input-file | FileCheck %s

// mul, tanh: the chain rule from the result's own value
// CHECK-LABEL: func @train_step
// CHECK: %[[W:.*]] = core.parameter "w"
// CHECK: %[[Y:.*]] = core.tanh %[[W]]
// CHECK: %[[DY:.*]] = core.add
// CHECK: %[[SQUARE:.*]] = core.mul %[[Y]], %[[Y]]
// CHECK: %[[SLOPE:.*]] = core.sub %{{.*}}, %[[SQUARE]]
// CHECK: core.mul %[[DY]], %[[SLOPE]]
func.func @main() -> (tensor<4xf32> {onnx.name = "y", onnx.dims = [""]}) {
  %w = core.constant {name = "w"} dense<1.0> : tensor<4xf32>
  %0 = core.tanh %w : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----
// max(w, 0): where both are equal the derivative is 0 for w
// CHECK-LABEL: func @train_step
// CHECK: %[[W:.*]] = core.parameter "w"
// CHECK: %[[MASK:.*]] = core.compare gt %[[W]], %[[ZERO:.*]] : tensor<4xf32>
// CHECK: core.select %[[MASK]], %{{.*}}, %[[ZERO]]
func.func @main() -> (tensor<4xf32> {onnx.name = "y", onnx.dims = [""]}) {
  %w = core.constant {name = "w"} dense<1.0> : tensor<4xf32>
  %zero = core.constant dense<0.0> : tensor<4xf32>
  %0 = core.max %w, %zero : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----
// dot -> dot, in the weight's own layout
// CHECK-LABEL: func @train_step
// CHECK: core.dot %{{.*}}, %arg0 batch = [], [] contract = [0], [0] : tensor<?x6xf32>, tensor<?x5xf32> to tensor<6x5xf32>
func.func @main(%x: tensor<?x5xf32> {onnx.name = "x", onnx.dims = ["n", ""]}) -> (tensor<?x6xf32> {onnx.name = "y", onnx.dims = ["n", ""]}) {
  %w = core.constant {name = "w"} dense<1.0> : tensor<6x5xf32>
  %0 = core.dot %x, %w batch = [], [] contract = [1], [1] : tensor<?x5xf32>, tensor<6x5xf32> to tensor<?x6xf32>
  return %0 : tensor<?x6xf32>
}

// -----
// broadcast -> reduce
// CHECK-LABEL: func @train_step
// CHECK: core.reduce sum %{{.*}} axes = [0] : tensor<?x5xf32> to tensor<5xf32>
func.func @main(%x: tensor<?x5xf32> {onnx.name = "x", onnx.dims = ["n", ""]}) -> (tensor<?x5xf32> {onnx.name = "y", onnx.dims = ["n", ""]}) {
  %w = core.constant {name = "w"} dense<1.0> : tensor<5xf32>
  %zero = arith.constant 0 : index
  %n = tensor.dim %x, %zero : tensor<?x5xf32>
  %0 = core.broadcast %w axes = [1] sizes = [%n, 5] : tensor<5xf32> to tensor<?x5xf32>
  %1 = core.add %x, %0 : tensor<?x5xf32>
  return %1 : tensor<?x5xf32>
}

// -----
// gather -> scatter_nd sum
// CHECK-LABEL: func @train_step
// CHECK: %[[I:.*]] = core.reshape %{{.*}} sizes = [3, 1]
// CHECK: core.scatter_nd sum %{{.*}}, %[[I]], %{{.*}} : tensor<7x5xf32>, tensor<3x1xi64>, tensor<3x5xf32> to tensor<7x5xf32>
func.func @main(%i: tensor<3xi64> {onnx.name = "i", onnx.dims = [""]}) -> (tensor<3x5xf32> {onnx.name = "y", onnx.dims = ["", ""]}) {
  %w = core.constant {name = "w"} dense<1.0> : tensor<7x5xf32>
  %0 = core.gather %w, %i axis = 0 : tensor<7x5xf32>, tensor<3xi64> to tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}

// -----
// slice -> pad with what was between the elements
// CHECK-LABEL: func @train_step
// CHECK: core.pad %{{.*}}, %{{.*}} low = [1] high = [2] interior = [1] : tensor<3xf32> to tensor<8xf32>
func.func @main() -> (tensor<3xf32> {onnx.name = "y", onnx.dims = [""]}) {
  %w = core.constant {name = "w"} dense<1.0> : tensor<8xf32>
  %0 = core.slice %w starts = [1] sizes = [3] strides = [2] : tensor<8xf32> to tensor<3xf32>
  return %0 : tensor<3xf32>
}

// -----
// conv -> conv: batch and channels change places, strides and kernel dilation too; the last row, which no window read, falls away
// CHECK-LABEL: func @train_step
// CHECK: core.conv %{{.*}}, %{{.*}} strides = [1] pad_low = [1] pad_high = [0] lhs_dilation = [1] rhs_dilation = [2] groups = 1 : tensor<2x1x9xf32>, tensor<4x1x4xf32> to tensor<2x4x4xf32>
// CHECK: core.slice %{{.*}} starts = [0, 0, 0] sizes = [2, 4, 3]
// CHECK: core.transpose %{{.*}} permutation = [1, 0, 2] : tensor<2x4x3xf32> to tensor<4x2x3xf32>
func.func @main(%x: tensor<1x2x9xf32> {onnx.name = "x", onnx.dims = ["", "", ""]}) -> (tensor<1x4x4xf32> {onnx.name = "y", onnx.dims = ["", "", ""]}) {
  %w = core.constant {name = "w"} dense<1.0> : tensor<4x2x3xf32>
  %0 = core.conv %x, %w strides = [2] pad_low = [1] pad_high = [0] lhs_dilation = [1] rhs_dilation = [1] groups = 1
      : tensor<1x2x9xf32>, tensor<4x2x3xf32> to tensor<1x4x4xf32>
  return %0 : tensor<1x4x4xf32>
}

// -----
// window max: the first position that has the maximum, for each position of the window
// CHECK-LABEL: func @train_step
// CHECK: %[[FIRST:.*]] = core.compare eq
// CHECK: core.select %[[FIRST]]
// CHECK: %[[SECOND:.*]] = core.compare eq
// CHECK: %[[FREE:.*]] = core.not %[[FIRST]]
// CHECK: %[[ONLY:.*]] = core.and %[[SECOND]], %[[FREE]]
// CHECK: core.select %[[ONLY]]
func.func @main() -> (tensor<4xf32> {onnx.name = "y", onnx.dims = [""]}) {
  %w = core.constant {name = "w"} dense<1.0> : tensor<8xf32>
  %0 = core.window_reduce max %w size = [2] strides = [2] dilations = [1] pad_low = [0] pad_high = [0] : tensor<8xf32> to tensor<4xf32>
  return %0 : tensor<4xf32>
}
