// Options of a command: one table from which parsing, errors and --help all come.
#ifndef MLC_TOOLS_MLC_OPTIONS_H
#define MLC_TOOLS_MLC_OPTIONS_H
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace mlc {

/// Exit codes of every command.
enum ExitCode { Success = 0, Failed = 1, Unsupported = 2, Usage = 64 };

class Options {
public:
  /// `synopsis` is what follows "usage: "; `summary` is one paragraph.
  Options(llvm::StringRef command, llvm::StringRef synopsis, llvm::StringRef summary)
      : command(command), synopsis(synopsis), summary(summary) {}

  /// Reads a value; an error says what is wrong with it.
  using Reader = std::function<std::optional<std::string>(llvm::StringRef value)>;

  void heading(llvm::StringRef text);
  void flag(llvm::StringRef name, llvm::StringRef help, bool &target);
  // An option with a value is given once, or is an error; one with `values` may be repeated.
  void value(llvm::StringRef name, llvm::StringRef placeholder, llvm::StringRef help, Reader reader);
  void values(llvm::StringRef name, llvm::StringRef placeholder, llvm::StringRef help, Reader reader);
  void value(llvm::StringRef name, llvm::StringRef placeholder, llvm::StringRef help, std::string &target);
  void value(llvm::StringRef name, llvm::StringRef placeholder, llvm::StringRef help, double &target, double least);
  void value(llvm::StringRef name, llvm::StringRef placeholder, llvm::StringRef help, int64_t &target, int64_t least);
  void value(llvm::StringRef name, llvm::StringRef placeholder, llvm::StringRef help, std::optional<int64_t> &target,
             int64_t least);
  /// --name or --name=VALUE, never the next argument; "" without a value.
  void optionalValue(llvm::StringRef name, llvm::StringRef placeholder, llvm::StringRef help, Reader reader);
  /// One of `choices`.
  void choice(llvm::StringRef name, llvm::StringRef help, std::string &target, std::vector<std::string> choices);
  void positional(llvm::StringRef placeholder, llvm::StringRef help, std::vector<std::string> &target, size_t least,
                  size_t most);
  /// The option before is left out of --help: for tests only.
  void hideLast() { rows.back().isHidden = true; }
  void epilogue(llvm::StringRef text) { closing = text; }

  /// Nothing: go on. Otherwise the exit code: help was printed, or an error.
  std::optional<int> parse(llvm::ArrayRef<llvm::StringRef> arguments);
  /// What an option that was given needs to have an effect.
  struct Need {
    llvm::StringRef option;
    bool isMet;
    llvm::StringRef what;
  };
  /// After parse: an option that would be ignored is an error; the exit code as of parse.
  std::optional<int> check(llvm::ArrayRef<Need> needs) const;
  /// Prints `mlc compile: error: text` and where help is; returns the exit code for wrong usage.
  int usageError(const llvm::Twine &text) const;
  void printHelp(llvm::raw_ostream &os) const;

private:
  struct Row {
    std::string longName, shortName; // "--output", "-o"; both empty: a heading
    std::string placeholder;         // empty: a flag
    std::string help;
    Reader reader;
    bool isHidden = false;
    bool isOptional = false; // the value
    bool isRepeatable = false;
  };
  const Row *find(llvm::StringRef name) const;
  std::string nearest(llvm::StringRef name) const;

  std::string command, synopsis, summary, closing;
  std::vector<Row> rows;
  std::set<std::string, std::less<>> given; // long names
  std::string positionalPlaceholder, positionalHelp;
  std::vector<std::string> *positionals = nullptr;
  size_t positionalLeast = 0, positionalMost = 0;
};

/// The closest of `known` to a mistyped word, or "" if none is close.
std::string nearestWord(llvm::StringRef word, llvm::ArrayRef<std::string> known);

/// "batch=8,sequence=128" into `sizes`.
std::optional<std::string> readDims(llvm::StringRef text, std::map<std::string, int64_t> &sizes);
/// "x=1x3x?x224" into `shapes`; "?" is -1, "x=" is rank 0.
std::optional<std::string> readShape(llvm::StringRef text, std::map<std::string, std::vector<int64_t>> &shapes);

} // namespace mlc
#endif
