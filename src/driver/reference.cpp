#include "driver/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <deque>
#include <set>

#include "base/bug.h"
#include "runtime/host_plan.h"
#include "space/knob.h"

namespace peri::driver {

using lower::HostOp;
using runtime::Leaf;
using runtime::Result;
using runtime::ScalarValue;
using runtime::Tensor;

namespace {

constexpr u64 kUnwrittenBits = 0x7FF8'5045'5249'0001;  // a quiet NaN that no arithmetic makes
constexpr i64 kUnwrittenInteger = INT64_MIN + 0x5045'5249;

class ReferenceRun {
 public:
  ReferenceRun(const lower::Lowered& lowered, std::vector<ScalarValue> known,
               std::span<const Leaf> leaves, const ReferenceOptions& options)
      : lowered_(lowered),
        program_(lowered.host),
        plan_(program_, known),
        known_(std::move(known)),
        leaves_(leaves),
        options_(options) {}

  Expected<Reference> run() {
    add_returned_scalars(program_.result);
    scalars_ = plan_.scalars().evaluate(leaves_, storage_);
    views_.resize(program_.slots.size());
    if (auto bound = bind_arguments(); !bound) return std::unexpected(bound.error());
    for (i64 op = 0; op < static_cast<i64>(program_.ops.size()); ++op) {
      if (auto done = run(op); !done) return std::unexpected(done.error());
    }
    Expected<Result> result = result_of(program_.result);
    if (!result) return std::unexpected(result.error());
    reference_.result = std::move(*result);
    collect_arguments();
    return std::move(reference_);
  }

 private:
  void add_returned_scalars(const check::ReturnValue& value) {
    if (value.scalar) plan_.scalar(value.scalar);
    for (const check::ReturnValue& item : value.items) add_returned_scalars(item);
  }

  // --- tensors ---

  // The buffer of a storage, widened; tensors that share it share the buffer.
  interp::Buffer* buffer_of(const Tensor& tensor) {
    auto [it, is_new] = shared_.try_emplace({tensor.storage.data, tensor.dtype});
    if (!is_new) return it->second;
    i64 count = tensor.storage.bytes / size_of(tensor.dtype);
    Tensor all{tensor.dtype, {count}, {1}, tensor.storage, 0};
    interp::Buffer& buffer = buffers_.emplace_back();
    bool real = is_float(tensor.dtype);
    Tensor wide = runtime::convert(all, real ? Dtype::F64 : Dtype::I64);
    if (real) {
      const auto* from = reinterpret_cast<const double*>(wide.data());
      buffer.reals.assign(from, from + count);
    } else {
      const auto* from = reinterpret_cast<const i64*>(wide.data());
      buffer.integers.assign(from, from + count);
    }
    it->second = &buffer;
    return it->second;
  }

  Expected<void> bind_arguments() {
    for (i64 s = 0; s < static_cast<i64>(program_.slots.size()); ++s) {
      if (program_.slots[s].kind != check::HostTensor::Kind::Argument) continue;
      const Tensor& tensor = *leaves_[program_.slots[s].leaf].tensor;
      auto bound = bind(s, buffer_of(tensor), tensor.offset);
      if (!bound) return bound;
    }
    return {};
  }

  // Binds slot `root` and its views to a buffer.
  Expected<void> bind(i64 root, interp::Buffer* buffer, i64 first) {
    std::vector<i64> slots{root};
    slots.insert(slots.end(), plan_.views(root).begin(), plan_.views(root).end());
    for (i64 s : slots) {
      const runtime::SlotPlan& slot = plan_.slot(s);
      auto sizes = evaluate(slot.sizes, scalars_);
      auto strides = evaluate(slot.strides, scalars_);
      auto offset = evaluate_offset(slot, scalars_);
      if (!sizes || !strides || !offset) {
        return std::unexpected(!sizes     ? sizes.error()
                               : !strides ? strides.error()
                                          : offset.error());
      }
      views_[s] = {program_.slots[s].dtype, buffer, first + *offset, std::move(*sizes),
                   std::move(*strides)};
    }
    return {};
  }

