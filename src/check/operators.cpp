// Operators, attributes and subscripts.
#include <fmt/format.h>

#include "check/checker.h"
#include "check/fns.h"
#include "check/names.h"

namespace peri::check {

using diag::Kind;

namespace {

struct Operator {
  std::string_view text;
  SymKind sym;
  Builtin builtin;
};

constexpr Operator kOperators[] = {
    {"+", SymKind::Add, Builtin::Add},
    {"-", SymKind::Sub, Builtin::Sub},
    {"*", SymKind::Mul, Builtin::Mul},
    {"/", SymKind::TrueDiv, Builtin::Div},
    {"//", SymKind::FloorDiv, Builtin::FloorDiv},
    {"%", SymKind::Mod, Builtin::Remainder},
    {"**", SymKind::Pow, Builtin::Pow},
    {"<<", SymKind::Shl, Builtin::Shl},
    {">>", SymKind::Shr, Builtin::Shr},
    {"&", SymKind::BitAnd, Builtin::BitAnd},
    {"|", SymKind::BitOr, Builtin::BitOr},
    {"^", SymKind::BitXor, Builtin::BitXor},
    {"==", SymKind::Eq, Builtin::Eq},
    {"!=", SymKind::Ne, Builtin::Ne},
    {"<", SymKind::Lt, Builtin::Lt},
    {"<=", SymKind::Le, Builtin::Le},
    {">", SymKind::Gt, Builtin::Gt},
    {">=", SymKind::Ge, Builtin::Ge},
};

const Operator* find_operator(std::string_view text) {
  for (const Operator& op : kOperators) {
    if (op.text == text) return &op;
  }
  return nullptr;
}

bool is_number(const Value& v) { return v.scalar() || v.array(); }

Value type_error(Checker& c, const std::string& op, const Value& a, const Value& b, Span op_span) {
  diag::Diagnostic& d =
      c.error(Kind::OperandType, op_span,
              fmt::format("`{}` is not defined for {} and {}", op, kind_text(a), kind_text(b)));
  d.labels.push_back({a.span, c.describe(a)});
  d.labels.push_back({b.span, c.describe(b)});
  if (a.is(ValueKind::Tile) || b.is(ValueKind::Tile)) {
    d.hint = "use `tile.index` for the indices of a tile, `tile.begin` for the first";
  }
  return {};
}

Value scalar_binary(Checker& c, const Operator& op, const Value& a, const Value& b, Span op_span) {
  const Sym x = c.canon(a.sym), y = c.canon(b.sym);
  const bool divides =
      op.sym == SymKind::TrueDiv || op.sym == SymKind::FloorDiv || op.sym == SymKind::Mod;
  const bool zero = y.is_const() && y->value.as_real() == 0;
  if (divides && zero) return c.bad(Kind::DivisionByZero, op_span, "division by zero");
  const bool bits = op.sym == SymKind::BitAnd || op.sym == SymKind::BitOr ||
                    op.sym == SymKind::BitXor || op.sym == SymKind::Shl || op.sym == SymKind::Shr;
  if (bits && (x.type() == SymType::Float || y.type() == SymType::Float)) {
    return type_error(c, std::string(op.text), a, b, op_span);
  }
  return scalar_value(c.syms.make(op.sym, x, y));
}

Value sequence_binary(Checker& c, const std::string& op, const Value& a, const Value& b,
                      Span op_span) {
  if (op == "+" && a.is(ValueKind::Sequence) && b.is(ValueKind::Sequence)) {
    if (!c.spend(static_cast<i64>(a.seq->items.size() + b.seq->items.size()), op_span)) return {};
    std::vector<Value> items = a.seq->items;
    items.insert(items.end(), b.seq->items.begin(), b.seq->items.end());
    return sequence_value(std::move(items), a.seq->is_list);
  }
  const Value& seq = a.is(ValueKind::Sequence) ? a : b;
  const Value& count = a.is(ValueKind::Sequence) ? b : a;
  if (op != "*" || !count.scalar()) return type_error(c, op, a, b, op_span);
  const std::optional<i64> n = c.constant(count.sym);
  if (!n) return c.bad(Kind::NotConstant, count.span, "the length of this list is not known");
  std::vector<Value> items;
  for (i64 i = 0; i < *n && c.spend(static_cast<i64>(seq.seq->items.size()) + 1, op_span); ++i) {
    items.insert(items.end(), seq.seq->items.begin(), seq.seq->items.end());
  }
  return sequence_value(std::move(items), seq.seq->is_list);
}

// `tile + 3` is `tile.index + 3`.
Value tile_indices(Checker& c, const Value& v) {
  if (!v.is(ValueKind::Tile)) return v;
  return c.attribute(v, "index", v.span, v.span);
}

// The indices of a tile, moved by a scalar, still name a tile of the axis in a subscript.
void shift_indices(Checker& c, const std::string& op, const std::vector<Value>& operands,
                   Value& result) {
  const bool swapped = op == "+" && !operands[0].block;
  const Value &indices = operands[swapped ? 1 : 0], &by = operands[swapped ? 0 : 1];
  if (!indices.array() || !indices.block || c.type(indices).rank() != 1) return;
  if (!by.scalar() && !(by.array() && c.type(by).is_scalar())) return;
  Value shift = op == "-" ? c.unary("-", by, by.span) : by;
  if (indices.shift) {
    const Texpr& before = c.expr(indices.shift);
    if (before.kind != TexprKind::Scalar || !shift.scalar()) return;
    shift = scalar_value(c.syms.add(before.sym, shift.sym));
  }
  shift.span = by.span;
  result.block = indices.block;
  result.shift = c.as_expr(shift, Dtype::I64);
}

}  // namespace

Value Checker::binary(const std::string& op, const Value& a, const Value& b, Span span,
                      Span op_span) {
  if (a.poison() || b.poison()) return {};
  if (op == "@") return dot_product(*this, a, b, span);
  const Operator* found = find_operator(op);
  if (a.scalar() && b.scalar()) return scalar_binary(*this, *found, a, b, op_span);
  if (a.is(ValueKind::Sequence) || b.is(ValueKind::Sequence)) {
    return sequence_binary(*this, op, a, b, op_span);
  }
  if (a.is(ValueKind::String) && b.is(ValueKind::String) && op == "+") {
    if (!spend(1 + static_cast<i64>(a.text.size() + b.text.size()) / 64, span)) return {};
    return string_value(a.text + b.text);
  }
  if (op == "|" && (a.is(ValueKind::Type) || a.is(ValueKind::Builtin) || a.is(ValueKind::Opaque))) {
    return make_value(ValueKind::Type, "union");  // `int | None` in an annotation
  }
  const bool shifts = device && (op == "+" || op == "-") && found->sym != SymKind::Eq;
  std::vector<Value> operands{shifts ? tile_indices(*this, a) : a,
                              shifts ? tile_indices(*this, b) : b};
  for (const Value& v : operands) {
    if (!is_number(v) && !v.is(ValueKind::Tensor)) return type_error(*this, op, a, b, op_span);
  }
  Value result = math_call(*this, operands, span, op, [&](std::vector<Value> values) {
    return elementwise(found->builtin, std::move(values), op_span, op);
  });
  if (result.array() && (op == "+" || op == "-")) shift_indices(*this, op, operands, result);
  return result;
}

Value Checker::unary(const std::string& op, const Value& a, Span span) {
  if (a.poison()) return {};
  if (op == "not") {
    const Truth t = truth(a);
    if (t.poison) return {};
    if (t.known) return scalar_value(syms.boolean(!*t.known));
    if (t.sym) return scalar_value(syms.make(SymKind::Not, t.sym));
    return elementwise(Builtin::LogicalNot, {array_value(t.expr)}, span, op);
  }
  if (a.scalar()) {
    if (op == "+") return a;
    if (op == "-") return scalar_value(syms.make(SymKind::Neg, canon(a.sym)));
    if (a.sym.type() != SymType::Float)
      return scalar_value(syms.make(SymKind::BitNot, canon(a.sym)));
  }
  if (!a.array() && !a.is(ValueKind::Tensor)) {
    return bad(Kind::OperandType, span,
               fmt::format("`{}` is not defined for {}", op, kind_text(a)));
  }
  if (op == "+") return a;
  const Builtin builtin = op == "-" ? Builtin::Neg : Builtin::BitNot;
  return math_call(*this, {a}, span, op, [&](std::vector<Value> values) {
    return elementwise(builtin, std::move(values), span, op);
  });
}

namespace {

// Equality of things that are no numbers; nullopt where it is not decided here.
std::optional<bool> plain_equal(const Value& a, const Value& b) {
  const bool callable_type = (a.is(ValueKind::Type) || a.is(ValueKind::Builtin)) &&
                             (b.is(ValueKind::Type) || b.is(ValueKind::Builtin));
  if (callable_type) return a.text == b.text;
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case ValueKind::None:
    case ValueKind::Ellipsis:
    case ValueKind::Device:
      return true;
    case ValueKind::String:
    case ValueKind::Opaque:
    case ValueKind::Module:
      return a.text == b.text;
    case ValueKind::Dtype:
      return a.dtype == b.dtype;
    case ValueKind::Tensor:
      return a.tensor == b.tensor;
    case ValueKind::Function:
      return a.fn == b.fn;
    case ValueKind::Tile:
      return a.block == b.block;
    case ValueKind::Scalar:
      return a.sym == b.sym;
    default:
      return false;
  }
}

Value sequence_equal(Checker& c, const Value& a, const Value& b, Span span, Span op_span) {
  if (!b.is(ValueKind::Sequence) || a.seq->items.size() != b.seq->items.size()) {
    return scalar_value(c.syms.boolean(false));
  }
  Sym all = c.syms.boolean(true);
  for (std::size_t i = 0; i < a.seq->items.size() && c.spend(1, span); ++i) {
    const Value part = c.compare("==", a.seq->items[i], b.seq->items[i], span, op_span);
    if (!part.scalar()) return {};
    all = c.syms.make(SymKind::And, all, part.sym);
  }
  return scalar_value(all);
}

Value contains(Checker& c, const Value& item, const Value& container, Span span, Span op_span) {
  if (container.is(ValueKind::String) && item.is(ValueKind::String)) {
    return scalar_value(c.syms.boolean(container.text.find(item.text) != std::string::npos));
  }
  const auto items = c.iterate(container, "searched");
  if (!items) return {};
  Sym any = c.syms.boolean(false);
  for (const Value& candidate : *items) {
    const Value same = c.compare("==", item, candidate, span, op_span);
    if (!same.scalar()) return {};
    any = c.syms.make(SymKind::Or, any, same.sym);
  }
  return scalar_value(any);
}

}  // namespace

