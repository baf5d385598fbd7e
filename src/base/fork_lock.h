// Keeps forks away from work that holds locks of its own, such as compilation: a child that was
// forked in the middle of it would wait for ever.
#pragma once

#include <shared_mutex>

namespace peri {

// Shared by work during which nobody may fork; exclusive for a fork.
inline std::shared_mutex& fork_lock() {
  static auto& lock = *new std::shared_mutex;
  return lock;
}

}  // namespace peri
