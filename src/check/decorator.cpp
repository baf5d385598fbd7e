// Kernels of a module: functions under @helion.kernel, with the decorator's arguments evaluated.
#include <fmt/format.h>

#include <array>

#include "check/checker.h"
#include "check/fns.h"

namespace peri::check {

using diag::Kind;
using nlohmann::ordered_json;
using syntax::Ast;
using syntax::Expr;
using syntax::ExprId;
using syntax::ExprKind;
using syntax::Stmt;
using syntax::StmtId;
using syntax::StmtKind;

namespace {

struct Setting {
  std::string_view name;
  bool used;  // has a meaning here
};

constexpr Setting kSettings[] = {
#define SETTING(name, used) {#name, used},
#include "check/settings.def"
};

const Setting* find_setting(std::string_view name) {
  for (const Setting& s : kSettings) {
    if (s.name == name) return &s;
  }
  return nullptr;
}

// Settings of Helion's other backends, which come and go.
bool foreign_setting(std::string_view name) {
  return name.starts_with("cute_") || name.starts_with("pallas_") || name.starts_with("triton_") ||
         name.starts_with("tileir_");
}

bool is_kernel_maker(const Value& v) {
  return v.is(ValueKind::Builtin) && v.builtin->entry->handler == &fn::nested_kernel;
}

// The decorator's callee, if it is helion.kernel or one of its other names.
std::optional<ExprId> kernel_callee(Checker& c, const Ast& ast, ExprId decorator) {
  const Expr& e = ast[decorator];
  const ExprId callee = e.kind == ExprKind::Call ? e.items[0] : decorator;
  const ExprKind kind = ast[callee].kind;
  if (kind != ExprKind::Name && kind != ExprKind::Attribute) return std::nullopt;
  diag::Diags muted(c.diags->sources());
  diag::Diags* const outer = std::exchange(c.diags, &muted);
  Frame frame;
  frame.ast = &ast;
  frame.env = c.new_env();
  c.frames.push_back(std::move(frame));
  const Value v = c.eval(callee);
  c.frames.pop_back();
  c.diags = outer;
  return is_kernel_maker(v) ? std::optional(callee) : std::nullopt;
}

std::optional<ordered_json> to_json(Checker& c, const Value& v) {
  switch (v.kind) {
    case ValueKind::None:
      return ordered_json(nullptr);
    case ValueKind::String:
      return ordered_json(v.text);
    case ValueKind::Dtype:
      return ordered_json(torch_name_of(v.dtype));
    case ValueKind::Scalar: {
      if (!v.sym.is_const()) return std::nullopt;
      const SymValue& value = v.sym->value;
      if (value.type == SymType::Bool) return ordered_json(value.integer != 0);
      if (value.type == SymType::Int) return ordered_json(value.integer);
      return ordered_json(value.real);
    }
    case ValueKind::Sequence: {
      ordered_json list = ordered_json::array();
      for (const Value& item : v.seq->items) {
        const auto part = to_json(c, item);
        if (!part) return std::nullopt;
        list.push_back(*part);
      }
      return list;
    }
    case ValueKind::Config:
    case ValueKind::Dict: {
      ordered_json object = ordered_json::object();
      for (const auto& [key, item] : v.dict->items) {
        const auto part = to_json(c, item);
        if (!part || !key.is(ValueKind::String)) return std::nullopt;
        object[key.text] = *part;
      }
      return object;
    }
    default:
      return std::nullopt;
  }
}

// Reads the arguments of one decorator into a declaration.
class Decorator {
 public:
  Decorator(Checker& c, const Ast& ast, KernelDecl& decl, std::vector<std::string>& noted,
            const std::vector<KernelDecl>& kernels)
      : c_(c), ast_(ast), decl_(decl), noted_(noted), kernels_(kernels) {}

  void read(ExprId decorator) {
    const Expr& e = ast_[decorator];
    if (e.kind != ExprKind::Call) return;
    for (std::size_t i = 1; i < e.items.size(); ++i) {
      const std::string& name = e.names[i - 1];
      if (name.empty()) continue;  // the function, where the decorator is called by hand
      const Span span = ast_[e.items[i]].span;
      if (name == "**") {
        spread(e.items[i], span);
      } else {
        argument(name, e.items[i], span);
      }
    }
  }

 private:
  // Values of settings that have no meaning here may use anything; they are evaluated in silence.
  Value eval(ExprId id, bool silent) {
    diag::Diags muted(c_.diags->sources());
    diag::Diags* const outer = c_.diags;
    if (silent) c_.diags = &muted;
    Frame frame;
    frame.ast = &ast_;
    frame.env = c_.new_env();
    c_.frames.push_back(std::move(frame));
    Value v = c_.eval(id);
    c_.frames.pop_back();
    c_.diags = outer;
    return v;
  }

