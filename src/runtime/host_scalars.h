// Host scalars of a specialised kernel, arranged so that a call evaluates each at most once.
//
// A `ScalarProgram` numbers the expressions that a host program uses. Those that depend on the
// config alone are folded when it is built; the rest is a straight list of operations, each on
// earlier ones. With static shapes that list is usually empty.
#pragma once

#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "runtime/tensor.h"
#include "types/sym.h"

namespace peri::runtime {

// One argument of a call, as the host program numbers them: a tensor, a scalar, or neither.
struct Leaf {
  const Tensor* tensor = nullptr;
  SymValue scalar;
};

using ScalarValue = std::optional<SymValue>;  // none: division by zero and the like

struct ScalarTag;
using ScalarId = Id<ScalarTag>;

class ScalarProgram {
 public:
  // `known`: values of config symbols, by symbol; none for the symbols that a call binds.
  ScalarProgram(const SymTable& syms, std::vector<ScalarValue> known);

  ScalarId add(Sym sym);
  ScalarId find(Sym sym) const { return numbers_.at(sym.node()); }  // added before
  // The value of a scalar that no call changes.
  ScalarValue constant(ScalarId id) const;
  bool is_constant(ScalarId id) const { return !varies_[id.index]; }

  // All values for the arguments of one call. `storage` is scratch that the result may point into.
  std::span<const ScalarValue> evaluate(std::span<const Leaf> leaves,
                                        std::vector<ScalarValue>& storage) const;

 private:
  struct Step {
    SymKind kind;
    ScalarId result;
    ScalarId operands[3];
    SymType operand_type = SymType::Int;
    i64 operand_count = 0;
    Symbol symbol;  // Symbol
  };

  ScalarId add_symbol(Sym sym);
  ScalarId append(ScalarValue value, bool varies);
  ScalarValue run(const Step& step, std::span<const Leaf> leaves,
                  std::span<const ScalarValue> values) const;

  const SymTable& syms_;
  std::vector<ScalarValue> known_;
  std::vector<ScalarValue> initial_;
  std::vector<bool> varies_;
  std::vector<Step> steps_;
  std::unordered_map<const SymNode*, ScalarId> numbers_;
};

}  // namespace peri::runtime
