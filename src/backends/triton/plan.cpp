#include "backends/triton/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>

#include "analysis/index_width.h"
#include "backends/triton/lanes.h"
#include "backends/triton/rolling.h"
#include "ir/walk.h"
#include "plan/flatten_loops.h"
#include "plan/planner.h"

namespace peri::triton {

using ir::Kernel;
using ir::Op;
using ir::OpCode;
using ir::OpId;
using space::Config;

i64 power_of_two(i64 value) {
  return value <= 1 ? 1 : static_cast<i64>(std::bit_ceil(static_cast<u64>(value)));
}

i64 Plan::block_size(BlockId block) const {
  return shared.block_sizes[block.index].as_int().value_or(1);
}

i64 Plan::lanes(const Dim& dim) const {
  Sym size = resolve(dim.size);
  if (auto known = size.as_int()) return *known == 0 ? 2 : power_of_two(*known);
  auto hint = kernel().syms->hint(size);
  return std::max<i64>(2, power_of_two(hint ? hint->integer : 2));
}

bool Plan::is_rolled(ir::ValueId value, i64 dim) const {
  AxisId axis = shared.axes.of(value, dim);
  return axis && rolled.contains(axis);
}

namespace {

std::optional<bool> flag_of(const Config& value) {
  return value.is_boolean() ? std::optional(value.get<bool>()) : std::nullopt;
}

PidType pid_type_of(const std::string& text) {
  if (text == "xyz") return PidType::Xyz;
  if (text == "persistent_blocked") return PidType::PersistentBlocked;
  return text == "persistent_interleaved" ? PidType::PersistentInterleaved : PidType::Flat;
}

// Reads a config's lists in the program order that the config space counts in.
class Reader {
 public:
  Reader(Plan& plan, const Config& config) : plan_(plan), kernel_(plan.kernel()), config_(config) {}

  void read() {
    plan_.num_warps = config_.value("num_warps", i64{4});
    plan_.num_stages = config_.value("num_stages", i64{1});
    plan_.num_sm_multiplier = config_.value("num_sm_multiplier", i64{1});
    plan_.host_descriptors = config_.value("host_tensor_descriptors", false);
    plan_.fuse_reductions = config_.value("reduction_fusion", true);
    plan_.dot_precision = config_.value("dot_precision", std::string("tf32x3"));
    if (auto it = config_.find("maxnreg"); it != config_.end() && it->is_number()) {
      plan_.maxnreg = it->get<i64>();
    }
    PidType pid_type = pid_type_of(config_.value("pid_type", std::string("flat")));
    if (pid_type < PidType::PersistentBlocked) plan_.maxnreg = 0;
    read_reductions();
    for (const ir::Root& root : kernel_.roots) {
      RootPlan r;
      r.grid.options = options(next_loop_);
      if (root.blocks.size() > 1) {
        r.l2_grouping = item("l2_groupings", next_grid_++, 1).get<i64>();
      }
      r.grid.order = order(root.blocks);
      bool xyz = pid_type == PidType::Xyz && (root.blocks.size() < 2 || root.blocks.size() > 3);
      r.pid_type = xyz ? PidType::Flat : pid_type;
      if (!is_persistent(r)) r.grid.options = {};  // it is no loop
      if (r.pid_type == PidType::Xyz) r.l2_grouping = 1;
      plan_.roots.push_back(std::move(r));
      read_graph(root.body);
    }
  }

 private:
  Config item(const char* key, i64 index, Config fallback) const {
    auto it = config_.find(key);
    bool there = it != config_.end() && it->is_array() && index < static_cast<i64>(it->size());
    return there ? (*it)[index] : fallback;
  }

  std::vector<BlockId> order(const std::vector<BlockId>& blocks) {
    ++next_loop_;
    if (blocks.size() < 2) return blocks;
    std::vector<BlockId> ordered;
    for (const Config& position : item("loop_orders", next_nest_++, Config::array())) {
      ordered.push_back(blocks[position.get<std::size_t>()]);
    }
    return ordered.empty() ? blocks : ordered;
  }

