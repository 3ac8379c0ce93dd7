// Opening of files: everything that touches the file system during import. Nothing outside the model's folder is ever
// opened, and only regular files are (a FIFO or a device would block or never end).
#include "compiler/Import/ModelFile.h"
#include "compiler/Import/ForeignFile.h"
#include "compiler/Import/WireFormat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/stubs/logging.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include <sys/mman.h>

using namespace mlc;
using llvm::StringRef;

static llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> mapFile(StringRef path) {
  llvm::sys::fs::file_status status;
  if (std::error_code code = llvm::sys::fs::status(path, status))
    return llvm::createStringError(code, "cannot open: " + code.message());
  if (status.type() == llvm::sys::fs::file_type::directory_file)
    return llvm::createStringError(describeForeignFile(path));
  if (status.type() != llvm::sys::fs::file_type::regular_file)
    return llvm::createStringError("is not a regular file");
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return llvm::createStringError(buffer.getError(), "cannot open: " + buffer.getError().message());
  return std::move(*buffer);
}

static bool parseMessage(StringRef bytes, google::protobuf::MessageLite &message) {
  google::protobuf::LogSilencer silencer; // it would print to stderr
  if (bytes.size() > INT_MAX)
    return false;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t *>(bytes.data()), int(bytes.size()));
  stream.SetTotalBytesLimit(INT_MAX);
  stream.SetRecursionLimit(250); // above WireFormat's limit: that one gives the message
  return message.ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage();
}

llvm::Expected<std::shared_ptr<ModelFile>> ModelFile::open(StringRef path) {
  auto buffer = mapFile(path);
  if (!buffer)
    return buffer.takeError();
  auto file = std::make_shared<ModelFile>();
  file->path = path.str();
  file->buffer = std::move(*buffer);
  if (file->bytes().empty())
    return llvm::createStringError("is empty");
  auto foreign = [&](const llvm::Twine &reason) {
    std::string kind = describeForeignFile(path);
    return llvm::createStringError(kind.empty() ? "is not an ONNX model: " + reason : llvm::Twine(kind));
  };
  auto outline = outlineOf(file->bytes());
  if (!outline)
    return foreign(llvm::toString(outline.takeError()));
  if (!parseMessage(*outline, file->modelProto))
    return outline->size() > INT_MAX ? llvm::createStringError("its graph without weights is larger than 2 GB")
                                     : foreign("protobuf cannot parse it");
  if (!file->modelProto.has_graph())
    return foreign("it has no graph");
  return file;
}

llvm::Expected<std::shared_ptr<ModelFile>> ModelFile::openTensor(StringRef path) {
  auto buffer = mapFile(path);
  if (!buffer)
    return buffer.takeError();
  auto file = std::make_shared<ModelFile>();
  file->path = path.str();
  file->buffer = std::move(*buffer);
  auto outline = outlineOf(file->bytes(), WireMessage::Tensor);
  if (!outline)
    return llvm::createStringError("is not an ONNX tensor: " + llvm::toString(outline.takeError()));
  if (!parseMessage(*outline, file->tensorProto))
    return llvm::createStringError("is not an ONNX tensor: protobuf cannot parse it");
  return file;
}

// MemoryBuffer::dontNeedIfMmap uses posix_madvise, for which glibc does nothing.
void ModelFile::releasePages() const {
  if (buffer->getBufferKind() == llvm::MemoryBuffer::MemoryBuffer_MMap)
    (void)madvise(const_cast<char *>(buffer->getBufferStart()), buffer->getBufferSize(), MADV_DONTNEED);
}

