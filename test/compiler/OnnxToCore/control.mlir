// If this failed, subgraphs would not see outer values, or loops would run a wrong number of steps.
// RUN: %mlc-opt %s --split-input-file --decompose-onnx | FileCheck %s

// A known condition leaves one branch.
// CHECK-LABEL: func.func @known
// CHECK:         core.neg %arg0
// CHECK-NOT:     core.abs
func.func @known(%x: tensor<4xf32>) -> !onnx.value {
  %c = core.constant dense<true> : tensor<i1>
  %y = "onnx.node"(%c) <{op_type = "If", domain = "ai.onnx", opset = 16 : i64, graphs = ["then_branch", "else_branch"]}> ({
    %a = "onnx.node"(%x) <{op_type = "Neg", domain = "ai.onnx", opset = 16 : i64}> : (tensor<4xf32>) -> !onnx.value
    onnx.yield %a : !onnx.value
  }, {
    %b = "onnx.node"(%x) <{op_type = "Abs", domain = "ai.onnx", opset = 16 : i64}> : (tensor<4xf32>) -> !onnx.value
    onnx.yield %b : !onnx.value
  }) : (tensor<i1>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// Otherwise both are computed.
// CHECK-LABEL: func.func @chosen
// CHECK:         core.neg
// CHECK:         core.abs
// CHECK:         core.select
func.func @chosen(%c: tensor<i1>, %x: tensor<4xf32>) -> !onnx.value {
  %y = "onnx.node"(%c) <{op_type = "If", domain = "ai.onnx", opset = 16 : i64, graphs = ["then_branch", "else_branch"]}> ({
    %a = "onnx.node"(%x) <{op_type = "Neg", domain = "ai.onnx", opset = 16 : i64}> : (tensor<4xf32>) -> !onnx.value
    onnx.yield %a : !onnx.value
  }, {
    %b = "onnx.node"(%x) <{op_type = "Abs", domain = "ai.onnx", opset = 16 : i64}> : (tensor<4xf32>) -> !onnx.value
    onnx.yield %b : !onnx.value
  }) : (tensor<i1>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// Three steps: the state is multiplied three times, and its values are stacked.
// CHECK-LABEL: func.func @loop
// CHECK-SAME:    -> (tensor<4xf32>, tensor<3x4xf32>)
// CHECK-COUNT-3: core.mul
// CHECK-NOT:     core.mul
// CHECK:         core.concat
func.func @loop(%x: tensor<4xf32>) -> (!onnx.value, !onnx.value) {
  %m = core.constant dense<3> : tensor<i64>
  %c = core.constant dense<true> : tensor<i1>
  %y:2 = "onnx.node"(%m, %c, %x) <{op_type = "Loop", domain = "ai.onnx", opset = 16 : i64, graphs = ["body"]}> ({
  ^bb0(%i: tensor<i64>, %go: tensor<i1>, %state: tensor<4xf32>):
    %g = "onnx.node"(%go) <{op_type = "Identity", domain = "ai.onnx", opset = 16 : i64}> : (tensor<i1>) -> !onnx.value
    %s = "onnx.node"(%state, %x) <{op_type = "Mul", domain = "ai.onnx", opset = 16 : i64}> : (tensor<4xf32>, tensor<4xf32>) -> !onnx.value
    onnx.yield %g, %s, %s : !onnx.value, !onnx.value, !onnx.value
  }) : (tensor<i64>, tensor<i1>, tensor<4xf32>) -> (!onnx.value, !onnx.value)
  return %y#0, %y#1 : !onnx.value, !onnx.value
}
