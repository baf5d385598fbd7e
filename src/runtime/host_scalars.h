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

// Values of a call; reused between the calls of a thread, whatever program they are of.
class ScalarStorage {
  friend class ScalarProgram;
  u64 program_ = 0;  // whose constants stand in `values_`
  std::vector<ScalarValue> values_;
};

class ScalarProgram {
 public:
  // `known`: values of config symbols, by symbol; none for the symbols that a call binds.
  ScalarProgram(const SymTable& syms, std::vector<ScalarValue> known);

  ScalarId add(Sym sym);
  ScalarId find(Sym sym) const { return numbers_.at(sym.node()); }  // added before
  // The value of a scalar that no call changes.
  ScalarValue constant(ScalarId id) const;
  bool is_constant(ScalarId id) const { return !varies_[id.index]; }

  // Operations so far: those of the scalars that were added.
  i64 step_count() const { return static_cast<i64>(steps_.size()); }

  // All values for the arguments of one call, or those that the first `steps` operations give.
  // `storage` is scratch that the result may point into. The program must be complete.
  std::span<const ScalarValue> evaluate(std::span<const Leaf> leaves, ScalarStorage& storage,
                                        i64 steps = INT64_MAX) const;

 private:
  struct Step {
    SymKind kind;
    ScalarId result;
    ScalarId operands[3];
    SymType operand_type = SymType::Int;
    i64 operand_count = 0;
    // Symbol: what a call says about it.
    SymbolOrigin origin = SymbolOrigin::ArgSize;
    i64 leaf = -1, dim = 0;
  };

  ScalarId add_symbol(Sym sym);
  ScalarId append(ScalarValue value, bool varies);
  static ScalarValue argument_value(const Step& step, std::span<const Leaf> leaves);
  static ScalarValue run(const Step& step, std::span<const Leaf> leaves,
                         std::span<const ScalarValue> values);

  const SymTable& syms_;
  u64 id_;  // of no other program
  std::vector<ScalarValue> known_;
  std::vector<ScalarValue> initial_;
  std::vector<bool> varies_;
  std::vector<Step> steps_;
  std::unordered_map<const SymNode*, ScalarId> numbers_;
};

}  // namespace peri::runtime
