// RUN: %mlc-opt %s --lower-to-nvvm --split-input-file --verify-diagnostics | FileCheck %s
// If this fails, the device reads its parameters differently from the host, or LLVM's back end meets what it cannot compile.

// Pointers come first, then the sizes that the type leaves open; whole buffers are aligned, parts of buffers are not.
module {
  module @device {
    // CHECK: llvm.func @parameters(%{{.*}}: !llvm.ptr {llvm.align = 16 : i64}, %{{.*}}: i64, %{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64)
    // CHECK-SAME: nvvm.kernel
    // CHECK-SAME: nvvm.maxntid = array<i32: 128>
    // CHECK: nvvm.read.ptx.sreg.tid.x
    // CHECK: llvm.load
    func.func @parameters(%x: memref<?x4xf32>, %y: memref<?xf32, strided<[?], offset: ?>>) {
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %i = arith.index_cast %thread : i32 to index
      %zero = arith.constant 0 : index
      %v = memref.load %x[%i, %zero] : memref<?x4xf32>
      %root = math.sqrt %v : f32
      memref.store %root, %y[%i] : memref<?xf32, strided<[?], offset: ?>>
      return
    }

    // A small temporary is local memory of the thread.
    // CHECK-LABEL: llvm.func @temporary(
    // CHECK: llvm.alloca
    // CHECK-NOT: malloc
    func.func @temporary(%x: memref<4xf32>) {
      %zero = arith.constant 0 : index
      %t = memref.alloc() : memref<4xf32>
      %v = memref.load %x[%zero] : memref<4xf32>
      memref.store %v, %t[%zero] : memref<4xf32>
      %w = memref.load %t[%zero] : memref<4xf32>
      memref.store %w, %x[%zero] : memref<4xf32>
      return
    }
  }
}

// -----

module {
  module @device {
    func.func @exp(%x: memref<4xf64>) {
      %zero = arith.constant 0 : index
      %v = memref.load %x[%zero] : memref<4xf64>
      // expected-error @below {{'math.exp' op of 'f64' is not supported on the GPU}}
      %y = math.exp %v : f64
      memref.store %y, %x[%zero] : memref<4xf64>
      return
    }
  }
}

// -----

module {
  module @device {
    func.func @dynamic_temporary(%n: index) {
      // expected-error @below {{a kernel's temporary of type 'memref<?xf32>' is not supported on the GPU}}
      %t = memref.alloc(%n) : memref<?xf32>
      return
    }
  }
}
