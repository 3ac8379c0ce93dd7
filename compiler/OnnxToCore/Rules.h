// The table of ONNX operators: one row for each version of an operator whose meaning differs, one function for each row.
#ifndef MLC_COMPILER_ONNXTOCORE_RULES_H
#define MLC_COMPILER_ONNXTOCORE_RULES_H
#include "compiler/OnnxToCore/Node.h"

namespace mlc::decompose {

struct Rule {
  const char *op;
  int since; // the first opset that this row serves
  Values (*build)(Node &, CoreBuilder &);
  int inputs = 1;            // the first ones, which must be present
  unsigned elements = kWide; // what the first input may hold
};

/// A domain's rules, by operator.
struct Domain {
  const char *name;
  ArrayRef<ArrayRef<Rule>> families;
};

/// The row with the largest first opset not above the model's; null if there is none.
const Rule *findRule(StringRef domain, StringRef op, int64_t opset);

struct ListedRule {
  StringRef domain;
  const Rule *rule;
};
/// Every row, by domain, operator and opset: what `mlc ops` prints.
std::vector<ListedRule> allRules();

// One table for each family, in the file of that name.
extern const ArrayRef<Rule> fusedRules, runtimeQuantizeRules; // of ONNX Runtime
extern const ArrayRef<Rule> activationRules, arithmeticRules, attentionRules, castRules, comparisonRules, constantRules,
    controlRules, convolutionRules, countedRules, gatherRules, layoutRules, lossRules, matMulRules, normalizationRules,
    optimizerRules, padRules, poolingRules, quantizeRules, recurrentRules, reductionRules, resizeRules, samplingRules,
    signalRules, sliceRules, softmaxRules, sortRules, unsupportedRules;

} // namespace mlc::decompose
#endif
