// Python's own functions, math, and the methods of lists, dicts and strings.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <numeric>

#include "check/fns.h"

namespace peri::check {

using diag::Kind;

namespace {

Value truth_value(Checker& c, bool v) { return scalar_value(c.syms.boolean(v)); }

std::vector<Value> rest(const Args& a, i64 i) {
  return a.given[static_cast<std::size_t>(i)] ? a[i].seq->items : std::vector<Value>{};
}

Value number_type(Checker& c, const Args& a, SymKind kind, SymType type, Dtype dtype) {
  if (!a.has(0)) return scalar_value(c.syms.make(kind, c.integer(0)));
  const Value& v = a[0];
  if (v.scalar()) {
    const Sym sym = c.canon(v.sym);
    return scalar_value(sym.type() == type ? sym : c.syms.make(kind, sym));
  }
  if (v.array() && c.type(v).is_scalar()) {
    Value result = array_value(c.cast(v.expr, dtype), true);
    return result;
  }
  return bad_arg(c, a, 0, "a number");
}

Value math_function(Checker& c, const Args& a, SymKind kind, Builtin builtin) {
  if (a[0].array() && c.type(a[0]).is_scalar()) {
    return c.elementwise(builtin, {a[0]}, a.span, a.name());
  }
  if (!a[0].scalar()) return bad_arg(c, a, 0, "a number of the host");
  const Sym x = c.canon(a[0].sym);
  const bool log_domain =
      (kind == SymKind::Log || kind == SymKind::Log2) && x.is_const() && x->value.as_real() <= 0;
  const bool root_domain = kind == SymKind::Sqrt && x.is_const() && x->value.as_real() < 0;
  if (log_domain || root_domain) {
    return c.bad(Kind::BadArgument, a.span, fmt::format("`{}` is not defined here", a.name()));
  }
  return scalar_value(c.syms.make(kind, x));
}

}  // namespace

namespace fn {

Value python_range(Checker& c, const Args& a) {
  const Value start = a.has(1) ? a[0] : c.scalar_int(0);
  const Value stop = a.has(1) ? a[1] : a[0];
  const Value step = a.has(2) ? a[2] : c.scalar_int(1);
  for (const Value* v : {&start, &stop, &step}) {
    const bool fits =
        v->scalar() ? v->sym.type() == SymType::Int : v->array() && c.type(*v).is_scalar();
    if (!fits) return bad_arg(c, a, 0, "ints");
  }
  if (step.scalar() && c.canon(step.sym).is_int(0)) {
    return c.bad(Kind::BadArgument, a.span, "a range with a step of 0");
  }
  return sequence_value({start, stop, step}, false, ValueKind::Range);
}

Value python_len(Checker& c, const Args& a) {
  if (a[0].is(ValueKind::Dict)) return c.scalar_int(static_cast<i64>(a[0].dict->items.size()));
  if (a[0].array() || a[0].is(ValueKind::Tensor)) {
    const std::vector<Value> shape = c.shape_values(a[0]);
    return shape.empty() ? bad_arg(c, a, 0, "a value with dimensions") : shape[0];
  }
  const auto items = c.iterate(a[0], "counted");
  return items ? c.scalar_int(static_cast<i64>(items->size())) : Value();
}

Value python_min_max(Checker& c, const Args& a) {
  std::vector<Value> values = rest(a, 0);
  if (values.size() == 1) {
    const auto items = c.iterate(values[0], "searched");
    if (!items) return {};
    values = *items;
  }
  if (values.empty()) return a.has(1) ? a[1] : bad_arg(c, a, 0, "at least one value");
  const bool is_max = a.entry.builtin == Builtin::Maximum;
  Value best = values[0];
  for (std::size_t i = 1; i < values.size(); ++i) {
    const Value& v = values[i];
    if (best.scalar() && v.scalar()) {
      best = scalar_value(
          c.syms.make(is_max ? SymKind::Max : SymKind::Min, c.canon(best.sym), c.canon(v.sym)));
      continue;
    }
    const auto fits = [&](const Value& x) {
      return x.scalar() || (x.array() && c.type(x).is_scalar());
    };
    if (!fits(best) || !fits(v)) {
      return c.bad(Kind::OperandType, a.span,
                   fmt::format("`{}` is not defined for {} and {}", a.name(), c.describe(best),
                               c.describe(v)),
                   fmt::format("use `torch.{}imum` for tiles", is_max ? "max" : "min"));
    }
    best = c.elementwise(a.entry.builtin, {best, v}, a.span, a.name());
  }
  return best;
}

Value python_sum(Checker& c, const Args& a) {
  const auto items = c.iterate(a[0], "summed");
  if (!items) return {};
  Value total = a.has(1) ? a[1] : c.scalar_int(0);
  for (const Value& v : *items) total = c.binary("+", total, v, a.span, a.span);
  return total;
}

Value python_all_any(Checker& c, const Args& a) {
  const auto items = c.iterate(a[0], "searched");
  if (!items) return {};
  const bool all = a.entry.builtin == Builtin::All;
  Sym result = c.syms.boolean(all);
  for (const Value& v : *items) {
    const Checker::Truth t = c.truth(v);
    if (t.poison) return {};
    if (t.expr) return bad_arg(c, a, 0, "conditions of the host");
    const Sym part = t.known ? c.syms.boolean(*t.known) : t.sym;
    result = c.syms.make(all ? SymKind::And : SymKind::Or, result, part);
  }
  return scalar_value(result);
}

Value python_abs(Checker& c, const Args& a) {
  if (a[0].scalar()) return scalar_value(c.syms.make(SymKind::Abs, c.canon(a[0].sym)));
  return math_call(c, {a[0]}, a.span, a.name(), [&](std::vector<Value> v) {
    return c.elementwise(Builtin::Abs, std::move(v), a.span, a.name());
  });
}

Value python_round(Checker& c, const Args& a) {
  if (!a[0].scalar() || a.has(1)) return bad_arg(c, a, 0, "one number of the host");
  const Sym x = c.canon(a[0].sym);
  if (x.type() != SymType::Float) return a[0];
  if (!x.is_const()) {
    return c.bad(Kind::NotConstant, a.span, "`round` needs a number that is known while compiling");
  }
  constexpr double kLargest = 9e18;
  const double rounded = std::nearbyint(x->value.real);
  if (!(std::abs(rounded) < kLargest)) return bad_arg(c, a, 0, "a number that fits an int");
  return c.scalar_int(static_cast<i64>(rounded));
}

Value python_pow(Checker& c, const Args& a) { return c.binary("**", a[0], a[1], a.span, a.span); }

Value python_divmod(Checker& c, const Args& a) {
  return sequence_value(
      {c.binary("//", a[0], a[1], a.span, a.span), c.binary("%", a[0], a[1], a.span, a.span)});
}

Value python_int(Checker& c, const Args& a) {
  if (a.has(0) && a[0].is(ValueKind::String)) {
    const std::string& text = a[0].text;
    i64 v = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), v);
    const bool whole = result.ec == std::errc() && result.ptr == text.data() + text.size();
    return whole ? c.scalar_int(v) : bad_arg(c, a, 0, "a number");
  }
  return number_type(c, a, SymKind::ToInt, SymType::Int, Dtype::I64);
}

