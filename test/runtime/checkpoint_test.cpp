// checkpoint_test.cpp: if this fails, training state is lost, or a damaged file crashes the program or half-changes it.
// Run it under AddressSanitizer and UndefinedBehaviorSanitizer as well.
#include "Check.h"
#include "Programs.h"

#include <dirent.h>
#include <stdlib.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

static std::string folder, path;

static std::string readFile() {
  std::string text;
  FILE *file = fopen(path.c_str(), "rb");
  char buffer[4096];
  while (file) {
    size_t got = fread(buffer, 1, sizeof(buffer), file);
    if (got == 0)
      break;
    text.append(buffer, got);
  }
  if (file)
    fclose(file);
  return text;
}

static void writeFile(const std::string &text) {
  FILE *file = fopen(path.c_str(), "wb");
  if (!file || fwrite(text.data(), 1, text.size(), file) != text.size())
    CHECK(!"the test can write its files");
  if (file)
    fclose(file);
}

/// A file with this header in front of `dataBytes` bytes of ones.
static std::string fileOf(const std::string &header, size_t dataBytes) {
  uint64_t length = header.size();
  return std::string((const char *)&length, 8) + header + std::string(dataBytes, 1);
}

static mlc_handle *create() {
  mlc_options options = {};
  options.threads = 1;
  mlc_handle *handle = nullptr;
  CHECK(mlc_rt_create(&stepProgram, &options, &handle) == MLC_OK);
  return handle;
}

static void *stateOf(mlc_handle *handle) {
  mlc_tensor w;
  CHECK(mlc_rt_param(handle, "w", &w) == MLC_OK);
  return w.data; // slot 0 begins the state
}

static void train(mlc_handle *handle, float gradient) {
  float x[] = {1, 1, 1}, g[6], y[2];
  for (float &value : g)
    value = gradient;
  const void *inputs[] = {x, g};
  void *outputs[] = {y};
  CHECK(mlc_rt_call(handle, 1, nullptr, inputs, outputs) == MLC_OK);
}

static const char *const bEntry = "\"b \\\"\\u000a\\u00e9\":{\"shape\":[2],\"data_offsets\":[24,28],\"dtype\":\"F16\"}";

// A restored handle continues bit for bit where the saved one stopped.
static void testRoundTrip() {
  mlc_handle *first = create(), *second = create();
  train(first, 0.25f);
  train(first, -1.f);
  CHECK(mlc_rt_save(first, path.c_str()) == MLC_OK);
  std::string text = readFile();
  CHECK(text.size() % 4 == 0 && (uint8_t)text[0] % 8 == 0);
  CHECK(text.find("{\"__metadata__\":{\"format\":\"mlc\",\"model\":\"step\"},"
                  "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                  "\"b \\\"\\u000a\xc3\xa9\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[24,28]},"
                  "\"w.momentum\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[28,52]},"
                  "\"steps\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[52,60]}}") == 8);
  train(second, 5.f);
  CHECK(memcmp(stateOf(first), stateOf(second), 256) != 0);
  CHECK(mlc_rt_load(second, path.c_str()) == MLC_OK);
  CHECK(memcmp(stateOf(first), stateOf(second), 256) == 0);
  train(first, 2.f);
  train(second, 2.f);
  CHECK(memcmp(stateOf(first), stateOf(second), 256) == 0);
  // Nothing but the checkpoint is left in the folder.
  int files = 0;
  DIR *entries = opendir(folder.c_str());
  while (dirent *entry = readdir(entries))
    files += entry->d_name[0] != '.';
  closedir(entries);
  CHECK(files == 1);
  mlc_rt_destroy(first);
  mlc_rt_destroy(second);
}

// Other writers order, space and escape differently.
static void testForeignFile() {
  mlc_handle *handle = create();
  std::string header =
      std::string("{ \"steps\" :\t{\"data_offsets\" : [0, 8],\n\"dtype\":\"F32\", \"shape\":[ 2 ]}, ") +
      "\"\\u0077.momentum\":{\"shape\":[2,3],\"dtype\":\"F32\",\"data_offsets\":[28,52]},"
      "\"__metadata__\":{},\"w\":{\"shape\":[2,3],\"dtype\":\"F32\",\"data_offsets\":[52,76]},";
  std::string b = bEntry;
  b.replace(b.find("[24,28]"), 7, "[8,12]");
  header += b + "}  ";
  std::string text = fileOf(header, 76);
  writeFile(text);
  // 16 bytes between b and w.momentum belong to nobody.
  CHECK_ERROR(mlc_rt_load(handle, path.c_str()), MLC_CORRUPT_DATA, handle,
              (path + ": the tensors overlap, or leave gaps in the 76 bytes of data").c_str());
  header.replace(header.find("[28,52]"), 7, "[12,36]");
  header.replace(header.find("[52,76]"), 7, "[36,60]");
  writeFile(fileOf(header, 60));
  CHECK(mlc_rt_load(handle, path.c_str()) == MLC_OK);
  CHECK(mlc_rt_last_error(handle)[0] == 0);
  mlc_rt_destroy(handle);
}

