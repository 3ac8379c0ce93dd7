//===- Random.td - random numbers that are functions of a counter -------------------------------------------------===//
#ifndef MLC_CORE_RANDOM
#define MLC_CORE_RANDOM

def Core_RandomBitsOp : Core_Op<"random_bits", [Pure]> {
  let summary = "Uniform random bits: a function of the seed and the position, the same on every machine";
  let description = [{
    y[i] = first word of threefry2x32-20(key = seed, counter = row-major position of i)

    C1. seed is a tensor<i64>, the result has element type ui32; static_sizes are its shape, sizes has one value for each dynamic one.

    ```mlir
    %y = core.random_bits %seed sizes = [%n, 4] : tensor<i64> to tensor<?x4xui32>
    ```
  }];
  let arguments = (ins Core_IntegerTensor:$seed, Variadic<Index>:$sizes, DenseI64ArrayAttr:$static_sizes);
  let results = (outs Core_IntegerTensor:$y);
  let assemblyFormat = "$seed `sizes` `=` custom<DynamicIndexList>($sizes, $static_sizes) attr-dict `:` type($seed) `to` type($y)";
  let hasVerifier = 1;
  let extraClassDeclaration = [{ Sizes getMixedSizes(); }];
}
#endif
