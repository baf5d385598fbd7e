// check(): from a kernel function and what is known of its arguments to the typed kernel.
#include <fmt/format.h>

#include "check/checker.h"
#include "check/fns.h"

namespace peri::check {

using diag::Kind;
using syntax::ExprKind;
using syntax::Stmt;

namespace {

// Strides of a tensor as if it were contiguous; those of dimensions of size 1 do not matter.
bool contiguous(const ArgSpec& spec) {
  i64 stride = 1;
  for (std::size_t i = spec.sizes.size(); i-- > 0;) {
    if (spec.sizes[i] != 1 && spec.strides[i] != stride) return false;
    stride *= spec.sizes[i];
  }
  return true;
}

std::string_view stride_class(const ArgSpec& spec) {
  if (contiguous(spec)) return "contiguous";
  return !spec.strides.empty() && spec.strides.back() == 1 ? "inner" : "any";
}

Sym arg_symbol(Checker& c, SymbolOrigin origin, std::string name, i64 dim, i64 hint) {
  Symbol symbol;
  symbol.name = std::move(name);
  symbol.origin = origin;
  symbol.leaf = static_cast<i64>(c.kernel.leaf_names.size()) - 1;
  symbol.dim = dim;
  symbol.hint = SymValue::of(hint);
  return c.syms.symbol_sym(c.syms.add_symbol(std::move(symbol)));
}

Value tensor_argument(Checker& c, const ArgSpec& spec, const std::string& name) {
  HostTensor t;
  t.name = name;
  t.dtype = spec.dtype;
  t.leaf = static_cast<i64>(c.kernel.leaf_names.size()) - 1;
  const std::string_view strides = stride_class(spec);
  for (std::size_t i = 0; i < spec.sizes.size(); ++i) {
    const i64 dim = static_cast<i64>(i);
    if (c.static_shapes) {
      t.sizes.push_back(c.integer(spec.sizes[i]));
      t.strides.push_back(c.integer(spec.strides[i]));
      continue;
    }
    t.sizes.push_back(arg_symbol(c, SymbolOrigin::ArgSize,
                                 fmt::format("s{}", c.syms.symbol_count()), dim, spec.sizes[i]));
    const bool unit = strides == "inner" && i + 1 == spec.sizes.size();
    t.strides.push_back(unit || strides == "contiguous"
                            ? c.integer(1)
                            : arg_symbol(c, SymbolOrigin::ArgStride,
                                         fmt::format("t{}", c.syms.symbol_count()), dim,
                                         spec.strides[i]));
  }
  if (!c.static_shapes && strides == "contiguous") t.strides = c.contiguous_strides(t.sizes);
  return tensor_value(c.add_tensor(std::move(t)));
}

Value scalar_argument(Checker& c, const ArgSpec& spec, const std::string& name, bool constant) {
  if (constant) return scalar_value(c.syms.constant(spec.value));
  Symbol symbol;
  symbol.name = name;
  symbol.type = spec.value.type;
  symbol.origin = SymbolOrigin::ArgValue;
  symbol.leaf = static_cast<i64>(c.kernel.leaf_names.size()) - 1;
  symbol.hint = spec.value;
  return scalar_value(c.syms.symbol_sym(c.syms.add_symbol(std::move(symbol))));
}

Value lambda_argument(Checker& c, const ArgSpec& spec) {
  if (spec.ast == nullptr || spec.ast->module.empty()) return {};
  const Stmt& stmt = (*spec.ast)[spec.ast->module[0]];
  Frame frame;
  frame.ast = spec.ast;
  frame.env = c.new_env();
  c.frames.push_back(std::move(frame));
  Value v = c.eval(stmt.exprs[0]);
  c.frames.pop_back();
  if (v.fn) {  // its free names are arguments and globals of the module
    auto fn = std::make_shared<Function>(*v.fn);
    fn->closure = nullptr;
    v.fn = std::move(fn);
  }
  return v;
}

// `hl.constexpr`, `constexpr[int]`, also as a string: Helion looks for the word, and so do we.
bool mentions_constexpr(const syntax::Ast& ast, syntax::ExprId id) {
  if (!id) return false;
  const syntax::Expr& e = ast[id];
  const bool word =
      e.kind == ExprKind::Name || e.kind == ExprKind::Attribute || e.kind == ExprKind::String;
  if (word && e.text.find("constexpr") != std::string::npos) return true;
  return std::ranges::any_of(e.items,
                             [&](syntax::ExprId item) { return mentions_constexpr(ast, item); });
}

// Names that a lambda argument uses.
bool lambda_names(const ArgSpec& spec, const std::string& name) {
  if (spec.kind == ArgSpec::Kind::List || spec.kind == ArgSpec::Kind::Tuple) {
    return std::ranges::any_of(spec.items, [&](const ArgSpec& s) { return lambda_names(s, name); });
  }
  if (spec.ast == nullptr) return false;
  return std::ranges::any_of(spec.ast->exprs, [&](const syntax::Expr& e) {
    return e.kind == ExprKind::Name && e.text == name;
  });
}

// Reports arguments that no parameter, lambda or global of the module takes.
bool known_arguments(Checker& c, const Stmt& function, const std::map<std::string, ArgSpec>& args) {
  bool ok = true;
  for (const auto& [name, spec] : args) {
    const auto is_param = [&](const syntax::Param& p) { return p.name == name; };
    if (std::ranges::any_of(function.params, is_param) || c.module.find(name) != nullptr) continue;
    const bool used = std::ranges::any_of(
        args, [&](const auto& other) { return lambda_names(other.second, name); });
    if (used) continue;
    std::vector<std::string> names;
    for (const syntax::Param& p : function.params) names.push_back(p.name);
    c.error(Kind::KernelArgument, function.head_span,
            fmt::format("`{}` has no argument `{}`", function.text, name))
        .hint = c.nearest_hint(name, names);
    ok = false;
  }
  return ok;
}

// An annotation that says tensor or number and an argument that is the other thing.
bool fits_annotation(Checker& c, const syntax::Param& p, const ArgSpec& spec) {
  if (!p.annotation) return true;
  const std::string_view text = c.diags->sources().snippet(c.module_ast[p.annotation].span);
  const bool tensor = text == "torch.Tensor" || text == "Tensor";
  const bool number = text == "int" || text == "float" || text == "bool";
  const bool is_tensor = spec.kind == ArgSpec::Kind::Tensor;
  if ((!tensor || is_tensor) && (!number || !is_tensor)) return true;
  c.error(Kind::KernelArgument, p.span,
          fmt::format("argument `{}` is annotated `{}`, and {} is given", p.name, text,
                      is_tensor                          ? "a tensor"
                      : spec.kind == ArgSpec::Kind::None ? "None"
                                                         : "something else"));
  return false;
}

bool bind_parameter(Checker& c, const Stmt& function, const syntax::Param& p,
                    const std::map<std::string, ArgSpec>& args) {
  if (p.kind == syntax::ParamKind::Args || p.kind == syntax::ParamKind::Kwargs) return true;
  const auto it = args.find(p.name);
  Value& place = c.frame().env->vars[p.name];
  if (it != args.end()) {
    const bool constant = mentions_constexpr(c.module_ast, p.annotation);
    place = c.argument(it->second, p.name, constant);
    place.span = p.span;
    return fits_annotation(c, p, it->second);
  }
  if (p.default_value) {
    place = c.eval(p.default_value);
    return !place.poison();
  }
  c.error(Kind::KernelArgument, p.span,
          fmt::format("argument `{}` of `{}` is missing", p.name, function.text));
  return false;
}

std::optional<ReturnValue> return_value(Checker& c, const Value& v, Span span) {
  ReturnValue r;
  if (!c.spend(1, span)) return std::nullopt;
  switch (v.kind) {
    case ValueKind::Poison:
      return std::nullopt;
    case ValueKind::None:
      return r;
    case ValueKind::Tensor:
      r.kind = ReturnValue::Kind::Tensor;
      r.tensor = v.tensor;
      return r;
    case ValueKind::Scalar:
      r.kind = ReturnValue::Kind::Scalar;
      r.scalar = c.canon(v.sym);
      return r;
    case ValueKind::Sequence:
    case ValueKind::Dict: {
      r.kind = ReturnValue::Kind::Sequence;
      std::vector<Value> items;
      if (v.is(ValueKind::Sequence)) items = v.seq->items;
      if (v.is(ValueKind::Dict)) {
        for (const auto& [key, item] : v.dict->items) items.push_back(item);
      }
      for (const Value& item : items) {
        const auto part = return_value(c, item, span);
        if (!part) return std::nullopt;
        r.items.push_back(*part);
      }
      return r;
    }
    default:
      c.error(Kind::BadArgument, span, fmt::format("a kernel cannot return {}", kind_text(v)))
          .hint = "return tensors, numbers, None, or tuples of them";
      return std::nullopt;
  }
}

}  // namespace

Value Checker::argument(const ArgSpec& spec, const std::string& name, bool constexpr_param) {
  using K = ArgSpec::Kind;
  if (spec.kind == K::List || spec.kind == K::Tuple) {
    std::vector<Value> items;
    for (std::size_t i = 0; i < spec.items.size(); ++i) {
      items.push_back(argument(spec.items[i], fmt::format("{}[{}]", name, i), constexpr_param));
    }
    return sequence_value(std::move(items), spec.kind == K::List);
  }
  kernel.leaf_names.push_back(name);
  switch (spec.kind) {
    case K::None:
      return none_value();
    case K::Tensor:
      return tensor_argument(*this, spec, name);
    case K::Int:
    case K::Float:
    case K::Bool:
      return scalar_argument(*this, spec, name, constexpr_param);
    case K::String:
      return string_value(spec.text);
    case K::Dtype:
      return dtype_value(spec.dtype);
    default:
      return lambda_argument(*this, spec);
  }
}

// Writes what asserts and guards established into every shape, so that equal extents are the same
// expression to whoever reads the tree.
void Checker::finish() {
  for (Texpr& e : kernel.exprs) {
    for (Dim& d : e.type.shape) d.size = canon(d.size);
    if (e.sym) e.sym = canon(e.sym);
    for (TIndex& index : e.indices) {
      if (index.extent) index.extent = canon(index.extent);
    }
  }
  for (Tstmt& stmt : kernel.stmts) {
    for (TIndex& index : stmt.indices) {
      if (index.extent) index.extent = canon(index.extent);
    }
  }
  for (Block& block : kernel.blocks) {
    for (Sym* sym : {&block.size, &block.begin, &block.end, &block.step}) {
      if (*sym) *sym = canon(*sym);
    }
  }
  for (HostTensor& t : kernel.tensors) {
    for (Sym& s : t.sizes) s = canon(s);
    for (Sym& s : t.strides) s = canon(s);
    if (t.offset) t.offset = canon(t.offset);
  }
}

namespace {

bool typed_signature(Checker& c, const Stmt& function) {
  for (const syntax::Param& p : function.params) {
    if (p.kind == syntax::ParamKind::Normal || p.kind == syntax::ParamKind::PositionalOnly)
      continue;
    c.error(Kind::KernelSignature, p.span,
            fmt::format("a kernel cannot have the parameter `{}{}`",
                        p.kind == syntax::ParamKind::Args     ? "*"
                        : p.kind == syntax::ParamKind::Kwargs ? "**"
                                                              : "",
                        p.name))
        .hint = "give each argument a name of its own";
    return false;
  }
  return true;
}

// False if the kernel could not be typed to its end.
bool run_kernel(Checker& c, const Stmt& function, const std::map<std::string, ArgSpec>& args) {
  const i64 errors = c.diags->error_count();
  Frame frame;
  frame.ast = &c.module_ast;
  frame.env = c.new_env();
  frame.name = function.text;
  frame.kernel = true;
  c.frames.push_back(std::move(frame));
  bool ok = typed_signature(c, function);
  if (ok) {
    ok = known_arguments(c, function, args);
    for (const syntax::Param& p : function.params) ok = bind_parameter(c, function, p, args) && ok;
    for (const auto& [name, spec] : args) {
      const auto is_param = [&](const syntax::Param& p) { return p.name == name; };
      if (std::ranges::any_of(function.params, is_param)) continue;
      c.globals[name] = c.argument(spec, name, false);
    }
  }
  if (!ok) return false;
  const Flow flow = c.exec_block(function.body);
  if (c.stopped() || c.diags->error_count() > errors) return false;
  if (c.kernel.roots.empty() && c.failed_roots == 0) {
    c.error(Kind::NoDeviceLoop, function.head_span,
            fmt::format("`{}` has no loop over tiles", function.text))
        .hint = "put the computation into `for tile in hl.tile(...):`";
  }
  HostStmt ret = host_statement(HostStmt::Kind::Return, function.span);
  const Value& result = c.frame().result;
  if (flow == Flow::Return) {
    const auto value = return_value(c, result, result.span.source ? result.span : function.span);
    if (!value) return false;
    ret.value = *value;
    ret.span = result.span;
  }
  c.kernel.host.push_back(std::move(ret));
  return c.diags->error_count() == errors;
}

}  // namespace

std::optional<TypedKernel> check(const syntax::Ast& module, const KernelDecl& decl,
                                 const std::map<std::string, ArgSpec>& args, diag::Diags& diags) {
  Checker c(module, diags);
  c.static_shapes = decl.static_shapes;
  c.kernel.name = decl.name;
  c.kernel.span = decl.span;
  if (!run_kernel(c, module[decl.function], args)) return std::nullopt;
  c.finish();
  return std::move(c.kernel);
}

namespace {

void key_of(std::string& key, const ArgSpec& spec, bool static_shapes, bool by_value) {
  using K = ArgSpec::Kind;
  switch (spec.kind) {
    case K::None:
      key += "none";
      return;
    case K::Tensor:
      key += fmt::format("{}[", name_of(spec.dtype));
      if (static_shapes) {
        for (std::size_t i = 0; i < spec.sizes.size(); ++i) {
          key += fmt::format("{}{}:{}", i == 0 ? "" : ",", spec.sizes[i], spec.strides[i]);
        }
      } else {
        key += fmt::format("{} {}", spec.sizes.size(), stride_class(spec));
      }
      key += "]";
      return;
    case K::Int:
      key += by_value ? fmt::format("int={}", spec.value.integer) : "int";
      return;
    case K::Bool:
      key += by_value ? fmt::format("bool={}", spec.value.integer) : "bool";
      return;
    case K::Float:
      key += by_value ? fmt::format("float={:a}", spec.value.real) : "float";
      return;
    case K::String:
      key += fmt::format("str={}:{}", spec.text.size(), spec.text);
      return;
    case K::Dtype:
      key += fmt::format("dtype={}", name_of(spec.dtype));
      return;
    case K::Lambda:
      key += fmt::format("lambda={}:{}", spec.text.size(), spec.text);
      return;
    case K::List:
    case K::Tuple:
      key += spec.kind == K::List ? "[" : "(";
      for (const ArgSpec& item : spec.items) {
        key_of(key, item, static_shapes, by_value);
        key += ",";
      }
      key += spec.kind == K::List ? "]" : ")";
      return;
  }
}

}  // namespace

std::string specialization_key(const syntax::Ast& module, const KernelDecl& decl,
                               const std::map<std::string, ArgSpec>& args) {
  std::string key = decl.static_shapes ? "static" : "dynamic";
  const Stmt& function = module[decl.function];
  for (const auto& [name, spec] : args) {
    bool by_value = false;
    for (const syntax::Param& p : function.params) {
      if (p.name != name || !p.annotation) continue;
      by_value = mentions_constexpr(module, p.annotation);
    }
    key += fmt::format(" {}=", name);
    key_of(key, spec, decl.static_shapes, by_value);
  }
  return key;
}

}  // namespace peri::check