  LoopOptions options(i64 loop) const {
    LoopOptions o;
    o.unroll = item("range_unroll_factors", loop, 0).get<i64>();
    o.stages = item("range_num_stages", loop, 0).get<i64>();
    o.multi_buffer = flag_of(item("range_multi_buffers", loop, nullptr));
    o.flatten = flag_of(item("range_flattens", loop, nullptr));
    o.warp_specialize = flag_of(item("range_warp_specializes", loop, nullptr));
    return o;
  }

  void read_reductions() {
    std::vector<ReducedAxis> axes = reduced_axes(kernel_, plan_.shared.axes);
    for (std::size_t i = 0; i < axes.size(); ++i) {
      Config chunk = item("reduction_loops", static_cast<i64>(i), nullptr);
      if (!chunk.is_number() || !axes[i].reason.empty()) continue;
      auto size = plan_.shared.extent(axes[i].axis).as_int();
      if (size && *size <= chunk.get<i64>()) continue;
      plan_.rolled[axes[i].axis] = chunk.get<i64>();
    }
  }

  void read_graph(ir::GraphId graph) {
    for (OpId id : kernel_[graph].ops) {
      const Op& op = kernel_[id];
      if (op.code == OpCode::For) {
        LoopOptions o = options(next_loop_);
        o.is_static = item("static_ranges", next_device_loop_++, false).get<bool>();
        plan_.loops[id] = {order(op.attrs.blocks), o};
      }
      if (ir::is_access(op)) read_access(id);
      for (ir::GraphId region : op.regions) read_graph(region);
    }
  }

  void read_access(OpId id) {
    AccessPlan access;
    std::string kind = item("indexing", next_access_++, "pointer").get<std::string>();
    if (kernel_[id].code == OpCode::Load) {
      access.eviction = item("load_eviction_policies", next_load_++, "").get<std::string>();
    }
    std::string reason;
    if (kind == "tensor_descriptor") access.map = tensor_map(plan_, kernel_[id], reason);
    if (access.map) access.indexing = Indexing::Descriptor;
    plan_.accesses[id] = std::move(access);
  }

