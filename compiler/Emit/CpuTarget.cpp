// See CpuTarget.h. Code may only use features that the library checks at load, so the target's own cpu name serves for tuning
// alone: LLVM gets the baseline cpu plus exactly the features of the table below.
#include "compiler/Emit/CpuTarget.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/TargetParser/AArch64TargetParser.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/TargetParser/X86TargetParser.h"

using namespace llvm;

namespace {

struct FeatureName {
  StringLiteral llvm, cpuinfo; // runtime/src/Cpu.cpp knows the right-hand names
};

constexpr FeatureName x86Features[] = {
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

/// Wide registers of a length unknown at compile time (SVE) are not used: the planner's vectors have 128 bits.
constexpr FeatureName aarch64Features[] = {
    {"crc", "crc32"},        {"lse", "atomics"},     {"rdm", "asimdrdm"}, {"fullfp16", "asimdhp"},
    {"fp16fml", "asimdfhm"}, {"dotprod", "asimddp"}, {"jsconv", "jscvt"}, {"complxnum", "fcma"},
    {"rcpc", "lrcpc"},       {"i8mm", "i8mm"},       {"bf16", "bf16"},
};

StringSet<> featuresOfHost() {
  StringSet<> names;
  for (const auto &feature : sys::getHostCPUFeatures())
    if (feature.second)
      names.insert(feature.first());
  return names;
}

StringSet<> x86FeaturesOf(StringRef cpu) {
  SmallVector<StringRef> list;
  X86::getFeaturesForCPU(cpu, list);
  StringSet<> names;
  for (StringRef name : list)
    names.insert(name);
  return names;
}

StringSet<> aarch64FeaturesOf(const AArch64::ExtensionBitset &extensions) {
  std::vector<StringRef> list;
  AArch64::getExtensionFeatures(extensions, list); // "+fullfp16"
  StringSet<> names;
  for (StringRef name : list)
    if (name.consume_front("+"))
      names.insert(name);
  return names;
}

/// Takes over the features of the table that the processor has.
void setFeatures(mlc::CpuTarget &target, const StringSet<> &has, ArrayRef<FeatureName> known) {
  for (const FeatureName &feature : known) {
    if (!has.contains(feature.llvm))
      continue;
    target.features += (target.features.empty() ? "+" : ",+") + feature.llvm.str();
    target.required.push_back(feature.cpuinfo.str());
  }
}

Expected<mlc::CpuTarget> x86Target(StringRef cpu) {
  bool native = cpu == "native", generic = cpu == "generic";
  if (!native && !generic && X86::parseArchX86(cpu, /*Only64Bit=*/true) == X86::CK_None)
    return createStringError(
        "--cpu=%s: expected native, generic, x86-64-v2, x86-64-v3, x86-64-v4 or the name of a 64-bit x86 processor",
        cpu.str().c_str());
  mlc::CpuTarget target;
  target.baseline = "x86-64";
  target.tune = native ? sys::getHostCPUName().str() : cpu.starts_with("x86-64") ? "generic" : cpu.str();
  StringSet<> has = native ? featuresOfHost() : x86FeaturesOf(generic ? "x86-64" : cpu);
  setFeatures(target, has, x86Features);
  bool avx512 = all_of(ArrayRef<StringRef>{"avx512f", "avx512bw", "avx512dq", "avx512vl"},
                       [&](StringRef name) { return has.contains(name); });
  target.machine = avx512 ? "avx512" : has.contains("avx2") && has.contains("fma") ? "avx2" : "sse2";
  target.vectorBits = avx512 ? 512 : has.contains("avx") ? 256 : 128;
  return target;
}

Expected<mlc::CpuTarget> aarch64Target(StringRef cpu) {
  mlc::CpuTarget target;
  target.baseline = "generic"; // ARMv8.0-A: NEON with fma
  target.machine = "neon";
  target.vectorBits = 128;
  if (cpu == "native") {
    target.tune = sys::getHostCPUName().str();
    setFeatures(target, featuresOfHost(), aarch64Features);
  } else if (cpu == "generic") {
    target.tune = "generic";
  } else if (auto info = AArch64::parseCpu(cpu)) {
    target.tune = cpu.str();
    setFeatures(target, aarch64FeaturesOf(info->getImpliedExtensions()), aarch64Features);
  } else if (const AArch64::ArchInfo *arch = AArch64::parseArch(cpu)) {
    target.tune = "generic";
    setFeatures(target, aarch64FeaturesOf(arch->DefaultExts), aarch64Features);
  } else {
    return createStringError("--cpu=%s: expected native, generic, armv8-a, armv8.2-a, ... or the name of a 64-bit Arm "
                             "processor",
                             cpu.str().c_str());
  }
  return target;
}

} // namespace

Expected<mlc::CpuTarget> mlc::CpuTarget::of(StringRef cpu, StringRef tripleText) {
  Triple host(sys::getDefaultTargetTriple());
  Triple triple = tripleText.empty() ? host : Triple(Triple::normalize(tripleText));
  bool isSupported = (triple.getArch() == Triple::x86_64 || triple.getArch() == Triple::aarch64) &&
                     triple.isOSLinux() && triple.isGNUEnvironment();
  if (!isSupported)
    return createStringError("--triple=%s: expected x86_64-linux-gnu or aarch64-linux-gnu", triple.str().c_str());
  bool isHost = triple.getArch() == host.getArch();
  if (cpu == "native" && !isHost)
    return createStringError("--cpu=native: this machine is %s, not %s", host.getArchName().str().c_str(),
                             triple.getArchName().str().c_str());
  if (cpu.empty())
    cpu = isHost ? "native" : "generic";
  auto target = triple.isX86_64() ? x86Target(cpu) : aarch64Target(cpu);
  if (!target)
    return target.takeError();
  target->triple = triple.str();
  target->name = cpu == "native" ? target->tune : cpu.str();
  return target;
}
