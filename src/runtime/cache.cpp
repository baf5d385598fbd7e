#include "runtime/cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "base/hash.h"

namespace peri::runtime {
namespace {

namespace fs = std::filesystem;

constexpr i64 kMaxEntry = i64{1} << 32;
constexpr u64 kMaxListedKey = 4096;
constexpr auto kLockWait = std::chrono::seconds(5);
constexpr auto kLockStep = std::chrono::milliseconds(2);
constexpr i64 kUnlockedTurns = 8;
constexpr std::string_view kLockName = "lock";

// Stands before key and payload. Little-endian, as all machines that we run on.
struct Header {
  char magic[8] = {'p', 'e', 'r', 'i', '-', 'c', '1', '\n'};
  u64 key_size = 0;
  u64 payload_size = 0;
  char checksum[32] = {};  // hash_hex of key hash, payload hash and sizes
};
static_assert(sizeof(Header) == 56);

Header header_of(std::string_view key, std::string_view payload) {
  Header header;
  header.key_size = key.size();
  header.payload_size = payload.size();
  const std::string checksum = hash_hex(
      fmt::format("{}:{}:{}:{}", key.size(), hash_hex(key), payload.size(), hash_hex(payload)));
  std::memcpy(header.checksum, checksum.data(), sizeof(header.checksum));
  return header;
}

std::string_view bytes_of(const Header& header) {
  return {reinterpret_cast<const char*>(&header), sizeof(header)};
}

// The payload within the bytes of an entry of `key`; none if anything is not as it was written.
std::optional<std::string_view> payload_in(std::string_view text, std::string_view key) {
  const std::size_t before = sizeof(Header) + key.size();
  if (text.size() < before || text.substr(sizeof(Header), key.size()) != key) return std::nullopt;
  const std::string_view payload = text.substr(before);
  const Header expected = header_of(key, payload);
  return text.starts_with(bytes_of(expected)) ? std::optional(payload) : std::nullopt;
}

// Two levels, so that no folder gets too many entries.
std::string path_in(const std::string& folder, std::string_view key) {
  const std::string name = hash_hex(key);
  return fmt::format("{}/{}/{}", folder, name.substr(0, 2), name.substr(2));
}

bool is_hex(std::string_view text, std::size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// The key in the entry at `path`, if name, header and size fit each other.
std::optional<std::string> key_in(const std::string& path, const std::string& folder) {
  auto opened = open_file(path);
  Header header;
  if (!opened || !opened->file.read(reinterpret_cast<std::byte*>(&header), sizeof(header))) {
    return std::nullopt;
  }
  if (std::memcmp(header.magic, Header().magic, sizeof(header.magic)) != 0) return std::nullopt;
  if (header.key_size > kMaxListedKey) return std::nullopt;
  std::string key(header.key_size, '\0');
  if (!opened->file.read(reinterpret_cast<std::byte*>(key.data()), static_cast<i64>(key.size()))) {
    return std::nullopt;
  }
  const u64 size = static_cast<u64>(opened->size);
  if (size - sizeof(header) - key.size() != header.payload_size) return std::nullopt;
  return path_in(folder, key) == path ? std::optional(key) : std::nullopt;
}

// Adds the files of one of the 256 folders of a layer.
void list_folder(const fs::path& folder, Layer layer, const std::string& root,
                 CacheListing& listing) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string path = it->path().string(), name = it->path().filename().string();
    if (name == kLockName) continue;
    struct stat status = {};
    if (::lstat(path.c_str(), &status) != 0) continue;  // gone meanwhile
    CacheListing::Item item{"", layer, path, status.st_size, status.st_mtime};
    const bool is_temporary = name.ends_with(".tmp") && is_hex(name.substr(0, name.find('.')), 30);
    auto key = is_hex(name, 30) && S_ISREG(status.st_mode) ? key_in(path, root) : std::nullopt;
    if (key) {
      item.key = std::move(*key);
      listing.entries.push_back(std::move(item));
    } else if (is_hex(name, 30) && S_ISREG(status.st_mode)) {
      if (::lstat(path.c_str(), &status) == 0) listing.damaged.push_back(std::move(item));
    } else if (is_temporary && S_ISREG(status.st_mode)) {
      listing.temporaries.push_back(std::move(item));
    } else if (::lstat(path.c_str(), &status) == 0) {
      listing.foreign.push_back(path);
    }
  }
}

}  // namespace

std::string_view layer_name(Layer layer) {
  static constexpr std::string_view kNames[] = {"user", "site", "image"};
  return kNames[static_cast<std::size_t>(layer)];
}

Cache::Cache(Layers layers, Report report)
    : user_(std::move(layers.user)), report_(std::move(report)), is_read_only_(user_.empty()) {
  if (!user_.empty()) folders_.emplace_back(Layer::User, user_);
  if (!layers.site.empty()) folders_.emplace_back(Layer::Site, std::move(layers.site));
  if (!layers.image.empty()) folders_.emplace_back(Layer::Image, std::move(layers.image));
}

std::string Cache::path_of(std::string_view key) const { return path_in(user_, key); }

void Cache::report(const Error& error) const {
  if (report_) report_(error);
}