  void spread(ExprId id, Span span) {
    const Value v = eval(id, false);
    if (!v.is(ValueKind::Dict)) return;
    for (const auto& [key, item] : v.dict->items) set(key.text, item, span);
  }

  // configs=other_kernel.configs
  bool copy_configs(const std::string& name, ExprId id) {
    const Expr& e = ast_[id];
    if (name != "configs" || e.kind != ExprKind::Attribute || e.text != "configs") return false;
    if (ast_[e.items[0]].kind != ExprKind::Name) return false;
    for (const KernelDecl& kernel : kernels_) {
      if (kernel.name != ast_[e.items[0]].text) continue;
      decl_.configs = kernel.configs;
      return true;
    }
    return false;
  }

  void argument(const std::string& name, ExprId id, Span span) {
    if (copy_configs(name, id)) return;
    const Setting* setting = find_setting(name);
    if (setting == nullptr && !foreign_setting(name)) {
      std::vector<std::string> names;
      for (const Setting& s : kSettings) names.emplace_back(s.name);
      c_.error(Kind::UnknownSetting, span, fmt::format("there is no setting `{}`", name)).hint =
          c_.nearest_hint(name, names);
      return;
    }
    static const std::set<std::string> understood{"config",
                                                  "configs",
                                                  "static_shapes",
                                                  "index_dtype",
                                                  "dot_precision",
                                                  "allow_warp_specialize",
                                                  "persistent_reserved_sms"};
    set(name, eval(id, !understood.contains(name)), span);
  }

  void set(const std::string& name, const Value& v, Span span) {
    if (name == "config") return config(v, span);
    if (name == "configs") return configs(v, span);
    if (name == "static_shapes") {
      if (v.scalar() && v.sym.is_const() && v.sym.type() == SymType::Bool) {
        decl_.static_shapes = v.sym->value.integer != 0;
      } else if (!v.poison()) {
        wrong(name, "True or False", span);
      }
      return;
    }
    if (request(name, v, span)) return;
    const auto json = to_json(c_, v);
    decl_.settings[name] = json ? nlohmann::json(*json) : nlohmann::json(nullptr);
    const Setting* setting = find_setting(name);
    if (setting != nullptr && setting->used) return;
    if (std::ranges::find(noted_, name) != noted_.end()) return;
    noted_.push_back(name);
    c_.diags->note(Kind::IgnoredSetting, span, fmt::format("`{}` has no meaning here", name));
  }

  // Settings of generated code; true if `name` is one.
  bool request(const std::string& name, const Value& v, Span span) {
    Requests& asked = decl_.requests;
    const bool constant = v.scalar() && v.sym.is_const();
    if (name == "index_dtype") {
      const bool fits = v.is(ValueKind::Dtype) && (v.dtype == Dtype::I32 || v.dtype == Dtype::I64);
      if (fits) asked.index_dtype = v.dtype;
      if (!fits && !v.none() && !v.poison()) wrong(name, "torch.int32 or torch.int64", span);
    } else if (name == "dot_precision") {
      const auto* found = std::ranges::find(kDotPrecisions, v.text);
      const bool fits = v.is(ValueKind::String) && found != std::end(kDotPrecisions);
      if (fits) asked.dot_precision = static_cast<DotPrecision>(found - kDotPrecisions);
      if (!fits && !v.poison()) wrong(name, "\"tf32\", \"tf32x3\" or \"ieee\"", span);
    } else if (name == "allow_warp_specialize") {
      const bool fits = constant && v.sym.type() == SymType::Bool;
      if (fits) asked.may_specialize_warps = v.sym->value.integer != 0;
      if (!fits && !v.poison()) wrong(name, "True or False", span);
    } else if (name == "persistent_reserved_sms") {
      const bool fits = constant && v.sym.type() == SymType::Int && v.sym->value.integer >= 0;
      if (fits) asked.reserved_multiprocessors = v.sym->value.integer;
      if (!fits && !v.poison()) wrong(name, "a number that is not negative", span);
    } else {
      return false;
    }
    return true;
  }

  void wrong(const std::string& name, std::string_view wanted, Span span) {
    c_.error(Kind::BadSetting, span, fmt::format("`{}` must be {}", name, wanted));
  }

  void config(const Value& v, Span span) {
    if (v.poison() || v.none()) return;
    const bool fits = v.is(ValueKind::Config) || v.is(ValueKind::Dict);
    const auto json = fits ? to_json(c_, v) : std::nullopt;
    if (!json) return wrong("config", "a `helion.Config` or a dict of constants", span);
    decl_.configs.push_back(*json);
  }

