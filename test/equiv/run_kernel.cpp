#include "run_kernel.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include "interp/interp.h"
#include "runtime/tensor.h"

namespace peri::equiv {

namespace {

using runtime::Tensor;

// A kernel's tensors in both forms, with equal contents.
struct Inputs {
  std::vector<Tensor> tensors;
  std::vector<std::unique_ptr<interp::Buffer>> buffers;
  std::vector<interp::View> views;
};

std::vector<i64> constants(const std::vector<Sym>& syms) {
  std::vector<i64> values;
  for (Sym s : syms) values.push_back(s.as_int().value_or(1));
  return values;
}

// Elements that a strided tensor spans.
i64 span_of(const std::vector<i64>& sizes, const std::vector<i64>& strides) {
  i64 last = 0;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 0) return 0;
    last += (sizes[d] - 1) * strides[d];
  }
  return last + 1;
}

Inputs make_inputs(const ir::Kernel& kernel, u64 seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Inputs inputs;
  for (const ir::TensorParam& param : kernel.tensors) {
    std::vector<i64> sizes = constants(param.sizes), strides = constants(param.strides);
    i64 span = std::max<i64>(span_of(sizes, strides), 1);
    Tensor flat = runtime::empty(param.dtype, {span});
    auto buffer = std::make_unique<interp::Buffer>();
    for (i64 i = 0; i < span; ++i) {
      if (is_float(param.dtype)) {
        runtime::set_real(flat, i, normal(random));
        buffer->reals.push_back(runtime::get_real(flat, i));
      } else {
        runtime::set_integer(flat, i,
                             static_cast<i64>(random() % (param.dtype == Dtype::Bool ? 2 : 4)));
        buffer->integers.push_back(runtime::get_integer(flat, i));
      }
    }
    inputs.views.push_back(
        {param.dtype, buffer->reals, buffer->integers, nullptr, 0, sizes, strides});
    flat.sizes = sizes;
    flat.strides = strides;
    inputs.tensors.push_back(flat);
    inputs.buffers.push_back(std::move(buffer));
  }
  return inputs;
}

// Values of the config's symbols.
std::vector<SymValue> symbol_values(const ir::Kernel& kernel, const space::Config& config) {
  std::vector<SymValue> values;
  for (i64 s = 0; s < kernel.syms->symbol_count(); ++s) {
    values.push_back(kernel.syms->symbol(SymbolId(s)).hint);
  }
  i64 next = 0;
  for (size_t b = 0; b < kernel.blocks.size(); ++b) {
    Sym size = kernel.blocks[b].size;
    if (size.kind() != SymKind::Symbol) continue;
    const Symbol& symbol = kernel.syms->symbol(size->symbol);
    if (symbol.origin != SymbolOrigin::Block || symbol.block != BlockId(static_cast<i64>(b)))
      continue;
    values[size->symbol.index] = SymValue::of(config.at("block_sizes")[next++].get<i64>());
  }
  return values;
}

void run_compiled(const ir::Kernel& kernel, const backends::RootCode& root,
                  std::span<const Tensor> tensors, const SymTable::Lookup& lookup) {
  std::vector<backends::Argument> arguments;
  for (const Tensor& tensor : tensors) {
    backends::Argument argument;
    argument.pointer = tensor.data();
    arguments.push_back(argument);
  }
  for (Sym scalar : root.scalars) {
    backends::Argument argument;
    SymValue value = *kernel.syms->evaluate(scalar, lookup);
    if (value.type == SymType::Float)
      argument.real = value.real;
    else
      argument.integer = value.integer;
    arguments.push_back(argument);
  }
  i64 cells = kernel.syms->evaluate(root.cells, lookup)->integer;
  i64 bytes = kernel.syms->evaluate(root.scratch_bytes, lookup)->integer;
  Tensor scratch = runtime::empty(Dtype::U8, {bytes + 64});
  std::memset(scratch.data(), 0xff, static_cast<size_t>(bytes));  // NaNs: nobody may count on zeros
  root.run(arguments.data(), 0, cells, scratch.data());
}

// The coarsest rounding that any value of the kernel goes through.
double coarsest_epsilon(const ir::Kernel& kernel) {
  double epsilon = 0;
  for (const ir::Value& value : kernel.values) {
    epsilon = std::max(epsilon, epsilon_of(value.type.dtype));
  }
  return epsilon;
}

bool close(double got, double want, double epsilon, double scale) {
  if (std::isnan(got) || std::isnan(want)) return std::isnan(got) && std::isnan(want);
  if (std::isinf(got) || std::isinf(want)) return got == want;
  double steps = epsilon > 1e-4 ? 8 : 64;  // of f16 and bf16 few roundings follow one another
  return std::abs(got - want) <= epsilon * steps * std::max({std::abs(want), scale, 1.0});
}

std::string difference(const ir::Kernel& kernel, const Inputs& inputs) {
  double epsilon = coarsest_epsilon(kernel);
  for (size_t t = 0; t < kernel.tensors.size(); ++t) {
    const Tensor& tensor = inputs.tensors[t];
    const interp::Buffer& buffer = *inputs.buffers[t];
    Tensor flat = tensor;
    flat.sizes = {span_of(tensor.sizes, tensor.strides)};
    flat.strides = {1};
    double scale = 0;
    for (double v : buffer.reals) scale = std::isfinite(v) ? std::max(scale, std::abs(v)) : scale;
    for (i64 i = 0; i < flat.sizes[0]; ++i) {
      bool real = is_float(tensor.dtype);
      double got =
          real ? runtime::get_real(flat, i) : static_cast<double>(runtime::get_integer(flat, i));
      double want = real ? buffer.reals[i] : static_cast<double>(buffer.integers[i]);
      if (real ? close(got, want, epsilon, scale) : got == want) continue;
      return fmt::format("{} at {}: compiled {}, interpreted {}", kernel.tensors[t].name, i, got,
                         want);
    }
  }
  return "";
}

}  // namespace

void run_compiled(const ir::Kernel& kernel, const backends::RootCode& root,
                  std::span<const runtime::Tensor> tensors) {
  run_compiled(kernel, root, tensors, [](SymbolId) { return std::nullopt; });
}

std::string compare(const ir::Kernel& kernel, const backends::Backend& backend,
                    const space::Config& config, u64 seed) {
  Inputs inputs = make_inputs(kernel, seed);
  std::vector<SymValue> values = symbol_values(kernel, config);
  SymTable::Lookup lookup = [&](SymbolId id) -> std::optional<SymValue> {
    return values[id.index];
  };
  interp::Environment environment{inputs.views, lookup, {}};
  auto compiled = backend.compile(kernel, config, {});
  if (!compiled) return "compile: " + compiled.error().message;
  for (i64 r = 0; r < static_cast<i64>(kernel.roots.size()); ++r) {
    auto done = interp::run(kernel, r, environment);
    if (!done) return "interpreter: " + done.error().message;
    run_compiled(kernel, compiled->artifact.roots[r], inputs.tensors, lookup);
  }
  return difference(kernel, inputs);
}

}  // namespace peri::equiv
