// writeWeightsObject and writeWeightsFile (Link.h): the constant blob as an ELF64 object with exactly one section of bytes, or behind
// the header that the runtime checks. LLVM constants would hold a large blob several times over, and an assembler would print and
// parse it.
#include "compiler/Emit/Files.h"
#include "compiler/Emit/Link.h"
#include "mlc/abi.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Triple.h"

using namespace llvm;
using namespace mlir;

namespace {

/// Blobs from this size on are marked large: the linker then keeps them out of the 2 GB around the code.
constexpr int64_t largeBytesMin = int64_t(1) << 30;

/// Code for aarch64 reaches 4 GB around itself, and the blob lies between the code and its other constants.
constexpr int64_t aarch64BytesMax = (int64_t(1) << 32) - (int64_t(1) << 28);

uint64_t alignTo64(uint64_t offset) { return (offset + 63) / 64 * 64; }

/// Writes a splat without holding it whole.
void writeSplat(raw_ostream &os, StringRef element, int64_t count) {
  if (count == 0)
    return;
  std::string piece;
  int64_t pieceCount = std::min<int64_t>(count, std::max<int64_t>(1, 4096 / std::max<int64_t>(1, element.size())));
  for (int64_t index = 0; index < pieceCount; ++index)
    piece += element;
  for (; count >= pieceCount; count -= pieceCount)
    os << piece;
  for (; count > 0; --count)
    os << element;
}

StringRef bytesOf(ArrayRef<char> data) { return StringRef(data.data(), data.size()); }

Error writeElements(raw_ostream &os, ElementsAttr value) {
  ShapedType type = value.getShapedType();
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(value)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob)
      return createStringError("the data of the weight %s is missing", resource.getRawHandle().getKey().str().c_str());
    os << bytesOf(blob->getData());
    return Error::success();
  }
  auto dense = dyn_cast<DenseElementsAttr>(value);
  if (!dense)
    return createStringError("a weight is neither dense nor a resource");
  if (type.getElementType().isInteger(1)) {
    for (bool element : dense.getValues<bool>())
      os << static_cast<char>(element);
  } else if (dense.isSplat()) {
    writeSplat(os, bytesOf(dense.getRawData()), type.getNumElements());
  } else {
    os << bytesOf(dense.getRawData());
  }
  return Error::success();
}

/// The blob, from where `os` stands: every weight at its offset, zeros between them.
Error writeBlob(raw_ostream &os, const mlc::Artifact &artifact) {
  uint64_t begin = os.tell(), end = begin + artifact.weightsBytes;
  for (const mlc::Weight &weight : artifact.weights) {
    uint64_t offset = begin + weight.offset;
    if (offset < os.tell() || offset > end)
      return createStringError("weights overlap or leave their blob at offset %lld",
                               static_cast<long long>(weight.offset));
    os.write_zeros(offset - os.tell());
    if (Error error = writeElements(os, weight.value))
      return error;
  }
  if (os.tell() > end)
    return createStringError("the weights are longer than their blob");
  os.write_zeros(end - os.tell());
  return Error::success();
}

} // namespace

Error mlc::writeWeightsFile(StringRef path, const Artifact &artifact, OutputFiles &files) {
  mlc_weights_header header = {};
  memcpy(header.magic, MLC_WEIGHTS_MAGIC, sizeof(header.magic));
  header.version = MLC_WEIGHTS_VERSION;
  header.weights_bytes = artifact.weightsBytes;
  llvm::copy(artifact.weightsStructure, header.structure);
  // A new file that takes the old one's place: a program may still have that one mapped.
  return files.write(path, [&](raw_pwrite_stream &os) {
    os.write(reinterpret_cast<const char *>(&header), sizeof(header));
    return writeBlob(os, artifact);
  });
}

/// Of a relocatable object with its section headers at `sectionHeaders`.
static ELF::Elf64_Ehdr relocatableHeader(const Triple &triple, uint64_t sectionHeaders, unsigned sectionCount,
                                         unsigned sectionNames) {
  ELF::Elf64_Ehdr header = {};
  memcpy(header.e_ident, ELF::ElfMagic, 4);
  header.e_ident[ELF::EI_CLASS] = ELF::ELFCLASS64;
  header.e_ident[ELF::EI_DATA] = ELF::ELFDATA2LSB;
  header.e_ident[ELF::EI_VERSION] = ELF::EV_CURRENT;
  header.e_type = ELF::ET_REL;
  header.e_machine = triple.isX86_64() ? ELF::EM_X86_64 : triple.isAArch64() ? ELF::EM_AARCH64 : ELF::EM_RISCV;
  header.e_version = ELF::EV_CURRENT;
  header.e_shoff = sectionHeaders;
  header.e_ehsize = sizeof(header);
  header.e_shentsize = sizeof(ELF::Elf64_Shdr);
  header.e_shnum = sectionCount;
  header.e_shstrndx = sectionNames;
  return header;
}

