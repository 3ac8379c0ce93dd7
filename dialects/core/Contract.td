//===- Contract.td - sums of products -----------------------------------------------------------------------------===//
#ifndef MLC_CORE_CONTRACT
#define MLC_CORE_CONTRACT

def Core_DotOp : Core_Math<"dot"> {
  let summary = "General tensor contraction";
  let description = [{
    z[b, i, j] = sum over k of x[b, i, k] * y[b, j, k], where b are the batch, i and j the free, k the contracted dimensions

    C1. lhs_batch and rhs_batch, lhs_contract and rhs_contract have the same length and name distinct dimensions.
    C2. Sizes of paired dimensions are equal (dynamic ones agree at run time).
    C3. x and y have the same element type, or both are integers and accumulator is given.

    The result's element type is accumulator if given, else that of x. f16 and bf16 are accumulated in f32.

    ```mlir
    %z = core.dot %x, %y batch = [0], [0] contract = [2], [1] : tensor<?x4x5xf32>, tensor<?x5x6xf32> to tensor<?x4x6xf32>
    ```
  }];
  let arguments = (ins Core_Tensor:$x, Core_Tensor:$y, DenseI64ArrayAttr:$lhs_batch, DenseI64ArrayAttr:$rhs_batch,
                       DenseI64ArrayAttr:$lhs_contract, DenseI64ArrayAttr:$rhs_contract, OptionalAttr<TypeAttr>:$accumulator);
  let results = (outs Core_Tensor:$z);
  let assemblyFormat = [{
    $x `,` $y `batch` `=` $lhs_batch `,` $rhs_batch `contract` `=` $lhs_contract `,` $rhs_contract
    (`accumulator` `=` $accumulator^)? attr-dict `:` type($x) `,` type($y) `to` type($z)
  }];
  let extraClassDeclaration = [{
    /// Dimensions that are neither batch nor contracted, in order.
    ::llvm::SmallVector<int64_t> getLhsFree();
    ::llvm::SmallVector<int64_t> getRhsFree();
  }];
}

def Core_ConvOp : Core_Math<"conv"> {
  let summary = "Convolution (cross-correlation) with any number of spatial dimensions";
  let description = [{
    z[n, o, p] = sum over c, k of x'[n, c + group of o, p * strides + k * rhs_dilation] * y[o, c, k], where x' is x with lhs_dilation - 1
    zeros between elements and pad_low, pad_high zeros around

    C1. x is [N, C, spatial...], y is [O, C / groups, spatial...] with the same rank >= 2 and element type.
    C2. strides, pad_low, pad_high, lhs_dilation and rhs_dilation have one entry for each spatial dimension; pads are not negative, the others positive.
    C3. groups divides O, and C = groups * (C / groups) (checked if static).
    C4. The kernel fits into x' (checked if static).
    C5. channels_last: x is [N, spatial..., C] and the result [N, spatial..., O] (y stays as it is). The derivative is not known for it:
        layouts are chosen after differentiation.

    ```mlir
    %z = core.conv %x, %y strides = [2, 2] pad_low = [1, 1] pad_high = [1, 1] lhs_dilation = [1, 1] rhs_dilation = [1, 1] groups = 1
        : tensor<?x3x32x32xf32>, tensor<16x3x3x3xf32> to tensor<?x16x16x16xf32>
    ```
  }];
  let arguments = (ins Core_Tensor:$x, Core_Tensor:$y, DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$pad_low, DenseI64ArrayAttr:$pad_high,
                       DenseI64ArrayAttr:$lhs_dilation, DenseI64ArrayAttr:$rhs_dilation, I64Attr:$groups, UnitAttr:$channels_last);
  let results = (outs Core_Tensor:$z);
  let assemblyFormat = [{
    $x `,` $y `strides` `=` $strides `pad_low` `=` $pad_low `pad_high` `=` $pad_high `lhs_dilation` `=` $lhs_dilation
    `rhs_dilation` `=` $rhs_dilation `groups` `=` $groups (`channels_last` $channels_last^)? attr-dict `:` type($x) `,` type($y) `to` type($z)
  }];
  let extraClassDeclaration = [{
    /// The dimension of x and of the result that the channels, or the i-th spatial one, have.
    int64_t getChannelAxis() { return getChannelsLast() ? getX().getType().getRank() - 1 : 1; }
    int64_t getSpatialAxis(int64_t i) { return getChannelsLast() ? i + 1 : i + 2; }
  }];
}
#endif
