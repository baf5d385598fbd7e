#include "backends/triton/space_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <set>

#include "backends/triton/dot_depth.h"
#include "backends/triton/plan.h"
#include "backends/triton/rolling.h"
#include "ir/walk.h"
#include "plan/flatten_loops.h"
#include "space/space.h"

namespace peri::triton {

using ir::Kernel;
using ir::Op;
using ir::OpCode;
using nlohmann::json;
using space::Config;
using space::Knob;
using space::KnobKind;
using space::KnobRow;
using space::Scope;

namespace {

constexpr i64 kMostElements = i64{1} << 20;  // of a tile, in Triton
constexpr i64 kElementsPerThread = 256;      // of a tile that registers hold
constexpr i64 kAccumulatorsPerThread = 128;  // of a dot's result, in 32-bit registers
constexpr i64 kMostThreadRegisters = 255;
// Of a warpgroup instruction. Where warpgroups share narrower products, loops that are unrolled
// three times and more read and write the wrong memory (seen with Triton 3.6 on an H100).
constexpr i64 kLeastColumns = 16;
constexpr i64 kBarrierBytes = 1024;       // beside boxes in shared memory, at most
constexpr i64 kBesideAccumulator = 32;    // registers, as ptxas asks for them
constexpr i64 kStaticTurns = 8;           // of a loop that is unrolled fully
constexpr i64 kMostPrograms = INT32_MAX;  // of a grid
constexpr i64 kMostGridRows = 65535;      // of these along y and z

// --- knobs ---

void keep_only(Knob& knob, space::Json value, const std::string& others,
               const std::string& reason) {
  knob.kind = KnobKind::Choice;
  knob.low = knob.high = 0;
  knob.choices = {value};
  knob.default_value = value;
  knob.may_be_null = false;
  knob.excluded.push_back({others, reason});
}

void drop_choice(Knob& knob, const space::Json& value, const std::string& reason) {
  auto removed = std::ranges::remove(knob.choices, value);
  if (removed.empty()) return;
  knob.choices.erase(removed.begin(), removed.end());
  knob.excluded.push_back({value.dump(), reason});
}

// Matrix instructions work on rows and columns of 16 and more.
void restrict_blocks(const Kernel& kernel, std::vector<Knob>& knobs) {
  std::map<BlockId, i64> least;
  auto need = [&](const Dim& dim, i64 lanes) {
    BlockId block = space::sized_by(kernel, dim);
    if (!block) return;
    // An axis that a reshape has merged holds several elements for each of its block.
    i64 whole = kernel.syms->hint(dim.size)->integer;
    i64 size = std::max<i64>(kernel.syms->hint(kernel[block].size)->integer, 1);
    i64& low = least[block];
    low = std::max(low, (lanes * size + whole - 1) / std::max<i64>(whole, 1));
  };
  ir::for_each_op(kernel, [&](const Op& op) {
    if (op.code != OpCode::Dot) return;
    const TileType& a = kernel[op.operands[0]].type;
    const TileType& b = kernel[op.operands[1]].type;
    need(a.shape[a.rank() - 1], least_depth(kernel, op));
    need(a.shape[a.rank() - 2], 16);
    need(b.shape[b.rank() - 1], 16);
  });
  std::vector<BlockId> blocks = space::searched_blocks(kernel);
  for (Knob& knob : knobs) {
    if (knob.key != "block_sizes") continue;
    auto found = least.find(blocks[knob.index]);
    if (found == least.end() || knob.low >= found->second) continue;
    if (knob.divides % found->second != 0) continue;  // an axis that is cut evenly allows no more
    knob.low = found->second;
    knob.high = std::max(knob.high, knob.low);
    knob.whole = 0;
    knob.default_value = std::max(knob.default_value.get<i64>(), knob.low);
    knob.excluded.push_back({fmt::format("below {}", knob.low), "a matrix product needs it"});
  }
}

void restrict_reductions(const Kernel& kernel, std::vector<Knob>& knobs) {
  analysis::Axes axes(kernel);
  std::vector<ReducedAxis> reduced = reduced_axes(kernel, axes);
  for (Knob& knob : knobs) {
    if (knob.key != "reduction_loops") continue;
    const std::string& reason = reduced[knob.index].reason;
    if (!reason.empty()) keep_only(knob, nullptr, "other than null", reason);
  }
}

// On by default, unlike in Helion: where memory is what a pass waits for, each pass less saves its
// loads, and the accumulators of a few reductions fit registers.
void restrict_fusion(const Kernel& kernel, std::vector<Knob>& knobs) {
  const bool applies = can_fuse_reductions(kernel, analysis::Axes(kernel));
  std::erase_if(knobs, [&](Knob& knob) {
    if (knob.key != "reduction_fusion") return false;
    knob.default_value = true;
    return !applies;
  });
}

bool reads_what_it_writes(const Kernel& kernel, const ir::Root& root) {
  std::set<i64> read, written;
  ir::for_each_op(kernel, root.body, [&](const Op& op) {
    if (op.code == OpCode::Load) read.insert(kernel[op.attrs.tensor].base);
    if (op.code == OpCode::Store) written.insert(kernel[op.attrs.tensor].base);
  });
  return std::ranges::any_of(written, [&](i64 base) { return read.contains(base); });
}

struct LoopFacts {
  bool is_grid;
  bool is_in_place;  // its grid reads what it writes
};

// Of all loops, in the space's order.
std::vector<LoopFacts> loops_of(const Kernel& kernel) {
  std::vector<LoopFacts> loops;
  for (const ir::Root& root : kernel.roots) {
    const bool is_in_place = reads_what_it_writes(kernel, root);
    loops.push_back({true, is_in_place});
    ir::for_each_op(kernel, root.body, [&](const Op& op) {
      if (op.code == OpCode::For) loops.push_back({false, is_in_place});
    });
  }
  return loops;
}

// Along y and z a launch has few programs, which must be known to suffice.
std::string why_no_planes(const Kernel& kernel) {
  if (kernel.roots.size() > 1) return "the kernel has several grids";
  const std::vector<BlockId>& axes = kernel.roots[0].blocks;
  if (axes.size() < 2 || axes.size() > 3) return "the grid does not have two or three axes";
  auto known = [&](BlockId id) {
    const Block& block = kernel[id];
    return (!block.begin || block.begin.is_const()) && block.end.is_const() &&
           (!block.step || block.step.is_const());
  };
  return std::ranges::all_of(axes, known) ? "" : "the grid's bounds are only known in a call";
}

void restrict_loops(const Kernel& kernel, std::vector<Knob>& knobs) {
  const std::vector<LoopFacts> loops = loops_of(kernel);
  const std::string no_planes = why_no_planes(kernel);
  for (Knob& knob : knobs) {
    if (knob.key == "range_num_stages" && loops[knob.index].is_in_place) {
      keep_only(knob, 0, "above 0", "a tensor is both read and written");
    }
    if (knob.key == "pid_type" && !no_planes.empty()) drop_choice(knob, "xyz", no_planes);
  }
}

// --- a kernel's configs ---

// Shapes of a kernel's values, evaluated under configs.
class Resources {
 public:
  Resources(const Kernel& kernel, const Target& target) : kernel_(kernel), target_(target) {
    ir::for_each_op(kernel, [&](const Op& op) { collect(op); });
  }

