// If this failed, calls would work on the wrong memory, data would be copied for padding and concatenation, or kernels that are
// the same would be compiled many times.
// RUN: %mlc-opt %s --split-input-file --outline-groups | FileCheck %s

// An argument is an input, a constant a weight, and the result of the last kernel is written where the caller wants it.
// CHECK-LABEL: module attributes {rt.weights = [#rt.weight<value = dense<{{.*}}> : tensor<4xf32>>]}
// CHECK:       func.func private @kernel_0(%{{.*}}: memref<4xf32>, %{{.*}}: memref<4xf32>, %{{.*}}: memref<4xf32>, %{{.*}}: !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>}
// CHECK:       func.func @main(%[[CALL:.*]]: !llvm.ptr) -> i32
// CHECK-DAG:     %[[X:.*]] = rt.buffer %[[CALL]] "input"[0]
// CHECK-DAG:     %[[W:.*]] = rt.buffer %[[CALL]] "weights"[0]
// CHECK-DAG:     %[[Y:.*]] = rt.buffer %[[CALL]] "output"[0]
// CHECK:         call @kernel_0(%[[X]], %[[W]], %[[Y]], %[[CALL]])
// CHECK-NOT:     memref.alloc
// CHECK:         return %c0_i32
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %w = core.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %empty = tensor.empty() : tensor<4xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
      ins(%x, %w : tensor<4xf32>, tensor<4xf32>) outs(%empty : tensor<4xf32>) attrs = {sched.group = 0 : i64, sched.kind = #sched.kind<pointwise>} {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %s = arith.addf %l, %r : f32
    linalg.yield %s : f32
  } -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// Padding: the producer writes into the interior of the filled buffer, after the fill.
// CHECK-LABEL: func.func @padding(
// CHECK:         %[[Y:.*]] = rt.buffer %{{.*}} "output"[0] {{.*}} memref<6xf32>
// CHECK:         call @kernel_0(%[[Y]], %{{.*}})
// CHECK:         %[[INSIDE:.*]] = memref.subview %[[Y]][1] [4] [1]
// CHECK:         %[[ARGUMENT:.*]] = memref.cast %[[INSIDE]]
// CHECK:         call @kernel_1(%{{.*}}, %[[ARGUMENT]], %{{.*}})
// CHECK-NOT:     call
// CHECK:         return
func.func @padding(%x: tensor<4xf32>) -> tensor<6xf32> {
  %zero = arith.constant 0.0 : f32
  %small = tensor.empty() : tensor<4xf32>
  %large = tensor.empty() : tensor<6xf32>
  %e = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%small : tensor<4xf32>) attrs = {sched.group = 0 : i64, sched.kind = #sched.kind<pointwise>} {
  ^bb0(%l: f32, %o: f32):
    %s = math.exp %l : f32
    linalg.yield %s : f32
  } -> tensor<4xf32>
  %f = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%large : tensor<6xf32>)
      attrs = {sched.group = 1 : i64, sched.kind = #sched.kind<pointwise>} {
  ^bb0(%o: f32):
    linalg.yield %zero : f32
  } -> tensor<6xf32>
  %y = tensor.insert_slice %e into %f[1] [4] [1] : tensor<4xf32> into tensor<6xf32>
  return %y : tensor<6xf32>
}

// -----