  Expected<void> allocate(i64 index) {
    i64 s = program_.ops[index].slot;
    const runtime::SlotPlan& slot = plan_.slot(s);
    Dtype dtype = program_.slots[s].dtype;
    auto sizes = evaluate(slot.sizes, scalars_);
    auto strides = evaluate(slot.strides, scalars_);
    if (!sizes || !strides) return std::unexpected(sizes ? strides.error() : sizes.error());
    auto bytes = runtime::storage_bytes(dtype, *sizes, *strides);
    if (!bytes) return std::unexpected(bytes.error());
    i64 count = *bytes / size_of(dtype);
    double real = std::bit_cast<double>(kUnwrittenBits);
    i64 integer = kUnwrittenInteger;
    if (runtime::ScalarId fill = plan_.op_scalar(index)) {
      const ScalarValue& value = scalars_[fill.index];
      if (!value) return std::unexpected(runtime::evaluate_integer(value).error());
      real = value->as_real();
      integer = value->type == SymType::Float ? static_cast<i64>(value->real) : value->integer;
    }
    interp::Buffer& buffer = buffers_.emplace_back();
    if (is_float(dtype)) {
      buffer.reals.assign(count, real);
    } else {
      buffer.integers.assign(count, integer);
    }
    return bind(s, &buffer, 0);
  }

  // --- ops ---

  Expected<void> run(i64 index) {
    const HostOp& op = program_.ops[index];
    switch (op.kind) {
      case HostOp::Kind::Alloc:
        return allocate(index);
      case HostOp::Kind::Launch:
        return launch(op.root, index == last_launch());
      case HostOp::Kind::Copy:
        return copy(views_[op.slot], views_[op.source]);
      case HostOp::Kind::Check:
        break;
    }
    const ScalarValue& condition = scalars_[plan_.op_scalar(index).index];
    if (condition && condition->integer != 0) return {};
    return fail(op.code, op.text);
  }

  i64 last_launch() const {
    i64 last = -1;
    for (i64 i = 0; i < static_cast<i64>(program_.ops.size()); ++i) {
      if (program_.ops[i].kind == HostOp::Kind::Launch) last = i;
    }
    return last;
  }

  std::optional<SymValue> symbol(SymbolId id) const {
    if (known_[id.index]) return known_[id.index];
    const Symbol& symbol = program_.syms->symbol(id);
    if (symbol.leaf < 0 || symbol.leaf >= static_cast<i64>(leaves_.size())) return std::nullopt;
    const Leaf& leaf = leaves_[symbol.leaf];
    if (symbol.origin == SymbolOrigin::ArgValue) return leaf.scalar;
    if (leaf.tensor == nullptr) return std::nullopt;
    const auto& list =
        symbol.origin == SymbolOrigin::ArgSize ? leaf.tensor->sizes : leaf.tensor->strides;
    return SymValue::of(list[symbol.dim]);
  }

  Expected<void> launch(i64 root, bool is_last) {
    interp::Environment environment;
    for (const ir::TensorParam& tensor : lowered_.kernel.tensors) {
      environment.tensors.push_back(views_[tensor.slot]);
    }
    environment.symbols = [this](SymbolId id) { return symbol(id); };
    environment.options.exact = options_.exact;
    auto cells = interp::cell_count(lowered_.kernel, root, environment);
    if (!cells) return std::unexpected(cells.error());
    if (is_last) reference_.cells = reference_.cells_run = *cells;
    if (is_last && options_.budget > 0) return run_sample(root, *cells, environment);
    if (options_.limit <= 0) {
      return interp::run_cells(lowered_.kernel, root, environment, 0, *cells);
    }
    for (i64 cell = 0; cell < *cells; ++cell) {
      if (seconds() > options_.limit) {
        return fail("reference-too-slow",
                    fmt::format("it takes more than {:.2g} s", options_.limit));
      }
      auto done = interp::run_cells(lowered_.kernel, root, environment, cell, cell + 1);
      if (!done) return done;
    }
    return {};
  }

  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  // Cells in a random order until the budget is used up: the first and last always run.
  Expected<void> run_sample(i64 root, i64 cells, interp::Environment& environment) {
    using Clock = std::chrono::steady_clock;
    Clock::time_point start = Clock::now();
    auto is_over = [&] {
      return std::chrono::duration<double>(Clock::now() - start).count() > options_.budget;
    };
    constexpr i64 kMaxSample = 1 << 20;
    space::Rng rng(options_.seed);
    std::vector<i64> order;
    for (i64 i = 0; i < std::min(cells, kMaxSample); ++i) order.push_back(i);
    if (cells <= kMaxSample) {
      for (i64 i = cells - 1; i > 0; --i) std::swap(order[i], order[space::pick(rng, i + 1)]);
      std::swap(order[0], *std::ranges::find(order, 0));
      if (cells > 1) std::swap(order[1], *std::ranges::find(order, cells - 1));
    } else {
      for (i64& cell : order) cell = space::pick(rng, cells);
    }
    reference_.cells_run = 0;
    for (i64 cell : order) {
      if (reference_.cells_run >= 2 && is_over()) break;
      auto done = interp::run_cells(lowered_.kernel, root, environment, cell, cell + 1);
      if (!done) return done;
      ++reference_.cells_run;
    }
    return {};
  }

