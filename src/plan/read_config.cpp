// A config's values into the plan's terms.
#include "base/bug.h"
#include "plan/planner.h"
#include "space/space.h"

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

// Entry `index` of a list, or `fallback` where the config has none.
template <class T>
T entry(const Config& config, const char* key, size_t index, T fallback) {
  auto it = config.find(key);
  if (it == config.end() || !it->is_array() || index >= it->size()) return fallback;
  return (*it)[index].get<T>();
}

void read_accesses(Plan& plan, const Config& config) {
  using Keep = AccessPolicy::Keep;
  plan.accesses.resize(plan.kernel->ops.size());
  size_t index = 0;
  for (ir::OpId load : space::element_loads(*plan.kernel)) {
    AccessPolicy& policy = plan.accesses[load.index];
    auto keep = entry<std::string>(config, "load_eviction_policies", index, "");
    policy.keep = keep == "first" ? Keep::First : keep == "last" ? Keep::Last : Keep::Normal;
    policy.prefetch_bytes = entry(config, "prefetch_distances", index++, i64{0});
    // A hint can only be given with a prefetch.
    if (policy.keep != Keep::Normal && policy.prefetch_bytes == 0) policy.prefetch_bytes = 512;
  }
  index = 0;
  for (ir::OpId store : space::stores(*plan.kernel)) {
    auto modifier = entry<std::string>(config, "store_cache_modifiers", index++, "");
    plan.accesses[store.index].streaming = modifier == ".cs";
  }
}

}  // namespace

void read_launch(RootPlan& root, const Config& config, i64 axes, i64& grid) {
  root.num_threads = config.value("num_threads", i64{0});
  std::string mapping = config.value("pid_type", std::string("persistent_blocked"));
  root.schedule = mapping == "flat"                     ? Schedule::Dynamic
                  : mapping == "persistent_interleaved" ? Schedule::Interleaved
                                                        : Schedule::Static;
  root.cells_per_turn = config.value("cells_per_turn", i64{0});
  if (axes >= 2) root.group = entry(config, "l2_groupings", static_cast<size_t>(grid++), i64{1});
}

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
  plan.prefetch_rows = config.value("prefetch_rows", i64{0});
  plan.simd_bits = config.value("simd_width", i64{0});
  read_accesses(plan, config);
}

DotSchedule dot_schedule(const Config& config, i64 index) {
  DotSchedule dot;
  auto number = [&](const char* key, i64 fallback) {
    return entry(config, key, static_cast<size_t>(index), fallback);
  };
  dot.register_rows = number("dot_register_rows", 0);
  dot.register_vectors = number("dot_register_vectors", 0);
  dot.k_unroll = number("dot_k_unrolls", 0);
  dot.cache_rows = number("dot_cache_rows", -1);
  dot.cache_columns = number("dot_cache_columns", -1);
  dot.cache_depth = number("dot_cache_depths", -1);
  dot.packing = entry<std::string>(config, "dot_packings", static_cast<size_t>(index), "auto");
  return dot;
}

}  // namespace peri::plan
