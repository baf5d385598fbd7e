#include "passes/compare_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <random>

#include "analysis/memory_effects.h"
#include "interp/interp.h"
#include "interp/tile.h"

namespace peri::passes {

namespace {

constexpr i64 kMaxElements = i64{1} << 22;

using Random = std::mt19937_64;

double random_real(Random& random) {
  constexpr double kSpecial[] = {0.0, -0.0, std::numeric_limits<double>::infinity(),
                                 -std::numeric_limits<double>::infinity(),
                                 std::numeric_limits<double>::quiet_NaN()};
  if (random() % 32 == 0) return kSpecial[random() % std::size(kSpecial)];
  return std::uniform_real_distribution<double>(-2, 2)(random);
}

// Tensors of one kernel and what they point into, by storage.
class Memory {
 public:
  Memory(const ir::Kernel& kernel, const Trial& trial) : kernel_(kernel), trial_(trial) {
    environment_.options.exact = trial.exact;
    environment_.symbols = trial.symbols;
    if (!environment_.symbols) {
      environment_.symbols = [&kernel](SymbolId id) { return kernel.syms->symbol(id).hint; };
    }
  }

  // False if sizes are unknown or too large.
  bool allocate() {
    std::map<i64, i64> counts;
    for (size_t i = 0; i < kernel_.tensors.size(); ++i) {
      if (!add_view(kernel_.tensors[i])) return false;
      i64& count = counts[storage(i)];
      count = std::max(count, elements(environment_.tensors[i]));
    }
    for (size_t i = 0; i < kernel_.tensors.size(); ++i) {
      interp::View& view = environment_.tensors[i];
      interp::Buffer& buffer = buffers_[storage(i)];
      fill(buffer, view.dtype, counts[storage(i)]);
      view.reals = buffer.reals;
      view.integers = buffer.integers;
    }
    return true;
  }

  Expected<void> run() {
    for (size_t root = 0; root < kernel_.roots.size(); ++root) {
      auto done = interp::run(kernel_, static_cast<i64>(root), environment_);
      if (!done) return done;
    }
    return {};
  }

  const std::vector<interp::View>& tensors() const { return environment_.tensors; }

 private:
  i64 storage(size_t tensor) const {
    return analysis::storage_of(kernel_, ir::TensorId(static_cast<i64>(tensor)));
  }

  std::optional<std::vector<i64>> values(const std::vector<Sym>& syms) const {
    std::vector<i64> values;
    for (Sym sym : syms) {
      auto value = kernel_.syms->evaluate(sym, environment_.symbols);
      if (!value || value->integer < 0 || value->integer > kMaxElements) return std::nullopt;
      values.push_back(value->integer);
    }
    return values;
  }

  bool add_view(const ir::TensorParam& tensor) {
    auto sizes = values(tensor.sizes), strides = values(tensor.strides);
    if (!sizes || !strides) return false;
    environment_.tensors.push_back({tensor.dtype, {}, {}, nullptr, 0, *sizes, *strides});
    return elements(environment_.tensors.back()) <= kMaxElements;
  }

  static i64 elements(const interp::View& view) {
    i64 count = 1;
    for (size_t d = 0; d < view.sizes.size(); ++d) {
      if (view.sizes[d] > 0) count += (view.sizes[d] - 1) * view.strides[d];
      if (count > kMaxElements) break;
    }
    return count;
  }

  void fill(interp::Buffer& buffer, Dtype dtype, i64 count) const {
    Random random(trial_.seed);
    if (is_float(dtype)) {
      if (!buffer.reals.empty()) return;
      for (i64 i = 0; i < count; ++i) {
        buffer.reals.push_back(interp::round_to(dtype, random_real(random)));
      }
    } else if (buffer.integers.empty()) {
      for (i64 i = 0; i < count; ++i) {
        buffer.integers.push_back(static_cast<i64>(random() % (dtype == Dtype::Bool ? 2 : 4)));
      }
    }
  }

  const ir::Kernel& kernel_;
  const Trial& trial_;
  std::map<i64, interp::Buffer> buffers_;
  interp::Environment environment_;
};

bool equal(double a, double b) {
  return std::isnan(a) ? std::isnan(b) : std::bit_cast<u64>(a) == std::bit_cast<u64>(b);
}

std::string difference(const interp::View& a, const interp::View& b, const std::string& name) {
  for (size_t i = 0; i < a.reals.size(); ++i) {
    if (!equal(a.reals[i], b.reals[i])) {
      return fmt::format("`{}` element {}: {} became {}", name, i, a.reals[i], b.reals[i]);
    }
  }
  for (size_t i = 0; i < a.integers.size(); ++i) {
    if (a.integers[i] != b.integers[i]) {
      return fmt::format("`{}` element {}: {} became {}", name, i, a.integers[i], b.integers[i]);
    }
  }
  return "";
}

}  // namespace

std::string compare_runs(const ir::Kernel& before, const ir::Kernel& after, const Trial& trial,
                         bool* ran) {
  Memory a(before, trial), b(after, trial);
  bool succeeded = a.allocate() && a.run().has_value();
  if (ran) *ran = succeeded;
  if (!succeeded || !b.allocate()) return "";
  if (auto done = b.run(); !done) return "fails: " + done.error().message;
  for (size_t i = 0; i < before.tensors.size(); ++i) {
    std::string text = difference(a.tensors()[i], b.tensors()[i], before.tensors[i].name);
    if (!text.empty()) return text;
  }
  return "";
}

}  // namespace peri::passes
