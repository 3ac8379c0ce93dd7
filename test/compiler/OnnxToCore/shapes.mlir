// If this failed, shape arithmetic would be computed in tensors at run time, and ranks or sizes would be lost.
// RUN: %mlc-opt %s --split-input-file --decompose-onnx --canonicalize --cse | FileCheck %s

// [batch, sequence, 768] -> [batch, sequence, 12, 64], with the shape read, sliced and joined again.
// CHECK-LABEL: func.func @split_heads
// CHECK-SAME:    -> tensor<?x?x12x64xf32>
// CHECK-DAG:     %[[BATCH:.*]] = tensor.dim %arg0, %c0
// CHECK-DAG:     %[[SEQUENCE:.*]] = tensor.dim %arg0, %c1
// CHECK:         core.reshape %arg0 sizes = [%[[BATCH]], %[[SEQUENCE]], 12, 64]
// CHECK-NEXT:    return
func.func @split_heads(%x: tensor<?x?x768xf32>) -> !onnx.value {
  %zero = core.constant dense<0> : tensor<i64>
  %one = core.constant dense<1> : tensor<i64>
  %axis = core.constant dense<0> : tensor<1xi64>
  %heads = core.constant dense<[12, 64]> : tensor<2xi64>
  %s = "onnx.node"(%x) <{op_type = "Shape", domain = "ai.onnx", opset = 15 : i64}> : (tensor<?x?x768xf32>) -> !onnx.value
  %b = "onnx.node"(%s, %zero) <{op_type = "Gather", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value, tensor<i64>) -> !onnx.value
  %n = "onnx.node"(%s, %one) <{op_type = "Gather", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value, tensor<i64>) -> !onnx.value
  %b1 = "onnx.node"(%b, %axis) <{op_type = "Unsqueeze", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value, tensor<1xi64>) -> !onnx.value
  %n1 = "onnx.node"(%n, %axis) <{op_type = "Unsqueeze", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value, tensor<1xi64>) -> !onnx.value
  %t = "onnx.node"(%b1, %n1, %heads) <{op_type = "Concat", domain = "ai.onnx", opset = 15 : i64, attrs = {axis = 0 : i64}}> : (!onnx.value, !onnx.value, tensor<2xi64>) -> !onnx.value
  %y = "onnx.node"(%x, %t) <{op_type = "Reshape", domain = "ai.onnx", opset = 15 : i64}> : (tensor<?x?x768xf32>, !onnx.value) -> !onnx.value
  return %y : !onnx.value
}

