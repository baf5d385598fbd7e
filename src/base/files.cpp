#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace peri {
namespace {

// Linux moves at most about 2 GiB a call.
constexpr i64 kMaxTransfer = i64{1} << 30;

std::unexpected<Error> failure(const char* code, std::string_view what, std::string_view path,
                               int error) {
  return fail(code, fmt::format("cannot {} `{}`: {}", what, path, std::strerror(error)));
}

// 0 or the error of the system.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const auto size = std::min(text.size(), static_cast<std::size_t>(kMaxTransfer));
    const ssize_t written = ::write(fd, text.data(), size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return EIO;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

int write_parts(File& file, std::span<const std::string_view> parts, bool durable) {
  for (std::string_view part : parts) {
    if (const int error = write_all(file.fd(), part)) return error;
  }
  // Some files (pipes, terminals) cannot be synchronised, which loses nothing.
  if (durable && ::fsync(file.fd()) != 0 && errno != EINVAL) return errno;
  return file.close() ? 0 : errno;
}

// The file behind symbolic links, which stay; `path` itself if there is none yet.
std::string resolved(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         &std::free);
  return real ? real.get() : path;
}

void sync_folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const File file(::open(folder.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() >= 0) ::fsync(file.fd());
}

// Unlike any other of this process, of others and of other machines that share the folder.
std::string temporary_name(const std::string& path) {
  static std::atomic<u64> count = 0;
  u64 salt = 0;
  if (::getrandom(&salt, sizeof(salt), GRND_NONBLOCK) < 0) salt = static_cast<u64>(::getpid());
  return fmt::format("{}.{:016x}-{}.tmp", path, salt, count.fetch_add(1));
}

}  // namespace

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

bool File::read(std::byte* to, i64 size) const {
  while (size > 0) {
    const ssize_t got = ::read(fd_, to, static_cast<std::size_t>(std::min(size, kMaxTransfer)));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    size -= got;
  }
  return true;
}

bool File::close() {
  const int fd = std::exchange(fd_, -1);
  return fd < 0 || ::close(fd) == 0;
}

Expected<OpenFile> open_file(const std::string& path) {
  // Non-blocking: a pipe without a writer must not hang.
  OpenFile result{File(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)), 0};
  if (result.file.fd() < 0) return failure("file-open", "open", path, errno);
  struct stat status = {};
  if (::fstat(result.file.fd(), &status) != 0) return failure("file-open", "open", path, errno);
  if (!S_ISREG(status.st_mode)) {
    return fail("file-open", fmt::format("`{}` is not a regular file", path));
  }
  result.size = status.st_size;
  return result;
}

Expected<std::string> read_file(const std::string& path, i64 max_bytes) {
  Expected<OpenFile> opened = open_file(path);
  if (!opened) return std::unexpected(std::move(opened).error());
  if (opened->size > max_bytes) {
    return fail("file-too-large", fmt::format("`{}` has {} bytes; at most {} are read", path,
                                              opened->size, max_bytes));
  }
  std::string text(static_cast<std::size_t>(opened->size), '\0');
  if (!opened->file.read(reinterpret_cast<std::byte*>(text.data()), opened->size)) {
    return fail("file-read", fmt::format("cannot read all of `{}`", path));
  }
  return text;
}

Expected<void> replace_file(const std::string& path, std::span<const std::string_view> parts,
                            bool durable) {
  struct stat status = {};
  const bool in_place = ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
  const std::string target = in_place ? path : resolved(path);
  const std::string written = in_place ? path : temporary_name(target);
  const int flags = in_place ? O_WRONLY | O_CLOEXEC : O_WRONLY | O_CLOEXEC | O_CREAT | O_EXCL;
  File file(::open(written.c_str(), flags, 0666));
  if (file.fd() < 0) return failure("file-open", "write", path, errno);
  int error = write_parts(file, parts, durable);
  if (in_place) {
    if (error != 0) return failure("file-write", "write", path, error);
    return {};
  }
  if (error == 0 && ::rename(written.c_str(), target.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(written.c_str());
    return failure("file-write", "write", path, error);
  }
  if (durable) sync_folder_of(target);
  return {};
}

}  // namespace peri
