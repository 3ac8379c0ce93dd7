//===- Shape.td - operations that move elements by static rules ----------------------------------------------------===//
#ifndef MLC_CORE_SHAPE
#define MLC_CORE_SHAPE

def Core_BroadcastOp : Core_Math<"broadcast"> {
  let summary = "Repeats a tensor along new dimensions and along dimensions of size 1";
  let description = [{
    y[i] = x[j], where j[k] = i[axes[k]], or 0 if x has size 1 there

    C1. axes has one entry for each dimension of x, increasing, in [0, rank of y).
    C2. A static size of x is 1 or that of y's dimension; a dynamic one is that of y's dimension, or `single` lists the dimension.
    C3. static_sizes has one entry for each dimension of y, sizes one value for each dynamic one, no size is negative.
    C4. single lists dynamic dimensions of x, increasing. Their size is 1, or y has no elements (the last row of what may be empty).

    ```mlir
    %y = core.broadcast %x axes = [1] sizes = [%n, 768] : tensor<768xf32> to tensor<?x768xf32>
    ```
  }];
  let arguments = (ins Core_Tensor:$x, Variadic<Index>:$sizes, DenseI64ArrayAttr:$axes, DenseI64ArrayAttr:$static_sizes,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$single);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = [{
    $x `axes` `=` $axes `sizes` `=` custom<DynamicIndexList>($sizes, $static_sizes) (`single` `=` $single^)? attr-dict
    `:` type($x) `to` type($y)
  }];
  let extraClassDeclaration = [{ Sizes getMixedSizes(); }];
}

def Core_StretchOp : Core_Math<"stretch"> {
  let summary = "Repeats a tensor along dimensions of which only the run knows whether they have size 1";
  let description = [{
    y[i] = x[j], where j[k] = 0 if x has size 1 along dimension k, else i[k]

    NumPy's broadcasting of two open sizes. Where the sizes turn out equal, y is x and nothing is copied.

    C1. static_sizes has one entry for each dimension of x, sizes one value for each dynamic one, no size is negative.
    C2. A static size of x is that of y. A dynamic one is 1 or that of y when it runs.

    ```mlir
    %y = core.stretch %x sizes = [%n, 768] : tensor<?x768xf32> to tensor<?x768xf32>
    ```
  }];
  let arguments = (ins Core_Tensor:$x, Variadic<Index>:$sizes, DenseI64ArrayAttr:$static_sizes);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = "$x `sizes` `=` custom<DynamicIndexList>($sizes, $static_sizes) attr-dict `:` type($x) `to` type($y)";
  let extraClassDeclaration = [{ Sizes getMixedSizes(); }];
}

def Core_ReshapeOp : Core_Math<"reshape"> {
  let summary = "The same elements in row-major order with another shape";
  let description = [{
    y[i] = x[j], where i and j have the same row-major position

    C1. static_sizes has one entry for each dimension of y, sizes one value for each dynamic one, no size is negative.
    C2. x and y have the same number of elements (checked if both are static).

    ```mlir
    %y = core.reshape %x sizes = [%n, 12, 64] : tensor<?x768xf32> to tensor<?x12x64xf32>
    ```
  }];
  let arguments = (ins Core_Tensor:$x, Variadic<Index>:$sizes, DenseI64ArrayAttr:$static_sizes);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = "$x `sizes` `=` custom<DynamicIndexList>($sizes, $static_sizes) attr-dict `:` type($x) `to` type($y)";
  let extraClassDeclaration = [{ Sizes getMixedSizes(); }];
}

def Core_TransposeOp : Core_Math<"transpose"> {
  let summary = "Permutes dimensions";
  let description = [{
    y[i] = x[j], where j[permutation[k]] = i[k]

    C1. permutation is a permutation of the dimensions of x.

    ```mlir
    %y = core.transpose %x permutation = [0, 2, 1] : tensor<?x4x5xf32> to tensor<?x5x4xf32>
    ```
  }];
  let arguments = (ins Core_Tensor:$x, DenseI64ArrayAttr:$permutation);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = "$x `permutation` `=` $permutation attr-dict `:` type($x) `to` type($y)";
}

