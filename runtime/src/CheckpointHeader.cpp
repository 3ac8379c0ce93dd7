// CheckpointHeader.cpp: the JSON of a safetensors file. The reader is a strict parser of exactly this schema, because a
// checkpoint may come from anywhere: it reads no byte outside the header, recurses nowhere and allocates nothing.
#include "Checkpoint.h"

#include "Element.h"
#include "Parameters.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace mlc {

namespace {

/// Appends to a buffer, or only counts if there is none.
class Writer {
public:
  explicit Writer(char *to) : to(to) {}

  void put(char c) {
    if (to)
      to[count] = c;
    ++count;
  }
  void text(const char *s) {
    while (*s)
      put(*s++);
  }
  void number(int64_t value) {
    char digits[24];
    snprintf(digits, sizeof(digits), "%lld", (long long)value);
    text(digits);
  }
  void string(const char *s) {
    put('"');
    for (; *s; ++s) {
      unsigned char c = (unsigned char)*s;
      if (c == '"' || c == '\\') {
        put('\\');
        put((char)c);
      } else if (c < 0x20) {
        text("\\u00");
        put("0123456789abcdef"[c >> 4]);
        put("0123456789abcdef"[c & 15]);
      } else {
        put((char)c);
      }
    }
    put('"');
  }
  size_t bytes() const { return count; }

private:
  char *to;
  size_t count = 0;
};

/// One tensor of the header.
struct Entry {
  const char *dtype;
  int32_t rank;
  int64_t shape[MLC_RANK_MAX];
  int64_t begin, end;
};

class Reader {
public:
  Reader(mlc_handle *handle, const char *path, char *header, size_t bytes)
      : handle(handle), path(path), begin(header), at(header), end(header + bytes) {}

  mlc_status read(const CheckpointLayout &layout);

private:
  [[gnu::format(printf, 2, 3)]] bool error(const char *format, ...);
  void skipSpace();
  bool expect(char c);
  bool accept(char c);
  bool hex4(uint32_t *code);
  bool string(char **text);
  bool number(int64_t *value);
  bool metadata();
  bool entry(Entry *result);
  bool entryField(Entry *result, uint32_t *seen);
  bool tensor(const char *name, const CheckpointLayout &layout);
  bool findSlot(const char *name, int32_t *index);
  bool coversData(const CheckpointLayout &layout);

  mlc_handle *handle;
  const char *path;
  char *begin, *at, *end;
  int32_t nextSlot = 0; // files list the slots in our order, or nearly so
};

} // namespace

bool Reader::error(const char *format, ...) {
  char reason[600];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof(reason), format, arguments);
  va_end(arguments);
  fail(handle, MLC_CORRUPT_DATA, "%s: %s", path, reason);
  return false;
}

void Reader::skipSpace() {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
    ++at;
}

bool Reader::accept(char c) {
  skipSpace();
  if (at == end || *at != c)
    return false;
  ++at;
  return true;
}

bool Reader::expect(char c) {
  if (accept(c))
    return true;
  return error("expected '%c' at byte %lld of the header", c, (long long)(at - begin));
}

bool Reader::hex4(uint32_t *code) {
  *code = 0;
  for (int32_t digit = 0; digit < 4; ++digit, ++at) {
    char c = at < end ? *at : 0;
    uint32_t value = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 16;
    if (value == 16)
      return error("malformed \\u escape at byte %lld of the header", (long long)(at - begin));
    *code = *code << 4 | value;
  }
  return true;
}

/// Decodes in place: a decoded character is never longer than its escape, so the terminating zero fits as well.
bool Reader::string(char **text) {
  if (!expect('"'))
    return false;
  char *to = *text = at;
  for (;;) {
    if (at == end)
      return error("unterminated string in the header");
    unsigned char c = (unsigned char)*at++;
    if (c == '"')
      break;
    if (c < 0x20)
      return error("control character in a string at byte %lld of the header", (long long)(at - 1 - begin));
    if (c != '\\') {
      *to++ = (char)c;
      continue;
    }
    c = at < end ? (unsigned char)*at++ : 0;
    const char *escape = c ? strchr("\"\"\\\\//b\bf\fn\nr\rt\t", c) : nullptr;
    if (c != 'u') {
      // The list holds pairs of escape letter and character; no character is another pair's letter.
      if (!escape || c < 0x20)
        return error("unknown escape at byte %lld of the header", (long long)(at - 1 - begin));
      *to++ = escape[1];
      continue;
    }
    uint32_t code, low;
    if (!hex4(&code))
      return false;
    if (code >= 0xd800 && code < 0xdc00) {
      if (end - at < 2 || at[0] != '\\' || at[1] != 'u')
        return error("unpaired surrogate at byte %lld of the header", (long long)(at - begin));
      at += 2;
      if (!hex4(&low))
        return false;
      if (low < 0xdc00 || low >= 0xe000)
        return error("unpaired surrogate at byte %lld of the header", (long long)(at - begin));
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code == 0 || (code >= 0xdc00 && code < 0xe000)) {
      return error("invalid character \\u%04x at byte %lld of the header", code, (long long)(at - begin));
    }
    if (code < 0x80) {
      *to++ = (char)code;
    } else if (code < 0x800) {
      *to++ = (char)(0xc0 | code >> 6);
      *to++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
      *to++ = (char)(0xe0 | code >> 12);
      *to++ = (char)(0x80 | (code >> 6 & 63));
      *to++ = (char)(0x80 | (code & 63));
    } else {
      *to++ = (char)(0xf0 | code >> 18);
      *to++ = (char)(0x80 | (code >> 12 & 63));
      *to++ = (char)(0x80 | (code >> 6 & 63));
      *to++ = (char)(0x80 | (code & 63));
    }
  }
  *to = 0;
  return true;
}

