// If this failed, nodes would stay in the module, or results would keep the types that the model declares.
// RUN: %mlc-opt %s --split-input-file --decompose-onnx | FileCheck %s

// The pass's own example: no onnx op is left, and the function's result has the inferred type.
// CHECK-LABEL: func.func @relu
// CHECK-SAME:    (%[[X:.*]]: tensor<4xf32>) -> (tensor<4xf32> {onnx.name = "y"})
// CHECK-NEXT:    %[[ZERO:.*]] = core.constant dense<0.000000e+00> : tensor<4xf32>
// CHECK-NEXT:    %[[Y:.*]] = core.max %[[X]], %[[ZERO]] : tensor<4xf32>
// CHECK-NEXT:    return %[[Y]] : tensor<4xf32>
func.func @relu(%x: tensor<4xf32>) -> (!onnx.value {onnx.name = "y", onnx.type = tensor<?xf32>}) {
  %y = "onnx.node"(%x) <{op_type = "Relu", domain = "ai.onnx", opset = 14 : i64}> : (tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// Sizes that only the declaration knows are taken from it.
// CHECK-LABEL: func.func @declared
// CHECK-SAME:    -> (tensor<2x3xf32> {onnx.name = "y"})
func.func @declared(%x: tensor<6xf32>, %shape: tensor<2xi64>) -> (!onnx.value {onnx.name = "y", onnx.type = tensor<2x3xf32>}) {
  %y = "onnx.node"(%x, %shape) <{op_type = "Reshape", domain = "ai.onnx", opset = 14 : i64}> : (tensor<6xf32>, tensor<2xi64>) -> !onnx.value
  return %y : !onnx.value
}
