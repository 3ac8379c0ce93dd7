// A walk over protobuf's wire format (tag, value; lengths before contents) that knows of ONNX only which field of which
// message holds another message worth walking into. Separate from ModelFile because it is pure: bytes to bytes.
#include "compiler/Import/WireFormat.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlc;
using llvm::StringRef;

namespace {

constexpr unsigned nestingMax = 200;
constexpr uint64_t fieldsMax = 8'000'000; // protobuf's objects are about 150 bytes each: 1.2 GB

enum WireType { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

struct Field {
  WireMessage parent;
  uint64_t number;
  WireMessage message;
};
const Field nestedFields[] = {
    {WireMessage::Model, 7, WireMessage::Graph},
    {WireMessage::Model, 20, WireMessage::TrainingInfo},
    {WireMessage::Model, 25, WireMessage::Function},
    {WireMessage::TrainingInfo, 1, WireMessage::Graph},
    {WireMessage::TrainingInfo, 2, WireMessage::Graph},
    {WireMessage::Graph, 1, WireMessage::Node},
    {WireMessage::Graph, 5, WireMessage::Tensor},
    {WireMessage::Graph, 15, WireMessage::SparseTensor},
    {WireMessage::SparseTensor, 1, WireMessage::Tensor},
    {WireMessage::SparseTensor, 2, WireMessage::Tensor},
    {WireMessage::Node, 5, WireMessage::Attribute},
    {WireMessage::Function, 7, WireMessage::Node},
    {WireMessage::Function, 11, WireMessage::Attribute},
    {WireMessage::Attribute, 5, WireMessage::Tensor},
    {WireMessage::Attribute, 10, WireMessage::Tensor},
    {WireMessage::Attribute, 6, WireMessage::Graph},
    {WireMessage::Attribute, 11, WireMessage::Graph},
    {WireMessage::Attribute, 22, WireMessage::SparseTensor},
    {WireMessage::Attribute, 23, WireMessage::SparseTensor},
};
constexpr uint64_t rawDataField = 9; // of TensorProto

WireMessage messageOf(WireMessage parent, uint64_t number) {
  for (const Field &field : nestedFields)
    if (field.parent == parent && field.number == number)
      return field.message;
  return WireMessage::Other;
}

void appendVarint(std::string &out, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out.push_back(char(value | 0x80));
  out.push_back(char(value));
}

class Outliner {
public:
  explicit Outliner(StringRef file) : file(file) {}

  /// Appends the outline of the message in [position, end) to `out`.
  llvm::Error outline(WireMessage message, uint64_t position, uint64_t end, unsigned depth, std::string &out) {
    if (depth > nestingMax)
      return error(position, llvm::formatv("messages nest deeper than {0}", nestingMax));
    while (position < end) {
      uint64_t start = position, tag, number;
      if (!readVarint(position, end, tag) || (number = tag >> 3) == 0)
        return error(start, "a broken field tag");
      uint64_t size = 0;
      switch (tag & 7) {
      case Varint: {
        uint64_t ignored;
        if (!readVarint(position, end, ignored))
          return error(start, "a broken number");
        break;
      }
      case Fixed64:
        size = 8;
        break;
      case Fixed32:
        size = 4;
        break;
      case Bytes:
        if (!readVarint(position, end, size))
          return error(start, "a broken length");
        break;
      default:
        return error(start, llvm::formatv("unknown wire type {0}", tag & 7));
      }
      if (size > end - position)
        return error(start, llvm::formatv("a field of {0} bytes where {1} are left: the file is truncated or damaged",
                                          size, end - position));
      if ((tag & 7) != Bytes) {
        out.append(file.data() + start, position + size - start);
      } else {
        if (++fieldCount > fieldsMax)
          return error(start, llvm::formatv("more than {0} messages and strings", fieldsMax));
        if (llvm::Error failure = outlineBytes(message, number, position, size, depth, out))
          return failure;
      }
      position += size;
    }
    return llvm::Error::success();
  }

private:
  llvm::Error outlineBytes(WireMessage message, uint64_t number, uint64_t position, uint64_t size, unsigned depth,
                           std::string &out) {
    appendVarint(out, number << 3 | Bytes);
    if (message == WireMessage::Tensor && number == rawDataField) {
      char place[16];
      llvm::support::endian::write64le(place, position);
      llvm::support::endian::write64le(place + 8, size);
      appendVarint(out, sizeof(place));
      out.append(place, sizeof(place));
      return llvm::Error::success();
    }
    WireMessage inner = messageOf(message, number);
    if (inner == WireMessage::Other) {
      appendVarint(out, size);
      out.append(file.data() + position, size);
      return llvm::Error::success();
    }
    std::string content;
    if (llvm::Error failure = outline(inner, position, position + size, depth + 1, content))
      return failure;
    appendVarint(out, content.size());
    out += content;
    return llvm::Error::success();
  }

  bool readVarint(uint64_t &position, uint64_t end, uint64_t &value) {
    value = 0;
    for (unsigned shift = 0; shift < 64 && position < end; shift += 7) {
      uint8_t byte = file[position++];
      value |= uint64_t(byte & 0x7f) << shift;
      if (!(byte & 0x80))
        return true;
    }
    return false;
  }

  llvm::Error error(uint64_t position, const llvm::Twine &what) {
    return llvm::createStringError("not a valid protobuf message at byte " + llvm::Twine(position) + ": " + what);
  }

  StringRef file;
  uint64_t fieldCount = 0;
};

} // namespace

llvm::Expected<std::string> mlc::outlineOf(StringRef file, WireMessage message) {
  std::string out;
  if (llvm::Error failure = Outliner(file).outline(message, 0, file.size(), 0, out))
    return std::move(failure);
  return out;
}

std::optional<RawDataPlace> mlc::rawDataPlace(StringRef rawData) {
  if (rawData.size() != 16)
    return std::nullopt;
  return RawDataPlace{llvm::support::endian::read64le(rawData.data()),
                      llvm::support::endian::read64le(rawData.data() + 8)};
}
