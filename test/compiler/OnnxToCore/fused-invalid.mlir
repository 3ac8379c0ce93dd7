// If this failed, an operator of ONNX Runtime whose inputs do not fit would compile into something else.
// RUN: %mlc-opt %s --split-input-file --decompose-onnx --verify-diagnostics

func.func @heads(%x: tensor<1x3x8xf32>) -> !onnx.value {
  // expected-error@+4 {{MultiHeadAttention (com.microsoft opset 1): hidden size 8 of input 0 cannot be divided into 3 heads}}
  // expected-note@+3 {{input 0 has type}}
  // expected-note@+2 {{input 1 has type}}
  // expected-note@+1 {{input 2 has type}}
  %y = "onnx.node"(%x, %x, %x) <{op_type = "MultiHeadAttention", domain = "com.microsoft", opset = 1 : i64, attrs = {num_heads = 3 : i64}}> : (tensor<1x3x8xf32>, tensor<1x3x8xf32>, tensor<1x3x8xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
func.func @packed(%x: tensor<1x3x2x3x4xf32>) -> !onnx.value {
  // expected-error@+1 {{MultiHeadAttention (com.microsoft opset 1): packing queries, keys and values is not supported}}
  %y = "onnx.node"(%x) <{op_type = "MultiHeadAttention", domain = "com.microsoft", opset = 1 : i64, attrs = {num_heads = 2 : i64}}> : (tensor<1x3x2x3x4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
func.func @columns(%x: tensor<1x3x8xf32>, %w: tensor<8x24xf32>) -> !onnx.value {
  // expected-error@+3 {{Attention (com.microsoft opset 1): qkv_hidden_sizes [8, 8, 6] do not divide 24 columns}}
  // expected-note@+2 {{input 0 has type}}
  // expected-note@+1 {{input 1 has type}}
  %y = "onnx.node"(%x, %w) <{op_type = "Attention", domain = "com.microsoft", opset = 1 : i64, attrs = {num_heads = 2 : i64, qkv_hidden_sizes = array<i64: 8, 8, 6>}}> : (tensor<1x3x8xf32>, tensor<8x24xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----
func.func @batches(%x: tensor<2x3x4xf32>, %y: tensor<2x4x5xf32>) -> !onnx.value {
  // expected-error@+1 {{FusedMatMul (com.microsoft opset 1): transBatchA or transBatchB is not supported}}
  %z = "onnx.node"(%x, %y) <{op_type = "FusedMatMul", domain = "com.microsoft", opset = 1 : i64, attrs = {transBatchA = 1 : i64}}> : (tensor<2x3x4xf32>, tensor<2x4x5xf32>) -> !onnx.value
  return %z : !onnx.value
}