Value python_float(Checker& c, const Args& a) {
  if (a.has(0) && a[0].is(ValueKind::String)) {
    std::string text = a[0].text;
    std::ranges::transform(text, text.begin(), [](unsigned char ch) { return std::tolower(ch); });
    char* end = nullptr;
    const double v = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0') return bad_arg(c, a, 0, "a number");
    return scalar_value(c.syms.real(v));
  }
  return number_type(c, a, SymKind::ToFloat, SymType::Float, Dtype::F32);
}

Value python_bool(Checker& c, const Args& a) {
  if (!a.has(0)) return truth_value(c, false);
  const Checker::Truth t = c.truth(a[0]);
  if (t.poison) return {};
  if (t.known) return truth_value(c, *t.known);
  return t.sym ? scalar_value(t.sym) : array_value(t.expr);
}

Value python_str(Checker& c, const Args& a) {
  return string_value(a.has(0) ? c.text_of(a[0]) : "");
}

Value python_tuple(Checker& c, const Args& a) {
  if (!a.has(0)) return sequence_value({});
  const auto items = c.iterate(a[0], "made a tuple");
  return items ? sequence_value(*items) : Value();
}

Value python_list(Checker& c, const Args& a) {
  const auto items = a.has(0) ? c.iterate(a[0], "made a list") : std::vector<Value>{};
  if (!items) return {};
  Value v = sequence_value(*items, true);
  v.seq->level = c.level();
  return v;
}

