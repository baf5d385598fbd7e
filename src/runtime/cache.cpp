#include "runtime/cache.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/files.h"
#include "base/hash.h"

namespace peri::runtime {
namespace {

constexpr i64 kMaxEntry = i64{1} << 32;

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

}  // namespace

Cache::Cache(Layers layers, Report report)
    : user_(std::move(layers.user)), report_(std::move(report)), is_read_only_(user_.empty()) {
  for (const std::string& folder : {user_, layers.site, layers.image}) {
    if (!folder.empty()) folders_.push_back(folder);
  }
}

std::string Cache::path_of(std::string_view key) const { return path_in(user_, key); }

void Cache::report(const Error& error) const {
  if (report_) report_(error);
}

std::optional<std::string> Cache::get(std::string_view key) const {
  for (const std::string& folder : folders_) {
    if (auto payload = read(path_in(folder, key), key)) return payload;
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

Error Cache::latch(const Error& cause) {
  Error error{"cache-read-only", cause.message, "results of this run are not kept"};
  if (!is_read_only_.exchange(true)) report(error);
  return error;
}

}  // namespace peri::runtime
