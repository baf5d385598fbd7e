#include "triton/prepared.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <future>
#include <mutex>
#include <sstream>

#include "backends/triton/plan.h"
#include "backends/triton/space_rules.h"
#include "backends/triton/target.h"
#include "ir/walk.h"
#include "triton/interpreter.h"

namespace peri::triton_test {

namespace {

// What SPEC says of a contiguous tensor, which may be of many GB, without making it.
check::ArgSpec described(const std::string& name, const std::string& spec, diag::Diags& diags) {
  std::size_t open = spec.find('['), close = spec.find(']');
  bool tensor = open != std::string::npos && spec.starts_with("rand") && close > open;
  std::vector<i64> sizes;
  std::string small = spec;
  if (tensor) {
    std::stringstream numbers(spec.substr(open + 1, close - open - 1));
    for (std::string size; std::getline(numbers, size, ',');) sizes.push_back(std::stoll(size));
    std::string ones = "1";
    for (std::size_t d = 1; d < sizes.size(); ++d) ones += ",1";
    small = spec.substr(0, open + 1) + ones + spec.substr(close);
  }
  auto argument = driver::parse_argument(name, small, 7, diags);
  EXPECT_TRUE(argument) << argument.error().message;
  check::ArgSpec described;
  if (argument) described = driver::specs_of({{name, *argument}})[name];
  if (!tensor) return described;
  described.sizes = sizes;
  described.strides.assign(sizes.size(), 1);
  for (std::size_t d = sizes.size(); d-- > 1;) {
    described.strides[d - 1] = described.strides[d] * sizes[d];
  }
  return described;
}

constexpr i64 kBarrierBytes = 1024;  // beside what is estimated, at most

// What the space's rules count. They leave out, without products, the tile that changes threads
// and the boxes that descriptors fill beside each other.
i64 estimated_shared_bytes(const ir::Kernel& kernel, const space::Config& config,
                           const triton::Target& target) {
  const i64 counted = triton::shared_bytes(kernel, config, target);
  auto is_dot = [](const ir::Op& op) { return op.code == ir::OpCode::Dot; };
  if (std::ranges::any_of(kernel.ops, is_dot)) return counted;
  auto known = space::config_values(kernel, config);
  auto lookup = [&](SymbolId id) -> std::optional<SymValue> {
    return known[id.index] ? known[id.index] : kernel.syms->symbol(id).hint;
  };
  auto bytes_of = [&](const TileType& type, i64 least) {
    i64 bytes = std::max(size_of(type.dtype), least);
    for (const Dim& dim : type.shape) {
      auto size = kernel.syms->evaluate(dim.size, lookup);
      bytes *= triton::power_of_two(size ? size->integer : 1);
    }
    return bytes;
  };
  i64 largest = 0, boxes = 0;
  for (const ir::Value& value : kernel.values) {
    largest = std::max(largest, bytes_of(value.type, 4));
  }
  std::size_t next = 0;
  ir::for_each_op(kernel, [&](const ir::Op& op) {
    if (!ir::is_access(op)) return;
    const bool is_box = config["indexing"].at(next++) == "tensor_descriptor";
    if (is_box) boxes += bytes_of(kernel[ir::accessed_value(op)].type, 1);
  });
  return std::max({counted, largest, boxes});
}

}  // namespace

Prepared::Prepared(const Case& test, bool with_tensors) : diags(sources), c(diags) {
  std::size_t colon = test.kernel.rfind(':');
  c.request.file = std::string(PERI_SOURCE_DIR) + "/kernels/" + test.kernel.substr(0, colon);
  if (test.kernel.starts_with("language/")) {
    c.request.file = std::string(PERI_SOURCE_DIR) + "/test/equiv/" + test.kernel.substr(0, colon);
  }
  c.request.kernel = test.kernel.substr(colon + 1);
  if (!test.text.empty()) {
    c.request.text = "import torch\nimport helion\nimport helion.language as hl\n\n\n" + test.text;
  }
  c.request.device = test.device;
  c.request.settings.python = python();
  c.request.settings.no_cache = true;  // code must be compiled here
  for (const auto& [name, spec] : test.args) {
    if (!with_tensors && !spec.starts_with("lambda")) {
      c.request.args[name] = described(name, spec, diags);
      continue;
    }
    auto argument = driver::parse_argument(name, spec, 7, diags);
    EXPECT_TRUE(argument) << argument.error().message;
    if (argument) arguments[name] = std::move(*argument);
  }
  c.request.args.merge(driver::specs_of(arguments));
  auto compiled = driver::compile(c, "space");
  EXPECT_TRUE(compiled) << compiled.error().message << "\n" << diag::render_text(diags);
  ready = compiled.has_value();
}

std::vector<space::Config> Prepared::configs(i64 count, double most_cells) {
  std::vector<space::Config> all = {c.default_config};
  space::Rng rng(11);
  for (i64 tries = 0; tries < 40 * count && static_cast<i64>(all.size()) < count; ++tries) {
    space::Config config = c.space.sample(rng);
    if (cells(config) <= most_cells) all.push_back(std::move(config));
  }
  return all;
}

std::optional<space::Config> Prepared::config(const std::string& text) {
  auto config = c.space.validate(space::Config::parse(text), c.default_config, diags);
  EXPECT_TRUE(config) << diag::render_text(diags);
  return config;
}

std::string Prepared::refusal(const std::string& text) {
  EXPECT_FALSE(c.space.validate(space::Config::parse(text), c.default_config, diags));
  return diag::render_text(diags);
}

double Prepared::cells(const space::Config& config) const {
  const ir::Kernel& kernel = c.lowered->kernel;
  auto known = space::config_values(kernel, config);
  auto lookup = [&](SymbolId id) -> std::optional<SymValue> {
    return known[id.index] ? known[id.index] : kernel.syms->symbol(id).hint;
  };
  auto value = [&](Sym sym, double fallback) {
    auto known_value = sym ? kernel.syms->evaluate(sym, lookup) : std::nullopt;
    return known_value ? known_value->as_real() : fallback;
  };
  double total = 0;
  for (const ir::Root& root : kernel.roots) {
    double cells = 1;
    for (BlockId id : root.blocks) {
      double range = value(kernel[id].end, 1) - value(kernel[id].begin, 0);
      cells *= std::ceil(range / std::max(1.0, value(kernel[id].size, 1)));
    }
    total += cells;
  }
  return total;
}

std::string text_of(Prepared& kernel, const std::string& config) {
  auto text = kernel.c.backend->compile(kernel.c.lowered->kernel, *kernel.config(config),
                                        {.keep = "triton"});
  EXPECT_TRUE(text);
  return text ? text->text : "";
}

void compile_all(const std::vector<Work>& work,
                 const std::function<void(const Work&, const backends::Compiled&)>& seen) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  auto run = [&] {
    for (std::size_t i = next++; i < work.size(); i = next++) {
      auto code = driver::generate(work[i].kernel->c, work[i].config);
      std::lock_guard lock(mutex);
      EXPECT_TRUE(code) << work[i].name << " " << work[i].config.dump() << "\n"
                        << code.error().message;
      if (!code) continue;
      const driver::Compilation& c = work[i].kernel->c;
      EXPECT_EQ(code->artifact.launches.size(), c.lowered->kernel.roots.size());
      const triton::Target target = *triton::target_for(c.backend->capabilities().target);
      const i64 estimate = estimated_shared_bytes(c.lowered->kernel, work[i].config, target);
      const i64 most = std::min(target.shared_bytes, estimate + kBarrierBytes);
      for (const backends::Launch& launch : code->artifact.launches) {
        EXPECT_LE(launch.shared_bytes, most) << work[i].name << " " << work[i].config.dump();
      }
      if (seen) seen(work[i], *code);
    }
  };
  auto other = std::async(std::launch::async, run);
  run();
  other.get();
}

}  // namespace peri::triton_test
