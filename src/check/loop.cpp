// Loops over tiles: their axes, roots, and nested loops with the variables that they carry.
#include <fmt/format.h>

#include "check/checker.h"
#include "check/merge.h"

namespace peri::check {

using diag::Kind;
using syntax::ExprKind;
using syntax::Stmt;

BlockId Checker::add_block(Block block) {
  const BlockId id(static_cast<i64>(kernel.blocks.size()));
  kernel.blocks.push_back(std::move(block));
  return id;
}

Sym Checker::block_symbol(BlockId block) {
  constexpr i64 kUsualSize = 16;  // only for printing and estimates; the config decides
  const std::size_t i = static_cast<std::size_t>(block.index);
  if (block_symbols_.size() <= i) block_symbols_.resize(i + 1);
  if (!block_symbols_[i]) {
    Symbol symbol;
    symbol.name = fmt::format("b{}", block.index);
    symbol.origin = SymbolOrigin::Block;
    symbol.block = block;
    symbol.hint = SymValue::of(kUsualSize);
    block_symbols_[i] = syms.symbol_sym(syms.add_symbol(std::move(symbol)));
  }
  return block_symbols_[i];
}

Snapshot Checker::save() {
  const Env& env = *frame().env;
  return {kernel.exprs.size(),
          kernel.stmts.size(),
          kernel.vars.size(),
          kernel.blocks.size(),
          kernel.tensors.size(),
          kernel.guards.size(),
          kernel.host.size(),
          device->body->size(),
          device->requirements.size(),
          equal_pairs_.size(),
          env.vars,
          env.slots,
          env.dead,
          equal_};
}

void Checker::restore(const Snapshot& s) {
  kernel.exprs.resize(s.exprs);
  kernel.stmts.erase(kernel.stmts.begin() + static_cast<i64>(s.stmts), kernel.stmts.end());
  kernel.vars.resize(s.vars);
  kernel.blocks.resize(s.blocks);
  kernel.tensors.resize(s.tensors);
  kernel.guards.resize(s.guards);
  kernel.host.erase(kernel.host.begin() + static_cast<i64>(s.host), kernel.host.end());
  device->body->resize(s.body);
  device->requirements.resize(s.requirements);
  equal_pairs_.resize(s.pairs);
  Env& env = *frame().env;
  env.vars = s.vars_of_env;
  env.slots = s.slots;
  env.dead = s.dead;
  equal_ = s.equal;
}

namespace {

// The axes of one loop statement, with the bounds as device scalars if the loop is nested.
class Axes {
 public:
  Axes(Checker& c, const Value& loop, std::vector<std::string> names)
      : c_(c), loop_(loop), spec_(*loop.loop), names_(std::move(names)) {}

  bool build() {
    ++c_.tile_statements;
    for (std::size_t i = 0; i < spec_.ends.size(); ++i) {
      if (!axis(i)) return false;
    }
    return true;
  }

  std::vector<BlockId> blocks;
  std::vector<TexprId> begins, ends;

 private:
  bool fail(Kind kind, Span span, std::string message, std::string hint = {}) {
    c_.error(kind, span.source ? span : loop_.span, std::move(message)).hint = std::move(hint);
    return false;
  }

  bool axis(std::size_t i) {
    Value begin = spec_.begins[i].none() ? c_.scalar_int(0) : spec_.begins[i];
    Value end = spec_.ends[i];
    if (!load_bound(begin) || !load_bound(end)) return false;
    Block block;
    block.name = names_[i];
    block.loop = c_.tile_statements - 1;
    block.kind = spec_.grid ? Block::Kind::Grid : Block::Kind::Tile;
    if (begin.scalar()) block.begin = c_.canon(begin.sym);
    if (end.scalar()) block.end = c_.canon(end.sym);
    block.parent = parent_of(begin, end);
    if (!check_range(block, end.span) || !set_step(block, spec_.steps[i])) return false;
    const BlockId id(static_cast<i64>(c_.kernel.blocks.size()));
    if (!set_size(block, id, spec_.sizes[i])) return false;
    blocks.push_back(c_.add_block(std::move(block)));
    if (c_.device && !c_.device->open.empty()) {
      begins.push_back(c_.as_expr(begin, Dtype::I64));
      ends.push_back(c_.as_expr(end, Dtype::I64));
    }
    return true;
  }

  bool load_bound(Value& bound) {
    if (bound.is(ValueKind::Tensor) && c_.kernel[bound.tensor].sizes.empty()) {
      if (!c_.device) {
        c_.not_yet(bound.span, "a top-level loop with bounds from a tensor");
        return false;
      }
      bound = c_.load(bound.tensor, {}, nullptr, bound.span);
    }
    if (bound.poison()) return false;
    if (bound.scalar() && bound.sym.type() == SymType::Int) return true;
    if (bound.array() && c_.type(bound).is_scalar() && is_integer(c_.type(bound).dtype))
      return true;
    if (bound.is(ValueKind::Tile)) {
      return fail(Kind::TileUsage, bound.span, "a tile cannot be a bound of another loop",
                  "use `hl.tile(tile.begin, tile.end)` to loop inside a tile");
    }
    return fail(Kind::TileRange, bound.span,
                fmt::format("a bound of `{}` must be an int, and this is {}", spec_.function,
                            c_.describe(bound)));
  }