  void configs(const Value& v, Span span) {
    if (v.poison() || v.none()) return;
    if (!v.is(ValueKind::Sequence)) return wrong("configs", "a list of configs", span);
    for (const Value& item : v.seq->items) config(item, item.span.source ? item.span : span);
  }

  Checker& c_;
  const Ast& ast_;
  KernelDecl& decl_;
  std::vector<std::string>& noted_;
  const std::vector<KernelDecl>& kernels_;  // those found before
};

// Walks a module for kernels.
class Finder {
 public:
  Finder(const Ast& ast, diag::Diags& diags) : ast_(ast), checker_(ast, diags) {}

  std::vector<KernelDecl> run() {
    walk(ast_.module);
    return std::move(kernels_);
  }

 private:
  void walk(const std::vector<StmtId>& body) {
    for (StmtId id : body) {
      const Stmt& stmt = ast_[id];
      if (stmt.kind == StmtKind::Function) {
        function(id);
      } else if (stmt.kind == StmtKind::If || stmt.kind == StmtKind::Try ||
                 stmt.kind == StmtKind::With) {
        walk(stmt.body);
        for (const auto& handler : stmt.handlers) walk(handler);
        walk(stmt.orelse);
      } else if (stmt.kind == StmtKind::AnnAssign ||
                 (stmt.kind == StmtKind::Assign && stmt.exprs.size() == 2)) {
        assignment(stmt);
      }
    }
  }

  KernelDecl declare(StmtId id, std::string name) const {
    const Stmt& stmt = ast_[id];
    KernelDecl decl;
    decl.name = std::move(name);
    decl.function = id;
    decl.span = stmt.head_span ? stmt.head_span : stmt.span;
    for (const syntax::Param& p : stmt.params) {
      decl.params.push_back(p.name);
      decl.param_info.push_back(
          {p.name, static_cast<bool>(p.default_value),
           p.annotation ? std::string(checker_.diags->sources().snippet(ast_[p.annotation].span))
                        : ""});
    }
    return decl;
  }

  void add(KernelDecl decl) {
    std::erase_if(kernels_, [&](const KernelDecl& k) { return k.name == decl.name; });
    kernels_.push_back(std::move(decl));
  }

  void function(StmtId id) {
    const Stmt& stmt = ast_[id];
    for (ExprId decorator : stmt.decorators) {
      if (!kernel_callee(checker_, ast_, decorator)) continue;
      KernelDecl decl = declare(id, stmt.text);
      Decorator(checker_, ast_, decl, noted_, kernels_).read(decorator);
      add(std::move(decl));
      return;
    }
  }

  StmtId function_named(const std::string& name) {
    for (const KernelDecl& kernel : kernels_) {
      if (kernel.name == name) return kernel.function;
    }
    const ModuleBinding* binding = checker_.module.find(name);
    const bool is_def = binding != nullptr && ast_[binding->stmt].kind == StmtKind::Function;
    return is_def ? binding->stmt : StmtId();
  }

  // softmax = helion.kernel(softmax_fn, config=...), or helion.kernel(config=...)(softmax_fn)
  void assignment(const Stmt& stmt) {
    if (ast_[stmt.exprs[0]].kind != ExprKind::Name || !stmt.exprs.back()) return;
    ExprId call = stmt.exprs.back();
    if (ast_[call].kind != ExprKind::Call || ast_[call].items.size() < 2) return;
    ExprId argument = ast_[call].items[1];
    if (!ast_[call].names[0].empty()) return;
    if (ast_[argument].kind == ExprKind::Attribute && ast_[argument].text == "fn") {
      argument = ast_[argument].items[0];  // the function of another kernel
    }
    if (ast_[argument].kind != ExprKind::Name) return;
    if (ast_[ast_[call].items[0]].kind == ExprKind::Call) call = ast_[call].items[0];
    if (!kernel_callee(checker_, ast_, call)) return;
    const StmtId function = function_named(ast_[argument].text);
    if (!function) return;
    KernelDecl decl = declare(function, ast_[stmt.exprs[0]].text);
    Decorator(checker_, ast_, decl, noted_, kernels_).read(call);
    add(std::move(decl));
  }

  const Ast& ast_;
  Checker checker_;
  std::vector<std::string> noted_;
  std::vector<KernelDecl> kernels_;
};

}  // namespace

bool is_kernel_function(Checker& c, const Ast& ast, const Stmt& function) {
  return std::ranges::any_of(function.decorators, [&](ExprId decorator) {
    return kernel_callee(c, ast, decorator).has_value();
  });
}

std::vector<KernelDecl> find_kernels(const Ast& module, diag::Diags& diags) {
  return Finder(module, diags).run();
}

}  // namespace peri::check
