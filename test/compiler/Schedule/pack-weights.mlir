// If this failed, weights would be read across cache lines, or read in one order and stored in another.
// RUN: %mlc-opt %s --split-input-file --pack-weights | FileCheck %s

// (k, n) = (2, 3) in panels of 2 columns: panel 0 is columns 0 and 1 of every row, panel 1 is column 2 and zeros. The data is
// 1 2 4 5 | 3 0 6 0; every weight keeps its number, so the packed one is appended.
// CHECK:       #[[$MAP:.*]] = affine_map<(d0, d1, d2) -> (d1 floordiv 2, d2, d1 mod 2)>
// CHECK:       module attributes {rt.weights = [#rt.weight<value = dense<{{.*}}> : tensor<2x3xf32>>, #rt.weight<value = dense_resource<[[$NAME:.*]]> : tensor<2x2x2xf32>>]}
// CHECK-LABEL: func.func @panels(
// CHECK:         %[[W:.*]] = rt.buffer %{{.*}} "weights"[1] : !llvm.ptr -> memref<2x2x2xf32>
// CHECK:         call @kernel_0(%{{.*}}, %[[W]], %{{.*}}, %{{.*}})
// CHECK:       func.func private @kernel_0(%{{.*}}: memref<4x2xf32>, %{{.*}}: memref<2x2x2xf32>, %{{.*}}: memref<4x3xf32>
// CHECK:         linalg.generic {indexing_maps = [#{{.*}}, #[[$MAP]], #{{.*}}]
// CHECK:       [[$NAME]]: "0x400000000000803F00000040000080400000A04000004040000000000000C04000000000"
module attributes {rt.weights = [#rt.weight<value = dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>>]} {
  func.func @panels(%call: !llvm.ptr) -> i32 {
    %zero = arith.constant 0 : i32
    %x = rt.buffer %call "input"[0] : !llvm.ptr -> memref<4x2xf32>
    %w = rt.buffer %call "weights"[0] : !llvm.ptr -> memref<2x3xf32>
    %y = rt.buffer %call "output"[0] : !llvm.ptr -> memref<4x3xf32>
    call @kernel_0(%x, %w, %y, %call) : (memref<4x2xf32>, memref<2x3xf32>, memref<4x3xf32>, !llvm.ptr) -> ()
    return %zero : i32
  }
  func.func private @kernel_0(%x: memref<4x2xf32>, %w: memref<2x3xf32>, %y: memref<4x3xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>,
      sched.tiling = #sched.tiling<task = [0, 0, 0], lanes = 2, vectors = 1, rows = 4, row_loop = 0, lane_loop = 1>} {
    linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
        iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<4x2xf32>, memref<2x3xf32>) outs(%y : memref<4x3xf32>) {
    ^bb0(%l: f32, %r: f32, %o: f32):
      %m = arith.mulf %l, %r : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    }
    return
  }
}

// -----

// A transposed weight (n, k) is laid out the same way; two calls with one constant share what was packed.
// CHECK:       affine_map<(d0, d1, d2) -> (d1 floordiv 4, d2, d1 mod 4)>
// CHECK:       module attributes {rt.weights = [#rt.weight<value = {{.*}} : tensor<4x2xf32>>, #rt.weight<value = {{.*}} : tensor<1x2x4xf32>>]}
// CHECK-LABEL: func.func @transposed
// CHECK-NOT:     "weights"[0]
// CHECK-COUNT-2: "weights"[1]
// CHECK:       func.func private @kernel_0(%{{.*}}: memref<?x2xf32>, %{{.*}}: memref<1x2x4xf32>
module attributes {rt.weights = [#rt.weight<value = dense<1.0> : tensor<4x2xf32>>]} {
  func.func @transposed(%call: !llvm.ptr) -> i32 {
    %zero = arith.constant 0 : i32
    %n = rt.dim %call[0] : !llvm.ptr
    %x = rt.buffer %call "input"[0] sizes(%n) : !llvm.ptr -> memref<?x2xf32>
    %w = rt.buffer %call "weights"[0] : !llvm.ptr -> memref<4x2xf32>
    %y = rt.buffer %call "output"[0] sizes(%n) : !llvm.ptr -> memref<?x4xf32>
    call @kernel_0(%x, %w, %y, %call) : (memref<?x2xf32>, memref<4x2xf32>, memref<?x4xf32>, !llvm.ptr) -> ()
    call @kernel_0(%x, %w, %y, %call) : (memref<?x2xf32>, memref<4x2xf32>, memref<?x4xf32>, !llvm.ptr) -> ()
    return %zero : i32
  }
  func.func private @kernel_0(%x: memref<?x2xf32>, %w: memref<4x2xf32>, %y: memref<?x4xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>,
      sched.tiling = #sched.tiling<task = [0, 0, 0], lanes = 4, vectors = 1, rows = 8, row_loop = 0, lane_loop = 1>} {
    linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
        iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<?x2xf32>, memref<4x2xf32>) outs(%y : memref<?x4xf32>) {
    ^bb0(%l: f32, %r: f32, %o: f32):
      %m = arith.mulf %l, %r : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    }
    return
  }
}

