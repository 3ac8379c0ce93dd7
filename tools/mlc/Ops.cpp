// mlc ops: the table of operators; docs/operators.md is this output.
#include "Commands.h"
#include "Options.h"
#include "compiler/OnnxToCore/Rules.h"
#include "compiler/Table.h"

using namespace mlc;

int mlc::opsCommand(Arguments arguments) {
  bool asMarkdown = false;
  Options options(
      "mlc ops", "mlc ops [OPTIONS]",
      "Lists the ONNX operators that mlc has. Each row serves the opset versions from `since` on, up to the next row "
      "of the same operator.");
  options.flag("--markdown", "print a Markdown table", asMarkdown);
  if (auto code = options.parse(arguments))
    return *code;
  Table table({"operator", "domain", "since"});
  if (asMarkdown)
    llvm::outs() << "| operator | domain | since |\n|---|---|---|\n";
  for (const decompose::ListedRule &listed : decompose::allRules()) {
    std::string domain = listed.domain.empty() ? "ai.onnx" : listed.domain.str(),
                since = std::to_string(listed.rule->since);
    if (asMarkdown)
      llvm::outs() << "| " << listed.rule->op << " | " << domain << " | " << since << " |\n";
    else
      table.add({listed.rule->op, domain, since});
  }
  if (!asMarkdown)
    table.print(llvm::outs());
  return Success;
}
