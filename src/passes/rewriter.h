// The hands of canonicalize: looks at definitions, and changes or replaces the op at hand.
//
// Ops are visited in order, operands before users, with operands already resolved. New ops go
// before the op at hand. References into the kernel's tables do not survive `insert`.
#pragma once

#include <optional>
#include <vector>

#include "ir/ir.h"
#include "passes/substitution.h"

namespace peri::passes {

class Rewriter {
 public:
  // Returns true if it changed or removed the op; it is called again on an op that stays.
  using Simplify = bool (*)(Rewriter&, ir::OpId);

  Rewriter(ir::Kernel& kernel, Simplify simplify) : kernel(kernel), simplify_(simplify) {}

  // Visits each op below the roots once. True if a call did something.
  bool run();

  ir::Kernel& kernel;

  const ir::Op& op(ir::OpId id) const { return kernel[id]; }
  const TileType& type(ir::ValueId value) const { return kernel[value].type; }
  const TileType& result_type(ir::OpId id) const { return type(kernel[id].results[0]); }
  // The op that defines a value, if it has this code.
  const ir::Op* definition(ir::ValueId value, ir::OpCode code) const;
  // The value of a scalar constant, as its dtype has it: Float, Int or Bool.
  std::optional<SymValue> constant(ir::ValueId value) const;
  // A tile of type `kept` has no element that one of type `other` lacks, in an elementwise op.
  static bool covers(const TileType& kept, const TileType& other);
  // The scalar that a tile repeats (`expand` of a scalar), or none.
  ir::ValueId splatted(ir::ValueId value) const;

  ir::ValueId insert(ir::OpCode code, std::vector<ir::ValueId> operands, TileType type,
                     ir::Attrs attrs = {});
  ir::ValueId insert_constant(Dtype dtype, SymValue value);
  // The op computes its result another way.
  bool become(ir::OpId id, ir::OpCode code, std::vector<ir::ValueId> operands,
              ir::Attrs attrs = {});
  // Other values stand for the op's results, and the op goes: if their types are the results',
  // which may say more about the elements that exist than the operands' do.
  bool replace(ir::OpId id, ir::ValueId value);
  bool replace(ir::OpId id, const std::vector<ir::ValueId>& values);
  bool same_types(const std::vector<ir::ValueId>& a, const std::vector<ir::ValueId>& b) const;
  // `value` stands for a parameter or for a result of an op that stays.
  void substitute(ir::ValueId from, ir::ValueId value) {
    substitution_.replace(kernel, from, value);
  }
  ir::ValueId resolve(ir::ValueId value) const { return substitution_.resolve(value); }
  // Moves the ops of a region to before the op at hand, visiting them. Returns its yields.
  std::vector<ir::ValueId> splice(ir::GraphId region);

 private:
  void run_ops(const std::vector<ir::OpId>& ops);
  void run_graph(ir::GraphId graph);

  Simplify simplify_;
  Substitution substitution_;
  ir::GraphId graph_;
  diag::Span span_;
  std::vector<ir::OpId> done_;  // the rebuilt op list of `graph_`
  bool removed_ = false;        // the op at hand was replaced
  bool changed_ = false;
};

}  // namespace peri::passes
