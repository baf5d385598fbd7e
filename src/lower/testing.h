// Kernels from text, for tests: parse, type and lower in one call.
#pragma once

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <string>

#include "check/check.h"
#include "lower/lower.h"
#include "syntax/parse.h"

namespace peri::lower {

// "f32[4,8]", "3", "0.5", "true", "none" or a list of those: "[3, 4]".
inline check::ArgSpec arg_spec(std::string_view text) {
  using Kind = check::ArgSpec::Kind;
  check::ArgSpec spec;
  if (text == "none") return spec;
  if (text == "true" || text == "false") {
    spec.kind = Kind::Bool;
    spec.value = SymValue::of_bool(text == "true");
    return spec;
  }
  std::size_t open = text.find('[');
  if (auto dtype = parse_dtype(text.substr(0, open))) {
    spec.kind = open == std::string_view::npos ? Kind::Dtype : Kind::Tensor;
    spec.dtype = *dtype;
    for (std::size_t i = open + 1; open != std::string_view::npos && text[open] != ']';) {
      i64 size = 0;
      auto [end, error] = std::from_chars(text.data() + i, text.data() + text.size(), size);
      if (error != std::errc()) break;
      spec.sizes.push_back(size);
      open = static_cast<std::size_t>(end - text.data());
      i = open + 1;
    }
    i64 stride = 1;
    spec.strides.resize(spec.sizes.size());
    for (std::size_t i = spec.sizes.size(); i-- > 0; stride *= spec.sizes[i]) {
      spec.strides[i] = stride;
    }
    return spec;
  }
  bool real = text.find('.') != std::string_view::npos;
  spec.kind = real ? Kind::Float : Kind::Int;
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  spec.value = real ? SymValue::of(value) : SymValue::of(static_cast<i64>(value));
  return spec;
}

struct FromText {
  std::optional<check::TypedKernel> typed;
  std::optional<Lowered> lowered;
  std::string errors;
};

// Lowers the module's kernel of that name, or its only one if the name is "".
inline FromText lower_text(const std::string& text, std::string_view kernel,
                           const std::map<std::string, std::string>& args) {
  diag::Sources sources;
  diag::Diags diags(sources);
  diag::SourceId source = sources.add("k.py", text);
  syntax::Ast module = syntax::parse_module(source, diags);
  std::map<std::string, check::ArgSpec> specs;
  for (const auto& [name, spec] : args) specs[name] = arg_spec(spec);
  FromText result;
  for (const check::KernelDecl& decl : check::find_kernels(module, diags)) {
    if (decl.name != kernel && !kernel.empty()) continue;
    result.typed = check::check(module, decl, specs, diags);
    break;
  }
  if (result.typed) result.lowered = lower(*result.typed);
  result.errors = diag::render_text(diags);
  return result;
}

}  // namespace peri::lower
