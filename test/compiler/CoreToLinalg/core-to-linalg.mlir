// Each core operation becomes the loops that docs/ir.md promises; if this fails, scheduling sees shapes that it does not know.
// RUN: %mlc-opt %s -core-to-linalg -canonicalize -split-input-file | FileCheck %s

// A scalar body in a generic; what the sign decides is decided here.
// CHECK-LABEL: func @pointwise
// CHECK-SAME: (%[[X:.*]]: tensor<4x?xi8>) -> tensor<4x?xi8>
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel"]} ins(%[[X]], %[[X]]
// CHECK: arith.maxui
func.func @pointwise(%x: tensor<4x?xui8>) -> tensor<4x?xui8> {
  %0 = core.add %x, %x : tensor<4x?xui8>
  %1 = core.max %0, %x : tensor<4x?xui8>
  return %1 : tensor<4x?xui8>
}

// -----
// A stretched dimension of size 1 is dropped: maps stay projections.
// CHECK-DAG: #[[$ROW:.*]] = affine_map<(d0, d1) -> (d0)>
// CHECK-LABEL: func @broadcast
// CHECK: %[[V:.*]] = tensor.collapse_shape %{{.*}} {{\[\[}}0, 1]] : tensor<4x1xf32> into tensor<4xf32>
// CHECK: linalg.generic {indexing_maps = [#[[$ROW]], {{.*}}} ins(%[[V]]
func.func @broadcast(%x: tensor<4x1xf32>) -> tensor<4x7xf32> {
  %0 = core.broadcast %x axes = [0, 1] sizes = [4, 7] : tensor<4x1xf32> to tensor<4x7xf32>
  return %0 : tensor<4x7xf32>
}

// -----
// CHECK-LABEL: func @concat
// CHECK: %[[E:.*]] = tensor.empty() : tensor<2x8xf32>
// CHECK: %[[A:.*]] = tensor.insert_slice %{{.*}} into %[[E]][0, 0] [2, 3] [1, 1]
// CHECK: tensor.insert_slice %{{.*}} into %[[A]][0, 3] [2, 5] [1, 1]
func.func @concat(%x: tensor<2x3xf32>, %y: tensor<2x5xf32>) -> tensor<2x8xf32> {
  %0 = core.concat %x, %y axis = 1 : (tensor<2x3xf32>, tensor<2x5xf32>) -> tensor<2x8xf32>
  return %0 : tensor<2x8xf32>
}

// -----
// f16 sums are accumulated in f32.
// CHECK-LABEL: func @reduce_f16
// CHECK: linalg.fill ins(%{{.*}} : f32)
// CHECK: linalg.generic {{.*}}"parallel", "reduction"
// CHECK: arith.extf %{{.*}} : f16 to f32
// CHECK: arith.addf {{.*}} : f32
// CHECK: arith.truncf %{{.*}} : f32 to f16
func.func @reduce_f16(%x: tensor<?x8xf16>) -> tensor<?xf16> {
  %0 = core.reduce sum %x axes = [1] : tensor<?x8xf16> to tensor<?xf16>
  return %0 : tensor<?xf16>
}

// -----
// Padding is the neutral element; windows are maps of sums.
// CHECK-DAG: #[[$IN:.*]] = affine_map<(d0, d1, d2) -> (d0, d1 * 2 + d2)>
// CHECK-LABEL: func @window_reduce
// CHECK-DAG: %[[LOWEST:.*]] = arith.constant 0xFF800000 : f32
// CHECK: linalg.fill ins(%[[LOWEST]]
// CHECK: tensor.insert_slice %{{.*}}[0, 1] [%{{.*}}, 7] [1, 1]
// CHECK: linalg.generic {indexing_maps = [#[[$IN]], {{.*}}"parallel", "parallel", "reduction"
// CHECK: arith.maximumf
func.func @window_reduce(%x: tensor<?x7xf32>) -> tensor<?x4xf32> {
  %0 = core.window_reduce max %x size = [1, 3] strides = [1, 2] dilations = [1, 1] pad_low = [0, 1] pad_high = [0, 1] : tensor<?x7xf32> to tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----
// CHECK-DAG: #[[$L:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>
// CHECK-DAG: #[[$R:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d3, d2)>
// CHECK-DAG: #[[$O:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
// CHECK-LABEL: func @dot
// CHECK: linalg.generic {indexing_maps = [#[[$L]], #[[$R]], #[[$O]]], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
// CHECK: arith.mulf
// CHECK: arith.addf
func.func @dot(%x: tensor<?x4x5xf32>, %y: tensor<?x5x6xf32>) -> tensor<?x4x6xf32> {
  %0 = core.dot %x, %y batch = [0], [0] contract = [2], [1] : tensor<?x4x5xf32>, tensor<?x5x6xf32> to tensor<?x4x6xf32>
  return %0 : tensor<?x4x6xf32>
}

// -----
// Depthwise: no loop over channels within a group.
// CHECK-LABEL: func @conv_depthwise
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%{{.*}}, %{{.*}} : tensor<2x3x8xf32>, tensor<3x3xf32>)
func.func @conv_depthwise(%x: tensor<2x3x6xf32>, %y: tensor<3x1x3xf32>) -> tensor<2x3x6xf32> {
  %0 = core.conv %x, %y strides = [1] pad_low = [1] pad_high = [1] lhs_dilation = [1] rhs_dilation = [1] groups = 3
      : tensor<2x3x6xf32>, tensor<3x1x3xf32> to tensor<2x3x6xf32>
  return %0 : tensor<2x3x6xf32>
}