// Concatenation: both parts are made in place, by one kernel, because they differ in their offset alone.
// CHECK-LABEL: func.func private @kernel_0(%{{.*}}: memref<2x4xf32>, %{{.*}}: memref<2x4xf32, strided<[8, 1], offset: ?>>
// CHECK-NOT:   func.func private
// CHECK-LABEL: func.func @concatenation(
// CHECK:         %[[Y:.*]] = rt.buffer %{{.*}} "output"[0] {{.*}} memref<2x8xf32>
// CHECK:         memref.subview %[[Y]][0, 0] [2, 4] [1, 1]
// CHECK:         call @kernel_0
// CHECK:         memref.subview %[[Y]][0, 4] [2, 4] [1, 1]
// CHECK:         call @kernel_0
// CHECK-NOT:     call
// CHECK:         return
func.func @concatenation(%x: tensor<2x4xf32>, %z: tensor<2x4xf32>) -> tensor<2x8xf32> {
  %small = tensor.empty() : tensor<2x4xf32>
  %large = tensor.empty() : tensor<2x8xf32>
  %a = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<2x4xf32>) outs(%small : tensor<2x4xf32>) attrs = {sched.group = 0 : i64, sched.kind = #sched.kind<pointwise>} {
  ^bb0(%l: f32, %o: f32):
    %s = math.exp %l : f32
    linalg.yield %s : f32
  } -> tensor<2x4xf32>
  %b = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      ins(%z : tensor<2x4xf32>) outs(%small : tensor<2x4xf32>) attrs = {sched.group = 1 : i64, sched.kind = #sched.kind<pointwise>} {
  ^bb0(%l: f32, %o: f32):
    %s = math.exp %l : f32
    linalg.yield %s : f32
  } -> tensor<2x4xf32>
  %first = tensor.insert_slice %a into %large[0, 0] [2, 4] [1, 1] : tensor<2x4xf32> into tensor<2x8xf32>
  %both = tensor.insert_slice %b into %first[0, 4] [2, 4] [1, 1] : tensor<2x4xf32> into tensor<2x8xf32>
  return %both : tensor<2x8xf32>
}

// -----

// A part that someone reshapes needs memory of its own, and is copied into its place.
// CHECK-LABEL: func.func @reshaped(
// CHECK:         %[[PART:.*]] = rt.buffer %{{.*}} "output"[1] {{.*}} memref<4xf32>
// CHECK:         call @kernel_0(%{{.*}}, %[[PART]], %{{.*}})
// CHECK:         memref.subview %{{.*}}[0] [4] [1]
// CHECK:         call @kernel_1(%[[PART]], %{{.*}}, %{{.*}})
func.func @reshaped(%x: tensor<4xf32>) -> (tensor<8xf32>, tensor<2x2xf32>) {
  %small = tensor.empty() : tensor<4xf32>
  %large = tensor.empty() : tensor<8xf32>
  %a = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%small : tensor<4xf32>) attrs = {sched.group = 0 : i64, sched.kind = #sched.kind<pointwise>} {
  ^bb0(%l: f32, %o: f32):
    %s = math.exp %l : f32
    linalg.yield %s : f32
  } -> tensor<4xf32>
  %first = tensor.insert_slice %a into %large[0] [4] [1] : tensor<4xf32> into tensor<8xf32>
  %both = tensor.insert_slice %x into %first[4] [4] [1] : tensor<4xf32> into tensor<8xf32>
  %other = tensor.expand_shape %a [[0, 1]] output_shape [2, 2] : tensor<4xf32> into tensor<2x2xf32>
  return %both, %other : tensor<8xf32>, tensor<2x2xf32>
}

// -----

// An argument that is returned, and a value that is returned twice, are copied: a result is the caller's memory.
// CHECK-LABEL: func.func @returned(
// CHECK:         %[[X:.*]] = rt.buffer %{{.*}} "input"[0]
// CHECK:         %[[Y:.*]] = rt.buffer %{{.*}} "output"[0]
// CHECK:         call @kernel_0(%[[X]], %[[Y]], %{{.*}})
// CHECK:         %[[TWICE:.*]] = rt.buffer %{{.*}} "output"[1]
// CHECK:         call @kernel_1(%[[Y]], %[[TWICE]], %{{.*}})
// CHECK:         %[[SAME:.*]] = rt.buffer %{{.*}} "output"[2]
// CHECK:         call @kernel_1(%[[X]], %[[SAME]], %{{.*}})
func.func @returned(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %small = tensor.empty() : tensor<4xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%small : tensor<4xf32>) attrs = {sched.group = 0 : i64, sched.kind = #sched.kind<pointwise>} {
  ^bb0(%l: f32, %o: f32):
    %s = math.exp %l : f32
    linalg.yield %s : f32
  } -> tensor<4xf32>
  return %y, %y, %x : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