  std::optional<std::string> why_not(const Config& config) const {
    auto known = space::config_values(kernel_, config);
    i64 warps = config.value("num_warps", i64{4});
    i64 threads = warps * target_.warp_size;
    if (threads > target_.max_threads) {
      return fmt::format("{} threads are more than {}", threads, target_.max_threads);
    }
    if (auto reason = bad_specialization(config)) return reason;
    if (auto reason = registers(known, config, threads)) return reason;
    i64 bytes = shared(known, config);
    if (bytes > target_.shared_bytes) {
      return fmt::format(
          "operands of {} turns, or a tile that is transposed, take {} KB of shared memory, "
          "there are {} KB",
          copies(known, config), bytes / 1024, target_.shared_bytes / 1024);
    }
    return grid(known, config);
  }

  i64 shared(const Config& config) const {
    return shared(space::config_values(kernel_, config), config);
  }

  // Fewer stages, pointers and loops in place of what cannot be.
  void repair(Config& config) const {
    repair_specialization(config);
    auto known = space::config_values(kernel_, config);
    if (shared(known, config) > target_.shared_bytes && config.contains("range_unroll_factors")) {
      for (auto& factor : config["range_unroll_factors"]) factor = 0;
      if (auto statics = config.find("static_ranges"); statics != config.end()) {
        for (auto& is_static : *statics) is_static = false;
      }
    }
    if (shared(known, config) > target_.shared_bytes && config.contains("range_num_stages")) {
      for (auto& stages : config["range_num_stages"]) stages = 0;
    }
    while (shared(known, config) > target_.shared_bytes && config["num_stages"].get<i64>() > 1) {
      config["num_stages"] = config["num_stages"].get<i64>() - 1;
    }
    i64 threads = config.value("num_warps", i64{4}) * target_.warp_size;
    if (too_many_registers(config, threads)) config["maxnreg"] = nullptr;
    if (!is_persistent(config) && too_many_programs(known, config)) {
      config["pid_type"] = "persistent_interleaved";
    }
    repair_accesses(config);
    repair_loops(config, known);
  }