std::optional<std::string> Cache::get(std::string_view key) const {
  for (const auto& [layer, folder] : folders_) {
    if (auto payload = read(path_in(folder, key), key)) return payload;
  }
  return std::nullopt;
}

std::optional<std::string> Cache::get(std::string_view key, Layer layer) const {
  for (const auto& [which, folder] : folders_) {
    if (which == layer) return read(path_in(folder, key), key);
  }
  return std::nullopt;
}

std::optional<std::string> Cache::read(const std::string& path, std::string_view key) const {
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !error) return std::nullopt;
  Expected<std::string> text = read_file(path, kMaxEntry);
  if (!text) {
    report({"cache-unreadable", text.error().message, "the entry is not used"});
    return std::nullopt;
  }
  const auto payload = payload_in(*text, key);
  if (!payload) {
    report({"cache-corrupt", fmt::format("cache entry `{}` is damaged", path),
            "it is not used; the next result replaces it"});
    return std::nullopt;
  }
  text->erase(0, text->size() - payload->size());
  return *std::move(text);
}

Expected<void> Cache::put(std::string_view key, std::string_view payload) {
  const CacheLock held = hold();
  return put_held(key, payload);
}

Expected<void> Cache::put_held(std::string_view key, std::string_view payload) {
  if (is_read_only_) return fail("cache-read-only", "the cache is not written");
  const std::string path = path_of(key);
  std::error_code error;
  const auto folder = std::filesystem::path(path).parent_path();
  std::filesystem::create_directories(folder, error);
  if (error) {
    return std::unexpected(
        latch({"", fmt::format("cannot create `{}`: {}", folder.string(), error.message()), ""}));
  }
  // What a crashed writer or someone else put there must not be in the way.
  if (std::filesystem::is_directory(path, error)) std::filesystem::remove_all(path, error);
  const Header header = header_of(key, payload);
  const std::string_view parts[] = {bytes_of(header), key, payload};
  if (auto done = replace_file(path, parts, true); !done) {
    return std::unexpected(latch(done.error()));
  }
  return {};
}

// A child that was forked meanwhile has the file too: closing it here would not be enough.
CacheLock::~CacheLock() {
  if (file_.fd() >= 0) ::flock(file_.fd(), LOCK_UN);
}

namespace {

// `how`: LOCK_SH or LOCK_EX. Not held if the folder cannot be written, the file system has no
// locks, or, `is_busy`, someone keeps it for long.
CacheLock lock_in(const fs::path& folder, int how, bool& is_busy) {
  std::error_code error;
  is_busy = false;
  fs::create_directories(folder, error);
  File file(::open((folder / kLockName).c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (file.fd() < 0) return {};
  const auto end = std::chrono::steady_clock::now() + kLockWait;
  while (::flock(file.fd(), how | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return {};
    is_busy = std::chrono::steady_clock::now() > end;
    if (is_busy) return {};
    std::this_thread::sleep_for(kLockStep);
  }
  return CacheLock(std::move(file));
}

}  // namespace

CacheLock Cache::hold() const {
  bool is_busy = false;
  return is_read_only_ ? CacheLock() : lock_in(user_, LOCK_SH, is_busy);
}

Expected<CacheLock> Cache::hold_alone() const {
  bool is_busy = false;
  CacheLock held = user_.empty() ? CacheLock() : lock_in(user_, LOCK_EX, is_busy);
  if (!is_busy) return held;
  return fail("cache-busy", fmt::format("others write to the cache `{}` all the time", user_),
              "try again when less is tuned");
}

Expected<void> Cache::update(std::string_view key, Change change) {
  if (is_read_only_) return fail("cache-read-only", "the cache is not written");
  const CacheLock no_collector = hold();
  bool is_busy = false;  // one lock a folder of entries
  const CacheLock held = lock_in(fs::path(path_of(key)).parent_path(), LOCK_EX, is_busy);
  for (i64 turn = 0; turn < kUnlockedTurns; ++turn) {
    const std::optional<std::string> next = change(get(key));
    if (!next) return {};
    if (auto done = put_held(key, *next); !done) return done;
    if (held.is_held() || get(key, Layer::User) == next) return {};
  }
  return {};
}

bool Cache::is_intact(const CacheListing::Item& item) const {
  auto text = read_file(item.path, kMaxEntry);
  return text && payload_in(*text, item.key).has_value();
}

CacheListing Cache::list() const {
  CacheListing listing;
  for (const auto& [layer, root] : folders_) {
    std::error_code error;
    for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
      const bool is_ours = is_hex(it->path().filename().string(), 2) && it->is_directory(error);
      if (is_ours) {
        list_folder(it->path(), layer, root, listing);
      } else if (it->path().filename() != kLockName) {
        listing.foreign.push_back(it->path().string());
      }
    }
    if (error && fs::exists(root)) {
      report({"cache-unreadable",
              fmt::format("cannot list the folder `{}`: {}", root, error.message()), ""});
    }
  }
  std::ranges::stable_sort(listing.entries, {}, &CacheListing::Item::key);
  std::ranges::sort(listing.foreign);
  return listing;
}

Error Cache::latch(const Error& cause) {
  Error error{"cache-read-only", cause.message, "results of this run are not kept"};
  if (!is_read_only_.exchange(true)) report(error);
  return error;
}

}  // namespace peri::runtime
