// See Diagnostics.h. Here rather than in tools/ because every program that imports models reports in the same words.
#include "compiler/Import/Diagnostics.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Location.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/ConvertUTF.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

using namespace mlc;
using namespace mlir;

std::string mlc::nodeNameOf(Location location) {
  return llvm::TypeSwitch<LocationAttr, std::string>(location)
      .Case<NameLoc>([](NameLoc loc) { return loc.getName().str(); })
      .Case<CallSiteLoc>([](CallSiteLoc loc) { return nodeNameOf(loc.getCallee()); })
      .Case<FusedLoc>([](FusedLoc loc) {
        for (Location part : loc.getLocations())
          if (std::string name = nodeNameOf(part); !name.empty())
            return name;
        return std::string();
      })
      .Case<FileLineColRange>([](FileLineColRange loc) {
        return llvm::formatv("{0}:{1}:{2}", loc.getFilename().getValue(), loc.getStartLine(), loc.getStartColumn())
            .str();
      })
      .Default(std::string());
}

std::string mlc::printable(llvm::StringRef text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    auto byte = static_cast<unsigned char>(text[i]);
    unsigned size = llvm::getNumBytesForUTF8(byte);
    const auto *at = reinterpret_cast<const llvm::UTF8 *>(text.data()) + i;
    bool isWhole = byte >= 0x80 && i + size <= text.size() && llvm::isLegalUTF8Sequence(at, at + size);
    // U+0080 ... U+009F are control characters, too.
    if (isWhole && !(byte == 0xC2 && at[1] < 0xA0)) {
      out += text.substr(i, size);
      i += size;
      continue;
    }
    if ((byte >= 0x20 && byte < 0x7f) || byte == '\n')
      out += char(byte);
    else
      out += llvm::formatv("\\x{0:X-2}", byte).str();
    ++i;
  }
  return out;
}

ModelDiagnostics::ModelDiagnostics(MLIRContext &context, llvm::StringRef modelPath, llvm::raw_ostream &os)
    : ScopedDiagnosticHandler(&context), modelName(printable(llvm::sys::path::filename(modelPath))), os(os) {
  setHandler([this](Diagnostic &diagnostic) { print(diagnostic); });
}

void ModelDiagnostics::print(Diagnostic &diagnostic) {
  auto printOne = [&](Diagnostic &one, llvm::StringRef severity) {
    os << modelName << ':';
    if (std::string node = nodeNameOf(one.getLocation()); !node.empty())
      os << printable(node) << ':';
    constexpr size_t textMax = 4000;
    std::string text = printable(one.str());
    if (text.size() > textMax)
      text = text.substr(0, textMax) + " ... (" + std::to_string(text.size() - textMax) + " bytes more)";
    os << ' ' << severity << ": " << text << '\n';
  };
  switch (diagnostic.getSeverity()) {
  case DiagnosticSeverity::Error:
    ++errors;
    unsupported += StringRef(diagnostic.str()).contains(" not supported");
    printOne(diagnostic, "error");
    break;
  case DiagnosticSeverity::Warning:
    printOne(diagnostic, "warning");
    break;
  case DiagnosticSeverity::Remark:
    printOne(diagnostic, "remark");
    break;
  case DiagnosticSeverity::Note:
    printOne(diagnostic, "note");
    break;
  }
  for (Diagnostic &note : diagnostic.getNotes())
    printOne(note, "note");
}