// A row scalar stays inside of its kernel; what leaves the group is an operand. Symbols become rt.dim, the sizes of results are
// kept for @main_sizes.
// CHECK-LABEL: func.func private @kernel_0(%arg0: memref<?x64xf32>, %arg1: memref<?x64xf32>, %{{.*}}: !llvm.ptr) attributes {sched.kind = #sched.kind<rows>}
// CHECK:         %[[S:.*]] = memref.alloc(%{{.*}}) : memref<?xf32>
// CHECK:         linalg.fill ins(%{{.*}}) outs(%[[S]]
// CHECK:         linalg.generic {{.*}} ins(%arg0 : {{.*}} outs(%[[S]] :
// CHECK:         linalg.generic {{.*}} ins(%arg0, %[[S]] : {{.*}} outs(%arg1 :
// CHECK-LABEL: func.func @main(
// CHECK:         %[[N:.*]] = rt.dim %{{.*}}[0]
// CHECK:         rt.buffer %{{.*}} "input"[0] sizes(%[[N]])
// CHECK:         rt.result_shapes [array<i64: -9223372036854775808, 64>] sizes(%{{.*}})
func.func @main(%x: tensor<?x64xf32> {onnx.dims = ["n", ""], onnx.name = "x"}) -> (tensor<?x64xf32>, index) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?x64xf32>
  %v = tensor.empty(%n) : tensor<?xf32>
  %empty = tensor.empty(%n) : tensor<?x64xf32>
  %f = linalg.fill ins(%zero : f32) outs(%v : tensor<?xf32>) -> tensor<?xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x64xf32>) outs(%f : tensor<?xf32>) attrs = {sched.group = 0 : i64, sched.kind = #sched.kind<rows>} {
  ^bb0(%l: f32, %o: f32):
    %r = arith.addf %o, %l : f32
    linalg.yield %r : f32
  } -> tensor<?xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %s : tensor<?x64xf32>, tensor<?xf32>) outs(%empty : tensor<?x64xf32>) attrs = {sched.group = 0 : i64} {
  ^bb0(%l: f32, %r: f32, %o: f32):
    %d = arith.divf %l, %r : f32
    linalg.yield %d : f32
  } -> tensor<?x64xf32>
  return %y, %n : tensor<?x64xf32>, index
}

// -----

// A loop: its value starts as a copy of the argument in the result's buffer, and since each element is read by the iteration that writes it, the
// step works in place. The output's part is made where it lies. What serves all steps stands in front.
// CHECK-LABEL: func.func @loop(
// CHECK-DAG:     %[[Y:.*]] = rt.buffer %{{.*}} "output"[0] {{.*}} memref<4xf32>
// CHECK-DAG:     %[[X:.*]] = rt.buffer %{{.*}} "input"[0] {{.*}} memref<4xf32>
// CHECK:         call @kernel_0(%[[X]], %[[Y]], %{{.*}})
// CHECK-DAG:     %[[ALL:.*]] = rt.buffer %{{.*}} "output"[1] {{.*}} memref<8x4xf32>
// CHECK-DAG:     %[[W:.*]] = rt.buffer %{{.*}} "weights"[0]
// CHECK:         scf.for %[[STEP:.*]] = %c0 to %c8 step %c1 {
// CHECK-NEXT:      func.call @kernel_1(%[[Y]], %[[W]], %[[Y]], %{{.*}})
// CHECK-NEXT:      %[[PART:.*]] = memref.subview %[[ALL]][%[[STEP]], 0] [1, 4] [1, 1]
// CHECK-NEXT:      func.call @kernel_2(%[[Y]], %[[PART]], %{{.*}})
// CHECK-NEXT:    }
func.func @loop(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<8x4xf32>) {
  %c8 = arith.constant 8 : index
  %small = tensor.empty() : tensor<4xf32>
  %room = tensor.empty() : tensor<8x4xf32>
  %w = core.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
  %n, %y:2 = core.loop %c8 carry(%x, %room : tensor<4xf32>, tensor<8x4xf32>) {
  ^bb0(%step: index, %v: tensor<4xf32>, %all: tensor<8x4xf32>):
    %s = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
        ins(%v, %w : tensor<4xf32>, tensor<4xf32>) outs(%small : tensor<4xf32>) attrs = {sched.group = 0 : i64, sched.kind = #sched.kind<pointwise>} {
    ^bb0(%l: f32, %r: f32, %o: f32):
      %a = arith.addf %l, %r : f32
      linalg.yield %a : f32
    } -> tensor<4xf32>
    %e = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
        ins(%s : tensor<4xf32>) outs(%small : tensor<4xf32>) attrs = {sched.group = 1 : i64, sched.kind = #sched.kind<pointwise>} {
    ^bb0(%l: f32, %o: f32):
      %a = math.exp %l : f32
      linalg.yield %a : f32
    } -> tensor<4xf32>
    %more = tensor.insert_slice %e into %all[%step, 0] [1, 4] [1, 1] : tensor<4xf32> into tensor<8x4xf32>
    core.yield %s, %more : tensor<4xf32>, tensor<8x4xf32>
  } -> tensor<4xf32>, tensor<8x4xf32>
  return %y#0, %y#1 : tensor<4xf32>, tensor<8x4xf32>
}

