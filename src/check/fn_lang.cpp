// helion.language: loops, loads and stores, block sizes, tunables.
#include <fmt/format.h>

#include "check/fns.h"

namespace peri::check {

using diag::Kind;

namespace {

// One value for each axis of a loop: a list as it is, one value for a single axis.
std::optional<std::vector<Value>> per_axis(Checker& c, const Args& a, const Value& v, std::size_t n,
                                           bool tuple, std::string_view what) {
  if (v.none()) return std::vector<Value>(n, none_value());
  if (!v.is(ValueKind::Sequence)) {
    if (!tuple) return std::vector<Value>{v};
    if (n == 1 || what == "block_size" || what == "step") return std::vector<Value>(n, v);
  } else if (v.seq->items.size() == n && tuple) {
    return v.seq->items;
  }
  c.bad(
      Kind::TileUsage, v.span.source ? v.span : a.span,
      fmt::format("`{}` of `{}` does not fit its {} ax{}", what, a.name(), n, n == 1 ? "is" : "es"),
      tuple ? "give a list with one entry for each axis" : "give one value, not a list");
  return std::nullopt;
}

Value loop_of(Checker& c, const Args& a, bool grid) {
  const bool range = a.has(1);
  const Value end = range ? a[1] : a[0];
  auto spec = std::make_shared<LoopSpec>();
  spec->grid = grid;
  spec->function = a.name();
  spec->tuple = end.is(ValueKind::Sequence);
  spec->ends = spec->tuple ? end.seq->items : std::vector<Value>{end};
  if (spec->ends.empty()) {
    return c.bad(Kind::TileUsage, a.span, fmt::format("`{}` needs at least one size", a.name()));
  }
  const std::size_t n = spec->ends.size();
  const auto begins = per_axis(c, a, range ? a[0] : none_value(), n, spec->tuple, "begin");
  const auto third = per_axis(c, a, a[2], n, spec->tuple, grid ? "step" : "block_size");
  if (!begins || !third) return {};
  spec->begins = *begins;
  spec->steps = grid ? *third : std::vector<Value>(n, none_value());
  spec->sizes = grid ? std::vector<Value>(n, none_value()) : *third;
  for (Value& v : spec->ends) {
    if (!v.span.source) v.span = end.span;
  }
  Value v = make_value(ValueKind::Loop);
  v.loop = std::move(spec);
  return v;
}

}  // namespace

namespace fn {

Value hl_tile(Checker& c, const Args& a) { return loop_of(c, a, false); }
Value hl_grid(Checker& c, const Args& a) { return loop_of(c, a, true); }

Value hl_static_range(Checker& c, const Args& a) {
  const Value start = a.has(1) ? a[0] : c.scalar_int(0);
  const Value stop = a.has(1) ? a[1] : a[0];
  const Value step = a.has(2) ? a[2] : c.scalar_int(1);
  std::vector<Value> items;
  i64 bounds[3];
  const Value* parts[3] = {&start, &stop, &step};
  for (int i = 0; i < 3; ++i) {
    const std::optional<i64> v = parts[i]->scalar() ? c.constant(parts[i]->sym) : std::nullopt;
    if (!v) {
      return c.bad(Kind::NotConstant, parts[i]->span.source ? parts[i]->span : a.span,
                   "the bounds of `hl.static_range` must be known while compiling",
                   "use `hl.specialize`, `hl.constexpr`, or loop with `range`");
    }
    bounds[i] = *v;
  }
  if (bounds[2] == 0) return c.bad(Kind::TileRange, step.span, "a step of 0");
  i64 count = 0;
  bool last = false;
  for (i64 i = bounds[0]; !last && (bounds[2] > 0 ? i < bounds[1] : i > bounds[1]);
       last = __builtin_add_overflow(i, bounds[2], &i)) {
    if (!c.iterate_once(count, a.span)) return {};
    items.push_back(c.scalar_int(i));
  }
  return sequence_value(std::move(items));
}

namespace {

bool target_tensor(Checker& c, const Args& a) {
  if (a[0].is(ValueKind::Tensor)) return true;
  c.error(a[0].array() ? Kind::StoreTarget : Kind::BadArgument,
          a[0].span.source ? a[0].span : a.span,
          fmt::format("`{}` needs a host tensor, and this is {}", a.name(), c.describe(a[0])));
  return false;
}

}  // namespace

Value hl_load(Checker& c, const Args& a) {
  if (!target_tensor(c, a)) return {};
  return c.load(a[0].tensor, Checker::index_items(a[1]), a.has(2) ? &a[2] : nullptr, a.span);
}

Value hl_store(Checker& c, const Args& a) {
  if (!target_tensor(c, a)) return {};
  c.store(a[0].tensor, Checker::index_items(a[1]), a[2], a.has(3) ? &a[3] : nullptr, a.span);
  return none_value();
}

// A host int that becomes a constant of the compiled kernel.
Value hl_specialize(Checker& c, const Args& a) {
  const Value& v = a[0];
  if (v.is(ValueKind::Sequence)) {
    Value result = v;
    result.seq = std::make_shared<Sequence>(*v.seq);
    for (Value& item : result.seq->items) {
      Args one = a;
      one.values[0] = item;
      item = hl_specialize(c, one);
    }
    return result;
  }
  if (!v.scalar()) return bad_arg(c, a, 0, "an int of the host");
  if (c.canon(v.sym).is_const()) return scalar_value(c.canon(v.sym));
  const std::optional<SymValue> value = c.syms.hint(v.sym);
  if (!value || c.depends_on_config(v.sym)) {
    return c.bad(Kind::NotConstant, a.span,
                 "a value that the config decides cannot be specialised");
  }
  const Sym constant = c.syms.constant(*value);
  c.kernel.guards.push_back({v.sym, constant});
  c.unify(v.sym, constant);
  return scalar_value(constant);
}

namespace {

std::optional<i64> block_bound(Checker& c, const Value& v) {
  if (v.scalar() && v.sym.type() == SymType::Int) {
    if (c.constant(v.sym)) return c.constant(v.sym);
    return c.hint(c.canon(v.sym));
  }
  c.bad(Kind::BlockSize, v.span,
        fmt::format("a block size must be an int, and this is {}", kind_text(v)));
  return std::nullopt;
}

}  // namespace

Value hl_register_block_size(Checker& c, const Args& a) {
  const Value one = c.scalar_int(1);
  const Value& low = a.has(1) ? a[0] : one;
  const Value& high = a.has(1) ? a[1] : a[0];
  const std::optional<i64> min = block_bound(c, low), max = block_bound(c, high);
  if (!min || !max) return {};
  if (*min < 1 || *max < *min) {
    return c.bad(Kind::BlockSize, a.span, fmt::format("block sizes from {} to {}", *min, *max));
  }
  Block block;
  block.kind = Block::Kind::Registered;
  block.name = fmt::format("block_{}", c.kernel.blocks.size());
  block.min_size = *min;
  // With dynamic sizes the bound of one call does not bind the next.
  block.max_size = c.constant(high.sym) ? *max : 0;
  const BlockId id(static_cast<i64>(c.kernel.blocks.size()));
  block.size = c.block_symbol(id);
  Value v = scalar_value(block.size);
  c.add_block(std::move(block));
  return v;
}

Value hl_register_tunable(Checker& c, const Args& a) {
  if (!a[0].is(ValueKind::String)) return bad_arg(c, a, 0, "a name");
  if (!a[1].is(ValueKind::Fragment)) return bad_arg(c, a, 1, "a fragment of helion.autotuner");
  for (const Tunable& t : c.kernel.tunables) {
    if (t.name == a[0].text) {
      return c.bad(Kind::TunableConflict, a[0].span,
                   fmt::format("there is a tunable `{}` already", t.name));
    }
  }
  Tunable t;
  t.name = a[0].text;
  t.kind = a[1].text;
  const std::vector<Value>& items = a[1].seq->items;
  const auto constant = [&](const Value& v) { return c.canon(v.sym)->value; };
  if (t.kind == "boolean") {
    t.default_value = SymValue::of_bool(false);
  } else if (t.kind == "enum") {
    for (const Value& v : items) t.choices.push_back(constant(v));
    t.default_value = t.choices[0];
  } else {
    t.low = constant(items[0]).integer;
    t.high = constant(items[1]).integer;
    t.default_value = constant(items[2]);
  }
  Symbol symbol;
  symbol.name = t.name;
  symbol.type = t.default_value.type;
  symbol.origin = SymbolOrigin::Tunable;
  symbol.leaf = static_cast<i64>(c.kernel.tunables.size());
  symbol.hint = t.default_value;
  t.symbol = c.syms.add_symbol(std::move(symbol));
  const Sym sym = c.syms.symbol_sym(t.symbol);
  c.kernel.tunables.push_back(std::move(t));
  return scalar_value(sym);
}

// helion.autotuner's PowerOfTwoFragment(low, high, default), EnumFragment(choices) and so on.
Value fragment(Checker& c, const Args& a) {
  Value v = make_value(ValueKind::Fragment);
  v.seq = std::make_shared<Sequence>();
  const std::string_view name = a.entry.name;
  v.text = name.ends_with("PowerOfTwoFragment") ? "power_of_two"
           : name.ends_with("IntegerFragment")  ? "integer"
           : name.ends_with("EnumFragment")     ? "enum"
                                                : "boolean";
  if (v.text == "boolean") return v;
  if (v.text == "enum") {
    if (!a[0].is(ValueKind::Sequence) || a[0].seq->items.empty())
      return bad_arg(c, a, 0, "choices");
    v.seq->items = a[0].seq->items;
  } else {
    v.seq->items = {a[0], a[1], a.has(2) ? a[2] : a[0]};
  }
  for (const Value& item : v.seq->items) {
    if (!item.scalar() || !c.canon(item.sym).is_const()) {
      return c.bad(Kind::BadArgument, item.span.source ? item.span : a.span,
                   "a tunable needs numbers that are known while compiling");
    }
  }
  return v;
}

// Loops at top level are launched one after the other, so that a barrier between them says nothing.
Value hl_barrier(Checker& c, const Args& a) {
  if (!c.device) return none_value();
  return c.bad(Kind::HostOnly, a.callee,
               fmt::format("`{}` stands between top-level loops", a.name()));
}

Value hl_tile_attr(Checker& c, const Args& a) {
  if (!a[0].is(ValueKind::Tile)) return bad_arg(c, a, 0, "a tile");
  return c.attribute(a[0], std::string(a.entry.name.substr(5)), a.span, a.span);
}

Value cdiv(Checker& c, const Args& a) {
  if (a[0].scalar() && a[1].scalar()) {
    if (c.canon(a[1].sym).is_int(0)) return c.bad(Kind::DivisionByZero, a.span, "division by zero");
    return scalar_value(c.syms.ceil_div(c.canon(a[0].sym), c.canon(a[1].sym)));
  }
  const Value one = c.scalar_int(1);
  const Value sum = c.binary("-", c.binary("+", a[0], a[1], a.span, a.span), one, a.span, a.span);
  return c.binary("//", sum, a[1], a.span, a.span);
}

Value next_power_of_2(Checker& c, const Args& a) {
  if (!a[0].scalar()) return bad_arg(c, a, 0, "an int of the host");
  return scalar_value(c.syms.make(SymKind::NextPow2, c.canon(a[0].sym)));
}

Value helion_config(Checker&, const Args& a) {
  Value v = make_value(ValueKind::Config);
  v.dict = a[1].dict;
  return v;
}

Value nested_kernel(Checker& c, const Args& a) {
  return c.bad(Kind::NestedKernel, a.callee, "a kernel cannot be made inside a kernel");
}

}  // namespace fn
}  // namespace peri::check
