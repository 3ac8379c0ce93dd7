//===- CoreOps.td - the core dialect: mathematics on tensors ------------------------------------------------------===//
//
// What every operation means, which types it takes, how it is computed on scalars and how it is differentiated. One file for
// each family: Elementwise, Shape, Index, Reduce, Contract, Random, Counted, Control; this one holds what they share, and state.
#ifndef MLC_CORE_OPS
#define MLC_CORE_OPS
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Core_Dialect : Dialect {
  let name = "core";
  let cppNamespace = "::mlc::core";
  let summary = "Mathematics on tensors: types, algebra, derivatives";
  let description = [{
    All tensors are ranked. Signed integers are signless (`i64`), unsigned ones `ui8` ... `ui64`, truth values `i1`. Nothing is
    broadcast or converted implicitly. A size is a constant or an `index` value; operations that take sizes mix both.
    The dialect is closed under differentiation.
  }];
  let hasConstantMaterializer = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}

//===- Interfaces -------------------------------------------------------------------------------------------------===//

def Core_Pointwise : OpInterface<"Pointwise"> {
  let cppNamespace = "::mlc::core";
  let description = [{Each element of the result is computed from the elements of the operands at the same place.}];
  let methods = [
    InterfaceMethod<"The operation on scalars. Integers are signless here; signedness is in the op's own types.",
                    "::mlir::Value", "emitScalar",
                    (ins "::mlir::OpBuilder &":$b, "::mlir::Location":$loc, "::mlir::ValueRange":$scalars)>,
    InterfaceMethod<"The operation at compile time on runs of numbers of one class, null if it has none.",
                    "::mlc::core::Evaluator", "getEvaluator", (ins "::mlc::core::NumberClass":$numbers)>
  ];
}

def Core_Differentiable : OpInterface<"Differentiable"> {
  let cppNamespace = "::mlc::core";
  let description = [{Builds the cotangents of the operands from those of the results (a vector-Jacobian product).}];
  let methods = [
    InterfaceMethod<[{
      `cotangents` has one value for each result, null where a result has none; `gradients` receives one for each operand, null
      where the operand is not differentiable. Fails where the derivative is not known (scan prod, scatter max ...).
    }], "::llvm::LogicalResult", "buildVjp",
                    (ins "::mlc::core::CoreBuilder &":$b, "::mlir::ValueRange":$cotangents,
                         "::llvm::SmallVectorImpl<::mlir::Value> &":$gradients)>
  ];
}

//===- Enums and types --------------------------------------------------------------------------------------------===//

def Core_Comparison : I32EnumAttr<"Comparison", "how two numbers are compared", [
    I32EnumAttrCase<"EQ", 0, "eq">, I32EnumAttrCase<"NE", 1, "ne">, I32EnumAttrCase<"LT", 2, "lt">,
    I32EnumAttrCase<"LE", 3, "le">, I32EnumAttrCase<"GT", 4, "gt">, I32EnumAttrCase<"GE", 5, "ge">]> {
  let cppNamespace = "::mlc::core";
}

def Core_Reduction : I32EnumAttr<"Reduction", "how several numbers become one", [
    I32EnumAttrCase<"None", 0, "none">, I32EnumAttrCase<"Sum", 1, "sum">, I32EnumAttrCase<"Prod", 2, "prod">,
    I32EnumAttrCase<"Max", 3, "max">, I32EnumAttrCase<"Min", 4, "min">, I32EnumAttrCase<"And", 5, "and">,
    I32EnumAttrCase<"Or", 6, "or">]> {
  let cppNamespace = "::mlc::core";
}

def Core_Tensor : RankedTensorOf<[AnyFloat, AnySignlessInteger, AnyUnsignedInteger]>;
def Core_FloatTensor : RankedTensorOf<[AnyFloat]>;
def Core_IntegerTensor : RankedTensorOf<[AnySignlessInteger, AnyUnsignedInteger]>;
def Core_BoolTensor : RankedTensorOf<[I1]>;

//===- Base classes -----------------------------------------------------------------------------------------------===//

class Core_Op<string mnemonic, list<Trait> traits = []> : Op<Core_Dialect, mnemonic, traits>;

/// An operation without effects whose result types follow from its operands and attributes (`inferReturnTypes` checks the
/// numbered constraints and is therefore the verifier, too); a result may be declared less or more static than inferred.
class Core_Inferred<string mnemonic, list<Trait> traits = []>
    : Core_Op<mnemonic, !listconcat([Pure, InferTypeOpAdaptorWithIsCompatible], traits)> {
  code more = "";
  let extraClassDefinition = [{
    bool $cppClass::isCompatibleReturnTypes(::mlir::TypeRange inferred, ::mlir::TypeRange actual) {
      return ::mlc::core::areCompatible(inferred, actual);
    }
  }] # more;
}

