// If this failed, a wrong or unsupported model would crash the compiler, or compile into something else.
// RUN: %mlc-opt %s --split-input-file --decompose-onnx --verify-diagnostics

func.func @matmul_sizes(%x: tensor<2x768xf32>, %y: tensor<512x64xf32>) -> !onnx.value {
  // expected-error@+3 {{MatMul (opset 13): inner sizes differ: 768 and 512}}
  // expected-note@+2 {{input 0 has type 'tensor<2x768xf32>'}}
  // expected-note@+1 {{input 1 has type 'tensor<512x64xf32>'}}
  %z = "onnx.node"(%x, %y) <{op_type = "MatMul", domain = "ai.onnx", opset = 13 : i64}> : (tensor<2x768xf32>, tensor<512x64xf32>) -> !onnx.value
  return %z : !onnx.value
}

// -----
// All unsupported nodes are reported; what depends on them is not.
func.func @unsupported(%x: tensor<4xf32>) -> !onnx.value {
  // expected-error@+1 {{StringNormalizer (opset 10): a tensor of strings is not supported}}
  %a = "onnx.node"(%x) <{op_type = "StringNormalizer", domain = "ai.onnx", opset = 10 : i64}> : (tensor<4xf32>) -> !onnx.value
  %b = "onnx.node"(%a) <{op_type = "Cast", domain = "ai.onnx", opset = 13 : i64, attrs = {to = 1 : i64}}> : (!onnx.value) -> !onnx.value
  // expected-error@+1 {{Frobnicate (com.example opset 1): the operator is not supported}}
  %c = "onnx.node"(%x) <{op_type = "Frobnicate", domain = "com.example", opset = 1 : i64}> : (tensor<4xf32>) -> !onnx.value
  return %b : !onnx.value
}

// -----
// What the model sets and the rule does not read is not ignored.
func.func @unread(%x: tensor<4xf32>) -> !onnx.value {
  // expected-error@+1 {{Relu (opset 14): attribute 'slope' is not supported}}
  %y = "onnx.node"(%x) <{op_type = "Relu", domain = "ai.onnx", opset = 14 : i64, attrs = {slope = 0.1 : f32}}> : (tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
func.func @axis(%x: tensor<4x4xf32>) -> !onnx.value {
  // expected-error@+2 {{Softmax (opset 13): axis 7 is out of range for rank 2}}
  // expected-note@+1 {{input 0 has type}}
  %y = "onnx.node"(%x) <{op_type = "Softmax", domain = "ai.onnx", opset = 13 : i64, attrs = {axis = 7 : i64}}> : (tensor<4x4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
func.func @too_large(%x: tensor<1xf32>) -> !onnx.value {
  %s = core.constant dense<[1099511627776, 1099511627776, 16]> : tensor<3xi64>
  // expected-error@+3 {{Expand (opset 13): a tensor of sizes [1099511627776, 1099511627776, 16] is too large}}
  // expected-note@+2 {{input 0 has type}}
  // expected-note@+1 {{input 1 has type}}
  %y = "onnx.node"(%x, %s) <{op_type = "Expand", domain = "ai.onnx", opset = 13 : i64}> : (tensor<1xf32>, tensor<3xi64>) -> !onnx.value
  return %y : !onnx.value
}

// -----
func.func @wrong_attribute(%x: tensor<4x4xf32>) -> !onnx.value {
  // expected-error@+2 {{Softmax (opset 13): attribute 'axis' is not an integer}}
  // expected-note@+1 {{input 0 has type}}
  %y = "onnx.node"(%x) <{op_type = "Softmax", domain = "ai.onnx", opset = 13 : i64, attrs = {axis = 1.0 : f32}}> : (tensor<4x4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
// expected-error@+1 {{output 'y' is declared as 'tensor<3xf32>' but is 'tensor<4xf32>'}}
func.func @declared(%x: tensor<4xf32>) -> (!onnx.value {onnx.name = "y", onnx.type = tensor<3xf32>}) {
  %y = "onnx.node"(%x) <{op_type = "Relu", domain = "ai.onnx", opset = 14 : i64}> : (tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}