Value Checker::compare(const std::string& op, const Value& a, const Value& b, Span span,
                       Span op_span) {
  if (a.poison() || b.poison()) return {};
  const bool negated = op == "!=" || op == "is not" || op == "not in";
  const auto result = [&](bool same) { return scalar_value(syms.boolean(same != negated)); };
  if (op == "in" || op == "not in") {
    const Value found = contains(*this, a, b, span, op_span);
    return negated && found.scalar() ? scalar_value(syms.make(SymKind::Not, found.sym)) : found;
  }
  if (op == "is" || op == "is not") {
    if (a.scalar() && b.scalar()) {
      const Sym same = syms.make(SymKind::Eq, canon(a.sym), canon(b.sym));
      return scalar_value(negated ? syms.make(SymKind::Not, same) : same);
    }
    return result(plain_equal(a, b).value_or(false));
  }
  const Operator* found = find_operator(op);
  if (a.scalar() && b.scalar()) return scalar_binary(*this, *found, a, b, op_span);
  if (op == "==" || op == "!=") {
    if (a.is(ValueKind::Sequence)) {
      const Value same = sequence_equal(*this, a, b, span, op_span);
      return negated && same.scalar() ? scalar_value(syms.make(SymKind::Not, same.sym)) : same;
    }
    const bool numbers =
        (is_number(a) || a.is(ValueKind::Tensor)) && (is_number(b) || b.is(ValueKind::Tensor));
    if (!numbers) return result(plain_equal(a, b).value_or(false));
  }
  for (const Value* v : {&a, &b}) {
    if (!is_number(*v) && !v->is(ValueKind::Tensor)) return type_error(*this, op, a, b, op_span);
  }
  return math_call(*this, {a, b}, span, op, [&](std::vector<Value> values) {
    return elementwise(found->builtin, std::move(values), op_span, op);
  });
}

