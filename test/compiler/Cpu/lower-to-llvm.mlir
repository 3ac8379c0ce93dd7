// If this failed, generated code and runtime would disagree on structures, or kernels would pay for what their types know.
// RUN: %mlc-opt %s --split-input-file --lower-to-llvm | FileCheck %s

// A memref travels as its pointer and its dynamic sizes.
// CHECK-LABEL: llvm.func internal @thin(
// CHECK-SAME:    !llvm.ptr, %{{[^:]*}}: i64, %{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: !llvm.ptr)
// CHECK-SAME:    passthrough = {{\[}}["mlc-kind", "pointwise"]]
func.func private @thin(%x: memref<?x8xf32>, %y: memref<4x8xf32, strided<[16, 1], offset: 2>>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>} {
  %c1 = arith.constant 1 : index
  %v = memref.load %x[%c1, %c1] : memref<?x8xf32>
  memref.store %v, %y[%c1, %c1] : memref<4x8xf32, strided<[16, 1], offset: 2>>
  return
}

// -----

// A dynamic offset is in the pointer; a dynamic stride is passed.
// CHECK-LABEL: llvm.func internal @callee(%{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: i64)
// CHECK-LABEL: llvm.func internal @caller(
// CHECK:         %[[P:.*]] = llvm.getelementptr %{{.*}}[%{{.*}}] : (!llvm.ptr, i64) -> !llvm.ptr, f32
// CHECK:         llvm.call @callee(%[[P]], %{{.*}}) : (!llvm.ptr, i64) -> ()
func.func private @callee(%x: memref<4xf32, strided<[?], offset: ?>>) {
  return
}
func.func private @caller(%x: memref<4x?xf32>, %i: index) {
  %n = memref.subview %x[0, %i] [4, 1] [1, 1] : memref<4x?xf32> to memref<4xf32, strided<[?], offset: ?>>
  call @callee(%n) : (memref<4xf32, strided<[?], offset: ?>>) -> ()
  return
}

// -----

