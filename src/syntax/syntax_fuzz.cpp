// Any bytes through the parser, the tree's dump and the diagnostics' text.
#include <cstddef>

#include "base/bug.h"
#include "syntax/parse.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace peri;
  diag::Sources sources;
  diag::SourceId source =
      sources.add("fuzz.py", std::string(reinterpret_cast<const char*>(data), size));
  diag::Diags diags(sources);
  for (auto parse : {syntax::parse_module, syntax::parse_expression}) {
    syntax::Ast ast = parse(source, diags);
    std::string dump = print(ast);
    BUG_IF(dump.empty(), "a module prints as nothing");
  }
  std::string text = render_text(diags);
  BUG_IF(text.empty() && diags.has_errors(), "errors print as nothing");
  render_json(diags);
  return 0;
}