namespace {

std::optional<Value> tensor_attribute(Checker& c, const Value& v, const std::string& name,
                                      Span span) {
  const bool host = v.is(ValueKind::Tensor);
  const Dtype dtype = host ? c.kernel[v.tensor].dtype : c.type(v).dtype;
  const i64 rank = host ? static_cast<i64>(c.kernel[v.tensor].sizes.size()) : c.type(v).rank();
  if (name == "shape") return sequence_value(c.shape_values(v));
  if (name == "dtype") return dtype_value(dtype);
  if (name == "device") return make_value(ValueKind::Device);
  if (name == "ndim") return scalar_value(c.integer(rank));
  if (name == "itemsize") return scalar_value(c.integer(size_of(dtype)));
  if (name == "layout") return make_value(ValueKind::Opaque, "torch.strided");
  if (name == "is_cuda" || name == "requires_grad" || name == "is_sparse") {
    return scalar_value(c.syms.boolean(false));
  }
  if (name == "data") return v;
  if (name == "T" || name == "mT" || name == "H") return matrix_transpose(c, v, name, span);
  return std::nullopt;
}

Value tile_attribute(Checker& c, const Value& tile, const std::string& name, Span span,
                     Span name_span) {
  const Block& block = c.kernel[tile.block];
  if (name == "block_size") {
    Value v = scalar_value(block.size);
    v.block = tile.block;
    return v;
  }
  static const std::map<std::string, TileAttr> attrs{{"index", TileAttr::Index},
                                                     {"begin", TileAttr::Begin},
                                                     {"end", TileAttr::End},
                                                     {"id", TileAttr::Id},
                                                     {"count", TileAttr::Count}};
  const auto it = attrs.find(name);
  if (it == attrs.end()) {
    return c.bad(Kind::UnknownAttribute, name_span,
                 fmt::format("a tile has no attribute `{}`", name),
                 "tiles have `index`, `begin`, `end`, `id`, `count` and `block_size`");
  }
  Value v = array_value(c.tile_attr(tile.block, it->second, span), true);
  if (it->second == TileAttr::Index) v.block = tile.block;
  return v;
}

Value info_attribute(Checker& c, const Value& info, const std::string& name, Span name_span) {
  if (const std::optional<double> real = float_limit(info.dtype, name);
      real && is_float(info.dtype)) {
    return scalar_value(c.syms.real(*real));
  }
  if (const std::optional<i64> value = integer_limit(info.dtype, name)) {
    return scalar_value(c.integer(*value));
  }
  return c.bad(Kind::UnknownAttribute, name_span, fmt::format("a dtype has no limit `{}`", name));
}

Scope method_scope(ValueKind kind) {
  switch (kind) {
    case ValueKind::Sequence:
      return L;
    case ValueKind::Dict:
      return D;
    case ValueKind::String:
      return S;
    default:
      return M;
  }
}

Value method(Checker& c, const Value& object, const std::string& name, Span name_span) {
  const Scope scope = method_scope(object.kind);
  if (const Entry* entry = find_name(scope, name)) {
    Value v = make_value(ValueKind::Builtin, name);
    v.builtin = std::make_shared<BuiltinFn>(BuiltinFn{entry, object, true});
    return v;
  }
  return c.bad(Kind::UnknownAttribute, name_span,
               fmt::format("{} has no `{}` that is known here", kind_text(object), name),
               c.nearest_hint(name, names_in(scope)));
}

}  // namespace

