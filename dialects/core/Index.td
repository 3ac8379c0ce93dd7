//===- Index.td - operations whose positions are values -----------------------------------------------------------===//
//
// Indices are signed or unsigned integers; negative ones count from the end. What lies outside is the model's mistake: reads are
// clamped into the tensor, writes are dropped.
#ifndef MLC_CORE_INDEX
#define MLC_CORE_INDEX

def Core_IotaOp : Core_Op<"iota", [Pure]> {
  let summary = "Positions along a dimension";
  let description = [{
    y[i] = i[axis]

    C1. axis is a dimension of y; static_sizes are its shape, sizes has one value for each dynamic one.

    ```mlir
    %y = core.iota axis = 1 sizes = [2, %n] : tensor<2x?xi64>
    ```
  }];
  let arguments = (ins Variadic<Index>:$sizes, DenseI64ArrayAttr:$static_sizes, I64Attr:$axis);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = "`axis` `=` $axis `sizes` `=` custom<DynamicIndexList>($sizes, $static_sizes) attr-dict `:` type($y)";
  let hasVerifier = 1;
  let hasFolder = 1;
  let extraClassDeclaration = [{ Sizes getMixedSizes(); }];
}

def Core_GatherOp : Core_Math<"gather"> {
  let summary = "Slices of a tensor, chosen by indices along one dimension (ONNX Gather)";
  let description = [{
    y[a, i, b] = x[a, indices[i], b], where a has axis dimensions

    C1. axis is a dimension of x.

    ```mlir
    %y = core.gather %x, %i axis = 0 : tensor<30522x768xf32>, tensor<?x128xi64> to tensor<?x128x768xf32>
    ```
  }];
  let arguments = (ins Core_Tensor:$x, Core_IntegerTensor:$indices, I64Attr:$axis);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = "$x `,` $indices `axis` `=` $axis attr-dict `:` type($x) `,` type($indices) `to` type($y)";
}

def Core_GatherNdOp : Core_Math<"gather_nd"> {
  let summary = "Slices of a tensor, chosen by index tuples (ONNX GatherND)";
  let description = [{
    y[b, i, s] = x[b, indices[b, i, :], s], where b has batch_dims dimensions

    C1. indices has more than batch_dims dimensions, its last size k is static, batch_dims + k is at most the rank of x.
    C2. The first batch_dims sizes of x and indices are equal (dynamic ones agree at run time).

    ```mlir
    %y = core.gather_nd %x, %i batch_dims = 0 : tensor<4x5x6xf32>, tensor<?x2xi64> to tensor<?x6xf32>
    ```
  }];
  let arguments = (ins Core_Tensor:$x, Core_IntegerTensor:$indices, I64Attr:$batch_dims);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = "$x `,` $indices `batch_dims` `=` $batch_dims attr-dict `:` type($x) `,` type($indices) `to` type($y)";
}

def Core_GatherElementsOp : Core_Math<"gather_elements"> {
  let summary = "Elements of a tensor, each chosen along one dimension (ONNX GatherElements)";
  let description = [{
    y[i] = x[i with i[axis] replaced by indices[i]]

    C1. x and indices have the same rank, axis is one of their dimensions.
    C2. Along other dimensions indices is not larger than x.

    ```mlir
    %y = core.gather_elements %x, %i axis = 1 : tensor<4x5xf32>, tensor<4x2xi64> to tensor<4x2xf32>
    ```
  }];
  let arguments = (ins Core_Tensor:$x, Core_IntegerTensor:$indices, I64Attr:$axis);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = "$x `,` $indices `axis` `=` $axis attr-dict `:` type($x) `,` type($indices) `to` type($y)";
}

def Core_ScatterNdOp : Core_Inferred<"scatter_nd", [DeclareOpInterfaceMethods<Core_Differentiable>]> {
  let summary = "Writes slices into a copy of a tensor at index tuples (ONNX ScatterND)";
  let description = [{
    y = x; y[indices[i, :], s] = reduction(y[indices[i, :], s], updates[i, s]) for all i in order; `none` replaces

    C1. indices has rank >= 1, its last size k is static and at most the rank of x; updates has the shape indices[:-1] + x[k:].
    C2. x and updates have the same element type; `and` and `or` need integers.
    C3. The derivative is known for none and sum.

    `is_unsigned` is set by CoreToLinalg, which takes the sign out of the types.

    ```mlir
    %y = core.scatter_nd sum %x, %i, %u : tensor<4x5xf32>, tensor<?x1xi64>, tensor<?x5xf32> to tensor<4x5xf32>
    ```
  }];
  let arguments = (ins Core_Reduction:$reduction, Core_Tensor:$x, Core_IntegerTensor:$indices, Core_Tensor:$updates, UnitAttr:$is_unsigned);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = [{
    $reduction $x `,` $indices `,` $updates attr-dict `:` type($x) `,` type($indices) `,` type($updates) `to` type($y)
  }];
}

def Core_ScatterElementsOp : Core_Inferred<"scatter_elements", [DeclareOpInterfaceMethods<Core_Differentiable>]> {
  let summary = "Writes elements into a copy of a tensor, each at a position along one dimension (ONNX ScatterElements)";
  let description = [{
    y = x; j = i with i[axis] replaced by indices[i]; y[j] = reduction(y[j], updates[i]) for all i in order; `none` replaces

    C1. x, indices and updates have the same rank, axis is one of their dimensions; indices and updates have the same shape.
    C2. x and updates have the same element type; `and` and `or` need integers.
    C3. The derivative is known for none and sum.

    `is_unsigned` is set by CoreToLinalg, which takes the sign out of the types.

    ```mlir
    %y = core.scatter_elements none %x, %i, %u axis = 1 : tensor<4x5xf32>, tensor<4x2xi64>, tensor<4x2xf32> to tensor<4x5xf32>
    ```
  }];
  let arguments = (ins Core_Reduction:$reduction, Core_Tensor:$x, Core_IntegerTensor:$indices, Core_Tensor:$updates, I64Attr:$axis,
                       UnitAttr:$is_unsigned);
  let results = (outs Core_Tensor:$y);
  let assemblyFormat = [{
    $reduction $x `,` $indices `,` $updates `axis` `=` $axis attr-dict `:` type($x) `,` type($indices) `,` type($updates) `to` type($y)
  }];
}

def Core_SortOp : Core_Inferred<"sort", [DeclareOpInterfaceMethods<Core_Differentiable>]> {
  let summary = "Sorts along a dimension, stably; NaN counts as larger than everything";
  let description = [{
    values[.., i, ..] = x[.., positions[.., i, ..], ..], in rising (or falling) order

    C1. axis is a dimension of x. Values have x's type, positions its shape and i64.

    `is_unsigned` is set by CoreToLinalg, which takes the sign out of the types.

    ```mlir
    %values, %positions = core.sort %x axis = 1 descending : tensor<4x?xf32> to tensor<4x?xf32>, tensor<4x?xi64>
    ```
  }];
  let arguments = (ins Core_Tensor:$x, I64Attr:$axis, UnitAttr:$descending, UnitAttr:$is_unsigned);
  let results = (outs Core_Tensor:$values, Core_IntegerTensor:$positions);
  let assemblyFormat = "$x `axis` `=` $axis (`descending` $descending^)? attr-dict `:` type($x) `to` type($values) `,` type($positions)";
}
#endif
