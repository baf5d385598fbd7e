// Values that stand for others: what a pass replaced.
#pragma once

#include <vector>

#include "ir/ir.h"

namespace peri::passes {

class Substitution {
 public:
  bool empty() const { return replacement_.empty(); }

  // From here on `to` stands for `from`, whose name goes over to a nameless `to`.
  void replace(ir::Kernel& kernel, ir::ValueId from, ir::ValueId to);
  ir::ValueId resolve(ir::ValueId value) const;
  void apply(std::vector<ir::ValueId>& values) const;
  // Resolves all operands and yields below `graph`.
  void apply(ir::Kernel& kernel, ir::GraphId graph) const;
  void apply(ir::Kernel& kernel) const;

 private:
  std::vector<ir::ValueId> replacement_;  // by value; none: stands for itself. Empty: all do
};

}  // namespace peri::passes