// -----

// A step that reads the old value after the new one is made (here: reversed) makes the new one elsewhere.
// CHECK-LABEL: func.func @elsewhere(
// CHECK:         %[[Y:.*]] = rt.buffer %{{.*}} "output"[0]
// CHECK:         scf.while
// CHECK:         } do {
// CHECK:           %[[NEW:.*]] = memref.alloc() {{.*}} memref<4xf32>
// CHECK:           func.call @kernel_1(%[[Y]], %[[NEW]], %{{.*}})
// CHECK:           func.call @kernel_0(%[[NEW]], %[[Y]], %{{.*}})
// CHECK:           scf.yield
func.func @elsewhere(%x: tensor<4xf32>, %c: tensor<i1>, %n: index) -> tensor<4xf32> {
  %c8 = arith.constant 8 : index
  %small = tensor.empty() : tensor<4xf32>
  %s, %y = core.loop %c8 while %c : tensor<i1> carry(%x : tensor<4xf32>) {
  ^bb0(%step: index, %v: tensor<4xf32>):
    %r = linalg.generic {indexing_maps = [affine_map<(d0) -> (-d0 + 3)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
        ins(%v : tensor<4xf32>) outs(%small : tensor<4xf32>) attrs = {sched.group = 0 : i64, sched.kind = #sched.kind<loops>} {
    ^bb0(%l: f32, %o: f32):
      linalg.yield %l : f32
    } -> tensor<4xf32>
    core.yield %c, %r : tensor<i1>, tensor<4xf32>
  } -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// A branch makes its result where it will be.
// CHECK-LABEL: func.func @branch(
// CHECK-DAG:     %[[Y:.*]] = rt.buffer %{{.*}} "output"[0]
// CHECK-DAG:     %[[C:.*]] = memref.load %{{.*}}[] : memref<i1>
// CHECK:         scf.if %[[C]] {
// CHECK:           func.call @kernel_0(%[[X:.*]], %[[Y]], %{{.*}})
// CHECK:         } else {
// CHECK:           func.call @kernel_1(%{{.*}}, %[[Y]], %{{.*}})
// CHECK:         }
func.func @branch(%x: tensor<4xf32>, %c: tensor<i1>) -> tensor<4xf32> {
  %small = tensor.empty() : tensor<4xf32>
  %y = core.if %c {
    %e = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
        ins(%x : tensor<4xf32>) outs(%small : tensor<4xf32>) attrs = {sched.group = 0 : i64, sched.kind = #sched.kind<pointwise>} {
    ^bb0(%l: f32, %o: f32):
      %a = math.exp %l : f32
      linalg.yield %a : f32
    } -> tensor<4xf32>
    core.yield %e : tensor<4xf32>
  } else {
    core.yield %x : tensor<4xf32>
  } : tensor<i1> -> tensor<4xf32>
  return %y : tensor<4xf32>
}
