// If this failed, a pad would reach code that has no form for it, or a caller could not learn the size of a result.
// RUN: %mlc-opt %s --split-input-file --move-data --verify-diagnostics | FileCheck %s

// A pad is a fill and an insertion in its middle. The sizes come from the argument.
// CHECK-LABEL: func.func @pad
// CHECK-SAME:    (%[[X:.*]]: tensor<?x4xf32>) -> (tensor<?x6xf32>, index)
// CHECK-DAG:     %[[N:.*]] = tensor.dim %[[X]], %c0
// CHECK-DAG:     %[[PADDED:.*]] = arith.addi %{{.*}}, %c3
// CHECK:         %[[EMPTY:.*]] = tensor.empty(%[[PADDED]]) : tensor<?x6xf32>
// CHECK:         %[[FILLED:.*]] = linalg.generic {{.*}} outs(%[[EMPTY]] : tensor<?x6xf32>)
// CHECK:           linalg.yield %cst
// CHECK:         %[[Y:.*]] = tensor.insert_slice %[[X]] into %[[FILLED]][1, 0] [%{{.*}}, 4] [1, 1]
// CHECK:         return %[[Y]], %[[PADDED]] : tensor<?x6xf32>, index
func.func @pad(%x: tensor<?x4xf32>) -> tensor<?x6xf32> {
  %zero = arith.constant 0.0 : f32
  %y = tensor.pad %x low[1, 0] high[2, 2] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<?x4xf32> to tensor<?x6xf32>
  return %y : tensor<?x6xf32>
}

// -----

// A pad whose value depends on the position has no such form.
func.func @position(%x: tensor<4xindex>) -> tensor<5xindex> {
  // expected-error@+1 {{pads with a value that depends on the position}}
  %y = tensor.pad %x low[0] high[1] {
  ^bb0(%i: index):
    tensor.yield %i : index
  } : tensor<4xindex> to tensor<5xindex>
  return %y : tensor<5xindex>
}

// -----

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
// CHECK:         linalg.yield
// CHECK-DAG:     %[[N:.*]] = tensor.dim %[[X]], %c0
// CHECK-DAG:     %[[M:.*]] = tensor.dim %[[X]], %c1
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
