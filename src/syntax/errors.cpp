#include "syntax/errors.h"

#include <algorithm>

namespace peri::syntax {

using diag::Diagnostic;

Diagnostic& ErrorList::add(diag::Kind kind, diag::Span span, std::string message) {
  Diagnostic error{kind, diag::Severity::Error, std::move(message), span, {}, {}, {}};
  if (++count_ <= diag::Diags::kMaxErrors) return errors_.emplace_back(std::move(error));
  return dropped_ = std::move(error);
}

void ErrorList::report(ErrorList first, ErrorList second, diag::Diags& diags) {
  std::vector<Diagnostic> merged;
  for (ErrorList* list : {&first, &second}) {
    for (Diagnostic& d : list->errors_) {
      auto begin = [](const Diagnostic& e) { return e.span.begin; };
      merged.insert(std::ranges::upper_bound(merged, d.span.begin, {}, begin), std::move(d));
    }
  }
  for (Diagnostic& d : merged) {
    Diagnostic& added = diags.error(d.kind, d.span, std::move(d.message));
    added.labels = std::move(d.labels);
    added.notes = std::move(d.notes);
    added.hint = std::move(d.hint);
  }
  i64 rest = first.count_ + second.count_ - static_cast<i64>(merged.size());
  for (i64 i = 0; i < rest; ++i) diags.error(first.dropped_.kind, {}, {});
}

}  // namespace peri::syntax
