#include "backends/triton/cache_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <optional>

namespace peri::triton {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = "peri-triton-cache-";
constexpr int kTries = 8;

fs::path parent() {
  std::error_code failed;
  fs::path path = fs::temp_directory_path(failed);
  return failed ? "/tmp" : path;
}

// Nothing if another process has it, or removed it before it was locked here.
std::optional<File> lock(const fs::path& path) {
  File folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (folder.fd() < 0 || ::flock(folder.fd(), LOCK_EX | LOCK_NB) != 0) return std::nullopt;
  struct stat locked, named;
  if (::fstat(folder.fd(), &locked) != 0 || ::lstat(path.c_str(), &named) != 0 ||
      locked.st_ino != named.st_ino || locked.st_dev != named.st_dev) {
    return std::nullopt;
  }
  return folder;
}

void remove_whole(const fs::path& path) {
  std::error_code ignored;  // another may be removing it too
  fs::remove_all(path, ignored);
}

}  // namespace

Expected<CacheFolder> CacheFolder::make() {
  for (int left = kTries;; --left) {
    std::string path = (parent() / fmt::format("{}XXXXXX", kPrefix)).string();
    if (::mkdtemp(path.data()) == nullptr) {
      return fail("file-write",
                  fmt::format("cannot make a folder like `{}`: {}", path, std::strerror(errno)),
                  "the compiler needs it: make room there, or name another place with TMPDIR");
    }
    auto locked = lock(path);
    if (locked || left == 0) {  // there are file systems without locks
      CacheFolder folder;
      folder.path_ = path;
      if (locked) folder.lock_ = *std::move(locked);
      return folder;
    }
    remove_whole(path);
  }
}

void CacheFolder::remove_abandoned() {
  std::error_code failed;
  for (fs::directory_iterator entry(parent(), failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const fs::path path = entry->path();
    if (!path.filename().string().starts_with(kPrefix)) continue;
    if (auto locked = lock(path)) remove_whole(path);
  }
}

CacheFolder::~CacheFolder() {
  if (!path_.empty()) remove_whole(path_);
}

}  // namespace peri::triton
