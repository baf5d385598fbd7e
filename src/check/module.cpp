#include "check/module.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <numbers>

#include "check/names.h"

namespace peri::check {
namespace {

using diag::Kind;
using syntax::Ast;
using syntax::ExprKind;
using syntax::Stmt;
using syntax::StmtKind;

// Prefixes of one thing under several names.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kPrefixes{{
    {"perihelion", "helion"},
    {"helion.language", "hl"},
    {"torch.nn.functional", "F"},
    {"torch.functional", "torch"},
    {"torch.Tensor", "torch.Tensor"},
    {"builtins", "python"},
}};

constexpr std::array kModules{"torch",
                              "helion",
                              "hl",
                              "F",
                              "math",
                              "torch.nn",
                              "torch.special",
                              "torch.cuda",
                              "torch.compiler",
                              "torch.linalg",
                              "torch._higher_order_ops",
                              "helion.autotuner",
                              "helion.autotuner.config_fragment",
                              "helion.experimental"};

bool starts_with_module(std::string_view path, std::string_view prefix) {
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '.');
}

bool mentions_name(const Ast& ast, syntax::ExprId id, std::string_view name) {
  if (!id) return false;
  const syntax::Expr& e = ast[id];
  if (e.kind == ExprKind::Name && e.text == name) return true;
  return std::ranges::any_of(e.items,
                             [&](syntax::ExprId i) { return mentions_name(ast, i, name); });
}

std::string first_component(const std::string& path) { return path.substr(0, path.find('.')); }

}  // namespace

std::string canonical_path(const std::string& path) {
  std::string result = path;
  for (const auto& [from, to] : kPrefixes) {
    if (starts_with_module(result, from)) result = std::string(to) + result.substr(from.size());
  }
  return result;
}

ModuleScope::ModuleScope(const Ast& ast) { collect(ast, ast.module, true); }

ModuleBinding* ModuleScope::find(const std::string& name) {
  const auto it = bindings_.find(name);
  return it == bindings_.end() ? nullptr : &it->second;
}

std::vector<std::string> ModuleScope::names() const {
  std::vector<std::string> names;
  for (const auto& [name, binding] : bindings_) names.push_back(name);
  return names;
}

// Unconditional bindings: the last one counts. In branches (`try`, `if`): the first one.
void ModuleScope::bind(const std::string& name, ModuleBinding binding, bool strong) {
  const auto it = strong_.find(name);
  if (it != strong_.end() && !strong) return;
  bindings_[name] = std::move(binding);
  strong_[name] = strong;
}

void ModuleScope::collect(const Ast& ast, const std::vector<syntax::StmtId>& body, bool strong) {
  for (syntax::StmtId id : body) collect_stmt(ast, id, strong);
}

void ModuleScope::collect_import(const Stmt& stmt, syntax::StmtId id, bool strong) {
  for (const syntax::ImportName& import : stmt.imports) {
    ModuleBinding binding;
    binding.stmt = id;
    if (stmt.kind == StmtKind::ImportFrom && import.name == "*") {
      stars_.push_back(canonical_path(stmt.text));
      continue;
    }
    std::string name = import.alias;
    if (stmt.kind == StmtKind::ImportFrom) {
      binding.path = stmt.text.substr(std::min(stmt.text.find_first_not_of('.'), stmt.text.size()));
      binding.path += (binding.path.empty() ? "" : ".") + import.name;
      if (name.empty()) name = import.name;
    } else {
      binding.path = name.empty() ? first_component(import.name) : import.name;
      if (name.empty()) name = binding.path;
    }
    bind(name, std::move(binding), strong);
  }
}

void ModuleScope::collect_target(const Ast& ast, syntax::ExprId target, syntax::StmtId stmt,
                                 bool strong) {
  const syntax::Expr& e = ast[target];
  if (e.kind == ExprKind::Name) {
    ModuleBinding binding;
    binding.stmt = stmt;
    bind(e.text, std::move(binding), strong);
  } else if (e.kind == ExprKind::Tuple || e.kind == ExprKind::List || e.kind == ExprKind::Starred) {
    for (syntax::ExprId item : e.items) collect_target(ast, item, stmt, strong);
  }
}

void ModuleScope::collect_stmt(const Ast& ast, syntax::StmtId id, bool strong) {
  const Stmt& stmt = ast[id];
  switch (stmt.kind) {
    case StmtKind::Import:
    case StmtKind::ImportFrom:
      return collect_import(stmt, id, strong);
    case StmtKind::Function:
    case StmtKind::Class:
    case StmtKind::TypeAlias: {
      ModuleBinding binding;
      binding.stmt = id;
      return bind(stmt.text, std::move(binding), strong);
    }
    case StmtKind::Assign:
      for (std::size_t i = 0; i + 1 < stmt.exprs.size(); ++i) {
        collect_target(ast, stmt.exprs[i], id, strong);
      }
      return;
    case StmtKind::AnnAssign:
      if (stmt.exprs[2]) collect_target(ast, stmt.exprs[0], id, strong);
      return;
    case StmtKind::If:
      if (mentions_name(ast, stmt.exprs[0], "__name__")) return;
      collect(ast, stmt.body, false);
      return collect(ast, stmt.orelse, false);
    case StmtKind::Try:
      collect(ast, stmt.body, false);
      for (const auto& handler : stmt.handlers) collect(ast, handler, false);
      collect(ast, stmt.orelse, false);
      return collect(ast, stmt.finally, false);
    case StmtKind::With:
      return collect(ast, stmt.body, false);
    default:
      return;
  }
}

