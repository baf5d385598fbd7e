// A content-addressed cache on disk: layers of folders, one checksummed file an entry.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "base/ids.h"

namespace peri::runtime {

// Reads every layer and writes to the user's. Any number of threads, processes and machines may
// share the folders: files appear whole, by rename. Nothing throws, and no state of the disk is
// fatal: what cannot be used is a miss, told to `report` (from the thread at hand) with one of the
// codes
//   cache-corrupt    an entry is truncated, altered or foreign; the next put replaces it
//   cache-unreadable an entry exists and cannot be read
//   cache-read-only  the user's folder cannot be written; told once, puts fail from then on
class Cache {
 public:
  using Report = std::function<void(const Error&)>;
  // Folders in order of preference. `user` may be empty: then nothing is written.
  struct Layers {
    std::string user;
    std::string site;
    std::string image;
  };

  explicit Cache(Layers layers, Report report = {});

  std::optional<std::string> get(std::string_view key) const;
  Expected<void> put(std::string_view key, std::string_view payload);

  // Where the user's layer keeps this key.
  std::string path_of(std::string_view key) const;

 private:
  std::optional<std::string> read(const std::string& path, std::string_view key) const;
  void report(const Error& error) const;
  Error latch(const Error& cause);

  std::string user_;
  std::vector<std::string> folders_;  // all that are given
  Report report_;
  std::atomic<bool> is_read_only_;
};

}  // namespace peri::runtime
