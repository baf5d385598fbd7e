#include "diag/diag.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/bug.h"
#include "diag/utf8.h"

namespace peri::diag {
namespace {

struct KindRow {
  std::string_view code;
  std::string_view doc;
};

constexpr KindRow kKinds[] = {
#define KIND(name, code, doc) {code, doc},
#include "diag/kinds.def"
};

// A line ends with "\n", "\r\n" or a lone "\r".
std::vector<u32> find_line_starts(std::string_view text) {
  std::vector<u32> starts = {0};
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool crlf = text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
    if (text[i] == '\n' || (text[i] == '\r' && !crlf)) starts.push_back(static_cast<u32>(i + 1));
  }
  return starts;
}

// Edit distance with transpositions of neighbours.
i64 distance(std::string_view a, std::string_view b) {
  std::vector<i64> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(above.begin(), above.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<i64>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      i64 change = above[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

}  // namespace

std::string_view code_of(Kind kind) { return kKinds[static_cast<u16>(kind)].code; }
std::string_view doc_of(Kind kind) { return kKinds[static_cast<u16>(kind)].doc; }

SourceId Sources::add(std::string name, std::string text) {
  BUG_IF(text.size() >= std::numeric_limits<u32>::max(), "source `{}` is too long for spans", name);
  Source source{std::move(name), std::move(text), {}};
  source.line_starts = find_line_starts(source.text);
  sources_.push_back(std::move(source));
  return SourceId(static_cast<i64>(sources_.size()) - 1);
}

std::string_view Sources::name(SourceId id) const { return sources_[id.index].name; }
std::string_view Sources::text(SourceId id) const { return sources_[id.index].text; }

Sources::Place Sources::place(SourceId id, u32 offset) const {
  const Source& source = sources_[id.index];
  const std::vector<u32>& starts = source.line_starts;
  offset = std::min(offset, static_cast<u32>(source.text.size()));
  auto line = std::ranges::upper_bound(starts, offset) - starts.begin();
  u32 start = starts[line - 1];
  std::string_view before = std::string_view(source.text).substr(start, offset - start);
  i64 column = 1;
  while (!before.empty()) {
    before.remove_prefix(decode_utf8(before).size);
    ++column;
  }
  return {line, column};
}

std::string_view Sources::line_text(SourceId id, i64 line) const {
  const Source& source = sources_[id.index];
  const std::vector<u32>& starts = source.line_starts;
  if (line < 1 || line > static_cast<i64>(starts.size())) return {};
  u32 end =
      line < static_cast<i64>(starts.size()) ? starts[line] : static_cast<u32>(source.text.size());
  std::string_view text = std::string_view(source.text).substr(starts[line - 1]);
  text = text.substr(0, end - starts[line - 1]);
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

std::string_view Sources::snippet(Span span) const {
  if (!span) return {};
  std::string_view all = text(span.source);
  u32 size = static_cast<u32>(all.size());
  u32 begin = std::min(span.begin, size);
  return all.substr(begin, std::clamp(span.end, begin, size) - begin);
}

Diagnostic& Diags::error(Kind kind, Span span, std::string message) {
  ++errors_;
  if (errors_ <= kMaxErrors) return add(Severity::Error, kind, span, std::move(message));
  dropped_ = {kind, Severity::Error, std::move(message), span, {}, {}, {}};
  return dropped_;
}

Diagnostic& Diags::warning(Kind kind, Span span, std::string message) {
  return add(Severity::Warning, kind, span, std::move(message));
}

Diagnostic& Diags::note(Kind kind, Span span, std::string message) {
  return add(Severity::Note, kind, span, std::move(message));
}

Diagnostic& Diags::add(Severity severity, Kind kind, Span span, std::string message) {
  return all_.emplace_back(Diagnostic{kind, severity, std::move(message), span, {}, {}, {}});
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongest = 100;  // longer words are not worth a quadratic comparison
  std::string best;
  i64 limit = std::max<i64>(1, static_cast<i64>(word.size()) / 3);
  if (word.size() > kLongest) return best;
  for (const std::string& candidate : candidates) {
    i64 longer = static_cast<i64>(std::max(word.size(), candidate.size()));
    i64 shorter = static_cast<i64>(std::min(word.size(), candidate.size()));
    if (longer - shorter > limit) continue;
    i64 d = distance(word, candidate);
    if (d > limit || d >= longer) continue;
    best = candidate;
    limit = d - 1;  // only a nearer one replaces it
  }
  return best;
}

}  // namespace peri::diag
