// Random kernels: every pass, and every pipeline with one pass off, keeps results bit for bit. What
// fails is shrunk and written to a file.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "ir/random_kernel.h"
#include "ir/verify.h"
#include "passes/compare_runs.h"
#include "passes/decorate.h"
#include "passes/eliminate_dead_code.h"
#include "passes/pipeline.h"

namespace peri::passes {
namespace {

using ir::Kernel;
using ir::ValueId;
using Change = std::function<void(Kernel&)>;

constexpr u64 kKernels = 200;

// Block sizes by seed; other symbols have their hints.
SymTable::Lookup symbols_for(const Kernel& kernel, u64 seed) {
  std::shared_ptr<SymTable> syms = kernel.syms;
  return [syms, seed](SymbolId id) -> std::optional<SymValue> {
    const Symbol& symbol = syms->symbol(id);
    if (symbol.origin != SymbolOrigin::Block) return symbol.hint;
    constexpr i64 kSizes[] = {1, 2, 3, 5, 8, 16, 64};
    return SymValue::of(kSizes[(seed + 3 * static_cast<u64>(id.index)) % std::size(kSizes)]);
  };
}

Kernel random_kernel(u64 seed) {
  Kernel kernel = ir::random_kernel(seed);
  if (seed % 4 != 0) decorate(kernel, seed);
  EXPECT_EQ(ir::verify(kernel), std::vector<std::string>()) << seed;
  return kernel;
}

// What is wrong after `change`, or "". Counts kernels that ran.
std::string fault(const Kernel& before, const Change& change, i64* ran = nullptr) {
  Kernel after = before;
  change(after);
  std::vector<std::string> faults = ir::verify(after);
  if (!faults.empty()) return "does not verify: " + faults[0];
  for (u64 seed = 0; seed < 3; ++seed) {
    for (bool exact : {true, false}) {
      bool succeeded = false;
      Trial trial{symbols_for(before, seed), seed, exact};
      std::string text = compare_runs(before, after, trial, &succeeded);
      if (ran) *ran += succeeded;
      if (!text.empty()) return text;
    }
  }
  return "";
}

std::string second_run_fault(const Kernel& before, const Pass& pass) {
  Kernel once = before;
  pass.run(once);
  Kernel twice = once;
  bool changed = pass.run(twice);
  return changed || ir::print(once) != ir::print(twice) ? "is not idempotent" : "";
}

// --- shrinking ---

void replace_uses(Kernel& kernel, ValueId from, ValueId to) {
  for (ir::Op& op : kernel.ops) std::ranges::replace(op.operands, from, to);
  for (ir::Graph& graph : kernel.graphs) std::ranges::replace(graph.yields, from, to);
}

// The kernel without one op; its results' uses become uses of `stand_in`.
Kernel without(const Kernel& kernel, ir::GraphId graph, size_t position, ValueId stand_in) {
  Kernel smaller = kernel;
  ir::OpId op = smaller[graph].ops[position];
  smaller[graph].ops.erase(smaller[graph].ops.begin() + static_cast<std::ptrdiff_t>(position));
  for (ValueId result : smaller[op].results) replace_uses(smaller, result, stand_in);
  if (ir::verify(smaller).empty()) eliminate_dead_code(smaller);
  return smaller;
}

// Nothing (for an op without users), or values of the result's type.
std::vector<ValueId> stand_ins(const Kernel& kernel, ir::OpId op) {
  std::vector<ValueId> values = {ValueId()};
  if (kernel[op].results.empty()) return values;
  const TileType& type = kernel[kernel[op].results[0]].type;
  for (i64 i = 0; i < kernel[op].results[0].index; ++i) {
    if (kernel.values[i].type == type) values.push_back(ValueId(i));
  }
  return values;
}

bool shrink_once(Kernel& kernel, const Change& change) {
  for (size_t g = 0; g < kernel.graphs.size(); ++g) {
    ir::GraphId graph(static_cast<i64>(g));
    for (size_t i = kernel[graph].ops.size(); i-- > 0;) {
      for (ValueId stand_in : stand_ins(kernel, kernel[graph].ops[i])) {
        Kernel smaller = without(kernel, graph, i, stand_in);
        if (!ir::verify(smaller).empty() || fault(smaller, change).empty()) continue;
        kernel = std::move(smaller);
        return true;
      }
    }
  }
  return false;
}

std::string shrink(Kernel kernel, const Change& change, const std::string& name) {
  while (shrink_once(kernel, change)) {
  }
  std::filesystem::path path = std::filesystem::temp_directory_path() / (name + ".ir");
  std::ofstream(path) << "# " << fault(kernel, change) << "\n" << ir::print(kernel);
  return fmt::format("{}\n{}written to {}", fault(kernel, change), ir::print(kernel),
                     path.string());
}

void check_on_random_kernels(const std::string& name, const Change& change) {
  i64 ran = 0;
  for (u64 seed = 0; seed < kKernels; ++seed) {
    Kernel kernel = random_kernel(seed);
    if (fault(kernel, change, &ran).empty()) continue;
    FAIL() << name << ", seed " << seed << ": "
           << shrink(kernel, change, fmt::format("peri-{}-{}", name, seed));
  }
  EXPECT_GT(ran, static_cast<i64>(kKernels) * 3) << "most kernels must run to the end";
}

TEST(Property, EachPassKeepsResults) {
  for (const Pass& pass : pipeline()) {
    check_on_random_kernels(std::string(pass.name), [&](Kernel& kernel) { pass.run(kernel); });
  }
}

TEST(Property, EachPassIsIdempotent) {
  for (const Pass& pass : pipeline()) {
    for (u64 seed = 0; seed < kKernels; ++seed) {
      EXPECT_EQ(second_run_fault(random_kernel(seed), pass), "") << pass.name << " " << seed;
    }
  }
}

TEST(Property, PipelineKeepsResultsWithAnyPassOff) {
  std::vector<std::string> names = {"nothing"};
  for (const Pass& pass : pipeline()) names.emplace_back(pass.name);
  for (const std::string& name : names) {
    PipelineOptions options;
    options.verify = true;
    options.off = {name};
    check_on_random_kernels("without-" + name,
                            [&](Kernel& kernel) { run_pipeline(kernel, options); });
  }
}

// The shrinker itself: a change that breaks every exp shrinks to a kernel with little else.
TEST(Property, ShrinksWhatFails) {
  Change break_exp = [](Kernel& kernel) {
    for (ir::Op& op : kernel.ops) {
      if (op.code == ir::OpCode::Exp) op.code = ir::OpCode::Exp2;
    }
  };
  for (u64 seed = 0; seed < kKernels; ++seed) {
    Kernel kernel = random_kernel(seed);
    if (fault(kernel, break_exp).empty()) continue;
    std::string text = shrink(kernel, break_exp, "peri-shrunk");
    EXPECT_NE(text.find(" = exp "), text.npos) << text;
    EXPECT_LE(std::ranges::count(text, '='), 40) << text;
    return;
  }
}

}  // namespace
}  // namespace peri::passes
