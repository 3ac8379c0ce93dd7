// Every operation prints what it parses; if this fails, tests and dumps of the core level cannot be read back.
// RUN: %mlc-opt %s | %mlc-opt | FileCheck %s

// CHECK-LABEL: func @state
func.func @state() -> tensor<2xf32> {
  // CHECK: core.constant {name = "conv1.bias"} dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>
  %w = core.constant {name = "conv1.bias"} dense<[1.0, 2.0]> : tensor<2xf32>
  // CHECK: core.parameter "fc.bias" : tensor<2xf32>
  %p = core.parameter "fc.bias" : tensor<2xf32>
  // CHECK: core.assign "fc.bias", %{{.*}} : tensor<2xf32>
  core.assign "fc.bias", %w : tensor<2xf32>
  return %p : tensor<2xf32>
}

// CHECK-LABEL: func @pointwise
func.func @pointwise(%x: tensor<4x?xf32>, %s: tensor<4x8xf32>, %i: tensor<4xui8>, %c: tensor<4x?xi1>) {
  // CHECK: core.tanh %{{.*}} : tensor<4x?xf32>
  %0 = core.tanh %x : tensor<4x?xf32>
  // CHECK: core.add %{{.*}}, %{{.*}} : tensor<4x?xf32>
  %1 = core.add %x, %0 : tensor<4x?xf32>
  // CHECK: core.add %{{.*}}, %{{.*}} : (tensor<4x?xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %2 = core.add %x, %s : (tensor<4x?xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  // CHECK: core.shr %{{.*}}, %{{.*}} : tensor<4xui8>
  %3 = core.shr %i, %i : tensor<4xui8>
  // CHECK: core.compare lt %{{.*}}, %{{.*}} : tensor<4x?xf32>
  %4 = core.compare lt %x, %0 : tensor<4x?xf32>
  // CHECK: core.is_nan %{{.*}} : tensor<4x?xf32>
  %5 = core.is_nan %x : tensor<4x?xf32>
  // CHECK: core.select %{{.*}}, %{{.*}}, %{{.*}} : tensor<4x?xf32>
  %6 = core.select %c, %x, %0 : tensor<4x?xf32>
  // CHECK: core.cast %{{.*}} : tensor<4xui8> to tensor<4xf16>
  %7 = core.cast %i : tensor<4xui8> to tensor<4xf16>
  // CHECK: core.not %{{.*}} : tensor<4x?xi1>
  %8 = core.not %c : tensor<4x?xi1>
  return
}

// CHECK-LABEL: func @shape
func.func @shape(%x: tensor<2x3xf32>, %d: tensor<2x?xf32>, %v: tensor<f32>, %n: index) {
  // CHECK: core.broadcast %{{.*}} axes = [1, 2] sizes = [%{{.*}}, 2, 3] : tensor<2x3xf32> to tensor<?x2x3xf32>
  %0 = core.broadcast %x axes = [1, 2] sizes = [%n, 2, 3] : tensor<2x3xf32> to tensor<?x2x3xf32>
  // CHECK: core.reshape %{{.*}} sizes = [%{{.*}}, 6] : tensor<2x?xf32> to tensor<?x6xf32>
  %1 = core.reshape %d sizes = [%n, 6] : tensor<2x?xf32> to tensor<?x6xf32>
  // CHECK: core.transpose %{{.*}} permutation = [1, 0] : tensor<2x?xf32> to tensor<?x2xf32>
  %2 = core.transpose %d permutation = [1, 0] : tensor<2x?xf32> to tensor<?x2xf32>
  // CHECK: core.slice %{{.*}} starts = [0, %{{.*}}] sizes = [2, %{{.*}}] strides = [1, 2] : tensor<2x?xf32> to tensor<2x?xf32>
  %3 = core.slice %d starts = [0, %n] sizes = [2, %n] strides = [1, 2] : tensor<2x?xf32> to tensor<2x?xf32>
  // CHECK: core.reverse %{{.*}} axes = [1] : tensor<2x?xf32>
  %4 = core.reverse %d axes = [1] : tensor<2x?xf32>
  // CHECK: core.pad %{{.*}}, %{{.*}} low = [0, 1] high = [0, %{{.*}}] interior = [0, 0] : tensor<2x3xf32> to tensor<2x?xf32>
  %5 = core.pad %x, %v low = [0, 1] high = [0, %n] interior = [0, 0] : tensor<2x3xf32> to tensor<2x?xf32>
  // CHECK: core.concat %{{.*}}, %{{.*}} axis = 1 : (tensor<2x3xf32>, tensor<2x?xf32>) -> tensor<2x?xf32>
  %6 = core.concat %x, %d axis = 1 : (tensor<2x3xf32>, tensor<2x?xf32>) -> tensor<2x?xf32>
  return
}

