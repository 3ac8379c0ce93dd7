// Text in aligned columns.
#ifndef MLC_COMPILER_TABLE_H
#define MLC_COMPILER_TABLE_H
#include "llvm/Support/raw_ostream.h"
#include <string>
#include <vector>

namespace mlc {

class Table {
public:
  explicit Table(std::vector<std::string> header) { rows.push_back(std::move(header)); }
  void add(std::vector<std::string> row) { rows.push_back(std::move(row)); }
  bool empty() const { return rows.size() == 1; }

  void print(llvm::raw_ostream &os) const {
    std::vector<size_t> widths(rows.front().size());
    for (const auto &row : rows)
      for (size_t i = 0; i < row.size(); ++i)
        widths[i] = std::max(widths[i], row[i].size());
    for (const auto &row : rows) {
      for (size_t i = 0; i < row.size(); ++i) {
        os << row[i];
        if (i + 1 < row.size())
          os.indent(widths[i] - row[i].size() + 2);
      }
      os << '\n';
    }
  }

private:
  std::vector<std::vector<std::string>> rows;
};

} // namespace mlc
#endif
