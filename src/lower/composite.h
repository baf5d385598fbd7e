// Functions that are several operations of Device IR.
//
// Where the operand is f16 or bf16, all steps but the last cast are in f32, as in torch's own
// kernels; the value returned is then f32 and the caller casts it once.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "check/typed.h"
#include "ir/ir.h"

namespace peri::lower {

class Composites {
 public:
  // `is_open`: whether a loop over the block is around, so that its current tile is known.
  Composites(ir::Builder& builder, std::function<bool(BlockId)> is_open)
      : builder_(builder), is_open_(std::move(is_open)) {}

  // `e` on operands that are lowered already; nothing if its builtin is no composite. Views and
  // matrix products are not expanded here.
  std::optional<ir::ValueId> expand(const check::Texpr& e,
                                    const std::vector<ir::ValueId>& operands);

 private:
  using ValueId = ir::ValueId;
  using OpCode = ir::OpCode;

  const TileType& type_of(ValueId value) { return builder_.kernel()[value].type; }
  SymTable& syms() { return *builder_.kernel().syms; }
  ValueId op(OpCode code, std::vector<ValueId> operands) {
    return builder_.elementwise(code, std::move(operands));
  }
  ValueId real(ValueId like, double value);
  ValueId widened(ValueId value);
  ValueId repeated(ValueId reduced, i64 dim, ValueId like);
  ValueId reduce(OpCode code, ValueId value, std::vector<i64> dims, bool keep);
  ValueId truth(ValueId value);
  ValueId element_count(ValueId value, const std::vector<i64>& dims, Dtype dtype);

  ValueId sum(OpCode code, const check::Texpr& e, ValueId x);
  ValueId extreme(const check::Texpr& e, ValueId x);
  ValueId arg_extreme(const check::Texpr& e, ValueId x);
  ValueId mean(ValueId x, const std::vector<i64>& dims, bool keep);
  ValueId variance(const check::Texpr& e, ValueId x);
  ValueId softmax(ValueId x, i64 dim, bool log);
  ValueId silu(ValueId x);
  ValueId gelu(ValueId x, std::string_view form);
  ValueId softplus(ValueId x, double beta);
  ValueId lerp(ValueId start, ValueId end, ValueId weight);
  ValueId clamp(ValueId x, ValueId low, ValueId high);

  ir::Builder& builder_;
  std::function<bool(BlockId)> is_open_;
};

}  // namespace peri::lower