// -----

// One caller passes an input: the kernel's operand keeps its form, for all callers.
// CHECK:       module attributes {rt.weights = [#rt.weight<value = {{.*}} : tensor<2x4xf32>>]}
// CHECK-LABEL: func.func @one_is_not_constant
// CHECK:         "weights"[0] : !llvm.ptr -> memref<2x4xf32>
// CHECK:       func.func private @kernel_0(%{{.*}}: memref<4x2xf32>, %{{.*}}: memref<2x4xf32>
module attributes {rt.weights = [#rt.weight<value = dense<1.0> : tensor<2x4xf32>>]} {
  func.func @one_is_not_constant(%call: !llvm.ptr) -> i32 {
    %zero = arith.constant 0 : i32
    %x = rt.buffer %call "input"[0] : !llvm.ptr -> memref<4x2xf32>
    %v = rt.buffer %call "input"[1] : !llvm.ptr -> memref<2x4xf32>
    %w = rt.buffer %call "weights"[0] : !llvm.ptr -> memref<2x4xf32>
    %y = rt.buffer %call "output"[0] : !llvm.ptr -> memref<4x4xf32>
    call @kernel_0(%x, %w, %y, %call) : (memref<4x2xf32>, memref<2x4xf32>, memref<4x4xf32>, !llvm.ptr) -> ()
    call @kernel_0(%x, %v, %y, %call) : (memref<4x2xf32>, memref<2x4xf32>, memref<4x4xf32>, !llvm.ptr) -> ()
    return %zero : i32
  }
  func.func private @kernel_0(%x: memref<4x2xf32>, %w: memref<2x4xf32>, %y: memref<4x4xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>,
      sched.tiling = #sched.tiling<task = [0, 0, 0], lanes = 4, vectors = 1, rows = 4, row_loop = 0, lane_loop = 1>} {
    linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
        iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<4x2xf32>, memref<2x4xf32>) outs(%y : memref<4x4xf32>) {
    ^bb0(%l: f32, %r: f32, %o: f32):
      %m = arith.mulf %l, %r : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    }
    return
  }
}

// -----

// Scalar lanes (a GPU's threads) read the weight as it is.
// CHECK:       module attributes {rt.weights = [#rt.weight<value = {{.*}} : tensor<2x4xf32>>]}
// CHECK-LABEL: func.func @threads
// CHECK:         "weights"[0] : !llvm.ptr -> memref<2x4xf32>
module attributes {rt.weights = [#rt.weight<value = dense<1.0> : tensor<2x4xf32>>]} {
  func.func @threads(%call: !llvm.ptr) -> i32 {
    %zero = arith.constant 0 : i32
    %x = rt.buffer %call "input"[0] : !llvm.ptr -> memref<4x2xf32>
    %w = rt.buffer %call "weights"[0] : !llvm.ptr -> memref<2x4xf32>
    %y = rt.buffer %call "output"[0] : !llvm.ptr -> memref<4x4xf32>
    call @kernel_0(%x, %w, %y, %call) : (memref<4x2xf32>, memref<2x4xf32>, memref<4x4xf32>, !llvm.ptr) -> ()
    return %zero : i32
  }
  func.func private @kernel_0(%x: memref<4x2xf32>, %w: memref<2x4xf32>, %y: memref<4x4xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>,
      sched.tiling = #sched.tiling<task = [1, 1, 1], lanes = 1, vectors = 1, rows = 1, row_loop = 0, lane_loop = 1>} {
    linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
        iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<4x2xf32>, memref<2x4xf32>) outs(%y : memref<4x4xf32>) {
    ^bb0(%l: f32, %r: f32, %o: f32):
      %m = arith.mulf %l, %r : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    }
    return
  }
}