def Core_SliceOp : Core_Math<"slice", [AttrSizedOperandSegments]> {
  let summary = "Every strides-th element of a box";
  let description = [{
    y[i] = x[starts + i * strides]

    C1. static_starts, static_sizes and strides have one entry for each dimension of x; starts and sizes one value for each dynamic one.
    C2. strides are positive, starts and sizes not negative.
    C3. The box is inside of x (checked as far as it is static).

    ```mlir
    %y = core.slice %x starts = [0, %s] sizes = [2, %n] strides = [1, 2] : tensor<2x?xf32> to tensor<2x?xf32>
    ```
  }];
  let arguments = (ins Core_Tensor:$x, Variadic<Index>:$starts, Variadic<Index>:$sizes, DenseI64ArrayAttr:$static_starts,
                       DenseI64ArrayAttr:$static_sizes, DenseI64ArrayAttr:$strides);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = [{
    $x `starts` `=` custom<DynamicIndexList>($starts, $static_starts) `sizes` `=` custom<DynamicIndexList>($sizes, $static_sizes)
    `strides` `=` $strides attr-dict `:` type($x) `to` type($y)
  }];
  let extraClassDeclaration = [{ Sizes getMixedStarts(); Sizes getMixedSizes(); }];
}

def Core_ReverseOp : Core_Math<"reverse"> {
  let summary = "Reverses the order along some dimensions";
  let description = [{
    y[i] = x[j], where j[k] = size[k] - 1 - i[k] for k in axes, else i[k]

    C1. axes are distinct dimensions of x.

    ```mlir
    %y = core.reverse %x axes = [1] : tensor<2x?xf32>
    ```
  }];
  let arguments = (ins Core_Tensor:$x, DenseI64ArrayAttr:$axes);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = "$x `axes` `=` $axes attr-dict `:` custom<PointwiseTypes>(type($x), type($y))";
}

def Core_PadOp : Core_Math<"pad", [AttrSizedOperandSegments]> {
  let summary = "Surrounds a tensor with a value, and puts it between the elements";
  let description = [{
    y[low + i * (interior + 1)] = x[i], value elsewhere; the size becomes low + (size - 1) * (interior + 1) + 1 + high

    C1. static_low, static_high and interior have one entry for each dimension of x; low and high one value for each dynamic one.
    C2. low, high and interior are not negative.
    C3. value has rank 0 and x's element type.

    ```mlir
    %y = core.pad %x, %v low = [0, 1] high = [0, %n] interior = [0, 0] : tensor<2x3xf32> to tensor<2x?xf32>
    ```
  }];
  let arguments = (ins Core_Tensor:$x, Core_Tensor:$value, Variadic<Index>:$low, Variadic<Index>:$high, DenseI64ArrayAttr:$static_low,
                       DenseI64ArrayAttr:$static_high, DenseI64ArrayAttr:$interior);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = [{
    $x `,` $value `low` `=` custom<DynamicIndexList>($low, $static_low) `high` `=` custom<DynamicIndexList>($high, $static_high)
    `interior` `=` $interior attr-dict `:` custom<PadTypes>(type($x), type($value), type($y))
  }];
  let extraClassDeclaration = [{ Sizes getMixedLow(); Sizes getMixedHigh(); }];
}

def Core_ConcatOp : Core_Math<"concat"> {
  let summary = "Puts tensors one after the other along a dimension";
  let description = [{
    y[.., offset_k + i, ..] = values_k[.., i, ..]

    C1. There is at least one value; all have the same rank and element type; axis is a dimension of them.
    C2. Along other dimensions sizes are equal (dynamic ones agree at run time).

    ```mlir
    %y = core.concat %a, %b axis = 1 : (tensor<2x3xf32>, tensor<2x?xf32>) -> tensor<2x?xf32>
    ```
  }];
  let arguments = (ins Variadic<Core_Tensor>:$values, I64Attr:$axis);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = "$values `axis` `=` $axis attr-dict `:` functional-type($values, $y)";
}
#endif
