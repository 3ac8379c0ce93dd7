//===- Control.td - branches and loops that the run decides --------------------------------------------------------===//
//
// Regions use the values around them directly. What they carry keeps its sizes, so that memory is planned before the run.
#ifndef MLC_CORE_CONTROL
#define MLC_CORE_CONTROL
include "mlir/Interfaces/LoopLikeInterface.td"

def Core_YieldOp : Core_Op<"yield", [Pure, Terminator, ParentOneOf<["IfOp", "LoopOp"]>]> {
  let summary = "The results of a branch, or what a loop's next step starts from";
  let arguments = (ins Variadic<Core_Tensor>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

def Core_IfOp : Core_Op<"if", [RecursiveMemoryEffects, RecursivelySpeculatable, NoRegionArguments]> {
  let summary = "One of two computations";
  let description = [{
    results = condition ? then : otherwise

    C1. condition is a scalar.
    C2. Each branch yields the results: equal element types, shapes that agree where both are static.
    C3. sizes has a value for each dynamic dimension of the results, in order. The run fails if a branch yields something else.

    ```mlir
    %y = core.if %c sizes(%n) {
      %a = core.neg %x : tensor<?xf32>
      core.yield %a : tensor<?xf32>
    } else {
      core.yield %x : tensor<?xf32>
    } : tensor<i1> -> tensor<?xf32>
    ```
  }];
  let arguments = (ins Core_BoolTensor:$condition, Variadic<Index>:$sizes);
  let results = (outs Variadic<Core_Tensor>:$results);
  let regions = (region SizedRegion<1>:$then, SizedRegion<1>:$otherwise);
  let assemblyFormat = [{
    $condition (`sizes` `(` $sizes^ `)`)? $then `else` $otherwise attr-dict `:` type($condition) `->` type($results)
  }];
  let extraClassDeclaration = [{
    /// The size of a result's dimension, which is dynamic.
    ::mlir::Value getSize(unsigned result, int64_t axis);
    YieldOp getYield(::mlir::Region &branch);
  }];
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
}

def Core_LoopOp : Core_Op<"loop", [AttrSizedOperandSegments, RecursiveMemoryEffects,
                                   DeclareOpInterfaceMethods<LoopLikeOpInterface, ["getLoopRegions"]>]> {
  let summary = "Repeats a computation on carried values, at most `count` times, while a condition holds";
  let description = [{
    values = initial; for (step = 0; step < count && condition; ++step) condition, values = body(step, values)

    `steps` is the number of steps that were made, `results` the last values. An output that each step contributes to is a carried value
    that starts as `tensor.empty` and into which the body inserts a slice; it is never copied.

    C1. condition is a scalar. With it the body yields the next condition first.
    C2. The body's arguments are the step, of type index, and the values.
    C3. initial values, arguments, yielded values and results have equal element types and ranks, and sizes that agree where both are
        static. A carried value keeps its sizes: the run fails if a step yields something else.

    ```mlir
    %n, %y = core.loop %count while %c carry(%x) {
    ^bb0(%step: index, %v: tensor<4xf32>):
      %w = core.neg %v : tensor<4xf32>
      core.yield %d, %w : tensor<i1>, tensor<4xf32>
    } : tensor<i1>, tensor<4xf32> -> tensor<4xf32>
    ```
  }];
  let arguments = (ins Index:$count, Optional<Core_BoolTensor>:$condition, Variadic<Core_Tensor>:$initial);
  let results = (outs Index:$steps, Variadic<Core_Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $count (`while` $condition^ `:` type($condition))? (`carry` `(` $initial^ `:` type($initial) `)`)? $body attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::Value getStep() { return getBody().getArgument(0); }
    ::mlir::Block::BlockArgListType getCarried() { return getBody().getArguments().drop_front(); }
    YieldOp getYield();
    /// What the body yields for the carried values, without the condition.
    ::mlir::OperandRange getYielded();
  }];
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
}
#endif
