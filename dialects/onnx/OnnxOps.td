//===- OnnxOps.td - the onnx dialect: a faithful, printable copy of a model ---------------------------------------===//
#ifndef MLC_ONNX_OPS
#define MLC_ONNX_OPS
include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Onnx_Dialect : Dialect {
  let name = "onnx";
  let cppNamespace = "::mlc::onnx";
  let summary = "A model as it is in the file, before anything is known of its operators";
  let useDefaultTypePrinterParser = 1;
}

def Onnx_ValueType : TypeDef<Onnx_Dialect, "Value"> {
  let mnemonic = "value";
  let summary = "A value of the model whose type has not been inferred yet";
}

class Onnx_Op<string mnemonic, list<Trait> traits = []> : Op<Onnx_Dialect, mnemonic, traits>;

def Onnx_NodeOp : Onnx_Op<"node", []> {
  let summary = "One node of the model's graph";
  let description = [{
    A node with its operator, domain, the opset version of the model, its attributes and its subgraphs. Nothing is verified here: the
    rule that decomposes the operator reads it and reports what it does not understand.

    ```mlir
    %y = onnx.node "Relu" domain "ai.onnx" opset 17 (%x) {attrs = {}} : (tensor<4xf32>) -> !onnx.value
    ```
  }];
  let arguments = (ins StrAttr:$op_type, StrAttr:$domain, I64Attr:$opset, Variadic<AnyType>:$operands,
                       DefaultValuedAttr<DictionaryAttr, "{}">:$attrs, OptionalAttr<ArrayAttr>:$graphs);
  let results = (outs Variadic<AnyType>:$results);
  let regions = (region VariadicRegion<AnyRegion>:$subgraphs);
  let assemblyFormat = [{
    $op_type `domain` $domain `opset` $opset `(` $operands `)` attr-dict (`regions` $subgraphs^)? `:` functional-type($operands, $results)
  }];
}

def Onnx_YieldOp : Onnx_Op<"yield", [Terminator, Pure]> {
  let summary = "The outputs of a subgraph";
  let arguments = (ins Variadic<AnyType>:$operands);
  let assemblyFormat = "($operands^ `:` type($operands))? attr-dict";
}

def Onnx_AbsentOp : Onnx_Op<"absent", [Pure]> {
  let summary = "An optional input that the node does not have";
  let results = (outs Onnx_ValueType:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}
#endif