void ModelFile::releasePages(llvm::ArrayRef<char> range) const {
  auto isMapped = [&](const llvm::MemoryBuffer &file) {
    return file.getBufferKind() == llvm::MemoryBuffer::MemoryBuffer_MMap && range.begin() >= file.getBufferStart() &&
           range.end() <= file.getBufferEnd();
  };
  if (!isMapped(*buffer) && llvm::none_of(externalFiles, [&](const auto &entry) { return isMapped(*entry.second); }))
    return; // on the heap the bytes would be lost to others that share them
  uint64_t pageBytes = llvm::sys::Process::getPageSizeEstimate();
  uint64_t begin = llvm::alignTo(reinterpret_cast<uintptr_t>(range.begin()), pageBytes);
  uint64_t end = llvm::alignDown(reinterpret_cast<uintptr_t>(range.end()), pageBytes);
  if (begin < end)
    (void)madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
}

llvm::Expected<StringRef> ModelFile::rawData(const pb::TensorProto &tensor) const {
  std::optional<RawDataPlace> place = rawDataPlace(tensor.raw_data());
  if (!place || place->offset > bytes().size() || place->size > bytes().size() - place->offset)
    return llvm::createStringError("raw_data is not inside the file");
  return bytes().substr(place->offset, place->size);
}

llvm::Expected<StringRef> ModelFile::externalData(const pb::TensorProto &tensor) {
  StringRef location;
  uint64_t offset = 0, length = 0;
  bool hasLength = false;
  for (const auto &entry : tensor.external_data()) {
    StringRef key = entry.key(), value = entry.value();
    if (key == "location")
      location = value;
    else if (key == "offset" && value.getAsInteger(10, offset))
      return llvm::createStringError(llvm::formatv("external data: offset \"{0}\" is not a number", value));
    else if (key == "length" && value.getAsInteger(10, length))
      return llvm::createStringError(llvm::formatv("external data: length \"{0}\" is not a number", value));
    hasLength |= key == "length";
  }
  if (location.empty())
    return llvm::createStringError("external data: no location is given");
  auto content = mapExternal(location);
  if (!content)
    return llvm::createStringError(
        llvm::formatv("external data \"{0}\" {1}", location, llvm::toString(content.takeError())));
  if (offset > content->size() || (hasLength && length > content->size() - offset))
    return llvm::createStringError(llvm::formatv("external data \"{0}\" has {1} bytes, the model reads {2} at {3}",
                                                 location, content->size(),
                                                 hasLength ? std::to_string(length) : "from there", offset));
  return hasLength ? content->substr(offset, length) : content->substr(offset);
}

std::vector<std::string> ModelFile::externalLocations() const {
  std::vector<std::string> locations;
  for (const auto &entry : externalFiles)
    locations.push_back(entry.first().str());
  llvm::sort(locations);
  return locations;
}

llvm::Expected<StringRef> ModelFile::mapExternal(StringRef location) {
  auto known = externalFiles.find(location);
  if (known != externalFiles.end())
    return known->second->getBuffer();
  if (llvm::sys::path::is_absolute(location) || location.contains('\0') || location.contains('\\'))
    return llvm::createStringError("is not a path relative to the model");
  for (auto part = llvm::sys::path::begin(location), end = llvm::sys::path::end(location); part != end; ++part)
    if (*part == "..")
      return llvm::createStringError("leaves the model's folder");

  llvm::SmallString<256> folder(llvm::sys::path::parent_path(path)), realFolder, realFile;
  if (folder.empty())
    folder = ".";
  llvm::SmallString<256> full(folder);
  llvm::sys::path::append(full, location);
  if (std::error_code code = llvm::sys::fs::real_path(folder, realFolder))
    return llvm::createStringError(code, "cannot be opened: " + code.message());
  if (std::error_code code = llvm::sys::fs::real_path(full, realFile))
    return llvm::createStringError(code, "cannot be opened: " + code.message());
  if (!realFolder.ends_with("/"))
    realFolder += "/";
  if (!StringRef(realFile).starts_with(realFolder))
    return llvm::createStringError("is a link that leaves the model's folder");
  auto buffer = mapFile(realFile);
  if (!buffer)
    return buffer.takeError();
  return (externalFiles[location] = std::move(*buffer))->getBuffer();
}
