// See Options.h.
#include "Options.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include <algorithm>
#include <cmath>

using namespace mlc;
using llvm::StringRef;

static constexpr size_t lineColumns = 100, helpColumn = 30;

void Options::heading(StringRef text) { rows.push_back({"", "", "", text.str(), {}}); }

void Options::flag(StringRef name, StringRef help, bool &target) {
  rows.push_back({name.str(), "", "", help.str(), [&target](StringRef) -> std::optional<std::string> {
                    target = true;
                    return std::nullopt;
                  }});
}

// `name` is "--output" or "-o,--output".
void Options::value(StringRef name, StringRef placeholder, StringRef help, Reader reader) {
  auto [first, second] = name.split(',');
  bool hasShort = !second.empty();
  rows.push_back({(hasShort ? second : first).str(), hasShort ? first.str() : "", placeholder.str(), help.str(),
                  std::move(reader)});
}

void Options::values(StringRef name, StringRef placeholder, StringRef help, Reader reader) {
  value(name, placeholder, help.str() + "; may be repeated", std::move(reader));
  rows.back().isRepeatable = true;
}

void Options::value(StringRef name, StringRef placeholder, StringRef help, std::string &target) {
  value(name, placeholder, help, [&target](StringRef text) -> std::optional<std::string> {
    target = text.str();
    return std::nullopt;
  });
}

void Options::value(StringRef name, StringRef placeholder, StringRef help, double &target, double least) {
  value(name, placeholder, help, [&target, least](StringRef text) -> std::optional<std::string> {
    double number;
    if (text.getAsDouble(number) || !std::isfinite(number) || number < least)
      return "expected a number of at least " + llvm::formatv("{0}", least).str();
    target = number;
    return std::nullopt;
  });
}

template <typename Integer> static Options::Reader integerReader(Integer &target, int64_t least) {
  return [&target, least](StringRef text) -> std::optional<std::string> {
    int64_t number;
    if (text.getAsInteger(10, number) || number < least)
      return "expected an integer of at least " + std::to_string(least);
    target = number;
    return std::nullopt;
  };
}

void Options::value(StringRef name, StringRef placeholder, StringRef help, int64_t &target, int64_t least) {
  value(name, placeholder, help, integerReader(target, least));
}

void Options::value(StringRef name, StringRef placeholder, StringRef help, std::optional<int64_t> &target,
                    int64_t least) {
  value(name, placeholder, help, integerReader(target, least));
}

void Options::optionalValue(StringRef name, StringRef placeholder, StringRef help, Reader reader) {
  value(name, placeholder, help, std::move(reader));
  rows.back().isOptional = true;
}

void Options::choice(StringRef name, StringRef help, std::string &target, std::vector<std::string> choices) {
  std::string list = llvm::join(choices, "|");
  value(name, list, help, [&target, choices = std::move(choices)](StringRef text) -> std::optional<std::string> {
    if (!llvm::is_contained(choices, text))
      return "expected one of " + llvm::join(choices, ", ");
    target = text.str();
    return std::nullopt;
  });
}

void Options::positional(StringRef placeholder, StringRef help, std::vector<std::string> &target, size_t least,
                         size_t most) {
  positionalPlaceholder = placeholder;
  positionalHelp = help;
  positionals = &target;
  positionalLeast = least;
  positionalMost = most;
}

const Options::Row *Options::find(StringRef name) const {
  for (const Row &row : rows)
    if (!name.empty() && (name == row.longName || name == row.shortName))
      return &row;
  return nullptr;
}

std::string mlc::nearestWord(StringRef word, llvm::ArrayRef<std::string> known) {
  std::string best;
  unsigned bestDistance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string &candidate : known)
    if (unsigned distance = word.edit_distance(candidate, true, bestDistance); distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  return best;
}

std::string Options::nearest(StringRef name) const {
  std::vector<std::string> names{"--help"};
  for (const Row &row : rows)
    if (!row.isHidden && !row.longName.empty())
      names.push_back(row.longName);
  std::string best = nearestWord(name, names);
  return best.empty() ? "" : "; did you mean \"" + best + "\"?";
}

int Options::usageError(const llvm::Twine &text) const {
  llvm::errs() << command << ": error: " << text << '\n' << command << ": see " << command << " --help\n";
  return Usage;
}

