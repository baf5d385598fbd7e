#include "tune/csv_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>

namespace peri::tune {

namespace {

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string result = "\"";
  for (char c : text) {
    if (c == '"') result += '"';
    result += c;
  }
  return result + "\"";
}

std::string number_text(double value) {
  return std::isfinite(value) ? fmt::format("{:.6g}", value) : "";
}

// All of `text` in one call where the system takes it, so that a kill leaves whole rows.
bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = EIO;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

bool is_full(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

}  // namespace

std::string csv_header() {
  return "shape,number,at_s,generation,origin,status,seconds,low_s,high_s,predicted_s,compile_s,"
         "samples,reason,config\r\n";
}

std::string csv_row(const Trial& trial, i64 number, const std::string& shape) {
  std::string config = trial.config.dump(-1, ' ', false, Config::error_handler_t::replace);
  return fmt::format("{},{},{:.3f},{},{},{},{},{},{},{},{},{},{},{}\r\n", csv_field(shape), number,
                     trial.at, trial.generation, csv_field(trial.origin), status_name(trial.status),
                     number_text(trial.seconds), number_text(trial.low), number_text(trial.high),
                     trial.predicted > 0 ? number_text(trial.predicted) : "",
                     number_text(trial.compile_seconds), trial.samples.size(),
                     csv_field(trial.reason), csv_field(config));
}

void CsvLog::Close::operator()(const int* fd) const {
  ::close(*fd);
  delete fd;
}

Expected<CsvLog> CsvLog::open(const std::string& path) {
  auto cannot = [&] {
    return fail("file-write", fmt::format("cannot write `{}`: {}", path, std::strerror(errno)));
  };
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return cannot();
  CsvLog log(fd);
  const std::string header = csv_header();
  std::string there(header.size(), '\0');
  struct stat status = {};
  const bool is_file = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  const ssize_t read = is_file ? ::pread(fd, there.data(), there.size(), 0) : 0;
  if (read < 0) return cannot();
  if (read == 0) {
    if (!write_all(fd, header)) log.error_ = errno;
    if (log.error_ != 0 && !is_full(log.error_)) return cannot();
  } else if (there != header) {
    return fail("csv-header", fmt::format("`{}` is a file of another kind", path),
                "name a new file, or one that an earlier tuning run has written");
  }
  // A run that was killed may have left half a row.
  char last = '\n';
  off_t end = ::lseek(fd, 0, SEEK_END);
  if (end > 0 && ::pread(fd, &last, 1, end - 1) == 1 && last != '\n' && !write_all(fd, "\r\n")) {
    log.error_ = errno;
    if (!is_full(log.error_)) return cannot();
  }
  return log;
}

void CsvLog::add(const Trial& trial, i64 number, const std::string& shape) {
  if (error_ == 0 && !write_all(*fd_, csv_row(trial, number, shape))) error_ = errno;
  if (error_ != 0) ++lost_;
}

std::string CsvLog::trouble() const { return std::strerror(error_); }

}  // namespace peri::tune