Value python_dict(Checker& c, const Args& a) {
  Value v = make_value(ValueKind::Dict);
  v.dict = std::make_shared<Dict>(*a[1].dict);
  if (!a[0].seq->items.empty()) return c.not_yet(a.span, "dict of a sequence");
  return v;
}

namespace {

Value zip_values(Checker& c, const std::vector<Value>& sequences, Span span) {
  std::vector<std::vector<Value>> columns;
  std::size_t length = 0;
  for (const Value& v : sequences) {
    const auto items = c.iterate(v, "zipped");
    if (!items) return {};
    length = columns.empty() ? items->size() : std::min(length, items->size());
    columns.push_back(*items);
  }
  std::vector<Value> rows;
  for (std::size_t i = 0; i < length; ++i) {
    std::vector<Value> row;
    for (const auto& column : columns) row.push_back(column[i]);
    rows.push_back(sequence_value(std::move(row)));
    rows.back().span = span;
  }
  return sequence_value(std::move(rows), true);
}

}  // namespace

Value python_zip(Checker& c, const Args& a) { return zip_values(c, rest(a, 0), a.span); }

Value python_enumerate(Checker& c, const Args& a) {
  const auto items = c.iterate(a[0], "enumerated");
  const std::optional<i64> start = int_arg(c, a, 1, 0);
  if (!items || !start) return {};
  std::vector<Value> rows;
  for (std::size_t i = 0; i < items->size(); ++i) {
    rows.push_back(sequence_value({c.scalar_int(*start + static_cast<i64>(i)), (*items)[i]}));
    rows.back().span = a.span;
  }
  return sequence_value(std::move(rows), true);
}

Value python_reversed(Checker& c, const Args& a) {
  auto items = c.iterate(a[0], "reversed");
  if (!items) return {};
  std::ranges::reverse(*items);
  return sequence_value(std::move(*items), true);
}

Value python_sorted(Checker& c, const Args& a) {
  auto items = c.iterate(a[0], "sorted");
  if (!items) return {};
  for (const Value& v : *items) {
    if (!v.scalar() || !c.canon(v.sym).is_const()) {
      return bad_arg(c, a, 0, "numbers that are known while compiling");
    }
  }
  if (a.has(1)) return c.not_yet(a.span, "sorted with a key");
  std::ranges::sort(*items, {}, [&](const Value& v) { return c.canon(v.sym)->value.as_real(); });
  const std::optional<bool> reverse = flag_arg(c, a, 2, false);
  if (reverse.value_or(false)) std::ranges::reverse(*items);
  return sequence_value(std::move(*items), true);
}

Value python_map(Checker& c, const Args& a) {
  const Value rows = zip_values(c, rest(a, 1), a.span);
  if (rows.poison()) return rows;
  std::vector<Value> results;
  for (const Value& row : rows.seq->items) {
    Call call;
    call.span = a.span;
    call.callee = a[0].span;
    call.positional = row.seq->items;
    results.push_back(c.call(a[0], std::move(call)));
  }
  return sequence_value(std::move(results), true);
}

