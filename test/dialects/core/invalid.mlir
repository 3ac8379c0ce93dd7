// What breaks a numbered constraint is rejected with the numbers in the text; if this fails, wrong IR reaches code generation.
// RUN: %mlc-opt %s -split-input-file -verify-diagnostics

func.func @pointwise_c1(%x: tensor<4xf32>, %y: tensor<5xf32>) {
  // expected-error @+2 {{shapes of operands differ: 'tensor<4xf32>' and 'tensor<5xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.add %x, %y : (tensor<4xf32>, tensor<5xf32>) -> tensor<4xf32>
  return
}

// -----
func.func @pointwise_c1_element(%x: tensor<4xf32>, %y: tensor<4xf64>) {
  // expected-error @+2 {{element types of operands differ: 'tensor<4xf32>' and 'tensor<4xf64>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.add %x, %y : (tensor<4xf32>, tensor<4xf64>) -> tensor<4xf32>
  return
}

// -----
func.func @pointwise_c1_result(%x: tensor<4xf32>) {
  // expected-error @+2 {{failed to infer returned types}}
  // expected-error @+1 {{'core.neg' op inferred type(s) 'tensor<4xf32>' are incompatible with return type(s) of operation 'tensor<5xf32>'}}
  %0 = core.neg %x : (tensor<4xf32>) -> tensor<5xf32>
  return
}

// -----
func.func @float_only(%x: tensor<4xi32>) {
  // expected-error @+1 {{operand #0 must be ranked tensor of floating-point values}}
  %0 = core.exp %x : tensor<4xi32>
  return
}

// -----
func.func @broadcast_c1(%x: tensor<4x5xf32>) {
  // expected-error @+2 {{axes is not increasing}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.broadcast %x axes = [1, 0] sizes = [5, 4] : tensor<4x5xf32> to tensor<5x4xf32>
  return
}

// -----
func.func @broadcast_c2(%x: tensor<4xf32>) {
  // expected-error @+2 {{cannot broadcast 'tensor<4xf32>': size 4 is neither 1 nor that of result dimension 1}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.broadcast %x axes = [1] sizes = [2, 3] : tensor<4xf32> to tensor<2x3xf32>
  return
}

// -----
func.func @broadcast_c3(%x: tensor<4xf32>) {
  // expected-error @+2 {{sizes has -1, which is less than 0}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.broadcast %x axes = [1] sizes = [-1, 4] : tensor<4xf32> to tensor<?x4xf32>
  return
}

// -----
func.func @reshape_c2(%x: tensor<4xf32>) {
  // expected-error @+2 {{cannot reshape 'tensor<4xf32>' of 4 elements to 'tensor<5xf32>' of 5}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.reshape %x sizes = [5] : tensor<4xf32> to tensor<5xf32>
  return
}

// -----
func.func @transpose_c1(%x: tensor<4x5xf32>) {
  // expected-error @+2 {{permutation has 1 twice}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.transpose %x permutation = [1, 1] : tensor<4x5xf32> to tensor<5x5xf32>
  return
}

// -----
func.func @slice_c2(%x: tensor<4xf32>) {
  // expected-error @+2 {{strides has 0, which is less than 1}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.slice %x starts = [0] sizes = [2] strides = [0] : tensor<4xf32> to tensor<2xf32>
  return
}

// -----
func.func @slice_c3(%x: tensor<4xf32>) {
  // expected-error @+2 {{slice leaves dimension 0 of 'tensor<4xf32>': start 1, size 2, stride 3}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.slice %x starts = [1] sizes = [2] strides = [3] : tensor<4xf32> to tensor<2xf32>
  return
}

// -----
func.func @reverse_c1(%x: tensor<4xf32>) {
  // expected-error @+2 {{axes has 1, the tensor has 1 dimensions}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.reverse %x axes = [1] : tensor<4xf32>
  return
}

// -----
func.func @pad_c2(%x: tensor<4xf32>, %v: tensor<f32>) {
  // expected-error @+2 {{low has -1, which is less than 0}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.pad %x, %v low = [-1] high = [0] interior = [0] : tensor<4xf32> to tensor<3xf32>
  return
}

// -----
func.func @concat_c2(%x: tensor<4x2xf32>, %y: tensor<5x2xf32>) {
  // expected-error @+2 {{cannot concatenate 'tensor<4x2xf32>' and 'tensor<5x2xf32>': sizes of dimension 0 differ}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.concat %x, %y axis = 1 : (tensor<4x2xf32>, tensor<5x2xf32>) -> tensor<4x4xf32>
  return
}

// -----
func.func @iota_c1() {
  // expected-error @+1 {{axis 2 is not a dimension of 'tensor<2x3xi64>'}}
  %0 = core.iota axis = 2 sizes = [2, 3] : tensor<2x3xi64>
  return
}

// -----
func.func @gather_nd_c1(%x: tensor<4x5xf32>, %i: tensor<3x3xi64>) {
  // expected-error @+2 {{index tuples of 3 after 0 batch dimensions do not fit 'tensor<4x5xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.gather_nd %x, %i batch_dims = 0 : tensor<4x5xf32>, tensor<3x3xi64> to tensor<3xf32>
  return
}

