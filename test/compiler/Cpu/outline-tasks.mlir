// If this failed, kernels would run on one thread, or tasks would read the wrong values.
// RUN: %mlc-opt %s --split-input-file --outline-tasks | FileCheck %s

// Memrefs and sizes are captured, constants are cloned.
// CHECK-LABEL: func.func private @one_dim_task(
// CHECK-SAME:    %[[X:.*]]: memref<?xf32>, %[[I:.*]]: index) attributes {sched.kind = #sched.kind<pointwise>}
// CHECK-DAG:     %[[C:.*]] = arith.constant 1.000000e+00 : f32
// CHECK:         memref.store %[[C]], %[[X]][%[[I]]]
// CHECK:         return
// CHECK-LABEL: func.func private @one_dim(
// CHECK-SAME:    %[[X:.*]]: memref<?xf32>, %[[N:.*]]: index, %[[CALL:.*]]: !llvm.ptr)
// CHECK:         rt.parallel_for @one_dim_task(%[[X]]) count %[[N]] from %[[CALL]] : !llvm.ptr, memref<?xf32>
func.func private @one_dim(%x: memref<?xf32>, %n: index, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>} {
  %one = arith.constant 1.0 : f32
  scf.forall (%i) in (%n) {
    memref.store %one, %x[%i] : memref<?xf32>
  }
  return
}

// -----

// Several dimensions are one linear index; the last varies fastest. Lower bounds and steps are applied in the task.
// CHECK-LABEL: func.func private @two_dims_task(
// CHECK-SAME:    %[[V:.*]]: f32, %[[X:.*]]: memref<?x8xf32>, %[[I:.*]]: index)
// CHECK-DAG:     %[[C4:.*]] = arith.constant 4 : index
// CHECK-DAG:     %[[C2:.*]] = arith.constant 2 : index
// CHECK:         %[[COLUMN:.*]] = arith.remui %[[I]], %[[C4]]
// CHECK:         %[[ROW:.*]] = arith.divui %[[I]], %[[C4]]
// CHECK:         %[[J:.*]] = arith.muli %[[COLUMN]], %[[C2]]
// CHECK:         memref.store %[[V]], %[[X]][%[[ROW]], %[[J]]]
// CHECK-LABEL: func.func private @two_dims(
// CHECK:         %[[COUNT:.*]] = arith.muli %{{.*}}, %{{.*}} : index
// CHECK:         rt.parallel_for @two_dims_task(%{{.*}}, %{{.*}}) count %[[COUNT]]
func.func private @two_dims(%x: memref<?x8xf32>, %v: f32, %n: index, %call: !llvm.ptr) {
  scf.forall (%i, %j) = (0, 0) to (%n, 8) step (1, 2) {
    memref.store %v, %x[%i, %j] : memref<?x8xf32>
  }
  return
}

// -----

// One iteration needs no task.
// CHECK-LABEL: func.func private @once(
// CHECK-NOT:     scf.forall
// CHECK-NOT:     rt.parallel_for
// CHECK:         %[[C3:.*]] = arith.constant 3 : index
// CHECK:         memref.store %{{.*}}, %{{.*}}[%[[C3]]]
func.func private @once(%x: memref<8xf32>, %v: f32, %call: !llvm.ptr) {
  scf.forall (%i) = (3) to (8) step (8) {
    memref.store %v, %x[%i] : memref<8xf32>
  }
  return
}

// -----

// Two loops of one kernel are two tasks; a loop inside a task is a plain loop, because the threads are busy.
// CHECK-DAG: func.func private @nested_task(
// CHECK-DAG: scf.for
// CHECK-DAG: func.func private @nested_task_0(
// CHECK-LABEL: func.func private @nested(
// CHECK-COUNT-2: rt.parallel_for
// CHECK-NOT: scf
func.func private @nested(%x: memref<4x8xf32>, %v: f32, %call: !llvm.ptr) {
  scf.forall (%i) in (4) {
    scf.forall (%j) in (8) {
      memref.store %v, %x[%i, %j] : memref<4x8xf32>
    }
  }
  scf.forall (%i) in (4) {
    %c0 = arith.constant 0 : index
    memref.store %v, %x[%i, %c0] : memref<4x8xf32>
  }
  return
}
