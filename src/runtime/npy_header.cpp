#include "runtime/npy_header.h"

#include <fmt/format.h>

#include <charconv>

namespace peri::runtime {
namespace {

constexpr std::size_t kMaxRank = 64;

// Reads the header from left to right; each step is false if the text goes on differently.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  Expected<NpyHeader> parse() {
    NpyHeader header;
    bool descr = false, order = false, shape = false;
    if (!take("{")) return malformed("a dict");
    while (!take("}")) {
      std::string key;
      if (!string(key) || !take(":")) return malformed("a key");
      bool* seen = key == "descr"           ? &descr
                   : key == "fortran_order" ? &order
                   : key == "shape"         ? &shape
                                            : nullptr;
      if (seen == nullptr || *seen) return malformed("each of its keys once");
      *seen = true;
      if (seen == &descr && next_is('[')) {
        return fail("npy-dtype", "arrays of records are not supported");
      }
      const bool valid = seen == &descr   ? string(header.descr)
                         : seen == &order ? boolean(header.fortran_order)
                                          : tuple(header.shape);
      if (!valid) return malformed(key);
      if (!take(",") && !next_is('}')) return malformed("a comma");
    }
    skip_space();
    if (!descr || !order || !shape) return malformed("all of its keys");
    if (!rest_.empty()) return malformed("nothing after the dict");
    return header;
  }

 private:
  static std::unexpected<Error> malformed(std::string_view expected) {
    return fail("npy-header", fmt::format("malformed .npy header: expected {}", expected));
  }

  void skip_space() {
    const auto end = rest_.find_first_not_of(" \t\r\n\f\v");
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end);
  }

  bool next_is(char c) {
    skip_space();
    return rest_.starts_with(c);
  }

  bool take(std::string_view token) {
    skip_space();
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  bool string(std::string& out) {
    skip_space();
    if (!rest_.starts_with('\'') && !rest_.starts_with('"')) return false;
    const auto end = rest_.find(rest_[0], 1);
    if (end == std::string_view::npos) return false;
    out = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return out.find_first_of("\\\n") == std::string::npos;
  }

  bool boolean(bool& out) {
    out = take("True");
    return out || take("False");
  }

  bool integer(i64& out) {
    skip_space();
    if (rest_.starts_with('-')) return false;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), out);
    if (error != std::errc()) return false;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    if (rest_.starts_with('L')) rest_.remove_prefix(1);  // Python 2's long
    return true;
  }

  bool tuple(std::vector<i64>& out) {
    if (!take("(")) return false;
    bool comma = true;
    while (!take(")")) {
      i64 size = 0;
      if (!comma || out.size() == kMaxRank || !integer(size)) return false;
      out.push_back(size);
      comma = take(",");
    }
    return out.size() != 1 || comma;  // (3) is a number
  }

  std::string_view rest_;
};

}  // namespace

Expected<NpyHeader> parse_npy_header(std::string_view text) { return HeaderParser(text).parse(); }

std::string format_npy_header(const NpyHeader& header) {
  std::string shape;
  for (i64 size : header.shape) shape += fmt::format("{}, ", size);
  if (header.shape.size() > 1) shape.resize(shape.size() - 2);
  if (header.shape.size() == 1) shape.resize(shape.size() - 1);
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': ({}), }}",
                                 header.descr, header.fortran_order ? "True" : "False", shape);
  // Data begins at a multiple of 64. At most kMaxRank sizes: always short enough for version 1.
  constexpr std::size_t kPrefix = 10;
  const std::size_t padded = (kPrefix + text.size() + 1 + 63) / 64 * 64;
  text.resize(padded - kPrefix - 1, ' ');
  text += '\n';
  std::string out = "\x93NUMPY\x01";
  out += '\0';
  out += static_cast<char>(text.size() & 0xff);
  out += static_cast<char>(text.size() >> 8);
  return out + text;
}

}  // namespace peri::runtime
