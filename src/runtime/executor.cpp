#include "runtime/executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <new>

#include "base/bug.h"
#include "base/thread_pool.h"
#include "ir/access_error.h"
#include "types/sym_ops.h"

namespace peri::runtime {

using lower::HostOp;
using Slot = lower::Slot;

namespace {

// Memory of one thread that cells work in; grows and stays.
std::byte* thread_scratch(i64 bytes) {
  thread_local Storage scratch;
  if (bytes > scratch.bytes) {
    scratch = {};
    Expected<Storage> grown = runtime::allocate(bytes);
    if (!grown) return nullptr;
    scratch = std::move(*grown);
  }
  return scratch.data;
}

// Reused between the calls of a thread: a call allocates only what it returns.
CallFrame& thread_frame() {
  thread_local CallFrame frame;
  return frame;
}

// The fault of the first cells that had one.
class FirstFault {
 public:
  void note(i64 begin, const backends::AccessFault& fault) {
    std::lock_guard lock(mutex_);
    if (fault_.tensor >= 0 && begin_ <= begin) return;
    begin_ = begin;
    fault_ = fault;
  }
  const backends::AccessFault& get() const { return fault_; }

 private:
  std::mutex mutex_;
  i64 begin_ = 0;
  backends::AccessFault fault_;
};

Expected<backends::AccessFault> run_cells(const backends::RootCode& code, i64 cells,
                                          i64 scratch_bytes, const CallFrame& frame) {
  i64 threads = code.max_threads;
  if (threads == 0 || (frame.max_threads > 0 && frame.max_threads < threads)) {
    threads = frame.max_threads;
  }
  std::atomic<bool> out_of_memory = false;
  FirstFault first;
  auto body = [&](i64 begin, i64 end, i64) {
    std::byte* scratch = thread_scratch(scratch_bytes);
    if (scratch_bytes > 0 && scratch == nullptr) {
      out_of_memory.store(true, std::memory_order_relaxed);
      return;
    }
    if (!code.checks_accesses) return code.run(frame.arguments.data(), begin, end, scratch);
    auto* fault = new (scratch) backends::AccessFault;
    code.run(frame.arguments.data(), begin, end, scratch);
    if (fault->tensor >= 0) first.note(begin, *fault);
  };
  ThreadPool::global().run(cells, threads, body,
                           code.schedule, code.cells_per_turn);
  if (!out_of_memory) return first.get();
  return fail("out-of-memory",
              fmt::format("no {} bytes of scratch memory for a thread", scratch_bytes));
}

// One element of `dtype` as bytes.
void encode(Dtype dtype, SymValue value, std::byte* bytes) {
  Tensor scalar{.dtype = dtype, .storage = {bytes, size_of(dtype)}};
  if (is_float(dtype)) {
    set_real(scalar, 0, value.as_real());
  } else {
    set_integer(scalar, 0, convert_value(value, SymType::Int).integer);
  }
}

void fill(std::byte* data, i64 bytes, Dtype dtype, SymValue value) {
  std::byte element[8] = {};
  i64 size = size_of(dtype);
  encode(dtype, value, element);
  if (std::all_of(element, element + size, [&](std::byte b) { return b == element[0]; })) {
    std::memset(data, static_cast<int>(element[0]), bytes);
    return;
  }
  for (i64 at = 0; at < bytes; at += size) std::memcpy(data + at, element, size);
}

// Copies `sizes[d]` elements along each dimension from d on.
void copy_elements(std::byte* to, const std::byte* from, const Tensor& target, const Tensor& source,
                   i64 d, i64 size) {
  if (d == target.rank()) {
    std::memcpy(to, from, size);
    return;
  }
  i64 to_step = target.strides[d] * size, from_step = source.strides[d] * size;
  if (d + 1 == target.rank() && to_step == size && from_step == size) {
    std::memcpy(to, from, target.sizes[d] * size);
    return;
  }
  for (i64 i = 0; i < target.sizes[d]; ++i) {
    copy_elements(to + i * to_step, from + i * from_step, target, source, d + 1, size);
  }
}

}  // namespace

std::vector<const Result*> flatten(const Result& result) {
  if (result.kind != Result::Kind::Sequence) {
    return result.kind == Result::Kind::None ? std::vector<const Result*>() : std::vector{&result};
  }
  std::vector<const Result*> leaves;
  for (const Result& item : result.items) {
    auto below = flatten(item);
    leaves.insert(leaves.end(), below.begin(), below.end());
  }
  return leaves;
}

Executable::Executable(std::shared_ptr<const lower::Lowered> lowered,
                       std::vector<ScalarValue> known, backends::Artifact artifact)
    : lowered_(std::move(lowered)),
      program_(lowered_->host),
      artifact_(std::move(artifact)),
      plan_(program_, std::move(known)) {
  for (const backends::RootCode& code : artifact_.roots) plan_root(code);
  for (i64 s = 0; s < static_cast<i64>(program_.slots.size()); ++s) {
    if (program_.slots[s].kind == check::HostTensor::Kind::Argument) argument_slots_.push_back(s);
  }
  plan_result(program_.result);
}

void Executable::plan_root(const backends::RootCode& code) {
  RootPlan root;
  for (const ir::TensorParam& tensor : lowered_->kernel.tensors) root.slots.push_back(tensor.slot);
  for (Sym sym : code.scalars) {
    root.scalars.push_back(plan_.scalar(sym));
    root.types.push_back(sym.type());
  }
  root.cells = plan_.scalar(code.cells);
  root.scratch_bytes = plan_.scalar(code.scratch_bytes);
  roots_.push_back(std::move(root));
}

void Executable::plan_result(const check::ReturnValue& value) {
  if (value.scalar) plan_.scalar(value.scalar);
  for (const check::ReturnValue& item : value.items) plan_result(item);
}

bool Executable::accepts(std::span<const Leaf> leaves) const {
  std::vector<ScalarValue> storage;
  return plan_.guards_hold(plan_.scalars().evaluate(leaves, storage));
}

Expected<Result> Executable::call(std::span<const Leaf> leaves, i64 max_threads) const {
  CallFrame& frame = thread_frame();
  frame.leaves = leaves;
  frame.scalars = plan_.scalars().evaluate(leaves, frame.scalar_storage);
  frame.max_threads = max_threads;
  frame.data.assign(program_.slots.size(), nullptr);
  frame.storages.resize(program_.slots.size());
  Expected<void> done = bind_arguments(frame);
  for (i64 op = 0; done && op < static_cast<i64>(program_.ops.size()); ++op) done = run(op, frame);
  Expected<Result> result =
      done ? result_of(program_.result, frame) : std::unexpected(std::move(done.error()));
  frame.storages.clear();
  return result;
}

Expected<void> Executable::run(i64 index, CallFrame& frame) const {
  const HostOp& op = program_.ops[index];
  switch (op.kind) {
    case HostOp::Kind::Alloc:
      return allocate(index, frame);
    case HostOp::Kind::Launch:
      return launch(op.root, frame);
    case HostOp::Kind::Copy:
      return copy(op, frame);
    case HostOp::Kind::Check:
      break;
  }
  const ScalarValue& condition = frame.scalars[plan_.op_scalar(index).index];
  if (condition && condition->integer != 0) return {};
  return fail(op.code, op.text);
}

Expected<void> Executable::bind_arguments(CallFrame& frame) const {
  for (i64 s : argument_slots_) {
    const Tensor* tensor = frame.leaves[program_.slots[s].leaf].tensor;
    BUG_IF(tensor == nullptr, "argument `{}` is no tensor", program_.slots[s].name);
    frame.data[s] = tensor->data();
    if (auto bound = bind_views(s, frame); !bound) return bound;
  }
  return {};
}

Expected<void> Executable::bind_views(i64 root, CallFrame& frame) const {
  for (i64 view : plan_.views(root)) {
    auto offset = evaluate_offset(plan_.slot(view), frame.scalars);
    if (!offset) return std::unexpected(offset.error());
    frame.data[view] = frame.data[root] + *offset * size_of(program_.slots[view].dtype);
  }
  return {};
}

Expected<void> Executable::allocate(i64 index, CallFrame& frame) const {
  const HostOp& op = program_.ops[index];
  const SlotPlan& slot = plan_.slot(op.slot);
  Dtype dtype = program_.slots[op.slot].dtype;
  i64 bytes = slot.bytes;
  if (bytes < 0) {
    auto sizes = evaluate(slot.sizes, frame.scalars);
    if (!sizes) return std::unexpected(sizes.error());
    auto strides = evaluate(slot.strides, frame.scalars);
    if (!strides) return std::unexpected(strides.error());
    auto needed = storage_bytes(dtype, *sizes, *strides);
    if (!needed) return std::unexpected(needed.error());
    bytes = *needed;
  }
  auto storage = runtime::allocate(bytes);
  if (!storage) return std::unexpected(storage.error());
  frame.storages[op.slot] = std::move(*storage);
  frame.data[op.slot] = frame.storages[op.slot].data;
  if (ScalarId value = plan_.op_scalar(index)) {
    const ScalarValue& number = frame.scalars[value.index];
    if (!number) return std::unexpected(evaluate_integer(number).error());
    fill(frame.data[op.slot], bytes, dtype, *number);
  }
  return bind_views(op.slot, frame);
}

Expected<void> Executable::launch(i64 index, CallFrame& frame) const {
  const backends::RootCode& code = artifact_.roots[index];
  const RootPlan& root = roots_[index];
  frame.arguments.resize(root.slots.size() + root.scalars.size());
  backends::Argument* argument = frame.arguments.data();
  for (i64 slot : root.slots) (argument++)->pointer = frame.data[slot];
  for (std::size_t i = 0; i < root.scalars.size(); ++i, ++argument) {
    const ScalarValue& value = frame.scalars[root.scalars[i].index];
    if (!value) return std::unexpected(evaluate_integer(value).error());
    if (root.types[i] == SymType::Float) {
      argument->real = value->as_real();
    } else {
      argument->integer = value->integer;
    }
  }
  auto cells = evaluate_integer(frame.scalars[root.cells.index]);
  auto scratch = evaluate_integer(frame.scalars[root.scratch_bytes.index]);
  if (!cells || !scratch) return std::unexpected(cells ? scratch.error() : cells.error());
  auto fault = run_cells(code, *cells, *scratch, frame);
  if (!fault) return std::unexpected(fault.error());
  if (fault->tensor < 0) return {};
  return ir::index_out_of_range(lowered_->kernel.tensors[fault->tensor].name, fault->dim,
                                fault->index, fault->size);
}

Expected<void> Executable::copy(const HostOp& op, const CallFrame& frame) const {
  auto target = tensor_of(op.slot, frame);
  auto source = tensor_of(op.source, frame);
  if (!target || !source) return std::unexpected(target ? source.error() : target.error());
  if (target->dtype != source->dtype) *source = convert(*source, target->dtype);
  copy_elements(target->data(), source->data(), *target, *source, 0, size_of(target->dtype));
  return {};
}

Expected<Tensor> Executable::tensor_of(i64 index, const CallFrame& frame) const {
  const Slot& slot = program_.slots[index];
  const SlotPlan& plan = plan_.slot(index);
  if (slot.kind == check::HostTensor::Kind::Argument) return *frame.leaves[slot.leaf].tensor;
  auto sizes = evaluate(plan.sizes, frame.scalars);
  auto strides = evaluate(plan.strides, frame.scalars);
  if (!sizes || !strides) return std::unexpected(sizes ? strides.error() : sizes.error());
  const Slot& root = program_.slots[plan.root];
  const Storage& storage = root.kind == check::HostTensor::Kind::Argument
                               ? frame.leaves[root.leaf].tensor->storage
                               : frame.storages[plan.root];
  i64 offset = (frame.data[index] - storage.data) / size_of(slot.dtype);
  return Tensor{slot.dtype, std::move(*sizes), std::move(*strides), storage, offset};
}

Expected<Result> Executable::result_of(const check::ReturnValue& value,
                                       const CallFrame& frame) const {
  using Kind = check::ReturnValue::Kind;
  Result result;
  if (value.kind == Kind::Tensor) {
    auto tensor = tensor_of(value.tensor.index, frame);
    if (!tensor) return std::unexpected(tensor.error());
    result.kind = Result::Kind::Tensor;
    result.tensor = std::move(*tensor);
  } else if (value.kind == Kind::Scalar) {
    const ScalarValue& scalar = frame.scalars[plan_.find(value.scalar).index];
    if (!scalar) return std::unexpected(evaluate_integer(scalar).error());
    result.kind = Result::Kind::Scalar;
    result.scalar = *scalar;
  } else if (value.kind == Kind::Sequence) {
    result.kind = Result::Kind::Sequence;
    for (const check::ReturnValue& item : value.items) {
      auto below = result_of(item, frame);
      if (!below) return below;
      result.items.push_back(std::move(*below));
    }
  }
  return result;
}

}  // namespace peri::runtime
