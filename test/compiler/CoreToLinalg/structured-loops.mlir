// scan, sort and the scatters are loops without memory of their own; if this fails, they allocate or leave their tensors.
// RUN: %mlc-opt %s -core-to-linalg -group-ops -outline-groups -split-input-file | FileCheck %s

// A running sum from the end: the value before this element is stored.
// CHECK-LABEL: func.func private @kernel_0
// CHECK: scf.for
// CHECK: %{{.*}} = scf.for {{.*}} iter_args(%[[SUM:.*]] = %{{.*}}) -> (f32)
// CHECK: %[[X:.*]] = memref.load
// CHECK: %[[NEXT:.*]] = arith.addf %[[SUM]], %[[X]]
// CHECK: memref.store %[[SUM]]
// CHECK: scf.yield %[[NEXT]]
func.func @main(%x: tensor<4x7xf32> {onnx.name = "x", onnx.dims = ["", ""]}) -> (tensor<4x7xf32> {onnx.name = "y", onnx.dims = ["", ""]}) {
  %0 = core.scan sum %x axis = 1 exclusive reverse : tensor<4x7xf32>
  return %0 : tensor<4x7xf32>
}

// -----
// Indices outside are dropped, not written.
// CHECK-LABEL: func.func private @kernel_0
// CHECK: arith.cmpi ult
// CHECK: scf.if
// CHECK: arith.maxui
// CHECK: memref.store
func.func @main(%x: tensor<4x3xui8> {onnx.name = "x", onnx.dims = ["", ""]}, %i: tensor<5x1xi64> {onnx.name = "i", onnx.dims = ["", ""]},
                %u: tensor<5x3xui8> {onnx.name = "u", onnx.dims = ["", ""]}) -> (tensor<4x3xui8> {onnx.name = "y", onnx.dims = ["", ""]}) {
  %0 = core.scatter_nd max %x, %i, %u : tensor<4x3xui8>, tensor<5x1xi64>, tensor<5x3xui8> to tensor<4x3xui8>
  return %0 : tensor<4x3xui8>
}

// -----
// A heap sort in place: no scratch, equal values in order of their positions.
// CHECK-LABEL: func.func private @kernel_0
// CHECK-NOT: memref.alloc
// CHECK: scf.while
// CHECK: arith.cmpf ult
// CHECK: arith.cmpi slt, %{{.*}}, %{{.*}} : i64
// CHECK: scf.while
// CHECK: return
func.func @main(%x: tensor<9xf32> {onnx.name = "x", onnx.dims = [""]})
    -> (tensor<9xf32> {onnx.name = "y", onnx.dims = [""]}, tensor<9xi64> {onnx.name = "p", onnx.dims = [""]}) {
  %0, %1 = core.sort %x axis = 0 : tensor<9xf32> to tensor<9xf32>, tensor<9xi64>
  return %0, %1 : tensor<9xf32>, tensor<9xi64>
}
