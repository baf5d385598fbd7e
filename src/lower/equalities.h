// Host scalars that are known to be equal, and one spelling for each class of them.
#pragma once

#include <unordered_map>

#include "check/typed.h"

namespace peri::lower {

// Typing may have taken two extents for one because a guard or an assert says so (`assert k ==
// k2`). Device IR compares extents by their expressions, so every expression in it is made
// canonical here. The guards and asserts themselves are not: they are what makes this true.
class Equalities {
 public:
  explicit Equalities(const check::TypedKernel& kernel);

  Sym canonical(Sym sym) const;
  std::vector<Sym> canonical(std::vector<Sym> syms) const;
  std::vector<Dim> canonical(std::vector<Dim> shape) const;

 private:
  void add(Sym a, Sym b);
  void add_condition(Sym condition);

  SymTable& syms_;
  std::unordered_map<SymbolId, Sym> replacements_;
};

}  // namespace peri::lower
