#include "backends/backend.h"

#include <fmt/format.h>

#include "backends/cpu/cpu_backend.h"

namespace peri::backends {

Expected<std::shared_ptr<Backend>> find_backend(std::string_view device, std::string_view level) {
  if (device != "cpu") {
    return fail("unknown-device", fmt::format("there is no device `{}`", device), "devices: cpu");
  }
  auto target = cpu::target_for(level);
  if (!target) return std::unexpected(target.error());
  return std::make_shared<cpu::CpuBackend>(std::move(*target));
}

}  // namespace peri::backends
