// If this failed, an activation would compute something else, or read a default of another opset.
// RUN: %mlc-opt %s --split-input-file --decompose-onnx | FileCheck %s

// CHECK-LABEL: func.func @relu
// CHECK-SAME:    -> tensor<4xf32>
// CHECK:         core.max %{{.*}}, %{{.*}} : tensor<4xf32>
func.func @relu(%x: tensor<4xf32>) -> !onnx.value {
  %y = "onnx.node"(%x) <{op_type = "Relu", domain = "ai.onnx", opset = 14 : i64}> : (tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// The default of alpha is 0.01 as a float.
// CHECK-LABEL: func.func @leaky_relu
// CHECK:         core.compare lt
// CHECK:         core.constant dense<0.00999999977> : tensor<f32>
// CHECK:         core.select
func.func @leaky_relu(%x: tensor<?xf32>) -> !onnx.value {
  %y = "onnx.node"(%x) <{op_type = "LeakyRelu", domain = "ai.onnx", opset = 16 : i64}> : (tensor<?xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// CHECK-LABEL: func.func @gelu_tanh
// CHECK-NOT:     core.erf
// CHECK:         core.tanh
func.func @gelu_tanh(%x: tensor<4xf32>) -> !onnx.value {
  %y = "onnx.node"(%x) <{op_type = "Gelu", domain = "ai.onnx", opset = 20 : i64, attrs = {approximate = "tanh"}}> : (tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// Bounds were attributes before opset 11; an absent input is no bound.
// CHECK-LABEL: func.func @clip_6
// CHECK:         core.max
// CHECK-NOT:     core.min
// CHECK:         return
func.func @clip_6(%x: tensor<4xf32>) -> !onnx.value {
  %y = "onnx.node"(%x) <{op_type = "Clip", domain = "ai.onnx", opset = 6 : i64, attrs = {min = 0.0 : f32}}> : (tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// CHECK-LABEL: func.func @clip_13
// CHECK-NOT:     core.max
// CHECK:         core.min
func.func @clip_13(%x: tensor<4xf32>, %high: tensor<f32>) -> !onnx.value {
  %a = onnx.absent : !onnx.value
  %y = "onnx.node"(%x, %a, %high) <{op_type = "Clip", domain = "ai.onnx", opset = 13 : i64}> : (tensor<4xf32>, !onnx.value, tensor<f32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// Softmax acts on one axis from opset 13 on, on all from the axis before.
// CHECK-LABEL: func.func @softmax_13
// CHECK:         core.reduce max %{{.*}} axes = [1] :
func.func @softmax_13(%x: tensor<2x3x4xf32>) -> !onnx.value {
  %y = "onnx.node"(%x) <{op_type = "Softmax", domain = "ai.onnx", opset = 13 : i64, attrs = {axis = 1 : i64}}> : (tensor<2x3x4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// CHECK-LABEL: func.func @softmax_11
// CHECK:         core.reduce max %{{.*}} axes = [1, 2] :
func.func @softmax_11(%x: tensor<2x3x4xf32>) -> !onnx.value {
  %y = "onnx.node"(%x) <{op_type = "Softmax", domain = "ai.onnx", opset = 11 : i64, attrs = {axis = 1 : i64}}> : (tensor<2x3x4xf32>) -> !onnx.value
  return %y : !onnx.value
}