// -----

// A square constant that one kernel reads by rows and another by columns is packed twice: the panels have one type and other data.
// CHECK-LABEL: func.func @twice
// CHECK:         %[[ROWS:.*]] = rt.buffer %{{.*}} "weights"[1] : !llvm.ptr -> memref<1x2x2xf32>
// CHECK:         call @kernel_0(%{{.*}}, %[[ROWS]], %{{.*}}, %{{.*}})
// CHECK:         %[[COLUMNS:.*]] = rt.buffer %{{.*}} "weights"[2] : !llvm.ptr -> memref<1x2x2xf32>
// CHECK:         call @kernel_1(%{{.*}}, %[[COLUMNS]], %{{.*}}, %{{.*}})
// CHECK-DAG:   packed_1: "0x400000000000803F000000400000404000008040"
// CHECK-DAG:   packed_2: "0x400000000000803F000040400000004000008040"
#tiling = #sched.tiling<task = [0, 0, 0], lanes = 2, vectors = 1, rows = 4, row_loop = 0, lane_loop = 1>
module attributes {rt.weights = [#rt.weight<value = dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>>]} {
  func.func @twice(%call: !llvm.ptr) -> i32 {
    %zero = arith.constant 0 : i32
    %x = rt.buffer %call "input"[0] : !llvm.ptr -> memref<4x2xf32>
    %w = rt.buffer %call "weights"[0] : !llvm.ptr -> memref<2x2xf32>
    %y = rt.buffer %call "output"[0] : !llvm.ptr -> memref<4x2xf32>
    %z = rt.buffer %call "output"[1] : !llvm.ptr -> memref<4x2xf32>
    call @kernel_0(%x, %w, %y, %call) : (memref<4x2xf32>, memref<2x2xf32>, memref<4x2xf32>, !llvm.ptr) -> ()
    call @kernel_1(%x, %w, %z, %call) : (memref<4x2xf32>, memref<2x2xf32>, memref<4x2xf32>, !llvm.ptr) -> ()
    return %zero : i32
  }
  func.func private @kernel_0(%x: memref<4x2xf32>, %w: memref<2x2xf32>, %y: memref<4x2xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>, sched.tiling = #tiling} {
    linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
        iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<4x2xf32>, memref<2x2xf32>) outs(%y : memref<4x2xf32>) {
    ^bb0(%l: f32, %r: f32, %o: f32):
      %m = arith.mulf %l, %r : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    }
    return
  }
  func.func private @kernel_1(%x: memref<4x2xf32>, %w: memref<2x2xf32>, %y: memref<4x2xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>, sched.tiling = #tiling} {
    linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
        iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<4x2xf32>, memref<2x2xf32>) outs(%y : memref<4x2xf32>) {
    ^bb0(%l: f32, %r: f32, %o: f32):
      %m = arith.mulf %l, %r : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    }
    return
  }
}

// -----

// Weights in another shape are packed all the same.
// CHECK-LABEL: func.func @reshaped
// CHECK-NOT:     collapse_shape
// CHECK:         rt.buffer %{{.*}} "weights"[1] : !llvm.ptr -> memref<1x2x2xf32>
module attributes {rt.weights = [#rt.weight<value = dense<[[[1.0, 2.0]], [[3.0, 4.0]]]> : tensor<2x1x2xf32>>]} {
  func.func @reshaped(%call: !llvm.ptr) -> i32 {
    %zero = arith.constant 0 : i32
    %x = rt.buffer %call "input"[0] : !llvm.ptr -> memref<4x2xf32>
    %w = rt.buffer %call "weights"[0] : !llvm.ptr -> memref<2x1x2xf32>
    %v = memref.collapse_shape %w [[0, 1], [2]] : memref<2x1x2xf32> into memref<2x2xf32>
    %y = rt.buffer %call "output"[0] : !llvm.ptr -> memref<4x2xf32>
    call @kernel_0(%x, %v, %y, %call) : (memref<4x2xf32>, memref<2x2xf32>, memref<4x2xf32>, !llvm.ptr) -> ()
    return %zero : i32
  }
  func.func private @kernel_0(%x: memref<4x2xf32>, %w: memref<2x2xf32>, %y: memref<4x2xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>,
      sched.tiling = #sched.tiling<task = [0, 0, 0], lanes = 2, vectors = 1, rows = 4, row_loop = 0, lane_loop = 1>} {
    linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
        iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<4x2xf32>, memref<2x2xf32>) outs(%y : memref<4x2xf32>) {
    ^bb0(%l: f32, %r: f32, %o: f32):
      %m = arith.mulf %l, %r : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    }
    return
  }
}

