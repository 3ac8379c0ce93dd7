// See ForeignFile.h. The first bytes decide, for names are often wrong; the name only where formats have no mark.
#include "compiler/Import/ForeignFile.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using llvm::StringRef;

static const char *const kPyTorch = "is saved by PyTorch; load it there and write an ONNX model with torch.onnx.export";
static const char *const kKeras =
    "is a Keras model; write an ONNX model with model.export(FILE, format=\"onnx\") or tf2onnx";

static std::string describeFolder(StringRef path) {
  if (llvm::sys::fs::exists(path + "/saved_model.pb"))
    return "is a TensorFlow SavedModel; convert it with tf2onnx (python -m tf2onnx.convert --saved-model FOLDER)";
  return "is a folder; give the .onnx file in it";
}

static std::string describeElf(StringRef begin) {
  if (begin.size() < 20)
    return "is a broken ELF file";
  unsigned machine = llvm::support::endian::read16le(begin.data() + 18);
  std::string name = machine == llvm::ELF::EM_X86_64    ? " for x86_64"
                     : machine == llvm::ELF::EM_AARCH64 ? " for aarch64"
                                                        : " for another machine";
  return "is a compiled library or program" + name +
         "; mlc info, run and bench take libraries of mlc, the other commands models";
}

// The names of an archive's first files stand near its begin.
static std::string describeZip(StringRef begin, StringRef extension) {
  if (begin.contains("/data.pkl") || begin.contains("/constants.pkl") || begin.contains("/byteorder"))
    return kPyTorch;
  if (extension == ".keras" || begin.contains("metadata.json"))
    return kKeras;
  if (begin.contains(".npy"))
    return "is a NumPy archive (.npz) of tensors, not a model";
  return "is a zip archive; unpack it first";
}

static std::string describeByName(StringRef path, StringRef extension) {
  if (llvm::sys::path::filename(path) == "saved_model.pb" || extension == ".pb")
    return "has no ONNX graph; if it is a TensorFlow model (SavedModel or frozen graph), convert it with tf2onnx "
           "(python -m "
           "tf2onnx.convert); a tensor belongs to --input";
  if (extension == ".pt" || extension == ".pth" || extension == ".ckpt")
    return kPyTorch;
  if (extension == ".mlir")
    return "is MLIR text; mlc reads ONNX models only";
  return "";
}

std::string mlc::describeForeignFile(StringRef path) {
  if (llvm::sys::fs::is_directory(path))
    return describeFolder(path);
  constexpr size_t bytesMax = 4096;
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return "";
  StringRef begin = (*buffer)->getBuffer().take_front(bytesMax), text = begin.ltrim();
  StringRef extension = llvm::sys::path::extension(path);
  if (begin.starts_with("\x7f"
                        "ELF"))
    return describeElf(begin);
  if (begin.starts_with("!<arch>\n"))
    return "is a static library; mlc info takes libraries of mlc, the other commands models";
  if (begin.starts_with("PK\x03\x04"))
    return describeZip(begin, extension);
  if (begin.starts_with("\x80\x02") || begin.starts_with("\x80\x04"))
    return "is a Python pickle, as PyTorch wrote before 1.6; load it there and write an ONNX model with "
           "torch.onnx.export";
  if (begin.substr(4).starts_with("TFL3"))
    return "is a TensorFlow Lite model; convert it with tf2onnx (python -m tf2onnx.convert --tflite FILE)";
  if (begin.substr(4).starts_with("ORTM"))
    return "is in ONNX Runtime's own format; give the ONNX model that it was made of";
  if (begin.starts_with("\x89HDF\r\n\x1a\n"))
    return extension == ".h5" || extension == ".keras" || begin.contains("keras") ? kKeras
                                                                                  : "is an HDF5 file, not a model";
  if (begin.starts_with("\x93NUMPY"))
    return "is a NumPy array (.npy), not a model; tensors belong to --input";
  if (begin.starts_with("GGUF"))
    return "holds weights for llama.cpp (GGUF) without a graph; export the model to ONNX where it was trained";
  if (begin.starts_with("\x93MLCW"))
    return "holds weights of a library of mlc; it belongs to --weights";
  if (begin.size() > 8 && begin[8] == '{' && llvm::support::endian::read64le(begin.data()) < (*buffer)->getBufferSize())
    return "holds weights (safetensors) without a graph; export the model to ONNX where it was trained";
  if (text.starts_with("version https://git-lfs.github.com"))
    return "is a pointer of Git LFS to the model; fetch it with git lfs pull";
  if (text.starts_with_insensitive("<!doctype") || text.starts_with_insensitive("<html"))
    return "is a web page; the download went wrong";
  if (begin.starts_with("ML\xefR") || text.starts_with("module ") || text.starts_with("module{") ||
      text.starts_with("func.func") || text.starts_with("builtin.module"))
    return "is MLIR; mlc reads ONNX models only";
  if (begin.starts_with("\x1f\x8b") ||
      begin.starts_with("\xfd"
                        "7zXZ") ||
      begin.starts_with("\x28\xb5\x2f\xfd"))
    return "is compressed; unpack it first";
  if (text.starts_with("{"))
    return "is JSON, not a model";
  return describeByName(path, extension);
}
