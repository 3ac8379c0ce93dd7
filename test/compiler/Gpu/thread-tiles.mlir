// RUN: %mlc-opt %s --pass-pipeline='builtin.module(func.func(plan-tiling{machine=cuda},lower-kernels,canonicalize,cse))' | FileCheck %s
// If this fails, neighbouring threads no longer read neighbouring elements, or a GPU kernel has too few threads.

// 4 x 4 results for each thread, columns counted first. Rows beyond the end are computed as the last one, and not stored.
// CHECK-LABEL: func.func private @tiles(
// CHECK-SAME: task = [4, 4, 1], lanes = 1, vectors = 4, rows = 4
// CHECK: scf.forall (%[[T:.*]]) in
// CHECK: arith.remui %[[T]], %[[COLUMNS:.*]] : index
// CHECK: arith.divui %[[T]], %[[COLUMNS]] : index
// CHECK: arith.minui
// CHECK: scf.for
// CHECK-COUNT-16: math.fma
// CHECK-NOT: math.fma
// CHECK-COUNT-4: memref.store
// CHECK: %[[EXISTS:.*]] = arith.cmpi ugt
// CHECK: scf.if %[[EXISTS]]
// CHECK: memref.store
func.func private @tiles(%x: memref<?x64xf32>, %w: memref<64x4096xf32>, %y: memref<?x4096xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>} {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<?x4096xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>, affine_map<(i, j, k) -> (i, j)>],
                  iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<?x64xf32>, memref<64x4096xf32>) outs(%y : memref<?x4096xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %c, %m : f32
    linalg.yield %s : f32
  }
  return
}

// With few results a thread has one of them, so that there are enough threads.
// CHECK-LABEL: func.func private @few(
// CHECK-SAME: task = [1, 1, 1], lanes = 1, vectors = 1, rows = 1
// CHECK: scf.forall (%{{.*}}) in (4096)
func.func private @few(%x: memref<64x64xf32>, %w: memref<64x64xf32>, %y: memref<64x64xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>} {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<64x64xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>, affine_map<(i, j, k) -> (i, j)>],
                  iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<64x64xf32>, memref<64x64xf32>) outs(%y : memref<64x64xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %c, %m : f32
    linalg.yield %s : f32
  }
  return
}

// One element, one row: a thread each.
// CHECK-LABEL: func.func private @element(
// CHECK: scf.forall (%{{.*}}) in (120)
// CHECK: memref.load
func.func private @element(%x: memref<4x30xf32>, %y: memref<4x30xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>} {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<4x30xf32>) outs(%y : memref<4x30xf32>) {
  ^bb0(%a: f32, %o: f32):
    %n = arith.negf %a : f32
    linalg.yield %n : f32
  }
  return
}

// CHECK-LABEL: func.func private @row(
// CHECK: scf.forall (%{{.*}}) in (4)
// CHECK: scf.for
func.func private @row(%x: memref<4x30xf32>, %y: memref<4xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<rows>} {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<4xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<4x30xf32>) outs(%y : memref<4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.addf %o, %a : f32
    linalg.yield %s : f32
  }
  return
}
