#include <fmt/format.h>

#include "plan/plan.h"

namespace peri::plan {

namespace {

class Printer {
 public:
  explicit Printer(const Plan& plan) : plan_(plan), kernel_(*plan.kernel) {}

  std::string run() {
    const std::vector<bool> merged = merged_blocks(plan_);
    for (size_t b = 0; b < kernel_.blocks.size(); ++b) {
      if (merged[b]) continue;
      line(0, "block b{} \"{}\" = {}", b, kernel_.blocks[b].name, text(plan_.block_sizes[b]));
    }
    for (size_t b = 0; b < plan_.buffers.size(); ++b) {
      const Buffer& buffer = plan_.buffers[b];
      std::string extents;
      for (Sym extent : buffer.extents) extents += (extents.empty() ? "" : ", ") + text(extent);
      line(0, "buffer s{}: {}[{}] for {}", b, name_of(buffer.dtype), extents, name(buffer.value));
    }
    settings();
    for (size_t r = 0; r < plan_.roots.size(); ++r) {
      const RootPlan& root = plan_.roots[r];
      std::string order;
      for (BlockId block : root.order) order += fmt::format(" b{}", block.index);
      std::string threads = root.num_threads == 0 ? "all" : std::to_string(root.num_threads);
      line(0, "root {} grid{} threads={} {}", r, order, threads, mapping(root));
      if (root.group > 1) line(1, "in groups of {} tiles of b{}", root.group, grouped(root));
      nodes(root.body, 1);
    }
    return out_;
  }

 private:
  template <class... Args>
  void line(i64 depth, fmt::format_string<Args...> format, Args&&... args) {
    out_ += std::string(static_cast<size_t>(2 * depth), ' ') +
            fmt::format(format, std::forward<Args>(args)...) + "\n";
  }

  // What holds for the whole kernel, where it is not the usual.
  void settings() {
    for (size_t s = 0; s < plan_.symbol_values.size(); ++s) {
      const Symbol& symbol = kernel_.syms->symbol(SymbolId(static_cast<i64>(s)));
      if (symbol.origin != SymbolOrigin::Tunable) continue;
      line(0, "tunable {} = {}", symbol.name, text(plan_.symbol_values[s]));
    }
    if (plan_.simd_bits > 0) line(0, "vectors of {} bits", plan_.simd_bits);
    for (size_t op = 0; op < plan_.accesses.size(); ++op) {
      std::string how = access(plan_.accesses[op]);
      if (!how.empty()) line(0, "{}:{}", compute(kernel_.ops[op]), how);
    }
  }

  static std::string access(const AccessPolicy& policy) {
    std::string text;
    if (policy.prefetch_bytes > 0) text += fmt::format(" prefetch {} bytes", policy.prefetch_bytes);
    if (policy.keep == AccessPolicy::Keep::First) text += " evict first";
    if (policy.keep == AccessPolicy::Keep::Last) text += " evict last";
    if (policy.streaming) text += " streaming";
    return text;
  }

  std::string prefetches(const Node& n) const {
    if (n.prefetches.empty()) return "";
    std::string loads;
    for (ir::OpId load : n.prefetches) loads += " @" + kernel_[kernel_[load].attrs.tensor].name;
    return fmt::format(" prefetch{} of the next {} x{}", loads, axis(n.ahead), plan_.prefetch_rows);
  }

  static i64 grouped(const RootPlan& root) { return root.order[root.order.size() - 2].index; }

  static std::string mapping(const RootPlan& root) {
    std::string turns =
        root.cells_per_turn > 0 ? fmt::format(" by {} cells", root.cells_per_turn) : "";
    switch (root.schedule) {
      case Schedule::Static:
        return "blocked";
      case Schedule::Interleaved:
        return "interleaved" + turns;
      case Schedule::Dynamic:
        return "on demand" + turns;
    }
    return "";
  }

  std::string text(Sym sym) const { return kernel_.syms->print(sym); }

  std::string name(ir::ValueId value) const {
    const std::string& hint = kernel_[value].name;
    return fmt::format("%{}{}", value.index, hint.empty() ? "" : "(" + hint + ")");
  }

