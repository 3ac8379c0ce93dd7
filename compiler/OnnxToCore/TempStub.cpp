#include "compiler/OnnxToCore/Rules.h"
namespace mlc::decompose {
__attribute__((weak)) extern const ArrayRef<Rule> controlRules, unsupportedRules, samplingRules, signalRules;
__attribute__((weak)) const ArrayRef<Rule> controlRules = {};
__attribute__((weak)) const ArrayRef<Rule> unsupportedRules = {};
__attribute__((weak)) const ArrayRef<Rule> samplingRules = {};
__attribute__((weak)) const ArrayRef<Rule> signalRules = {};
}
