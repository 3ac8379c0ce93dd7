// See TensorFile.h. The .npy header is a Python dictionary literal with exactly three keys; the reader below takes what NumPy
// writes (format versions 1 to 3) and nothing else.
#include "TensorFile.h"
#include "compiler/Emit/Files.h"
#include "compiler/Import/TensorData.h"
#include "dialects/core/ElementTypes.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace mlc;
using llvm::StringRef;

/// The type's code in .npy files, without the byte order; empty for what mlc_dtype does not have.
static StringRef npyCode(int32_t dtype) {
  switch (dtype) {
#define MLC_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, CPP, FIELD, NPY, ...)                                          \
  case MLC_##NAME:                                                                                                     \
    return NPY;
#include "mlc/types.def"
  default:
    return "";
  }
}

static int32_t dtypeOfNpy(StringRef code) {
#define MLC_TYPE(NAME, CODE, TEXT, ONNX, BITS, KIND, C, CPP, FIELD, NPY, ...)                                          \
  if (code == NPY)                                                                                                     \
    return MLC_##NAME;
#include "mlc/types.def"
  return 0;
}

std::string mlc::dtypeName(int32_t dtype) {
  return dataTypeBytes(dtype) ? dataTypeName(dtype).str() : "type " + std::to_string(dtype); // the numbers are ONNX's
}

std::string mlc::shapeText(const std::vector<int64_t> &shape) {
  return "[" + llvm::join(llvm::map_range(shape, [](int64_t size) { return std::to_string(size); }), ",") + "]";
}

llvm::Expected<HostTensor> HostTensor::allocate(int32_t dtype, std::vector<int64_t> shape) {
  if (shape.size() > MLC_RANK_MAX)
    return llvm::createStringError(llvm::formatv("rank {0} is larger than {1}", shape.size(), MLC_RANK_MAX));
  if (llvm::is_contained(shape, INT64_MIN))
    return llvm::createStringError("a dimension is negative");
  auto bytes = checkedByteCount(shape, dataTypeBytes(dtype));
  if (!bytes)
    return bytes.takeError();
  HostTensor tensor;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  void *memory = nullptr;
  if (*bytes > (int64_t(1) << 46) || posix_memalign(&memory, 64, std::max<int64_t>(*bytes, 64)) != 0)
    return llvm::createStringError(llvm::formatv("no memory for {0} ({1} bytes)", tensor.type(), *bytes));
  memset(memory, 0, *bytes);
  tensor.data.reset(static_cast<char *>(memory));
  return std::move(tensor);
}

int64_t HostTensor::elementCount() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

size_t HostTensor::bytes() const { return elementCount() * dataTypeBytes(dtype); }

std::string HostTensor::type() const { return dtypeName(dtype) + shapeText(shape); }

mlc_tensor HostTensor::view() const {
  mlc_tensor view{data.get(), dtype, int32_t(shape.size()), {}};
  llvm::copy(shape, view.shape);
  return view;
}

namespace {

struct NpyHeader {
  int32_t dtype;
  std::vector<int64_t> shape;
};

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
class NpyHeaderReader {
public:
  explicit NpyHeaderReader(StringRef text) : text(text) {}

  llvm::Expected<NpyHeader> read() {
    NpyHeader header{0, {}};
    bool hasDescr = false, hasOrder = false, hasShape = false;
    if (!take("{"))
      return broken("does not start with \"{\"");
    while (!take("}")) {
      StringRef key = string();
      if (key.empty() || !take(":"))
        return broken("a key is expected");
      if (key == "descr" && !hasDescr) {
        StringRef descr = string();
        header.dtype = dtypeOf(descr);
        if (!header.dtype)
          return llvm::createStringError("element type \"" + descr + "\" is not supported");
        hasDescr = true;
      } else if (key == "fortran_order" && !hasOrder) {
        if (take("True"))
          return llvm::createStringError("is in Fortran order; save it with numpy.ascontiguousarray");
        if (!take("False"))
          return broken("fortran_order is neither True nor False");
        hasOrder = true;
      } else if (key == "shape" && !hasShape) {
        if (!readShape(header.shape))
          return broken("shape is not a tuple of sizes");
        hasShape = true;
      } else {
        return broken("unexpected key \"" + key + "\"");
      }
      take(",");
    }
    text = text.ltrim();
    if (!hasDescr || !hasOrder || !hasShape || !text.empty())
      return broken("it is incomplete, or something follows it");
    return header;
  }

private:
  bool take(StringRef token) {
    text = text.ltrim();
    return text.consume_front(token);
  }

  StringRef string() {
    text = text.ltrim();
    if (text.empty() || (text.front() != '\'' && text.front() != '"'))
      return "";
    size_t end = text.find(text.front(), 1);
    if (end == StringRef::npos)
      return "";
    StringRef content = text.substr(1, end - 1);
    text = text.substr(end + 1);
    return content;
  }

  bool readShape(std::vector<int64_t> &shape) {
    if (!take("("))
      return false;
    while (!take(")")) {
      int64_t size;
      text = text.ltrim();
      if (text.consumeInteger(10, size) || size < 0 || shape.size() == 64)
        return false;
      text.consume_front("L"); // Python 2
      shape.push_back(size);
      if (!take(",") && !text.ltrim().starts_with(")"))
        return false;
    }
    return true;
  }

