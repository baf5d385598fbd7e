// An `if` on a device scalar: both branches are kept, and what they assign joins after it.
#include <fmt/format.h>

#include "check/checker.h"
#include "check/merge.h"

namespace peri::check {

using diag::Kind;
using syntax::Stmt;

namespace {

using Vars = std::map<std::string, Value>;

struct Branch {
  std::vector<TstmtId> body;
  Vars vars;
  std::map<std::string, VarId> slots;
  std::size_t first_expr = 0, end_expr = 0;
};

// Joins the variables of two branches.
class Join {
 public:
  Join(Checker& c, const Vars& before, Branch& then, Branch& orelse)
      : c_(c), before_(before), then_(then), else_(orelse) {}

  void run() {
    Env& env = *c_.frame().env;
    Vars joined = before_;
    std::set<std::string> names;
    for (const auto& [name, v] : then_.vars) names.insert(name);
    for (const auto& [name, v] : else_.vars) names.insert(name);
    for (const std::string& name : names) {
      const auto t = then_.vars.find(name), e = else_.vars.find(name);
      if (t == then_.vars.end() || e == else_.vars.end()) {
        env.dead[name] = "is only assigned in one branch of an `if`";
        joined.erase(name);
        continue;
      }
      const std::optional<Value> v = value(name, t->second, e->second);
      if (v) {
        joined[name] = *v;
      } else {
        mismatch(name, t->second, e->second);
        joined.erase(name);
      }
    }
    env.vars = std::move(joined);
  }

 private:
  std::optional<Value> value(const std::string& name, const Value& t, const Value& e) {
    if (t.poison() || e.poison()) return Value();
    if (same_value(t, e)) return t;
    const bool tuples = t.is(ValueKind::Sequence) && e.is(ValueKind::Sequence) &&
                        t.seq->items.size() == e.seq->items.size() && !t.seq->is_list;
    if (tuples) {
      Value v = t;
      v.seq = std::make_shared<Sequence>(*t.seq);
      for (std::size_t i = 0; i < v.seq->items.size(); ++i) {
        const auto item = value(fmt::format("{}.{}", name, i), t.seq->items[i], e.seq->items[i]);
        if (!item) return std::nullopt;
        v.seq->items[i] = *item;
      }
      return v;
    }
    const bool numbers = (t.array() || t.scalar()) && (e.array() || e.scalar());
    if (!numbers) return std::nullopt;
    const std::optional<TileType> type = common_type(t, e);
    return type ? std::optional(merged(name, t, e, *type)) : std::nullopt;
  }

  std::optional<TileType> common_type(const Value& t, const Value& e) {
    if (t.array() && e.array()) {
      TileType type = c_.type(t);
      const TileType& other = c_.type(e);
      if (!same_type(c_, type, other)) return std::nullopt;
      for (std::size_t i = 0; i < type.shape.size(); ++i) {
        if (!type.shape[i].block) type.shape[i] = other.shape[i];
      }
      return type;
    }
    if (t.scalar() && e.scalar()) {
      const bool real = t.sym.type() == SymType::Float || e.sym.type() == SymType::Float;
      return TileType{real ? Dtype::F32 : variable_dtype(t.sym.type()), {}};
    }
    const Value &array = t.array() ? t : e, &scalar = t.array() ? e : t;
    const TileType& type = c_.type(array);
    if (scalar.sym.type() == SymType::Float && !is_float(type.dtype)) return std::nullopt;
    return type;
  }

  Value merged(const std::string& name, const Value& t, const Value& e, const TileType& type) {
    Env& env = *c_.frame().env;
    VarId slot = slot_of(then_, name);
    if (!slot) slot = slot_of(else_, name);
    if (!slot) slot = c_.new_var(name);
    assign(then_, slot, t, type);
    assign(else_, slot, e, type);
    env.slots[name] = slot;
    Texpr read;
    read.kind = TexprKind::Var;
    read.type = type;
    read.span = t.span;
    read.var = slot;
    Value v =
        array_value(c_.add(std::move(read)), (t.weak || t.scalar()) && (e.weak || e.scalar()));
    v.span = t.span;
    return v;
  }

  static VarId slot_of(const Branch& branch, const std::string& name) {
    const auto it = branch.slots.find(name);
    return it == branch.slots.end() ? VarId() : it->second;
  }

