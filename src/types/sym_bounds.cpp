#include "types/sym_bounds.h"

#include <algorithm>

#include "types/sym_ops.h"

namespace peri {

std::optional<i64> lower_bound(const SymTable& syms, Sym sym) {
  if (auto value = sym.as_int()) return value;
  if (sym.type() != SymType::Int) return std::nullopt;
  auto below = [&](i64 i) { return lower_bound(syms, sym.operand(i)); };
  switch (sym.kind()) {
    case SymKind::Symbol: {
      SymbolOrigin origin = syms.symbol(sym->symbol).origin;
      bool size = origin == SymbolOrigin::ArgSize || origin == SymbolOrigin::Block;
      return size ? std::optional<i64>(0) : std::nullopt;
    }
    case SymKind::Add: {
      auto a = below(0), b = below(1);
      return a && b ? checked_add(*a, *b) : std::nullopt;
    }
    case SymKind::Mul:
    case SymKind::FloorDiv:
    case SymKind::CeilDiv: {
      auto a = below(0), b = below(1);
      return a && b && *a >= 0 && *b >= 0 ? std::optional<i64>(0) : std::nullopt;
    }
    case SymKind::Min: {
      auto a = below(0), b = below(1);
      return a && b ? std::optional(std::min(*a, *b)) : std::nullopt;
    }
    case SymKind::Max: {
      auto a = below(0), b = below(1);
      return a && b ? std::optional(std::max(*a, *b)) : (a ? a : b);
    }
    default:
      return std::nullopt;
  }
}

}  // namespace peri
