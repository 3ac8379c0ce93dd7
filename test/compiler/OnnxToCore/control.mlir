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
// Otherwise the run decides.
// CHECK-LABEL: func.func @chosen
// CHECK:         core.if %arg0 {
// CHECK:           core.neg
// CHECK:         } else {
// CHECK:           core.abs
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
// Three short steps are no loop: the state is multiplied three times, and its values are stacked.
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

// -----
// A count that the run knows: the body once, the state in place of the argument, each step's part of the output inserted. The condition is
// always true, so none is left.
// CHECK-LABEL: func.func @long
// CHECK:         %[[ROOM:.*]] = tensor.empty(%[[COUNT:.*]]) : tensor<?x4xf32>
// CHECK:         core.loop %[[COUNT]] carry(%arg1, %[[ROOM]] : {{.*}}) {
// CHECK-NEXT:    ^bb0(%[[STEP:.*]]: index, %[[V:.*]]: tensor<4xf32>, %[[ALL:.*]]: tensor<?x4xf32>):
// CHECK:           %[[NEXT:.*]] = core.mul %[[V]], %arg1
// CHECK:           %[[MORE:.*]] = tensor.insert_slice %[[NEXT]] into %[[ALL]][%[[STEP]], 0] [1, 4] [1, 1]
// CHECK:           core.yield %[[NEXT]], %[[MORE]]
// CHECK-NOT:     core.mul
func.func @long(%s: tensor<?xf32>, %x: tensor<4xf32>) -> (!onnx.value, !onnx.value) {
  %c = core.constant dense<true> : tensor<i1>
  %n = "onnx.node"(%s) <{op_type = "Shape", domain = "ai.onnx", opset = 16 : i64}> : (tensor<?xf32>) -> !onnx.value
  %m = "onnx.node"(%n) <{op_type = "Squeeze", domain = "ai.onnx", opset = 16 : i64}> : (!onnx.value) -> !onnx.value
  %y:2 = "onnx.node"(%m, %c, %x) <{op_type = "Loop", domain = "ai.onnx", opset = 16 : i64, graphs = ["body"]}> ({
  ^bb0(%i: tensor<i64>, %go: tensor<i1>, %state: tensor<4xf32>):
    %g = "onnx.node"(%go) <{op_type = "Identity", domain = "ai.onnx", opset = 16 : i64}> : (tensor<i1>) -> !onnx.value
    %s2 = "onnx.node"(%state, %x) <{op_type = "Mul", domain = "ai.onnx", opset = 16 : i64}> : (tensor<4xf32>, tensor<4xf32>) -> !onnx.value
    onnx.yield %g, %s2, %s2 : !onnx.value, !onnx.value, !onnx.value
  }) : (!onnx.value, tensor<i1>, tensor<4xf32>) -> (!onnx.value, !onnx.value)
  return %y#0, %y#1 : !onnx.value, !onnx.value
}