  // At the end of a branch, unless the variable holds the value already.
  void assign(Branch& branch, VarId slot, const Value& v, const TileType& type) {
    if (v.array() && c_.expr(v.expr).kind == TexprKind::Var && c_.expr(v.expr).var == slot) return;
    std::vector<TstmtId>* const outer = std::exchange(c_.device->body, &branch.body);
    Tstmt stmt = statement(TstmtKind::Assign, v.span);
    stmt.var = slot;
    stmt.value = c_.as_expr(v, type.dtype);
    if (v.scalar()) stmt.value = c_.broadcast_to(stmt.value, type.shape);
    c_.emit(std::move(stmt));
    c_.device->body = outer;
  }

  // A name that stands for different things in the two branches has no value after them. If it had
  // one before, that is an error at once: loops would carry it.
  void mismatch(const std::string& name, const Value& t, const Value& e) {
    if (before_.contains(name)) {
      diag::Diagnostic& d =
          c_.error(Kind::ControlFlow, e.span,
                   fmt::format("`{}` has different types after the two branches", name));
      d.labels.push_back({t.span, "in one branch: " + c_.describe(t)});
      d.labels.push_back({e.span, "in the other: " + c_.describe(e)});
      return;
    }
    c_.frame().env->dead[name] = "has different types in the branches of an `if`";
    for (auto& [slot, var] : else_.slots) {
      if (slot != name && !slot.starts_with(name + ".")) continue;
      rename(var, c_.new_var(name));
    }
  }

  // In the else branch, so that one variable does not have two types.
  void rename(VarId from, VarId to) {
    for (std::size_t i = else_.first_expr; i < else_.end_expr; ++i) {
      Texpr& e = c_.kernel.exprs[i];
      if (e.kind == TexprKind::Var && e.var == from) e.var = to;
    }
    rename_assigns(else_.body, from, to);
  }

  void rename_assigns(const std::vector<TstmtId>& body, VarId from, VarId to) {
    for (TstmtId id : body) {
      Tstmt& stmt = c_.kernel.stmts[static_cast<std::size_t>(id.index)];
      if (stmt.kind == TstmtKind::Assign && stmt.var == from) stmt.var = to;
      rename_assigns(stmt.body, from, to);
      rename_assigns(stmt.orelse, from, to);
    }
  }

  Checker& c_;
  const Vars& before_;
  Branch& then_;
  Branch& else_;
};

void run_branch(Checker& c, const std::vector<syntax::StmtId>& body, Branch& branch) {
  branch.first_expr = c.kernel.exprs.size();
  std::vector<TstmtId>* const outer = std::exchange(c.device->body, &branch.body);
  c.exec_block(body);
  c.device->body = outer;
  branch.end_expr = c.kernel.exprs.size();
  branch.vars = c.frame().env->vars;
  branch.slots = c.frame().env->slots;
}

}  // namespace

void Checker::exec_device_if(const Stmt& stmt, TexprId condition) {
  Env& env = *frame().env;
  const Vars before = env.vars;
  const std::map<std::string, VarId> slots = env.slots, preferred = env.preferred;
  std::vector<std::set<std::string>> assigned;
  for (const LoopScope& loop : loops) assigned.push_back(loop.assigned);
  const i64 unrolled = std::exchange(unrolled_depth, 0);
  ++device->inner;
  ++device->conditional;
  Branch then, orelse;
  run_branch(*this, stmt.body, then);
  std::vector<std::set<std::string>> in_then;
  for (std::size_t i = 0; i < loops.size(); ++i) {
    in_then.push_back(std::exchange(loops[i].assigned, assigned[i]));
  }
  env.vars = before;
  env.slots = slots;
  env.preferred.insert(then.slots.begin(), then.slots.end());
  run_branch(*this, stmt.orelse, orelse);
  for (std::size_t i = 0; i < loops.size(); ++i) {
    std::erase_if(loops[i].assigned, [&](const std::string& n) { return !in_then[i].contains(n); });
  }
  --device->conditional;
  --device->inner;
  unrolled_depth = unrolled;
  env.preferred = preferred;
  Join(*this, before, then, orelse).run();
  Tstmt result = statement(TstmtKind::If, stmt.head_span ? stmt.head_span : stmt.span);
  result.value = condition;
  result.body = std::move(then.body);
  result.orelse = std::move(orelse.body);
  emit(std::move(result));
}

}  // namespace peri::check
