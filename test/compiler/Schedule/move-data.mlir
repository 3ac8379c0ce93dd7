// If this failed, a fill that is data would belong to no kernel, or a caller could not learn the size of a result.
// RUN: %mlc-opt %s --split-input-file --move-data --verify-diagnostics | FileCheck %s

// The start of an accumulation stays a fill, which the kernel will elide; the same fill as data is a generic.
// CHECK-LABEL: func.func @fills
// CHECK:         %[[DATA:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<4xf32>)
// CHECK:         %[[START:.*]] = linalg.fill
// CHECK:         %[[SUM:.*]] = linalg.generic {{.*}} outs(%[[START]] : tensor<4xf32>)
// CHECK:         return %[[SUM]], %[[DATA]]
func.func @fills(%x: tensor<4x8xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%empty : tensor<4xf32>) -> tensor<4xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<4x8xf32>) outs(%f : tensor<4xf32>) {
  ^bb0(%l: f32, %o: f32):
    %r = arith.addf %o, %l : f32
    linalg.yield %r : f32
  } -> tensor<4xf32>
  return %s, %f : tensor<4xf32>, tensor<4xf32>
}

// -----

// Every dynamic dimension of every result, in order, and nothing for static ones.
// CHECK-LABEL: func.func @sizes
// CHECK-SAME:    (%[[X:.*]]: tensor<?x?xf32>, %{{.*}}: tensor<4xf32>) -> (tensor<?x?xf32> {onnx.name = "y"}, tensor<4xf32>, index, index)
// CHECK-DAG:     %[[N:.*]] = tensor.dim %[[X]], %c0
// CHECK-DAG:     %[[M:.*]] = tensor.dim %[[X]], %c1
// CHECK:         linalg.yield
// CHECK:         return %{{.*}}, %{{.*}}, %[[M]], %[[N]] :
func.func @sizes(%x: tensor<?x?xf32>, %z: tensor<4xf32>) -> (tensor<?x?xf32> {onnx.name = "y"}, tensor<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = tensor.dim %x, %c0 : tensor<?x?xf32>
  %m = tensor.dim %x, %c1 : tensor<?x?xf32>
  %empty = tensor.empty(%m, %n) : tensor<?x?xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x?xf32>) outs(%empty : tensor<?x?xf32>) {
  ^bb0(%l: f32, %o: f32):
    linalg.yield %l : f32
  } -> tensor<?x?xf32>
  return %y, %z : tensor<?x?xf32>, tensor<4xf32>
}
