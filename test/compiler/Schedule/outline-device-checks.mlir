// If this failed, a run on a GPU would succeed with a wrong index, or the host would read device memory.
// RUN: %mlc-opt %s --split-input-file --outline-groups=on-device | FileCheck %s

// Every element has a thread; what it finds goes into the call's record, the lowest position first. One more thread takes the value.
// CHECK-LABEL: func.func private @kernel_0
// CHECK-SAME:    (%[[X:.*]]: memref<?xi64>, %[[LOWER:.*]]: index, %[[UPPER:.*]]: index, %{{.*}}: index, %{{.*}}: index, %[[RECORD:.*]]: memref<4xi64>,
// CHECK-SAME:    sched.kind = #sched.kind<check>
// CHECK:         scf.forall (%[[I:.*]]) in (
// CHECK:           memref.load %[[X]][%[[I]]]
// CHECK:           memref.atomic_rmw minu
// CHECK-LABEL: func.func private @kernel_1
// CHECK-NOT:     scf.forall
// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %[[CALL:.*]]: !llvm.ptr
// CHECK-DAG:     %[[BELOW:.*]] = rt.message "token %d is below %d"
// CHECK-DAG:     %[[ABOVE:.*]] = rt.message "token %d is not below %d"
// CHECK-DAG:     %[[CHECKS:.*]] = rt.buffer %[[CALL]] "checks"[0]
// CHECK-NOT:     memref.load
// CHECK:         call @kernel_0(%{{.*}}, %{{.*}}, %{{.*}}, %[[BELOW]], %[[ABOVE]], %[[CHECKS]], %[[CALL]])
// CHECK-NEXT:    call @kernel_1(%{{.*}}, %{{.*}}, %{{.*}}, %[[BELOW]], %[[ABOVE]], %[[CHECKS]], %[[CALL]])
func.func @main(%x: tensor<?xi64> {onnx.dims = ["n"], onnx.name = "token"}) {
  %c0 = arith.constant 0 : index
  %c9 = arith.constant 9 : index
  core.check_range %x in %c0, %c9 "token" : tensor<?xi64>
  return
}

// -----

// A number that the host computes is checked there.
// CHECK-LABEL: func.func @main(
// CHECK:         rt.check %{{.*}}, %{{.*}}, "size %d is not below %d"
// CHECK-NOT:     call @
func.func @main(%x: tensor<?xf32> {onnx.dims = ["n"], onnx.name = "x"}) {
  %c0 = arith.constant 0 : index
  %c9 = arith.constant 9 : index
  %n = tensor.dim %x, %c0 : tensor<?xf32>
  %number = arith.index_cast %n : index to i64
  %size = tensor.from_elements %number : tensor<i64>
  core.check_range %size in %c0, %c9 "size" : tensor<i64>
  return
}

// -----

// State is written when everything before it is known to be right.
// CHECK-LABEL: func.func @main(
// CHECK:         call @kernel_0
// CHECK:         rt.commit
// CHECK:         rt.buffer %{{.*}} "state"[0]
// CHECK-NOT:     rt.commit
module attributes {rt.state = [#rt.slot<name = "w", type = tensor<4xf32>>, #rt.slot<name = "v", type = tensor<4xf32>>]} {
func.func @main(%x: tensor<4xf32> {onnx.dims = [""], onnx.name = "x"}) {
  %e = tensor.empty() : tensor<4xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"], sched.group = 0 : i64, sched.kind = #sched.kind<pointwise>}
      ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %n = arith.negf %a : f32
    linalg.yield %n : f32
  } -> tensor<4xf32>
  core.assign "w", %y : tensor<4xf32>
  core.assign "v", %y : tensor<4xf32>
  return
}
}
