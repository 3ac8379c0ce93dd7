// libFuzzer's mutations, made on the message instead of on bytes: protobuf's reflection finds every field of a model, and what
// replaces a value is of its kind (a name that the model has, an operator that mlc has, a size that is hard to compute with).
// One in eight mutations is of the bytes all the same. The importer's classes of ONNX's messages have no reflection (its
// schema asks for the lite runtime), so these messages are made from the schema when the fuzzer starts.
#include "compiler/OnnxToCore/Rules.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/stubs/logging.h"
#include <fstream>
#include <map>
#include <random>

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t sizeMax);

namespace {

const int64_t hardNumbers[] = {INT64_MIN,
                               INT64_MIN + 1,
                               -(int64_t(1) << 31),
                               -2,
                               -1,
                               0,
                               1,
                               2,
                               3,
                               7,
                               255,
                               256,
                               65536,
                               INT32_MAX,
                               int64_t(1) << 31,
                               int64_t(1) << 33,
                               1LL << 40,
                               1LL << 62,
                               INT64_MAX - 1,
                               INT64_MAX};
const float hardFloats[] = {0.0f, -0.0f, -1.0f, 0.5f, 1e-45f, 1e10f, 1e38f, INFINITY, -INFINITY, NAN};
const char *const attributeNames[] = {"axis",
                                      "axes",
                                      "pads",
                                      "strides",
                                      "kernel_shape",
                                      "group",
                                      "value",
                                      "to",
                                      "perm",
                                      "mode",
                                      "equation",
                                      "dilations",
                                      "keepdims",
                                      "auto_pad",
                                      "alpha",
                                      "then_branch",
                                      "body",
                                      "scales",
                                      "beta",
                                      "output_shape",
                                      "starts",
                                      "ends",
                                      "split",
                                      "shape",
                                      "else_branch",
                                      "sizes",
                                      "steps",
                                      "k",
                                      "num_scan_inputs",
                                      "hidden_size",
                                      "direction",
                                      "layout",
                                      "dtype",
                                      "blocksize",
                                      "batch_dims",
                                      "epsilon"};
const char *const texts[] = {"",          "SAME_UPPER", "VALID", "linear",   "cubic",        "reflect", "bidirectional",
                             "ij,jk->ik", "..i->",      "mul",   "x\"y\\\n", "\xff\xfe\xc0", "int",     "?",
                             "../w",      "w",          "batch", "3",        "-1",           "ai.onnx", "local"};

class Mutation {
  using Messages = std::map<const google::protobuf::Descriptor *, std::vector<Message *>>;

  size_t below(size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random); }
  template <typename List> auto pickOne(const List &list) -> decltype(*std::begin(list)) {
    return list[below(std::size(list))];
  }
  // Every kind of message as often as another: a model has hundreds of dimensions and one graph.
  const std::vector<Message *> &pickKind(const Messages &from) {
    return std::next(from.begin(), below(from.size()))->second;
  }

public:
  /// `donor`: another model, or null.
  Mutation(Message &model, Message *donor, unsigned seed) : random(seed) {
    collect(model, messages, names);
    if (donor)
      collect(*donor, donated, names);
  }

