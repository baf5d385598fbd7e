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
#include "runtime/allocator.h"
#include "types/sym_ops.h"

namespace peri::runtime {

using lower::HostOp;
using Slot = lower::Slot;

namespace {

constexpr i64 kScratchPlaces = 8;                     // a page apart
std::atomic<i64> scratch_place = kScratchPlaces - 1;  // where an overrun hits what lies behind

// Memory of one thread that cells work in; grows and stays.
std::byte* thread_scratch(i64 bytes) {
  thread_local Storage scratch;
  bytes += (kScratchPlaces - 1) * Allocator::kPage;
  if (bytes > scratch.bytes) {
    scratch = {};
    Expected<Storage> grown = runtime::allocate(bytes);
    if (!grown) return nullptr;
    scratch = std::move(*grown);
  }
  return scratch.data + scratch_place.load(std::memory_order_relaxed) * Allocator::kPage;
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
  ThreadPool::global().run(cells, threads, body, code.schedule, code.cells_per_turn);
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

Expected<void> fill(Device& device, std::byte* data, i64 bytes, Dtype dtype, SymValue value) {
  std::byte element[8] = {};
  auto size = static_cast<std::size_t>(size_of(dtype));
  encode(dtype, value, element);
  return device.fill(data, bytes / size_of(dtype), std::span(element, size));
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

// Copies between tensors of equal sizes.
void copy_tensor(const Tensor& target, Tensor source) {
  if (target.dtype != source.dtype) source = convert(source, target.dtype);
  copy_elements(target.data(), source.data(), target, source, 0, size_of(target.dtype));
}

// On a device; what its copy engine cannot do goes by way of the host.
Expected<void> copy_on_device(const Tensor& target, const Tensor& source, Device& device) {
  bool plain = target.dtype == source.dtype && target.is_contiguous() && source.is_contiguous();
  if (plain) {
    return device.copy(target.data(), source.data(), target.numel() * size_of(target.dtype));
  }
  auto here = to_host(target), from = to_host(source);
  if (!here || !from) return std::unexpected(here ? from.error() : here.error());
  copy_tensor(*here, *from);
  return device.copy_in(target.storage.data, here->storage.data, target.storage.bytes);
}

std::unexpected<Error> wrong_device(const std::string& name, const Tensor& tensor) {
  bool here = tensor.storage.device == nullptr;
  return fail("wrong-device",
              fmt::format("argument `{}` is in the memory of {}", name,
                          here ? "the host" : tensor.storage.device->properties().name),
              "copy it to the device that the kernel is compiled for");
}

}  // namespace

void move_scratch() {
  const i64 place = scratch_place.load(std::memory_order_relaxed);
  scratch_place.store((place + 1) % kScratchPlaces, std::memory_order_relaxed);
}

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

Expected<Result> map_tensors(const Result& result,
                             FunctionRef<Expected<Tensor>(const Tensor&)> map) {
  Result mapped = result;
  if (result.kind == Result::Kind::Tensor) {
    auto tensor = map(result.tensor);
    if (!tensor) return std::unexpected(tensor.error());
    mapped.tensor = std::move(*tensor);
  }
  for (Result& item : mapped.items) {
    auto below = map_tensors(item, map);
    if (!below) return below;
    item = std::move(*below);
  }
  return mapped;
}

Executable::Executable(std::shared_ptr<const lower::Lowered> lowered,
                       std::vector<ScalarValue> known, backends::Artifact artifact)
    : lowered_(std::move(lowered)),
      program_(lowered_->host),
      artifact_(std::move(artifact)),
      plan_(program_, known),
      known_(std::move(known)) {
  for (const backends::RootCode& code : artifact_.roots) plan_root(code);
  for (i64 s = 0; s < static_cast<i64>(program_.slots.size()); ++s) {
    if (program_.slots[s].kind == check::HostTensor::Kind::Argument) argument_slots_.push_back(s);
  }
  plan_result(program_.result);
}

Expected<std::shared_ptr<const Executable>> Executable::on_device(
    std::shared_ptr<const lower::Lowered> lowered, std::vector<ScalarValue> known,
    backends::Artifact artifact, Placement placement) {
  auto made =
      std::make_shared<Executable>(std::move(lowered), std::move(known), std::move(artifact));
  auto code = placement.device->load(made->artifact_);
  if (!code) return std::unexpected(code.error());
  made->code_ = std::move(*code);
  made->placement_ = std::move(placement);
  const auto& launches = made->artifact_.launches;
  for (std::size_t i = 0; i < launches.size(); ++i) {
    made->launches_.emplace_back(launches[i], static_cast<i64>(i), made->lowered_->kernel,
                                 made->plan_);
  }
  made->artifact_.images.clear();  // loaded
  return made;
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
  thread_local ScalarStorage storage;
  return plan_.guards_hold(leaves, storage);
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
    if (tensor->storage.device != placement_.device.get()) {
      return wrong_device(program_.slots[s].name, *tensor);
    }
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
  Device* device = placement_.device.get();
  auto storage = device == nullptr ? runtime::allocate(bytes) : allocate_on(*device, bytes);
  if (!storage) return std::unexpected(storage.error());
  frame.storages[op.slot] = std::move(*storage);
  std::byte* data = frame.data[op.slot] = frame.storages[op.slot].data;
  if (ScalarId value = plan_.op_scalar(index)) {
    const ScalarValue& number = frame.scalars[value.index];
    if (!number) return std::unexpected(evaluate_integer(number).error());
    if (device == nullptr) {
      fill(data, bytes, dtype, *number);
    } else if (auto done = fill(*device, data, bytes, dtype, *number); !done) {
      return done;
    }
  }
  return bind_views(op.slot, frame);
}

Expected<void> Executable::launch_on_device(i64 index, CallFrame& frame) const {
  const LaunchPlan& plan = launches_[index];
  auto fits = plan.fits(frame.scalars, frame.data);
  if (!fits) return std::unexpected(fits.error());
  if (*fits) return plan.run(*placement_.device, *code_, frame.scalars, frame.data, frame.launch);
  auto other = general();
  return other ? (*other)->launch_generally(index, frame) : std::unexpected(other.error());
}

// With the frame of another executable of the same program.
Expected<void> Executable::launch_generally(i64 index, CallFrame& frame) const {
  ScalarStorage storage;
  Scalars scalars = plan_.scalars().evaluate(frame.leaves, storage);
  auto fits = launches_[index].fits(scalars, frame.data);
  if (!fits) return std::unexpected(fits.error());
  if (*fits) {
    return launches_[index].run(*placement_.device, *code_, scalars, frame.data, frame.launch);
  }
  return fail("unsupported-size", "a size of these arguments is larger than the code is made for",
              "let the size be part of the specialisation: `static_shapes=True`");
}

Expected<const Executable*> Executable::general() const {
  std::lock_guard lock(mutex_);
  if (general_) return general_.get();
  if (!placement_.general) {
    return fail("unsupported-size", "a size or an address of these arguments is not provided for");
  }
  auto artifact = placement_.general();
  if (!artifact) return std::unexpected(artifact.error());
  auto made = on_device(lowered_, known_, std::move(*artifact), {placement_.device, {}});
  if (!made) return std::unexpected(made.error());
  general_ = std::move(*made);
  return general_.get();
}

Expected<void> Executable::launch(i64 index, CallFrame& frame) const {
  if (code_) return launch_on_device(index, frame);
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
  if (Device* device = placement_.device.get()) return copy_on_device(*target, *source, *device);
  copy_tensor(*target, *source);
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
