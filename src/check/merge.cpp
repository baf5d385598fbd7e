#include "check/merge.h"

#include <fmt/format.h>

namespace peri::check {

using diag::Kind;

bool same_value(const Value& a, const Value& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case ValueKind::Array:
      return a.expr == b.expr;
    case ValueKind::Scalar:
      return a.sym == b.sym;
    case ValueKind::Tensor:
      return a.tensor == b.tensor;
    case ValueKind::Tile:
      return a.block == b.block;
    case ValueKind::Dtype:
    case ValueKind::Info:
      return a.dtype == b.dtype;
    case ValueKind::Function:
      return a.fn == b.fn || a.fn->def == b.fn->def;
    case ValueKind::Dict:
    case ValueKind::Config:
      return a.dict == b.dict;
    case ValueKind::Builtin:
      return a.text == b.text;
    case ValueKind::Sequence:
    case ValueKind::Slice:
    case ValueKind::Range:
      if (a.seq == b.seq) return true;
      return a.seq->items.size() == b.seq->items.size() &&
             std::ranges::equal(a.seq->items, b.seq->items, same_value);
    default:
      return a.text == b.text;
  }
}

bool same_type(Checker& c, const TileType& a, const TileType& b) {
  if (a.dtype != b.dtype || a.shape.size() != b.shape.size()) return false;
  for (std::size_t i = 0; i < a.shape.size(); ++i) {
    if (!c.same_extent(a.shape[i], b.shape[i])) return false;
  }
  return true;
}

Dtype variable_dtype(SymType type) {
  return type == SymType::Int ? Dtype::I64 : type == SymType::Float ? Dtype::F32 : Dtype::Bool;
}

void Carried::compare() {
  for (const auto& [name, before] : before_) {
    const auto it = after_.find(name);
    if (it == after_.end() || same_value(before, it->second) || it->second.poison()) continue;
    bool changed = false;
    const std::optional<Value> joined = join(name, before, it->second, changed);
    if (joined) {
      if (changed) rebind_[name] = *joined;
    } else if (!scope_.read_first.contains(name)) {
      dropped_.push_back(name);
    } else {
      mismatched_.push_back(name);
    }
  }
}

// Notes the type that a host scalar gets as a device variable; apply() makes it one.
std::optional<Value> Carried::promote(const std::string& name, const Value& scalar,
                                      const Value& after) {
  if (after.scalar()) {
    const bool real = scalar.sym.type() == SymType::Float || after.sym.type() == SymType::Float;
    types_[name] = {{real ? Dtype::F32 : variable_dtype(after.sym.type()), {}}, true};
    return scalar;
  }
  const TileType& type = c_.type(after);
  if (scalar.sym.type() == SymType::Float && !is_float(type.dtype)) return std::nullopt;
  types_[name] = {type, after.weak};
  return scalar;
}

std::optional<Value> Carried::join_arrays(const std::string& name, const Value& before,
                                          const Value& after, bool& changed) {
  const auto was_host = host_values_.find(name);
  if (!same_type(c_, c_.type(before), c_.type(after))) {
    if (was_host == host_values_.end()) return std::nullopt;
    changed = true;
    return promote(name, was_host->second, after);
  }
  Value v = before;
  const bool lost_index =
      before.block && (after.block != before.block || after.shift != before.shift);
  if (lost_index) v.block = {};
  if (before.weak && !after.weak) v.weak = false;
  const auto& slots = c_.frame().env->slots;
  const auto slot = slots.find(name);
  const Texpr& e = c_.expr(before.expr);
  const bool owned = e.kind == TexprKind::Var && slot != slots.end() && slot->second == e.var;
  changed = changed || lost_index || v.weak != before.weak || !owned;
  return v;
}

std::optional<Value> Carried::join(const std::string& name, const Value& before, const Value& after,
                                   bool& changed) {
  if (before.array() && after.array()) return join_arrays(name, before, after, changed);
  if (before.scalar() && (after.scalar() || after.array())) {
    if (after.scalar() && before.sym == after.sym) return before;
    host_values_.emplace(name, before);
    changed = true;
    return promote(name, before, after);
  }
  const bool tuples = before.is(ValueKind::Sequence) && after.is(ValueKind::Sequence) &&
                      !before.seq->is_list && before.seq->items.size() == after.seq->items.size();
  if (!tuples) return same_value(before, after) ? std::optional(before) : std::nullopt;
  Value v = before;
  v.seq = std::make_shared<Sequence>(*before.seq);
  for (std::size_t i = 0; i < v.seq->items.size(); ++i) {
    const auto item =
        join(fmt::format("{}.{}", name, i), before.seq->items[i], after.seq->items[i], changed);
    if (!item) return std::nullopt;
    v.seq->items[i] = *item;
  }
  return v;
}

Value Carried::build(const std::string& name, Value v) {
  if (v.scalar()) {
    const auto it = types_.find(name);
    if (it == types_.end()) return v;
    const auto& [type, weak] = it->second;
    const Span span = v.span;
    v = array_value(c_.broadcast_to(c_.scalar(v.sym, type.dtype, span), type.shape), weak);
    v.span = span;
  } else if (v.is(ValueKind::Sequence)) {
    v.seq = std::make_shared<Sequence>(*v.seq);
    for (std::size_t i = 0; i < v.seq->items.size(); ++i) {
      v.seq->items[i] = build(fmt::format("{}.{}", name, i), v.seq->items[i]);
    }
  }
  return v;
}

void Carried::apply() {
  for (const auto& [name, value] : rebind_) c_.bind(name, build(name, value), value.span);
  for (const std::string& name : dropped_) {
    c_.frame().env->vars.erase(name);
    c_.frame().env->dead[name] = "has another type inside the loop than before it";
  }
}

void Carried::report() {
  for (const std::string& name : mismatched_) {
    const Value &before = before_.at(name), &after = after_.at(name);
    diag::Diagnostic& d =
        c_.error(Kind::ControlFlow, after.span,
                 fmt::format("`{}` changes its type from one iteration to the next", name));
    d.labels.push_back({before.span, "before the loop: " + c_.describe(before)});
    d.labels.push_back({after.span, "after one iteration: " + c_.describe(after)});
    d.hint = "give it the same dtype and shape in both places, with `.to()` or `hl.zeros`";
  }
}

}  // namespace peri::check
