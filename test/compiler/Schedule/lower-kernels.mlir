// If this failed, kernels would stay scalar, lose their tasks, or read memory beyond a buffer's end.
// RUN: %mlc-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(lower-kernels,canonicalize,cse))' | FileCheck %s

// A contiguous op is one loop, whatever its rank; the rest of 1003 = 31 * 32 + 11 is masked.
// CHECK-LABEL: func.func private @flat
// CHECK:         %[[X:.*]] = memref.reinterpret_cast %{{.*}} to offset: [0], sizes: [1003], strides: [1]
// CHECK:         scf.for %[[I:.*]] = %c0 to %c992 step %c32
// CHECK:           %[[V:.*]] = vector.load %[[X]][%[[I]]] : memref<1003xf32>, vector<32xf32>
// CHECK:           arith.addf %[[V]], %cst{{.*}} : vector<32xf32>
// CHECK:         vector.constant_mask [11] : vector<16xi1>
// CHECK:         vector.maskedload
// CHECK:         vector.maskedstore
func.func private @flat(%x: memref<17x59xf32>, %y: memref<17x59xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>,
    sched.tiling = #sched.tiling<task = [0, 0], lanes = 16, vectors = 2, rows = 1, row_loop = -1, lane_loop = 1>} {
  %one = arith.constant 1.0 : f32
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<17x59xf32>) outs(%y : memref<17x59xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.addf %a, %one : f32
    linalg.yield %s : f32
  }
  return
}

// -----

// The plan's tasks: 2 of 4 rows make 2 tasks. A row's bias is a scalar until it meets a vector.
// CHECK-LABEL: func.func private @tasks
// CHECK:         scf.forall (%[[T:.*]]) in (2)
// CHECK:           scf.for
// CHECK:             %[[B:.*]] = memref.load %{{.*}} : memref<4xf32>
// CHECK:             vector.broadcast %[[B]] : f32 to vector<32xf32>
func.func private @tasks(%x: memref<4x64xf32>, %b: memref<4xf32>, %y: memref<4x64xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>,
    sched.tiling = #sched.tiling<task = [2, 0], lanes = 16, vectors = 2, rows = 1, row_loop = -1, lane_loop = 1>} {
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>],
      iterator_types = ["parallel", "parallel"]} ins(%x, %b : memref<4x64xf32>, memref<4xf32>) outs(%y : memref<4x64xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  }
  return
}

// -----

// An input across the lanes: rows of it are loaded and transposed by shuffles, nothing is gathered.
// CHECK-LABEL: func.func private @transpose
// CHECK-COUNT-4: vector.load %{{.*}} : memref<8x8xf32>, vector<4xf32>
// CHECK-COUNT-8: vector.shuffle
// CHECK-COUNT-4: vector.store %{{.*}} : memref<8x8xf32>, vector<4xf32>
// CHECK-NOT:     memref.load
func.func private @transpose(%x: memref<8x8xf32>, %y: memref<8x8xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>,
    sched.tiling = #sched.tiling<task = [0, 0], lanes = 4, vectors = 1, rows = 1, row_loop = -1, lane_loop = 1>} {
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<8x8xf32>) outs(%y : memref<8x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  }
  return
}

// -----

