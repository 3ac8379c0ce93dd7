// If this failed, branches and loops would not survive printing, would be accepted with values that do not fit, or would carry what never
// changes.
// RUN: %mlc-opt %s --split-input-file --verify-diagnostics | %mlc-opt --split-input-file --simplify-core | FileCheck %s

// CHECK-LABEL: func.func @branches
// CHECK:         core.if %arg0 sizes(%arg2) {
// CHECK:           core.yield %{{.*}} : tensor<?xf32>
// CHECK:         } else {
// CHECK:         } : tensor<i1> -> tensor<?xf32>
func.func @branches(%c: tensor<i1>, %x: tensor<?xf32>, %n: index) -> tensor<?xf32> {
  %y = core.if %c sizes(%n) {
    %a = core.neg %x : tensor<?xf32>
    core.yield %a : tensor<?xf32>
  } else {
    core.yield %x : tensor<?xf32>
  } : tensor<i1> -> tensor<?xf32>
  return %y : tensor<?xf32>
}

// -----
// A known condition leaves one branch.
// CHECK-LABEL: func.func @known
// CHECK-NEXT:    %[[Y:.*]] = core.neg %arg0
// CHECK-NEXT:    return %[[Y]]
func.func @known(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c = core.constant dense<true> : tensor<i1>
  %y = core.if %c {
    %a = core.neg %x : tensor<4xf32>
    core.yield %a : tensor<4xf32>
  } else {
    core.yield %x : tensor<4xf32>
  } : tensor<i1> -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----
// The second value never changes, the third is never read, the condition always holds, and the size of the first is that of the argument.
// CHECK-LABEL: func.func @carried
// CHECK:         %[[STEPS:.*]], %[[Y:.*]] = core.loop %arg0 carry(%arg1 : tensor<?xf32>) {
// CHECK-NEXT:    ^bb0(%{{.*}}: index, %[[V:.*]]: tensor<?xf32>):
// CHECK-NEXT:      %[[W:.*]] = core.add %[[V]], %arg2
// CHECK-NEXT:      core.yield %[[W]] : tensor<?xf32>
// CHECK:         %[[N:.*]] = tensor.dim %arg1, %c0
// CHECK:         return %[[Y]], %[[STEPS]], %[[N]]
func.func @carried(%n: index, %x: tensor<?xf32>, %z: tensor<?xf32>) -> (tensor<?xf32>, index, index) {
  %c = core.constant dense<true> : tensor<i1>
  %c0 = arith.constant 0 : index
  %steps, %y:3 = core.loop %n while %c : tensor<i1> carry(%x, %z, %x : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) {
  ^bb0(%step: index, %v: tensor<?xf32>, %same: tensor<?xf32>, %unused: tensor<?xf32>):
    %w = core.add %v, %same : tensor<?xf32>
    core.yield %c, %w, %same, %w : tensor<i1>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>
  } -> tensor<?xf32>, tensor<?xf32>, tensor<?xf32>
  %size = tensor.dim %y#0, %c0 : tensor<?xf32>
  return %y#0, %steps, %size : tensor<?xf32>, index, index
}