// -----
// The kernel gradient of a grouped convolution has its batch, of dynamic size, in the channels' place.
// CHECK-LABEL: func @conv_dynamic_channels
// CHECK: linalg.generic
func.func @conv_dynamic_channels(%x: tensor<2x?x9xf32>, %y: tensor<6x?x5xf32>) -> tensor<2x6x5xf32> {
  %0 = core.conv %x, %y strides = [1] pad_low = [0] pad_high = [0] lhs_dilation = [1] rhs_dilation = [1] groups = 2
      : tensor<2x?x9xf32>, tensor<6x?x5xf32> to tensor<2x6x5xf32>
  return %0 : tensor<2x6x5xf32>
}

// -----
// What has no form in linalg stays, without signs in its types.
// CHECK-LABEL: func @sort
// CHECK: core.sort %{{.*}} axis = 0 {is_unsigned} : tensor<9xi8> to tensor<9xi8>, tensor<9xi64>
func.func @sort(%x: tensor<9xui8>) -> (tensor<9xui8>, tensor<9xi64>) {
  %0, %1 = core.sort %x axis = 0 : tensor<9xui8> to tensor<9xui8>, tensor<9xi64>
  return %0, %1 : tensor<9xui8>, tensor<9xi64>
}

// -----
// CHECK-LABEL: func @random_bits
// CHECK: linalg.generic
// CHECK-COUNT-20: arith.xori
func.func @random_bits(%seed: tensor<i64>, %n: index) -> tensor<?x4xui32> {
  %0 = core.random_bits %seed sizes = [%n, 4] : tensor<i64> to tensor<?x4xui32>
  return %0 : tensor<?x4xui32>
}

// -----
// A reshape that only makes one size known is no movement of data.
// CHECK-LABEL: func @reshape_known
// CHECK: tensor.cast %{{.*}} : tensor<3x?xf32> to tensor<3x4xf32>
func.func @reshape_known(%x: tensor<3x?xf32>) -> tensor<3x4xf32> {
  %0 = core.reshape %x sizes = [3, 4] : tensor<3x?xf32> to tensor<3x4xf32>
  return %0 : tensor<3x4xf32>
}

// -----
// The last row of what may have none: a view of one row, which nothing reads if there is none.
// CHECK-LABEL: func @single
// CHECK: %[[ROW:.*]] = tensor.extract_slice %{{.*}}[0, 0] [1, 4] [1, 1] : tensor<?x4xf32> to tensor<1x4xf32>
// CHECK: tensor.collapse_shape %[[ROW]]
func.func @single(%x: tensor<?x4xf32>, %n: index) -> tensor<?x4xf32> {
  %0 = core.broadcast %x axes = [0, 1] sizes = [%n, 4] single = [0] : tensor<?x4xf32> to tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----
// Nothing is left of a slice of size 0: an offset at the end would be out of range.
// CHECK-LABEL: func @slice_empty
// CHECK: tensor.empty() : tensor<0xf32>
func.func @slice_empty(%x: tensor<8xf32>) -> tensor<0xf32> {
  %0 = core.slice %x starts = [8] sizes = [0] strides = [1] : tensor<8xf32> to tensor<0xf32>
  return %0 : tensor<0xf32>
}

// -----
// Nothing to move, and strides of an empty shape that nobody should have to compute.
// CHECK-LABEL: func @reshape_empty
// CHECK: tensor.empty() : tensor<3x0xf32>
func.func @reshape_empty(%x: tensor<0x3xf32>) -> tensor<3x0xf32> {
  %0 = core.reshape %x sizes = [3, 0] : tensor<0x3xf32> to tensor<3x0xf32>
  return %0 : tensor<3x0xf32>
}

// -----
// [n, m] to [n, m, 1] adds a dimension; [n, m] to [m, n, 1], of the same type, does not: columns would come as rows.
// CHECK-LABEL: func @reshape_adds
// CHECK: tensor.expand_shape %{{.*}} {{.*}} tensor<?x?xf32> into tensor<?x?x1xf32>
// CHECK-LABEL: func @reshape_swaps
// CHECK-NOT: expand_shape
// CHECK: tensor.reshape %{{.*}} -> tensor<?x?x1xf32>
func.func @reshape_adds(%x: tensor<?x?xf32>) -> tensor<?x?x1xf32> {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %n = tensor.dim %x, %zero : tensor<?x?xf32>
  %m = tensor.dim %x, %one : tensor<?x?xf32>
  %0 = core.reshape %x sizes = [%n, %m, 1] : tensor<?x?xf32> to tensor<?x?x1xf32>
  return %0 : tensor<?x?x1xf32>
}
func.func @reshape_swaps(%x: tensor<?x?xf32>) -> tensor<?x?x1xf32> {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %n = tensor.dim %x, %zero : tensor<?x?xf32>
  %m = tensor.dim %x, %one : tensor<?x?xf32>
  %0 = core.reshape %x sizes = [%m, %n, 1] : tensor<?x?xf32> to tensor<?x?x1xf32>
  return %0 : tensor<?x?x1xf32>
}