Error mlc::writeWeightsObject(StringRef path, StringRef tripleText, StringRef symbol, const Artifact &artifact) {
  Triple triple(tripleText);
  if (!triple.isArch64Bit() || !triple.isLittleEndian())
    return createStringError("weights: %s is not a little-endian 64-bit target", triple.str().c_str());
  if (triple.isAArch64() && artifact.weightsBytes > aarch64BytesMax)
    return createStringError(
        "%lld bytes of weights are too many for a library of %s: --weights=FILE puts them into a file",
        static_cast<long long>(artifact.weightsBytes), triple.getArchName().str().c_str());
  bool large = triple.isX86_64() && artifact.weightsBytes >= largeBytesMin;
  std::string sectionName = large ? ".lrodata.mlc_weights" : ".rodata.mlc_weights";

  // Null section, weights, empty stack note, symbols, their names, section names.
  std::string sectionNames("\0", 1), symbolNames("\0", 1);
  auto nameOf = [](std::string &table, StringRef name) {
    size_t offset = table.size();
    table += name;
    table += '\0';
    return static_cast<ELF::Elf64_Word>(offset);
  };
  enum : unsigned { Null, Data, StackNote, Symbols, SymbolNames, SectionNames, SectionCount };
  ELF::Elf64_Shdr sections[SectionCount] = {};
  sections[Data].sh_name = nameOf(sectionNames, sectionName);
  sections[StackNote].sh_name = nameOf(sectionNames, ".note.GNU-stack");
  sections[Symbols].sh_name = nameOf(sectionNames, ".symtab");
  sections[SymbolNames].sh_name = nameOf(sectionNames, ".strtab");
  sections[SectionNames].sh_name = nameOf(sectionNames, ".shstrtab");
  ELF::Elf64_Sym symbols[2] = {};
  symbols[1].st_name = nameOf(symbolNames, symbol);
  symbols[1].setBindingAndType(ELF::STB_GLOBAL, ELF::STT_OBJECT);
  symbols[1].st_other = ELF::STV_HIDDEN;
  symbols[1].st_shndx = Data;
  symbols[1].st_size = artifact.weightsBytes;

  uint64_t dataBegin = alignTo64(sizeof(ELF::Elf64_Ehdr));
  uint64_t symbolsBegin = alignTo64(dataBegin + artifact.weightsBytes);
  uint64_t namesBegin = symbolsBegin + sizeof(symbols), sectionNamesBegin = namesBegin + symbolNames.size();
  uint64_t headersBegin = alignTo64(sectionNamesBegin + sectionNames.size());
  auto place = [&](unsigned number, unsigned type, uint64_t offset, uint64_t size, uint64_t alignment) {
    sections[number].sh_type = type;
    sections[number].sh_offset = offset;
    sections[number].sh_size = size;
    sections[number].sh_addralign = alignment;
  };
  place(Data, ELF::SHT_PROGBITS, dataBegin, artifact.weightsBytes, 64);
  sections[Data].sh_flags = ELF::SHF_ALLOC | (large ? ELF::SHF_X86_64_LARGE : 0);
  place(StackNote, ELF::SHT_PROGBITS, symbolsBegin, 0, 1);
  place(Symbols, ELF::SHT_SYMTAB, symbolsBegin, sizeof(symbols), 8);
  sections[Symbols].sh_link = SymbolNames;
  sections[Symbols].sh_info = 1; // first global symbol
  sections[Symbols].sh_entsize = sizeof(ELF::Elf64_Sym);
  place(SymbolNames, ELF::SHT_STRTAB, namesBegin, symbolNames.size(), 1);
  place(SectionNames, ELF::SHT_STRTAB, sectionNamesBegin, sectionNames.size(), 1);

  ELF::Elf64_Ehdr header = relocatableHeader(triple, headersBegin, SectionCount, SectionNames);
  return writeFile(path, [&](raw_pwrite_stream &os) -> Error {
    auto raw = [&](const auto &value) { os.write(reinterpret_cast<const char *>(&value), sizeof(value)); };
    auto fillTo = [&](uint64_t offset) { os.write_zeros(offset - os.tell()); };
    raw(header);
    fillTo(dataBegin);
    if (Error error = writeBlob(os, artifact))
      return error;
    fillTo(symbolsBegin);
    raw(symbols);
    os << symbolNames << sectionNames;
    fillTo(headersBegin);
    raw(sections);
    return Error::success();
  });
}
