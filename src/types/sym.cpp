#include "types/sym.h"

#include <algorithm>
#include <bit>
#include <unordered_set>
#include <utility>

#include "base/bug.h"
#include "base/hash.h"
#include "types/sym_ops.h"

namespace peri {
namespace {

u64 real_bits(const SymNode& node) { return std::bit_cast<u64>(node.value.real); }

u64 hash_of(const SymNode& node) {
  u64 hash = hash_combine(static_cast<u64>(node.kind), static_cast<u64>(node.type));
  if (node.kind == SymKind::Const) {
    return hash_combine(hash_combine(hash, static_cast<u64>(node.value.integer)), real_bits(node));
  }
  if (node.kind == SymKind::Symbol) return hash_combine(hash, static_cast<u64>(node.symbol.index));
  for (const SymNode* operand : node.operands) {
    hash = hash_combine(hash, operand == nullptr ? ~u64{0} : operand->id);
  }
  return hash;
}

// Reals by their bits: NaN equals itself and -0.0 is not 0.0.
bool same(const SymNode& a, const SymNode& b) {
  return a.kind == b.kind && a.type == b.type && a.value.integer == b.value.integer &&
         real_bits(a) == real_bits(b) && a.symbol == b.symbol &&
         std::ranges::equal(a.operands, b.operands);
}

// Visits each node below `root` once, operands first, without recursion.
template <class Visit>
void post_order(const SymNode* root, Visit visit) {
  std::unordered_set<const SymNode*> seen;
  std::vector<std::pair<const SymNode*, bool>> stack{{root, false}};
  while (!stack.empty()) {
    const auto [node, operands_done] = stack.back();
    stack.pop_back();
    if (operands_done) {
      visit(node);
      continue;
    }
    if (!seen.insert(node).second) continue;
    stack.emplace_back(node, true);
    for (const SymNode* operand : node->operands) {
      if (operand != nullptr) stack.emplace_back(operand, false);
    }
  }
}

using Value = std::optional<SymValue>;

// False for And and true for Or settle the result, whatever became of the other operand.
Value evaluate_logic(SymKind kind, const Value& a, const Value& b) {
  const i64 settles = kind == SymKind::Or ? 1 : 0;
  for (const Value* operand : {&a, &b}) {
    if (*operand && (*operand)->integer == settles) return **operand;
  }
  return a && b ? Value(SymValue::of_bool(settles == 0)) : std::nullopt;
}

Value evaluate_node(const SymNode& node, const Value& a, const Value& b, const Value& c) {
  if (node.kind == SymKind::And || node.kind == SymKind::Or) {
    return evaluate_logic(node.kind, a, b);
  }
  if (node.kind == SymKind::Select) return !a ? std::nullopt : a->integer != 0 ? b : c;
  const i64 arity = arity_of(node.kind);
  if (!a || (arity > 1 && !b)) return std::nullopt;
  return apply(node.kind, *a, arity > 1 ? *b : SymValue{});
}

Value look_up(const SymNode& node, const SymTable::Lookup& lookup) {
  const Value value = lookup(node.symbol);
  if (!value || value->type == node.type) return value;
  if (node.type == SymType::Int && value->type == SymType::Float) return std::nullopt;
  return convert_value(*value, node.type);
}

}  // namespace

std::optional<i64> Sym::as_int() const {
  if (!is_const() || node_->type != SymType::Int) return std::nullopt;
  return node_->value.integer;
}

SymbolId SymTable::add_symbol(Symbol symbol) {
  symbols_.push_back(std::move(symbol));
  return SymbolId(symbol_count() - 1);
}

Sym SymTable::intern(SymNode node) {
  const u64 hash = hash_of(node);
  const auto [begin, end] = interned_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    if (same(*it->second, node)) return Sym(it->second);
  }
  node.id = static_cast<u32>(nodes_.size());
  nodes_.push_back(node);
  interned_.emplace(hash, &nodes_.back());
  return Sym(&nodes_.back());
}

Sym SymTable::integer(i64 value) { return constant(SymValue::of(value)); }
Sym SymTable::real(double value) { return constant(SymValue::of(value)); }
Sym SymTable::boolean(bool value) { return constant(SymValue::of_bool(value)); }

Sym SymTable::constant(SymValue value) {
  return intern({.kind = SymKind::Const, .type = value.type, .value = value});
}

Sym SymTable::symbol_sym(SymbolId id) {
  return intern({.kind = SymKind::Symbol, .type = symbol(id).type, .symbol = id});
}

Sym SymTable::product(std::span<const Sym> factors) {
  Sym result = integer(1);
  for (Sym factor : factors) result = mul(result, factor);
  return result;
}

std::optional<SymValue> SymTable::evaluate(Sym sym, const Lookup& lookup) const {
  if (sym.is_const()) return sym->value;
  if (sym.kind() == SymKind::Symbol) return look_up(*sym.node(), lookup);
  std::unordered_map<const SymNode*, Value> values;
  const auto value_of = [&](const SymNode* operand) {
    return operand == nullptr ? std::nullopt : values.at(operand);
  };
  post_order(sym.node(), [&](const SymNode* node) {
    if (node->kind == SymKind::Const) {
      values[node] = node->value;
    } else if (node->kind == SymKind::Symbol) {
      values[node] = look_up(*node, lookup);
    } else {
      values[node] = evaluate_node(*node, value_of(node->operands[0]), value_of(node->operands[1]),
                                   value_of(node->operands[2]));
    }
  });
  return values.at(sym.node());
}

std::optional<SymValue> SymTable::hint(Sym sym) const {
  return evaluate(sym, [this](SymbolId id) { return std::optional(symbol(id).hint); });
}

Sym SymTable::substitute(Sym sym, const std::function<Sym(SymbolId)>& replacement) {
  std::unordered_map<const SymNode*, Sym> results;
  const auto result_of = [&](const SymNode* operand) {
    return operand == nullptr ? Sym() : results.at(operand);
  };
  post_order(sym.node(), [&](const SymNode* node) {
    if (node->kind == SymKind::Const) {
      results[node] = constant(node->value);
    } else if (node->kind == SymKind::Symbol) {
      results[node] = replacement(node->symbol);
      BUG_IF(!results[node], "no replacement for symbol {}", node->symbol.index);
    } else {
      results[node] = make(node->kind, result_of(node->operands[0]), result_of(node->operands[1]),
                           result_of(node->operands[2]));
    }
  });
  return results.at(sym.node());
}

void for_each_symbol(Sym sym, const std::function<void(SymbolId)>& visit) {
  post_order(sym.node(), [&](const SymNode* node) {
    if (node->kind == SymKind::Symbol) visit(node->symbol);
  });
}

}  // namespace peri