Value Checker::attribute(const Value& object, const std::string& name, Span span, Span name_span) {
  switch (object.kind) {
    case ValueKind::Poison:
      return {};
    case ValueKind::Module:
      return attribute_of_module(object, name, name_span);
    case ValueKind::Opaque:
      return make_value(ValueKind::Opaque, object.text + "." + name);
    case ValueKind::Type:
      if (name == "__name__") return string_value(object.text);
      return make_value(ValueKind::Opaque, object.text + "." + name);
    case ValueKind::Tile:
      return tile_attribute(*this, object, name, span, name_span);
    case ValueKind::Info:
      return info_attribute(*this, object, name, name_span);
    case ValueKind::Device:
      return name == "type" ? string_value("cpu") : none_value();
    case ValueKind::Dtype:
      if (name == "itemsize") return scalar_value(integer(size_of(object.dtype)));
      if (name == "is_floating_point") return scalar_value(syms.boolean(is_float(object.dtype)));
      break;
    case ValueKind::Tensor:
    case ValueKind::Array:
      if (std::optional<Value> v = tensor_attribute(*this, object, name, span)) return *v;
      return method(*this, object, name, name_span);
    case ValueKind::Sequence: {
      const std::vector<std::string>& fields = object.seq->fields;
      for (std::size_t i = 0; i < fields.size(); ++i) {
        if (fields[i] == name) return object.seq->items[i];
      }
      return method(*this, object, name, name_span);
    }
    case ValueKind::Dict:
    case ValueKind::String:
      return method(*this, object, name, name_span);
    case ValueKind::Function:
    case ValueKind::Builtin:
      if (name == "__name__") return string_value(object.text);
      break;
    case ValueKind::None:
      return bad(Kind::UnknownAttribute, name_span,
                 fmt::format("`None` has no attribute `{}`", name),
                 "this argument was not given; test it with `is not None` first");
    default:
      break;
  }
  return bad(Kind::UnknownAttribute, name_span,
             fmt::format("{} has no attribute `{}`", kind_text(object), name));
}

