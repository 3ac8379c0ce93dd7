// If this failed, a model that asks for something else than mlc does would compile, or its author would learn of one node at a time.
// RUN: %mlc-opt %s --split-input-file --decompose-onnx --verify-diagnostics

// All unsupported nodes at once, in branches too. What depends on them is not blamed.
func.func @all(%c: tensor<i1>, %x: tensor<4xf32>) -> !onnx.value {
  // expected-error@+1 {{StringNormalizer (opset 10): a tensor of strings is not supported}}
  %a = "onnx.node"(%x) <{op_type = "StringNormalizer", domain = "ai.onnx", opset = 10 : i64}> : (tensor<4xf32>) -> !onnx.value
  %b = "onnx.node"(%a) <{op_type = "Relu", domain = "ai.onnx", opset = 14 : i64}> : (!onnx.value) -> !onnx.value
  %y = "onnx.node"(%c) <{op_type = "If", domain = "ai.onnx", opset = 16 : i64, graphs = ["then_branch", "else_branch"]}> ({
    // expected-error@+1 {{Frobnicate (com.example opset 1): the operator is not supported}}
    %t = "onnx.node"(%x) <{op_type = "Frobnicate", domain = "com.example", opset = 1 : i64}> : (tensor<4xf32>) -> !onnx.value
    onnx.yield %t : !onnx.value
  }, {
    onnx.yield %x : tensor<4xf32>
  }) : (tensor<i1>) -> !onnx.value
  return %y : !onnx.value
}

// -----

// An attribute that no rule reads is an error: ignoring it would compute something else.
func.func @unread(%x: tensor<4xf32>) -> !onnx.value {
  // expected-error@+1 {{Tanh (opset 13): attribute 'scale' is not supported}}
  %y = "onnx.node"(%x) <{op_type = "Tanh", domain = "ai.onnx", opset = 13 : i64, attrs = {scale = 2.0 : f32}}> : (tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----

// An input that the operator needs.
func.func @missing(%x: tensor<4xf32>) -> !onnx.value {
  %none = onnx.absent : !onnx.value
  // expected-error@+2 {{Add (opset 14): input 1 is missing}}
  // expected-note@+1 {{input 0 has type 'tensor<4xf32>'}}
  %y = "onnx.node"(%x, %none) <{op_type = "Add", domain = "ai.onnx", opset = 14 : i64}> : (tensor<4xf32>, !onnx.value) -> !onnx.value
  return %y : !onnx.value
}

// -----

// An output's declared type is a claim that is checked.
// expected-error@+1 {{output 'y' is declared as 'tensor<4xi64>' but is 'tensor<4xf32>'}}
func.func @declared(%x: tensor<4xf32>) -> (!onnx.value {onnx.name = "y", onnx.type = tensor<4xi64>}) {
  %y = "onnx.node"(%x) <{op_type = "Tanh", domain = "ai.onnx", opset = 13 : i64}> : (tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}
