// RUN: %mlc-opt %s --outline-gpu-kernels --split-input-file --verify-diagnostics | FileCheck %s
// If this fails, kernels are launched with the wrong number of threads or parameters, or host code touches device memory.

// An iteration is a thread; threads beyond the count do nothing. Sizes stay host code, constants are cloned.
// CHECK: module attributes {rt.device_kernels = ["kernel_0"]}
// CHECK-LABEL: func.func private @kernel_0(
// CHECK-SAME: %[[X:.*]]: memref<?x8xf32>, %[[CALL:.*]]: !llvm.ptr)
// CHECK: %[[N:.*]] = memref.dim %[[X]]
// CHECK: %[[BLOCKS:.*]] = arith.ceildivui %[[N]], %c128
// CHECK: rt.launch 0(%[[X]], %[[N]]) blocks %[[BLOCKS]] threads 128 from %[[CALL]] : !llvm.ptr, memref<?x8xf32>, index
// CHECK-NOT: scf.forall
// CHECK: module @device
// CHECK: func.func @kernel_0(%[[Y:.*]]: memref<?x8xf32>, %[[COUNT:.*]]: index)
// CHECK-DAG: %[[ONE:.*]] = arith.constant 1.000000e+00 : f32
// CHECK-DAG: %[[THREAD:.*]] = nvvm.read.ptx.sreg.tid.x range <i32, 0, 128> : i32
// CHECK-DAG: %[[BLOCK:.*]] = nvvm.read.ptx.sreg.ctaid.x
// CHECK: %[[EXISTS:.*]] = arith.cmpi ult, %[[INDEX:.*]], %[[COUNT]]
// CHECK: scf.if %[[EXISTS]]
// CHECK: memref.store %[[ONE]], %[[Y]][%[[INDEX]],
func.func private @kernel_0(%x: memref<?x8xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<pointwise>} {
  %zero = arith.constant 0 : index
  %one = arith.constant 1.0 : f32
  %n = memref.dim %x, %zero : memref<?x8xf32>
  scf.forall (%t) in (%n) {
    memref.store %one, %x[%t, %zero] : memref<?x8xf32>
  }
  return
}

// -----

// A count that fills its blocks needs no guard, and two foralls are two launches in order.
// CHECK: rt.device_kernels = ["twice", "twice_0"]
// CHECK-LABEL: func.func private @twice(
// CHECK: rt.launch 0({{.*}}) blocks %{{.*}} threads 128
// CHECK: rt.launch 1({{.*}}) blocks %{{.*}} threads 128
// CHECK: func.func @twice(
// CHECK-NOT: scf.if
// CHECK: func.func @twice_0(
// CHECK: scf.if
func.func private @twice(%x: memref<256xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<loops>} {
  %one = arith.constant 1.0 : f32
  scf.forall (%t) in (256) {
    memref.store %one, %x[%t] : memref<256xf32>
  }
  scf.forall (%t) in (100) {
    memref.store %one, %x[%t] : memref<256xf32>
  }
  return
}

// -----

// Work that is no forall is one thread; foralls inside are its loops.
// CHECK-LABEL: func.func private @serial(
// CHECK-NOT: memref.store
// CHECK: rt.launch 0(%{{.*}}) blocks %{{.*}} threads 1 from
// CHECK: func.func @serial(
// CHECK-NOT: nvvm.read
// CHECK: scf.for
// CHECK: memref.store
// CHECK: memref.load
func.func private @serial(%x: memref<256xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<lowered>} {
  %zero = arith.constant 0 : index
  %one = arith.constant 1.0 : f32
  scf.forall (%t) in (256) {
    memref.store %one, %x[%t] : memref<256xf32>
  }
  %v = memref.load %x[%zero] : memref<256xf32>
  memref.store %v, %x[%zero] : memref<256xf32>
  return
}

// -----

// An entry's sizes reach device memory through a kernel; its own stack it writes itself.
// CHECK-LABEL: func.func @main(
// CHECK: %[[N:.*]] = rt.dim
// CHECK: %[[SHAPE:.*]] = memref.alloca
// CHECK: memref.store %[[N]], %[[SHAPE]]
// CHECK: rt.launch 0(
// CHECK: func.func @store(%[[SIZE:.*]]: i64, %[[Y:.*]]: memref<1xi64>)
// CHECK: memref.store %[[SIZE]], %[[Y]]
func.func @main(%call: !llvm.ptr) -> i32 {
  %zero = arith.constant 0 : index
  %n = rt.dim %call[0] : !llvm.ptr
  %size = arith.index_cast %n : index to i64
  %shape = memref.alloca() : memref<1xindex>
  memref.store %n, %shape[%zero] : memref<1xindex>
  %y = rt.buffer %call "output"[0] : !llvm.ptr -> memref<1xi64>
  memref.store %size, %y[%zero] : memref<1xi64>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

func.func @main(%call: !llvm.ptr) -> i32 {
  %zero = arith.constant 0 : index
  %x = rt.buffer %call "input"[0] : !llvm.ptr -> memref<1xi32>
  // expected-error @below {{a size or index that depends on data is not supported on the GPU}}
  %n = memref.load %x[%zero] : memref<1xi32>
  return %n : i32
}

// -----

func.func private @checks(%x: memref<256xf32>, %call: !llvm.ptr) attributes {sched.kind = #sched.kind<loops>} {
  scf.forall (%t) in (256) {
    %good = arith.constant 0 : i1
    // expected-error @below {{is not supported inside GPU code}}
    rt.check %call, %good, "bad" (%t, %t) : !llvm.ptr
  }
  return
}