  Plan& plan_;
  const Kernel& kernel_;
  const Config& config_;
  i64 next_loop_ = 0, next_device_loop_ = 0, next_nest_ = 0, next_grid_ = 0, next_access_ = 0,
      next_load_ = 0;
};

}  // namespace

std::mutex& planning_mutex() {
  static std::mutex mutex;
  return mutex;
}

namespace {

Plan plan_of(const Kernel& kernel, const Config& config, const Target& target) {
  Plan plan(kernel);
  plan.target = target;
  plan::read_config(plan.shared, config);
  for (const ir::TensorParam& tensor : kernel.tensors) {
    auto offset = analysis::largest_offset(tensor);
    plan.wide.push_back(offset && *offset > INT32_MAX);
  }
  Reader(plan, config).read();
  return plan;
}

}  // namespace

Plan make_plan(const Kernel& kernel, const Config& config, const Target& target) {
  std::optional<plan::Flattened> flat = plan::flatten_loops(kernel, config);
  if (!flat) return plan_of(kernel, config, target);
  auto flattened = std::make_shared<const Kernel>(std::move(flat->kernel));
  Plan plan = plan_of(*flattened, flat->config, target);
  plan.shared.flattened = std::move(flattened);
  return plan;
}

// --- descriptors ---

namespace {

struct MapDim {
  i64 tensor_dim;
  i64 stride;
  i64 box;
};

// What a subscript takes along its dimension, if a box can: so many elements from one start on.
std::optional<i64> box_extent(const Plan& plan, const ir::Index& index, const Dim& dim, Sym size,
                              bool is_store, std::string& reason) {
  const Kernel& kernel = plan.kernel();
  if (index.kind == ir::Index::Kind::Scalar) return 1;
  if (index.kind == ir::Index::Kind::Gather || index.kind == ir::Index::Kind::NewAxis) {
    reason = "it gathers";
    return std::nullopt;
  }
  i64 lanes = plan.lanes(dim);
  bool whole = plan.resolve(dim.size).is_int(lanes);
  if (index.kind == ir::Index::Kind::Tile) {
    // Lanes beyond a tile would hold the next one's elements, and overwrite them.
    if (!whole) {
      auto elements = plan.resolve(dim.size).as_int();
      reason = elements ? fmt::format("its tiles of {} have {} lanes", *elements, lanes)
                        : "a box has a size that is known before a call";
      return std::nullopt;
    }
    const Block& block = kernel[index.block];
    bool known = block.begin && block.end;
    Sym end = known ? plan.resolve(block.end) : Sym();
    auto begin = known ? plan.resolve(block.begin).as_int() : std::nullopt;
    bool exact = known && end == plan.resolve(size) && index.operand < 0;
    auto last = known ? end.as_int() : std::nullopt;
    whole = begin && last && (*last - *begin) % lanes == 0 && index.operand < 0;
    if (!exact && !whole && is_store) {
      reason = "its tiles may end before the tensor does";
      return std::nullopt;
    }
    return lanes;
  }
  if (!whole && (index.operand >= 0 || plan.resolve(index.extent) != plan.resolve(size)) &&
      is_store) {
    reason = "its slice may end before the tensor does";
    return std::nullopt;
  }
  return lanes;
}

// Along the contiguous dimension boxes must start at multiples of 16 bytes.
bool starts_aligned(const Plan& plan, const Op& access, const ir::Index& index, i64 bytes) {
  const bool is_tile = index.kind == ir::Index::Kind::Tile;
  if (!is_tile && index.operand < 0) return true;
  Lanes lanes(plan);
  if (is_tile && lanes.multiple_of_begin(index.block) * bytes % 16 != 0) return false;
  return index.operand < 0 || lanes.multiple_of(access.operands[index.operand]) * bytes % 16 == 0;
}

}  // namespace

std::optional<backends::TensorMap> tensor_map(const Plan& plan, const Op& access,
                                              std::string& reason) {
  const ir::TensorParam& tensor = plan.kernel()[access.attrs.tensor];
  i64 rank = static_cast<i64>(tensor.sizes.size());
  auto refuse = [&](std::string why) {
    reason = std::move(why);
    return std::nullopt;
  };
  if (!plan.target.tensor_maps) return refuse("the target has no descriptors");
  if (rank < 2 || rank > 5) return refuse("descriptors have 2 to 5 dimensions");
  if (access.attrs.has_mask) return refuse("the access has a mask");
  if (tensor.dtype == Dtype::Bool || tensor.dtype == Dtype::F64 || tensor.dtype == Dtype::I64) {
    return refuse("descriptors move elements of 1, 2 or 4 bytes");
  }
  ir::ValueId value = ir::accessed_value(access);
  TileType type =
      ir::access_type(plan.kernel(), access.attrs.tensor, access.attrs.indices, access.operands);
  std::vector<MapDim> dims;
  i64 at = 0;
  for (const ir::Index& index : access.attrs.indices) {
    i64 dim = static_cast<i64>(dims.size());
    bool has_dim = index.kind != ir::Index::Kind::Scalar;
    if (has_dim && at >= type.rank()) return refuse("it gathers");
    auto box =
        box_extent(plan, index, has_dim ? type.shape[at] : Dim(),
                   dim < rank ? tensor.sizes[dim] : Sym(), access.code == OpCode::Store, reason);
    if (!box) return std::nullopt;
    if (has_dim && plan.kernel()[value].type.rank() == type.rank() && plan.is_rolled(value, at)) {
      return refuse("the dimension is walked in chunks");
    }
    at += has_dim ? 1 : 0;
    auto stride = plan.resolve(tensor.strides[dim]).as_int();
    auto size = plan.resolve(tensor.sizes[dim]).as_int();
    if (!stride || !size) return refuse("sizes and strides are only known in a call");
    if (*size > INT32_MAX) return refuse("offsets along a dimension need 64 bits");
    if (*size == 0) return refuse("the tensor is empty");
    if (*stride == 1 && !starts_aligned(plan, access, index, size_of(tensor.dtype))) {
      return refuse("a box may start between multiples of 16 bytes");
    }
    dims.push_back({dim, *stride, *box});
  }
  std::ranges::stable_sort(dims, std::greater(), &MapDim::stride);
  i64 bytes = size_of(tensor.dtype);
  backends::TensorMap map;
  for (const MapDim& dim : dims) {
    bool last = map.dims.size() + 1 == dims.size();
    if (last && dim.stride != 1) return refuse("no dimension has stride 1");
    if (!last && (dim.stride * bytes % 16 != 0 || dim.stride == 0)) {
      return refuse("a stride is no multiple of 16 bytes");
    }
    if (dim.box > 256) return refuse("a box has at most 256 elements along a dimension");
    map.dims.push_back(dim.tensor_dim);
    map.box.push_back(dim.box);
  }
  if (map.box.back() * bytes < 16) return refuse("rows of a box have at least 16 bytes");
  // Stages lie one after the other in shared memory, where each must start at such a multiple.
  i64 all = std::accumulate(map.box.begin(), map.box.end(), bytes, std::multiplies());
  if (all % 128 != 0) return refuse("a box has a multiple of 128 bytes");
  return map;
}

// --- text ---

namespace {

std::string names_of(const Kernel& kernel, const std::vector<BlockId>& blocks) {
  std::string text;
  for (BlockId block : blocks) text += (text.empty() ? "" : ", ") + kernel[block].name;
  return text;
}

bool has_f32_dot(const Kernel& kernel) {
  return std::ranges::any_of(kernel.ops, [&](const ir::Op& op) {
    return op.code == OpCode::Dot && promote(kernel[op.operands[0]].type.dtype,
                                             kernel[op.operands[1]].type.dtype) == Dtype::F32;
  });
}

std::string options_text(const LoopOptions& o) {
  if (o.is_static) return " static";
  std::string text;
  if (o.unroll > 0) text += fmt::format(" unroll {}", o.unroll);
  if (o.stages > 0) text += fmt::format(" stages {}", o.stages);
  if (o.multi_buffer) text += *o.multi_buffer ? " multi-buffer" : " single-buffer";
  if (o.flatten) text += *o.flatten ? " flatten" : " nested";
  if (o.warp_specialize) text += *o.warp_specialize ? " warp-specialize" : "";
  return text;
}

}  // namespace

std::string print(const Plan& plan) {
  static constexpr std::string_view kPids[] = {"flat", "xyz", "persistent blocked",
                                               "persistent interleaved"};
  const std::string_view indexing[] = {"pointer",
                                       plan.host_descriptors ? "host descriptor" : "descriptor"};
  const Kernel& kernel = plan.kernel();
  std::string out = fmt::format(
      "plan {} on {}: {} warps, {} stages{}{}\n", kernel.name, plan.target.name, plan.num_warps,
      plan.num_stages, plan.maxnreg > 0 ? fmt::format(", {} registers", plan.maxnreg) : "",
      has_f32_dot(kernel) ? ", dots of f32 in " + plan.dot_precision : "");
  const std::vector<bool> merged = plan::merged_blocks(plan.shared);
  for (i64 b = 0; b < static_cast<i64>(kernel.blocks.size()); ++b) {
    if (merged[b]) continue;
    out += fmt::format("  block b{} \"{}\" = {}\n", b, kernel.blocks[b].name,
                       plan.block_size(BlockId(b)));
  }
  for (const auto& [axis, chunk] : plan.rolled) {
    out +=
        fmt::format("  `:` of {} in chunks of {}{}\n", kernel.syms->print(plan.shared.extent(axis)),
                    chunk, plan.fuse_reductions ? "" : ", a loop for each reduction");
  }
  for (std::size_t r = 0; r < plan.roots.size(); ++r) {
    const RootPlan& root = plan.roots[r];
    out += fmt::format("  root {} ({}): {}{}{}{}\n", r, names_of(kernel, root.grid.order),
                       kPids[static_cast<int>(root.pid_type)],
                       is_persistent(root) ? fmt::format(" x {}", plan.num_sm_multiplier) : "",
                       root.l2_grouping > 1 ? fmt::format(" grouped by {}", root.l2_grouping) : "",
                       options_text(root.grid.options));
  }
  for (const auto& [op, loop] : plan.loops) {
    out += fmt::format("  loop ({}){}\n", names_of(kernel, loop.order), options_text(loop.options));
  }
  for (const auto& [op, access] : plan.accesses) {
    out += fmt::format("  {} {}: {}{}\n", ir::info(kernel[op].code).text,
                       kernel[kernel[op].attrs.tensor].name,
                       indexing[static_cast<int>(access.indexing)],
                       access.eviction.empty() ? "" : ", evict " + access.eviction);
  }
  return out;
}

}  // namespace peri::triton
