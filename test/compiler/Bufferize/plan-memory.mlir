// If this failed, two values that live at the same time would share memory, or an application would reserve too little of it.
// RUN: %mlc-opt %s --split-input-file --plan-memory --verify-diagnostics | FileCheck %s

// a lives until b is made, b until c is made: c takes a's place. 100 bytes are 128, because buffers share no cache line.
// CHECK-LABEL: func.func @main(
// CHECK-SAME:    attributes {rt.arena_bytes = 256 : i64}
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %c0
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %c128
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %c0
// CHECK-NOT:     memref.alloc
module {
  func.func private @k(memref<25xf32>, memref<25xf32>, !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>}
  func.func @main(%call: !llvm.ptr) -> i32 {
    %x = rt.buffer %call "input"[0] : !llvm.ptr -> memref<25xf32>
    %y = rt.buffer %call "output"[0] : !llvm.ptr -> memref<25xf32>
    %a = memref.alloc() : memref<25xf32>
    call @k(%x, %a, %call) : (memref<25xf32>, memref<25xf32>, !llvm.ptr) -> ()
    %b = memref.alloc() : memref<25xf32>
    call @k(%a, %b, %call) : (memref<25xf32>, memref<25xf32>, !llvm.ptr) -> ()
    %c = memref.alloc() : memref<25xf32>
    call @k(%b, %c, %call) : (memref<25xf32>, memref<25xf32>, !llvm.ptr) -> ()
    call @k(%c, %y, %call) : (memref<25xf32>, memref<25xf32>, !llvm.ptr) -> ()
    %zero = arith.constant 0 : i32
    return %zero : i32
  }
}

// -----

// A buffer lives as long as the last view of it is read.
// CHECK-LABEL: func.func @views(
// CHECK-SAME:    attributes {rt.arena_bytes = 128 : i64}
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %c0
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %c64
module {
  func.func private @k(memref<16xf32>, !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>}
  func.func private @v(memref<4x4xf32>, !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>}
  func.func @views(%call: !llvm.ptr) -> i32 {
    %a = memref.alloc() : memref<16xf32>
    %view = memref.expand_shape %a [[0, 1]] output_shape [4, 4] : memref<16xf32> into memref<4x4xf32>
    call @k(%a, %call) : (memref<16xf32>, !llvm.ptr) -> ()
    %b = memref.alloc() : memref<16xf32>
    call @k(%b, %call) : (memref<16xf32>, !llvm.ptr) -> ()
    call @v(%view, %call) : (memref<4x4xf32>, !llvm.ptr) -> ()
    %zero = arith.constant 0 : i32
    return %zero : i32
  }
}

// -----

// The gap with the least waste: of 128 bytes at 0 and 64 at 192, the last buffer (64) takes the second.
// CHECK-LABEL: func.func @best_fit(
// CHECK-SAME:    attributes {rt.arena_bytes = 320 : i64}
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %c0{{.*}} memref<32xf32>
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %c128{{.*}} memref<16xf32>
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %c192{{.*}} memref<16xf32>
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %c256{{.*}} memref<16xf32>
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %c192{{.*}} memref<16xf32>
module {
  func.func private @k(memref<16xf32>, !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>}
  func.func private @l(memref<32xf32>, !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>}
  func.func @best_fit(%call: !llvm.ptr) -> i32 {
    %a = memref.alloc() : memref<32xf32>
    %b = memref.alloc() : memref<16xf32>
    %c = memref.alloc() : memref<16xf32>
    %d = memref.alloc() : memref<16xf32>
    call @l(%a, %call) : (memref<32xf32>, !llvm.ptr) -> ()
    call @k(%c, %call) : (memref<16xf32>, !llvm.ptr) -> ()
    %e = memref.alloc() : memref<16xf32>
    call @k(%e, %call) : (memref<16xf32>, !llvm.ptr) -> ()
    call @k(%b, %call) : (memref<16xf32>, !llvm.ptr) -> ()
    call @k(%d, %call) : (memref<16xf32>, !llvm.ptr) -> ()
    %zero = arith.constant 0 : i32
    return %zero : i32
  }
}

// -----