  Expected<void> copy(const interp::View& to, const interp::View& from) {
    i64 count = 1;
    for (i64 size : to.sizes) count *= size;
    for (i64 i = 0; i < count; ++i) {
      bool real = is_float(from.dtype);
      double value = real ? from.buffer->reals[position(from, i)] : 0;
      i64 integer = real ? static_cast<i64>(value) : from.buffer->integers[position(from, i)];
      if (is_float(to.dtype)) {
        to.buffer->reals[position(to, i)] = real ? value : static_cast<double>(integer);
      } else {
        to.buffer->integers[position(to, i)] = integer;
      }
    }
    return {};
  }

  static i64 position(const interp::View& view, i64 linear) {
    i64 at = view.offset;
    for (i64 d = static_cast<i64>(view.sizes.size()) - 1; d >= 0; --d) {
      at += linear % view.sizes[d] * view.strides[d];
      linear /= view.sizes[d];
    }
    return at;
  }

  // --- results ---

  static Tensor tensor_of(const interp::View& view) {
    bool real = is_float(view.dtype);
    Tensor tensor = runtime::empty(real ? Dtype::F64 : Dtype::I64, view.sizes);
    i64 count = tensor.numel();
    for (i64 i = 0; i < count; ++i) {
      std::byte* to = tensor.data() + i * 8;
      if (real) {
        std::memcpy(to, &view.buffer->reals[position(view, i)], 8);
      } else {
        std::memcpy(to, &view.buffer->integers[position(view, i)], 8);
      }
    }
    return tensor;
  }

  Expected<Result> result_of(const check::ReturnValue& value) {
    using Kind = check::ReturnValue::Kind;
    Result result;
    if (value.kind == Kind::Tensor) {
      result.kind = Result::Kind::Tensor;
      result.tensor = tensor_of(views_[value.tensor.index]);
    } else if (value.kind == Kind::Scalar) {
      const ScalarValue& scalar = scalars_[plan_.find(value.scalar).index];
      if (!scalar) return std::unexpected(runtime::evaluate_integer(scalar).error());
      result.kind = Result::Kind::Scalar;
      result.scalar = *scalar;
    } else if (value.kind == Kind::Sequence) {
      result.kind = Result::Kind::Sequence;
      for (const check::ReturnValue& item : value.items) {
        auto below = result_of(item);
        if (!below) return below;
        result.items.push_back(std::move(*below));
      }
    }
    return result;
  }

  void collect_arguments() {
    reference_.arguments.resize(leaves_.size());
    const std::set<i64> written = written_leaves(lowered_);
    for (i64 s = 0; s < static_cast<i64>(program_.slots.size()); ++s) {
      const lower::Slot& slot = program_.slots[s];
      if (slot.kind != check::HostTensor::Kind::Argument || !written.contains(slot.leaf)) continue;
      reference_.arguments[slot.leaf] = tensor_of(views_[s]);
    }
  }

  const lower::Lowered& lowered_;
  const lower::HostProgram& program_;
  runtime::HostPlan plan_;
  std::vector<ScalarValue> known_;
  std::span<const Leaf> leaves_;
  ReferenceOptions options_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  runtime::ScalarStorage storage_;
  runtime::Scalars scalars_;
  std::deque<interp::Buffer> buffers_;
  std::map<std::pair<const std::byte*, Dtype>, interp::Buffer*> shared_;
  std::vector<interp::View> views_;  // by slot
  Reference reference_;
};

}  // namespace

std::set<i64> written_leaves(const lower::Lowered& lowered) {
  std::set<i64> leaves;
  auto add = [&](i64 slot) {
    while (lowered.host.slots[slot].kind == check::HostTensor::Kind::View) {
      slot = lowered.host.slots[slot].base;
    }
    if (lowered.host.slots[slot].leaf >= 0) leaves.insert(lowered.host.slots[slot].leaf);
  };
  for (const ir::Op& op : lowered.kernel.ops) {
    if (op.code == ir::OpCode::Store) add(lowered.kernel[op.attrs.tensor].slot);
  }
  for (const HostOp& op : lowered.host.ops) {
    if (op.kind == HostOp::Kind::Copy) add(op.slot);
  }
  return leaves;
}

bool is_unwritten(double value) { return std::bit_cast<u64>(value) == kUnwrittenBits; }
bool is_unwritten(i64 value) { return value == kUnwrittenInteger; }

Expected<Reference> run_reference(const lower::Lowered& lowered, std::vector<ScalarValue> known,
                                  std::span<const Leaf> leaves, const ReferenceOptions& options) {
  return ReferenceRun(lowered, std::move(known), leaves, options).run();
}

}  // namespace peri::driver
