// Constants are computed and identities vanish when operations are made; if this fails, shape arithmetic and constants of models
// become kernels.
// RUN: %mlc-opt %s -canonicalize | FileCheck %s

// CHECK-LABEL: func @numbers
// CHECK-DAG: dense<[-2.500000e+00, 4.500000e+00]> : tensor<2xf32>
// CHECK-DAG: dense<[-3, 1]> : tensor<2xi32>
// CHECK-DAG: dense<[253, 7]> : tensor<2xui8>
// CHECK-DAG: dense<[true, false]> : tensor<2xi1>
func.func @numbers() -> (tensor<2xf32>, tensor<2xi32>, tensor<2xui8>, tensor<2xi1>) {
  %x = core.constant dense<[-5.0, 9.0]> : tensor<2xf32>
  %half = core.constant dense<0.5> : tensor<2xf32>
  %0 = core.mul %x, %half : tensor<2xf32>
  %a = core.constant dense<[-7, 5]> : tensor<2xi32>
  %b = core.constant dense<[2, 3]> : tensor<2xi32>
  %1 = core.div %a, %b : tensor<2xi32> // truncates
  %u = core.constant dense<[255, 1]> : tensor<2xui8>
  %v = core.constant dense<[254, 6]> : tensor<2xui8>
  %2 = core.add %u, %v : tensor<2xui8> // wraps around
  %3 = core.compare lt %x, %half : tensor<2xf32>
  return %0, %1, %2, %3 : tensor<2xf32>, tensor<2xi32>, tensor<2xui8>, tensor<2xi1>
}

// CHECK-LABEL: func @remainders
// CHECK-DAG: dense<[-1, 1]> : tensor<2xi32>
// CHECK-DAG: dense<[2, -2]> : tensor<2xi32>
func.func @remainders() -> (tensor<2xi32>, tensor<2xi32>) {
  %x = core.constant dense<[-7, 7]> : tensor<2xi32>
  %y = core.constant dense<[3, -3]> : tensor<2xi32>
  %0 = core.rem %x, %y : tensor<2xi32>
  %1 = core.mod %x, %y : tensor<2xi32>
  return %0, %1 : tensor<2xi32>, tensor<2xi32>
}

// CHECK-LABEL: func @casts
// CHECK-DAG: dense<[-1, 255]> : tensor<2xi16>
// CHECK-DAG: dense<[1.000000e+00, 3.332520e-01]> : tensor<2xf16>
// CHECK-DAG: dense<[true, false]> : tensor<2xi1>
func.func @casts() -> (tensor<2xi16>, tensor<2xf16>, tensor<2xi1>) {
  %x = core.constant dense<[-1.9, 255.9]> : tensor<2xf64>
  %0 = core.cast %x : tensor<2xf64> to tensor<2xi16>
  %y = core.constant dense<[1.0, 0.33333334]> : tensor<2xf32>
  %1 = core.cast %y : tensor<2xf32> to tensor<2xf16>
  %z = core.constant dense<[0.5, 0.0]> : tensor<2xf32>
  %2 = core.cast %z : tensor<2xf32> to tensor<2xi1>
  return %0, %1, %2 : tensor<2xi16>, tensor<2xf16>, tensor<2xi1>
}

// CHECK-LABEL: func @movement
// CHECK-DAG: dense<{{\[\[}}1, 4], [2, 5], [3, 6]]> : tensor<3x2xi64>
// CHECK-DAG: dense<{{\[\[}}3, 2, 1], [6, 5, 4]]> : tensor<2x3xi64>
// CHECK-DAG: dense<{{\[\[}}1, 3], [4, 6]]> : tensor<2x2xi64>
// CHECK-DAG: dense<[0, 7, 0, 8, 9, 9]> : tensor<6xi64>
// CHECK-DAG: dense<{{\[\[}}7, 8], [7, 8]]> : tensor<2x2xi64>
// CHECK-DAG: dense<{{\[\[}}4, 5, 6], [1, 2, 3]]> : tensor<2x3xi64>
// CHECK-DAG: dense<[5, 7, 9]> : tensor<3xi64>
func.func @movement() -> (tensor<3x2xi64>, tensor<2x3xi64>, tensor<2x2xi64>, tensor<6xi64>, tensor<2x2xi64>, tensor<2x3xi64>, tensor<3xi64>) {
  %x = core.constant dense<[[1, 2, 3], [4, 5, 6]]> : tensor<2x3xi64>
  %p = core.constant dense<[7, 8]> : tensor<2xi64>
  %zero = core.constant dense<0> : tensor<i64>
  %nine = core.constant dense<9> : tensor<2xi64>
  %i = core.constant dense<[-1, 0]> : tensor<2xi64>
  %0 = core.transpose %x permutation = [1, 0] : tensor<2x3xi64> to tensor<3x2xi64>
  %1 = core.reverse %x axes = [1] : tensor<2x3xi64>
  %2 = core.slice %x starts = [0, 0] sizes = [2, 2] strides = [1, 2] : tensor<2x3xi64> to tensor<2x2xi64>
  %3 = core.pad %p, %zero low = [1] high = [0] interior = [1] : tensor<2xi64> to tensor<4xi64>
  %4 = core.concat %3, %nine axis = 0 : (tensor<4xi64>, tensor<2xi64>) -> tensor<6xi64>
  %5 = core.broadcast %p axes = [1] sizes = [2, 2] : tensor<2xi64> to tensor<2x2xi64>
  %6 = core.gather %x, %i axis = 0 : tensor<2x3xi64>, tensor<2xi64> to tensor<2x3xi64>
  %7 = core.reduce sum %x axes = [0] : tensor<2x3xi64> to tensor<3xi64>
  return %0, %1, %2, %4, %5, %6, %7 : tensor<3x2xi64>, tensor<2x3xi64>, tensor<2x2xi64>, tensor<6xi64>, tensor<2x2xi64>, tensor<2x3xi64>, tensor<3xi64>
}

