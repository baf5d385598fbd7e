#include "lower/equalities.h"

#include <utility>

namespace peri::lower {

Equalities::Equalities(const check::TypedKernel& kernel) : syms_(*kernel.syms) {
  for (const check::Guard& guard : kernel.guards) add(guard.left, guard.right);
  for (const check::HostStmt& stmt : kernel.host) {
    if (stmt.kind == check::HostStmt::Kind::Check) add_condition(stmt.condition);
  }
}

void Equalities::add_condition(Sym condition) {
  if (condition.kind() == SymKind::And) {
    add_condition(condition.operand(0));
    add_condition(condition.operand(1));
  } else if (condition.kind() == SymKind::Eq) {
    add(condition.operand(0), condition.operand(1));
  }
}

// Replaces the younger of two symbols, or a symbol by what it equals.
void Equalities::add(Sym a, Sym b) {
  a = canonical(a);
  b = canonical(b);
  if (a == b || a.type() != b.type()) return;
  auto is_symbol = [](Sym sym) { return sym.kind() == SymKind::Symbol; };
  if (!is_symbol(a) || (is_symbol(b) && b->symbol > a->symbol)) std::swap(a, b);
  bool recursive = !is_symbol(a);
  for_each_symbol(b, [&](SymbolId id) { recursive = recursive || id == a->symbol; });
  if (recursive) return;
  SymbolOrigin origin = syms_.symbol(a->symbol).origin;
  if (origin == SymbolOrigin::Block || origin == SymbolOrigin::Tunable) return;
  SymbolId replaced = a->symbol;
  replacements_[replaced] = b;
  for (auto& [symbol, by] : replacements_) by = canonical(by);
}

Sym Equalities::canonical(Sym sym) const {
  if (!sym || replacements_.empty()) return sym;
  return syms_.substitute(sym, [&](SymbolId id) {
    auto found = replacements_.find(id);
    return found == replacements_.end() ? syms_.symbol_sym(id) : found->second;
  });
}

std::vector<Sym> Equalities::canonical(std::vector<Sym> syms) const {
  for (Sym& sym : syms) sym = canonical(sym);
  return syms;
}

std::vector<Dim> Equalities::canonical(std::vector<Dim> shape) const {
  for (Dim& dim : shape) dim.size = canonical(dim.size);
  return shape;
}

}  // namespace peri::lower