// Sizes, inputs and the arena are fields 2, 0 and 5 of mlc_call.
// CHECK-LABEL: llvm.func @main(
// CHECK-SAME:    %[[CALL:.*]]: !llvm.ptr) -> i32
// CHECK:         llvm.getelementptr %[[CALL]][0, 2]
// CHECK:         %[[INPUTS:.*]] = llvm.getelementptr %[[CALL]][0, 0]
// CHECK:         %[[ARRAY:.*]] = llvm.load %[[INPUTS]]
// CHECK:         llvm.getelementptr %[[ARRAY]][1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
// CHECK:         %[[ARENA:.*]] = llvm.getelementptr %[[CALL]][0, 5]
// CHECK:         %[[BASE:.*]] = llvm.load %[[ARENA]]
// CHECK:         llvm.getelementptr %[[BASE]][64] : (!llvm.ptr) -> !llvm.ptr, i8
func.func @main(%call: !llvm.ptr) -> i32 {
  %n = rt.dim %call[0] : !llvm.ptr
  %x = rt.buffer %call "input"[1] sizes(%n) : !llvm.ptr -> memref<?xf32>
  %c64 = arith.constant 64 : index
  %t = rt.buffer %call "arena"[0] at %c64 sizes(%n) : !llvm.ptr -> memref<?xf32>
  %c0 = arith.constant 0 : index
  %v = memref.load %x[%c0] : memref<?xf32>
  memref.store %v, %t[%c0] : memref<?xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

// A check ends an entry with the status of mlc_rt_fail, and a task without one.
// CHECK: llvm.mlir.global internal constant @message("size %d\00")
// CHECK-LABEL: llvm.func @main(
// CHECK:         llvm.cond_br %{{.*}}, ^[[GOOD:.*]], ^[[BAD:bb[0-9]+]]
// CHECK:       ^[[BAD]]:
// CHECK:         %[[STATUS:.*]] = llvm.call @mlc_rt_fail(
// CHECK:         llvm.return %[[STATUS]] : i32
// CHECK-LABEL: llvm.func internal @task(
// CHECK:         llvm.call @mlc_rt_fail(
// CHECK-NEXT:    llvm.return
func.func @main(%call: !llvm.ptr) -> i32 {
  %n = rt.dim %call[0] : !llvm.ptr
  %c8 = arith.constant 8 : index
  %good = arith.cmpi ule, %n, %c8 : index
  rt.check %call, %good, "size %d" (%n, %c8) : !llvm.ptr
  %ok = arith.constant 0 : i32
  return %ok : i32
}
func.func private @task(%call: !llvm.ptr, %i: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %k = %c0 to %i step %c1 {
    %good = arith.cmpi ne, %i, %k : index
    rt.check %call, %good, "size %d" (%i, %k) : !llvm.ptr
  }
  return
}

// -----

// Captures lie in a structure on the stack of the entry block; the thunk unpacks them.
// CHECK: llvm.func @mlc_rt_parallel_for(!llvm.ptr, !llvm.ptr, !llvm.ptr, i64)
// CHECK-LABEL: llvm.func internal @k_task_thunk(
// CHECK-SAME:    %[[CONTEXT:.*]]: !llvm.ptr, %[[I:.*]]: i64)
// CHECK:         %[[X:.*]] = llvm.load %{{.*}} : !llvm.ptr -> !llvm.ptr
// CHECK:         %[[N:.*]] = llvm.load %{{.*}} : !llvm.ptr -> i64
// CHECK:         llvm.call @k_task(%[[X]], %[[N]], %[[I]])
// CHECK-LABEL: llvm.func internal @k(
// CHECK-DAG:     %[[MEMORY:.*]] = llvm.alloca %{{.*}} x !llvm.struct<(ptr, i64)>
// CHECK-DAG:     %[[THUNK:.*]] = llvm.mlir.addressof @k_task_thunk
// CHECK:         llvm.call @mlc_rt_parallel_for(%{{.*}}, %[[THUNK]], %[[MEMORY]], %{{.*}})
func.func private @k_task(%x: memref<?xf32>, %i: index) {
  %c = arith.constant 1.0 : f32
  memref.store %c, %x[%i] : memref<?xf32>
  return
}
func.func private @k(%x: memref<?xf32>, %n: index, %call: !llvm.ptr) {
  rt.parallel_for @k_task(%x) count %n from %call : !llvm.ptr, memref<?xf32>
  return
}

// -----

// A temporary inside a loop is allocated once, on the stack; a big one is freed in its block.
// CHECK-LABEL: llvm.func internal @temporaries(
// CHECK:         llvm.alloca
// CHECK:         llvm.br
// CHECK-NOT:     llvm.alloca
// CHECK:         llvm.call @malloc
// CHECK:         llvm.call @free
// CHECK:         llvm.return
func.func private @temporaries(%x: memref<?xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %c0 to %n step %c1 {
    %small = memref.alloc() : memref<16xf32>
    %big = memref.alloc() : memref<16384xf32>
    %v = memref.load %x[%i] : memref<?xf32>
    memref.store %v, %small[%c0] : memref<16xf32>
    memref.store %v, %big[%c0] : memref<16384xf32>
    %a = memref.load %small[%c1] : memref<16xf32>
    %b = memref.load %big[%c1] : memref<16384xf32>
    %s = arith.addf %a, %b : f32
    memref.store %s, %x[%i] : memref<?xf32>
  }
  return
}

// -----

// f64: what LLVM knows is an intrinsic, the rest is libm, lane by lane. f64 to f16 rounds to odd first; bf16 needs no library.
// CHECK-LABEL: llvm.func internal @math(
// CHECK-DAG:     llvm.intr.floor(%{{.*}}) : (vector<4xf64>) -> vector<4xf64>
// CHECK-COUNT-4: llvm.call @erf(
// CHECK-NOT:     llvm.fptrunc %{{.*}} : vector<4xf64> to vector<4xf16>
// CHECK-NOT:     bf16 to
func.func private @math(%x: memref<4xf64>, %y: memref<4xf16>, %z: memref<4xbf16>) {
  %c0 = arith.constant 0 : index
  %v = vector.load %x[%c0] : memref<4xf64>, vector<4xf64>
  %f = math.floor %v : vector<4xf64>
  %e = math.erf %f : vector<4xf64>
  %h = arith.truncf %e : vector<4xf64> to vector<4xf16>
  vector.store %h, %y[%c0] : memref<4xf16>, vector<4xf16>
  %b = vector.load %z[%c0] : memref<4xbf16>, vector<4xbf16>
  %s = arith.addf %b, %b : vector<4xbf16>
  vector.store %s, %z[%c0] : memref<4xbf16>, vector<4xbf16>
  return
}

// -----

// A launch returns nothing that could be lost; a commit ends the entry with its status.
// CHECK: llvm.mlir.global internal constant @message("label %d\00")
// CHECK-LABEL: llvm.func @main(
// CHECK:         llvm.ptrtoint
// CHECK:         llvm.call @mlc_rt_launch({{.*}}) : (!llvm.ptr, i64, i64, i64, !llvm.ptr, i64) -> ()
// CHECK:         %[[STATUS:.*]] = llvm.call @mlc_rt_commit(%{{.*}}) : (!llvm.ptr) -> i32
// CHECK:         llvm.cond_br %{{.*}}, ^{{.*}}, ^[[END:bb[0-9]+]](%[[STATUS]] : i32)
// CHECK:       ^[[END]](%[[RESULT:.*]]: i32):
// CHECK-NEXT:    llvm.return %[[RESULT]] : i32
func.func @main(%call: !llvm.ptr) -> i32 {
  %c1 = arith.constant 1 : index
  %text = rt.message "label %d"
  rt.launch 0(%text) blocks %c1 threads 1 from %call : !llvm.ptr, index
  rt.commit %call : !llvm.ptr
  %ok = arith.constant 0 : i32
  return %ok : i32
}
