//===- Passes.td - every pass of mlc, in pipeline order ---------------------------------------------------------------===//
#ifndef MLC_PASSES
#define MLC_PASSES
include "mlir/Pass/PassBase.td"

def DecomposeOnnx : Pass<"decompose-onnx", "::mlir::ModuleOp"> {
  let summary = "Replaces every onnx.node by core ops";
  let description = [{
    One forward walk: every operand already has a ranked type, each rule of compiler/OnnxToCore builds core ops for one operator. All nodes
    without a rule are reported together.

    ```mlir
    %y = onnx.node "Relu" domain "ai.onnx" opset 17 (%x) : (tensor<4xf32>) -> !onnx.value
    // becomes
    %zero = core.constant dense<0.0> : tensor<4xf32>
    %y = core.max %x, %zero : tensor<4xf32>
    ```
  }];
  let options = [Option<"unrollLoops", "unroll-loops", "bool", "false", "no core.loop: derivatives are wanted">];
  let dependentDialects = ["::mlc::core::CoreDialect", "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::func::FuncDialect"];
}

def CheckSizes : Pass<"check-sizes", "::mlir::ModuleOp"> {
  let summary = "Turns what ops assume of open sizes into core.require";
  let description = [{
    Sizes that must be equal, boxes that must be inside, windows that must fit: what is not certain is checked by the run, before
    anything of the block touches memory. A check that stands already, here or around a loop, is not repeated.

    ```mlir
    %y = core.concat %a, %b axis = 0 : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
    // gains in front of it
    %equal = arith.cmpi eq, %m, %n : index
    core.require %equal "sizes of dimension 1 differ: %d and %d" (%m, %n)
    ```
  }];
  let dependentDialects = ["::mlc::core::CoreDialect", "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def SimplifyCore : Pass<"simplify-core", "::mlir::ModuleOp"> {
  let summary = "Algebra, constant folding and batch norm folding on core";
  let description = [{
    Canonicalisation, CSE, and the rewrites that need weights: a scale and shift after a convolution or matmul with constant weights
    moves into them.

    ```mlir
    core.mul(core.conv(x, w), broadcast(s))   // becomes core.conv(x, w * s)
    ```
  }];
  let dependentDialects = ["::mlc::core::CoreDialect"];
}

def HoistInvariants : Pass<"hoist-invariants", "::mlir::func::FuncOp"> {
  let summary = "Moves what does not depend on the step, and what it requires, in front of a loop";
  let description = [{
    Requirements move with the operations that they guard, so a loop of no steps may fail for sizes that its steps could not have.

    ```mlir
    core.loop ... { core.require %fits ... ; %s = core.stretch %y ... ; core.add %v, %s }
    // becomes
    core.require %fits ... ; %s = core.stretch %y ... ; core.loop ... { core.add %v, %s }
    ```
  }];
}

def AddTraining : Pass<"add-training", "::mlir::ModuleOp"> {
  let summary = "Makes @train_step: loss, gradients, optimizer";
  let description = [{
    Clones @main, appends the loss, differentiates in reverse over the Differentiable interface and appends the optimizer's update of
    every trainable parameter. Parameters and optimizer slots are `core.parameter` reads and `core.assign` writes of named state.

    ```mlir
    func.func @main(%x) { %w = core.parameter "w" ; ... return %y }
    // gains
    func.func @train_step(%x, %label) { ... core.assign "w", %new ; return %loss }
    ```
  }];
  let options = [
    Option<"loss", "loss", "std::string", "\"cross_entropy\"", "cross_entropy or mse">,
    Option<"optimizer", "optimizer", "std::string", "\"sgd\"", "sgd or adam">,
    Option<"learningRate", "learning-rate", "double", "0", "0: the optimizer's usual one">,
    Option<"momentum", "momentum", "double", "0", "of sgd">,
    Option<"beta1", "beta1", "double", "0.9", "of adam">,
    Option<"beta2", "beta2", "double", "0.999", "of adam">,
    Option<"epsilon", "epsilon", "double", "1e-8", "of adam">,
    ListOption<"trainable", "trainable", "std::string", "name patterns; none: every floating-point initializer">
  ];
  let dependentDialects = ["::mlc::core::CoreDialect", "::mlc::rt::RtDialect", "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def ChannelsLast : Pass<"channels-last", "::mlir::ModuleOp"> {
  let summary = "Gives images the layout [N, H, W, C] between convolutions with constant weights";
  let description = [{
    Channels become the lanes of a vector. What lies between convolutions (pointwise ops, pools, concatenations, pads) follows, so that
    layouts change at the network's edges only.

    ```mlir
    %y = core.conv %x, %w : tensor<1x64x56x56xf32> ...
    // becomes
    %l = core.transpose %x permutation = [0, 2, 3, 1] ; %y = core.conv %l, %w channels_last ; core.transpose %y permutation = [0, 3, 1, 2]
    ```
  }];
  let dependentDialects = ["::mlc::core::CoreDialect"];
}

def CoreToLinalg : Pass<"core-to-linalg", "::mlir::ModuleOp"> {
  let summary = "Lowers core to linalg on tensors";
  let description = [{
    One pattern serves all pointwise ops through their scalar bodies; contractions, reductions and windows become generics.

    ```mlir
    %y = core.tanh %x : tensor<4xf32>
    // becomes
    %y = linalg.generic {parallel} ins(%x) outs(%empty) { ^bb0(%a: f32, %o: f32): math.tanh }
    ```
  }];
  let options = [Option<"onDevice", "on-device", "bool", "false", "the host cannot branch on what kernels compute">];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

def FuseElementwise : Pass<"fuse-elementwise", "::mlir::ModuleOp"> {
  let summary = "Fuses pointwise producers into their consumers; transposes and broadcasts become indexing maps";
  let description = [{
    ```mlir
    %a = linalg.generic {exp} ... ; %b = linalg.generic {add} ins(%a, %c)
    // becomes
    %b = linalg.generic {exp, add} ins(%x, %c)
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::affine::AffineDialect"];
}

def MoveData : Pass<"move-data", "::mlir::ModuleOp"> {
  let summary = "Turns standalone fills into generics and returns the sizes of dynamic results";
  let description = [{
    What is left for OutlineGroups are compute ops, views and insertions. Sizes of results are appended to the return, in terms of
    the arguments' sizes: they become @main_sizes.

    ```mlir
    %f = linalg.fill ins(%zero) outs(%empty) ; %p = tensor.insert_slice %x into %f[1] [4] [1]
    // becomes
    %f = linalg.generic { yield %zero } outs(%empty) ; %p = tensor.insert_slice %x into %f[1] [4] [1]
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect", "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect"];
}

def PackOperands : Pass<"pack-operands", "::mlir::ModuleOp"> {
  let summary = "Transposes operands that a contraction would gather lane by lane";
  let description = [{
    K in QK^T is contiguous along the reduction; a copy with the lane loop innermost costs less than strided loads. Constant
    operands are left to PackWeights.

    ```mlir
    contraction ins(%q, %k) {(b, s, d), (b, t, d)}   // becomes contraction ins(%q, %kt) {(b, s, d), (b, d, t)}
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def GroupOps : Pass<"group-ops", "::mlir::ModuleOp"> {
  let summary = "Numbers the ops that become one kernel";
  let description = [{
    See docs/ir.md, section 4, for the kinds of group.

    ```mlir
    linalg.generic {contraction}, linalg.generic {bias, relu}   // both get sched.group = 0
    ```
  }];
  let options = [Option<"alone", "alone", "bool", "false", "every op in a group of its own">];
  let dependentDialects = ["::mlc::sched::SchedDialect"];
}

def OutlineGroups : Pass<"outline-groups", "::mlir::ModuleOp"> {
  let summary = "Makes a function on memrefs of every group; @main becomes a list of calls on buffers";
  let description = [{
    Identical kernels are one function. Below this pass there are no tensors.

    ```mlir
    func.func @main(%x: tensor<4xf32>) -> tensor<4xf32>
    // becomes
    func.func private @kernel_0(%x: memref<4xf32>, %y: memref<4xf32>)
    func.func @main(%call: !llvm.ptr) -> i32
    ```
  }];
  let options = [Option<"onDevice", "on-device", "bool", "false", "elements are checked by kernels, since the host cannot read them">];
  let dependentDialects = ["::mlc::rt::RtDialect", "::mlc::sched::SchedDialect", "::mlir::memref::MemRefDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::scf::SCFDialect"];
}

def PlanMemory : Pass<"plan-memory", "::mlir::ModuleOp"> {
  let summary = "Gives every intermediate buffer of an entry an offset in one arena";
  let description = [{
    Liveness over the list of calls, best fit. Sizes that depend on symbols are sums computed at entry; the same arithmetic is
    emitted as @main_sizes, which reports the arena's size before the first run.

    ```mlir
    %b = memref.alloc() : memref<4xf32>      // becomes rt.buffer %call arena[0] at %offset
    ```
  }];
  let dependentDialects = ["::mlc::rt::RtDialect", "::mlir::memref::MemRefDialect", "::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect"];
}

def PlanTiling : Pass<"plan-tiling", "::mlir::func::FuncOp"> {
  let summary = "Attaches #sched.tiling to a kernel";
  let description = [{
    A pure decision from the loop nest and the machine (compiler/Schedule/Tiling.h); nothing is rewritten.

    ```mlir
    func.func private @kernel_0() attributes {sched.kind = #sched.kind<contract>}
    // gains
    sched.tiling = #sched.tiling<task = [0, 32], lanes = 16, vectors = 2, rows = 8, row_loop = 0, lane_loop = 1>
    ```
  }];
  let dependentDialects = ["::mlc::sched::SchedDialect"];
  let options = [Option<"machine", "machine", "std::string", "\"avx512\"", "avx512, avx2, sse2, neon or cuda">];
}

def PackWeights : Pass<"pack-weights", "::mlir::ModuleOp"> {
  let summary = "Lays constant operands of contractions out in panels as wide as the register tile";
  let description = [{
    A weight (k, n) becomes (n floordiv NR, k, n mod NR), padded with zeros, when every call of the kernel passes a constant. The
    data is rearranged when the library is written. On a GPU, where lanes are threads, it becomes (k, n): one panel.

    ```mlir
    %w = rt.buffer %call weights[3] : memref<768x768xf32>   // becomes memref<24x768x32xf32>
    ```
  }];
  let dependentDialects = ["::mlc::rt::RtDialect", "::mlir::linalg::LinalgDialect", "::mlir::memref::MemRefDialect"];
}

def LowerKernels : Pass<"lower-kernels", "::mlir::func::FuncOp"> {
  let summary = "Turns a kernel's linalg ops into an scf.forall of tasks over loops of vectors";
  let description = [{
    One generator for each kind of kernel; each follows #sched.tiling.

    ```mlir
    linalg.generic {pointwise} ins(%x) outs(%y)
    // becomes
    scf.forall (%t) in (%n) { scf.for %i { %v = vector.load %x[%i] ; vector.store %w, %y[%i] } }
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect", "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::affine::AffineDialect"];
}

def ExpandMath : Pass<"expand-math", "::mlir::func::FuncOp"> {
  let summary = "Turns math functions on floats into polynomials";
  let description = [{
    exp, log, tanh, erf, sin, cos and their kin on f32 (f16 and bf16 through f32) become fma and arith, scalar or vector; f64 calls libm. Error bounds
    are in docs/math.md.

    ```mlir
    %y = math.exp %x : vector<16xf32>     // becomes a degree 5 polynomial and an exponent add
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect", "::mlir::scf::SCFDialect"];
}

def SimplifyLoops : Pass<"simplify-loops", "::mlir::func::FuncOp"> {
  let summary = "Canonical forms, common subexpressions, and invariant operations in front of their loops";
  let description = [{
    What the generators leave to others, in one pass that ends: like every greedy rewriting of mlc it has a limit and says when it strikes.

    ```mlir
    scf.for %i { %c = arith.muli %n, %m ; memref.load %x[%c] }
    // becomes
    %c = arith.muli %n, %m ; scf.for %i { memref.load %x[%c] }
    ```
  }];
}

def OutlineTasks : Pass<"outline-tasks", "::mlir::ModuleOp"> {
  let summary = "Makes a task function of every scf.forall";
  let description = [{
    ```mlir
    scf.forall (%t) in (%n) { body }
    // becomes
    func.func private @kernel_0_task(%captures..., %t: index) { body }
    rt.parallel_for @kernel_0_task(%captures...) count %n from %call
    ```
  }];
  let dependentDialects = ["::mlc::rt::RtDialect", "::mlir::arith::ArithDialect"];
}

def OutlineGpuKernels : Pass<"outline-gpu-kernels", "::mlir::ModuleOp"> {
  let summary = "Makes a device function and a launch of every scf.forall of a kernel";
  let description = [{
    An iteration is a thread, in blocks of 128. Host code keeps the arithmetic on sizes; a kernel that touches memory outside of
    foralls is launched as one thread. The launch's number is the position of the function's name in mlc.device_kernels.

    ```mlir
    func.func private @kernel_0(%x: memref<?xf32>, %call: !llvm.ptr) { scf.forall (%t) in (%n) { body } }
    // becomes
    module @device { func.func @kernel_0(%x: memref<?xf32>, %n: index) { %t = thread ; scf.if %t < %n { body } } }
    func.func private @kernel_0(%x: memref<?xf32>, %call: !llvm.ptr) { rt.launch 0(%x, %n) blocks %n / 128 threads 128 from %call }
    ```
  }];
  let dependentDialects = ["::mlc::rt::RtDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::scf::SCFDialect",
                           "::mlir::NVVM::NVVMDialect"];
}

def LowerToNVVM : Pass<"lower-to-nvvm", "::mlir::ModuleOp"> {
  let summary = "Lowers the functions of module @device to the llvm dialect, as PTX kernels";
  let description = [{
    Memrefs arrive as a pointer and what their type leaves open, in the order in which the host's lowering passes them. Math
    functions without an instruction are errors.

    ```mlir
    func.func @kernel_0(%x: memref<?xf32>)   // becomes llvm.func @kernel_0(%x: !llvm.ptr, %size: i64) attributes {nvvm.kernel}
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect"];
}

def LowerToLLVM : Pass<"lower-to-llvm", "::mlir::ModuleOp"> {
  let summary = "Lowers what is left, rt included, to the llvm dialect";
  let description = [{
    ```mlir
    rt.parallel_for @t(%x) count %n from %call   // becomes a structure, a thunk, and a call of mlc_rt_parallel_for
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}
#endif
