// If this failed, kernels would be split where one pass over memory suffices, or grouped in an order that no schedule can keep.
// RUN: %mlc-opt %s --group-ops | FileCheck %s
// RUN: %mlc-opt %s --group-ops=alone | FileCheck %s --check-prefix=ALONE

#id = affine_map<(d0, d1) -> (d0, d1)>
#t = affine_map<(d0, d1) -> (d1, d0)>
#row = affine_map<(d0, d1) -> (d0)>
#column = affine_map<(d0, d1) -> (d1)>
#vector = affine_map<(d0) -> (d0)>
#lhs = affine_map<(d0, d1, d2) -> (d0, d2)>
#rhs = affine_map<(d0, d1, d2) -> (d2, d1)>
#out = affine_map<(d0, d1, d2) -> (d0, d1)>

// A contraction takes the pointwise op that is its only user; a second one is a kernel of its own.
// CHECK-LABEL: func.func @epilogue
// CHECK:         "reduction"]} {{.*}} attrs = {sched.group = [[#G:]] : i64, sched.kind = #sched.kind<contract>}
// CHECK:         "parallel"]} {{.*}} attrs = {sched.group = [[#G]] : i64}
// CHECK:         "parallel"]} {{.*}} attrs = {sched.group = [[#G + 1]] : i64, sched.kind = #sched.kind<pointwise>}
// ALONE-LABEL: func.func @epilogue
// ALONE-COUNT-3: sched.kind
func.func @epilogue(%x: tensor<?x8xf32>, %w: tensor<8x16xf32>, %b: tensor<16xf32>, %init: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%init : tensor<?x16xf32>) -> tensor<?x16xf32>
  %c = linalg.generic {indexing_maps = [#lhs, #rhs, #out], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<?x8xf32>, tensor<8x16xf32>) outs(%f : tensor<?x16xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<?x16xf32>
  %y = linalg.generic {indexing_maps = [#id, #column, #id], iterator_types = ["parallel", "parallel"]}
      ins(%c, %b : tensor<?x16xf32>, tensor<16xf32>) outs(%init : tensor<?x16xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %s = arith.addf %l, %r : f32
    linalg.yield %s : f32
  } -> tensor<?x16xf32>
  %z = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%y : tensor<?x16xf32>) outs(%init : tensor<?x16xf32>) {
  ^bb0(%l: f32, %o: f32):
    %s = math.exp %l : f32
    linalg.yield %s : f32
  } -> tensor<?x16xf32>
  return %z : tensor<?x16xf32>
}

// A contraction whose result has two users takes no epilogue: it must be in memory anyway.
// CHECK-LABEL: func.func @two_users
// CHECK:         sched.group = [[#G:]] : i64, sched.kind = #sched.kind<contract>
// CHECK:         sched.group = [[#G + 1]] : i64, sched.kind = #sched.kind<pointwise>
func.func @two_users(%x: tensor<4x8xf32>, %w: tensor<8x16xf32>, %init: tensor<4x16xf32>) -> (tensor<4x16xf32>, tensor<4x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%init : tensor<4x16xf32>) -> tensor<4x16xf32>
  %c = linalg.generic {indexing_maps = [#lhs, #rhs, #out], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<4x8xf32>, tensor<8x16xf32>) outs(%f : tensor<4x16xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<4x16xf32>
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%c : tensor<4x16xf32>) outs(%init : tensor<4x16xf32>) {
  ^bb0(%l: f32, %o: f32):
    %s = math.exp %l : f32
    linalg.yield %s : f32
  } -> tensor<4x16xf32>
  return %c, %y : tensor<4x16xf32>, tensor<4x16xf32>
}

// The sum, and what divides rows by it, walk the same rows: one group (a softmax's second half).
// CHECK-LABEL: func.func @rows
// CHECK:         sched.group = [[#G:]] : i64, sched.kind = #sched.kind<rows>
// CHECK:         attrs = {sched.group = [[#G]] : i64}
func.func @rows(%x: tensor<?x64xf32>, %v: tensor<?xf32>, %init: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%v : tensor<?xf32>) -> tensor<?xf32>
  %s = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<?x64xf32>) outs(%f : tensor<?xf32>) {
  ^bb0(%l: f32, %o: f32):
    %r = arith.addf %o, %l : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  %y = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %s : tensor<?x64xf32>, tensor<?xf32>) outs(%init : tensor<?x64xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %d = arith.divf %l, %r : f32
    linalg.yield %d : f32
  } -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// A second reduction of the same rows joins through the input that they share; it is in the same pass over memory.
// CHECK-LABEL: func.func @shared_input
// CHECK:         sched.group = [[#G:]] : i64, sched.kind = #sched.kind<rows>
// CHECK:         attrs = {sched.group = [[#G]] : i64}
func.func @shared_input(%x: tensor<4x64xf32>, %v: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%v : tensor<4xf32>) -> tensor<4xf32>
  %s = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<4x64xf32>) outs(%f : tensor<4xf32>) {
  ^bb0(%l: f32, %o: f32):
    %r = arith.addf %o, %l : f32
    linalg.yield %r : f32
  } -> tensor<4xf32>
  %m = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<4x64xf32>) outs(%f : tensor<4xf32>) {
  ^bb0(%l: f32, %o: f32):
    %r = arith.maximumf %o, %l : f32
    linalg.yield %r : f32
  } -> tensor<4xf32>
  return %s, %m : tensor<4xf32>, tensor<4xf32>
}

