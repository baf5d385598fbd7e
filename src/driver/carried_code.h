// What a compile took from the code store or put there, as bytes: another process compiles the same
// config from them without a compiler.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backends/code_store.h"

namespace peri::driver {

// Takes a compile's code along. For one compile at a time.
class CodeCollector final : public backends::CodeStore {
 public:
  // `store`: what it stands before, or null.
  explicit CodeCollector(backends::CodeStore* store) : store_(store) {}

  std::optional<std::string> get(std::string_view key) const override;
  void put(std::string_view key, std::string_view payload) override;
  std::string text() const;  // of everything
  std::vector<std::string> keys() const;

 private:
  backends::CodeStore* store_;
  mutable std::map<std::string, std::string, std::less<>> code_;
};

// What CodeCollector::text() gave; keeps nothing else.
class CarriedCode final : public backends::CodeStore {
 public:
  explicit CarriedCode(const std::string& text);

  std::optional<std::string> get(std::string_view key) const override;
  void put(std::string_view, std::string_view) override {}

 private:
  std::map<std::string, std::string, std::less<>> code_;
};

}  // namespace peri::driver
