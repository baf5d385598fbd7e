// A content-addressed cache on disk: layers of folders, one checksummed file an entry.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "base/files.h"
#include "base/function_ref.h"
#include "base/ids.h"

namespace peri::runtime {

enum class Layer : u8 { User, Site, Image };
std::string_view layer_name(Layer layer);  // "user", "site", "image"

// What a folder of the cache holds. Only names, headers and sizes have been looked at: a payload
// may still turn out to be damaged.
struct CacheListing {
  struct Item {
    std::string key;
    Layer layer = Layer::User;
    std::string path;
    i64 bytes = 0;
    i64 modified = 0;  // seconds since 1970
  };
  std::vector<Item> entries;
  std::vector<Item> damaged;         // named as entries are, and none; without key
  std::vector<Item> temporaries;     // of writers that are at work, or died; without key
  std::vector<std::string> foreign;  // paths of what is no entry
};

// A lock on a file, which ends with the object or the process.
class CacheLock {
 public:
  CacheLock() = default;
  explicit CacheLock(File file) : file_(std::move(file)) {}
  CacheLock(CacheLock&&) noexcept = default;
  CacheLock& operator=(CacheLock&&) noexcept = default;
  ~CacheLock();
  bool is_held() const { return file_.fd() >= 0; }

 private:
  File file_;
};

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
  std::optional<std::string> get(std::string_view key, Layer layer) const;
  Expected<void> put(std::string_view key, std::string_view payload);

  // Replaces an entry by what `change` makes of the current one (of any layer), under a lock that
  // other processes respect; nothing is written if it gives nothing. Where the file system has no
  // locks, or a holder hangs for seconds, what was written is read again and the change repeated
  // if it is gone: `change` may be called several times.
  using Change = FunctionRef<std::optional<std::string>(const std::optional<std::string>&)>;
  Expected<void> update(std::string_view key, Change change);

  // While any process holds this, none collects garbage: for entries that refer to each other.
  // put() and update() hold it themselves. None is held where the file system has no locks, or a
  // collector takes seconds.
  CacheLock hold() const;
  // While it is held nobody writes. Fails with `cache-busy` if writers leave no gap for seconds.
  Expected<CacheLock> hold_alone() const;

  // Whether the entry, which list() names, can be read.
  bool is_intact(const CacheListing::Item& item) const;

  // Everything in all layers, sorted by key.
  CacheListing list() const;

  // Where the user's layer keeps this key.
  std::string path_of(std::string_view key) const;

 private:
  std::optional<std::string> read(const std::string& path, std::string_view key) const;
  void report(const Error& error) const;
  Error latch(const Error& cause);

  Expected<void> put_held(std::string_view key, std::string_view payload);

  std::string user_;
  std::vector<std::pair<Layer, std::string>> folders_;  // all that are given
  Report report_;
  std::atomic<bool> is_read_only_;
};

}  // namespace peri::runtime
