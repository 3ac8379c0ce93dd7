// If this failed, pools or convolutions would pad, count or group elements wrongly.
// RUN: %mlc-opt %s --split-input-file --decompose-onnx | FileCheck %s

// SAME_UPPER puts the odd element of the padding at the end.
// CHECK-LABEL: func.func @conv_same
// CHECK:         core.conv {{.*}} strides = [2, 2] pad_low = [0, 0] pad_high = [1, 1] {{.*}} groups = 2 {{.*}} to tensor<?x8x4x4xf32>
func.func @conv_same(%x: tensor<?x4x8x8xf32>, %w: tensor<8x2x3x3xf32>) -> !onnx.value {
  %y = "onnx.node"(%x, %w) <{op_type = "Conv", domain = "ai.onnx", opset = 11 : i64,
    attrs = {auto_pad = "SAME_UPPER", strides = array<i64: 2, 2>, group = 2 : i64}}> : (tensor<?x4x8x8xf32>, tensor<8x2x3x3xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// A transposed convolution is one of the input with zeros between its elements.
// CHECK-LABEL: func.func @conv_transpose
// CHECK:         core.reverse %{{.*}} axes = [2, 3]
// CHECK:         core.conv {{.*}} strides = [1, 1] pad_low = [1, 1] pad_high = [2, 2] lhs_dilation = [2, 2] {{.*}} to tensor<1x6x8x8xf32>
func.func @conv_transpose(%x: tensor<1x3x4x4xf32>, %w: tensor<3x6x3x3xf32>) -> !onnx.value {
  %y = "onnx.node"(%x, %w) <{op_type = "ConvTranspose", domain = "ai.onnx", opset = 11 : i64,
    attrs = {strides = array<i64: 2, 2>, pads = array<i64: 1, 1, 1, 1>, output_padding = array<i64: 1, 1>}}> : (tensor<1x3x4x4xf32>, tensor<3x6x3x3xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// The mean divides by what each window covers, unless padding counts.
// CHECK-LABEL: func.func @average_pool
// CHECK:         core.window_reduce sum {{.*}} : tensor<1x1x4x4xf32> to tensor<1x1x4x4xf32>
// CHECK:         core.constant dense<9.000000e+00>
func.func @average_pool(%x: tensor<1x1x4x4xf32>) -> !onnx.value {
  %y = "onnx.node"(%x) <{op_type = "AveragePool", domain = "ai.onnx", opset = 11 : i64,
    attrs = {kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>, count_include_pad = 1 : i64}}> : (tensor<1x1x4x4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// With ceil_mode the last window may reach beyond the input.
// CHECK-LABEL: func.func @max_pool_ceil
// CHECK:         core.window_reduce max {{.*}} pad_high = [0, 0, 1, 1] : tensor<1x1x4x4xf32> to tensor<1x1x2x2xf32>
func.func @max_pool_ceil(%x: tensor<1x1x4x4xf32>) -> !onnx.value {
  %y = "onnx.node"(%x) <{op_type = "MaxPool", domain = "ai.onnx", opset = 12 : i64,
    attrs = {kernel_shape = array<i64: 3, 3>, strides = array<i64: 2, 2>, ceil_mode = 1 : i64}}> : (tensor<1x1x4x4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// Nearest neighbours of an integer factor are repeated, on dynamic sizes, too.
// CHECK-LABEL: func.func @upsample
// CHECK-NOT:     core.gather
// CHECK:         core.broadcast
func.func @upsample(%x: tensor<1x3x?x?xf32>) -> !onnx.value {
  %none = onnx.absent : !onnx.value
  %s = core.constant dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>
  %y = "onnx.node"(%x, %none, %s) <{op_type = "Resize", domain = "ai.onnx", opset = 13 : i64, attrs = {mode = "nearest", nearest_mode = "floor",
    coordinate_transformation_mode = "asymmetric"}}> : (tensor<1x3x?x?xf32>, !onnx.value, tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}
