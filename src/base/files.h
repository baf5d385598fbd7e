// Files read whole and replaced whole, with every failure an Error.
//
// Codes: `file-open` (missing, no permission, a directory), `file-read`, `file-write` (a full disk
// too), `file-too-large`.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/expected.h"
#include "base/ids.h"

namespace peri {

// An open file descriptor; closed when dropped.
class File {
 public:
  File() = default;
  explicit File(int fd) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~File();

  int fd() const { return fd_; }
  // Reads exactly `size` bytes; false at the end of the file or on an error.
  bool read(std::byte* to, i64 size) const;
  // Closes now; false if the system reports that data may be lost.
  bool close();

 private:
  int fd_ = -1;
};

// A regular file open for reading, and its size.
struct OpenFile {
  File file;
  i64 size = 0;
};
Expected<OpenFile> open_file(const std::string& path);

Expected<std::string> read_file(const std::string& path, i64 max_bytes);

// Puts the parts, one after another, in the place of `path`: readers see the old file or the whole
// new one. `durable`: it survives a power failure. Devices and pipes are written in place.
Expected<void> replace_file(const std::string& path, std::span<const std::string_view> parts,
                            bool durable = false);

}  // namespace peri