namespace {

std::optional<Value> constant_attribute(Checker& c, std::string_view path) {
  const auto dot = path.rfind('.');
  const std::string_view module = path.substr(0, dot), name = path.substr(dot + 1);
  if (module != "math" && module != "torch") return std::nullopt;
  if (name == "pi") return scalar_value(c.syms.real(std::numbers::pi));
  if (name == "e") return scalar_value(c.syms.real(std::numbers::e));
  if (name == "inf") return scalar_value(c.syms.real(std::numeric_limits<double>::infinity()));
  if (name == "nan") return scalar_value(c.syms.real(std::numeric_limits<double>::quiet_NaN()));
  if (name == "tau") return scalar_value(c.syms.real(2 * std::numbers::pi));
  return std::nullopt;
}

// torch.float32 and its like. The short names of our texts ("f32") are no attributes of torch.
std::optional<Dtype> torch_dtype(std::string_view name) {
  const std::optional<Dtype> dtype = parse_dtype(name);
  if (dtype && name == name_of(*dtype) && name != torch_name_of(*dtype)) return std::nullopt;
  return dtype;
}

bool later_dtype(std::string_view name) {
  for (std::string_view prefix : {"float8_", "float4_", "uint16", "uint32", "uint64", "complex",
                                  "uint4", "int4", "cfloat", "chalf", "cdouble", "qint", "quint"}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

bool is_type(std::string_view path) {
  for (std::string_view type : {"torch.Tensor", "torch.dtype", "torch.FloatTensor", "hl.Tile",
                                "torch.SymInt", "torch.nn.Module", "torch.nn.Parameter",
                                "torch.LongTensor", "torch.IntTensor", "hl.ProcessGroupName"}) {
    if (path == type) return true;
  }
  return false;
}

// Parts of the libraries that kernels only pass by.
bool is_library_part(std::string_view path) {
  for (std::string_view part : {"helion.exc",
                                "helion.runtime",
                                "helion.testing",
                                "torch.distributed",
                                "torch.utils",
                                "torch.backends",
                                "torch.ops",
                                "torch.autograd",
                                "torch.version",
                                "torch.no_grad",
                                "torch.inference_mode",
                                "torch.enable_grad",
                                "torch.compile",
                                "torch.jit",
                                "torch.library",
                                "torch.preserve_format",
                                "torch.contiguous_format",
                                "torch.strided",
                                "torch.random",
                                "torch.fx",
                                "torch.manual_seed",
                                "torch.cuda"}) {
    if (path == part) return true;
  }
  return false;
}

std::vector<std::string> attribute_names(const std::string& module) {
  if (module == "torch") return names_in(T);
  if (module == "F") return names_in(F);
  if (module == "hl") return names_in(H);
  if (module == "helion") return names_in(O);
  if (module == "math") return names_in(A);
  return {};
}

}  // namespace

Value Checker::attribute_of_module(const Value& object, const std::string& name, Span span) {
  const std::string path = canonical_path(object.text + "." + name);
  if (const Entry* entry = find_path(path)) {
    Value v = make_value(ValueKind::Builtin, path);
    v.builtin = std::make_shared<BuiltinFn>(BuiltinFn{entry, {}, false});
    return v;
  }
  if (std::optional<Value> v = constant_attribute(*this, path)) return *v;
  if (object.text == "torch") {
    if (const std::optional<Dtype> dtype = torch_dtype(name)) return dtype_value(*dtype);
    if (later_dtype(name)) return not_yet(span, path);
  }
  if (is_type(path)) return make_value(ValueKind::Type, path);
  if (path == "helion.exc")
    return make_value(ValueKind::Opaque, path);  // names of warnings, in settings
  if (std::ranges::find(kModules, path) != kModules.end())
    return make_value(ValueKind::Module, path);
  if (path == "typing.TYPE_CHECKING") return scalar_value(syms.boolean(false));
  if (is_library_part(path)) return make_value(ValueKind::Opaque, path);
  const std::vector<std::string> known = attribute_names(object.text);
  const bool has_upper = name[0] >= 'A' && name[0] <= 'Z';
  if (known.empty() || has_upper || name[0] == '_') return make_value(ValueKind::Opaque, path);
  return bad(Kind::UnknownAttribute, span,
             fmt::format("`{}` has no `{}` that is known here", object.text, name),
             nearest_hint(name, known));
}

}  // namespace peri::check
