//===- Counted.td - results whose sizes only the data tells ---------------------------------------------------------===//
//
// Memory is planned before the run, so such a result has room for the most that there can be, and a count beside it. The count
// becomes a size through bounded_size, and a slice of that size is what the model sees (docs/decisions/0006).
#ifndef MLC_CORE_COUNTED
#define MLC_CORE_COUNTED

def Core_BoundedSizeOp : Core_Op<"bounded_size", [Pure]> {
  let summary = "A size that is read from data, with an upper bound that is known before the run";
  let description = [{
    result = size; the run fails, naming `what`, unless 0 <= size <= max

    Memory is planned for max. max itself follows from the sizes of the arguments and from other bounds.

    ```mlir
    %n = core.bounded_size %count, %max "the number of boxes"
    ```
  }];
  let arguments = (ins Index:$size, Index:$max, StrAttr:$what);
  let results = (outs Index:$result);
  let assemblyFormat = "$size `,` $max $what attr-dict";
  let hasFolder = 1;
}

def Core_CompactOp : Core_Inferred<"compact"> {
  let summary = "Positions of the true elements, in rising order";
  let description = [{
    count = number of true elements of mask; positions[k] is the position of the k-th of them, and 0 for k >= count

    C1. mask has rank 1. positions has its shape and i64, count is tensor<i64>.

    ```mlir
    %positions, %count = core.compact %mask : tensor<?xi1> to tensor<?xi64>, tensor<i64>
    ```
  }];
  let arguments = (ins Core_BoolTensor:$mask);
  let results = (outs Core_IntegerTensor:$positions, Core_IntegerTensor:$count);
  let assemblyFormat = "$mask attr-dict `:` type($mask) `to` type($positions) `,` type($count)";
}

def Core_SortRowsOp : Core_Inferred<"sort_rows"> {
  let summary = "The order of the rows of a matrix, compared element by element";
  let description = [{
    x[positions[0], :] <= x[positions[1], :] <= ...; the first element that differs decides, equal rows keep their order

    C1. x has rank 2. positions has one i64 for each row. NaN counts as larger than everything.

    `is_unsigned` is set by CoreToLinalg, which takes the sign out of the types.

    ```mlir
    %positions = core.sort_rows %x : tensor<?x3xf32> to tensor<?xi64>
    ```
  }];
  let arguments = (ins Core_Tensor:$x, UnitAttr:$is_unsigned);
  let results = (outs Core_IntegerTensor:$positions);
  let assemblyFormat = "$x attr-dict `:` type($x) `to` type($positions)";
}

class Core_ScalarOf<string tensor, string scalar>
    : TypesMatchWith<scalar # " is a scalar of " # tensor # "'s element type", tensor, scalar,
                     "::mlir::RankedTensorType::get({}, ::llvm::cast<::mlir::RankedTensorType>($_self).getElementType())">;

def Core_NmsOp : Core_Op<"nms", [Pure, Core_ScalarOf<"boxes", "iou_threshold">, Core_ScalarOf<"boxes", "score_threshold">]> {
  let summary = "Chooses boxes by score, leaving out those that overlap a chosen one (ONNX NonMaxSuppression)";
  let description = [{
    For each batch and class, in this order: of the boxes with score > score_threshold (all, if that is NaN), by falling score (then
    rising position), those are chosen whose intersection with no box chosen before is more than iou_threshold of the union, at most
    `limit`. selected[k] = [batch, class, box] for k < count; what follows is not defined, nor is workspace.

    C1. boxes is [batches, boxes, 4], scores [batches, classes, boxes], of one float type. A box is two opposite corners [y, x, y, x],
        or with center_points [x, y, width, height]. A box without an area overlaps nothing.
    C2. The thresholds are scalars of the boxes' element type.
    C3. selected is [room, 3] of i64 with room >= batches * classes * limit, count tensor<i64>, workspace [boxes] of i64.

    ```mlir
    %selected, %count, %workspace = core.nms %boxes, %scores, %iou, %score limit %n room %m
        : tensor<1x?x4xf32>, tensor<1x80x?xf32> to tensor<?x3xi64>, tensor<i64>, tensor<?xi64>
    ```
  }];
  let arguments = (ins Core_FloatTensor:$boxes, Core_FloatTensor:$scores, Core_FloatTensor:$iou_threshold,
                       Core_FloatTensor:$score_threshold, Index:$limit, Index:$room, UnitAttr:$center_points);
  let results = (outs Core_IntegerTensor:$selected, Core_IntegerTensor:$count, Core_IntegerTensor:$workspace);
  let assemblyFormat = [{
    $boxes `,` $scores `,` $iou_threshold `,` $score_threshold `limit` $limit `room` $room (`center_points` $center_points^)?
    attr-dict `:` type($boxes) `,` type($scores) `to` type($selected) `,` type($count) `,` type($workspace)
  }];
  let hasVerifier = 1;
}
#endif