// -----
// Dynamic sizes cancel: -1 is 12 * 64 here.
// CHECK-LABEL: func.func @infer_size
// CHECK-SAME:    -> tensor<?x?x768xf32>
func.func @infer_size(%x: tensor<?x?x12x64xf32>) -> !onnx.value {
  %t = core.constant dense<[0, 0, -1]> : tensor<3xi64>
  %y = "onnx.node"(%x, %t) <{op_type = "Reshape", domain = "ai.onnx", opset = 15 : i64}> : (tensor<?x?x12x64xf32>, tensor<3xi64>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// Half of a size through floating point is an integer division.
// CHECK-LABEL: func.func @half
// CHECK:         %[[SIZE:.*]] = tensor.dim %arg0, %c0
// CHECK-NOT:     core.cast
// CHECK:         arith.{{floordivsi|divsi|shrsi|divui}}
// CHECK:         core.broadcast
func.func @half(%x: tensor<?xf32>) -> !onnx.value {
  %half = core.constant dense<0.5> : tensor<f32>
  %s = "onnx.node"(%x) <{op_type = "Shape", domain = "ai.onnx", opset = 15 : i64}> : (tensor<?xf32>) -> !onnx.value
  %f = "onnx.node"(%s) <{op_type = "Cast", domain = "ai.onnx", opset = 15 : i64, attrs = {to = 1 : i64}}> : (!onnx.value) -> !onnx.value
  %h = "onnx.node"(%f, %half) <{op_type = "Mul", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value, tensor<f32>) -> !onnx.value
  %d = "onnx.node"(%h) <{op_type = "Floor", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value) -> !onnx.value
  %i = "onnx.node"(%d) <{op_type = "Cast", domain = "ai.onnx", opset = 15 : i64, attrs = {to = 7 : i64}}> : (!onnx.value) -> !onnx.value
  %y = "onnx.node"(%i) <{op_type = "ConstantOfShape", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value) -> !onnx.value
  return %y : !onnx.value
}

// -----
// Where(shape == -1, 1, shape): a size is never -1.
// CHECK-LABEL: func.func @expand_target
// CHECK-SAME:    -> tensor<?x4xf32>
// CHECK-NOT:     arith.select
// CHECK:         return
func.func @expand_target(%x: tensor<?x4xf32>) -> !onnx.value {
  %minus = core.constant dense<-1> : tensor<2xi64>
  %ones = core.constant dense<1> : tensor<2xi64>
  %s = "onnx.node"(%x) <{op_type = "Shape", domain = "ai.onnx", opset = 15 : i64}> : (tensor<?x4xf32>) -> !onnx.value
  %e = "onnx.node"(%s, %minus) <{op_type = "Equal", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value, tensor<2xi64>) -> !onnx.value
  %w = "onnx.node"(%e, %ones, %s) <{op_type = "Where", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value, tensor<2xi64>, !onnx.value) -> !onnx.value
  %y = "onnx.node"(%x, %w) <{op_type = "Expand", domain = "ai.onnx", opset = 15 : i64}> : (tensor<?x4xf32>, !onnx.value) -> !onnx.value
  return %y : !onnx.value
}

// -----
// One symbol is one value: the first argument's.
// CHECK-LABEL: func.func @symbols
// CHECK:         tensor.dim %arg0
// CHECK-NOT:     tensor.dim %arg1
func.func @symbols(%x: tensor<?x4xf32> {onnx.dims = ["n", ""]}, %z: tensor<?x4xf32> {onnx.dims = ["n", ""]}) -> (!onnx.value, !onnx.value) {
  %t = core.constant dense<[0, 2, 2]> : tensor<3xi64>
  %y = "onnx.node"(%x, %t) <{op_type = "Reshape", domain = "ai.onnx", opset = 15 : i64}> : (tensor<?x4xf32>, tensor<3xi64>) -> !onnx.value
  %w = "onnx.node"(%z, %t) <{op_type = "Reshape", domain = "ai.onnx", opset = 15 : i64}> : (tensor<?x4xf32>, tensor<3xi64>) -> !onnx.value
  return %y, %w : !onnx.value, !onnx.value
}

// -----
// Slices: from the end, backwards, beyond the end.
// CHECK-LABEL: func.func @slices
// CHECK:         core.slice %arg0 starts = [1, 0] sizes = [2, 3] strides = [1, 2] : tensor<4x6xf32> to tensor<2x3xf32>
// CHECK:         core.slice %arg0 starts = [0, 1] sizes = [4, 3] strides = [1, 2] : tensor<4x6xf32> to tensor<4x3xf32>
// CHECK:         core.reverse %{{.*}} axes = [1]
func.func @slices(%x: tensor<4x6xf32>) -> (!onnx.value, !onnx.value) {
  %s = core.constant dense<[-3, -100]> : tensor<2xi64>
  %e = core.constant dense<[-1, 1000]> : tensor<2xi64>
  %a = core.constant dense<[0, 1]> : tensor<2xi64>
  %t = core.constant dense<[1, 2]> : tensor<2xi64>
  %y = "onnx.node"(%x, %s, %e, %a, %t) <{op_type = "Slice", domain = "ai.onnx", opset = 13 : i64}> : (tensor<4x6xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> !onnx.value
  %s1 = core.constant dense<-1> : tensor<1xi64>
  %e1 = core.constant dense<-9223372036854775807> : tensor<1xi64>
  %a1 = core.constant dense<1> : tensor<1xi64>
  %t1 = core.constant dense<-2> : tensor<1xi64>
  %z = "onnx.node"(%x, %s1, %e1, %a1, %t1) <{op_type = "Slice", domain = "ai.onnx", opset = 13 : i64}> : (tensor<4x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> !onnx.value
  return %y, %z : !onnx.value, !onnx.value
}

// -----
// A quotient of two sizes is no ratio: it is computed in the model's precision, and the size is still no data. Nothing is below 0,
// so that NaN becomes 0.
// CHECK-LABEL: func.func @quotient_of_sizes
// CHECK-DAG:     %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK-DAG:     %[[MOST:.*]] = arith.constant 4.6{{.*}}E+18 : f32
// CHECK-DAG:     %[[N:.*]] = tensor.dim %arg0, %c0
// CHECK-DAG:     %[[M:.*]] = tensor.dim %arg0, %c1
// CHECK:         %[[A:.*]] = arith.sitofp %{{.*}} : i64 to f32
// CHECK:         %[[B:.*]] = arith.sitofp %{{.*}} : i64 to f32
// CHECK:         %[[Q:.*]] = arith.divf %[[A]], %[[B]] : f32
// CHECK:         %[[P:.*]] = arith.mulf %[[Q]], %{{.*}} : f32
// CHECK:         %[[F:.*]] = math.floor %[[P]] : f32
// CHECK:         %[[LOW:.*]] = arith.maxnumf %[[F]], %[[ZERO]]
// CHECK:         %[[HELD:.*]] = arith.minnumf %[[LOW]], %[[MOST]]
// CHECK:         arith.fptosi %[[HELD]] : f32 to i64
// CHECK-NOT:     tensor.extract
// CHECK:         core.broadcast
func.func @quotient_of_sizes(%x: tensor<?x?xf32>) -> !onnx.value {
  %zero = core.constant dense<[0]> : tensor<1xi64>
  %one = core.constant dense<[1]> : tensor<1xi64>
  %third = core.constant dense<0.3> : tensor<f32>
  %s = "onnx.node"(%x) <{op_type = "Shape", domain = "ai.onnx", opset = 15 : i64}> : (tensor<?x?xf32>) -> !onnx.value
  %f = "onnx.node"(%s) <{op_type = "Cast", domain = "ai.onnx", opset = 15 : i64, attrs = {to = 1 : i64}}> : (!onnx.value) -> !onnx.value
  %n = "onnx.node"(%f, %zero) <{op_type = "Gather", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value, tensor<1xi64>) -> !onnx.value
  %m = "onnx.node"(%f, %one) <{op_type = "Gather", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value, tensor<1xi64>) -> !onnx.value
  %q = "onnx.node"(%n, %m) <{op_type = "Div", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value, !onnx.value) -> !onnx.value
  %p = "onnx.node"(%q, %third) <{op_type = "Mul", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value, tensor<f32>) -> !onnx.value
  %d = "onnx.node"(%p) <{op_type = "Floor", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value) -> !onnx.value
  %i = "onnx.node"(%d) <{op_type = "Cast", domain = "ai.onnx", opset = 15 : i64, attrs = {to = 7 : i64}}> : (!onnx.value) -> !onnx.value
  %y = "onnx.node"(%i) <{op_type = "ConstantOfShape", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value) -> !onnx.value
  return %y : !onnx.value
}

// -----
// What may be below 0 stays so: it can be an end counted from behind.
// CHECK-LABEL: func.func @negative_float
// CHECK-DAG:     %[[LEAST:.*]] = arith.constant -4.6{{.*}}E+18 : f32
// CHECK:         arith.maxnumf %{{.*}}, %[[LEAST]]
// CHECK-NOT:     tensor.extract
func.func @negative_float(%x: tensor<?xf32>) -> !onnx.value {
  %tenth = core.constant dense<-0.1> : tensor<f32>
  %zero = core.constant dense<[0]> : tensor<1xi64>
  %s = "onnx.node"(%x) <{op_type = "Shape", domain = "ai.onnx", opset = 15 : i64}> : (tensor<?xf32>) -> !onnx.value
  %f = "onnx.node"(%s) <{op_type = "Cast", domain = "ai.onnx", opset = 15 : i64, attrs = {to = 1 : i64}}> : (!onnx.value) -> !onnx.value
  %p = "onnx.node"(%f, %tenth) <{op_type = "Mul", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value, tensor<f32>) -> !onnx.value
  %d = "onnx.node"(%p) <{op_type = "Floor", domain = "ai.onnx", opset = 15 : i64}> : (!onnx.value) -> !onnx.value
  %i = "onnx.node"(%d) <{op_type = "Cast", domain = "ai.onnx", opset = 15 : i64, attrs = {to = 7 : i64}}> : (!onnx.value) -> !onnx.value
  %y = "onnx.node"(%x, %zero, %i) <{op_type = "Slice", domain = "ai.onnx", opset = 15 : i64}> : (tensor<?xf32>, tensor<1xi64>, !onnx.value) -> !onnx.value
  return %y : !onnx.value
}