// A splat folds at any size.
// CHECK-LABEL: func @large_splat
// CHECK-NEXT: core.constant dense<2.000000e+00> : tensor<1000x1000xf32>
// CHECK-NEXT: return
func.func @large_splat() -> tensor<1000x1000xf32> {
  %x = core.constant dense<1.0> : tensor<1000xf32>
  %0 = core.broadcast %x axes = [1] sizes = [1000, 1000] : tensor<1000xf32> to tensor<1000x1000xf32>
  %1 = core.add %0, %0 : tensor<1000x1000xf32>
  return %1 : tensor<1000x1000xf32>
}

// Training may change a named float: it stays.
// CHECK-LABEL: func @trainable
// CHECK: core.constant {name = "w"}
// CHECK: core.neg
func.func @trainable() -> tensor<2xf32> {
  %w = core.constant {name = "w"} dense<[1.0, 2.0]> : tensor<2xf32>
  %0 = core.neg %w : tensor<2xf32>
  return %0 : tensor<2xf32>
}

// CHECK-LABEL: func @identities
// CHECK-SAME: (%[[X:.*]]: tensor<?x4xf32>
// CHECK: return %[[X]], %[[X]], %[[X]], %[[X]], %[[X]]
func.func @identities(%x: tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %zero = core.constant dense<-0.0> : tensor<f32>
  %zeros = core.broadcast %zero axes = [] sizes = [%n, 4] : tensor<f32> to tensor<?x4xf32>
  %0 = core.add %x, %zeros : tensor<?x4xf32>
  %1 = core.transpose %x permutation = [1, 0] : tensor<?x4xf32> to tensor<4x?xf32>
  %2 = core.transpose %1 permutation = [1, 0] : tensor<4x?xf32> to tensor<?x4xf32>
  %3 = core.slice %x starts = [0, 0] sizes = [%n, 4] strides = [1, 1] : tensor<?x4xf32> to tensor<?x4xf32>
  %4 = core.cast %x : tensor<?x4xf32> to tensor<?x4xf64>
  %5 = core.cast %4 : tensor<?x4xf64> to tensor<?x4xf32>
  %6 = core.reshape %x sizes = [4, %n] : tensor<?x4xf32> to tensor<4x?xf32>
  %7 = core.reshape %6 sizes = [%n, 4] : tensor<4x?xf32> to tensor<?x4xf32>
  return %0, %2, %3, %5, %7 : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>
}

// x + 0 is +0 where x is -0, and so is x - -0: both stay. x + -0 and x - 0 are x, and so is an integer to which 0 is added.
// CHECK-LABEL: func @zeros
// CHECK-SAME: (%[[X:.*]]: tensor<4xf32>, %[[I:.*]]: tensor<4xi32>)
// CHECK: %[[SUM:.*]] = core.add %[[X]]
// CHECK: %[[DIFFERENCE:.*]] = core.sub %[[X]]
// CHECK: return %[[SUM]], %[[X]], %[[X]], %[[DIFFERENCE]], %[[I]]
func.func @zeros(%x: tensor<4xf32>, %i: tensor<4xi32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xi32>) {
  %zero = core.constant dense<0.0> : tensor<4xf32>
  %minus = core.constant dense<-0.0> : tensor<4xf32>
  %none = core.constant dense<0> : tensor<4xi32>
  %0 = core.add %x, %zero : tensor<4xf32>
  %1 = core.add %minus, %x : tensor<4xf32>
  %2 = core.sub %x, %zero : tensor<4xf32>
  %3 = core.sub %x, %minus : tensor<4xf32>
  %4 = core.add %none, %i : tensor<4xi32>
  return %0, %1, %2, %3, %4 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xi32>
}

// broadcast(reshape(x) that adds dimensions of size 1) reads x
// CHECK-LABEL: func @broadcast_of_unit
// CHECK: core.broadcast %{{.*}} axes = [0] sizes = [4, 7]
func.func @broadcast_of_unit(%x: tensor<4xf32>) -> tensor<4x7xf32> {
  %0 = core.reshape %x sizes = [4, 1] : tensor<4xf32> to tensor<4x1xf32>
  %1 = core.broadcast %0 axes = [0, 1] sizes = [4, 7] : tensor<4x1xf32> to tensor<4x7xf32>
  return %1 : tensor<4x7xf32>
}

// f64 -> f32 -> f64 loses digits: both stay.
// CHECK-LABEL: func @lossy_casts
// CHECK-COUNT-2: core.cast
func.func @lossy_casts(%x: tensor<4xf64>) -> tensor<4xf64> {
  %0 = core.cast %x : tensor<4xf64> to tensor<4xf32>
  %1 = core.cast %0 : tensor<4xf32> to tensor<4xf64>
  return %1 : tensor<4xf64>
}

// A constant inside of its bound needs no check; one outside keeps it.
// CHECK-LABEL: func @bounded_size
// CHECK:         %[[C5:.*]] = arith.constant 5 : index
// CHECK:         %[[BAD:.*]] = core.bounded_size %[[C5]], %{{.*}} "x"
// CHECK:         return %{{.*}}, %[[BAD]]
func.func @bounded_size() -> (index, index) {
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  %0 = core.bounded_size %c3, %c4 "x"
  %1 = core.bounded_size %c5, %c4 "x"
  return %0, %1 : index, index
}
