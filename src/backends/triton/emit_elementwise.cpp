// Elementwise ops as Python expressions.
#include <fmt/format.h>

#include <algorithm>

#include "backends/triton/emit.h"
#include "base/bug.h"
#include "ir/walk.h"

namespace peri::triton {

using ir::Op;
using ir::OpCode;
using ir::ValueId;

namespace {

struct Spelling {
  OpCode code;
  const char* function;
};

// Of one float operand.
constexpr Spelling kTl[] = {
    {OpCode::Abs, "tl.abs"},         {OpCode::Exp, "tl.exp"},     {OpCode::Exp2, "tl.exp2"},
    {OpCode::Log, "tl.log"},         {OpCode::Log2, "tl.log2"},   {OpCode::Sqrt, "tl.sqrt_rn"},
    {OpCode::Rsqrt, "tl.rsqrt"},     {OpCode::Sin, "tl.sin"},     {OpCode::Cos, "tl.cos"},
    {OpCode::Erf, "tl.erf"},         {OpCode::Floor, "tl.floor"}, {OpCode::Ceil, "tl.ceil"},
    {OpCode::Sigmoid, "tl.sigmoid"},
};
constexpr Spelling kLibdevice[] = {
    {OpCode::Expm1, "expm1"}, {OpCode::Log10, "log10"}, {OpCode::Log1p, "log1p"},
    {OpCode::Tan, "tan"},     {OpCode::Sinh, "sinh"},   {OpCode::Cosh, "cosh"},
    {OpCode::Tanh, "tanh"},   {OpCode::Asin, "asin"},   {OpCode::Acos, "acos"},
    {OpCode::Atan, "atan"},   {OpCode::Erfc, "erfc"},   {OpCode::Round, "rint"},
    {OpCode::Trunc, "trunc"},
};

template <std::size_t N>
const char* find(const Spelling (&rows)[N], OpCode code) {
  for (const Spelling& row : rows) {
    if (row.code == code) return row.function;
  }
  return nullptr;
}

struct Operator {
  OpCode code;
  const char* text;
  Binding binding;
};

constexpr Operator kOperators[] = {
    {OpCode::Add, "+", Binding::Sum},     {OpCode::Sub, "-", Binding::Sum},
    {OpCode::Mul, "*", Binding::Product}, {OpCode::Div, "/", Binding::Product},
    {OpCode::And, "&", Binding::And},     {OpCode::Or, "|", Binding::Or},
    {OpCode::Xor, "^", Binding::Xor},     {OpCode::Eq, "==", Binding::Compare},
    {OpCode::Ne, "!=", Binding::Compare}, {OpCode::Lt, "<", Binding::Compare},
    {OpCode::Le, "<=", Binding::Compare}, {OpCode::Gt, ">", Binding::Compare},
    {OpCode::Ge, ">=", Binding::Compare},
};

const Operator* find_operator(OpCode code) {
  auto row = std::ranges::find(kOperators, code, &Operator::code);
  return row == std::end(kOperators) ? nullptr : row;
}

bool is_comparison(OpCode code) { return ir::info(code).rule == ir::Rule::Predicate; }

}  // namespace

void Emitter::emit_cast(const Op& op) {
  ValueId result = op.results[0];
  Dtype dtype = kernel_[result].type.dtype;
  Held value = held(op.operands[0]);
  value.present.resize(kernel_[result].type.rank());
  if (value.is_literal && dtype != Dtype::Bool) value = as_typed(value);
  if (dtype == Dtype::Bool && value.dtype != Dtype::Bool) {
    value.text = binary("!=", Binding::Compare, value.text, {"0"});
    value.dtype = Dtype::Bool;
    value.is_literal = false;
  } else if (dtype == Dtype::I64 && is_integer(value.dtype)) {
    auto known = lanes_.interval(result);
    if (!known || !known->fits_32_bits()) value = as_dtype(value, dtype);
  } else {
    value = as_dtype(value, dtype);
  }
  define(result, std::move(value));
}

// Integer operands in the width of the result: 32 bits if every value is known to fit.
std::vector<Held> Emitter::integer_operands(const Op& op, std::vector<Held> operands,
                                            Dtype& dtype) {
  bool comparison = is_comparison(op.code);
  bool narrow = true;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (operands[i].dtype == Dtype::Bool) continue;
    bool literal_fits = false;
    if (operands[i].is_literal) {
      auto known = lanes_.interval(op.operands[i]);
      literal_fits = known && known->fits_32_bits();
    }
    narrow = narrow && (operands[i].dtype != Dtype::I64 || literal_fits);
  }
  if (!comparison) {
    auto known = lanes_.interval(op.results[0]);
    narrow = narrow && known && known->fits_32_bits();
  }
  Dtype width = narrow ? Dtype::I32 : Dtype::I64;
  for (Held& operand : operands) {
    if (operand.dtype == Dtype::Bool) continue;
    operand = operand.is_literal ? Held{operand.text, width, operand.present, true}
                                 : as_dtype(operand, width);
  }
  if (!comparison) dtype = width;
  return operands;
}

