// Tuned configs on disk: one entry for each kernel text, specialisation, target, machine and
// compiler version.
#pragma once

#include <optional>
#include <string>

#include "driver/compile.h"
#include "runtime/cache.h"

namespace peri::driver {

// The key of a compilation whose kernel, arguments and target are known.
std::string tuned_key(const Compilation& c);

class TunedStore {
 public:
  // Problems of the disk go to `request.warn`, and count as misses.
  explicit TunedStore(const Request& request);

  std::optional<space::Config> find(const std::string& key) const;
  Expected<void> put(const std::string& key, const space::Config& config, double seconds);
  std::string path_of(const std::string& key) const { return cache_.path_of(key); }

 private:
  bool off_;
  runtime::Cache cache_;
};

}  // namespace peri::driver