 private:
  using Known = std::vector<std::optional<SymValue>>;

  void collect(const Op& op) {
    if (op.code == OpCode::For) loops_.push_back(&op);
    for (ir::ValueId result : op.results) shapes_.push_back(&kernel_[result].type);
    if (op.code == OpCode::Dot) dots_.push_back(&op);
  }

  std::optional<i64> evaluate(Sym sym, const Known& known) const {
    auto lookup = [&](SymbolId id) -> std::optional<SymValue> {
      if (known[id.index]) return known[id.index];
      return kernel_.syms->symbol(id).hint;
    };
    auto value = kernel_.syms->evaluate(sym, lookup);
    return value ? std::optional(value->integer) : std::nullopt;
  }

  // Of `type`, with reduced dimensions whole or in chunks of at most `chunk`.
  i64 elements(const TileType& type, const Known& known, i64 chunk) const {
    i64 count = 1;
    for (const Dim& dim : type.shape) {
      i64 lanes = power_of_two(evaluate(dim.size, known).value_or(1));
      if (!dim.block && chunk > 0) lanes = std::min(lanes, chunk);
      if (__builtin_mul_overflow(count, lanes, &count)) return INT64_MAX;
    }
    return count;
  }

  static i64 chunk_of(const Config& config) {
    i64 most = 0;
    auto it = config.find("reduction_loops");
    if (it == config.end()) return 0;
    for (const auto& value : *it) {
      if (!value.is_number()) return 0;
      most = std::max(most, value.get<i64>());
    }
    return most;
  }

  static i64 stages_of(const Config& config) {
    i64 stages = config.value("num_stages", i64{1});
    if (auto it = config.find("range_num_stages"); it != config.end()) {
      for (const auto& value : *it) stages = std::max(stages, value.get<i64>());
    }
    return stages;
  }

  // Copies of a turn's operands that are there at once: unrolled turns are pipelined together, and
  // so are the turns of a persistent grid around them.
  i64 copies(const Known& known, const Config& config) const {
    i64 stages = std::max<i64>(stages_of(config), 1);
    auto unrolls = config.find("range_unroll_factors");
    if (stages == 1 || unrolls == config.end()) return stages;
    const std::vector<LoopFacts> loops = loops_of(kernel_);
    bool persistent = is_persistent(config);
    i64 grid = 1, inner = 1;
    for (std::size_t i = 0; i < loops.size() && i < unrolls->size(); ++i) {
      i64 factor = (*unrolls)[i].get<i64>();
      if (!loops[i].is_grid) inner = std::max(inner, factor);
      if (loops[i].is_grid && persistent) grid = std::max(grid, factor);
    }
    // A loop that is unrolled fully is part of the turn around it.
    auto statics = config.find("static_ranges");
    if (persistent && statics != config.end()) {
      for_each_device_loop(known, [&](i64 loop, i64 turns) {
        if ((*statics)[loop].get<bool>()) inner = std::max(inner, turns);
      });
    }
    return stages * grid * inner;
  }

