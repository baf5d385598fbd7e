#include "backends/triton/module.h"

#include <algorithm>

#include "backends/triton/helpers.h"

namespace peri::triton {

std::string module_text(const std::vector<RootText>& roots) {
  std::set<std::string> helpers;
  bool uses_libdevice = false;
  for (const RootText& root : roots) {
    helpers.insert(root.helpers.begin(), root.helpers.end());
    uses_libdevice = uses_libdevice || root.uses_libdevice;
  }
  std::string text = "import triton\nimport triton.language as tl\n";
  if (uses_libdevice) text += "from triton.language.extra import libdevice\n";
  for (const std::string& helper : helpers) text += "\n\n" + std::string(helper_text(helper));
  for (const RootText& root : roots) text += "\n\n" + root.source;
  return text;
}

std::string module_text(const RootText& root) { return module_text(std::vector{root}); }

}  // namespace peri::triton