// CHECK-LABEL: func @index
func.func @index(%x: tensor<4x5x6xf32>, %i: tensor<?x2xi64>, %u: tensor<?x6xf32>, %e: tensor<4x5x2xi64>, %eu: tensor<4x5x2xf32>, %n: index, %s: tensor<i64>) {
  // CHECK: core.iota axis = 1 sizes = [2, %{{.*}}] : tensor<2x?xi64>
  %0 = core.iota axis = 1 sizes = [2, %n] : tensor<2x?xi64>
  // CHECK: core.gather %{{.*}}, %{{.*}} axis = 1 : tensor<4x5x6xf32>, tensor<?x2xi64> to tensor<4x?x2x6xf32>
  %1 = core.gather %x, %i axis = 1 : tensor<4x5x6xf32>, tensor<?x2xi64> to tensor<4x?x2x6xf32>
  // CHECK: core.gather_nd %{{.*}}, %{{.*}} batch_dims = 0 : tensor<4x5x6xf32>, tensor<?x2xi64> to tensor<?x6xf32>
  %2 = core.gather_nd %x, %i batch_dims = 0 : tensor<4x5x6xf32>, tensor<?x2xi64> to tensor<?x6xf32>
  // CHECK: core.gather_elements %{{.*}}, %{{.*}} axis = 2 : tensor<4x5x6xf32>, tensor<4x5x2xi64> to tensor<4x5x2xf32>
  %3 = core.gather_elements %x, %e axis = 2 : tensor<4x5x6xf32>, tensor<4x5x2xi64> to tensor<4x5x2xf32>
  // CHECK: core.scatter_nd sum %{{.*}}, %{{.*}}, %{{.*}} : tensor<4x5x6xf32>, tensor<?x2xi64>, tensor<?x6xf32> to tensor<4x5x6xf32>
  %4 = core.scatter_nd sum %x, %i, %u : tensor<4x5x6xf32>, tensor<?x2xi64>, tensor<?x6xf32> to tensor<4x5x6xf32>
  // CHECK: core.scatter_elements none %{{.*}}, %{{.*}}, %{{.*}} axis = 2 : tensor<4x5x6xf32>, tensor<4x5x2xi64>, tensor<4x5x2xf32> to tensor<4x5x6xf32>
  %5 = core.scatter_elements none %x, %e, %eu axis = 2 : tensor<4x5x6xf32>, tensor<4x5x2xi64>, tensor<4x5x2xf32> to tensor<4x5x6xf32>
  // CHECK: core.sort %{{.*}} axis = 1 descending : tensor<4x5x6xf32> to tensor<4x5x6xf32>, tensor<4x5x6xi64>
  %6:2 = core.sort %x axis = 1 descending : tensor<4x5x6xf32> to tensor<4x5x6xf32>, tensor<4x5x6xi64>
  // CHECK: core.random_bits %{{.*}} sizes = [%{{.*}}, 4] : tensor<i64> to tensor<?x4xui32>
  %7 = core.random_bits %s sizes = [%n, 4] : tensor<i64> to tensor<?x4xui32>
  return
}

// CHECK-LABEL: func @counted
func.func @counted(%mask: tensor<?xi1>, %x: tensor<?x3xf32>, %boxes: tensor<1x?x4xf32>, %scores: tensor<1x80x?xf32>, %t: tensor<f32>, %n: index, %m: index) -> index {
  // CHECK: core.compact %{{.*}} : tensor<?xi1> to tensor<?xi64>, tensor<i64>
  %0:2 = core.compact %mask : tensor<?xi1> to tensor<?xi64>, tensor<i64>
  // CHECK: core.sort_rows %{{.*}} : tensor<?x3xf32> to tensor<?xi64>
  %1 = core.sort_rows %x : tensor<?x3xf32> to tensor<?xi64>
  // CHECK: core.nms %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} limit %{{.*}} room %{{.*}} center_points : tensor<1x?x4xf32>, tensor<1x80x?xf32> to tensor<?x3xi64>, tensor<i64>, tensor<?xi64>
  %2:3 = core.nms %boxes, %scores, %t, %t limit %n room %m center_points
      : tensor<1x?x4xf32>, tensor<1x80x?xf32> to tensor<?x3xi64>, tensor<i64>, tensor<?xi64>
  // CHECK: core.bounded_size %{{.*}}, %{{.*}} "the number of boxes"
  %3 = core.bounded_size %n, %m "the number of boxes"
  return %3 : index
}