bool Reader::number(int64_t *value) {
  skipSpace();
  char *first = at;
  *value = 0;
  for (; at < end && *at >= '0' && *at <= '9'; ++at)
    if (__builtin_mul_overflow(*value, (int64_t)10, value) ||
        __builtin_add_overflow(*value, (int64_t)(*at - '0'), value))
      return error("the number at byte %lld of the header is too large", (long long)(first - begin));
  if (at == first || (*first == '0' && at - first > 1))
    return error("expected a non-negative integer at byte %lld of the header", (long long)(first - begin));
  return true;
}

/// The free-form strings under __metadata__, which say nothing about the tensors.
bool Reader::metadata() {
  char *ignored;
  if (!expect('{'))
    return false;
  if (accept('}'))
    return true;
  do
    if (!string(&ignored) || !expect(':') || !string(&ignored))
      return false;
  while (accept(','));
  return expect('}');
}

bool Reader::entryField(Entry *result, uint32_t *seen) {
  char *key;
  if (!string(&key) || !expect(':'))
    return false;
  const char *const keys[] = {"dtype", "shape", "data_offsets"};
  uint32_t field = 0;
  while (field < 3 && strcmp(key, keys[field]) != 0)
    ++field;
  if (field == 3)
    return error("unknown field \"%.100s\" in the header", key);
  if (*seen & 1u << field)
    return error("duplicate field \"%s\" in the header", key);
  *seen |= 1u << field;
  if (field == 0) {
    char *dtype;
    if (!string(&dtype))
      return false;
    result->dtype = dtype;
    return true;
  }
  if (!expect('['))
    return false;
  if (field == 2)
    return number(&result->begin) && expect(',') && number(&result->end) && expect(']');
  result->rank = 0;
  if (accept(']'))
    return true;
  do {
    if (result->rank == MLC_RANK_MAX)
      return error("a tensor has more than %d dimensions", MLC_RANK_MAX);
    if (!number(&result->shape[result->rank++]))
      return false;
  } while (accept(','));
  return expect(']');
}

bool Reader::entry(Entry *result) {
  uint32_t seen = 0;
  if (!expect('{'))
    return false;
  do
    if (!entryField(result, &seen))
      return false;
  while (accept(','));
  if (!expect('}'))
    return false;
  return seen == 7 ||
         error("dtype, shape or data_offsets is missing before byte %lld of the header", (long long)(at - begin));
}

bool Reader::findSlot(const char *name, int32_t *index) {
  const mlc_program *program = handle->program;
  for (int32_t step = 0; step < program->state_slot_count; ++step) {
    int32_t candidate = (nextSlot + step) % program->state_slot_count;
    if (strcmp(program->state_slots[candidate].name, name) == 0) {
      *index = candidate;
      nextSlot = candidate + 1;
      return true;
    }
  }
  return error("tensor \"%s\" is not part of this model", name);
}

static void formatTensor(char *to, size_t bytes, const char *dtype, int32_t rank, const int64_t *shape) {
  size_t used = (size_t)snprintf(to, bytes, "%.8s[", dtype);
  for (int32_t axis = 0; axis < rank && used < bytes; ++axis)
    used += (size_t)snprintf(to + used, bytes - used, "%s%lld", axis ? "," : "", (long long)shape[axis]);
  if (used < bytes)
    snprintf(to + used, bytes - used, "]");
}