  std::optional<std::string> registers(const Known& known, const Config& config,
                                       i64 threads) const {
    i64 chunk = chunk_of(config);
    for (const TileType* type : shapes_) {
      i64 count = elements(*type, known, chunk);
      if (count > kMostElements) {
        return fmt::format("a tile of {} elements is larger than {}", count, kMostElements);
      }
      if (count / threads > kElementsPerThread) {
        return fmt::format("a tile of {} elements is too much for {} threads", count, threads);
      }
    }
    if (auto reason = too_many_registers(config, threads)) return reason;
    for (const Op* dot : dots_) {
      i64 count = elements(kernel_[dot->results[0]].type, known, 0);
      if (count / threads > kAccumulatorsPerThread) {
        return fmt::format("a product of {} elements is too much for {} threads", count, threads);
      }
      auto columns = columns_of_instruction(kernel_[dot->results[0]].type, known, threads);
      if (columns && *columns < kLeastColumns) {
        return fmt::format("a product of {} elements is too narrow for {} warps", count,
                           threads / target_.warp_size);
      }
      // Its part of the accumulator must stay in registers, beside what goes with it.
      i64 needed = columns ? *columns / 2 + kBesideAccumulator : 0;
      // Operands in f32 are split in registers first.
      bool split = needed > 0 && kernel_[dot->operands[0]].type.dtype == Dtype::F32;
      needed += split ? kBesideAccumulator : 0;
      i64 there = thread_registers(config, threads);
      if (needed > there) {
        return fmt::format("a matrix instruction needs {} registers a thread, there are {}", needed,
                           there);
      }
    }
    return std::nullopt;
  }

  // Of a warpgroup's instruction; none: the product is no such instruction.
  std::optional<i64> columns_of_instruction(const TileType& type, const Known& known,
                                            i64 threads) const {
    i64 warps = threads / target_.warp_size;
    i64 rows = lanes(type.shape[type.rank() - 2], known), columns = lanes(type.shape.back(), known);
    if (target_.capability() != 90 || rows < 64 || warps < 4) return std::nullopt;
    i64 warps_of_rows = std::max<i64>(rows / 16, 1);
    return std::min<i64>(columns / std::max<i64>(warps / warps_of_rows, 1), 256);
  }

  i64 thread_registers(const Config& config, i64 threads) const {
    i64 there = std::min(kMostThreadRegisters, target_.registers / threads);
    i64 cap = register_cap(config);
    return cap > 0 ? std::min(there, cap) : there;
  }

  // Loops whose warps are to be split by kind, outermost first.
  static std::vector<std::size_t> specialized(const Config& config) {
    std::vector<std::size_t> loops;
    auto found = config.find("range_warp_specializes");
    if (found == config.end()) return loops;
    for (std::size_t i = 0; i < found->size(); ++i) {
      if ((*found)[i] == true) loops.push_back(i);
    }
    return loops;
  }

  // What Triton's pass takes: most else ends in an error of the compiler.
  static std::optional<std::string> bad_specialization(const Config& config) {
    const std::vector<std::size_t> loops = specialized(config);
    if (loops.empty()) return std::nullopt;
    if (loops.size() > 1) return "only one loop of a kernel may specialize its warps";
    const i64 warps = config.value("num_warps", i64{4});
    if (warps != 4 && warps != 8) {
      return fmt::format("warps are specialized in groups of 4 or 8, not of {}", warps);
    }
    if (config["range_unroll_factors"][loops[0]] != 0) {
      return "a loop that specializes its warps is not unrolled";
    }
    if (is_persistent(config) && config["range_flattens"][loops[0]] != true) {
      return "a loop of a persistent grid specializes its warps only with `range_flattens`";
    }
    return std::nullopt;
  }