namespace {

bool is_instance(Checker& c, const Value& v, const Value& type) {
  if (type.is(ValueKind::Sequence)) {
    return std::ranges::any_of(type.seq->items,
                               [&](const Value& t) { return is_instance(c, v, t); });
  }
  const std::string& name = type.text;
  const bool scalar_bool = v.scalar() && v.sym.type() == SymType::Bool;
  const bool scalar_int = v.scalar() && v.sym.type() == SymType::Int;
  if (name == "torch.Tensor") return v.is(ValueKind::Tensor) || v.array();
  if (name == "python.int" || name == "torch.SymInt") return scalar_int || scalar_bool;
  if (name == "python.bool") return scalar_bool;
  if (name == "python.float") return v.scalar() && v.sym.type() == SymType::Float;
  if (name == "python.str") return v.is(ValueKind::String);
  if (name == "python.list") return v.is(ValueKind::Sequence) && v.seq->is_list;
  if (name == "python.tuple" || name == "torch.Size") {
    return v.is(ValueKind::Sequence) && !v.seq->is_list;
  }
  if (name == "python.dict") return v.is(ValueKind::Dict);
  if (name == "torch.dtype") return v.is(ValueKind::Dtype);
  if (name == "torch.device") return v.is(ValueKind::Device);
  if (name == "hl.Tile") return v.is(ValueKind::Tile);
  return false;
}

}  // namespace

Value python_isinstance(Checker& c, const Args& a) {
  return truth_value(c, is_instance(c, a[0], a[1]));
}

Value python_callable(Checker& c, const Args& a) {
  return truth_value(c, a[0].is(ValueKind::Function) || a[0].is(ValueKind::Builtin));
}

Value python_hasattr(Checker& c, const Args& a) {
  if (!a[1].is(ValueKind::String)) return bad_arg(c, a, 1, "a name");
  diag::Diags trial(c.diags->sources());
  diag::Diags* const outer = std::exchange(c.diags, &trial);
  const Value v = c.attribute(a[0], a[1].text, a.span, a.span);
  c.diags = outer;
  return truth_value(c, !v.poison());
}

Value python_getattr(Checker& c, const Args& a) {
  if (!a[1].is(ValueKind::String)) return bad_arg(c, a, 1, "a name");
  if (a.given[2]) {
    const Value has = python_hasattr(c, a);
    if (has.scalar() && c.canon(has.sym)->value.integer == 0) return a[2];
  }
  return c.attribute(a[0], a[1].text, a.span, a.span);
}

Value python_slice(Checker&, const Args& a) {
  if (!a.given[1])
    return sequence_value({none_value(), a[0], none_value()}, false, ValueKind::Slice);
  return sequence_value({a[0], a[1], a[2]}, false, ValueKind::Slice);
}

Value python_print(Checker& c, const Args& a) {
  return c.device ? c.not_yet(a.callee, "print in device code") : none_value();
}

Value python_type(Checker& c, const Args& a) {
  const Value& v = a[0];
  std::string name = v.is(ValueKind::Tensor) || v.array() ? "torch.Tensor"
                     : v.is(ValueKind::String)            ? "python.str"
                     : v.is(ValueKind::Sequence) ? (v.seq->is_list ? "python.list" : "python.tuple")
                     : v.scalar() && v.sym.type() == SymType::Float ? "python.float"
                     : v.scalar() && v.sym.type() == SymType::Int   ? "python.int"
                     : v.scalar()                                   ? "python.bool"
                                                                    : "";
  if (name.empty()) return bad_arg(c, a, 0, "a tensor or a number");
  return make_value(ValueKind::Type, name);
}

Value python_unsupported(Checker& c, const Args& a) {
  return c.bad(Kind::ExpressionNotAllowed, a.callee,
               fmt::format("`{}` cannot be used in a kernel", a.name()));
}

namespace {

bool may_grow(Checker& c, const Args& a, const Value& value) {
  return c.may_change(a[0].seq->level, a.span) && c.contained(a[0], value, a.span);
}

}  // namespace

Value list_append(Checker& c, const Args& a) {
  if (!may_grow(c, a, a[1])) return {};
  a[0].seq->items.push_back(c.device ? c.hold(a[1], "item", true) : a[1]);
  return none_value();
}

