// Operators that are known and missing, so that the reason is said. What is in no table at all is "the operator".
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

static Values sizeDependsOnData(Node &n, CoreBuilder &b) {
  return n.unsupported("a result whose size depends on data");
}
static Values sequences(Node &n, CoreBuilder &b) { return n.unsupported("a sequence of tensors"); }
static Values optionals(Node &n, CoreBuilder &b) { return n.unsupported("an optional value"); }
static Values strings(Node &n, CoreBuilder &b) { return n.unsupported("a tensor of strings"); }
static Values randomNumbers(Node &n, CoreBuilder &b) { return n.unsupported("a result of random numbers"); }

// The positions of a constant's elements are a constant.
static Values nonZero(Node &n, CoreBuilder &b) {
  ElementsAttr attr = constantOf(n.in(0));
  auto values = attr ? readFloats(attr, 1 << 20) : std::nullopt;
  if (!values)
    return sizeDependsOnData(n, b);
  auto shape = n.type(0).getShape();
  int64_t rank = shape.size();
  SmallVector<SmallVector<int64_t>> rows(rank);
  int64_t count = 0;
  for (int64_t i = 0; i < int64_t(values->size()); ++i) {
    if ((*values)[i] == 0)
      continue;
    ++count;
    int64_t rest = i;
    for (int64_t d = rank - 1; d >= 0; --d) {
      rows[d].push_back(rest % shape[d]);
      rest /= shape[d];
    }
  }
  SmallVector<int64_t> flat;
  for (ArrayRef<int64_t> row : rows)
    flat.append(row.begin(), row.end());
  return b.constant(
      DenseElementsAttr::get(RankedTensorType::get({rank, count}, b.builder.getI64Type()), ArrayRef<int64_t>(flat)));
}

static const Rule rules[] = {
    {"NonZero", 9, nonZero, 1, kWide},        {"NonMaxSuppression", 10, sizeDependsOnData, 0},
    {"Unique", 11, sizeDependsOnData, 0},     {"ConcatFromSequence", 11, sequences, 0},
    {"SequenceAt", 11, sequences, 0},         {"SequenceConstruct", 11, sequences, 0},
    {"SequenceEmpty", 11, sequences, 0},      {"SequenceErase", 11, sequences, 0},
    {"SequenceInsert", 11, sequences, 0},     {"SequenceLength", 11, sequences, 0},
    {"SequenceMap", 17, sequences, 0},        {"SplitToSequence", 11, sequences, 0},
    {"Optional", 15, optionals, 0},           {"OptionalGetElement", 15, optionals, 0},
    {"OptionalHasElement", 15, optionals, 0}, {"RegexFullMatch", 20, strings, 0},
    {"StringConcat", 20, strings, 0},         {"StringNormalizer", 10, strings, 0},
    {"StringSplit", 20, strings, 0},          {"TfIdfVectorizer", 9, strings, 0},
    {"Bernoulli", 15, randomNumbers, 0},      {"Multinomial", 7, randomNumbers, 0},
    {"RandomNormal", 1, randomNumbers, 0},    {"RandomNormalLike", 1, randomNumbers, 0},
    {"RandomUniform", 1, randomNumbers, 0},   {"RandomUniformLike", 1, randomNumbers, 0},
};
const ArrayRef<Rule> unsupportedRules(rules);

} // namespace mlc::decompose