// -----

// A thread for each tile: neighbouring threads have neighbouring columns, so (n, k) becomes (k, n), whatever the tile is:
// 1 3 5 7 | 2 4 6 8.
// CHECK:       affine_map<(d0, d1, d2) -> (d2, d1)>
// CHECK:       module attributes {rt.weights = [#rt.weight<value = {{.*}} : tensor<4x2xf32>>, #rt.weight<value = dense_resource<[[$NAME:.*]]> : tensor<2x4xf32>>]}
// CHECK-LABEL: func.func @threads
// CHECK:       func.func private @kernel_0(%{{.*}}: memref<?x2xf32>, %{{.*}}: memref<2x4xf32>
// CHECK:       [[$NAME]]: "0x400000000000803F000040400000A0400000E04000000040000080400000C04000000041"
module attributes {rt.weights = [#rt.weight<value = dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]> : tensor<4x2xf32>>]} {
  func.func @threads(%call: !llvm.ptr) -> i32 {
    %zero = arith.constant 0 : i32
    %n = rt.dim %call[0] : !llvm.ptr
    %x = rt.buffer %call "input"[0] sizes(%n) : !llvm.ptr -> memref<?x2xf32>
    %w = rt.buffer %call "weights"[0] : !llvm.ptr -> memref<4x2xf32>
    %y = rt.buffer %call "output"[0] sizes(%n) : !llvm.ptr -> memref<?x4xf32>
    call @kernel_0(%x, %w, %y, %call) : (memref<?x2xf32>, memref<4x2xf32>, memref<?x4xf32>, !llvm.ptr) -> ()
    call @kernel_0(%x, %w, %y, %call) : (memref<?x2xf32>, memref<4x2xf32>, memref<?x4xf32>, !llvm.ptr) -> ()
    return %zero : i32
  }
  func.func private @kernel_0(%x: memref<?x2xf32>, %w: memref<4x2xf32>, %y: memref<?x4xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>,
      sched.tiling = #sched.tiling<task = [1, 2, 1], lanes = 1, vectors = 2, rows = 1, row_loop = 0, lane_loop = 1>} {
    linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
        iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<?x2xf32>, memref<4x2xf32>) outs(%y : memref<?x4xf32>) {
    ^bb0(%l: f32, %r: f32, %o: f32):
      %m = arith.mulf %l, %r : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    }
    return
  }
}

// -----

// What lies so already keeps its place.
// CHECK-LABEL: func.func @in_order
// CHECK:         "weights"[0]
// CHECK:       func.func private @kernel_0(%{{.*}}: memref<?x2xf32>, %{{.*}}: memref<2x4xf32>
module attributes {rt.weights = [#rt.weight<value = dense<1.0> : tensor<2x4xf32>>]} {
  func.func @in_order(%call: !llvm.ptr) -> i32 {
    %zero = arith.constant 0 : i32
    %n = rt.dim %call[0] : !llvm.ptr
    %x = rt.buffer %call "input"[0] sizes(%n) : !llvm.ptr -> memref<?x2xf32>
    %w = rt.buffer %call "weights"[0] : !llvm.ptr -> memref<2x4xf32>
    %y = rt.buffer %call "output"[0] sizes(%n) : !llvm.ptr -> memref<?x4xf32>
    call @kernel_0(%x, %w, %y, %call) : (memref<?x2xf32>, memref<2x4xf32>, memref<?x4xf32>, !llvm.ptr) -> ()
    call @kernel_0(%x, %w, %y, %call) : (memref<?x2xf32>, memref<2x4xf32>, memref<?x4xf32>, !llvm.ptr) -> ()
    return %zero : i32
  }
  func.func private @kernel_0(%x: memref<?x2xf32>, %w: memref<2x4xf32>, %y: memref<?x4xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<contract>,
      sched.tiling = #sched.tiling<task = [1, 2, 1], lanes = 1, vectors = 2, rows = 1, row_loop = 0, lane_loop = 1>} {
    linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
        iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<?x2xf32>, memref<2x4xf32>) outs(%y : memref<?x4xf32>) {
    ^bb0(%l: f32, %r: f32, %o: f32):
      %m = arith.mulf %l, %r : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    }
    return
  }
}