Value list_extend(Checker& c, const Args& a) {
  const auto items = c.iterate(a[1], "appended");
  if (!items || !may_grow(c, a, a[1])) return {};
  if (!c.spend(static_cast<i64>(items->size()), a.span)) return {};
  if (items) a[0].seq->items.insert(a[0].seq->items.end(), items->begin(), items->end());
  return none_value();
}

namespace {

// A position in a list, counted from the end if negative.
std::optional<i64> position(Checker& c, const Args& a, i64 param, i64 otherwise) {
  const i64 size = static_cast<i64>(a[0].seq->items.size());
  const std::optional<i64> at = int_arg(c, a, param, otherwise);
  if (!at) return std::nullopt;
  if (*at >= -size && *at < size) return *at < 0 ? *at + size : *at;
  c.bad(Kind::IndexRange, a.span, fmt::format("index {} is outside a list of {}", *at, size));
  return std::nullopt;
}

}  // namespace

Value list_insert(Checker& c, const Args& a) {
  const std::optional<i64> at = int_arg(c, a, 1, 0);
  if (!at || !may_grow(c, a, a[2])) return {};
  const i64 size = static_cast<i64>(a[0].seq->items.size());
  const i64 place = std::clamp<i64>(*at < 0 ? *at + size : *at, 0, size);
  a[0].seq->items.insert(a[0].seq->items.begin() + place, a[2]);
  return none_value();
}

Value list_pop(Checker& c, const Args& a) {
  const std::optional<i64> at = position(c, a, 1, -1);
  if (!at || !c.may_change(a[0].seq->level, a.span)) return {};
  Value v = a[0].seq->items[static_cast<std::size_t>(*at)];
  a[0].seq->items.erase(a[0].seq->items.begin() + *at);
  return v;
}

Value list_index(Checker& c, const Args& a) {
  for (std::size_t i = 0; i < a[0].seq->items.size(); ++i) {
    const Value same = c.compare("==", a[0].seq->items[i], a[1], a.span, a.span);
    if (c.decide(same, "a search").value_or(false)) return c.scalar_int(static_cast<i64>(i));
  }
  return c.bad(Kind::IndexRange, a.span, "the value is not in the list");
}

Value list_count(Checker& c, const Args& a) {
  i64 count = 0;
  for (const Value& v : a[0].seq->items) {
    count += c.decide(c.compare("==", v, a[1], a.span, a.span), "a search").value_or(false) ? 1 : 0;
  }
  return c.scalar_int(count);
}

Value list_reverse(Checker& c, const Args& a) {
  if (!c.may_change(a[0].seq->level, a.span)) return {};
  std::ranges::reverse(a[0].seq->items);
  return none_value();
}

Value list_numel(Checker& c, const Args& a) {
  const auto sizes = c.sizes_from(a[0], a.span);
  return sizes ? scalar_value(c.product(*sizes)) : Value();
}

Value dict_get(Checker& c, const Args& a) {
  for (const auto& [key, v] : a[0].dict->items) {
    const Value same = c.compare("==", key, a[1], a.span, a.span);
    if (c.decide(same, "a look-up").value_or(false)) return v;
  }
  return a[2];
}

Value dict_items(Checker&, const Args& a) {
  std::vector<Value> items;
  for (const auto& [key, v] : a[0].dict->items) items.push_back(sequence_value({key, v}));
  return sequence_value(std::move(items), true);
}

Value dict_keys(Checker&, const Args& a) {
  std::vector<Value> items;
  for (const auto& [key, v] : a[0].dict->items) items.push_back(key);
  return sequence_value(std::move(items), true);
}

Value dict_values(Checker&, const Args& a) {
  std::vector<Value> items;
  for (const auto& [key, v] : a[0].dict->items) items.push_back(v);
  return sequence_value(std::move(items), true);
}

Value string_lower(Checker&, const Args& a) {
  std::string text = a[0].text;
  std::ranges::transform(text, text.begin(), [](unsigned char ch) { return std::tolower(ch); });
  return string_value(text);
}