// -----
func.func @scatter_nd_c1(%x: tensor<4x5xf32>, %i: tensor<3x1xi64>, %u: tensor<3x6xf32>) {
  // expected-error @+2 {{updates of scatter_nd are 'tensor<3x6xf32>', 'tensor<3x5xf32>' was expected}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.scatter_nd none %x, %i, %u : tensor<4x5xf32>, tensor<3x1xi64>, tensor<3x6xf32> to tensor<4x5xf32>
  return
}

// -----
func.func @scatter_elements_c2(%x: tensor<4xf32>, %i: tensor<3xi64>, %u: tensor<3xf32>) {
  // expected-error @+2 {{and needs integers, not 'f32'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.scatter_elements and %x, %i, %u axis = 0 : tensor<4xf32>, tensor<3xi64>, tensor<3xf32> to tensor<4xf32>
  return
}

// -----
func.func @reduce_c2(%x: tensor<4xf32>) {
  // expected-error @+2 {{reduction is none}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.reduce none %x axes = [0] : tensor<4xf32> to tensor<f32>
  return
}

// -----
func.func @arg_reduce_c2(%x: tensor<4xf32>) {
  // expected-error @+2 {{kind is sum, max or min was expected}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.arg_reduce sum %x axis = 0 : tensor<4xf32> to tensor<i64>
  return
}

// -----
func.func @window_reduce_c3(%x: tensor<4xf32>) {
  // expected-error @+2 {{the window of dimension 0 is larger than 'tensor<4xf32>' with its padding}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.window_reduce max %x size = [6] strides = [1] dilations = [1] pad_low = [0] pad_high = [1] : tensor<4xf32> to tensor<1xf32>
  return
}

// -----
func.func @dot_c2(%x: tensor<4x5xf32>, %y: tensor<6x7xf32>) {
  // expected-error @+2 {{sizes differ: 5 in dimension 1 of 'tensor<4x5xf32>' and 6 in dimension 0 of 'tensor<6x7xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.dot %x, %y batch = [], [] contract = [1], [0] : tensor<4x5xf32>, tensor<6x7xf32> to tensor<4x7xf32>
  return
}

// -----
func.func @conv_c3(%x: tensor<1x6x8xf32>, %y: tensor<4x2x3xf32>) {
  // expected-error @+2 {{channels of 'tensor<1x6x8xf32>' and 'tensor<4x2x3xf32>' do not match for 2 groups}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.conv %x, %y strides = [1] pad_low = [0] pad_high = [0] lhs_dilation = [1] rhs_dilation = [1] groups = 2
      : tensor<1x6x8xf32>, tensor<4x2x3xf32> to tensor<1x4x6xf32>
  return
}

// -----
func.func @conv_c4(%x: tensor<1x2x2xf32>, %y: tensor<4x2x3xf32>) {
  // expected-error @+2 {{does not fit into 'tensor<1x2x2xf32>' with its padding in spatial dimension 0}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.conv %x, %y strides = [1] pad_low = [0] pad_high = [0] lhs_dilation = [1] rhs_dilation = [1] groups = 1
      : tensor<1x2x2xf32>, tensor<4x2x3xf32> to tensor<1x4x1xf32>
  return
}

// -----
func.func @compact_c1(%mask: tensor<2x3xi1>) {
  // expected-error @+2 {{the mask of compact is 'tensor<2x3xi1>', rank 1 was expected}}
  // expected-error @+1 {{failed to infer returned types}}
  %0:2 = core.compact %mask : tensor<2x3xi1> to tensor<6xi64>, tensor<i64>
  return
}

// -----
func.func @sort_rows_c1(%x: tensor<4xf32>) {
  // expected-error @+2 {{the operand of sort_rows is 'tensor<4xf32>', rank 2 was expected}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = core.sort_rows %x : tensor<4xf32> to tensor<4xi64>
  return
}

// -----
func.func @nms_c1(%boxes: tensor<1x5x4xf32>, %scores: tensor<1x2x6xf32>, %t: tensor<f32>, %n: index) {
  // expected-error @+1 {{boxes are 'tensor<1x5x4xf32>' and scores 'tensor<1x2x6xf32>', [batches, boxes, 4] and [batches, classes, boxes] were expected}}
  %0:3 = core.nms %boxes, %scores, %t, %t limit %n room %n : tensor<1x5x4xf32>, tensor<1x2x6xf32> to tensor<?x3xi64>, tensor<i64>, tensor<5xi64>
  return
}

// -----
func.func @nms_c3(%boxes: tensor<1x5x4xf32>, %scores: tensor<1x2x5xf32>, %t: tensor<f32>, %n: index) {
  // expected-error @+1 {{[room, 3], [] and [boxes] of i64 were expected}}
  %0:3 = core.nms %boxes, %scores, %t, %t limit %n room %n : tensor<1x5x4xf32>, tensor<1x2x5xf32> to tensor<?x2xi64>, tensor<i64>, tensor<5xi64>
  return
}
