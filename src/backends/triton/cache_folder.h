// The folder that a compile worker caches in: removed with the worker, or by whoever comes next.
#pragma once

#include <filesystem>

#include "base/expected.h"
#include "base/files.h"

namespace peri::triton {

// Locked while it lives, so that one that nobody has locked is known to be left over from a process
// that was killed. Forks share the lock.
class CacheFolder {
 public:
  // A new one below the system's temporary folder. Fails with `file-write`.
  static Expected<CacheFolder> make();
  // Removes those that are left over.
  static void remove_abandoned();

  CacheFolder() = default;
  CacheFolder(CacheFolder&& other) noexcept
      : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}
  CacheFolder& operator=(CacheFolder&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(lock_, other.lock_);
    return *this;
  }
  ~CacheFolder();

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  File lock_;
};

}  // namespace peri::triton