  static void repair_specialization(Config& config) {
    const std::vector<std::size_t> loops = specialized(config);
    if (loops.empty()) return;
    for (std::size_t i = 1; i < loops.size(); ++i) {
      config["range_warp_specializes"][loops[i]] = nullptr;
    }
    config["range_unroll_factors"][loops[0]] = 0;
    if (is_persistent(config)) config["range_flattens"][loops[0]] = true;
    if (bad_specialization(config)) config["range_warp_specializes"][loops[0]] = nullptr;
  }

  // 0: none, or it has no effect.
  static i64 register_cap(const Config& config) {
    auto cap = config.find("maxnreg");
    bool capped = is_persistent(config) && cap != config.end() && cap->is_number();
    return capped ? cap->get<i64>() : 0;
  }

  // The assembler gives a program as many registers as the cap allows, threads or no threads; a
  // launch that a multiprocessor has too few for is refused.
  std::optional<std::string> too_many_registers(const Config& config, i64 threads) const {
    i64 cap = register_cap(config);
    if (cap * threads <= target_.registers) return std::nullopt;
    return fmt::format("{} threads of {} registers take more than {}", threads, cap,
                       target_.registers);
  }

  static bool is_persistent(const Config& config) {
    return config.value("pid_type", std::string("flat")).starts_with("persistent");
  }

  i64 lanes(const Dim& dim, const Known& known) const {
    return power_of_two(evaluate(dim.size, known).value_or(1));
  }

  // A loop that is asked for stages stages every load, not only operands of dots.
  static bool asks_for_stages(const Config& config) {
    auto stages = config.find("range_num_stages");
    return stages != config.end() &&
           std::ranges::any_of(*stages, [](const Config& n) { return n.get<i64>() > 1; });
  }

  static bool has_descriptors(const Config& config) {
    auto indexing = config.find("indexing");
    return indexing != config.end() && std::ranges::any_of(*indexing, [](const Config& kind) {
             return kind == "tensor_descriptor";
           });
  }

  i64 loaded(const Known& known, const Config& config) const {
    i64 bytes = 0;
    ir::for_each_op(kernel_, [&](const Op& op) {
      if (op.code != OpCode::Load) return;
      const TileType& type = kernel_[op.results[0]].type;
      bytes += elements(type, known, chunk_of(config)) * size_of(type.dtype);
    });
    return bytes;
  }

  i64 bytes_of(ir::ValueId value, const Known& known) const {
    const TileType& type = kernel_[value].type;
    return elements(type, known, 0) * size_of(type.dtype);
  }

  // Of the loads that are part of a pipelined loop's turn: those that stand beside a dot. A
  // persistent grid is a loop too.
  std::set<ir::OpId> pipelined_loads(const Config& config) const {
    std::set<ir::OpId> loads;
    auto see = [&](ir::GraphId graph) {
      const std::vector<ir::OpId>& ops = kernel_[graph].ops;
      auto is = [&](OpCode code) {
        return [this, code](ir::OpId id) { return kernel_[id].code == code; };
      };
      if (std::ranges::none_of(ops, is(OpCode::Dot))) return;
      std::ranges::copy_if(ops, std::inserter(loads, loads.end()), is(OpCode::Load));
    };
    for (const Op* loop : loops_) see(loop->regions[0]);
    for (const ir::Root& root : kernel_.roots) {
      if (is_persistent(config)) see(root.body);
    }
    return loads;
  }

  // Matrix instructions want the second operand in f32 along the depth: it is turned in a buffer of
  // its own. The first one stays in registers where it is computed there.
  bool turns_second_operand(const Op& dot) const {
    return target_.capability() >= 90 && kernel_[dot.operands[1]].type.dtype == Dtype::F32;
  }