// exp and the sum of it are one stage; the row scalars are values, and nothing is allocated.
// CHECK-LABEL: func.func private @stages
// CHECK-NOT:     memref.alloc
// CHECK:         scf.for
// CHECK:           %[[SUMS:.*]] = scf.for %{{.*}} iter_args(%[[SUM:.*]] = %{{.*}}) -> (vector<32xf32>)
// CHECK:             %[[E:.*]] = math.exp
// CHECK:             vector.store %[[E]]
// CHECK:             arith.addf %[[E]], %[[SUM]] : vector<32xf32>
// CHECK:           vector.extract_strided_slice
// CHECK:           arith.addf %{{.*}}, %{{.*}} : f32
// CHECK-NEXT:      %[[TOTAL:.*]] = arith.addf %{{.*}}, %{{.*}} : f32
// CHECK-NEXT:      scf.for
// CHECK:             vector.broadcast %[[TOTAL]]
// CHECK:             arith.divf
func.func private @stages(%x: memref<?x64xf32>, %e: memref<?x64xf32>, %y: memref<?x64xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<rows>,
    sched.tiling = #sched.tiling<task = [0, 0], lanes = 16, vectors = 2, rows = 1, row_loop = -1, lane_loop = 1>} {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = memref.dim %x, %c0 : memref<?x64xf32>
  %s = memref.alloc(%n) : memref<?xf32>
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<?x64xf32>) outs(%e : memref<?x64xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = math.exp %a : f32
    linalg.yield %r : f32
  }
  linalg.fill ins(%zero : f32) outs(%s : memref<?xf32>)
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]}
      ins(%e : memref<?x64xf32>) outs(%s : memref<?xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.addf %a, %o : f32
    linalg.yield %r : f32
  }
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>],
      iterator_types = ["parallel", "parallel"]} ins(%e, %s : memref<?x64xf32>, memref<?xf32>) outs(%y : memref<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.divf %a, %b : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Without a plan everything is plain scalar loops: the reference that tests compare with.
// CHECK-LABEL: func.func private @naive
// CHECK-NOT:     vector
// CHECK:         scf.forall
// CHECK:           scf.for
// CHECK:             memref.load
// CHECK:             memref.store
func.func private @naive(%x: memref<?x4xf32>, %y: memref<?x4xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>} {
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<?x4xf32>) outs(%y : memref<?x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.negf %a : f32
    linalg.yield %r : f32
  }
  return
}

// -----

// Bools are bytes in memory: vector<16xi1> would be 16 bits.
// CHECK-LABEL: func.func private @bools
// CHECK:         vector.load %{{.*}} : memref<64xi8>, vector<16xi8>
// CHECK:         arith.trunci %{{.*}} : vector<16xi8> to vector<16xi1>
// CHECK:         arith.extui %{{.*}} : vector<16xi1> to vector<16xi8>
// CHECK:         vector.store %{{.*}} : memref<64xi8>, vector<16xi8>
func.func private @bools(%x: memref<64xi1>, %y: memref<64xi1>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>,
    sched.tiling = #sched.tiling<task = [0], lanes = 16, vectors = 1, rows = 1, row_loop = -1, lane_loop = 0>} {
  %true = arith.constant true
  linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
      ins(%x : memref<64xi1>) outs(%y : memref<64xi1>) {
  ^bb0(%a: i1, %o: i1):
    %r = arith.xori %a, %true : i1
    linalg.yield %r : i1
  }
  return
}

// -----

// Stride 2 along the lanes (a pool's window): two loads and a shuffle. The window is in registers, its 3 steps unrolled.
// CHECK-LABEL: func.func private @window
// CHECK-NOT:     memref.load
// CHECK-COUNT-3: vector.shuffle %{{.*}}, %{{.*}} [0, 2, 5, 7] : vector<4xf32>, vector<4xf32>
// CHECK:         vector.store
func.func private @window(%x: memref<9xf32>, %w: memref<3xf32>, %y: memref<4xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<loops>,
    sched.tiling = #sched.tiling<task = [0], lanes = 4, vectors = 1, rows = 1, row_loop = -1, lane_loop = 0>} {
  %low = arith.constant 0xFF800000 : f32
  linalg.fill ins(%low : f32) outs(%y : memref<4xf32>)
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0 * 2 + d1)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0)>],
      iterator_types = ["parallel", "reduction"]} ins(%x, %w : memref<9xf32>, memref<3xf32>) outs(%y : memref<4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.maximumf %a, %o : f32
    linalg.yield %r : f32
  }
  return
}
