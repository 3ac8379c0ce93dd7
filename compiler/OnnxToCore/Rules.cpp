// Finding the row of an operator: domains, then families, then versions.
#include "compiler/OnnxToCore/Rules.h"

namespace mlc::decompose {

static std::vector<Domain> allDomains() {
  static const ArrayRef<Rule> onnx[] = {
      activationRules, arithmeticRules,    attentionRules, castRules,    comparisonRules, constantRules,
      controlRules,    convolutionRules,   countedRules,   gatherRules,  layoutRules,     lossRules,
      matMulRules,     normalizationRules, padRules,       poolingRules, quantizeRules,   recurrentRules,
      reductionRules,  resizeRules,        samplingRules,  signalRules,  sliceRules,      softmaxRules,
      sortRules,       unsupportedRules};
  static const ArrayRef<Rule> training[] = {optimizerRules};
  static const ArrayRef<Rule> microsoft[] = {fusedRules, runtimeQuantizeRules};
  return {{"ai.onnx", onnx}, {"ai.onnx.preview.training", training}, {"com.microsoft", microsoft}};
}

const Rule *findRule(StringRef domain, StringRef op, int64_t opset) {
  const Rule *best = nullptr;
  for (const Domain &candidate : allDomains()) {
    if (domain != candidate.name)
      continue;
    for (ArrayRef<Rule> family : candidate.families)
      for (const Rule &rule : family)
        if (op == rule.op && rule.since <= opset && (!best || rule.since > best->since))
          best = &rule;
  }
  return best;
}

std::vector<ListedRule> allRules() {
  std::vector<ListedRule> list;
  for (const Domain &domain : allDomains())
    for (ArrayRef<Rule> family : domain.families) {
      if (family.data() == unsupportedRules.data())
        continue;
      for (const Rule &rule : family)
        list.push_back({domain.name, &rule});
    }
  llvm::sort(list, [](const ListedRule &a, const ListedRule &b) {
    return std::tuple(a.domain, StringRef(a.rule->op), a.rule->since) <
           std::tuple(b.domain, StringRef(b.rule->op), b.rule->since);
  });
  return list;
}

} // namespace mlc::decompose
