// See StageClock.h.
#include "compiler/StageClock.h"

using namespace mlc;

llvm::StringRef mlc::stageText(Stage stage) {
  static constexpr llvm::StringLiteral texts[kStageCount] = {
      "reading the model", "translating operators", "fusing and planning", "generating kernels", "lowering to LLVM",
      "optimizing",        "writing machine code"};
  return texts[static_cast<size_t>(stage)];
}

void StageClock::leave() {
  if (current)
    spent[static_cast<size_t>(*current)] += Clock::now() - since;
}

void StageClock::enter(Stage stage) {
  leave();
  current = stage;
  since = Clock::now();
  if (onEnter)
    onEnter(stage);
}

double StageClock::seconds(Stage stage) const {
  auto total = spent[static_cast<size_t>(stage)];
  if (current == stage)
    total += Clock::now() - since;
  return std::chrono::duration<double>(total).count();
}
