// Kernels from text, for tests of the checker: parse, find, type in one call.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <list>
#include <map>
#include <string>

#include "check/check.h"
#include "syntax/parse.h"

namespace peri::check {

// The texts of lambda arguments live as long as the arguments.
struct LambdaAsts {
  std::list<syntax::Ast> asts;
};

// "f32[4,8]", "f32[4,8].t" (transposed), "f32[4,8].s2" (every second row), "3", "0.5", "true",
// "none", "'text'", "torch.float16" (a dtype), "(3;4)" (a tuple), "{3;4}" (a list), "lambda ...".
class ArgReader {
 public:
  ArgReader(diag::Diags& diags, LambdaAsts& lambdas) : diags_(diags), lambdas_(lambdas) {}

  ArgSpec read(const std::string& text) {
    using Kind = ArgSpec::Kind;
    ArgSpec spec;
    if (text == "none") return spec;
    if (text == "true" || text == "false") {
      spec.kind = Kind::Bool;
      spec.value = SymValue::of_bool(text == "true");
    } else if (text.starts_with("lambda")) {
      spec.kind = Kind::Lambda;
      spec.text = text;
      const diag::SourceId source = diags_.sources().add("<arg>", text);
      lambdas_.asts.push_back(syntax::parse_expression(source, diags_));
      spec.ast = &lambdas_.asts.back();
    } else if (text[0] == '(' || text[0] == '{') {
      spec.kind = text[0] == '(' ? Kind::Tuple : Kind::List;
      split(text.substr(1, text.size() - 2), spec.items);
    } else if (text[0] == '\'') {
      spec.kind = Kind::String;
      spec.text = text.substr(1, text.size() - 2);
    } else if (text.find('[') != std::string::npos) {
      tensor(text, spec);
    } else if (text.starts_with("torch.")) {
      spec.kind = Kind::Dtype;
      spec.dtype = *parse_dtype(text.substr(6));
    } else {
      number(text, spec);
    }
    return spec;
  }

 private:
  void split(const std::string& text, std::vector<ArgSpec>& items) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find(';', at), text.size());
      items.push_back(read(text.substr(at, end - at)));
      at = end + 1;
    }
  }

  static void tensor(const std::string& text, ArgSpec& spec) {
    spec.kind = ArgSpec::Kind::Tensor;
    const std::size_t open = text.find('['), close = text.find(']');
    spec.dtype = *parse_dtype(text.substr(0, open));
    for (std::size_t at = open + 1; at < close;) {
      const std::size_t end = std::min(text.find(',', at), close);
      spec.sizes.push_back(std::stoll(text.substr(at, end - at)));
      at = end + 1;
    }
    spec.strides.resize(spec.sizes.size());
    i64 stride = text.ends_with(".s2") ? 2 : 1;
    for (std::size_t i = spec.sizes.size(); i-- > 0; stride *= spec.sizes[i]) {
      spec.strides[i] = i + 1 == spec.sizes.size() ? 1 : stride;
    }
    if (!text.ends_with(".t")) return;
    std::ranges::reverse(spec.sizes);
    std::ranges::reverse(spec.strides);
  }

  static void number(const std::string& text, ArgSpec& spec) {
    const bool real = text.find_first_of(".e") != std::string::npos;
    spec.kind = real ? ArgSpec::Kind::Float : ArgSpec::Kind::Int;
    spec.value = real ? SymValue::of(std::strtod(text.c_str(), nullptr))
                      : SymValue::of(static_cast<i64>(std::stoll(text)));
  }

  diag::Diags& diags_;
  LambdaAsts& lambdas_;
};

using ArgTexts = std::map<std::string, std::string>;

struct Checked {
  bool ok = false;
  std::string typed;   // print() of the kernel
  std::string errors;  // "code line:column message", one a line; lines count from the text's first
  std::string notes;   // notes and warnings, likewise
  std::string rendered;
  std::string key;
};

// The imports before every text of check_text; lines are counted after them.
inline constexpr std::string_view kPrelude =
    "import math\n"
    "import torch\n"
    "import torch.nn.functional as F\n"
    "import helion\n"
    "import helion.language as hl\n";
inline constexpr i64 kPreludeLines = 5;

// Types the module's kernel of that name, or its last one if the name is "".
inline Checked check_module(const std::string& text, std::string_view kernel, const ArgTexts& args,
                            bool dynamic, i64 skipped_lines = 0) {
  diag::Sources sources;
  diag::Diags diags(sources);
  LambdaAsts lambdas;
  const syntax::Ast module = syntax::parse_module(sources.add("k.py", text), diags);
  std::vector<KernelDecl> kernels = find_kernels(module, diags);
  std::map<std::string, ArgSpec> specs;
  ArgReader reader(diags, lambdas);
  for (const auto& [name, spec] : args) specs[name] = reader.read(spec);
  Checked result;
  for (KernelDecl& decl : kernels) {
    if (decl.name != kernel && !(kernel.empty() && &decl == &kernels.back())) continue;
    if (dynamic) decl.static_shapes = false;
    result.key = specialization_key(module, decl, specs);
    const std::optional<TypedKernel> typed = check(module, decl, specs, diags);
    result.ok = typed.has_value();
    if (typed) result.typed = print(*typed);
  }
  for (const diag::Diagnostic& d : diags.all()) {
    const bool placed = static_cast<bool>(d.span);
    const diag::Sources::Place place =
        placed ? sources.place(d.span.source, d.span.begin) : diag::Sources::Place{};
    std::string& out = d.severity == diag::Severity::Error ? result.errors : result.notes;
    out += fmt::format("{} {}:{} {}\n", code_of(d.kind), place.line - skipped_lines, place.column,
                       d.message);
  }
  result.rendered = render_text(diags);
  return result;
}

inline Checked check_text(const std::string& text, const ArgTexts& args, bool dynamic = false) {
  return check_module(std::string(kPrelude) + text, "", args, dynamic, kPreludeLines);
}

}  // namespace peri::check
