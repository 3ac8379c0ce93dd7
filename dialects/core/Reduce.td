//===- Reduce.td - operations that combine several elements -------------------------------------------------------===//
#ifndef MLC_CORE_REDUCE
#define MLC_CORE_REDUCE

def Core_ReduceOp : Core_Math<"reduce"> {
  let summary = "Combines all elements along some dimensions, which disappear";
  let description = [{
    y[i] = kind over j of x[i, j]; of no elements, the neutral element of kind

    C1. axes are distinct dimensions of x, increasing.
    C2. kind is not none; `and` and `or` need integers.

    max and min are NaN if an element is; in their derivative equal extremes share the cotangent equally. Sums of f16 and bf16 are
    accumulated in f32.

    ```mlir
    %y = core.reduce sum %x axes = [1] : tensor<?x768xf32> to tensor<?xf32>
    ```
  }];
  let arguments = (ins Core_Reduction:$kind, Core_Tensor:$x, DenseI64ArrayAttr:$axes);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = "$kind $x `axes` `=` $axes attr-dict `:` type($x) `to` type($y)";
}

def Core_ArgReduceOp : Core_Math<"arg_reduce"> {
  let summary = "Position of the largest or smallest element along a dimension, which disappears";
  let description = [{
    y[i] = the first (or last) j for which x[i, j] is largest (or smallest); the first (or last) NaN if there is one

    C1. axis is a dimension of x. The result is i64.
    C2. kind is max or min.

    ```mlir
    %y = core.arg_reduce max %x axis = 1 last : tensor<?x10xf32> to tensor<?xi64>
    ```
  }];
  let arguments = (ins Core_Reduction:$kind, Core_Tensor:$x, I64Attr:$axis, UnitAttr:$last);
  let results = (outs Core_IntegerTensor:$y);
  let assemblyFormat = "$kind $x `axis` `=` $axis (`last` $last^)? attr-dict `:` type($x) `to` type($y)";
}

def Core_ScanOp : Core_Inferred<"scan", [DeclareOpInterfaceMethods<Core_Differentiable>]> {
  let summary = "Running reduction along a dimension";
  let description = [{
    y[i, j] = kind over k <= j of x[i, k]; exclusive: k < j; reverse: k >= j or k > j

    C1. axis is a dimension of x.
    C2. kind is not none; `and` and `or` need integers.
    C3. The derivative is known for sum.

    `is_unsigned` is set by CoreToLinalg, which takes the sign out of the types.

    ```mlir
    %y = core.scan sum %x axis = 1 exclusive reverse : tensor<4x?xf32>
    ```
  }];
  let arguments = (ins Core_Reduction:$kind, Core_Tensor:$x, I64Attr:$axis, UnitAttr:$exclusive, UnitAttr:$reverse, UnitAttr:$is_unsigned);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = [{
    $kind $x `axis` `=` $axis (`exclusive` $exclusive^)? (`reverse` $reverse^)? attr-dict `:` custom<PointwiseTypes>(type($x), type($y))
  }];
}

def Core_WindowReduceOp : Core_Math<"window_reduce"> {
  let summary = "Reduction over a window that moves over the tensor (pooling)";
  let description = [{
    y[i] = kind over j in [0, size) of x[i * strides + j * dilations - pad_low]; what lies outside of x does not take part

    C1. size, strides, dilations, pad_low and pad_high have one entry for each dimension of x; the first three are positive, pads not negative.
    C2. kind is not none; `and` and `or` need integers.
    C3. The window fits: x + pads >= (size - 1) * dilation + 1 (checked for static sizes).
    C4. The derivative is known for sum and max; of several equal maxima the first one has it.

    ```mlir
    %y = core.window_reduce max %x size = [1, 1, 2, 2] strides = [1, 1, 2, 2] dilations = [1, 1, 1, 1]
        pad_low = [0, 0, 0, 0] pad_high = [0, 0, 0, 0] : tensor<?x8x8x8xf32> to tensor<?x8x4x4xf32>
    ```
  }];
  let arguments = (ins Core_Reduction:$kind, Core_Tensor:$x, DenseI64ArrayAttr:$size, DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations,
                       DenseI64ArrayAttr:$pad_low, DenseI64ArrayAttr:$pad_high);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = [{
    $kind $x `size` `=` $size `strides` `=` $strides `dilations` `=` $dilations `pad_low` `=` $pad_low `pad_high` `=` $pad_high
    attr-dict `:` type($x) `to` type($y)
  }];
}
#endif