void Emitter::emit_elementwise(const Op& op) {
  ValueId result = op.results[0];
  i64 rank = kernel_[result].type.rank();
  Dtype dtype = carried_dtype(kernel_[result].type.dtype);
  std::vector<Held> operands;
  std::vector<bool> present(rank, false);
  bool wide = false, literals = true;
  for (ValueId operand : op.operands) {
    Held value = as_real(held(operand));
    value.present.resize(rank);
    wide = wide || kernel_[operand].type.dtype == Dtype::I64;
    literals = literals && value.is_literal;
    for (i64 d = 0; d < rank; ++d) present[d] = present[d] || value.present[d];
    operands.push_back(std::move(value));
  }
  if (wide && op.code != OpCode::Rand) operands = integer_operands(op, operands, dtype);
  if (literals) operands[0] = as_typed(operands[0]);
  Held value{{}, dtype, present, false};
  if (auto joined = joined_text(op, operands, present)) {
    value.text = *joined;
    return define(result, std::move(value));
  }
  for (Held& operand : operands) operand.text = aligned(operand, present);
  if (op.code == OpCode::Select) {
    Held a = operands[1], b = operands[2];
    if (a.is_literal && b.is_literal) {
      a.dtype = dtype;
      a = as_typed(a);
    }
    value.text = {
        fmt::format("tl.where({}, {}, {})", operands[0].text.text, a.text.text, b.text.text)};
  } else if (op.code == OpCode::Rand) {
    Held seed = as_typed(operands[0]);
    value.text = {fmt::format("tl.rand({}, {})", seed.text.text, operands[1].text.text)};
  } else if (operands.size() == 1) {
    value.text = unary_text(op, operands[0], dtype);
  } else {
    value.text = binary_text(op, operands[0], operands[1], dtype);
  }
  define(result, std::move(value));
}

// Whether a bool tells the second of two indices: `iota == 1`, seen through views.
bool Emitter::is_second_of_two(ValueId condition) const {
  auto source = [&](ValueId value) { return ir::behind_views(kernel_, value); };
  ir::OpId def = source(condition);
  if (!def || kernel_[def].code != OpCode::Eq) return false;
  ir::OpId index = source(kernel_[def].operands[0]), one = source(kernel_[def].operands[1]);
  if (index && kernel_[index].code == OpCode::Const) std::swap(index, one);
  if (!index || !one || kernel_[index].code != OpCode::Iota) return false;
  return kernel_[one].code == OpCode::Const && kernel_[one].attrs.constant == SymValue::of(i64{1});
}

