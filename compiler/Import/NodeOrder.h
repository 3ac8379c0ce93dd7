// An order of a graph's nodes in which every value is made before it is used. ONNX asks files to have one; some tools write others.
#ifndef MLC_COMPILER_IMPORT_NODEORDER_H
#define MLC_COMPILER_IMPORT_NODEORDER_H
#include "compiler/Import/OnnxProto.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

namespace mlc {

struct NodeOrder {
  llvm::SmallVector<int> nodes; // all of them, or fewer if there is a cycle
  llvm::SmallVector<int> cycle; // each uses what the next one makes, and the last what the first makes; empty: none
};

/// The file's order where that works, else nodes come as late as what they use makes them. `isKnown` tells which names exist before.
NodeOrder orderOf(const google::protobuf::RepeatedPtrField<pb::NodeProto> &nodes,
                  llvm::function_ref<bool(llvm::StringRef)> isKnown);

} // namespace mlc
#endif
