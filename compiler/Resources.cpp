// See Resources.h.
#include "compiler/Resources.h"
#include "mlir/IR/AttrTypeSubElements.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

void mlc::releaseUnusedResources(ModuleOp module) {
  llvm::StringSet<> used;
  AttrTypeWalker walker;
  walker.addWalk([&](DenseResourceElementsAttr value) { used.insert(value.getRawHandle().getKey()); });
  module->walk([&](Operation *op) { walker.walk(op->getAttrDictionary()); });

  auto &manager = DenseResourceElementsHandle::getManagerInterface(module.getContext()).getBlobManager();
  SmallVector<std::string> unused;
  manager.getBlobMap([&](const auto &entries) {
    for (const auto &entry : entries)
      if (entry.getValue().getBlob() && !used.contains(entry.getKey()))
        unused.push_back(entry.getKey().str());
  });
  for (const std::string &key : unused)
    manager.lookup(key)->setBlob(AsmResourceBlob());
}

void mlc::releaseResource(ElementsAttr value) {
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(value))
    resource.getRawHandle().getResource()->setBlob(AsmResourceBlob());
}
