// If this failed, a model that aligns corners by a scale would differ from PyTorch and nobody were told (docs/decisions/0012).
// RUN: %mlc-opt %s --split-input-file --decompose-onnx --verify-diagnostics

func.func @fixed(%x: tensor<1x3x5x7xf32>) -> !onnx.value {
  %none = onnx.absent : !onnx.value
  %s = core.constant dense<[1.0, 1.0, 1.5, 2.0]> : tensor<4xf32>
  // expected-warning@+1 {{dimension 2 is aligned at its corners with a scale of 1.50 and a length of 7.50}}
  %y = "onnx.node"(%x, %none, %s) <{op_type = "Resize", domain = "ai.onnx", opset = 13 : i64, attrs = {mode = "linear",
    coordinate_transformation_mode = "align_corners"}}> : (tensor<1x3x5x7xf32>, !onnx.value, tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----

func.func @open(%x: tensor<1x3x?x?xf32>) -> !onnx.value {
  %none = onnx.absent : !onnx.value
  %s = core.constant dense<[1.0, 1.0, 1.5, 2.0]> : tensor<4xf32>
  // expected-warning@+1 {{dimension 2 is aligned at its corners with a scale of 1.50 and a length that may be no integer}}
  %y = "onnx.node"(%x, %none, %s) <{op_type = "Resize", domain = "ai.onnx", opset = 13 : i64, attrs = {mode = "linear",
    coordinate_transformation_mode = "align_corners"}}> : (tensor<1x3x?x?xf32>, !onnx.value, tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----

func.func @whole(%x: tensor<1x3x4x?xf32>) -> !onnx.value {
  %none = onnx.absent : !onnx.value
  %s = core.constant dense<[1.0, 1.0, 1.5, 2.0]> : tensor<4xf32>
  %y = "onnx.node"(%x, %none, %s) <{op_type = "Resize", domain = "ai.onnx", opset = 13 : i64, attrs = {mode = "linear",
    coordinate_transformation_mode = "align_corners"}}> : (tensor<1x3x4x?xf32>, !onnx.value, tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}

// -----

func.func @other(%x: tensor<1x3x5x7xf32>) -> !onnx.value {
  %none = onnx.absent : !onnx.value
  %s = core.constant dense<[1.0, 1.0, 1.5, 1.5]> : tensor<4xf32>
  %y = "onnx.node"(%x, %none, %s) <{op_type = "Resize", domain = "ai.onnx", opset = 13 : i64, attrs = {mode = "linear",
    coordinate_transformation_mode = "pytorch_half_pixel"}}> : (tensor<1x3x5x7xf32>, !onnx.value, tensor<4xf32>) -> !onnx.value
  return %y : !onnx.value
}