// What torch.stack makes of two values lies side by side in registers: joined, not selected lane by
// lane from two repeated tiles.
std::optional<Text> Emitter::joined_text(const Op& select, const std::vector<Held>& operands,
                                         const std::vector<bool>& present) const {
  if (select.code != OpCode::Select || !is_second_of_two(select.operands[0])) return std::nullopt;
  const Held &second = operands[1], &first = operands[2];
  if (first.dtype != second.dtype || first.is_literal || second.is_literal) return std::nullopt;
  if (std::ranges::count(operands[0].present, true) != 1) return std::nullopt;
  i64 dim = std::ranges::find(operands[0].present, true) - operands[0].present.begin();
  std::vector<bool> rest = present;
  rest[dim] = false;
  i64 rank = std::ranges::count(present, true);
  bool whole = rank > 1 && first.present == rest && second.present == rest;
  if (!whole || lanes_of(select.results[0], dim) != 2) return std::nullopt;
  std::string text = fmt::format("tl.join({}, {})", first.text.text, second.text.text);
  i64 position = std::count(present.begin(), present.begin() + dim, true);
  if (position == rank - 1) return Text{text};
  std::string order;
  for (i64 i = 0; i < rank; ++i) {
    i64 from = i == position ? rank - 1 : i - (i > position ? 1 : 0);
    order += fmt::format("{}{}", i == 0 ? "" : ", ", from);
  }
  return Text{fmt::format("tl.permute({}, [{}])", text, order)};
}

Text Emitter::unary_text(const Op& op, const Held& a, Dtype dtype) {
  bool real = is_float(a.dtype);
  const Text& x = a.text;
  switch (op.code) {
    case OpCode::Neg:
      return {"-" + x.as(Binding::Atom), Binding::Unary};
    case OpCode::Not:
      if (dtype == Dtype::U8) return binary("^", Binding::Xor, x, {"255"});
      return {"~" + x.as(Binding::Atom), Binding::Unary};
    case OpCode::Reciprocal:
      return binary("/", Binding::Product, {"1.0"}, x);
    case OpCode::IsNan:
      return real ? binary("!=", Binding::Compare, x, x) : binary("!=", Binding::Compare, x, x);
    case OpCode::IsInf:
      if (!real) return binary("!=", Binding::Compare, x, x);
      return binary("==", Binding::Compare, {call("tl.abs", x)}, {"float(\"inf\")"});
    case OpCode::Sign: {
      std::string to = triton_dtype(dtype), atom = x.as(Binding::Sum);
      return {fmt::format("({0} > 0).to({1}) - ({0} < 0).to({1})", atom, to), Binding::Sum};
    }
    default:
      break;
  }
  if (!real && op.code != OpCode::Abs) return x;  // rounding an integer
  if (op.code == OpCode::Abs && a.dtype == Dtype::U8) return x;
  // tl.sqrt_rn rounds f32 correctly; f64 always is.
  if (op.code == OpCode::Sqrt && a.dtype == Dtype::F64) return {call("tl.sqrt", x)};
  if (const char* function = find(kTl, op.code)) return {call(function, x)};
  const char* function = find(kLibdevice, op.code);
  BUG_IF(function == nullptr, "`{}` has no spelling", ir::info(op.code).text);
  return {call(libdevice(function).c_str(), x)};
}

Text Emitter::binary_text(const Op& op, const Held& a, const Held& b, Dtype dtype) {
  bool real = is_float(a.dtype) || is_float(b.dtype);
  if (op.code == OpCode::Shl || op.code == OpCode::Shr) return shift_text(op, a, b, dtype);
  if (op.code == OpCode::Max || op.code == OpCode::Min) {
    // A literal has no dtype of its own here.
    auto operand = [&](Held h) {
      h.dtype = dtype;
      bool plain = !h.is_literal || dtype == Dtype::F32 || dtype == Dtype::I32;
      return (plain ? h : as_typed(h)).text.text;
    };
    const char* function = op.code == OpCode::Max ? "tl.maximum" : "tl.minimum";
    const char* nan = real ? ", propagate_nan=tl.PropagateNan.ALL" : "";
    return {fmt::format("{}({}, {}{})", function, operand(a), operand(b), nan)};
  }
  if (op.code == OpCode::Pow) return pow_text(op, a, b, dtype);
  if (const Operator* row = find_operator(op.code)) {
    return binary(row->text, row->binding, a.text, b.text);
  }
  if (!real) return integer_binary_text(op, a, b, dtype);
  Held x = as_typed(a), y = as_typed(b);
  std::string arguments = fmt::format("({}, {})", x.text.text, y.text.text);
  switch (op.code) {
    case OpCode::FloorDiv:
      return {fmt::format("tl.floor({})", binary("/", Binding::Product, a.text, b.text).text)};
    case OpCode::Remainder:
      return {helper("_float_remainder") + arguments};
    case OpCode::Fmod:
      return {libdevice("fmod") + arguments};
    case OpCode::Atan2:
      return {libdevice("atan2") + arguments};
    default:
      BUG_IF(true, "`{}` has no spelling", ir::info(op.code).text);
  }
}

