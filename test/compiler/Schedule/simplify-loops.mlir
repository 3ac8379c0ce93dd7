// If this failed, address arithmetic of an outer loop would be computed in every step of the inner one.
// RUN: %mlc-opt %s --simplify-loops | FileCheck %s

// What does not depend on the loops is in front of them, what depends on the outer one between them; the sum is computed once.
// CHECK-LABEL: func.func @rows
// CHECK-NEXT:    %[[C0:.*]] = arith.constant 0
// CHECK-NEXT:    %[[C1:.*]] = arith.constant 1
// CHECK-NEXT:    %[[SIZE:.*]] = arith.muli %arg1, %arg2
// CHECK-NEXT:    scf.for %[[I:.*]] = %[[C0]] to %arg1 step %[[C1]]
// CHECK-NEXT:      %[[ROW:.*]] = arith.muli %[[I]], %[[SIZE]]
// CHECK-NEXT:      scf.for %[[J:.*]] = %[[C0]] to %arg2 step %[[C1]]
// CHECK-NEXT:        %[[AT:.*]] = arith.addi %[[ROW]], %[[J]]
// CHECK-NEXT:        %[[X:.*]] = memref.load %arg0[%[[AT]]]
// CHECK-NEXT:        memref.store %[[X]], %arg3[%[[AT]]]
func.func @rows(%x: memref<?xf32>, %n: index, %m: index, %y: memref<?xf32>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  scf.for %i = %zero to %n step %one {
    scf.for %j = %zero to %m step %one {
      %size = arith.muli %n, %m : index
      %row = arith.muli %i, %size : index
      %from = arith.addi %row, %j : index
      %to = arith.addi %row, %j : index
      %nothing = arith.addi %to, %zero : index
      %v = memref.load %x[%from] : memref<?xf32>
      memref.store %v, %y[%nothing] : memref<?xf32>
    }
  }
  return
}
