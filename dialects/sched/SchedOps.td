//===- SchedOps.td - the sched dialect: plans as attributes ---------------------------------------------------------===//
#ifndef MLC_SCHED_OPS
#define MLC_SCHED_OPS
include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def Sched_Dialect : Dialect {
  let name = "sched";
  let cppNamespace = "::mlc::sched";
  let summary = "How a kernel is cut into tasks, register tiles and vectors";
  let description = [{
    No ops: loops are `scf.forall` and `scf.for`. A plan is an attribute on the kernel's function, so that it can be read, diffed and
    overridden in a test.
  }];
  let useDefaultAttributePrinterParser = 1;
}

def Sched_Kind : I32EnumAttr<"Kind", "which generator makes a kernel's loops (docs/ir.md, section 4)", [
    I32EnumAttrCase<"Pointwise", 0, "pointwise">, I32EnumAttrCase<"Rows", 1, "rows">, I32EnumAttrCase<"Contract", 2, "contract">,
    I32EnumAttrCase<"Loops", 3, "loops">,     // any linalg ops, without a plan of registers
    I32EnumAttrCase<"Lowered", 4, "lowered">, // loops of its own, made while outlining
    I32EnumAttrCase<"Check", 5, "check">,     // a check that a device makes
    I32EnumAttrCase<"Naive", 6, "naive">]> {  // --naive-kernels: plain loops whatever it was
  let cppNamespace = "::mlc::sched";
  let genSpecializedAttr = 0;
}

def Sched_KindAttr : EnumAttr<Sched_Dialect, Sched_Kind, "kind"> {
  let assemblyFormat = "`<` $value `>`";
}

def Sched_TilingAttr : AttrDef<Sched_Dialect, "Tiling"> {
  let mnemonic = "tiling";
  let summary = "The tiling of one kernel";
  let description = [{
    - `task`: for each parallel loop of the kernel's last op, the number of iterations in one task (0: all of them).
    - `lanes`: elements of one vector along the lane loop.
    - `vectors`: vectors side by side along the lane loop in one register tile.
    - `rows`: iterations of the row loop in one register tile (contract), or rows handled together (rows).
    - `row_loop`, `lane_loop`: loop numbers of the op that is tiled; -1 if it has none.

    ```mlir
    #sched.tiling<task = [0, 32], lanes = 16, vectors = 2, rows = 8, row_loop = 0, lane_loop = 1>
    ```
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$task, "int64_t":$lanes, "int64_t":$vectors, "int64_t":$rows,
                        "int64_t":$rowLoop, "int64_t":$laneLoop);
  let assemblyFormat = [{
    `<` `task` `=` `[` $task `]` `,` `lanes` `=` $lanes `,` `vectors` `=` $vectors `,` `rows` `=` $rows `,`
    `row_loop` `=` $rowLoop `,` `lane_loop` `=` $laneLoop `>`
  }];
}
#endif