Value string_upper(Checker&, const Args& a) {
  std::string text = a[0].text;
  std::ranges::transform(text, text.begin(), [](unsigned char ch) { return std::toupper(ch); });
  return string_value(text);
}

Value string_startswith(Checker& c, const Args& a) {
  return truth_value(c, a[0].text.starts_with(a[1].text));
}

Value string_endswith(Checker& c, const Args& a) {
  return truth_value(c, a[0].text.ends_with(a[1].text));
}

Value string_join(Checker& c, const Args& a) {
  const auto items = c.iterate(a[1], "joined");
  if (!items) return {};
  std::string text;
  for (const Value& v : *items) text += (&v == &(*items)[0] ? "" : a[0].text) + c.text_of(v);
  return string_value(text);
}

Value math_unary(Checker& c, const Args& a) {
  static const std::map<Builtin, SymKind> kinds{
      {Builtin::Sqrt, SymKind::Sqrt}, {Builtin::Exp, SymKind::Exp},
      {Builtin::Log2, SymKind::Log2}, {Builtin::Sin, SymKind::Sin},
      {Builtin::Cos, SymKind::Cos},   {Builtin::Floor, SymKind::Floor},
      {Builtin::Ceil, SymKind::Ceil}};
  return math_function(c, a, kinds.at(a.entry.builtin), a.entry.builtin);
}

Value math_exp2(Checker& c, const Args& a) {
  if (!a[0].scalar()) return math_function(c, a, SymKind::Exp, Builtin::Exp2);
  return scalar_value(c.syms.make(SymKind::Pow, c.syms.real(2), c.canon(a[0].sym)));
}

Value math_log(Checker& c, const Args& a) {
  const Value top = math_function(c, a, SymKind::Log, Builtin::Log);
  if (!a.has(1) || !top.scalar()) return top;
  if (!a[1].scalar()) return bad_arg(c, a, 1, "a number of the host");
  const Sym base = c.syms.make(SymKind::Log, c.canon(a[1].sym));
  return scalar_value(c.syms.make(SymKind::TrueDiv, top.sym, base));
}

Value math_log10(Checker& c, const Args& a) {
  const Value v = math_function(c, a, SymKind::Log, Builtin::Log10);
  if (!v.scalar()) return v;
  return scalar_value(c.syms.make(SymKind::TrueDiv, v.sym, c.syms.real(std::log(10.0))));
}

Value math_fabs(Checker& c, const Args& a) {
  if (!a[0].scalar()) return bad_arg(c, a, 0, "a number of the host");
  const Sym real = c.syms.make(SymKind::ToFloat, c.canon(a[0].sym));
  return scalar_value(c.syms.make(SymKind::Abs, real));
}

Value math_prod(Checker& c, const Args& a) {
  const auto items = c.iterate(a[0], "multiplied");
  if (!items) return {};
  Value total = a.has(1) ? a[1] : c.scalar_int(1);
  for (const Value& v : *items) total = c.binary("*", total, v, a.span, a.span);
  return total;
}

Value math_gcd(Checker& c, const Args& a) {
  i64 result = 0;
  for (const Value& v : rest(a, 0)) {
    const std::optional<i64> n = v.scalar() ? c.constant(v.sym) : std::nullopt;
    if (!n) return bad_arg(c, a, 0, "ints that are known while compiling");
    result = std::gcd(result, *n);
  }
  return c.scalar_int(result);
}

Value math_test(Checker& c, const Args& a) {
  if (a[0].array()) return c.elementwise(a.entry.builtin, {a[0]}, a.span, a.name());
  if (!a[0].scalar()) return bad_arg(c, a, 0, "a number");
  const Sym x = c.canon(a[0].sym);
  if (!x.is_const()) {
    return c.bad(Kind::NotConstant, a.span, "a number that is not known while compiling");
  }
  const double v = x->value.as_real();
  return truth_value(c, a.entry.builtin == Builtin::IsNan ? std::isnan(v) : std::isinf(v));
}

}  // namespace fn
}  // namespace peri::check
