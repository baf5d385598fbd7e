// Where backends keep what compilers outside of this process make, so that it is made once, and
// runs where there is no such compiler.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace peri::backends {

// Thread-safe. A payload comes back as it was put, or not at all.
class CodeStore {
 public:
  virtual ~CodeStore() = default;
  // Keys begin with kCodeKey, then what says everything that the payload depends on.
  virtual std::optional<std::string> get(std::string_view key) const = 0;
  virtual void put(std::string_view key, std::string_view payload) = 0;
};
inline constexpr std::string_view kCodeKey = "code-";

}  // namespace peri::backends
