// Names: lookup through scopes, and binding.
#include <fmt/format.h>

#include <unordered_set>

#include "check/checker.h"
#include "check/names.h"

namespace peri::check {

using diag::Kind;
using syntax::ExprKind;
using syntax::Stmt;
using syntax::StmtKind;

namespace {

Value function_value(const syntax::Ast& ast, syntax::StmtId id, std::shared_ptr<Env> closure) {
  Value v = make_value(ValueKind::Function, ast[id].text);
  auto fn = std::make_shared<Function>();
  fn->ast = &ast;
  fn->def = id;
  fn->name = ast[id].text;
  fn->closure = std::move(closure);
  v.fn = std::move(fn);
  return v;
}

// Does `root` read one of `vars`?
bool reads(const TypedKernel& kernel, TexprId root, const std::set<i32>& vars) {
  std::vector<TexprId> stack{root};
  std::unordered_set<i32> seen;
  while (!stack.empty()) {
    const TexprId id = stack.back();
    stack.pop_back();
    if (!id || !seen.insert(id.index).second) continue;
    const Texpr& e = kernel[id];
    if (e.kind == TexprKind::Var && vars.contains(e.var.index)) return true;
    stack.insert(stack.end(), e.operands.begin(), e.operands.end());
    for (const TIndex& index : e.indices) stack.push_back(index.value);
    stack.push_back(e.mask);
  }
  return false;
}

bool any_reads(const TypedKernel& kernel, const Value& value, const std::set<i32>& vars) {
  if (value.array()) return reads(kernel, value.expr, vars);
  if (!value.is(ValueKind::Sequence)) return false;
  return std::ranges::any_of(value.seq->items,
                             [&](const Value& item) { return any_reads(kernel, item, vars); });
}

// A name without a value gets new variables, or those that the other branch of an `if` gave it.
void renew_slots(Env& env, const std::string& name) {
  const auto belongs = [&](const std::string& slot) {
    return slot == name || slot.starts_with(name + ".");
  };
  std::erase_if(env.slots, [&](const auto& slot) { return belongs(slot.first); });
  for (const auto& [slot, var] : env.preferred) {
    if (belongs(slot)) env.slots[slot] = var;
  }
}

// Index arithmetic is remembered only as far as it cannot change.
bool lasting_shift(const Checker& c, const Value& value) {
  if (!value.shift) return true;
  const TexprKind kind = c.expr(value.shift).kind;
  return kind == TexprKind::Scalar || kind == TexprKind::TileAttr;
}

// Variables whose names are `name`, or parts of a tuple of that name.
void slots_of(const Env& env, const std::string& name, std::set<i32>& out) {
  for (const auto& [slot, var] : env.slots) {
    if (slot == name || slot.starts_with(name + ".")) out.insert(var.index);
  }
}

// Puts the device values in `value` into variables of their own, so that what they stand for does
// not change when the variables they read are assigned.
Value own(Checker& c, const std::string& name, Value value, bool reuse) {
  Env& env = *c.frame().env;
  if (!c.spend(1, value.span)) return value;
  if (value.array()) {
    VarId& slot = env.slots[name];
    if (!slot || !reuse) slot = c.new_var(name);
    Tstmt assign = statement(TstmtKind::Assign, value.span);
    assign.var = slot;
    assign.value = value.expr;
    const TileType type = c.type(value);
    c.emit(std::move(assign));
    Texpr read;
    read.kind = TexprKind::Var;
    read.type = type;
    read.span = value.span;
    read.var = slot;
    value.expr = c.add(std::move(read));
    if (!lasting_shift(c, value)) value.block = {};
    return value;
  }
  if (value.is(ValueKind::Sequence)) {
    const bool list = value.seq->is_list;
    if (!list) value.seq = std::make_shared<Sequence>(*value.seq);
    for (std::size_t i = 0; i < value.seq->items.size(); ++i) {
      Value& item = value.seq->items[i];
      item = own(c, fmt::format("{}.{}", name, i), item, !list);
    }
  } else if (value.is(ValueKind::Dict)) {
    for (auto& [key, item] : value.dict->items) item = own(c, name + ".item", item, false);
  }
  return value;
}

}  // namespace

Value Checker::path_value(const std::string& path, Span span) {
  const std::string canonical = canonical_path(path);
  const auto dot = canonical.rfind('.');
  static const std::set<std::string> roots{"torch", "helion", "hl", "F", "math", "typing"};
  if (roots.contains(canonical)) return make_value(ValueKind::Module, canonical);
  if (dot == std::string::npos) return make_value(ValueKind::Opaque, canonical);
  const std::string first = canonical.substr(0, canonical.find('.'));
  if (!roots.contains(first)) return make_value(ValueKind::Opaque, canonical);
  const Value parent = path_value(canonical.substr(0, dot), span);
  if (parent.is(ValueKind::Module)) {
    return attribute_of_module(parent, canonical.substr(dot + 1), span);
  }
  return make_value(ValueKind::Opaque, canonical);
}

std::optional<Value> Checker::find(const std::string& name) {
  for (Env* env = frame().env.get(); env != nullptr; env = env->parent.get()) {
    const auto it = env->vars.find(name);
    if (it == env->vars.end()) continue;
    for (LoopScope& loop : loops) {
      if (loop.env == env && !loop.assigned.contains(name)) loop.read_first.insert(name);
    }
    return it->second;
  }
  return std::nullopt;
}

std::vector<std::string> Checker::visible_names() {
  std::vector<std::string> names = module.names();
  for (Env* env = frame().env.get(); env != nullptr; env = env->parent.get()) {
    for (const auto& [name, value] : env->vars) names.push_back(name);
  }
  for (const auto& [name, value] : globals) names.push_back(name);
  const std::vector<std::string> python = names_in(P);
  names.insert(names.end(), python.begin(), python.end());
  return names;
}

std::string Checker::nearest_hint(const std::string& name,
                                  const std::vector<std::string>& candidates) {
  const std::optional<std::string> best = nearest(name, candidates);
  return best ? fmt::format("did you mean `{}`?", *best) : std::string();
}

Value Checker::lookup(const std::string& name, Span span) {
  if (std::optional<Value> v = find(name)) return *v;
  for (Env* env = frame().env.get(); env != nullptr; env = env->parent.get()) {
    const auto it = env->dead.find(name);
    if (it == env->dead.end()) continue;
    return bad(device ? Kind::ControlFlow : Kind::DeviceVariable, span,
               fmt::format("`{}` {}", name, it->second),
               device ? fmt::format("give `{}` a value before", name)
                      : "store the value into a tensor and return that");
  }
  if (const auto it = globals.find(name); it != globals.end()) return it->second;
  if (module.find(name) != nullptr) return module_value(name, span);
  if (name == "__name__") return string_value("module");
  if (find_name(P, name) != nullptr)
    return attribute_of_module(make_value(ValueKind::Module, "python"), name, span);
  for (const std::string& star : module.star_imports()) {
    if (find_path(star + "." + name) != nullptr) return path_value(star + "." + name, span);
  }
  if (name.ends_with("Error") || name.ends_with("Exception") || name.ends_with("Warning") ||
      name == "object" || name == "NotImplemented") {
    return make_value(ValueKind::Type, name);
  }
  return bad(Kind::UnknownName, span, fmt::format("`{}` is not defined", name),
             nearest_hint(name, visible_names()));
}

namespace {

// Runs the statement that binds a module-level name, in a module scope of its own.
Value evaluate_binding(Checker& c, const std::string& name, ModuleBinding& binding, Span span) {
  const Stmt& stmt = c.module_ast[binding.stmt];
  if (!binding.path.empty()) return c.path_value(binding.path, span);
  if (stmt.kind == StmtKind::Function) return function_value(c.module_ast, binding.stmt, nullptr);
  if (stmt.kind == StmtKind::Class) return make_value(ValueKind::Type, stmt.text);
  if (stmt.kind == StmtKind::TypeAlias) return make_value(ValueKind::Opaque, stmt.text);
  std::optional<DeviceState> device;
  std::swap(device, c.device);
  Frame frame;
  frame.ast = &c.module_ast;
  frame.env = c.new_env();
  frame.name = "module";
  c.frames.push_back(std::move(frame));
  c.exec(binding.stmt);
  Value v;
  const auto& vars = c.frame().env->vars;
  if (const auto it = vars.find(name); it != vars.end()) v = it->second;
  c.frames.pop_back();
  std::swap(device, c.device);
  return v;
}

}  // namespace

Value Checker::module_value(const std::string& name, Span span) {
  ModuleBinding& binding = *module.find(name);
  if (binding.done) return binding.value;
  if (binding.evaluating) {
    return bad(Kind::UnknownName, span, fmt::format("`{}` is defined by itself", name));
  }
  binding.evaluating = true;
  Value v = evaluate_binding(*this, name, binding, span);
  binding.evaluating = false;
  binding.done = true;
  return binding.value = v;
}

void Checker::bind(const std::string& name, Value value, Span span) {
  Env& env = *frame().env;
  if (device && device->kernel_env == &env && device->host_names.contains(name) && !synthetic) {
    error(Kind::HostVariable, span,
          fmt::format("`{}` is a variable of the host and cannot be assigned in device code", name))
        .hint = "use another name, or store into a host tensor through a subscript";
    return;
  }
  if (device) {
    std::set<i32> vars;
    slots_of(env, name, vars);
    if (value.is(ValueKind::Sequence) && any_reads(kernel, value, vars)) {
      value = hold(value, "tmp", true);
    }
    if (!env.vars.contains(name)) renew_slots(env, name);
    value = own(*this, name, std::move(value), true);
    for (LoopScope& loop : loops) {
      if (loop.env == &env) loop.assigned.insert(name);
    }
  }
  if (value.is(ValueKind::Tensor) && unnamed.erase(value.tensor.index) > 0) {
    kernel.tensors[static_cast<std::size_t>(value.tensor.index)].name = name;
  }
  env.dead.erase(name);
  env.vars[name] = std::move(value);
}

namespace {

void unpack(Checker& c, const syntax::Expr& target, const Value& value) {
  if (value.poison()) {
    for (syntax::ExprId id : target.items) c.bind_target(id, {});
    return;
  }
  const std::optional<std::vector<Value>> items = c.iterate(value, "unpacked");
  if (!items) {
    for (syntax::ExprId id : target.items) c.bind_target(id, {});
    return;
  }
  std::size_t star = target.items.size();
  for (std::size_t i = 0; i < target.items.size(); ++i) {
    if (c.ast()[target.items[i]].kind == ExprKind::Starred) star = i;
  }
  const bool starred = star < target.items.size();
  const std::size_t fixed = target.items.size() - (starred ? 1 : 0);
  if (starred ? items->size() < fixed : items->size() != fixed) {
    c.error(Kind::Unpack, target.span,
            fmt::format("{} values cannot be unpacked into {} targets", items->size(), fixed))
        .labels.push_back({value.span, c.describe(value)});
    for (syntax::ExprId id : target.items) c.bind_target(id, {});
    return;
  }
  const std::size_t extra = items->size() - fixed;
  for (std::size_t i = 0, at = 0; i < target.items.size(); ++i) {
    if (i != star) {
      c.bind_target(target.items[i], (*items)[at++]);
      continue;
    }
    std::vector<Value> rest(items->begin() + static_cast<i64>(at),
                            items->begin() + static_cast<i64>(at + extra));
    at += extra;
    c.bind_target(c.ast()[target.items[i]].items[0], sequence_value(std::move(rest), true));
  }
}

void names_of_target(const syntax::Ast& ast, syntax::ExprId id, std::vector<std::string>& out) {
  const syntax::Expr& e = ast[id];
  if (e.kind == ExprKind::Name) out.push_back(e.text);
  for (syntax::ExprId item : e.items) {
    if (item && e.kind != ExprKind::Subscript && e.kind != ExprKind::Attribute) {
      names_of_target(ast, item, out);
    }
  }
}

}  // namespace

// After an error in the head of a compound statement, what its body assigns is not known; saying
// that it is not defined would only hide the first error.
void Checker::poison_names(const std::vector<syntax::StmtId>& body) {
  for (syntax::StmtId id : body) {
    const Stmt& stmt = ast()[id];
    std::vector<std::string> names;
    if (stmt.kind == StmtKind::Assign || stmt.kind == StmtKind::For) {
      names_of_target(ast(), stmt.exprs[0], names);
    }
    for (const std::string& name : names) {
      if (!frame().env->vars.contains(name)) frame().env->vars[name] = Value();
    }
    poison_names(stmt.body);
    poison_names(stmt.orelse);
  }
}

void Checker::bind_target(syntax::ExprId id, Value value) {
  const syntax::Expr& e = ast()[id];
  switch (e.kind) {
    case ExprKind::Name:
      return bind(e.text, std::move(value), e.span);
    case ExprKind::Tuple:
    case ExprKind::List: {
      if (device) {  // a, b = b, a: all values are taken before the first is assigned
        std::vector<std::string> names;
        names_of_target(ast(), id, names);
        std::set<i32> vars;
        for (const std::string& name : names) slots_of(*frame().env, name, vars);
        if (any_reads(kernel, value, vars)) value = hold(value, "tmp", true);
      }
      return unpack(*this, e, value);
    }
    case ExprKind::Starred:
      return bind_target(e.items[0], std::move(value));
    case ExprKind::Subscript:
      return store_subscript(id, std::move(value));
    default:
      error(Kind::StatementNotAllowed, e.span, "kernels cannot assign to this");
  }
}

}  // namespace peri::check
