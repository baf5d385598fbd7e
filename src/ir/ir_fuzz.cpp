// Any bytes give a kernel or diagnostics, and what parses prints to text that parses to the same.
#include "base/bug.h"
#include "ir/parse.h"

namespace {

std::optional<peri::ir::Kernel> parse(std::string text) {
  peri::diag::Sources sources;
  peri::diag::Diags diags(sources);
  auto kernel = peri::ir::parse(sources.add("fuzz", std::move(text)), diags);
  BUG_IF(!kernel && !diags.has_errors(), "no kernel and no diagnostic");
  peri::diag::render_text(diags);
  return kernel;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto kernel = parse(std::string(reinterpret_cast<const char*>(data), size));
  if (!kernel) return 0;
  std::string text = peri::ir::print(*kernel);
  auto again = parse(text);
  BUG_IF(!again, "the printed kernel does not parse:\n{}", text);
  std::string reprinted = peri::ir::print(*again);
  BUG_IF(reprinted != text, "printed differently:\n{}\n{}", text, reprinted);
  return 0;
}
