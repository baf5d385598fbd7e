#include "driver/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <mutex>
#include <set>

#include "base/bug.h"
#include "base/thread_pool.h"
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
    tensors_.resize(program_.slots.size());
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

  // All of a storage; widened, if calls write to it: tensors that share it share the copy.
  Tensor elements_of(const Tensor& tensor) {
    if (!written_.contains(tensor.storage.data)) return tensor;
    auto [it, is_new] = shared_.try_emplace({tensor.storage.data, tensor.dtype});
    if (is_new) {
      const i64 count = tensor.storage.bytes / size_of(tensor.dtype);
      const Tensor all{tensor.dtype, {count}, {1}, tensor.storage, 0};
      it->second = runtime::convert(all, interp::widened(tensor.dtype));
    }
    return it->second;
  }

  Expected<void> bind_arguments() {
    for (i64 leaf : written_leaves(lowered_)) written_.insert(leaves_[leaf].tensor->storage.data);
    for (i64 s = 0; s < static_cast<i64>(program_.slots.size()); ++s) {
      if (program_.slots[s].kind != check::HostTensor::Kind::Argument) continue;
      const Tensor& tensor = *leaves_[program_.slots[s].leaf].tensor;
      auto bound = bind(s, elements_of(tensor), tensor.offset);
      if (!bound) return bound;
    }
    return {};
  }

  // Binds slot `root` and its views to the elements of `all`.
  Expected<void> bind(i64 root, const Tensor& all, i64 first) {
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
      tensors_[s] = {all.dtype, std::move(*sizes), std::move(*strides), all.storage,
                     first + *offset};
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
    auto all = runtime::try_empty(interp::widened(dtype), {count});
    if (!all) return std::unexpected(all.error());
    if (is_float(dtype)) {
      std::ranges::fill(elements<double>(*all), real);
    } else {
      std::ranges::fill(elements<i64>(*all), integer);
    }
    return bind(s, *all, 0);
  }

  template <class T>
  static std::span<T> elements(const Tensor& tensor) {
    return {reinterpret_cast<T*>(tensor.storage.data),
            static_cast<std::size_t>(tensor.storage.bytes) / sizeof(T)};
  }

  // As the interpreter sees it.
  interp::View view(i64 slot) const {
    const Tensor& tensor = tensors_[slot];
    interp::View view{
        program_.slots[slot].dtype, {}, {}, nullptr, tensor.offset, tensor.sizes, tensor.strides};
    if (tensor.dtype != interp::widened(tensor.dtype)) {
      view.stored = tensor.storage.data;
    } else if (tensor.dtype == Dtype::F64) {
      view.reals = elements<double>(tensor);
    } else {
      view.integers = elements<i64>(tensor);
    }
    return view;
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
        copy(tensors_[op.slot], tensors_[op.source]);
        return {};
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
      environment.tensors.push_back(view(tensor.slot));
    }
    environment.symbols = [this](SymbolId id) { return symbol(id); };
    environment.options.exact = options_.exact;
    auto cells = interp::cell_count(lowered_.kernel, root, environment);
    if (!cells) return std::unexpected(cells.error());
    if (is_last) reference_.cells = reference_.cells_run = *cells;
    if (is_last && options_.budget > 0) return run_sample(root, *cells, environment);
    environment.before_cell = [this] { return stop_when_late(); };
    return run_all(root, *cells, environment);
  }

  // Cells side by side: none reads what another writes. The first that fails is told.
  Expected<void> run_all(i64 root, i64 cells, const interp::Environment& environment) const {
    std::mutex mutex;
    i64 first = cells;  // of a range that failed
    Error error;
    auto run = [&](i64 begin, i64 end, i64) {
      auto done = interp::run_cells(lowered_.kernel, root, environment, begin, end);
      if (done) return;
      std::lock_guard lock(mutex);
      if (begin >= first) return;
      first = begin;
      error = done.error();
    };
    ThreadPool::global().run(cells, 0, run);
    if (first < cells) return std::unexpected(error);
    return {};
  }

  Expected<void> stop_when_late() const {
    if (options_.limit <= 0 || seconds() <= options_.limit) return {};
    return fail("reference-too-slow", fmt::format("it takes more than {:.2g} s", options_.limit));
  }

  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  // Cells in a random order until the budget is used up: the first and last always run.
  Expected<void> run_sample(i64 root, i64 cells, interp::Environment& environment) {
    const double begin = seconds();
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
      if (reference_.cells_run >= 2 && seconds() - begin > options_.budget) break;
      auto done = interp::run_cells(lowered_.kernel, root, environment, cell, cell + 1);
      if (!done) return done;
      ++reference_.cells_run;
    }
    return {};
  }

  static void copy(const Tensor& to, const Tensor& from) {
    const Tensor source = runtime::convert(from, to.dtype);  // they may overlap
    if (to.is_contiguous()) {
      std::copy_n(source.data(), source.storage.bytes, to.data());
      return;
    }
    for (i64 i = 0, count = to.numel(); i < count; ++i) {
      if (to.dtype == Dtype::F64) {
        runtime::set_real(to, i, runtime::get_real(source, i));
      } else {
        runtime::set_integer(to, i, runtime::get_integer(source, i));
      }
    }
  }

  // --- results ---

  // Nothing writes to them any more.
  static Tensor wide_result(const Tensor& tensor) {
    const Dtype dtype = interp::widened(tensor.dtype);
    const bool is_one = tensor.dtype == dtype && tensor.is_contiguous();
    return is_one ? tensor : runtime::convert(tensor, dtype);
  }

  Expected<Result> result_of(const check::ReturnValue& value) {
    using Kind = check::ReturnValue::Kind;
    Result result;
    if (value.kind == Kind::Tensor) {
      result.kind = Result::Kind::Tensor;
      result.tensor = wide_result(tensors_[value.tensor.index]);
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
      reference_.arguments[slot.leaf] = wide_result(tensors_[s]);
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
  std::set<const std::byte*> written_;  // storages of arguments
  std::map<std::pair<const std::byte*, Dtype>, Tensor> shared_;
  std::vector<Tensor> tensors_;  // by slot: of wide elements, or of arguments that stay as they are
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
