#include "backends/triton/dot_depth.h"

#include <algorithm>
#include <set>

#include "types/dtype.h"

namespace peri::triton {

namespace {

constexpr i64 kDepth = 16;
constexpr i64 kWidest = 64;  // bits of an element
constexpr i64 kBits = 256;   // along k: two registers of each of four threads

bool passes_elements_on(ir::Rule rule) {
  return rule == ir::Rule::Unary || rule == ir::Rule::Predicate || rule == ir::Rule::Binary ||
         rule == ir::Rule::Select || rule == ir::Rule::Cast || rule == ir::Rule::View;
}

// Bits of the narrowest load whose elements the value is made of.
i64 narrowest(const ir::Kernel& kernel, ir::ValueId value, std::set<ir::OpId>& seen) {
  const ir::OpId def = kernel[value].def;
  if (!def || !seen.insert(def).second) return kWidest;
  const ir::Op& op = kernel[def];
  if (op.code == ir::OpCode::Load) return 8 * size_of(kernel[value].type.dtype);
  if (!passes_elements_on(info(op.code).rule)) return kWidest;
  i64 bits = kWidest;
  for (ir::ValueId operand : op.operands) bits = std::min(bits, narrowest(kernel, operand, seen));
  return bits;
}

}  // namespace

i64 least_depth(const ir::Kernel& kernel, const ir::Op& dot) {
  std::set<ir::OpId> seen;
  i64 bits = kWidest;
  for (int side = 0; side < 2; ++side) {
    const ir::ValueId operand = dot.operands[side];
    bits =
        std::min({bits, 8 * size_of(kernel[operand].type.dtype), narrowest(kernel, operand, seen)});
  }
  return std::max(kDepth, kBits / bits);
}

}  // namespace peri::triton
