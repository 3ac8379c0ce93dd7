// See CpuTarget.h. Code may only use features that the library checks at load, so the target's own cpu name serves for tuning
// alone: LLVM gets the baseline cpu plus exactly the features of the table below.
#include "compiler/Emit/CpuTarget.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/TargetParser/X86TargetParser.h"

using namespace llvm;

namespace {

struct FeatureName {
  StringLiteral llvm, cpuinfo; // runtime/src/Cpu.cpp knows the right-hand names
};

constexpr FeatureName knownFeatures[] = {
    {"cx16", "cx16"},
    {"sse3", "sse3"},
    {"ssse3", "ssse3"},
    {"sse4.1", "sse4_1"},
    {"sse4.2", "sse4_2"},
    {"popcnt", "popcnt"},
    {"movbe", "movbe"},
    {"lzcnt", "lzcnt"},
    {"bmi", "bmi1"},
    {"bmi2", "bmi2"},
    {"adx", "adx"},
    {"avx", "avx"},
    {"avx2", "avx2"},
    {"fma", "fma"},
    {"f16c", "f16c"},
    {"avx512f", "avx512f"},
    {"avx512cd", "avx512cd"},
    {"avx512dq", "avx512dq"},
    {"avx512bw", "avx512bw"},
    {"avx512vl", "avx512vl"},
    {"avx512ifma", "avx512ifma"},
    {"avx512vbmi", "avx512vbmi"},
    {"avx512vbmi2", "avx512_vbmi2"},
    {"avx512vnni", "avx512_vnni"},
    {"avx512bitalg", "avx512_bitalg"},
    {"avx512vpopcntdq", "avx512_vpopcntdq"},
    {"avx512bf16", "avx512_bf16"},
    {"avx512fp16", "avx512_fp16"},
    {"gfni", "gfni"},
    {"avxvnni", "avx_vnni"},
};

StringSet<> featuresOfHost() {
  StringSet<> names;
  for (const auto &feature : sys::getHostCPUFeatures())
    if (feature.second)
      names.insert(feature.first());
  return names;
}

StringSet<> featuresOfName(StringRef cpu) {
  SmallVector<StringRef> list;
  X86::getFeaturesForCPU(cpu, list);
  StringSet<> names;
  for (StringRef name : list)
    names.insert(name);
  return names;
}

} // namespace

Expected<mlc::CpuTarget> mlc::CpuTarget::of(StringRef cpu) {
  CpuTarget target;
  target.triple = sys::getDefaultTargetTriple();
  if (!Triple(target.triple).isX86_64()) {
    // Elsewhere the baseline of the triple is generated for and nothing is checked.
    if (cpu != "native" && cpu != "generic")
      return createStringError("--cpu=%s is not supported for %s: only native is", cpu.str().c_str(),
                               target.triple.c_str());
    target.baseline = target.tune = "generic";
    target.machine = "neon";
    target.vectorBits = 128;
    return target;
  }
  bool native = cpu == "native";
  if (!native && X86::parseArchX86(cpu, /*Only64Bit=*/true) == X86::CK_None)
    return createStringError(
        "--cpu=%s: expected native, x86-64-v2, x86-64-v3, x86-64-v4 or the name of a 64-bit x86 processor",
        cpu.str().c_str());
  target.baseline = "x86-64";
  target.tune = native ? sys::getHostCPUName().str() : cpu.starts_with("x86-64") ? "generic" : cpu.str();
  StringSet<> has = native ? featuresOfHost() : featuresOfName(cpu);
  for (const FeatureName &feature : knownFeatures) {
    if (!has.contains(feature.llvm))
      continue;
    target.features += (target.features.empty() ? "+" : ",+") + feature.llvm.str();
    target.required.push_back(feature.cpuinfo.str());
  }
  bool avx512 = all_of(ArrayRef<StringRef>{"avx512f", "avx512bw", "avx512dq", "avx512vl"},
                       [&](StringRef name) { return has.contains(name); });
  target.machine = avx512 ? "avx512" : has.contains("avx2") && has.contains("fma") ? "avx2" : "sse2";
  target.vectorBits = avx512 ? 512 : has.contains("avx") ? 256 : 128;
  return target;
}
