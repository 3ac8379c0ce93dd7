// What a program is made of beside its code: weights, state, memory, device code. Typed views of the attributes that hold it, `rt.*` on
// the module and on its entries; nothing else reads or writes these, and the dialect verifies them wherever they are.
#ifndef MLC_DIALECTS_RT_PROGRAM_H
#define MLC_DIALECTS_RT_PROGRAM_H
#include "dialects/rt/Rt.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlc::rt {

/// What `rt.buffer %call "weights"[i]` is: OutlineGroups and PackWeights write them, PlanMemory keeps those that are used and gives each
/// its place, 64-byte aligned.
llvm::SmallVector<WeightAttr> weightsOf(mlir::ModuleOp module);
void setWeights(mlir::ModuleOp module, llvm::ArrayRef<WeightAttr> weights);

/// What a training step changes: AddTraining declares it, parameters first, then the optimizer's slots; PlanMemory gives each its place.
llvm::SmallVector<SlotAttr> stateOf(mlir::ModuleOp module);
void setState(mlir::ModuleOp module, llvm::ArrayRef<SlotAttr> state);

/// Bytes of all weights and of the state; 0 before PlanMemory.
int64_t weightsBytes(mlir::ModuleOp module);
int64_t stateBytes(mlir::ModuleOp module);
void setBytes(mlir::ModuleOp module, int64_t weights, int64_t state);

/// Bytes of an entry's arena, if they are the same for all sizes of its inputs.
std::optional<int64_t> arenaBytes(mlir::func::FuncOp entry);
void setArenaBytes(mlir::func::FuncOp entry, int64_t bytes);

/// The sizes of an entry's results that the data of a run decide.
struct DataSize {
  int64_t position; // among the sizes of all results
  int64_t bound;    // -1: not constant
};
llvm::SmallVector<DataSize> dataSizes(mlir::func::FuncOp entry);
void setDataSizes(mlir::func::FuncOp entry, llvm::ArrayRef<DataSize> sizes);

/// The kernels of a GPU's program by number, and its code, of which the device takes the first image that it can run.
struct DeviceCode {
  llvm::SmallVector<llvm::StringRef> kernels, images;
  llvm::StringRef arch; // sm_90a
};
DeviceCode deviceCode(mlir::ModuleOp module);
void setDeviceKernels(mlir::ModuleOp module, llvm::ArrayRef<llvm::StringRef> kernels);
void setDeviceImages(mlir::ModuleOp module, llvm::ArrayRef<llvm::StringRef> images, llvm::StringRef arch);

} // namespace mlc::rt
#endif