// sum(x * w * b) and sum(z * w * b) share vectors, which have no rows: x and z may have different numbers of them.
// CHECK-LABEL: func.func @shared_vector
// CHECK:         sched.group = [[#G:]] : i64, sched.kind = #sched.kind<rows>
// CHECK:         sched.group = [[#G + 1]] : i64, sched.kind = #sched.kind<rows>
func.func @shared_vector(%x: tensor<?x64xf32>, %z: tensor<?x64xf32>, %w: tensor<64xf32>, %b: tensor<64xf32>, %v: tensor<?xf32>, %u: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>) {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%v : tensor<?xf32>) -> tensor<?xf32>
  %g = linalg.fill ins(%zero : f32) outs(%u : tensor<?xf32>) -> tensor<?xf32>
  %s = linalg.generic {indexing_maps = [#id, #column, #column, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x, %w, %b : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>) outs(%f : tensor<?xf32>) {
  ^bb0(%l: f32, %m: f32, %n: f32, %o: f32):
    %p = arith.mulf %l, %m : f32
    %q = arith.mulf %p, %n : f32
    %r = arith.addf %o, %q : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  %t = linalg.generic {indexing_maps = [#id, #column, #column, #row], iterator_types = ["parallel", "reduction"]}
      ins(%z, %w, %b : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>) outs(%g : tensor<?xf32>) {
  ^bb0(%l: f32, %m: f32, %n: f32, %o: f32):
    %p = arith.mulf %l, %m : f32
    %q = arith.mulf %p, %n : f32
    %r = arith.addf %o, %q : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  return %s, %t : tensor<?xf32>, tensor<?xf32>
}

// The transposed use of a row scalar, along the columns, needs all rows first: another group.
// CHECK-LABEL: func.func @across
// CHECK:         sched.group = [[#G:]] : i64, sched.kind = #sched.kind<rows>
// CHECK:         sched.group = [[#G + 1]] : i64, sched.kind = #sched.kind<pointwise>
func.func @across(%x: tensor<64x64xf32>, %v: tensor<64xf32>, %init: tensor<64x64xf32>) -> tensor<64x64xf32> {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%v : tensor<64xf32>) -> tensor<64xf32>
  %s = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<64x64xf32>) outs(%f : tensor<64xf32>) {
  ^bb0(%l: f32, %o: f32):
    %r = arith.addf %o, %l : f32
    linalg.yield %r : f32
  } -> tensor<64xf32>
  %y = linalg.generic {indexing_maps = [#id, #column, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %s : tensor<64x64xf32>, tensor<64xf32>) outs(%init : tensor<64x64xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %d = arith.divf %l, %r : f32
    linalg.yield %d : f32
  } -> tensor<64x64xf32>
  return %y : tensor<64x64xf32>
}

// x / s + p, with p a transpose (not of rows) of s's broadcast: p runs between the two, so they cannot be one kernel.
// CHECK-LABEL: func.func @cycle
// CHECK:         sched.group = [[#G:]] : i64, sched.kind = #sched.kind<rows>
// CHECK:         sched.group = [[#G + 1]] : i64, sched.kind = #sched.kind<pointwise>
// CHECK:         sched.group = [[#G + 2]] : i64, sched.kind = #sched.kind<pointwise>
func.func @cycle(%x: tensor<64x64xf32>, %v: tensor<64xf32>, %init: tensor<64x64xf32>) -> tensor<64x64xf32> {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%v : tensor<64xf32>) -> tensor<64xf32>
  %s = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<64x64xf32>) outs(%f : tensor<64xf32>) {
  ^bb0(%l: f32, %o: f32):
    %r = arith.addf %o, %l : f32
    linalg.yield %r : f32
  } -> tensor<64xf32>
  %p = linalg.generic {indexing_maps = [#column, #id], iterator_types = ["parallel", "parallel"]} ins(%s : tensor<64xf32>) outs(%init : tensor<64x64xf32>) {
  ^bb0(%l: f32, %o: f32):
    %e = math.exp %l : f32
    linalg.yield %e : f32
  } -> tensor<64x64xf32>
  %y = linalg.generic {indexing_maps = [#row, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%s, %p : tensor<64xf32>, tensor<64x64xf32>) outs(%init : tensor<64x64xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %d = arith.addf %l, %r : f32
    linalg.yield %d : f32
  } -> tensor<64x64xf32>
  return %y : tensor<64x64xf32>
}

// A sum of columns has no row to stay in: it is tiled as a contraction. A gather is plain loops.
// CHECK-LABEL: func.func @kinds
// CHECK:         sched.kind = #sched.kind<contract>
// CHECK:         sched.kind = #sched.kind<loops>
func.func @kinds(%x: tensor<64x?xf32>, %v: tensor<?xf32>, %i: tensor<?xindex>) -> (tensor<?xf32>, tensor<?xf32>) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %f = linalg.fill ins(%zero : f32) outs(%v : tensor<?xf32>) -> tensor<?xf32>
  %s = linalg.generic {indexing_maps = [#t, #row], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<64x?xf32>) outs(%f : tensor<?xf32>) {
  ^bb0(%l: f32, %o: f32):
    %r = arith.addf %o, %l : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  %g = linalg.generic {indexing_maps = [#vector, #vector], iterator_types = ["parallel"]} ins(%i : tensor<?xindex>) outs(%v : tensor<?xf32>) {
  ^bb0(%l: index, %o: f32):
    %e = tensor.extract %x[%c0, %l] : tensor<64x?xf32>
    linalg.yield %e : f32
  } -> tensor<?xf32>
  return %s, %g : tensor<?xf32>, tensor<?xf32>
}