/// Reads one tensor's entry and compares it with the slot of the same name.
bool Reader::tensor(const char *name, const CheckpointLayout &layout) {
  int32_t index;
  Entry found;
  if (!findSlot(name, &index) || !entry(&found))
    return false;
  if (layout.begins[index] >= 0)
    return error("tensor \"%s\" occurs twice", name);
  mlc_tensor slot = describeSlot(handle->program, index);
  const char *dtype = elementOf(slot.dtype).safetensorsName;
  if (strcmp(found.dtype, dtype) != 0 || found.rank != slot.rank ||
      memcmp(found.shape, slot.shape, sizeof(int64_t) * (size_t)slot.rank) != 0) {
    char expectedText[200], foundText[200];
    formatTensor(expectedText, sizeof(expectedText), dtype, slot.rank, slot.shape);
    formatTensor(foundText, sizeof(foundText), found.dtype, found.rank, found.shape);
    return error("tensor \"%s\": expected %s, found %s", name, expectedText, foundText);
  }
  int64_t bytes = handle->program->state_slots[index].bytes;
  if (found.begin > found.end || found.end > layout.dataBytes || found.end - found.begin != bytes)
    return error("tensor \"%s\": data_offsets [%lld, %lld] are wrong: %lld bytes expected, of %lld in the file", name,
                 (long long)found.begin, (long long)found.end, (long long)bytes, (long long)layout.dataBytes);
  layout.begins[index] = found.begin;
  return true;
}

/// Every byte after the header belongs to exactly one tensor: walk from tensor to tensor in the order of their offsets.
bool Reader::coversData(const CheckpointLayout &layout) {
  const mlc_program *program = handle->program;
  int64_t position = 0;
  int32_t step = 0;
  for (int32_t index = 0; position < layout.dataBytes && step < program->state_slot_count; ++step) {
    if (program->state_slots[index].bytes > 0 && layout.begins[index] == position) {
      position += program->state_slots[index].bytes;
      step = -1;
    }
    index = (index + 1) % program->state_slot_count;
  }
  int64_t total = 0;
  for (int32_t index = 0; index < program->state_slot_count; ++index)
    total += program->state_slots[index].bytes;
  return (position == layout.dataBytes && total == position) ||
         error("the tensors overlap, or leave gaps in the %lld bytes of data", (long long)layout.dataBytes);
}

mlc_status Reader::read(const CheckpointLayout &layout) {
  const mlc_program *program = handle->program;
  bool hasMetadata = false;
  // The format wants '{' as the very first byte and allows space only after the object.
  if (at == end || *at != '{') {
    error("the header does not begin with '{': this is no safetensors file");
    return MLC_CORRUPT_DATA;
  }
  ++at;
  if (!accept('}')) {
    do {
      char *name;
      if (!string(&name) || !expect(':'))
        return MLC_CORRUPT_DATA;
      if (strcmp(name, "__metadata__") == 0) {
        if (hasMetadata) {
          error("__metadata__ occurs twice");
          return MLC_CORRUPT_DATA;
        }
        hasMetadata = true;
        if (!metadata())
          return MLC_CORRUPT_DATA;
      } else if (!tensor(name, layout)) {
        return MLC_CORRUPT_DATA;
      }
    } while (accept(','));
    if (!expect('}'))
      return MLC_CORRUPT_DATA;
  }
  skipSpace();
  if (at != end) {
    error("text follows the JSON object at byte %lld of the header", (long long)(at - begin));
    return MLC_CORRUPT_DATA;
  }
  const char *missing = nullptr;
  int32_t missingCount = 0;
  for (int32_t index = program->state_slot_count; index-- > 0;) {
    if (layout.begins[index] >= 0)
      continue;
    missing = program->state_slots[index].name;
    ++missingCount;
  }
  if (missingCount) {
    if (missingCount == 1)
      error("tensor \"%s\" is missing", missing);
    else
      error("tensor \"%s\" and %d more are missing", missing, missingCount - 1);
    return MLC_CORRUPT_DATA;
  }
  return coversData(layout) ? MLC_OK : MLC_CORRUPT_DATA;
}

size_t writeCheckpointHeader(const mlc_program *program, char *to) {
  Writer out(to);
  out.text("{\"__metadata__\":{\"format\":\"mlc\",\"model\":");
  out.string(program->model.name);
  out.put('}');
  int64_t offset = 0;
  for (int32_t index = 0; index < program->state_slot_count; ++index) {
    const mlc_state_slot &slot = program->state_slots[index];
    mlc_tensor tensor = describeSlot(program, index);
    out.put(',');
    out.string(slot.name);
    out.text(":{\"dtype\":\"");
    out.text(elementOf(tensor.dtype).safetensorsName);
    out.text("\",\"shape\":[");
    for (int32_t axis = 0; axis < tensor.rank; ++axis) {
      if (axis)
        out.put(',');
      out.number(tensor.shape[axis]);
    }
    out.text("],\"data_offsets\":[");
    out.number(offset);
    out.put(',');
    out.number(offset += slot.bytes);
    out.text("]}");
  }
  out.put('}');
  while (out.bytes() % 8)
    out.put(' ');
  return out.bytes();
}

mlc_status readCheckpointHeader(mlc_handle *handle, const char *path, char *header, size_t headerBytes,
                                const CheckpointLayout &layout) {
  return Reader(handle, path, header, headerBytes).read(layout);
}

} // namespace mlc