  void change() {
    Message &message = *pickOne(pickKind(messages));
    const auto *descriptor = message.GetDescriptor();
    const FieldDescriptor *field = descriptor->field(below(descriptor->field_count()));
    if (field->is_repeated())
      changeList(message, field);
    else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
      changeMessage(message, field);
    else if (below(8) == 0)
      message.GetReflection()->ClearField(&message, field);
    else
      setScalar(message, field, -1);
  }

private:
  void collect(Message &message, Messages &into, std::vector<std::string> &names) {
    into[message.GetDescriptor()].push_back(&message);
    const Reflection &reflection = *message.GetReflection();
    std::vector<const FieldDescriptor *> fields;
    reflection.ListFields(message, &fields);
    for (const FieldDescriptor *field : fields) {
      bool isName = field->name() == "name" || field->name() == "input" || field->name() == "output";
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        for (int i = 0; field->is_repeated() && i < reflection.FieldSize(message, field); ++i)
          collect(*reflection.MutableRepeatedMessage(&message, field, i), into, names);
        if (!field->is_repeated())
          collect(*reflection.MutableMessage(&message, field), into, names);
      } else if (isName && field->is_repeated()) {
        for (int i = 0; i < reflection.FieldSize(message, field); ++i)
          names.push_back(reflection.GetRepeatedString(message, field, i));
      } else if (isName) {
        names.push_back(reflection.GetString(message, field));
      }
    }
  }

  // ---- fields -------------------------------------------------------------------------------------------------------

  void changeList(Message &message, const FieldDescriptor *field) {
    const Reflection &reflection = *message.GetReflection();
    int size = reflection.FieldSize(message, field);
    size_t kind = below(4);
    if (kind == 0 && size > 1)
      return reflection.SwapElements(&message, field, below(size), below(size));
    if (kind == 1 && size > 0) {
      reflection.SwapElements(&message, field, below(size), size - 1);
      return reflection.RemoveLast(&message, field);
    }
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
      return addCopy(message, field);
    setScalar(message, field, size > 0 && kind != 3 ? int(below(size)) : size);
  }

  void changeMessage(Message &message, const FieldDescriptor *field) {
    const Reflection &reflection = *message.GetReflection();
    if (below(4) == 0)
      return reflection.ClearField(&message, field);
    if (Message *source = similar(field->message_type())) {
      std::unique_ptr<Message> copy(source->New());
      copy->CopyFrom(*source); // the source may be inside of what it replaces, or around it
      reflection.MutableMessage(&message, field)->CopyFrom(*copy);
    } else {
      reflection.MutableMessage(&message, field);
    }
  }

  void addCopy(Message &message, const FieldDescriptor *field) {
    const Reflection &reflection = *message.GetReflection();
    Message *source = similar(field->message_type());
    std::unique_ptr<Message> copy(source ? source->New() : nullptr);
    if (copy)
      copy->CopyFrom(*source);
    Message *added = reflection.AddMessage(&message, field);
    if (copy)
      added->CopyFrom(*copy);
    int size = reflection.FieldSize(message, field);
    reflection.SwapElements(&message, field, below(size), size - 1);
  }

  /// A message of this type from either model.
  Message *similar(const google::protobuf::Descriptor *type) {
    for (const Messages *from : {below(2) ? &donated : &messages, &messages})
      if (auto found = from->find(type); found != from->end())
        return pickOne(found->second);
    return nullptr;
  }

  // ---- values -------------------------------------------------------------------------------------------------------

  int64_t number() { return below(2) ? pickOne(hardNumbers) : int64_t(below(40)) - 6; }

  std::string text(const FieldDescriptor *field, const std::string &old) {
    if (field->name() == "raw_data")
      return elements(old);
    if (field->name() == "op_type")
      return pickOne(operators).rule->op;
    if (field->name() == "name" && field->containing_type()->name() == "AttributeProto" && below(4))
      return pickOne(attributeNames);
    if ((field->name() == "name" || field->name() == "input" || field->name() == "output") && !names.empty() &&
        below(8))
      return pickOne(names);
    return below(50) ? pickOne(texts) : std::string(2000, 'a');
  }

  /// Numbers of 1, 4 or 8 bytes in a tensor's data.
  std::string elements(std::string bytes) {
    if (bytes.empty() || below(6) == 0)
      bytes.resize(8 * below(5));
    size_t width = pickOne(std::array<size_t, 3>{1, 4, 8});
    if (bytes.size() < width)
      return bytes;
    int64_t value = number();
    float real = pickOne(hardFloats);
    const void *source = width == 4 && below(2) ? static_cast<const void *>(&real) : &value;
    memcpy(bytes.data() + below(bytes.size() / width) * width, source, width);
    return bytes;
  }

  /// `index`: the element of a list, its size to add one; -1 for a single field.
  void setScalar(Message &message, const FieldDescriptor *field, int index) {
    const Reflection &reflection = *message.GetReflection();
    bool isNew = index < 0 || index == reflection.FieldSize(message, field);
    auto set = [&](auto single, auto add, auto replace, auto value) {
      if (index < 0)
        (reflection.*single)(&message, field, value);
      else if (isNew)
        (reflection.*add)(&message, field, value);
      else
        (reflection.*replace)(&message, field, index, value);
    };
    switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return set(&Reflection::SetInt32, &Reflection::AddInt32, &Reflection::SetRepeatedInt32, int32_t(number()));
    case FieldDescriptor::CPPTYPE_INT64:
      return set(&Reflection::SetInt64, &Reflection::AddInt64, &Reflection::SetRepeatedInt64, number());
    case FieldDescriptor::CPPTYPE_UINT64:
      return set(&Reflection::SetUInt64, &Reflection::AddUInt64, &Reflection::SetRepeatedUInt64, uint64_t(number()));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return set(&Reflection::SetFloat, &Reflection::AddFloat, &Reflection::SetRepeatedFloat, pickOne(hardFloats));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return set(&Reflection::SetDouble, &Reflection::AddDouble, &Reflection::SetRepeatedDouble,
                 double(pickOne(hardFloats)));
    case FieldDescriptor::CPPTYPE_ENUM: // every enumeration of ONNX is dense, but for a gap or two
      return set(&Reflection::SetEnumValue, &Reflection::AddEnumValue, &Reflection::SetRepeatedEnumValue,
                 field->enum_type()->value(below(field->enum_type()->value_count()))->number());
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string old = field->is_repeated() ? (isNew ? "" : reflection.GetRepeatedString(message, field, index))
                                             : reflection.GetString(message, field);
      return set(&Reflection::SetString, &Reflection::AddString, &Reflection::SetRepeatedString, text(field, old));
    }
    default:
      return;
    }
  }

  std::minstd_rand random;
  Messages messages, donated;
  std::vector<std::string> names;
  const std::vector<mlc::decompose::ListedRule> operators = mlc::decompose::allRules();
};