static void testMessages() {
  mlc_handle *handle = create();
  const std::string w = "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}";
  const std::string b = bEntry;
  const std::string m = "\"w.momentum\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[28,52]}";
  const std::string s = "\"steps\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[52,60]}";
  std::string halfF32 = w;
  halfF32.replace(halfF32.find("F32"), 3, "F64");
  std::string transposed = w;
  transposed.replace(transposed.find("2,3"), 3, "3,2");
  std::string flat = w;
  flat.replace(flat.find("2,3"), 3, "");
  std::string outside = s;
  outside.replace(outside.find("52,60"), 5, "56,64");
  std::string backwards = s;
  backwards.replace(backwards.find("52,60"), 5, "60,52");
  std::string overlapping = s;
  overlapping.replace(overlapping.find("52,60"), 5, "44,52");
  struct {
    std::string header, message;
  } const cases[] = {
      {"{" + w + "," + b + "," + m + "," + s + "}", ""},
      {"{" + w + "," + b + "," + m + "}", "tensor \"steps\" is missing"},
      {"{}", "tensor \"w\" and 3 more are missing"},
      {"{" + w + ",\"v\":{}}", "tensor \"v\" is not part of this model"},
      {"{" + w + "," + w + "}", "tensor \"w\" occurs twice"},
      {"{" + halfF32 + "}", "tensor \"w\": expected F32[2,3], found F64[2,3]"},
      {"{" + transposed + "}", "tensor \"w\": expected F32[2,3], found F32[3,2]"},
      {"{" + flat + "}", "tensor \"w\": expected F32[2,3], found F32[]"},
      {"{" + outside + "}", "tensor \"steps\": data_offsets [56, 64] are wrong: 8 bytes expected, of 60 in the file"},
      {"{" + backwards + "}", "tensor \"steps\": data_offsets [60, 52] are wrong: 8 bytes expected, of 60 in the file"},
      {"{" + w + "," + b + "," + m + "," + overlapping + "}",
       "the tensors overlap, or leave gaps in the 60 bytes of data"},
      {"", "the header does not begin with '{': this is no safetensors file"},
      {" {}", "the header does not begin with '{': this is no safetensors file"},
      {"{} x", "text follows the JSON object at byte 3 of the header"},
      {"{\"w\"", "expected ':' at byte 4 of the header"},
      {"{\"w", "unterminated string in the header"},
      {"{\"w\\x\":", "unknown escape at byte 4 of the header"},
      {"{\"w\\u00g0\":", "malformed \\u escape at byte 7 of the header"},
      {"{\"\\ud800\":", "unpaired surrogate at byte 8 of the header"},
      {"{\"\\ud800\\u0041\":", "unpaired surrogate at byte 14 of the header"},
      {"{\"\\u0000\":", "invalid character \\u0000 at byte 8 of the header"},
      {std::string("{\"w\n\"") + ":", "control character in a string at byte 3 of the header"},
      {"{\"w\":{\"shape\":[-1]", "expected a non-negative integer at byte 15 of the header"},
      {"{\"w\":{\"shape\":[01]", "expected a non-negative integer at byte 15 of the header"},
      {"{\"w\":{\"shape\":[9223372036854775808]", "the number at byte 15 of the header is too large"},
      {"{\"w\":{\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "a tensor has more than 16 dimensions"},
      {"{\"w\":{\"shape\":[2,3]}}", "dtype, shape or data_offsets is missing before byte 20 of the header"},
      {"{\"w\":{\"shape\":[2],\"shape\":[2]}}", "duplicate field \"shape\" in the header"},
      {"{\"w\":{\"size\":2}}", "unknown field \"size\" in the header"},
      {"{\"__metadata__\":{},\"__metadata__\":{}}", "__metadata__ occurs twice"},
      {"{\"__metadata__\":{\"a\":1}}", "expected '\"' at byte 21 of the header"},
  };
  for (const auto &test : cases) {
    writeFile(fileOf(test.header, 60));
    mlc_status status = mlc_rt_load(handle, path.c_str());
    CHECK(status == (test.message.empty() ? MLC_OK : MLC_CORRUPT_DATA));
    std::string expected = test.message.empty() ? "" : path + ": " + test.message;
    checkThat(expected == mlc_rt_last_error(handle), expected.c_str(), mlc_rt_last_error(handle), __FILE__, __LINE__);
  }
  writeFile("1234567");
  CHECK_ERROR(mlc_rt_load(handle, path.c_str()), MLC_CORRUPT_DATA, handle,
              (path + ": the file has only 7 bytes").c_str());
  writeFile(std::string("\x05\0\0\0\0\0\0\0{}  ", 12));
  CHECK_ERROR(mlc_rt_load(handle, path.c_str()), MLC_CORRUPT_DATA, handle,
              (path + ": the header's length of 5 bytes is impossible in a file of 12 bytes").c_str());
  mlc_rt_destroy(handle);
}

static void testFileErrors() {
  mlc_handle *handle = create();
  std::string absent = folder + "/absent/file";
  CHECK_ERROR(mlc_rt_load(handle, absent.c_str()), MLC_IO_ERROR, handle,
              (absent + ": cannot open: No such file or directory").c_str());
  CHECK(mlc_rt_save(handle, absent.c_str()) == MLC_IO_ERROR);
  CHECK(strstr(mlc_rt_last_error(handle), ".tmp: cannot create the file: No such file or directory") != nullptr);
  CHECK_ERROR(mlc_rt_load(handle, folder.c_str()), MLC_IO_ERROR, handle,
              (folder + ": cannot open: not a regular file").c_str());
  std::string fifo = folder + "/fifo";
  CHECK(mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(mlc_rt_load(handle, fifo.c_str()) == MLC_IO_ERROR);
  unlink(fifo.c_str());
  CHECK(mlc_rt_save(handle, folder.c_str()) == MLC_IO_ERROR);
  CHECK_ERROR(mlc_rt_load(handle, nullptr), MLC_INVALID_ARGUMENT, handle, "load: the path is null");
  CHECK_ERROR(mlc_rt_save(handle, nullptr), MLC_INVALID_ARGUMENT, handle, "save: the path is null");
  CHECK(mlc_rt_save(nullptr, "x") == MLC_INVALID_ARGUMENT && mlc_rt_load(nullptr, "x") == MLC_INVALID_ARGUMENT);
  mlc_rt_destroy(handle);
  CHECK(mlc_rt_create(&sumProgram, nullptr, &handle) == MLC_OK);
  CHECK_ERROR(mlc_rt_save(handle, path.c_str()), MLC_INVALID_ARGUMENT, handle,
              "save: the library has no parameters (it was compiled without --train)");
  mlc_rt_destroy(handle);
}

// Every prefix of a good file is refused and changes nothing.
static void testTruncated() {
  mlc_handle *handle = create();
  CHECK(mlc_rt_save(handle, path.c_str()) == MLC_OK);
  std::string text = readFile();
  train(handle, 1.f);
  char before[256];
  memcpy(before, stateOf(handle), 256);
  for (size_t length = 0; length < text.size(); ++length) {
    writeFile(text.substr(0, length));
    if (mlc_rt_load(handle, path.c_str()) != MLC_CORRUPT_DATA)
      CHECK(!"a prefix was accepted");
  }
  writeFile(text + "x");
  CHECK(mlc_rt_load(handle, path.c_str()) == MLC_CORRUPT_DATA);
  CHECK(memcmp(before, stateOf(handle), 256) == 0);
  mlc_rt_destroy(handle);
}

// Damaged bits: refused with the state unchanged, or loaded (a flip inside the data or the metadata); never a crash.
static void testBitFlips() {
  mlc_handle *handle = create();
  CHECK(mlc_rt_save(handle, path.c_str()) == MLC_OK);
  const std::string text = readFile();
  void *state = stateOf(handle);
  char before[256];
  memcpy(before, state, 256);
  uint64_t random = 88172645463325252u;
  auto next = [&] {
    random ^= random << 13;
    random ^= random >> 7;
    return random ^= random << 17;
  };
  bool good = true;
  int refused = 0, loaded = 0;
  for (size_t round = 0; round < 8 * text.size() + 3000; ++round) {
    std::string damaged = text;
    if (round < 8 * text.size())
      damaged[round / 8] = (char)(damaged[round / 8] ^ 1 << round % 8);
    else
      for (uint64_t flips = 1 + next() % 8; flips; --flips)
        damaged[next() % damaged.size()] = (char)next();
    writeFile(damaged);
    mlc_status status = mlc_rt_load(handle, path.c_str());
    if (status == MLC_OK) {
      ++loaded;
      memcpy(state, before, 256);
      continue;
    }
    ++refused;
    good = good && status == MLC_CORRUPT_DATA && mlc_rt_last_error(handle)[0] && memcmp(before, state, 256) == 0;
  }
  CHECK(good && refused > 1000 && loaded > 60 * 8);
  mlc_rt_destroy(handle);
}

int main() {
  char name[] = "/tmp/mlc-checkpoint-XXXXXX";
  if (!mkdtemp(name))
    return 1;
  folder = name;
  path = folder + "/state.safetensors";
  testRoundTrip();
  testForeignFile();
  testMessages();
  testFileErrors();
  testTruncated();
  testBitFlips();
  unlink(path.c_str());
  CHECK(rmdir(name) == 0);
  return finish();
}
