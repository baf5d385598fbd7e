#include "runtime/launch_plan.h"

#include <algorithm>
#include <cstring>

namespace peri::runtime {

using backends::LaunchParam;
using Kind = LaunchParam::Kind;

namespace {

i64 round_up(i64 value, i64 multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace

LaunchPlan::LaunchPlan(const backends::Launch& launch, i64 index, const ir::Kernel& kernel,
                       HostPlan& plan)
    : index_(index),
      programs_per_multiprocessor_(launch.programs_per_multiprocessor),
      scratch_bytes_(round_up(launch.scratch_bytes, std::max<i64>(launch.scratch_alignment, 1))) {
  for (const LaunchParam& param : launch.params) params_.push_back(param_of(param, kernel, plan));
  for (const backends::Launch::Limit& limit : launch.limits) {
    limits_.push_back({plan.scalar(limit.value), limit.most});
  }
  for (std::size_t d = 0; d < 3; ++d) grid_[d] = plan.scalar(launch.grid[d]);
}

LaunchPlan::Param LaunchPlan::param_of(const LaunchParam& given, const ir::Kernel& kernel,
                                       HostPlan& plan) {
  Param param{.kind = given.kind};
  bool is_map = given.kind == Kind::Map;
  param.offset = round_up(buffer_bytes_, is_map ? kTensorMapAlignment : 8);
  buffer_bytes_ = param.offset + (is_map ? kTensorMapBytes : 8);
  param.bytes = given.bytes;
  param.alignment = given.alignment;
  if (given.value) param.value = plan.scalar(given.value);
  if (given.tensor >= 0) {
    const ir::TensorParam& tensor = kernel.tensors[given.tensor];
    param.slot = tensor.slot;
    param.dtype = tensor.dtype;
    for (i64 dim : given.map.dims) {
      param.sizes.push_back(plan.scalar(tensor.sizes[dim]));
      param.strides.push_back(plan.scalar(tensor.strides[dim]));
    }
  }
  param.box = given.map.box;
  param.swizzle = given.map.swizzle;
  return param;
}

Expected<bool> LaunchPlan::fits(Scalars scalars, std::span<std::byte* const> data) const {
  for (const Limit& limit : limits_) {
    auto value = evaluate_integer(scalars[limit.value.index]);
    if (!value) return std::unexpected(value.error());
    if (*value > limit.most) return false;
  }
  for (const Param& param : params_) {
    if (param.slot < 0 || param.alignment <= 1) continue;
    if (reinterpret_cast<std::uintptr_t>(data[param.slot]) % param.alignment != 0) return false;
  }
  return true;
}

Expected<std::array<i64, 3>> LaunchPlan::grid_of(const Device& device, Scalars scalars) const {
  std::array<i64, 3> grid;
  for (std::size_t d = 0; d < 3; ++d) {
    auto count = evaluate_integer(scalars[grid_[d].index]);
    if (!count) return std::unexpected(count.error());
    grid[d] = *count;
  }
  if (programs_per_multiprocessor_ > 0) {
    i64 most = programs_per_multiprocessor_ * device.properties().multiprocessors;
    grid[0] = std::min(grid[0], most);
  }
  return grid;
}

Expected<void> LaunchPlan::run(Device& device, const DeviceCode& code, Scalars scalars,
                               std::span<std::byte* const> data, LaunchBuffers& buffers) const {
  auto grid = grid_of(device, scalars);
  if (!grid) return std::unexpected(grid.error());
  if (std::ranges::min(*grid) <= 0) return {};
  auto lines = static_cast<std::size_t>(round_up(buffer_bytes_, kTensorMapAlignment)) /
               sizeof(LaunchBuffers::Line);
  if (buffers.values.size() < lines) buffers.values.resize(lines);
  buffers.params.clear();
  std::byte* values = buffers.values.data()->bytes;
  Storage scratch;  // freed when it is queued: later work is queued behind
  for (const Param& param : params_) {
    std::byte* at = values + param.offset;
    buffers.params.push_back(at);
    if (param.kind == Kind::Scratch && scratch.data == nullptr) {
      auto made = device.allocate(scratch_bytes_ * (*grid)[0] * (*grid)[1] * (*grid)[2]);
      if (!made) return std::unexpected(made.error());
      scratch = std::move(*made);
    }
    if (param.kind == Kind::Scratch) {
      std::memcpy(at, &scratch.data, sizeof scratch.data);
    } else if (auto done = write(param, device, scalars, data, buffers); !done) {
      return done;
    }
  }
  return device.launch(code, index_, *grid, buffers.params.data());
}

Expected<void> LaunchPlan::write(const Param& param, Device& device, Scalars scalars,
                                 std::span<std::byte* const> data, LaunchBuffers& buffers) const {
  std::byte* at = buffers.values.data()->bytes + param.offset;
  if (param.kind == Kind::Map) return write_map(param, device, scalars, data, buffers);
  if (param.kind == Kind::Pointer) {
    std::memcpy(at, &data[param.slot], sizeof(std::byte*));
    return {};
  }
  if (param.kind == Kind::NoPointer) {
    std::memset(at, 0, sizeof(std::byte*));
    return {};
  }
  const ScalarValue& value = scalars[param.value.index];
  if (!value) return std::unexpected(evaluate_integer(value).error());
  if (param.kind == Kind::Integer) {  // little-endian: the low bytes come first
    std::memcpy(at, &value->integer, sizeof value->integer);
  } else if (param.bytes == 4) {
    auto real = static_cast<float>(value->as_real());
    std::memcpy(at, &real, sizeof real);
  } else {
    double real = value->as_real();
    std::memcpy(at, &real, sizeof real);
  }
  return {};
}

Expected<void> LaunchPlan::write_map(const Param& param, Device& device, Scalars scalars,
                                     std::span<std::byte* const> data,
                                     LaunchBuffers& buffers) const {
  std::vector<i64>& extents = buffers.extents;
  extents.clear();
  for (const std::vector<ScalarId>* ids : {&param.sizes, &param.strides}) {
    for (ScalarId id : *ids) {
      auto extent = evaluate_integer(scalars[id.index]);
      if (!extent) return std::unexpected(extent.error());
      extents.push_back(*extent);
    }
  }
  std::size_t rank = param.sizes.size();
  std::span<const i64> all(extents);
  TensorMapRequest request{.address = data[param.slot],
                           .dtype = param.dtype,
                           .sizes = all.first(rank),
                           .strides = all.subspan(rank),
                           .box = param.box,
                           .swizzle = param.swizzle};
  return device.encode(request, buffers.values.data()->bytes + param.offset);
}

}  // namespace peri::runtime
