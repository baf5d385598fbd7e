#include "passes/canonical_rules.h"

namespace peri::passes {

namespace {

using ir::OpCode;

// Bits of the significand, the hidden one included.
i64 precision(Dtype dtype) {
  switch (dtype) {
    case Dtype::F16:
      return 11;
    case Dtype::BF16:
      return 8;
    case Dtype::F32:
      return 24;
    default:
      return 53;
  }
}

// Bits that hold a value's magnitude.
i64 magnitude_bits(Dtype dtype) {
  if (dtype == Dtype::Bool) return 1;
  return 8 * size_of(dtype) - (dtype == Dtype::U8 ? 0 : 1);
}

bool is_signed(Dtype dtype) { return dtype != Dtype::Bool && dtype != Dtype::U8; }

// Every value of `from` is one of `to`.
bool preserves(Dtype from, Dtype to) {
  if (from == to) return true;
  if (to == Dtype::Bool) return false;
  if (is_float(from)) {
    return is_float(to) && (to == Dtype::F64 || (to == Dtype::F32 && is_half(from)));
  }
  if (is_float(to)) return magnitude_bits(from) <= precision(to);
  return magnitude_bits(from) <= magnitude_bits(to) && (is_signed(to) || !is_signed(from));
}

// Casts through `middle` keep just the low bits that `to` has.
bool truncates(Dtype from, Dtype middle, Dtype to) {
  bool integers = is_integer(from) && is_integer(middle) && is_integer(to);
  return integers && size_of(to) <= size_of(middle);
}

}  // namespace

bool simplify_cast(Rewriter& rewriter, ir::OpId id) {
  const ir::Op& op = rewriter.op(id);
  if (op.code != OpCode::Cast) return false;
  ir::ValueId value = op.operands[0];
  Dtype to = rewriter.result_type(id).dtype, middle = rewriter.type(value).dtype;
  if (to == middle) return rewriter.replace(id, value);
  const ir::Op* inner = rewriter.definition(value, OpCode::Cast);
  if (!inner) return false;
  ir::ValueId source = inner->operands[0];
  Dtype from = rewriter.type(source).dtype;
  if (!preserves(from, middle) && !truncates(from, middle, to)) return false;
  return rewriter.become(id, OpCode::Cast, {source});
}

}  // namespace peri::passes
