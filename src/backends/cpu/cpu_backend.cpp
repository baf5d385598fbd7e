#include "backends/cpu/cpu_backend.h"

#include <fmt/format.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/raw_ostream.h>

#include <bit>
#include <cmath>
#include <map>
#include <mutex>
#include <tuple>

#include "backends/cpu/cost_model.h"
#include "backends/cpu/emit.h"
#include "backends/cpu/jit.h"
#include "backends/cpu/machine_speed.h"
#include "backends/cpu/predict.h"
#include "base/bug.h"
#include "base/thread_pool.h"
#include "plan/flatten_loops.h"

namespace peri::cpu {

namespace {

using nlohmann::json;
using space::KnobKind;
using space::KnobRow;
using space::Scope;

// The named levels have the same space on every machine.
i64 most_threads(const Target& target) {
  constexpr i64 kNamed = 16;
  if (target.level != "host") return kNamed;
  auto cores = static_cast<u64>(ThreadPool::global().threads());
  return static_cast<i64>(std::bit_floor(cores));
}

KnobRow simd_width(const Target& target) {
  KnobRow row{"simd_width",
              Scope::Kernel,
              KnobKind::Choice,
              0,
              0,
              {},
              8 * target.vector_bytes,
              "bits of the vectors in loops over elements"};
  for (i64 bits : {128, 256, 512}) {
    if (bits <= 8 * target.vector_bytes) row.choices.push_back(bits);
  }
  if (target.vector_bytes < 64) {
    row.excluded.push_back(
        {fmt::format("above {}", 8 * target.vector_bytes), "the target has no wider vectors"});
  }
  return row;
}

std::vector<KnobRow> knob_rows(const Target& target) {
  auto choice = [](std::string key, Scope scope, std::vector<json> values, json standard,
                   std::string doc) {
    return KnobRow{std::move(key),      scope,         KnobKind::Choice, 0, 0, std::move(values),
                   std::move(standard), std::move(doc)};
  };
  return {
      {"num_threads",
       Scope::Kernel,
       KnobKind::PowerOfTwo,
       0,
       most_threads(target),
       {},
       0,
       "threads that share the grid's cells; 0: as many as there are cores"},
      {"pid_type",
       Scope::Kernel,
       KnobKind::Choice,
       0,
       0,
       {"flat", "persistent_blocked", "persistent_interleaved"},
       "persistent_blocked",
       "how grid cells go to threads: taken on demand, in equal ranges, or dealt in a circle",
       {{"\"xyz\"", "threads have no coordinates: a grid is numbered in one row"}}},
      choice("cells_per_turn", Scope::Kernel, {0, 1, 4, 16, 64}, 0,
             "neighbouring cells a thread gets at once unless in equal ranges; 0: by their number"),
      simd_width(target),
      choice("vector_unroll", Scope::Kernel, {0, 1, 2, 4, 8}, 0,
             "vectors per iteration of an element loop; 0: by its contents"),
      choice("recompute_limit", Scope::Kernel, {0, 2, 4, 8}, 4,
             "arithmetic operations that may be repeated rather than kept in a buffer"),
      choice("load_eviction_policies", Scope::ElementLoad, {"", "first", "last"}, "",
             "fetch ahead of a load into the nearest cache alone (first) or into all (last)"),
      choice("prefetch_distances", Scope::ElementLoad, {0, 256, 512, 1024, 2048}, 0,
             "bytes that a load is fetched ahead of its use; 0: left to the CPU"),
      {"store_cache_modifiers",
       Scope::Store,
       KnobKind::Choice,
       0,
       0,
       {"", ".cs"},
       "",
       ".cs: write around the caches where addresses are aligned",
       {{"\".wt\"", "CPUs have no write-through stores"}}},
      choice(
          "prefetch_rows", Scope::Kernel, {0, 1, 2, 4}, 4,
          "how often each line of the next row is prefetched while the last pass over a row runs"),
      choice("dot_register_rows", Scope::Dot, {0, 1, 2, 4, 6, 8, 12, 14}, 0,
             "rows of a dot's register tile; 0: the target's choice"),
      choice("dot_register_vectors", Scope::Dot, {0, 1, 2, 3, 4}, 0,
             "vectors in a row of the register tile; 0: the target's choice"),
      choice("dot_k_unrolls", Scope::Dot, {0, 1, 2, 4, 8}, 0,
             "steps of k per iteration; 0: the target's choice"),
      choice("dot_cache_rows", Scope::Dot, {-1, 0, 48, 96, 192, 384}, -1,
             "rows of A per second-level cache block; 0: all, -1: the target's choice"),
      choice("dot_cache_columns", Scope::Dot, {-1, 0, 64, 128, 256, 512, 1024}, -1,
             "columns of B per cache block; 0: all, -1: the target's choice"),
      choice("dot_cache_depths", Scope::Dot, {-1, 0, 64, 128, 256, 512, 1024}, -1,
             "steps of k per cache block; 0: all, -1: a tile of k, or the target's choice"),
      choice("dot_packings", Scope::Dot, {"auto", "none", "a", "b", "ab"}, "auto",
             "operands copied into register-tile order first"),
  };
}

// Planning makes new host scalar expressions in the kernel's table, which is not thread-safe.
std::mutex& planning_mutex() {
  static std::mutex mutex;
  return mutex;
}

space::Capabilities capabilities_of(const Target& target) {
  space::Capabilities c;
  c.target = target.level == "host" ? target.cpu : target.level;
  c.generator = "LLVM " LLVM_VERSION_STRING;
  c.exact_bounds = true;
  c.shared_keys = {"block_sizes", "loop_orders", "flatten_loops", "l2_groupings"};
  c.knobs = knob_rows(target);
  c.lanes_f32 = target.lanes(4);
  c.vector_registers = target.vector_registers;
  c.l1_bytes = target.l1d;
  c.l2_bytes = target.l2;
  c.l3_bytes = target.l3;
  c.max_threads = ThreadPool::global().threads();
  c.max_tile_bytes = i64{256} << 20;
  c.restrict_knobs = [](const ir::Kernel& kernel, std::vector<space::Knob>& knobs) {
    std::lock_guard lock(planning_mutex());
    plan::restrict_flattening(kernel, knobs);
  };
  return c;
}

std::string text_of(const llvm::Module& module) {
  std::string text;
  llvm::raw_string_ostream out(text);
  module.print(out, nullptr);
  return text;
}

}  // namespace

CpuBackend::CpuBackend(Target target)
    : target_(std::move(target)), capabilities_(capabilities_of(target_)) {}

space::Config CpuBackend::default_config(const ir::Kernel& kernel) const {
  std::lock_guard lock(planning_mutex());
  return choose_config(kernel, capabilities_, target_);
}

std::string CpuBackend::print_plan(const ir::Kernel& kernel, const space::Config& config) const {
  std::lock_guard lock(planning_mutex());
  return plan::print(plan::make_plan(kernel, config, capabilities_));
}

std::string CpuBackend::print_cost(const ir::Kernel& kernel, const space::Config& config) const {
  return print(predict(kernel, config));
}

backends::Prediction CpuBackend::predict(const ir::Kernel& kernel,
                                         const space::Config& config) const {
  std::lock_guard lock(planning_mutex());
  return cpu::predict(plan::make_plan(kernel, config, capabilities_), target_,
                      capabilities_.max_threads);
}

backends::MachineSpeed CpuBackend::machine_speed(i64 threads, double working_set) const {
  if (!target_.is_host_runnable) return {};
  if (threads <= 0) threads = capabilities_.max_threads;
  // Sizes within a factor of two count as one.
  const int magnitude = working_set > 1 ? std::ilogb(working_set) : 0;
  static std::mutex mutex;
  static std::map<std::tuple<std::string, i64, int>, backends::MachineSpeed> known;
  std::lock_guard lock(mutex);
  auto [entry, is_new] = known.try_emplace({target_.level, threads, magnitude});
  if (is_new) entry->second = measure_speed(target_, threads, working_set).value_or(entry->second);
  return entry->second;
}

Expected<backends::Compiled> CpuBackend::compile(const ir::Kernel& kernel,
                                                 const space::Config& config,
                                                 const backends::CompileOptions& options) const {
  backends::Compiled result;
  llvm::LLVMContext context;
  llvm::Module module(kernel.name, context);
  prepare_module(module, target_);
  {
    std::lock_guard lock(planning_mutex());
    plan::Plan plan = plan::make_plan(kernel, config, capabilities_);
    if (plan.dots.empty()) skip_strength_reduction(context);
    for (i64 r = 0; r < static_cast<i64>(kernel.roots.size()); ++r) {
      RootFunction root = Emitter(plan, target_, module).emit_root(r);
      const plan::RootPlan& p = plan.roots[r];
      result.artifact.roots.push_back({nullptr, root.scalars, root.cells, root.scratch_bytes,
                                       p.num_threads, p.schedule, p.cells_per_turn,
                                       root.checks_accesses});
    }
  }
#ifndef NDEBUG
  std::string faults;
  llvm::raw_string_ostream out(faults);
  BUG_IF(llvm::verifyModule(module, &out), "malformed LLVM IR: {}\n{}", faults, text_of(module));
#endif
  if (options.keep == "llvm") result.text = text_of(module);
  if (options.keep == "asm") {
    auto text = emit_assembly(module, target_);
    if (!text) return std::unexpected(text.error());
    result.text = std::move(*text);
    if (!target_.is_host_runnable) return result;
  }
  if (!target_.is_host_runnable) return result;
  auto code = cpu::compile(module, target_);
  if (!code) return std::unexpected(code.error());
  for (size_t r = 0; r < result.artifact.roots.size(); ++r) {
    result.artifact.roots[r].run =
        reinterpret_cast<backends::CellFunction>(code->address(fmt::format("root{}", r)));
  }
  result.artifact.code = std::make_shared<Code>(std::move(*code));
  return result;
}

Expected<std::shared_ptr<backends::Backend>> make_backend(const backends::TargetRequest& request) {
  if (!request.target.empty()) {
    return fail("unknown-target", fmt::format("`cpu:{}` is no device", request.target),
                "name the level with --cpu: host, x86-64-v3, ...");
  }
  auto target = target_for(request.cpu_level.empty() ? "host" : request.cpu_level);
  if (!target) return std::unexpected(target.error());
  return std::make_shared<CpuBackend>(std::move(*target));
}

}  // namespace peri::cpu
