#include "passes/eliminate_common_subexpressions.h"

#include <algorithm>
#include <bit>
#include <unordered_map>
#include <utility>

#include "analysis/memory_effects.h"
#include "passes/substitution.h"

namespace peri::passes {

namespace {

using ir::OpCode;
using ir::ValueId;

bool is_pure(const ir::Op& op) {
  return ir::info(op.code).has(ir::Pure) && op.regions.empty() && op.results.size() == 1;
}

bool same_bits(const SymValue& a, const SymValue& b) {
  return a.type == b.type && a.integer == b.integer &&
         std::bit_cast<u64>(a.real) == std::bit_cast<u64>(b.real);
}

u64 mix(u64 hash, u64 value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15;
  return hash ^ (hash >> 32);
}

class Eliminator {
 public:
  explicit Eliminator(ir::Kernel& kernel) : kernel_(kernel) {}

  bool run() {
    for (const ir::Root& root : kernel_.roots) {
      stores_seen_.clear();
      run_graph(root.body);
    }
    return changed_;
  }

 private:
  // An op seen before, and how many stores to its storage came before it.
  struct Seen {
    ir::OpId op;
    i64 stores;
  };
  using Table = std::unordered_multimap<u64, Seen>;

  void run_graph(ir::GraphId graph) {
    std::vector<std::pair<u64, ir::OpId>> added;
    std::vector<ir::OpId> kept;
    for (ir::OpId id : kernel_[graph].ops) {
      ir::Op& op = kernel_[id];
      substitution_.apply(op.operands);
      if (is_pure(op)) {
        if (merge(op)) continue;
        u64 hash = hash_of(op);
        table_.emplace(hash, Seen{id, stores_before(op)});
        added.emplace_back(hash, id);
      } else {
        run_effects(op);
      }
      kept.push_back(id);
    }
    substitution_.apply(kernel_[graph].yields);
    kernel_[graph].ops = std::move(kept);
    for (auto [hash, id] : added) erase(hash, id);
  }

  // A loop's later iterations see the stores of its earlier ones.
  void run_effects(const ir::Op& op) {
    if (op.code == OpCode::Store) ++stores_seen_[storage(op)];
    bool loops = op.code == OpCode::For;
    for (ir::GraphId region : op.regions) {
      if (loops) count_stores(region);
      run_graph(region);
    }
  }

  void count_stores(ir::GraphId region) {
    for (i64 storage : analysis::stored_below(kernel_, region)) ++stores_seen_[storage];
  }

  i64 storage(const ir::Op& op) const { return analysis::storage_of(kernel_, op.attrs.tensor); }

  i64 stores_before(const ir::Op& op) const {
    if (op.code != OpCode::Load) return 0;
    auto seen = stores_seen_.find(storage(op));
    return seen == stores_seen_.end() ? 0 : seen->second;
  }

  bool merge(const ir::Op& op) {
    auto [first, last] = table_.equal_range(hash_of(op));
    i64 stores = stores_before(op);
    for (auto entry = first; entry != last; ++entry) {
      const ir::Op& earlier = kernel_[entry->second.op];
      if (entry->second.stores != stores || !equal(op, earlier)) continue;
      substitution_.replace(kernel_, op.results[0], earlier.results[0]);
      return changed_ = true;
    }
    return false;
  }

  std::vector<ValueId> ordered_operands(const ir::Op& op) const {
    std::vector<ValueId> operands = op.operands;
    if (ir::info(op.code).has(ir::Commutative)) std::ranges::sort(operands);
    return operands;
  }

  u64 hash_of(const ir::Op& op) const {
    u64 hash = mix(static_cast<u64>(op.code), op.attrs.block.index);
    for (ValueId operand : ordered_operands(op)) hash = mix(hash, operand.index);
    for (i64 dim : op.attrs.dims) hash = mix(hash, dim);
    hash = mix(hash, op.attrs.constant.integer);
    hash = mix(hash, std::bit_cast<u64>(op.attrs.constant.real));
    hash = mix(hash, op.attrs.tensor.index);
    for (const ir::Index& index : op.attrs.indices) hash = mix(hash, index.block.index);
    return mix(hash, static_cast<u64>(kernel_[op.results[0]].type.dtype));
  }

  bool equal(const ir::Op& a, const ir::Op& b) const {
    if (a.code != b.code || kernel_[a.results[0]].type != kernel_[b.results[0]].type) return false;
    if (a.code == OpCode::Const) return same_bits(a.attrs.constant, b.attrs.constant);
    return a.attrs == b.attrs && ordered_operands(a) == ordered_operands(b);
  }

  void erase(u64 hash, ir::OpId id) {
    auto [first, last] = table_.equal_range(hash);
    auto entry = std::find_if(first, last, [&](const auto& e) { return e.second.op == id; });
    if (entry != last) table_.erase(entry);
  }

  ir::Kernel& kernel_;
  Substitution substitution_;
  Table table_;  // ops whose values are visible here
  std::unordered_map<i64, i64> stores_seen_;
  bool changed_ = false;
};

}  // namespace

bool eliminate_common_subexpressions(ir::Kernel& kernel) { return Eliminator(kernel).run(); }

}  // namespace peri::passes
