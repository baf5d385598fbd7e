// The functions and methods of torch, math, helion and Python that kernels may call, by spelling.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "check/checker.h"

namespace peri::check {

// Where a spelling stands. A row of names.def may list several.
enum Scope : u16 {
  T = 1,    // torch.NAME
  M = 2,    // a method of tensors
  F = 4,    // torch.nn.functional.NAME
  H = 8,    // helion.language.NAME
  O = 16,   // helion.NAME
  A = 32,   // math.NAME
  P = 64,   // a Python builtin
  L = 128,  // a method of lists and tuples
  D = 256,  // a method of dicts
  S = 512,  // a method of strings
};

// Where a function may be called, and how it treats host tensors.
enum class Use : u8 {
  Any,   // it looks itself
  Math,  // computes on device values; on host tensors it becomes a root of its own
  Host,
  Device,
  Later,  // known, and not supported yet
};

// Arguments in the order of the signature.
class Args {
 public:
  Args(const Entry& entry, const Call& call) : entry(entry), span(call.span), callee(call.callee) {}

  const Entry& entry;
  Span span;
  Span callee;
  std::vector<Value> values;
  std::vector<bool> given;

  const Value& operator[](i64 i) const { return values[i]; }
  // Given, and not None.
  bool has(i64 i) const { return given[i] && !values[i].none(); }
  std::string name() const;
};

using Handler = Value (*)(Checker&, const Args&);

struct Entry {
  u16 scopes;
  std::string_view name;
  Handler handler;
  Builtin builtin;
  Use use;
  // Parameters in order: `name` is required, `name?` may be left out, `*name` takes the remaining
  // positional arguments (or one sequence).
  std::string_view signature;
};

const Entry* find_name(Scope scope, std::string_view name);
// "torch.exp", "hl.tile": a canonical path; nullptr if there is none.
const Entry* find_path(std::string_view path);
// Names of one scope, for "did you mean".
std::vector<std::string> names_in(Scope scope);
// The spelling for messages: "torch.exp", "hl.tile", ".sum".
std::string spelling_of(const Entry& entry);

// The candidate nearest to `name` in edits, if it is near enough to be a typing error.
std::optional<std::string> nearest(std::string_view name,
                                   const std::vector<std::string>& candidates);

}  // namespace peri::check