/// As above, with one result, foldable by the evaluator of Fold.cpp.
class Core_Math<string mnemonic, list<Trait> traits = []>
    : Core_Inferred<mnemonic, !listconcat([DeclareOpInterfaceMethods<Core_Differentiable>], traits)> {
  let hasFolder = 1;
  let extraClassDefinition = [{
    bool $cppClass::isCompatibleReturnTypes(::mlir::TypeRange inferred, ::mlir::TypeRange actual) {
      return ::mlc::core::areCompatible(inferred, actual);
    }
    ::mlir::OpFoldResult $cppClass::fold(FoldAdaptor adaptor) {
      return ::mlc::core::foldOp(getOperation(), adaptor.getOperands());
    }
  }] # more;
}

//===- Constants and state ----------------------------------------------------------------------------------------===//

def Core_ConstantOp : Core_Op<"constant", [ConstantLike, Pure, AllTypesMatch<["value", "result"]>]> {
  let summary = "A constant tensor; an initializer of the model has a name";
  let description = [{
    result = value

    C1. value has a static shape.

    A named constant of a floating-point type may become trainable: folding never looks into it (see `foldConstant`).

    ```mlir
    %w = core.constant {name = "conv1.bias"} dense<[1.0, 2.0]> : tensor<2xf32>
    ```
  }];
  let arguments = (ins ElementsAttr:$value, OptionalAttr<StrAttr>:$name);
  let results = (outs Core_Tensor:$result);
  let assemblyFormat = "attr-dict $value";
  let hasFolder = 1;
  let builders = [OpBuilder<(ins "::mlir::ElementsAttr":$value), [{ build($_builder, $_state, value.getType(), value, ::mlir::StringAttr()); }]>];
}

def Core_ParameterOp : Core_Op<"parameter", [MemoryEffects<[MemRead]>]> {
  let summary = "Reads named mutable state, such as a trainable weight";
  let description = [{
    result = state[name]

    ```mlir
    %w = core.parameter "fc.weight" : tensor<10x64xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name);
  let results = (outs Core_Tensor:$result);
  let assemblyFormat = "$name attr-dict `:` type($result)";
}

def Core_CheckRangeOp : Core_Op<"check_range", [MemoryEffects<[MemWrite]>]> {
  let summary = "Lets the run fail unless every element of x lies in [lower, upper)";
  let description = [{
    The run returns MLC_MODEL_ERROR with a message that names `what`, the element found and the bound; nothing is assigned. Indices that
    come from outside (labels, tokens) are checked with it.

    C1. x holds integers.

    ```mlir
    core.check_range %label in %zero, %classes "label" : tensor<?xi64>
    ```
  }];
  let arguments = (ins Core_IntegerTensor:$x, Index:$lower, Index:$upper, StrAttr:$what);
  let assemblyFormat = "$x `in` $lower `,` $upper $what attr-dict `:` type($x)";
}

def Core_RequireOp : Core_Op<"require", [MemoryEffects<[MemWrite]>]> {
  let summary = "Lets the run fail unless a condition on sizes holds";
  let description = [{
    What an operation assumes of sizes that only the run knows. The run returns MLC_MODEL_ERROR with the node's name and `message`, whose
    at most two %d are a and b, before any operation of the block that the check stands in front of touches memory.

    ```mlir
    core.require %equal "sizes of dimension 1 differ: %d and %d" (%m, %n)
    ```
  }];
  let arguments = (ins I1:$condition, StrAttr:$message, Index:$a, Index:$b);
  let assemblyFormat = "$condition $message `(` $a `,` $b `)` attr-dict";
  let hasCanonicalizer = 1;
}

def Core_AssignOp : Core_Op<"assign", [MemoryEffects<[MemWrite]>]> {
  let summary = "Writes named mutable state";
  let description = [{
    state[name] = value, visible to the next run

    ```mlir
    core.assign "fc.weight", %new : tensor<10x64xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, Core_Tensor:$value);
  let assemblyFormat = "$name `,` $value attr-dict `:` type($value)";
}

include "dialects/core/Elementwise.td"
include "dialects/core/Shape.td"
include "dialects/core/Index.td"
include "dialects/core/Reduce.td"
include "dialects/core/Contract.td"
include "dialects/core/Random.td"
include "dialects/core/Counted.td"
include "dialects/core/Control.td"
#endif