Text Emitter::integer_binary_text(const Op& op, const Held& a, const Held& b, Dtype dtype) {
  auto x = lanes_.interval(op.operands[0]), y = lanes_.interval(op.operands[1]);
  bool positive = x && y && x->low >= 0 && y->low > 0;
  Held divisor = b;
  if (divisor.is_literal) divisor.dtype = dtype;
  switch (op.code) {
    case OpCode::FloorDiv:
      if (positive) return binary("//", Binding::Product, a.text, b.text);
      return {fmt::format("{}({}, {})", helper("_floor_div"), as_typed(a).text.text,
                          as_typed(divisor).text.text)};
    case OpCode::Remainder:
      if (positive) return binary("%", Binding::Product, a.text, b.text);
      return {fmt::format("{}({}, {})", helper("_remainder"), as_typed(a).text.text,
                          as_typed(divisor).text.text)};
    case OpCode::Fmod: {
      std::string safe = fmt::format("tl.where({0} == 0, 1, {0})", b.text.as(Binding::Sum));
      if (y && (y->low > 0 || y->high < 0)) safe = b.text.atom();
      return {fmt::format("{} % {}", a.text.as(Binding::Unary), safe), Binding::Product};
    }
    default:
      BUG_IF(true, "`{}` has no spelling", ir::info(op.code).text);
  }
}

Text Emitter::shift_text(const Op& op, const Held& a, const Held& b, Dtype dtype) {
  bool left = op.code == OpCode::Shl;
  i64 bits = 8 * size_of(dtype);
  auto amount = lanes_.interval(op.operands[1]);
  Held value = a;
  if (value.is_literal) {
    value.dtype = dtype;
    value = as_typed(value);
  }
  Text shifted = binary(left ? "<<" : ">>", Binding::Shift, value.text, b.text);
  if (b.is_literal && amount && amount->low >= 0 && amount->high < bits) return shifted;
  std::string by = b.text.as(Binding::Sum);
  std::string in_range = fmt::format("({0} >= 0) & ({0} < {1})", by, bits);
  std::string other = "0";
  if (!left && dtype != Dtype::U8) {
    other = binary(">>", Binding::Shift, value.text, python_integer(bits - 1)).text;
  }
  return {fmt::format("tl.where({}, {}, {})", in_range, shifted.text, other)};
}

Text Emitter::pow_text(const Op& op, const Held& a, const Held& b, Dtype dtype) {
  if (!is_float(dtype)) {
    Held exponent = b;
    if (exponent.is_literal) exponent.dtype = dtype;
    return {fmt::format("{}({}, {}, {})", helper("_integer_pow"), as_typed(a).text.text,
                        as_typed(exponent).text.text, 8 * size_of(dtype) - 1)};
  }
  const ir::OpId def = ir::behind_views(kernel_, op.operands[1]);
  // The exponents that torch takes apart.
  if (def && kernel_[def].code == OpCode::Const) {
    double exponent = kernel_[def].attrs.constant.as_real();
    Text root{dtype == Dtype::F64 ? call("tl.sqrt", a.text) : call("tl.sqrt_rn", a.text)};
    if (exponent == 2) return binary("*", Binding::Product, a.text, {a.text.atom()});
    if (exponent == 0.5) return root;
    if (exponent == -0.5) return binary("/", Binding::Product, {"1.0"}, root);
    if (exponent == -1) return binary("/", Binding::Product, {"1.0"}, a.text);
  }
  Held x = as_typed(a), y = as_typed(b);
  return {fmt::format("{}({}, {})", libdevice("pow"), x.text.text, y.text.text)};
}

}  // namespace peri::triton
