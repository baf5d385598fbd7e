// Configs that crashed, hung, were stopped at the time limit or gave wrong results while tuning,
// kept so that no later run tries them again.
//
// They belong to a tuned key, which holds kernel text, arguments, machine and compiler version:
// with a new version of the compiler they are tried again.
#pragma once

#include <map>
#include <string>

#include "driver/tuned_store.h"

namespace peri::driver {

// How a config is named here: complete configs of one space that are equal have the same text.
std::string config_text(const space::Config& config);

bool is_harmful(tune::Status status);

inline constexpr std::string_view kQuarantineKey = "quarantine-";
// Of the quarantine in the cache; `key`: of the tuned entry.
std::string quarantine_key(const std::string& key);

class Quarantine {
 public:
  // `key`: of the tuned entry. The store must outlive this.
  Quarantine(TunedStore& store, std::string key) : store_(store), key_(std::move(key)) {}

  // Reasons ("crashed: SIGSEGV") by config_text(), of all layers. Damaged entries count as none,
  // with a warning.
  std::map<std::string, std::string> load() const;

  // Adds one; what other processes add at the same time stays. Not if it is known already.
  Expected<void> add(const space::Config& config, tune::Status status, const std::string& reason);

 private:
  TunedStore& store_;
  std::string key_;
};

}  // namespace peri::driver
