// Expressions, but for operators (operators.cpp) and calls (call.cpp).
#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "check/checker.h"
#include "check/names.h"

namespace peri::check {

using diag::Kind;
using syntax::Expr;
using syntax::ExprId;
using syntax::ExprKind;

namespace {

constexpr i64 kMaxEvalDepth = 1000;

std::string without_underscores(const std::string& text) {
  std::string digits;
  for (char ch : text) {
    if (ch != '_') digits += ch;
  }
  return digits;
}

std::optional<i64> parse_integer(const std::string& text) {
  const std::string digits = without_underscores(text);
  int base = 10;
  std::size_t skip = 0;
  if (digits.size() > 2 && digits[0] == '0') {
    const char kind = static_cast<char>(digits[1] | 0x20);
    base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
    skip = base == 10 ? 0 : 2;
  }
  i64 value = 0;
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data() + skip, end, value, base);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

}  // namespace

bool Checker::deeper(Span span) {
  if (eval_depth >= kMaxEvalDepth) {
    bad(Kind::TooLarge, span, "statements, expressions and calls are nested too deep here");
    return false;
  }
  ++eval_depth;
  return true;
}

Value Checker::eval(ExprId id) {
  if (!id || stopped_) return {};
  if (!deeper(ast()[id].span)) return {};
  Value value = eval_kind(id);
  --eval_depth;
  value.span = ast()[id].span;
  return value;
}

Value Checker::eval_number(const Expr& e) {
  if (e.kind == ExprKind::Int) {
    const std::optional<i64> value = parse_integer(e.text);
    if (value) return scalar_value(syms.integer(*value));
    return bad(Kind::NotYet, e.span, "integers beyond 64 bits are not supported yet");
  }
  return scalar_value(syms.real(std::strtod(without_underscores(e.text).c_str(), nullptr)));
}

std::optional<std::vector<Value>> Checker::eval_items(const std::vector<ExprId>& items) {
  std::vector<Value> values;
  for (ExprId id : items) {
    const Expr& e = ast()[id];
    if (e.kind != ExprKind::Starred) {
      values.push_back(eval(id));
      continue;
    }
    const Value inner = eval(e.items[0]);
    if (inner.poison()) return std::nullopt;
    const auto unpacked = iterate(inner, "unpacked");
    if (!unpacked) return std::nullopt;
    if (!spend(static_cast<i64>(unpacked->size()), e.span)) return std::nullopt;
    values.insert(values.end(), unpacked->begin(), unpacked->end());
  }
  return values;
}

Value Checker::eval_dict(const Expr& e) {
  Value v = make_value(ValueKind::Dict);
  v.dict = std::make_shared<Dict>();
  v.dict->level = level();
  for (std::size_t i = 0; i + 1 < e.items.size(); i += 2) {
    const Value item = eval(e.items[i + 1]);
    if (!e.items[i]) {
      if (item.is(ValueKind::Dict)) {
        for (const auto& entry : item.dict->items) v.dict->items.push_back(entry);
      }
      continue;
    }
    v.dict->items.emplace_back(eval(e.items[i]), item);
  }
  return shallow(v, e.span) ? v : Value();
}

Value Checker::eval_kind(ExprId id) {
  const Expr& e = ast()[id];
  switch (e.kind) {
    case ExprKind::Name:
      return lookup(e.text, e.span);
    case ExprKind::Int:
    case ExprKind::Float:
      return eval_number(e);
    case ExprKind::String:
      return string_value(e.text);
    case ExprKind::FString:
      return eval_fstring(e);
    case ExprKind::True:
      return scalar_value(syms.boolean(true));
    case ExprKind::False:
      return scalar_value(syms.boolean(false));
    case ExprKind::None:
      return none_value();
    case ExprKind::Ellipsis:
      return make_value(ValueKind::Ellipsis);
    case ExprKind::Unary:
      return unary(e.text, eval(e.items[0]), e.span);
    case ExprKind::Binary: {
      const Value a = eval(e.items[0]);
      return binary(e.text, a, eval(e.items[1]), e.span, e.op_span);
    }
    case ExprKind::Compare:
      return eval_compare(e);
    case ExprKind::BoolOp:
      return eval_bool_op(e);
    case ExprKind::Conditional:
      return eval_conditional(e);
    case ExprKind::Call:
      return eval_call(e);
    case ExprKind::Attribute:
      return attribute(eval(e.items[0]), e.text, e.span, e.op_span);
    case ExprKind::Subscript: {
      const Value object = eval(e.items[0]);
      return subscript(object, eval(e.items[1]), e.span);
    }
    case ExprKind::Slice: {
      std::vector<Value> parts;
      for (ExprId part : e.items) parts.push_back(part ? eval(part) : none_value());
      for (const Value& part : parts) {
        if (part.poison()) return {};
      }
      return sequence_value(std::move(parts), false, ValueKind::Slice);
    }
    case ExprKind::Tuple:
    case ExprKind::List: {
      auto items = eval_items(e.items);
      if (!items) return {};
      Value v = sequence_value(std::move(*items), e.kind == ExprKind::List);
      v.seq->level = level();
      return shallow(v, e.span) ? v : Value();
    }
    case ExprKind::Dict:
      return eval_dict(e);
    case ExprKind::ListComp:
    case ExprKind::Generator:
      return eval_comprehension(e, false);
    case ExprKind::DictComp:
      return eval_comprehension(e, true);
    case ExprKind::Lambda: {
      Value v = make_value(ValueKind::Function, "lambda");
      auto fn = std::make_shared<Function>();
      fn->ast = &ast();
      fn->lambda = id;
      fn->name = "lambda";
      fn->closure = frame().env;
      v.fn = std::move(fn);
      return v;
    }
    case ExprKind::Walrus: {
      Value v = eval(e.items[1]);
      bind_target(e.items[0], v);
      return v.poison() ? v : lookup(ast()[e.items[0]].text, e.span);
    }
    default:
      return bad(Kind::ExpressionNotAllowed, e.span, "kernels cannot use this expression");
  }
}

Value Checker::eval_compare(const Expr& e) {
  std::optional<Value> result;
  Value left = eval(e.items[0]);
  for (std::size_t i = 0; i < e.ops.size(); ++i) {
    Value right = eval(e.items[i + 1]);
    if (e.ops.size() > 1 && i + 1 < e.ops.size()) right = hold(std::move(right), "tmp");
    Value part = compare(e.ops[i], left, right, e.span, e.op_span);
    if (part.poison()) return {};
    if (result) {
      const bool both = part.scalar() && result->scalar();
      part = both ? scalar_value(syms.make(SymKind::And, result->sym, part.sym))
                  : elementwise(Builtin::BitAnd, {*result, part}, e.span, "and");
    }
    result = std::move(part);
    left = std::move(right);
  }
  return *result;
}

// `and` and `or` give one of their operands, as in Python; conditions known only later combine.
Value Checker::eval_bool_op(const Expr& e) {
  const bool is_and = e.text == "and";
  std::optional<Value> pending;
  for (std::size_t i = 0; i < e.items.size(); ++i) {
    Value value = eval(e.items[i]);
    const bool last = i + 1 == e.items.size();
    if (last && !pending) return value;
    const Truth t = truth(value);
    if (t.poison) return {};
    if (t.known) {
      if (*t.known == is_and) continue;
      return pending ? scalar_value(syms.boolean(!is_and)) : value;
    }
    Value condition = t.expr ? array_value(t.expr) : scalar_value(t.sym);
    condition.span = value.span;
    if (!pending) {
      pending = std::move(condition);
    } else if (pending->scalar() && condition.scalar()) {
      pending =
          scalar_value(syms.make(is_and ? SymKind::And : SymKind::Or, pending->sym, condition.sym));
    } else {
      pending = elementwise(is_and ? Builtin::BitAnd : Builtin::BitOr, {*pending, condition},
                            e.span, e.text);
    }
  }
  return pending ? *pending : Value();
}

Value Checker::eval_conditional(const Expr& e) {
  const Value test = eval(e.items[0]);
  const Truth t = truth(test);
  if (t.poison) return {};
  if (t.known) return eval(e.items[*t.known ? 1 : 2]);
  if (t.sym && !depends_on_config(t.sym) && !device) {
    return eval(e.items[assume_true(t.sym) ? 1 : 2]);
  }
  const Value a = eval(e.items[1]), b = eval(e.items[2]);
  if (a.poison() || b.poison()) return {};
  if (t.sym && a.scalar() && b.scalar()) {
    return scalar_value(syms.make(SymKind::Select, t.sym, a.sym, b.sym));
  }
  return bad(Kind::ExpressionNotAllowed, e.span,
             "the condition of this expression is not known while compiling",
             "use `torch.where(condition, a, b)`, or an `if` statement on a scalar");
}

Value Checker::eval_fstring(const Expr& e) {
  std::string text;
  for (ExprId item : e.items) {
    text += text_of(eval(item));
    if (!spend(1 + static_cast<i64>(text.size()) / 64, e.span)) return {};
  }
  return string_value(std::move(text));
}

void Checker::comprehend(const Expr& e, std::size_t at, const std::function<void()>& leaf) {
  if (at == e.generators.size()) {
    leaf();
    return;
  }
  const syntax::Comprehension& generator = e.generators[at];
  const Value iterable = eval(generator.iterable);
  if (iterable.poison()) return;
  const auto items = iterate(iterable, "looped over");
  if (!items) return;
  for (const Value& item : *items) {
    if (!spend(1, e.span)) return;
    bind_target(generator.target, item);
    bool keep = true;
    for (ExprId condition : generator.conditions) {
      keep = keep && decide(eval(condition), "a filter").value_or(false);
    }
    if (keep) comprehend(e, at + 1, leaf);
  }
}

Value Checker::eval_comprehension(const Expr& e, bool dict) {
  auto scope = new_env(frame().env);
  std::swap(frame().env, scope);
  Value result = dict ? make_value(ValueKind::Dict) : sequence_value({}, true);
  if (dict) {
    result.dict = std::make_shared<Dict>();
    result.dict->level = level();
  } else {
    result.seq->level = level();
  }
  comprehend(e, 0, [&] {
    Value value = eval(e.items[0]);
    if (dict) {
      result.dict->items.emplace_back(std::move(value), eval(e.items[1]));
    } else {
      result.seq->items.push_back(device ? hold(std::move(value), "item") : std::move(value));
    }
  });
  std::swap(frame().env, scope);
  return shallow(result, e.span) ? result : Value();
}

Checker::Truth Checker::truth(const Value& value) {
  Truth t;
  switch (value.kind) {
    case ValueKind::Poison:
      t.poison = true;
      return t;
    case ValueKind::None:
      t.known = false;
      return t;
    case ValueKind::String:
      t.known = !value.text.empty();
      return t;
    case ValueKind::Sequence:
      t.known = !value.seq->items.empty();
      return t;
    case ValueKind::Dict:
      t.known = !value.dict->items.empty();
      return t;
    case ValueKind::Scalar: {
      Sym sym = canon(value.sym);
      if (sym.type() != SymType::Bool) {
        sym = syms.make(SymKind::Ne, sym, sym.type() == SymType::Int ? integer(0) : syms.real(0));
      }
      if (sym.is_const()) {
        t.known = sym->value.integer != 0;
      } else {
        t.sym = sym;
      }
      return t;
    }
    case ValueKind::Array:
      if (!type(value).is_scalar()) {
        const std::vector<Dim>& shape = type(value).shape;
        const bool one = std::ranges::all_of(shape, [](const Dim& d) { return d.is_one(); });
        if (!one) {
          error(Kind::Condition, value.span, "a condition must be a scalar, and this is a tile")
              .hint = "use `torch.where`, or reduce it with `.any()` or `.all()`";
          t.poison = true;
          return t;
        }
        t.expr = value.expr;
        while (!expr(t.expr).type.is_scalar()) t.expr = squeeze(t.expr, 0);
        t.expr = cast(t.expr, Dtype::Bool);
        return t;
      }
      t.expr = cast(value.expr, Dtype::Bool);
      return t;
    case ValueKind::Tensor:
      error(Kind::Condition, value.span,
            "the elements of a host tensor are not known when a kernel is compiled")
          .hint = "test `x is not None` or `x.numel() > 0`, or move the test into device code";
      t.poison = true;
      return t;
    default:
      t.known = true;
      return t;
  }
}

std::optional<bool> Checker::decide(const Value& value, const char* what) {
  const Truth t = truth(value);
  if (t.poison) return std::nullopt;
  if (t.known) return t.known;
  if (t.sym && !depends_on_config(t.sym)) return assume_true(t.sym);
  error(Kind::NotConstant, value.span,
        fmt::format("the condition of {} depends on a value that is not known while compiling",
                    what));
  return std::nullopt;
}

namespace {

std::optional<std::vector<Value>> range_items(Checker& c, const Value& range) {
  std::vector<i64> bounds;
  for (const Value& part : range.seq->items) {
    if (!part.scalar()) return std::nullopt;
    std::optional<i64> value = c.constant(part.sym);
    if (!value && !c.depends_on_config(part.sym)) {  // the arguments at hand decide
      value = c.hint(part.sym);
      if (!value || !c.assume_equal(part.sym, c.integer(*value))) return std::nullopt;
    }
    if (!value) return std::nullopt;
    bounds.push_back(*value);
  }
  const i64 step = bounds[2];
  std::vector<Value> items;
  i64 count = 0;
  bool last = false;
  for (i64 i = bounds[0]; !last && (step > 0 ? i < bounds[1] : i > bounds[1]);
       last = __builtin_add_overflow(i, step, &i)) {
    if (!c.iterate_once(count, range.span)) return std::nullopt;
    Value v = scalar_value(c.integer(i));
    v.span = range.span;
    items.push_back(std::move(v));
  }
  return items;
}

}  // namespace

std::optional<std::vector<Value>> Checker::iterate(const Value& value, const char* what) {
  switch (value.kind) {
    case ValueKind::Poison:
      return std::nullopt;
    case ValueKind::Sequence:
      return value.seq->items;
    case ValueKind::Range: {
      auto items = range_items(*this, value);
      if (!items && !stopped_) {
        error(Kind::NotConstant, value.span,
              "the bounds of this range are not known while compiling")
            .hint = "make them constants, or loop with `hl.grid` in device code";
      }
      return items;
    }
    case ValueKind::Dict: {
      std::vector<Value> keys;
      for (const auto& [key, item] : value.dict->items) keys.push_back(key);
      return keys;
    }
    case ValueKind::String: {
      std::vector<Value> chars;
      for (char ch : value.text) chars.push_back(string_value(std::string(1, ch)));
      return chars;
    }
    case ValueKind::Tile:
      error(Kind::TileUsage, value.span, fmt::format("a single tile cannot be {}", what)).hint =
          "`hl.tile(n)` gives one tile, `hl.tile([m, n])` gives a tuple of tiles";
      return std::nullopt;
    case ValueKind::Loop:
      error(Kind::LoopNotInFor, value.span,
            fmt::format("`{}` stands outside a for statement", value.loop->function));
      return std::nullopt;
    default:
      error(Kind::Unpack, value.span, fmt::format("{} cannot be {}", kind_text(value), what));
      return std::nullopt;
  }
}

std::string Checker::text_of(const Value& value) {
  switch (value.kind) {
    case ValueKind::String:
      return value.text;
    case ValueKind::None:
      return "None";
    case ValueKind::Scalar: {
      const std::optional<SymValue> hint = syms.hint(value.sym);
      if (!hint) return syms.print(value.sym);
      if (hint->type == SymType::Bool) return hint->integer != 0 ? "True" : "False";
      if (hint->type == SymType::Int) return std::to_string(hint->integer);
      return fmt::format("{}", hint->real);
    }
    case ValueKind::Dtype:
      return "torch." + std::string(torch_name_of(value.dtype));
    case ValueKind::Sequence: {
      std::string text;
      for (const Value& item : value.seq->items) text += (text.empty() ? "" : ", ") + text_of(item);
      if (value.seq->is_list) return "[" + text + "]";
      return "(" + text + (value.seq->items.size() == 1 ? ",)" : ")");
    }
    default:
      return describe(value);
  }
}

}  // namespace peri::check
