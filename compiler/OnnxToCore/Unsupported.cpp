// Operators that are known and missing, so that the reason is said. What is in no table at all is "the operator".
#include "compiler/OnnxToCore/Compose.h"

using namespace mlir;
namespace mlc::decompose {

static Values sequences(Node &n, CoreBuilder &b) { return n.unsupported("a sequence of tensors"); }
static Values optionals(Node &n, CoreBuilder &b) { return n.unsupported("an optional value"); }
static Values strings(Node &n, CoreBuilder &b) { return n.unsupported("a tensor of strings"); }
static Values randomNumbers(Node &n, CoreBuilder &b) { return n.unsupported("a result of random numbers"); }

static const Rule rules[] = {
    {"ConcatFromSequence", 11, sequences, 0},   {"SequenceAt", 11, sequences, 0},
    {"SequenceConstruct", 11, sequences, 0},    {"SequenceEmpty", 11, sequences, 0},
    {"SequenceErase", 11, sequences, 0},        {"SequenceInsert", 11, sequences, 0},
    {"SequenceLength", 11, sequences, 0},       {"SequenceMap", 17, sequences, 0},
    {"SplitToSequence", 11, sequences, 0},      {"Optional", 15, optionals, 0},
    {"OptionalGetElement", 15, optionals, 0},   {"OptionalHasElement", 15, optionals, 0},
    {"RegexFullMatch", 20, strings, 0},         {"StringConcat", 20, strings, 0},
    {"StringNormalizer", 10, strings, 0},       {"StringSplit", 20, strings, 0},
    {"TfIdfVectorizer", 9, strings, 0},         {"Bernoulli", 15, randomNumbers, 0},
    {"Multinomial", 7, randomNumbers, 0},       {"RandomNormal", 1, randomNumbers, 0},
    {"RandomNormalLike", 1, randomNumbers, 0},  {"RandomUniform", 1, randomNumbers, 0},
    {"RandomUniformLike", 1, randomNumbers, 0},
};
const ArrayRef<Rule> unsupportedRules(rules);

} // namespace mlc::decompose