  // Each stage of a loop has its loads in shared memory, all at once; operands from elsewhere are
  // there as well.
  i64 shared(const Known& known, const Config& config) const {
    const std::set<ir::OpId> loads = pipelined_loads(config);
    i64 bytes = 0, others = 0, results = 0;
    for (ir::OpId load : loads) {
      if (kernel_[kernel_[load].results[0]].type.rank() > 1) {
        bytes += bytes_of(kernel_[load].results[0], known);
      }
    }
    for (const Op* dot : dots_) {
      const bool turns = turns_second_operand(*dot);
      for (int side = 0; side < 2; ++side) {
        ir::OpId def = ir::behind_views(kernel_, dot->operands[side]);
        if (def && loads.contains(def)) continue;
        const bool stays = turns && side == 0 && (!def || kernel_[def].code != OpCode::Load);
        if (!stays) others += bytes_of(dot->operands[side], known);
      }
      if (turns) others += bytes_of(dot->operands[1], known);
      // Results leave through shared memory, half-precise ones whole and others in halves of their
      // size; those of a persistent grid while the next turn's operands arrive.
      i64 size = is_persistent(config) ? size_of(kernel_[dot->operands[0]].type.dtype) : 2;
      results = std::max(results, elements(kernel_[dot->results[0]].type, known, 0) * size);
    }
    if (asks_for_stages(config)) bytes = std::max(bytes, loaded(known, config));
    i64 count = copies(known, config);
    // Where turns are unrolled, one of a turn's descriptors fills its next box a stage earlier.
    if (count > stages_of(config) && has_descriptors(config)) others += bytes;
    i64 staged = bytes * count + others;
    staged = is_persistent(config) ? staged + results : std::max(staged, results);
    return std::max(staged, turned(known, config));
  }

  // The largest tile that lies in memory in another order than its axes have: its elements change
  // threads through shared memory.
  i64 turned(const Known& known, const Config& config) const {
    i64 most = 0;
    ir::for_each_op(kernel_, [&](const Op& op) {
      if (!ir::is_access(op)) return;
      const ir::TensorParam& tensor = kernel_[op.attrs.tensor];
      auto is_unit = [&](Sym stride) { return kernel_.syms->hint(stride) == SymValue::of(i64{1}); };
      if (tensor.strides.size() < 2 || is_unit(tensor.strides.back())) return;
      if (std::ranges::none_of(tensor.strides, is_unit)) return;
      const TileType& type = kernel_[ir::accessed_value(op)].type;
      most = std::max(most, elements(type, known, chunk_of(config)) * size_of(type.dtype));
    });
    return most;
  }

  std::optional<std::string> grid(const Known& known, const Config& config) const {
    if (!is_persistent(config)) {
      if (auto reason = too_many_programs(known, config)) return reason;
    }
    if (auto reason = static_turns(known, config)) return reason;
    auto indexing = config.find("indexing");
    if (indexing == config.end()) return std::nullopt;
    return refused_access(config, *indexing, nullptr);
  }

  // Of grids without a loop of their own.
  std::optional<std::string> too_many_programs(const Known& known, const Config& config) const {
    const bool planes = config.value("pid_type", std::string("flat")) == "xyz";
    for (const ir::Root& root : kernel_.roots) {
      i64 programs = 1;
      for (BlockId id : root.blocks) {
        i64 tiles = tiles_of(kernel_[id].begin, kernel_[id].end, id, known);
        if (planes && tiles > kMostGridRows) {
          return fmt::format("{} rows are more than {} along y or z", tiles, kMostGridRows);
        }
        if (__builtin_mul_overflow(programs, std::max<i64>(tiles, 0), &programs)) {
          programs = INT64_MAX;
        }
      }
      if (programs > kMostPrograms && !planes) {
        return fmt::format("{} programs are more than {}", programs, kMostPrograms);
      }
    }
    return std::nullopt;
  }

  i64 tiles_of(Sym begin, Sym end, BlockId id, const Known& known) const {
    i64 first = begin ? evaluate(begin, known).value_or(0) : 0;
    i64 last = evaluate(end, known).value_or(0);
    Sym step = kernel_[id].step ? kernel_[id].step : kernel_[id].size;
    i64 size = std::max<i64>(evaluate(step, known).value_or(1), 1);
    return (last - first + size - 1) / size;
  }

