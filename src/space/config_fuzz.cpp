// Any bytes give a config or diagnostics; what parses, validates to a complete config of the space
// or to diagnostics.
#include "base/bug.h"
#include "ir/parse.h"
#include "space/space.h"

namespace {

using namespace peri;

// A kernel with two searched blocks and a loop nest.
const ir::Kernel& kernel() {
  static const ir::Kernel kernel = [] {
    diag::Sources sources;
    diag::Diags diags(sources);
    return *ir::parse(sources.add("kernel", R"(kernel copy
  symbol @b0: int = block of b0 hint 16
  symbol @b1: int = block of b1 hint 16
  tensor x: f32[64, 48] strides [48, 1] slot 0 base 0
  tensor out: f32[64, 48] strides [48, 1] slot 1 base 1
  block b0 "m": tile size=@b0 in 0..64 loop 0
  block b1 "n": tile size=@b1 in 0..48 loop 0
  root (b0, b1) {
    %0: f32[b0:@b0, b1:@b1] = load x[b0, b1]
    store %0, out[b0, b1]
  }
)"),
                      diags);
  }();
  return kernel;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  space::Capabilities capabilities;
  capabilities.shared_keys = {"block_sizes", "loop_orders", "num_warps", "pid_type"};
  space::ConfigSpace space = space::derive(kernel(), {}, capabilities);
  diag::Sources sources;
  diag::Diags diags(sources);
  std::string text(reinterpret_cast<const char*>(data), size);
  auto config = space::parse_config(sources.add("config", std::move(text)), diags);
  BUG_IF(!config && !diags.has_errors(), "no config and no diagnostic");
  if (config) {
    auto valid = space.validate(*config, space.defaults(), diags);
    BUG_IF(!valid && !diags.has_errors(), "refused without a diagnostic");
    BUG_IF(valid && space.why_not(*valid), "an illegal config was accepted");
  }
  diag::render_text(diags);
  return 0;
}