  std::string axis(AxisId id) const {
    const analysis::Axis& a = plan_.axes[id];
    std::string who = a.block ? kernel_[a.block].name : ":";
    return fmt::format("{} ({})", who, text(plan_.extent(id)));
  }

  void nodes(const std::vector<NodeId>& ids, i64 depth) {
    for (NodeId id : ids) node(plan_[id], depth);
  }

  void node(const Node& n, i64 depth) {
    switch (n.kind) {
      case Node::Kind::Loop:
        line(depth, "loop {}{}{}", axis(n.axis),
             n.vector ? fmt::format(" vector x{}", n.unroll) : std::string(), prefetches(n));
        nodes(n.body, depth + 1);
        break;
      case Node::Kind::Compute:
        line(depth, "{}", compute(kernel_[n.op]));
        break;
      case Node::Kind::Carry:
        line(depth, "s{} = {}", n.buffer.index,
             n.source ? fmt::format("s{}", n.source.index) : name(n.value));
        break;
      case Node::Kind::Dot:
        dot(n, depth);
        break;
      case Node::Kind::For: {
        std::string axes;
        for (BlockId b : n.order) axes += fmt::format(" {}", kernel_[b].name);
        line(depth, "for{}", axes);
        nodes(n.body, depth + 1);
        break;
      }
      case Node::Kind::If:
        line(depth, "if {}", name(kernel_[n.op].operands[0]));
        nodes(n.body, depth + 1);
        if (!n.orelse.empty()) line(depth, "else");
        nodes(n.orelse, depth + 1);
        break;
    }
  }

  std::string compute(const ir::Op& op) const {
    std::string operands;
    for (ir::ValueId v : op.operands) operands += (operands.empty() ? "" : ", ") + name(v);
    std::string left;
    if (!op.results.empty()) {
      const Placement& place = plan_.at(op.results[0]);
      left = name(op.results[0]);
      if (place.kind == Placement::Kind::Buffer) left += fmt::format(" -> s{}", place.buffer.index);
      left += " = ";
    }
    if (op.attrs.tensor) operands += " @" + kernel_[op.attrs.tensor].name;
    return fmt::format("{}{} {}", left, ir::info(op.code).text, operands);
  }

  std::string operand(const Node& dot, i64 index) const {
    const std::string value = name(kernel_[dot.op].operands[index]);
    const BufferId buffer = dot.operands[index];
    return buffer ? fmt::format("{} in s{}", value, buffer.index) : value;
  }

  void dot(const Node& n, i64 depth) {
    const DotSchedule& s = plan_.dots[n.dot];
    line(depth,
         "s{} {} dot {}, {} k_block={} rows={} vectors={} k_unroll={} cache={}x{}x{} packing={}",
         n.buffer.index, n.accumulate ? "+=" : "=", operand(n, 0), operand(n, 1), s.k_block,
         s.register_rows, s.register_vectors, s.k_unroll, s.cache_rows, s.cache_columns,
         s.cache_depth, s.packing);
    if (n.epilogue.empty()) return;
    line(depth, "epilogue on registers");
    nodes(n.epilogue, depth + 1);
  }

  const Plan& plan_;
  const ir::Kernel& kernel_;
  std::string out_;
};

}  // namespace

std::vector<bool> merged_blocks(const Plan& plan) {
  const ir::Kernel& kernel = *plan.kernel;
  std::vector<bool> merged(kernel.blocks.size(), plan.flattened != nullptr);
  for (size_t b = 0; b < merged.size(); ++b) {
    if (kernel.blocks[b].kind == Block::Kind::Registered) merged[b] = false;
  }
  auto keep = [&](const std::vector<BlockId>& blocks) {
    for (BlockId block : blocks) merged[block.index] = false;
  };
  for (const ir::Root& root : kernel.roots) keep(root.blocks);
  for (const ir::Op& op : kernel.ops) keep(op.attrs.blocks);
  return merged;
}

std::string print(const Plan& plan) { return Printer(plan).run(); }

}  // namespace peri::plan