// A dynamic buffer gets a slot behind the static ones; a slot is as large as the larger of its tenants. @main_sizes computes the
// same sum from the symbols alone, -1 if it or a product overflows, and the shapes of the results; no number of bytes is known at
// compile time.
// CHECK-NOT:   rt.arena_bytes
// CHECK-LABEL: func.func @main_sizes(
// CHECK-SAME:    %[[CALL:.*]]: !llvm.ptr, %[[RESULT:.*]]: !llvm.ptr) -> i32
// CHECK:         %[[N:.*]] = rt.dim %[[CALL]][0]
// CHECK:         %[[SLOT:.*]] = arith.maxui
// CHECK:         %[[SUM:.*]] = arith.addi %c64{{.*}}, %[[SLOT]]
// CHECK:         arith.index_cast %[[N]]
// CHECK:         llvm.getelementptr %[[RESULT]][1]
// CHECK:         arith.index_cast %c4
// CHECK:         llvm.getelementptr %[[RESULT]][2]
// CHECK:         %[[LOW:.*]], %[[HIGH:.*]] = arith.mulsi_extended
// CHECK:         %[[SIGN:.*]] = arith.shrsi %[[LOW]], %c63
// CHECK:         arith.cmpi ne, %[[HIGH]], %[[SIGN]]
// CHECK:         %[[NEGATIVE:.*]] = arith.cmpi slt, %[[SUM]], %c0
// CHECK:         arith.ori %{{.*}}, %[[NEGATIVE]]
// CHECK:         %[[OVERFLOW:.*]] = arith.ori
// CHECK:         %[[CHECKED:.*]] = arith.select %[[OVERFLOW]], %c-1{{.*}}, %[[SUM]]
// CHECK:         %[[BYTES:.*]] = arith.index_cast %[[CHECKED]]
// CHECK:         %[[FIRST:.*]] = llvm.getelementptr %[[RESULT]][0]
// CHECK:         llvm.store %[[BYTES]], %[[FIRST]]
// CHECK-LABEL: func.func @main(
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %c0{{.*}} memref<16xf32>
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %[[SLOT:c64.*]] sizes(%{{.*}}) {{.*}} memref<?x4xf32>
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %[[SLOT]] sizes(%{{.*}}) {{.*}} memref<?x8xf32>
// CHECK-NOT:     rt.result_shapes
module {
  func.func private @s(memref<16xf32>, !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>}
  func.func private @k(memref<?x4xf32>, !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>}
  func.func private @l(memref<?x8xf32>, !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>}
  func.func @main(%call: !llvm.ptr) -> i32 {
    %n = rt.dim %call[0] : !llvm.ptr
    %s = memref.alloc() : memref<16xf32>
    call @s(%s, %call) : (memref<16xf32>, !llvm.ptr) -> ()
    %a = memref.alloc(%n) : memref<?x4xf32>
    call @k(%a, %call) : (memref<?x4xf32>, !llvm.ptr) -> ()
    %b = memref.alloc(%n) : memref<?x8xf32>
    call @l(%b, %call) : (memref<?x8xf32>, !llvm.ptr) -> ()
    rt.result_shapes [array<i64: -9223372036854775808, 4>] sizes(%n)
    %zero = arith.constant 0 : i32
    return %zero : i32
  }
}

// -----

// A check that follows from the dimensions stands in front of what is planned with them, and no longer in the entry.
// CHECK-LABEL: func.func @main_sizes(
// CHECK-SAME:    %[[CALL:.*]]: !llvm.ptr, %{{.*}}: !llvm.ptr) -> i32
// CHECK:         %[[FITS:.*]] = arith.cmpi sge
// CHECK:         rt.check %[[CALL]], %[[FITS]], "too small: %d and %d"
// CHECK-LABEL: func.func @main(
// CHECK-NOT:     rt.check
// CHECK:         return
module {
  func.func @main(%call: !llvm.ptr) -> i32 {
    %n = rt.dim %call[0] : !llvm.ptr
    %five = arith.constant 5 : index
    %fits = arith.cmpi sge, %n, %five : index
    rt.check %call, %fits, "too small: %d and %d" (%n, %five) : !llvm.ptr
    rt.result_shapes [array<i64: -9223372036854775808>] sizes(%n)
    %zero = arith.constant 0 : i32
    return %zero : i32
  }
}

// -----

// Two that live at the same time have two slots: the second begins where the first ends.
// CHECK-LABEL: func.func @both_live
// CHECK:         %[[SECOND:.*]] = arith.addi %[[FIRST:.*]], %{{.*}} : index
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %[[FIRST]] sizes
// CHECK:         rt.buffer %{{.*}} "arena"[0] at %[[SECOND]] sizes
module {
  func.func private @k(memref<?xf32>, memref<?xf32>, !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>}
  func.func @both_live(%call: !llvm.ptr) -> i32 {
    %n = rt.dim %call[0] : !llvm.ptr
    %a = memref.alloc(%n) : memref<?xf32>
    %b = memref.alloc(%n) : memref<?xf32>
    call @k(%a, %b, %call) : (memref<?xf32>, memref<?xf32>, !llvm.ptr) -> ()
    %zero = arith.constant 0 : i32
    return %zero : i32
  }
}

// -----

