// If this failed, a model would lose a node, a name or a size on its way into the compiler, or compile into something else.
// RUN: %mlc-opt %s --split-input-file --decompose-onnx | FileCheck %s

// The example of Passes.td: constants are made, the result gets its type, and what the model declared of it is dropped.
// CHECK-LABEL: func.func @relu(
// CHECK-SAME:    %[[X:.*]]: tensor<4xf32>) -> (tensor<4xf32> {onnx.name = "y"})
// CHECK:         %[[ZERO:.*]] = core.constant dense<0.000000e+00> : tensor<4xf32>
// CHECK:         %[[Y:.*]] = core.max %[[X]], %[[ZERO]]
// CHECK:         return %[[Y]] : tensor<4xf32>
func.func @relu(%x: tensor<4xf32>) -> (!onnx.value {onnx.name = "y", onnx.type = tensor<4xf32>}) {
  %y = "onnx.node"(%x) <{op_type = "Relu", domain = "ai.onnx", opset = 14 : i64}> : (tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----

// Broadcasting is explicit below: one op for each operand that is smaller.
// CHECK-LABEL: func.func @broadcast(
// CHECK:         %[[B:.*]] = core.broadcast %arg1 axes = [1] sizes = [%{{.*}}, 4] : tensor<4xf32> to tensor<?x4xf32>
// CHECK:         core.add %arg0, %[[B]] : tensor<?x4xf32>
func.func @broadcast(%x: tensor<?x4xf32>, %b: tensor<4xf32>) -> !onnx.value {
  %y = "onnx.node"(%x, %b) <{op_type = "Add", domain = "ai.onnx", opset = 14 : i64}> : (tensor<?x4xf32>, tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----

// An absent input is not an operand: only the upper bound is applied.
// CHECK-LABEL: func.func @absent(
// CHECK-NOT:     onnx.absent
// CHECK-NOT:     core.max
// CHECK:         core.min
func.func @absent(%x: tensor<4xf32>, %max: tensor<f32>) -> !onnx.value {
  %none = onnx.absent : !onnx.value
  %y = "onnx.node"(%x, %none, %max) <{op_type = "Clip", domain = "ai.onnx", opset = 13 : i64}> : (tensor<4xf32>, !onnx.value, tensor<f32>) -> !onnx.value
  return %y : !onnx.value
}

// -----

// Shape arithmetic is on sizes, not on tensors: Shape, Gather, Concat and Reshape of it are one reshape. A name of a parameter stays.
// CHECK-LABEL: func.func @sizes(
// CHECK-SAME:    %[[X:.*]]: tensor<?x2x3xf32>
// CHECK-DAG:     %[[N:.*]] = tensor.dim %[[X]], %c0
// CHECK-DAG:     %[[W:.*]] = core.constant {name = "w"}
// CHECK:         %[[R:.*]] = core.reshape %[[X]] sizes = [%[[N]], 6] : tensor<?x2x3xf32> to tensor<?x6xf32>
// CHECK:         core.dot %[[R]], %[[W]]
func.func @sizes(%x: tensor<?x2x3xf32> {onnx.name = "x", onnx.dims = ["n", "", ""]}) -> !onnx.value {
  %zero = core.constant dense<[0]> : tensor<1xi64>
  %rest = core.constant dense<[-1]> : tensor<1xi64>
  %w = core.constant {name = "w"} dense<[[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]]> : tensor<6x1xf32>
  %s = "onnx.node"(%x) <{op_type = "Shape", domain = "ai.onnx", opset = 13 : i64}> : (tensor<?x2x3xf32>) -> !onnx.value
  %n = "onnx.node"(%s, %zero) <{op_type = "Gather", domain = "ai.onnx", opset = 13 : i64}> : (!onnx.value, tensor<1xi64>) -> !onnx.value
  %t = "onnx.node"(%n, %rest) <{op_type = "Concat", domain = "ai.onnx", opset = 13 : i64, attrs = {axis = 0 : i64}}> : (!onnx.value, tensor<1xi64>) -> !onnx.value
  %r = "onnx.node"(%x, %t) <{op_type = "Reshape", domain = "ai.onnx", opset = 13 : i64}> : (tensor<?x2x3xf32>, !onnx.value) -> !onnx.value
  %y = "onnx.node"(%r, %w) <{op_type = "MatMul", domain = "ai.onnx", opset = 13 : i64}> : (!onnx.value, tensor<6x1xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----

// A symbol is one value, its first occurrence, wherever it is used.
// CHECK-LABEL: func.func @symbol(
// CHECK-SAME:    %[[X:.*]]: tensor<?xf32> {{.*}}, %[[Z:.*]]: tensor<4x?xf32>
// CHECK:         %[[N:.*]] = tensor.dim %[[X]], %c0
// CHECK-NOT:     tensor.dim
// CHECK:         core.broadcast %{{.*}} sizes = [4, %[[N]]]
func.func @symbol(%x: tensor<?xf32> {onnx.name = "x", onnx.dims = ["n"]}, %z: tensor<4x?xf32> {onnx.name = "z", onnx.dims = ["", "n"]}) -> !onnx.value {
  %y = "onnx.node"(%z, %x) <{op_type = "Add", domain = "ai.onnx", opset = 14 : i64}> : (tensor<4x?xf32>, tensor<?xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----

// What the model promises of an output, and inference does not find, is in the result's type.
// CHECK-LABEL: func.func @promised(
// CHECK-SAME:    -> (tensor<?x8xf32> {onnx.name = "y"})
func.func @promised(%x: tensor<?x?xf32> {onnx.name = "x", onnx.dims = ["n", "m"]}) -> (!onnx.value {onnx.name = "y", onnx.type = tensor<?x8xf32>}) {
  %y = "onnx.node"(%x) <{op_type = "Tanh", domain = "ai.onnx", opset = 13 : i64}> : (tensor<?x?xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----

// The same for a reshape to sizes that are an input of the model.
// CHECK-LABEL: func.func @declared(
// CHECK-SAME:    -> (tensor<2x3xf32> {onnx.name = "y"})
func.func @declared(%x: tensor<6xf32>, %shape: tensor<2xi64>) -> (!onnx.value {onnx.name = "y", onnx.type = tensor<2x3xf32>}) {
  %y = "onnx.node"(%x, %shape) <{op_type = "Reshape", domain = "ai.onnx", opset = 14 : i64}> : (tensor<6xf32>, tensor<2xi64>) -> !onnx.value
  return %y : !onnx.value
}
