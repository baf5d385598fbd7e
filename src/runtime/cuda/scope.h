// Makes a device's context current in this thread; gives back the one that was.
#pragma once

#include "runtime/cuda/driver.h"

namespace peri::cuda {

inline bool is_current(const Driver& driver, Context context) {
  Context current = nullptr;
  return driver.context_get(&current) == kSuccess && current == context;
}

// A thread that had none keeps this one.
class Scope {
 public:
  Scope(const Driver& driver, Context context) : driver_(driver) {
    (void)driver_.context_get(&before_);
    changed_ = before_ != context;
    if (changed_) (void)driver_.context_set(context);
  }
  ~Scope() {
    if (changed_ && before_ != nullptr) (void)driver_.context_set(before_);
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  const Driver& driver_;
  Context before_ = nullptr;
  bool changed_ = false;
};

}  // namespace peri::cuda