std::optional<int> Options::parse(llvm::ArrayRef<StringRef> arguments) {
  bool onlyPositionals = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    StringRef argument = arguments[i];
    if (onlyPositionals || !argument.starts_with("-") || argument == "-") {
      if (!positionals || positionals->size() == positionalMost)
        return usageError("unexpected argument \"" + argument + "\"");
      positionals->push_back(argument.str());
      continue;
    }
    if (argument == "--") {
      onlyPositionals = true;
      continue;
    }
    if (argument == "--help" || argument == "-h") {
      printHelp(llvm::outs());
      return Success;
    }
    auto [name, text] = argument.split('=');
    bool hasText = name.size() != argument.size();
    if (const Row *joined = find(argument.take_front(2));
        joined && !find(name) && argument[1] != '-' && argument.size() > 2) {
      name = argument.take_front(2); // -oFILE
      text = argument.drop_front(2);
      hasText = true;
    }
    const Row *row = find(name);
    if (!row)
      return usageError("unknown option \"" + name + "\"" + nearest(name));
    if (row->placeholder.empty() && hasText)
      return usageError("option " + name + " takes no value");
    if (!row->placeholder.empty() && !hasText && !row->isOptional) {
      if (++i == arguments.size())
        return usageError("option " + name + " needs a value: " + row->placeholder);
      text = arguments[i];
    }
    if (!given.insert(row->longName).second && !row->placeholder.empty() && !row->isRepeatable)
      return usageError("option " + name + " is given twice");
    if (auto error = row->reader(text))
      return usageError("option " + name + " \"" + text + "\": " + *error);
  }
  if (positionals && positionals->size() < positionalLeast)
    return usageError("expected " + positionalHelp);
  return std::nullopt;
}

std::optional<int> Options::check(llvm::ArrayRef<Need> needs) const {
  for (const Need &need : needs) {
    assert(find(need.option) && "no such option");
    if (!need.isMet && given.count(need.option))
      return usageError("option " + need.option + " needs " + need.what);
  }
  return std::nullopt;
}

// Breaks at spaces; the first line starts at `column` already.
static void printWrapped(llvm::raw_ostream &os, StringRef text, size_t indent, size_t column) {
  llvm::SmallVector<StringRef> words;
  text.split(words, ' ');
  for (auto [index, word] : llvm::enumerate(words)) {
    if (index && column + 1 + word.size() > lineColumns) {
      os << '\n';
      os.indent(indent);
      column = indent;
    } else if (index) {
      os << ' ';
      ++column;
    }
    os << word;
    column += word.size();
  }
  os << '\n';
}

void Options::printHelp(llvm::raw_ostream &os) const {
  os << "usage: " << synopsis << "\n\n";
  printWrapped(os, summary, 0, 0);
  auto printRow = [&](StringRef left, StringRef help) {
    os << "  " << left;
    size_t column = left.size() + 2;
    if (column + 2 > helpColumn) {
      os << '\n';
      column = 0;
    }
    os.indent(helpColumn - column);
    printWrapped(os, help, helpColumn, helpColumn);
  };
  if (positionals) {
    os << "\narguments:\n";
    printRow(positionalPlaceholder, positionalHelp);
  }
  bool needsHeading = true;
  for (const Row &row : rows) {
    if (row.isHidden)
      continue;
    if (row.longName.empty()) {
      os << '\n' << row.help << ":\n";
      needsHeading = false;
      continue;
    }
    if (needsHeading)
      os << "\noptions:\n";
    needsHeading = false;
    std::string left = row.shortName.empty() ? "" : row.shortName + ", ";
    left += row.longName;
    if (!row.placeholder.empty())
      left += "=" + row.placeholder;
    printRow(left, row.help);
  }
  printRow("-h, --help", "print this help");
  if (!closing.empty())
    os << '\n' << closing << '\n';
}

std::optional<std::string> mlc::readDims(StringRef text, std::map<std::string, int64_t> &sizes) {
  llvm::SmallVector<StringRef> parts;
  text.split(parts, ',');
  for (StringRef part : parts) {
    auto [name, number] = part.rsplit('=');
    int64_t size;
    if (name.empty() || number.getAsInteger(10, size) || size < 0)
      return "expected NAME=SIZE, found \"" + part.str() + "\"";
    auto [entry, isNew] = sizes.try_emplace(name.str(), size);
    if (!isNew && entry->second != size)
      return name.str() + " is given two sizes: " + std::to_string(entry->second) + " and " + std::to_string(size);
  }
  return std::nullopt;
}

std::optional<std::string> mlc::readShape(StringRef text, std::map<std::string, std::vector<int64_t>> &shapes) {
  auto [name, list] = text.rsplit('=');
  if (name.size() == text.size() || name.empty())
    return "expected NAME=1x3x224x224";
  std::vector<int64_t> shape;
  llvm::SmallVector<StringRef> parts;
  if (!list.empty())
    list.split(parts, 'x');
  for (StringRef part : parts) {
    int64_t size = -1;
    if (part != "?" && (part.getAsInteger(10, size) || size < 0))
      return "expected NAME=1x3x224x224 (\"?\" for a size that stays dynamic), found the size \"" + part.str() + "\"";
    shape.push_back(size);
  }
  if (!shapes.try_emplace(name.str(), std::move(shape)).second)
    return name.str() + " is given two shapes";
  return std::nullopt;
}