  // Calls `visit(index among them, turns)` for device loops; 0 turns: unknown.
  template <class F>
  void for_each_device_loop(const Known& known, const F& visit) const {
    i64 next = 0;
    for (const ir::Root& root : kernel_.roots) {
      ir::for_each_op(kernel_, root.body, [&](const Op& op) {
        if (op.code != OpCode::For) return;
        i64 turns = 1;
        for (BlockId id : op.attrs.blocks) {
          const Block& block = kernel_[id];
          bool constant = block.begin && block.end && block.begin.is_const() &&
                          block.end.is_const() && !block.step;
          turns *= constant ? tiles_of(block.begin, block.end, id, known) : 0;
        }
        visit(next++, turns);
      });
    }
  }

  std::optional<std::string> static_turns(const Known& known, const Config& config) const {
    auto statics = config.find("static_ranges");
    if (statics == config.end()) return std::nullopt;
    std::optional<std::string> reason;
    for_each_device_loop(known, [&](i64 loop, i64 turns) {
      bool wanted = loop < static_cast<i64>(statics->size()) && (*statics)[loop].get<bool>();
      if (!wanted || (turns > 0 && turns <= kStaticTurns)) return;
      reason = turns == 0 ? "a loop with bounds only known on the device is not unrolled fully"
                          : fmt::format("{} turns are too many to unroll", turns);
    });
    return reason;
  }

  void repair_loops(Config& config, const Known& known) const {
    auto statics = config.find("static_ranges");
    if (statics == config.end()) return;
    for_each_device_loop(known, [&](i64 loop, i64 turns) {
      if (turns == 0 || turns > kStaticTurns) (*statics)[loop] = false;
    });
  }

  void repair_accesses(Config& config) const {
    auto indexing = config.find("indexing");
    if (indexing != config.end()) refused_access(config, *indexing, &*indexing);
  }

  // Why a descriptor that `indexing` asks for cannot be; with `fixed`, makes those pointers.
  std::optional<std::string> refused_access(const Config& config, const Config& indexing,
                                            Config* fixed) const {
    if (!has_descriptors(config)) return std::nullopt;
    std::lock_guard lock(planning_mutex());
    Plan plan = make_plan(kernel_, config, target_);
    auto known = space::config_values(kernel_, config);
    std::size_t next = 0;
    i64 taken = 0;  // by boxes, of which a store's is there beside those of loads
    std::optional<std::string> refused;
    ir::for_each_op(plan.kernel(), [&](const Op& op) {
      if (!ir::is_access(op)) return;
      std::size_t at = next++;
      if (at >= indexing.size() || indexing[at] == "pointer") return;
      std::string reason;
      i64 bytes = bytes_of(ir::accessed_value(op), known);
      bool fits = taken + bytes + kBarrierBytes <= target_.shared_bytes;
      if (tensor_map(plan, op, reason) && fits) {
        taken += bytes;
        return;
      }
      if (!fits) reason = fmt::format("its box takes {} KB more of shared memory", bytes / 1024);
      refused = fmt::format("no descriptor for `{}`: {}", kernel_[op.attrs.tensor].name, reason);
      if (fixed != nullptr) (*fixed)[at] = "pointer";
    });
    return refused;
  }