  BlockId parent_of(const Value& begin, const Value& end) {
    if (!begin.array() || !end.array()) return {};
    const Texpr &low = c_.expr(begin.expr), &high = c_.expr(end.expr);
    const bool inside = low.kind == TexprKind::TileAttr && high.kind == TexprKind::TileAttr &&
                        low.attr == TileAttr::Begin && high.attr == TileAttr::End &&
                        low.block == high.block;
    return inside ? low.block : BlockId();
  }

  bool check_range(const Block& block, Span span) {
    if (!block.begin || !block.end) return true;
    const std::optional<i64> low = block.begin.as_int(), high = block.end.as_int();
    if (!low || !high || *low <= *high) return true;
    return fail(Kind::TileRange, span, fmt::format("this loop runs from {} to {}", *low, *high));
  }

  bool set_step(Block& block, const Value& step) {
    if (step.none()) return true;
    if (!step.scalar() || step.sym.type() != SymType::Int) {
      return fail(Kind::TileRange, step.span, "the step of a loop must be an int of the host");
    }
    const std::optional<i64> value = c_.constant(step.sym);
    if (value && *value <= 0) {
      return fail(Kind::TileRange, step.span, fmt::format("a step of {} is not positive", *value));
    }
    if (!value || *value != 1) block.step = c_.canon(step.sym);
    return true;
  }

  bool set_size(Block& block, BlockId id, const Value& size) {
    if (spec_.grid) {
      block.size = c_.integer(1);
      return true;
    }
    if (size.none()) {
      block.size = c_.block_symbol(id);
      return true;
    }
    if (!size.scalar() || size.sym.type() != SymType::Int) {
      return fail(Kind::BlockSize, size.span,
                  fmt::format("a block size must be an int, and this is {}", kind_text(size)),
                  "use an int, or `hl.register_block_size(max)` for one that is tuned");
    }
    const Sym sym = c_.canon(size.sym);
    const std::optional<i64> value = sym.as_int();
    if (value && *value <= 0) {
      return fail(Kind::BlockSize, size.span,
                  fmt::format("a block size of {} is not positive", *value));
    }
    block.size = sym;
    return true;
  }

