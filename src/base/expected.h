// Expected<T>: a value or an environment error (disk, driver, file format), never a user's kernel
// error (those go to diag::Diags) and never a bug (BUG_IF).
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace peri {

// What went wrong outside the program, with a stable code (`npy-truncated`) and the next step.
struct Error {
  std::string code;
  std::string message;
  std::string hint;
};

template <class T>
using Expected = std::expected<T, Error>;

inline std::unexpected<Error> fail(std::string code, std::string message, std::string hint = {}) {
  return std::unexpected(Error{std::move(code), std::move(message), std::move(hint)});
}

}  // namespace peri