// A size that is read from memory counts with its bound, 3 * n, and a difference with it with what it is at most. The size of a result is
// told by the run.
// CHECK-LABEL: func.func @main_sizes
// CHECK:         %[[N:.*]] = rt.dim
// CHECK:         %[[MAX:.*]] = arith.muli %[[N]], %c3
// CHECK-NOT:     memref.load
// CHECK:         %[[BOUND:.*]] = arith.index_cast %[[MAX]]
// CHECK:         llvm.store %[[BOUND]]
// CHECK:       func.func @main(
// CHECK-SAME:    attributes {rt.data_sizes = array<i64: 0, -1>}
// CHECK:         %[[SIZE:.*]] = rt.bounded_size
// CHECK:         "arena"[0] at %{{.*}} sizes(%[[SIZE]])
// CHECK:         rt.result_size %{{.*}}[0], %[[SIZE]]
module {
  func.func private @k(memref<?xf32>, !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>}
  func.func @main(%call: !llvm.ptr) -> i32 {
    %c3 = arith.constant 3 : index
    %n = rt.dim %call[0] : !llvm.ptr
    %max = arith.muli %n, %c3 : index
    %x = rt.buffer %call "input"[0] : !llvm.ptr -> memref<index>
    %count = memref.load %x[] : memref<index>
    %size = rt.bounded_size %call, %count, %max "size %d, expected 0 to %d" : !llvm.ptr
    %a = memref.alloc(%size) : memref<?xf32>
    call @k(%a, %call) : (memref<?xf32>, !llvm.ptr) -> ()
    %rest = arith.subi %max, %size : index
    %b = memref.alloc(%rest) : memref<?xf32>
    call @k(%b, %call) : (memref<?xf32>, !llvm.ptr) -> ()
    rt.result_shapes [array<i64: -9223372036854775808>] sizes(%size)
    %zero = arith.constant 0 : i32
    return %zero : i32
  }
}

// -----

// A size that is read from memory cannot be known before the run.
module {
  func.func @data(%call: !llvm.ptr) -> i32 {
    %x = rt.buffer %call "input"[0] : !llvm.ptr -> memref<index>
    %n = memref.load %x[] : memref<index>
    // expected-error@+1 {{the size of an intermediate value is read from data that has no upper bound}}
    %a = memref.alloc(%n) : memref<?xf32>
    %zero = arith.constant 0 : i32
    return %zero : i32
  }
}

// -----

// Weights that nothing reads are dropped, the others begin at cache lines. State lies apart; its initial values lie with the weights,
// and an optimizer's slot has none (-1).
// CHECK:       rt.state = [#rt.slot<name = "p", type = tensor<4xf32>, parameter = true, offset = 0, weights_offset = 128>,
// CHECK-SAME:    #rt.slot<name = "p.momentum", type = tensor<4xf32>, offset = 64>], rt.state_bytes = 80 : i64
// CHECK-SAME:  rt.weights = [#rt.weight<value = dense<1.000000e+00> : tensor<17xf32>, offset = 0>, #rt.weight<value = dense<3.000000e+00> : tensor<4xf32>, offset = 128>], rt.weights_bytes = 144 : i64
// CHECK-LABEL: func.func @constants
// CHECK:         rt.buffer %{{.*}} "weights"[1] at %c0
// CHECK:         rt.buffer %{{.*}} "state"[1] at %c64
module attributes {rt.weights = [#rt.weight<value = dense<2.0> : tensor<4xf32>>, #rt.weight<value = dense<1.0> : tensor<17xf32>>],
    rt.state = [#rt.slot<name = "p", type = tensor<4xf32>, parameter = true, value = dense<3.0> : tensor<4xf32>>, #rt.slot<name = "p.momentum", type = tensor<4xf32>>]} {
  func.func private @k(memref<17xf32>, memref<4xf32>, !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>}
  func.func @constants(%call: !llvm.ptr) -> i32 {
    %w = rt.buffer %call "weights"[1] : !llvm.ptr -> memref<17xf32>
    %m = rt.buffer %call "state"[1] : !llvm.ptr -> memref<4xf32>
    call @k(%w, %m, %call) : (memref<17xf32>, memref<4xf32>, !llvm.ptr) -> ()
    %zero = arith.constant 0 : i32
    return %zero : i32
  }
}

// -----

// What a loop's step needs only for itself shares memory with what is needed after the loop; what the loop needs from outside stays for all
// steps, though it is read early in each.
// CHECK-LABEL: func.func @steps(
// CHECK-DAG:     %[[AT0:.*]] = arith.constant 0 : index
// CHECK:         %[[OUTER:.*]] = rt.buffer %arg0 "arena"[0] at %c0{{.*}} memref<16xf32>
// CHECK:         scf.for
// CHECK:           call @use(%[[OUTER]]
// CHECK:           %[[INNER:.*]] = rt.buffer %arg0 "arena"[0] at %c64{{.*}} memref<16xf32>
// CHECK:           call @use(%[[INNER]]
// CHECK:         }
// CHECK:         rt.buffer %arg0 "arena"[0] at %c0{{.*}} memref<16xf32>
func.func private @use(memref<16xf32>) attributes {sched.kind = #sched.kind<pointwise>}
func.func @steps(%call: !llvm.ptr) -> i32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %outer = memref.alloc() : memref<16xf32>
  scf.for %i = %c0 to %c4 step %c1 {
    func.call @use(%outer) : (memref<16xf32>) -> ()
    %inner = memref.alloc() : memref<16xf32>
    func.call @use(%inner) : (memref<16xf32>) -> ()
  }
  %after = memref.alloc() : memref<16xf32>
  func.call @use(%after) : (memref<16xf32>) -> ()
  %ok = arith.constant 0 : i32
  return %ok : i32
}
