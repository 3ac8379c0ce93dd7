// If this failed, QK^T would gather K lane by lane.
// RUN: %mlc-opt %s --pack-operands | FileCheck %s

#q = affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>
#k = affine_map<(d0, d1, d2, d3) -> (d0, d2, d3)>
#kt = affine_map<(d0, d1, d2, d3) -> (d0, d3, d2)>
#out = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>

// CHECK-DAG: #[[$SOURCE:.*]] = affine_map<(d0, d1, d2) -> (d0, d2, d1)>
// CHECK-DAG: #[[$KT:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d3, d2)>
// CHECK-DAG: #[[$K:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d2, d3)>

// The lane dimension, s, moves last: a copy is made. Its sizes may be dynamic.
// CHECK-LABEL: func.func @strided
// CHECK-SAME:    (%[[Q:.*]]: tensor<12x?x64xf32>, %[[K:.*]]: tensor<12x?x64xf32>
// CHECK:         %[[S:.*]] = tensor.dim %[[K]], %c1
// CHECK:         %[[EMPTY:.*]] = tensor.empty(%[[S]]) : tensor<12x64x?xf32>
// CHECK:         %[[COPY:.*]] = linalg.generic {indexing_maps = [#[[$SOURCE]], {{.*}} ins(%[[K]] : {{.*}} outs(%[[EMPTY]]
// CHECK:         linalg.generic {indexing_maps = [#{{.*}}, #[[$KT]], #{{.*}}], {{.*}} ins(%[[Q]], %[[COPY]] :
func.func @strided(%q: tensor<12x?x64xf32>, %k: tensor<12x?x64xf32>, %init: tensor<12x?x?xf32>) -> tensor<12x?x?xf32> {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%init : tensor<12x?x?xf32>) -> tensor<12x?x?xf32>
  %s = linalg.generic {indexing_maps = [#q, #k, #out], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<12x?x64xf32>, tensor<12x?x64xf32>) outs(%f : tensor<12x?x?xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    %n = arith.addf %o, %m : f32
    linalg.yield %n : f32
  } -> tensor<12x?x?xf32>
  return %s : tensor<12x?x?xf32>
}

// An operand that is contiguous along the lanes stays.
// CHECK-LABEL: func.func @contiguous
// CHECK-COUNT-1: linalg.generic
// CHECK-NOT:     linalg.generic
func.func @contiguous(%q: tensor<12x32x64xf32>, %v: tensor<12x64x32xf32>, %init: tensor<12x32x32xf32>) -> tensor<12x32x32xf32> {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%init : tensor<12x32x32xf32>) -> tensor<12x32x32xf32>
  %s = linalg.generic {indexing_maps = [#q, #kt, #out], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %v : tensor<12x32x64xf32>, tensor<12x64x32xf32>) outs(%f : tensor<12x32x32xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    %n = arith.addf %o, %m : f32
    linalg.yield %n : f32
  } -> tensor<12x32x32xf32>
  return %s : tensor<12x32x32xf32>
}

// A constant is left to PackWeights, which moves it when the library is written.
// CHECK-LABEL: func.func @constant
// CHECK:         %[[W:.*]] = core.constant
// CHECK:         linalg.generic {indexing_maps = [#{{.*}}, #[[$K]], #{{.*}}], {{.*}} ins(%{{.*}}, %[[W]] :
// CHECK-NOT:     linalg.generic
func.func @constant(%q: tensor<12x32x64xf32>, %init: tensor<12x32x32xf32>) -> tensor<12x32x32xf32> {
  %zero = arith.constant 0.0 : f32
  %w = core.constant dense<1.0> : tensor<12x32x64xf32>
  %f = linalg.fill ins(%zero : f32) outs(%init : tensor<12x32x32xf32>) -> tensor<12x32x32xf32>
  %s = linalg.generic {indexing_maps = [#q, #k, #out], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %w : tensor<12x32x64xf32>, tensor<12x32x64xf32>) outs(%f : tensor<12x32x32xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    %n = arith.addf %o, %m : f32
    linalg.yield %n : f32
  } -> tensor<12x32x32xf32>
  return %s : tensor<12x32x32xf32>
}