/// The schema, read once.
const Message &prototype() {
  static google::protobuf::DescriptorPool pool;
  static google::protobuf::DynamicMessageFactory factory(&pool);
  static const Message *const model = [] {
    google::protobuf::FileDescriptorSet files;
    std::ifstream stream(MLC_ONNX_DESCRIPTORS, std::ios::binary);
    if (!files.ParseFromIstream(&stream))
      std::abort();
    const auto *file = pool.BuildFile(files.file(0));
    return factory.GetPrototype(file->FindMessageTypeByName("ModelProto"));
  }();
  return *model;
}

/// Null if the bytes are no model.
std::unique_ptr<Message> parse(const uint8_t *data, size_t size) {
  google::protobuf::LogSilencer silencer;
  std::unique_ptr<Message> model(prototype().New());
  return model->ParseFromArray(data, int(size)) ? std::move(model) : nullptr;
}

/// The size of the model's bytes in `data`; 0 if they do not fit.
size_t store(const Message &model, uint8_t *data, size_t sizeMax) {
  google::protobuf::LogSilencer silencer; // names that are no UTF-8
  size_t size = model.ByteSizeLong();
  return size <= sizeMax && model.SerializeToArray(data, int(sizeMax)) ? size : 0;
}

} // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t sizeMax, unsigned seed) {
  auto model = seed % 8 ? parse(data, size) : nullptr;
  if (!model)
    return LLVMFuzzerMutate(data, size, sizeMax);
  for (unsigned i = 0; i <= seed / 8 % 4; ++i)
    Mutation(*model, nullptr, seed + i).change();
  size_t newSize = store(*model, data, sizeMax);
  return newSize ? newSize : LLVMFuzzerMutate(data, size, sizeMax);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2, size_t size2,
                                            uint8_t *out, size_t sizeMax, unsigned seed) {
  auto model = parse(data1, size1), donor = parse(data2, size2);
  if (!model || !donor)
    return 0;
  for (unsigned i = 0; i < 4; ++i)
    Mutation(*model, donor.get(), seed + i).change();
  return store(*model, out, sizeMax);
}
