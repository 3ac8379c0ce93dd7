// If this failed, every pointwise op would be a pass over memory, or a value would be computed again for each of its uses.
// RUN: %mlc-opt %s --fuse-elementwise | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>
#t = affine_map<(d0, d1) -> (d1, d0)>
#row = affine_map<(d0, d1) -> (d0)>
#column = affine_map<(d0, d1) -> (d1)>
#flat = affine_map<(d0) -> (d0)>
#window = affine_map<(d0, d1) -> (d0 + d1)>
#lhs = affine_map<(d0, d1, d2) -> (d0, d2)>
#rhs = affine_map<(d0, d1, d2) -> (d2, d1)>
#out = affine_map<(d0, d1, d2) -> (d0, d1)>

// CHECK-DAG: #[[$T:.*]] = affine_map<(d0, d1) -> (d1, d0)>
// CHECK-DAG: #[[$COLUMN:.*]] = affine_map<(d0, d1) -> (d1)>
// CHECK-DAG: #[[$LHS:.*]] = affine_map<(d0, d1, d2) -> (d0, d2)>

// exp, then add: one generic with both bodies.
// CHECK-LABEL: func.func @chain
// CHECK-COUNT-1: linalg.generic
// CHECK:         math.exp
// CHECK:         arith.addf
// CHECK-NOT:     linalg.generic
func.func @chain(%x: tensor<?x8xf32>, %c: tensor<?x8xf32>, %init: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x8xf32>) outs(%init : tensor<?x8xf32>) {
  ^bb0(%l: f32, %o: f32):
    %e = math.exp %l : f32
    linalg.yield %e : f32
  } -> tensor<?x8xf32>
  %y = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%a, %c : tensor<?x8xf32>, tensor<?x8xf32>) outs(%init : tensor<?x8xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %s = arith.addf %l, %r : f32
    linalg.yield %s : f32
  } -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// A transpose and a broadcast are indexing maps of their consumer.
// CHECK-LABEL: func.func @maps
// CHECK-SAME:    (%[[X:.*]]: tensor<8x4xf32>, %[[B:.*]]: tensor<8xf32>, %{{.*}}: tensor<4x8xf32>)
// CHECK:         linalg.generic {indexing_maps = [#[[$T]], #[[$COLUMN]], #{{.*}}], {{.*}}} ins(%[[X]], %[[B]] :
// CHECK-NOT:     linalg.generic
func.func @maps(%x: tensor<8x4xf32>, %b: tensor<8xf32>, %init: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %t = linalg.generic {indexing_maps = [#t, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<8x4xf32>) outs(%init : tensor<4x8xf32>) {
  ^bb0(%l: f32, %o: f32):
    linalg.yield %l : f32
  } -> tensor<4x8xf32>
  %s = linalg.generic {indexing_maps = [#column, #id], iterator_types = ["parallel", "parallel"]} ins(%b : tensor<8xf32>) outs(%init : tensor<4x8xf32>) {
  ^bb0(%l: f32, %o: f32):
    linalg.yield %l : f32
  } -> tensor<4x8xf32>
  %y = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%t, %s : tensor<4x8xf32>, tensor<4x8xf32>) outs(%init : tensor<4x8xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %a = arith.addf %l, %r : f32
    linalg.yield %a : f32
  } -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// With two users the producer stays: it would be computed twice.
// CHECK-LABEL: func.func @two_users
// CHECK-COUNT-3: linalg.generic
func.func @two_users(%x: tensor<4x8xf32>, %init: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<4x8xf32>) outs(%init : tensor<4x8xf32>) {
  ^bb0(%l: f32, %o: f32):
    %e = math.exp %l : f32
    linalg.yield %e : f32
  } -> tensor<4x8xf32>
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%a : tensor<4x8xf32>) outs(%init : tensor<4x8xf32>) {
  ^bb0(%l: f32, %o: f32):
    %s = arith.negf %l : f32
    linalg.yield %s : f32
  } -> tensor<4x8xf32>
  %z = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%a : tensor<4x8xf32>) outs(%init : tensor<4x8xf32>) {
  ^bb0(%l: f32, %o: f32):
    %s = math.tanh %l : f32
    linalg.yield %s : f32
  } -> tensor<4x8xf32>
  return %y, %z : tensor<4x8xf32>, tensor<4x8xf32>
}

// Into a reduction along its rows: exp is computed once for each element.
// CHECK-LABEL: func.func @into_rows
// CHECK-COUNT-1: linalg.generic
// CHECK:         math.exp
// CHECK:         arith.addf
// CHECK-NOT:     linalg.generic
func.func @into_rows(%x: tensor<?x64xf32>, %init: tensor<?x64xf32>, %v: tensor<?xf32>) -> tensor<?xf32> {
  %zero = arith.constant 0.0 : f32
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x64xf32>) outs(%init : tensor<?x64xf32>) {
  ^bb0(%l: f32, %o: f32):
    %e = math.exp %l : f32
    linalg.yield %e : f32
  } -> tensor<?x64xf32>
  %f = linalg.fill ins(%zero : f32) outs(%v : tensor<?xf32>) -> tensor<?xf32>
  %s = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]} ins(%a : tensor<?x64xf32>) outs(%f : tensor<?xf32>) {
  ^bb0(%l: f32, %o: f32):
    %r = arith.addf %o, %l : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  return %s : tensor<?xf32>
}