  const Kernel& kernel_;
  Target target_;
  std::vector<const TileType*> shapes_;
  std::vector<const Op*> dots_;
  std::vector<const Op*> loops_;
};

// Accesses that can have no descriptor under any config.
void restrict_accesses(const Kernel& kernel, const Target& target, std::vector<Knob>& knobs) {
  std::vector<std::string> reasons;
  Config config = Config::object();
  config["block_sizes"] = Config::array();
  for (BlockId block : space::searched_blocks(kernel)) {
    (void)block;
    config["block_sizes"].push_back(64);
  }
  std::lock_guard lock(planning_mutex());
  Plan plan = make_plan(kernel, config, target);
  ir::for_each_op(kernel, [&](const Op& op) {
    if (!ir::is_access(op)) return;
    std::string reason;
    (void)tensor_map(plan, op, reason);
    reasons.push_back(reason);
  });
  for (Knob& knob : knobs) {
    if (knob.key != "indexing") continue;
    drop_choice(knob, "block_ptr", "compilers turn block pointers into pointers and masks");
    const std::string& reason = reasons[knob.index];
    bool depends = reason.starts_with("a box") || reason.starts_with("rows of a box") ||
                   reason.starts_with("the dimension is walked") || reason.starts_with("a box may");
    if (!reason.empty() && !depends) drop_choice(knob, "tensor_descriptor", reason);
  }
}

// No less precise than the kernel asks for.
void restrict_precision(const Kernel& kernel, const Target& target, std::vector<Knob>& knobs) {
  const DotPrecision least = kernel.requests.dot_precision;
  for (Knob& knob : knobs) {
    if (knob.key != "dot_precision") continue;
    for (std::string_view name : kDotPrecisions) {
      if (name == name_of(least)) break;
      drop_choice(knob, name,
                  fmt::format("less precise than `{}`: `@helion.kernel(dot_precision=\"{}\")` "
                              "allows it",
                              name_of(least), name));
    }
    if (target.vendor == "hip") {
      drop_choice(knob, "tf32x3", fmt::format("Triton has none for {}", target.name));
    }
    knob.default_value = least == DotPrecision::Tf32 ? "tf32" : knob.choices.front();
  }
}

void restrict_specialization(const Kernel& kernel, std::vector<Knob>& knobs) {
  if (kernel.requests.may_specialize_warps) return;
  for (Knob& knob : knobs) {
    if (knob.key != "range_warp_specializes") continue;
    drop_choice(knob, true, "the kernel's decorator says `allow_warp_specialize=False`");
  }
}

KnobRow dot_precision_row() {
  KnobRow row;
  row.key = "dot_precision";
  row.choices = {"tf32x3", "ieee", "tf32"};
  row.default_value = "tf32x3";
  row.doc = "how f32 matrix products are computed: three tf32 products, f32, or one tf32 product";
  return row;
}

}  // namespace

i64 shared_bytes(const Kernel& kernel, const Config& config, const Target& target) {
  return Resources(kernel, target).shared(config);
}

space::Capabilities capabilities_of(const Target& target) {
  space::Capabilities c;
  c.target = target.name;
  c.shared_keys = {
      "block_sizes",         "loop_orders",      "flatten_loops",          "l2_groupings",
      "reduction_loops",     "reduction_fusion", "range_unroll_factors",   "range_num_stages",
      "range_multi_buffers", "range_flattens",   "static_ranges",          "num_warps",
      "num_stages",          "indexing",         "load_eviction_policies", "pid_type",
      "num_sm_multiplier"};
  if (target.vendor == "cuda") c.shared_keys.emplace_back("maxnreg");
  if (target.warp_specialize) c.shared_keys.emplace_back("range_warp_specializes");
  if (target.tensor_maps) c.shared_keys.emplace_back("host_tensor_descriptors");
  c.knobs = {dot_precision_row()};
  c.splits_prologues = true;
  c.lanes_f32 = target.warp_size;
  c.max_threads = target.multiprocessors;
  c.l1_bytes = target.shared_bytes;
  c.l2_bytes = c.l3_bytes = i64{50} << 20;
  c.restrict_knobs = [target](const Kernel& kernel, std::vector<Knob>& knobs) {
    restrict_blocks(kernel, knobs);
    restrict_reductions(kernel, knobs);
    restrict_fusion(kernel, knobs);
    restrict_loops(kernel, knobs);
    restrict_accesses(kernel, target, knobs);
    restrict_precision(kernel, target, knobs);
    restrict_specialization(kernel, knobs);
    {
      std::lock_guard lock(planning_mutex());
      plan::restrict_flattening(kernel, knobs);
    }
    i64 most = target.max_threads / target.warp_size;
    for (Knob& knob : knobs) {
      if (knob.key == "num_warps") knob.high = std::min(knob.high, most);
    }
  };
  c.rules = [target](const Kernel& kernel) {
    auto resources = std::make_shared<Resources>(kernel, target);
    return space::ConfigRules{
        [resources](const Config& config) { return resources->why_not(config); },
        [resources](Config& config) { resources->repair(config); }};
  };
  return c;
}

}  // namespace peri::triton