namespace {

Value sequence_subscript(Checker& c, const Value& object, const Value& index, Span span) {
  const i64 size = static_cast<i64>(object.seq->items.size());
  if (index.is(ValueKind::Slice)) {
    i64 bounds[3] = {0, size, 1};
    for (int i = 0; i < 3; ++i) {
      const Value& part = index.seq->items[i];
      if (part.none()) continue;
      const std::optional<i64> value = part.scalar() ? c.constant(part.sym) : std::nullopt;
      if (!value || (i == 2 && *value == 0)) {
        return c.bad(Kind::SliceBounds, part.span, "the bounds of this slice are not known");
      }
      bounds[i] = i < 2 && *value < 0 ? std::max<i64>(*value + size, 0) : *value;
    }
    if (bounds[2] < 0) {
      if (index.seq->items[0].none()) bounds[0] = size - 1;
      if (index.seq->items[1].none()) bounds[1] = -1;
    }
    std::vector<Value> items;
    const i64 low = std::min(bounds[0], size), step = std::clamp(bounds[2], -size - 1, size + 1);
    for (i64 i = low; step > 0 ? i < std::min(bounds[1], size) : i > bounds[1]; i += step) {
      if (i >= 0 && i < size) items.push_back(object.seq->items[static_cast<std::size_t>(i)]);
    }
    return sequence_value(std::move(items), object.seq->is_list);
  }
  if (!index.scalar() || index.sym.type() == SymType::Float) {
    diag::Diagnostic& d =
        c.error(Kind::IndexType, index.span,
                fmt::format("{} is indexed with {}", kind_text(object), kind_text(index)));
    if (index.array()) d.hint = "loop with `hl.static_range` or over the list itself";
    return {};
  }
  const std::optional<i64> at = c.constant(index.sym);
  if (!at) {
    return c.bad(Kind::NotConstant, index.span, "this index is not known while compiling",
                 "use `hl.constexpr` for the argument, or `hl.specialize`");
  }
  if (*at < -size || *at >= size) {
    return c.bad(Kind::IndexRange, span,
                 fmt::format("index {} is outside {} of {}", *at, kind_text(object), size));
  }
  return object.seq->items[static_cast<std::size_t>(*at < 0 ? *at + size : *at)];
}

Value dict_subscript(Checker& c, const Value& object, const Value& index, Span span) {
  for (const auto& [key, item] : object.dict->items) {
    const Value same = c.compare("==", key, index, span, span);
    if (same.scalar() && c.decide(same, "a look-up").value_or(false)) return item;
  }
  return c.bad(Kind::IndexRange, span, fmt::format("the dict has no key {}", c.text_of(index)));
}

}  // namespace

Value Checker::subscript(const Value& object, const Value& index, Span span) {
  if (object.poison() || index.poison()) return {};
  switch (object.kind) {
    case ValueKind::Tensor:
      if (device) return load(object.tensor, index_items(index), {}, span);
      return host_subscript(object, index, span);
    case ValueKind::Array:
      return device_subscript(*this, object, index_items(index), span);
    case ValueKind::Sequence:
      return sequence_subscript(*this, object, index, span);
    case ValueKind::Range: {
      const auto items = iterate(object, "indexed");
      return items ? sequence_subscript(*this, sequence_value(*items), index, span) : Value();
    }
    case ValueKind::Dict:
      return dict_subscript(*this, object, index, span);
    case ValueKind::Type:
    case ValueKind::Builtin:
    case ValueKind::Opaque:
      return object;  // list[int], hl.constexpr[int]
    default:
      return bad(Kind::IndexType, span, fmt::format("{} cannot be indexed", kind_text(object)));
  }
}

}  // namespace peri::check