  Checker& c_;
  const Value& loop_;
  const LoopSpec& spec_;
  const std::vector<std::string> names_;
};

// Names of the axes: the loop's targets.
std::vector<std::string> axis_names(Checker& c, const Stmt& stmt, const LoopSpec& spec) {
  std::vector<std::string> names;
  const syntax::Expr& target = c.ast()[stmt.exprs[0]];
  const bool tuple = target.kind == ExprKind::Tuple || target.kind == ExprKind::List;
  for (std::size_t i = 0; i < spec.ends.size(); ++i) {
    if (tuple && i < target.items.size() && c.ast()[target.items[i]].kind == ExprKind::Name) {
      names.push_back(c.ast()[target.items[i]].text);
    } else {
      const std::string base = target.kind == ExprKind::Name ? target.text : "tile";
      names.push_back(spec.ends.size() == 1 ? base : fmt::format("{}.{}", base, i));
    }
  }
  return names;
}

Value axis_value(Checker& c, BlockId block, Span span) {
  Value v = c.kernel[block].kind == Block::Kind::Tile
                ? tile_value(block)
                : array_value(c.tile_attr(block, TileAttr::Begin, span), true);
  v.span = span;
  return v;
}

void bind_axes(Checker& c, const Stmt& stmt, const LoopSpec& spec,
               const std::vector<BlockId>& blocks) {
  const Span span = c.ast()[stmt.exprs[0]].span;
  std::vector<Value> values;
  for (BlockId block : blocks) values.push_back(axis_value(c, block, span));
  c.bind_loop_target(stmt.exprs[0], spec.tuple ? sequence_value(std::move(values)) : values[0]);
}

}  // namespace

Value Checker::scalar_int(i64 value) { return scalar_value(integer(value)); }

// Loop variables are bound as they are: they cannot be carried, so they need no variable.
void Checker::bind_loop_target(syntax::ExprId target, const Value& value) {
  const syntax::Expr& e = ast()[target];
  if (e.kind == ExprKind::Name) {
    frame().env->vars[e.text] = value;
    frame().env->dead.erase(e.text);
    for (LoopScope& loop : loops) loop.assigned.insert(e.text);
    return;
  }
  if (e.kind != ExprKind::Tuple && e.kind != ExprKind::List) return bind_target(target, value);
  if (!value.is(ValueKind::Sequence) || value.seq->items.size() != e.items.size()) {
    error(Kind::Unpack, e.span,
          fmt::format("this loop gives {}, and there are {} targets",
                      value.is(ValueKind::Sequence)
                          ? fmt::format("a tuple of {}", value.seq->items.size())
                          : std::string("one tile"),
                      e.items.size()))
        .hint = "`hl.tile(n)` gives one tile, `hl.tile([m, n])` gives a tuple of tiles";
    for (syntax::ExprId item : e.items) bind_loop_target(item, {});
    return;
  }
  for (std::size_t i = 0; i < e.items.size(); ++i) {
    bind_loop_target(e.items[i], value.seq->items[i]);
  }
}

void Checker::exec_root(const Stmt& stmt, const Value& loop) {
  Axes axes(*this, loop, axis_names(*this, stmt, *loop.loop));
  if (!axes.build()) {
    poison_names(stmt.body);
    ++failed_roots;
    return;
  }
  Env& env = *frame().env;
  DeviceState state;
  Root root;
  root.blocks = axes.blocks;
  root.span = stmt.head_span ? stmt.head_span : stmt.span;
  state.body = &root.body;
  state.open = axes.blocks;
  state.kernel_env = &env;
  for (const auto& [name, value] : env.vars) state.host_names.insert(name);
  const std::map<std::string, Value> before = env.vars;
  device = std::move(state);
  const i64 unrolled = std::exchange(unrolled_depth, 0);
  bind_axes(*this, stmt, *loop.loop, axes.blocks);
  for (const auto& [name, value] : env.vars) {
    if (value.span == ast()[stmt.exprs[0]].span) device->host_names.erase(name);
  }
  exec_block(stmt.body);
  unrolled_depth = unrolled;
  for (const auto& [name, value] : env.vars) {
    if (!before.contains(name)) env.dead[name] = "is only assigned in device code";
  }
  env.vars = before;
  for (HostStmt& check : device->requirements) kernel.host.push_back(std::move(check));
  device.reset();
  HostStmt launch = host_statement(HostStmt::Kind::Launch, root.span);
  launch.root = static_cast<i64>(kernel.roots.size());
  kernel.host.push_back(std::move(launch));
  kernel.roots.push_back(std::move(root));
}

namespace {

// Runs the body once with the types that variables have before the loop.
Tstmt run_body(Checker& c, const Stmt& stmt, const Value& loop, bool& ok) {
  Tstmt result = statement(TstmtKind::For, stmt.head_span ? stmt.head_span : stmt.span);
  Axes axes(c, loop, axis_names(c, stmt, *loop.loop));
  ok = axes.build();
  if (!ok) return result;
  result.blocks = axes.blocks;
  result.begins = axes.begins;
  result.ends = axes.ends;
  std::vector<TstmtId>* const outer = std::exchange(c.device->body, &result.body);
  const i64 unrolled = std::exchange(c.unrolled_depth, 0);
  const std::size_t open = c.device->open.size();
  c.device->open.insert(c.device->open.end(), axes.blocks.begin(), axes.blocks.end());
  ++c.device->inner;
  bind_axes(c, stmt, *loop.loop, axes.blocks);
  c.exec_block(stmt.body);
  --c.device->inner;
  c.device->open.resize(open);
  c.unrolled_depth = unrolled;
  c.device->body = outer;
  return result;
}

}  // namespace

void Checker::exec_device_for(const Stmt& stmt, const Value& loop) {
  constexpr i64 kPasses = 6;  // types only widen: host scalar, device scalar, tile
  Env& env = *frame().env;
  std::map<std::string, Value> host_values;
  for (i64 pass = 0;; ++pass) {
    const Snapshot before = save();
    diag::Diags trial(diags->sources());
    diag::Diags* const outer = std::exchange(diags, &trial);
    loops.push_back({&env, {}, {}});
    bool ok = false;
    Tstmt result = run_body(*this, stmt, loop, ok);
    const LoopScope scope = std::move(loops.back());
    loops.pop_back();
    diags = outer;
    Carried carried(*this, before.vars_of_env, env.vars, scope, host_values);
    carried.compare();
    if (ok && !trial.has_errors() && carried.needs_pass() && pass < kPasses) {
      restore(before);
      carried.apply();
      continue;
    }
    for (const diag::Diagnostic& d : trial.all()) error(d.kind, d.span, d.message) = d;
    if (!trial.has_errors()) carried.report();
    for (const auto& [name, value] : env.vars) {
      if (!before.vars_of_env.contains(name)) env.dead[name] = "is only assigned inside a loop";
    }
    env.vars = before.vars_of_env;
    if (ok) emit(std::move(result));
    return;
  }
}

}  // namespace peri::check
