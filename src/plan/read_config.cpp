// A config's values into the plan's terms.
#include "base/bug.h"
#include "plan/planner.h"

namespace peri::plan {

using space::Config;

namespace {

void read_tunables(Plan& plan, const Config& config) {
  SymTable& syms = *plan.kernel->syms;
  for (i64 s = 0; s < syms.symbol_count(); ++s) {
    const Symbol& symbol = syms.symbol(SymbolId(s));
    if (symbol.origin != SymbolOrigin::Tunable) continue;
    auto it = config.find(symbol.name);
    SymValue value = symbol.hint;
    if (it != config.end()) {
      if (it->is_boolean()) value = SymValue::of_bool(it->get<bool>());
      if (it->is_number_integer()) value = SymValue::of(it->get<i64>());
      if (it->is_number_float()) value = SymValue::of(it->get<double>());
    }
    plan.symbol_values[s] = syms.constant(value);
  }
}

}  // namespace

void read_config(Plan& plan, const Config& config) {
  SymTable& syms = *plan.kernel->syms;
  for (i64 s = 0; s < syms.symbol_count(); ++s) {
    plan.symbol_values.push_back(syms.symbol_sym(SymbolId(s)));
  }
  i64 next = 0;
  const Config sizes = config.value("block_sizes", Config::array());  // none: no size is searched
  for (i64 b = 0; b < static_cast<i64>(plan.kernel->blocks.size()); ++b) {
    Sym size = plan.kernel->blocks[b].size;
    if (size.kind() != SymKind::Symbol) continue;
    const Symbol& symbol = syms.symbol(size->symbol);
    if (symbol.origin != SymbolOrigin::Block || symbol.block != BlockId(b)) continue;
    BUG_IF(next >= static_cast<i64>(sizes.size()), "config has too few block sizes");
    plan.symbol_values[size->symbol.index] = syms.integer(sizes[next++].get<i64>());
  }
  read_tunables(plan, config);
  for (const Block& block : plan.kernel->blocks) {
    plan.block_sizes.push_back(plan.resolve(block.size));
  }
  plan.vector_unroll = config.value("vector_unroll", i64{0});
  plan.prefetch_rows = config.value("prefetch_rows", false);
  plan.streaming_stores = config.value("streaming_stores", false);
}

DotSchedule dot_schedule(const Config& config, i64 index) {
  DotSchedule dot;
  auto number = [&](const char* key, i64 fallback) {
    auto it = config.find(key);
    bool there = it != config.end() && index < static_cast<i64>(it->size());
    return there ? (*it)[index].get<i64>() : fallback;
  };
  dot.register_rows = number("dot_register_rows", 0);
  dot.register_vectors = number("dot_register_vectors", 0);
  dot.k_unroll = number("dot_k_unrolls", 0);
  dot.cache_rows = number("dot_cache_rows", -1);
  auto packing = config.find("dot_packings");
  if (packing != config.end() && index < static_cast<i64>(packing->size())) {
    dot.packing = (*packing)[index].get<std::string>();
  }
  return dot;
}

}  // namespace peri::plan
