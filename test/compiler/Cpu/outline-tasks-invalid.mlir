// If this failed, a malformed kernel would crash the compiler instead of naming itself.
// RUN: %mlc-opt %s --split-input-file --verify-diagnostics --outline-tasks

func.func private @no_call(%x: memref<8xf32>, %v: f32) {
  // expected-error@+1 {{'scf.forall' op needs the kernel's last argument to be %call: !llvm.ptr}}
  scf.forall (%i) in (8) {
    memref.store %v, %x[%i] : memref<8xf32>
  }
  return
}
