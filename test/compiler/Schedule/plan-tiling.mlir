// If this failed, kernels would be correct and slow: too few accumulators, spilled ones, or tasks too small to be worth a fork.
// RUN: %mlc-opt %s --pass-pipeline='builtin.module(func.func(plan-tiling{machine=avx512}))' | FileCheck %s --check-prefixes=CHECK,AVX512
// RUN: %mlc-opt %s --pass-pipeline='builtin.module(func.func(plan-tiling{machine=avx2}))' | FileCheck %s --check-prefixes=CHECK,AVX2
// RUN: %mlc-opt %s --pass-pipeline='builtin.module(func.func(plan-tiling{machine=sse2}))' | FileCheck %s --check-prefixes=CHECK,SSE2
// RUN: %mlc-opt %s --pass-pipeline='builtin.module(func.func(plan-tiling{machine=cuda}))' | FileCheck %s --check-prefixes=CHECK,CUDA

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
#lhs = affine_map<(d0, d1, d2) -> (d0, d2)>
#rhs = affine_map<(d0, d1, d2) -> (d2, d1)>
#out = affine_map<(d0, d1, d2) -> (d0, d1)>

// 8 x 2 vectors of accumulators; 16 registers leave 6 rows (rows * 2 + 2 + 1 <= 16). A task is a panel of columns. A GPU's task is a
// thread with a tile of 2 x 2: there would be too few threads with 4 x 4.
// CHECK-LABEL: @matmul(
// AVX512-SAME:  task = [0, 32, 0], lanes = 16, vectors = 2, rows = 8,
// AVX2-SAME:    task = [0, 16, 0], lanes = 8, vectors = 2, rows = 6,
// SSE2-SAME:    task = [0, 8, 0], lanes = 4, vectors = 2, rows = 6,
// CUDA-SAME:    task = [2, 2, 1], lanes = 1, vectors = 2, rows = 2,
func.func private @matmul(%x: memref<128x768xf32>, %w: memref<768x768xf32>, %y: memref<128x768xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>} {
  linalg.generic {indexing_maps = [#lhs, #rhs, #out], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<128x768xf32>, memref<768x768xf32>) outs(%y : memref<128x768xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// 49 rows in the fewest tiles, as even as possible: 7 tiles of 7, not 6 of 8 and one of 1.
// CHECK-LABEL: @rows_49(
// AVX512-SAME:  rows = 7,
// AVX2-SAME:    rows = 6,
func.func private @rows_49(%x: memref<49x256xf32>, %w: memref<256x256xf32>, %y: memref<49x256xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>} {
  linalg.generic {indexing_maps = [#lhs, #rhs, #out], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<49x256xf32>, memref<256x256xf32>) outs(%y : memref<49x256xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// An unknown number of rows takes the largest tile; a task is 4 of them, or a multiple. Panels go in pairs: there may be few rows.
// CHECK-LABEL: @rows_unknown(
// AVX512-SAME:  task = [32, 64, 0], lanes = 16, vectors = 2, rows = 8,
// AVX2-SAME:    task = [72, 32, 0], lanes = 8, vectors = 2, rows = 6,
func.func private @rows_unknown(%x: memref<?x256xf32>, %w: memref<256x256xf32>, %y: memref<?x256xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>} {
  linalg.generic {indexing_maps = [#lhs, #rhs, #out], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<?x256xf32>, memref<256x256xf32>) outs(%y : memref<?x256xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// Two rows have too few sums in flight: 4 vectors each.
// CHECK-LABEL: @skinny(
// AVX512-SAME:  task = [0, 64, 0], lanes = 16, vectors = 4, rows = 2,
// AVX2-SAME:    task = [0, 32, 0], lanes = 8, vectors = 4, rows = 2,
func.func private @skinny(%x: memref<2x4096xf32>, %w: memref<4096x4096xf32>, %y: memref<2x4096xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>} {
  linalg.generic {indexing_maps = [#lhs, #rhs, #out], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<2x4096xf32>, memref<4096x4096xf32>) outs(%y : memref<2x4096xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// 10 columns: one vector of 16, or two of 8.
// CHECK-LABEL: @narrow(
// AVX512-SAME:  lanes = 16, vectors = 1, rows = 16,
// AVX2-SAME:    lanes = 8, vectors = 2, rows = 6,
func.func private @narrow(%x: memref<64x256xf32>, %w: memref<256x10xf32>, %y: memref<64x10xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>} {
  linalg.generic {indexing_maps = [#lhs, #rhs, #out], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<64x256xf32>, memref<256x10xf32>) outs(%y : memref<64x10xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// Too little work to hand over: no tasks, except on a GPU.
// CHECK-LABEL: @small(
// AVX512-SAME:  task = [0, 0, 0],
// AVX2-SAME:    task = [0, 0, 0],
// CUDA-SAME:    task = [1, 1, 1], lanes = 1, vectors = 1, rows = 1,
func.func private @small(%x: memref<8x8xf32>, %w: memref<8x32xf32>, %y: memref<8x32xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>} {
  linalg.generic {indexing_maps = [#lhs, #rhs, #out], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<8x8xf32>, memref<8x32xf32>) outs(%y : memref<8x32xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// Lanes by element.
// CHECK-LABEL: @half(
// AVX512-SAME:  lanes = 32,
// AVX2-SAME:    lanes = 16,
// SSE2-SAME:    lanes = 8,
func.func private @half(%x: memref<64x256xf16>, %w: memref<256x256xf16>, %y: memref<64x256xf16>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>} {
  linalg.generic {indexing_maps = [#lhs, #rhs, #out], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<64x256xf16>, memref<256x256xf16>) outs(%y : memref<64x256xf16>) {
  ^bb0(%l: f16, %r: f16, %o: f16):
    %m = arith.mulf %l, %r : f16
    %s = arith.addf %o, %m : f16
    linalg.yield %s : f16
  }
  return
}

// QK^T without a packed K: rows of the result are contiguous, whatever the operands are.
// CHECK-LABEL: @strided(
// CHECK-SAME:   row_loop = 0, lane_loop = 1>
func.func private @strided(%q: memref<64x64xf32>, %k: memref<64x64xf32>, %y: memref<64x64xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>} {
  linalg.generic {indexing_maps = [#lhs, affine_map<(d0, d1, d2) -> (d1, d2)>, #out], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%q, %k : memref<64x64xf32>, memref<64x64xf32>) outs(%y : memref<64x64xf32>) {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %m = arith.mulf %l, %r : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }
  return
}

// Pointwise: lanes are the last loop; the outer loop is cut into tasks of about 20000 operations, at most 16. A thread of a
// GPU makes one element.
// CHECK-LABEL: @pointwise(
// AVX512-SAME:  task = [64, 0], lanes = 16, vectors = 2, rows = 1,
// AVX2-SAME:    task = [64, 0], lanes = 8, vectors = 2, rows = 1,
// CUDA-SAME:    task = [1, 1], lanes = 1, vectors = 1, rows = 1,
func.func private @pointwise(%x: memref<1024x1024xf32>, %y: memref<1024x1024xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>} {
  linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : memref<1024x1024xf32>) outs(%y : memref<1024x1024xf32>) {
  ^bb0(%l: f32, %o: f32):
    %s = math.exp %l : f32
    linalg.yield %s : f32
  }
  return
}

// Rows are never cut: a reduction is no task.
// CHECK-LABEL: @rows(
// AVX512-SAME:  task = [1, 0], lanes = 16,
// CUDA-SAME:    task = [1, 1], lanes = 1,
func.func private @rows(%x: memref<2x1000000xf32>, %y: memref<2xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<rows>} {
  linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]} ins(%x : memref<2x1000000xf32>) outs(%y : memref<2xf32>) {
  ^bb0(%l: f32, %o: f32):
    %s = arith.addf %o, %l : f32
    linalg.yield %s : f32
  }
  return
}

// Only kernels have plans.
// CHECK-LABEL: func.func @main
// CHECK-NOT:     sched.tiling
func.func @main(%call: !llvm.ptr) -> i32 {
  %zero = arith.constant 0 : i32
  return %zero : i32
}
