//===- RtOps.td - the rt dialect: what becomes a call or a field of the runtime --------------------------------------===//
#ifndef MLC_RT_OPS
#define MLC_RT_OPS
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Dialect/LLVMIR/LLVMOpBase.td"

def Rt_Dialect : Dialect {
  let name = "rt";
  let cppNamespace = "::mlc::rt";
  let summary = "Calls and structures of the runtime (runtime/include/mlc/abi.h)";
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::memref::MemRefDialect"];
  let useDefaultAttributePrinterParser = 1;
  let hasOperationAttrVerify = 1;
}

def Rt_WeightAttr : AttrDef<Rt_Dialect, "Weight"> {
  let mnemonic = "weight";
  let summary = "A tensor of the program's weights";
  let description = [{
    `offset`: bytes from the begin of the weights; -1 before PlanMemory.

    ```mlir
    #rt.weight<value = dense<1.0> : tensor<4xf32>, offset = 64>
    ```
  }];
  let parameters = (ins "::mlir::ElementsAttr":$value, DefaultValuedParameter<"int64_t", "-1">:$offset);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Rt_SlotAttr : AttrDef<Rt_Dialect, "Slot"> {
  let mnemonic = "slot";
  let summary = "A tensor of the program's state: a parameter that is trained, or what an optimizer keeps beside one";
  let description = [{
    `value`: what it is at first, zeros without; PlanMemory moves it into the weights, at `weights_offset` (-1: zeros). `offset`: bytes from
    the begin of the state; -1 before PlanMemory.

    ```mlir
    #rt.slot<name = "fc.w", type = tensor<4xf32>, parameter = true, offset = 0, weights_offset = 64>
    ```
  }];
  let parameters = (ins StringRefParameter<"name">:$name, "::mlir::RankedTensorType":$type, DefaultValuedParameter<"bool", "false">:$parameter,
                        OptionalParameter<"::mlir::ElementsAttr">:$value, DefaultValuedParameter<"int64_t", "-1">:$offset,
                        DefaultValuedParameter<"int64_t", "-1">:$weights_offset);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

class Rt_Op<string mnemonic, list<Trait> traits = []> : Op<Rt_Dialect, mnemonic, traits>;

def Rt_DimOp : Rt_Op<"dim", [Pure]> {
  let summary = "The size of symbolic dimension `symbol`: mlc_call.dims[symbol]";
  let arguments = (ins LLVM_AnyPointer:$call, I64Attr:$symbol);
  let results = (outs Index:$result);
  let assemblyFormat = "$call `[` $symbol `]` attr-dict `:` type($call)";
}

def Rt_BufferOp : Rt_Op<"buffer", [Pure, AttrSizedOperandSegments]> {
  let summary = "A memref on memory that the call owns";
  let description = [{
    `space` is one of `input`, `output` (then `position` says which), `weights`, `state`, `arena`, `checks`. The memref starts `offset` bytes after the
    space's begin and is contiguous and row-major unless its type carries static strides.

    ```mlir
    %x = rt.buffer %call input[0] at %c0 sizes(%n) : memref<?x768xf32>
    ```
  }];
  let arguments = (ins LLVM_AnyPointer:$call, StrAttr:$space, I64Attr:$position, Optional<Index>:$offset, Variadic<Index>:$sizes);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$call $space `[` $position `]` (`at` $offset^)? (`sizes` `(` $sizes^ `)`)? attr-dict `:` type($call) `->` type($result)";
  let hasVerifier = 1;
}

def Rt_ParallelForOp : Rt_Op<"parallel_for", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Runs a task function for every index: mlc_rt_parallel_for";
  let description = [{
    `task` is a function (captures..., index). Its captures travel through a structure on the stack.

    ```mlir
    rt.parallel_for @kernel_0_task(%x, %y) count %n from %call : memref<4xf32>, memref<4xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$task, LLVM_AnyPointer:$call, Index:$count, Variadic<AnyType>:$captures);
  let assemblyFormat = "$task `(` $captures `)` `count` $count `from` $call attr-dict `:` type($call) `,` type($captures)";
}

def Rt_CheckOp : Rt_Op<"check", []> {
  let summary = "Returns MLC_MODEL_ERROR from the entry unless `condition` holds: mlc_rt_fail";
  let arguments = (ins LLVM_AnyPointer:$call, I1:$condition, StrAttr:$message, Index:$a, Index:$b);
  let assemblyFormat = "$call `,` $condition `,` $message `(` $a `,` $b `)` attr-dict `:` type($call)";
}

def Rt_BoundedSizeOp : Rt_Op<"bounded_size", []> {
  let summary = "A size that is read from data: returns MLC_MODEL_ERROR from the entry unless 0 <= size <= max";
  let description = [{
    Where memory is planned, max stands for the result.

    ```mlir
    %n = rt.bounded_size %call, %count, %max "NonZero_1: the number of elements is %d, expected 0 to %d" : !llvm.ptr
    ```
  }];
  let arguments = (ins LLVM_AnyPointer:$call, Index:$size, Index:$max, StrAttr:$message);
  let results = (outs Index:$result);
  let assemblyFormat = "$call `,` $size `,` $max $message attr-dict `:` type($call)";
}

def Rt_ResultShapesOp : Rt_Op<"result_shapes", []> {
  let summary = "The shapes of an entry's results, for the function that tells them before a run; PlanMemory takes the op away";
  let description = [{
    One list for each result; `sizes` are those that the lists leave open, in order.

    ```mlir
    rt.result_shapes [array<i64: -9223372036854775808, 4>] sizes(%n)
    ```
  }];
  let arguments = (ins TypedArrayAttrBase<DenseI64ArrayAttr, "shapes">:$shapes, Variadic<Index>:$sizes);
  let assemblyFormat = "$shapes `sizes` `(` $sizes `)` attr-dict";
  let hasVerifier = 1;
}

def Rt_ResultSizeOp : Rt_Op<"result_size", []> {
  let summary = "Tells the size of a result that only this run knows: mlc_call.result_sizes[position] = size";
  let arguments = (ins LLVM_AnyPointer:$call, I64Attr:$position, Index:$size);
  let assemblyFormat = "$call `[` $position `]` `,` $size attr-dict `:` type($call)";
}

def Rt_CommitOp : Rt_Op<"commit", []> {
  let summary = "Returns from the entry if something has failed so far; what follows writes the state: mlc_rt_commit";
  let description = [{
    A step that fails leaves the state as it was. On a GPU the host waits here for all kernels.

    ```mlir
    rt.commit %call : !llvm.ptr
    ```
  }];
  let arguments = (ins LLVM_AnyPointer:$call);
  let assemblyFormat = "$call attr-dict `:` type($call)";
}

def Rt_MessageOp : Rt_Op<"message", [Pure]> {
  let summary = "The host's address of a text with at most two %d, for a check on the device";
  let description = [{
    ```mlir
    %text = rt.message "label %d is not below %d"
    ```
  }];
  let arguments = (ins StrAttr:$message);
  let results = (outs Index:$result);
  let assemblyFormat = "$message attr-dict";
}

def Rt_LaunchOp : Rt_Op<"launch", []> {
  let summary = "Launches a GPU kernel: mlc_rt_launch. A launch that fails fails the call";
  let description = [{
    `kernel` indexes the program's kernels. Every argument is a pointer or an integer, as the kernel's parameters are.
  }];
  let arguments = (ins LLVM_AnyPointer:$call, I64Attr:$kernel, Index:$blocks, I64Attr:$threads, Variadic<AnyType>:$arguments);
  let assemblyFormat = "$kernel `(` $arguments `)` `blocks` $blocks `threads` $threads `from` $call attr-dict `:` type($call) `,` type($arguments)";
}
#endif