  static int32_t dtypeOf(StringRef descr) {
    if (descr.size() != 3 || !StringRef("<|=").contains(descr[0]))
      return 0;
    int32_t dtype = dtypeOfNpy(descr.drop_front());
    return descr[0] != '|' || dataTypeBytes(dtype) == 1 || descr[1] == 'V' ? dtype : 0; // only bytes have no order
  }

  llvm::Error broken(const llvm::Twine &what) { return llvm::createStringError("its header is malformed: " + what); }

  StringRef text;
};

llvm::Expected<HostTensor> readNpy(StringRef bytes) {
  if (!bytes.consume_front("\x93NUMPY") || bytes.size() < 4)
    return llvm::createStringError("is not a .npy file");
  unsigned version = uint8_t(bytes[0]);
  if (version < 1 || version > 3)
    return llvm::createStringError(llvm::formatv("has .npy version {0}, known are 1 to 3", version));
  size_t lengthBytes = version == 1 ? 2 : 4;
  if (bytes.size() < 2 + lengthBytes)
    return llvm::createStringError("is truncated in its header");
  size_t headerBytes = version == 1 ? llvm::support::endian::read16le(bytes.data() + 2)
                                    : llvm::support::endian::read32le(bytes.data() + 2);
  bytes = bytes.drop_front(2 + lengthBytes);
  if (headerBytes > bytes.size())
    return llvm::createStringError("is truncated in its header");
  auto header = NpyHeaderReader(bytes.take_front(headerBytes)).read();
  if (!header)
    return header.takeError();
  bytes = bytes.drop_front(headerBytes);
  if (llvm::is_contained(header->shape, INT64_MIN))
    return llvm::createStringError("a dimension is negative");
  auto expected = checkedByteCount(header->shape, dataTypeBytes(header->dtype));
  if (!expected)
    return expected.takeError();
  if (int64_t(bytes.size()) != *expected)
    return llvm::createStringError(llvm::formatv("has {0} bytes of data, {1}{2} needs {3}", bytes.size(),
                                                 dtypeName(header->dtype), shapeText(header->shape), *expected));
  auto tensor = HostTensor::allocate(header->dtype, header->shape);
  if (tensor)
    memcpy(tensor->data.get(), bytes.data(), bytes.size());
  return tensor;
}

llvm::Expected<HostTensor> readPb(StringRef path) {
  auto file = ModelFile::openTensor(path);
  if (!file)
    return file.takeError();
  auto data = readTensor(**file, (*file)->tensor());
  if (!data)
    return data.takeError();
  auto tensor = HostTensor::allocate(data->dataType, std::vector<int64_t>(data->shape.begin(), data->shape.end()));
  if (tensor)
    memcpy(tensor->data.get(), data->bytes.data(), data->bytes.size());
  return tensor;
}

llvm::Expected<HostTensor> readAny(StringRef path) {
  StringRef suffix = llvm::sys::path::extension(path);
  if (suffix == ".pb")
    return readPb(path);
  if (suffix != ".npy")
    return llvm::createStringError("ends with neither .npy nor .pb");
  llvm::sys::fs::file_status status;
  if (std::error_code code = llvm::sys::fs::status(path, status))
    return llvm::createStringError("cannot be opened: " + code.message());
  if (status.type() != llvm::sys::fs::file_type::regular_file)
    return llvm::createStringError("is not a regular file");
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return llvm::createStringError("cannot be opened: " + buffer.getError().message());
  return readNpy((*buffer)->getBuffer());
}

} // namespace

llvm::Expected<HostTensor> mlc::readTensorFile(StringRef path) {
  auto tensor = readAny(path);
  if (!tensor)
    return llvm::createStringError(path + ": " + llvm::toString(tensor.takeError()));
  if (tensor->dtype == MLC_BOOL)
    for (char &element : llvm::MutableArrayRef(tensor->data.get(), tensor->bytes()))
      element = element != 0;
  return tensor;
}

llvm::Error mlc::writeTensorFile(StringRef path, const HostTensor &tensor) {
  std::string shape;
  for (int64_t size : tensor.shape)
    shape += std::to_string(size) + ", ";
  std::string header = llvm::formatv("{{'descr': '{0}{1}', 'fortran_order': False, 'shape': ({2}), }",
                                     dataTypeBytes(tensor.dtype) == 1 ? '|' : '<', npyCode(tensor.dtype),
                                     StringRef(shape).rtrim(tensor.shape.size() == 1 ? " " : ", "));
  constexpr size_t preludeBytes = 10; // magic, version, length of the header
  header.append(64 - (preludeBytes + header.size() + 1) % 64, ' ');
  header += '\n';
  return writeFile(path, [&](llvm::raw_pwrite_stream &os) {
    os << "\x93NUMPY" << '\x01' << '\0';
    os << char(header.size() & 0xff) << char(header.size() >> 8) << header;
    os.write(tensor.data.get(), tensor.bytes());
    return llvm::Error::success();
  });
}