// CHECK-LABEL: func @reduce
func.func @reduce(%x: tensor<?x8x8x8xf32>) {
  // CHECK: core.reduce sum %{{.*}} axes = [1, 3] : tensor<?x8x8x8xf32> to tensor<?x8xf32>
  %0 = core.reduce sum %x axes = [1, 3] : tensor<?x8x8x8xf32> to tensor<?x8xf32>
  // CHECK: core.arg_reduce max %{{.*}} axis = 1 last : tensor<?x8x8x8xf32> to tensor<?x8x8xi64>
  %1 = core.arg_reduce max %x axis = 1 last : tensor<?x8x8x8xf32> to tensor<?x8x8xi64>
  // CHECK: core.scan sum %{{.*}} axis = 1 exclusive reverse : tensor<?x8x8x8xf32>
  %2 = core.scan sum %x axis = 1 exclusive reverse : tensor<?x8x8x8xf32>
  // CHECK: core.window_reduce max %{{.*}} size = [1, 1, 2, 2] strides = [1, 1, 2, 2] dilations = [1, 1, 1, 1] pad_low = [0, 0, 0, 0] pad_high = [0, 0, 1, 1] : tensor<?x8x8x8xf32> to tensor<?x8x4x4xf32>
  %3 = core.window_reduce max %x size = [1, 1, 2, 2] strides = [1, 1, 2, 2] dilations = [1, 1, 1, 1] pad_low = [0, 0, 0, 0] pad_high = [0, 0, 1, 1]
      : tensor<?x8x8x8xf32> to tensor<?x8x4x4xf32>
  return
}

// CHECK-LABEL: func @contract
func.func @contract(%x: tensor<?x4x5xf32>, %y: tensor<?x5x6xf32>, %q: tensor<3x4xi8>, %image: tensor<?x3x32x32xf32>, %last: tensor<?x32x32x3xf32>, %k: tensor<16x3x3x3xf32>) {
  // CHECK: core.dot %{{.*}}, %{{.*}} batch = [0], [0] contract = [2], [1] : tensor<?x4x5xf32>, tensor<?x5x6xf32> to tensor<?x4x6xf32>
  %0 = core.dot %x, %y batch = [0], [0] contract = [2], [1] : tensor<?x4x5xf32>, tensor<?x5x6xf32> to tensor<?x4x6xf32>
  // CHECK: core.dot %{{.*}}, %{{.*}} batch = [], [] contract = [1], [1] accumulator = i32 : tensor<3x4xi8>, tensor<3x4xi8> to tensor<3x3xi32>
  %1 = core.dot %q, %q batch = [], [] contract = [1], [1] accumulator = i32 : tensor<3x4xi8>, tensor<3x4xi8> to tensor<3x3xi32>
  // CHECK: core.conv %{{.*}}, %{{.*}} strides = [2, 2] pad_low = [1, 1] pad_high = [1, 1] lhs_dilation = [1, 1] rhs_dilation = [1, 1] groups = 1 : tensor<?x3x32x32xf32>, tensor<16x3x3x3xf32> to tensor<?x16x16x16xf32>
  %2 = core.conv %image, %k strides = [2, 2] pad_low = [1, 1] pad_high = [1, 1] lhs_dilation = [1, 1] rhs_dilation = [1, 1] groups = 1
      : tensor<?x3x32x32xf32>, tensor<16x3x3x3xf32> to tensor<?x16x16x16xf32>
  // CHECK: groups = 1 channels_last : tensor<?x32x32x3xf32>, tensor<16x3x3x3xf32> to tensor<?x30x30x16xf32>
  %3 = core.conv %last, %k strides = [1, 1] pad_low = [0, 0] pad_high = [0, 0] lhs_dilation = [1, 1] rhs_dilation = [1, 1] groups = 1 channels_last
      : tensor<?x32x32x3xf32>, tensor<16x3x3x3xf32> to tensor<?x30x30x16xf32>
  return
}

// CHECK-LABEL: func @open_sizes
func.func @open_sizes(%x: tensor<?x4xf32>, %m: index, %n: index, %c: i1) -> tensor<?x4xf32> {
  // CHECK: core.require %{{.*}} "sizes differ: %d and %d"(%{{.*}}, %{{.*}})
  core.require %c "sizes differ: %d and %d" (%m, %n)
  // CHECK: core.stretch %{{.*}} sizes = [%{{.*}}, 4] : tensor<?x4xf32> to tensor<?x4xf32>
  %0 = core.stretch %x sizes = [%n, 4] : tensor<?x4xf32> to tensor<?x4xf32>
  // CHECK: core.broadcast %{{.*}} axes = [0, 1] sizes = [%{{.*}}, 4] single = [0] : tensor<?x4xf32> to tensor<?x4xf32>
  %1 = core.broadcast %0 axes = [0, 1] sizes = [%n, 4] single = [0] : tensor<?x4xf32> to tensor<?x4xf32>
  return %1 : tensor<?x4xf32>
}
