// Numbers that no two objects of a process share.
#pragma once

#include <atomic>

#include "base/ids.h"

namespace peri {

// From 1 on.
inline u64 unique_id() {
  static std::atomic<u64> last = 0;
  return ++last;
}

}  // namespace peri