// Not into a contraction, where exp would be computed once for each column of the result; a copy that keeps the innermost
// dimension is only a map, and does join.
// CHECK-LABEL: func.func @into_contraction
// CHECK-SAME:    %[[W:[^:]*]]: tensor<8x16xf32>
// CHECK:         %[[E:.*]] = linalg.generic
// CHECK:           math.exp
// CHECK:         linalg.generic {indexing_maps = [#[[$LHS]], {{.*}} ins(%[[E]], %[[W]] :
func.func @into_contraction(%w: tensor<8x16xf32>, %x: tensor<4x8xf32>, %init: tensor<4x8xf32>, %wide: tensor<8x16xf32>, %c: tensor<4x16xf32>) -> tensor<4x16xf32> {
  %zero = arith.constant 0.0 : f32
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<4x8xf32>) outs(%init : tensor<4x8xf32>) {
  ^bb0(%l: f32, %o: f32):
    %e = math.exp %l : f32
    linalg.yield %e : f32
  } -> tensor<4x8xf32>
  %b = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%w : tensor<8x16xf32>) outs(%wide : tensor<8x16xf32>) {
  ^bb0(%l: f32, %o: f32):
    linalg.yield %l : f32
  } -> tensor<8x16xf32>
  %f = linalg.fill ins(%zero : f32) outs(%c : tensor<4x16xf32>) -> tensor<4x16xf32>
  %s = linalg.generic {indexing_maps = [#lhs, #rhs, #out], iterator_types = ["parallel", "parallel", "reduction"]} ins(%a, %b : tensor<4x8xf32>, tensor<8x16xf32>) outs(%f : tensor<4x16xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    %n = arith.addf %o, %m : f32
    linalg.yield %n : f32
  } -> tensor<4x16xf32>
  return %s : tensor<4x16xf32>
}

// Not into overlapping windows: each element would be computed once for each window.
// CHECK-LABEL: func.func @into_windows
// CHECK-COUNT-2: linalg.generic
func.func @into_windows(%x: tensor<10xf32>, %init: tensor<10xf32>, %w: tensor<3xf32>, %v: tensor<8xf32>) -> tensor<8xf32> {
  %zero = arith.constant 0.0 : f32
  %a = linalg.generic {indexing_maps = [#flat, #flat], iterator_types = ["parallel"]} ins(%x : tensor<10xf32>) outs(%init : tensor<10xf32>) {
  ^bb0(%l: f32, %o: f32):
    %e = math.exp %l : f32
    linalg.yield %e : f32
  } -> tensor<10xf32>
  %f = linalg.fill ins(%zero : f32) outs(%v : tensor<8xf32>) -> tensor<8xf32>
  %s = linalg.generic {indexing_maps = [#window, #column, #row], iterator_types = ["parallel", "reduction"]} ins(%a, %w : tensor<10xf32>, tensor<3xf32>) outs(%f : tensor<8xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.maximumf %o, %l : f32
    linalg.yield %m : f32
  } -> tensor<8xf32>
  return %s : tensor<8xf32>
}

// -----
// Nothing to compute: an open size that is 0 once sizes are folded. Upstream's patterns rewrote its destination for ever.
// CHECK-LABEL: func.func @no_elements
// CHECK:         %[[E:.*]] = tensor.empty() : tensor<0x4xf32>
// CHECK:         %[[C:.*]] = tensor.cast %[[E]]
// CHECK-NOT:     linalg.generic
// CHECK:         return %[[C]]
func.func @no_elements(%arg0: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %e = tensor.empty() : tensor<0x4xf32>
  %c = tensor.cast %e : tensor<0x4xf32> to tensor<?x4xf32>
  %c0 = arith.constant 0 : index
  %d = tensor.dim %c, %c0 : tensor<?x4xf32>
  %init = tensor.empty(%d) : tensor<?x4xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%c : tensor<?x4xf32>) outs(%init : tensor<?x4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %n = arith.negf %a : f32
    linalg.yield %n : f32
  } -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----
// A size of a result is that of its destination, not of operands of operands: those of a deep network end at its input only.
// CHECK-LABEL: func.func @dim_of_result
// CHECK-SAME:    (%{{.*}}: tensor<?xf32>, %[[N:.*]]: index)
// CHECK:         return %{{.*}}, %[[N]]
func.func @dim_of_result(%x: tensor<?xf32>, %n: index) -> (tensor<?xf32>, index) {
  %c0 = arith.constant 0 : index
  %empty = tensor.empty(%n) : tensor<?xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%x : tensor<?xf32>) outs(%empty : tensor<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %m = arith.negf %a : f32
    linalg.yield %m : f32
  } -> tensor<?xf32>
  %d = tensor.dim %y, %c0 : tensor<?xf32>
  return %y, %d : tensor<?xf32>, index
}
