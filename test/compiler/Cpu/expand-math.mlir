// If this failed, math functions would be calls of libm, one for each lane.
// RUN: %mlc-opt %s --pass-pipeline='builtin.module(func.func(expand-math,canonicalize))' | FileCheck %s

// CHECK-LABEL: func.func @vector
// CHECK-NOT:     math.exp
// CHECK:         arith.mulf %{{.*}} fastmath<contract> : vector<16xf32>
// CHECK:         arith.shli %{{.*}} : vector<16xi32>
func.func @vector(%x: vector<16xf32>) -> vector<16xf32> {
  %y = math.exp %x : vector<16xf32>
  return %y : vector<16xf32>
}

// CHECK-LABEL: func.func @half
// CHECK:         arith.extf %{{.*}} : f16 to f32
// CHECK-NOT:     math.tanh
// CHECK:         arith.truncf %{{.*}} : f32 to f16
func.func @half(%x: f16) -> f16 {
  %y = math.tanh %x : f16
  return %y : f16
}

// f64 is libm's; sqrt and the like are instructions.
// CHECK-LABEL: func.func @kept
// CHECK:         math.exp %{{.*}} : f64
// CHECK:         math.sqrt %{{.*}} : f32
func.func @kept(%x: f64, %y: f32) -> (f64, f32) {
  %a = math.exp %x : f64
  %b = math.sqrt %y : f32
  return %a, %b : f64, f32
}

// CHECK-LABEL: func.func @square
// CHECK-NEXT:    %[[Y:.*]] = arith.mulf %arg0, %arg0
// CHECK-NEXT:    return %[[Y]]
func.func @square(%x: vector<4xf32>) -> vector<4xf32> {
  %two = arith.constant dense<2.0> : vector<4xf32>
  %y = math.powf %x, %two : vector<4xf32>
  return %y : vector<4xf32>
}

// Against a constant one compare and select, which is one instruction, keeps NaN.
// CHECK-LABEL: func.func @relu
// CHECK:         %[[GREATER:.*]] = arith.cmpf ogt, %[[ZERO:.*]], %[[X:.*]] : f32
// CHECK-NEXT:    arith.select %[[GREATER]], %[[ZERO]], %[[X]] : f32
// CHECK-NEXT:    return
func.func @relu(%x: f32) -> f32 {
  %zero = arith.constant 0.0 : f32
  %y = arith.maximumf %x, %zero : f32
  return %y : f32
}
