// If this failed, patterns that undo each other would be a compilation without an end, not an error that names the pass.
// RUN: not %mlc-opt %s --test-endless-rewrites 2>&1 | FileCheck %s

// CHECK: error: test-endless-rewrites: the rewrites of 4 operations do not end; this is a defect of mlc
module {
  func.func @f() { return }
  func.func private @g()
}
