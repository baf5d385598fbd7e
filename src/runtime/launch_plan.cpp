#include "runtime/launch_plan.h"

#include <algorithm>
#include <cstring>

#include "base/bug.h"
#include "base/hash.h"
#include "base/unique_id.h"

namespace peri::runtime {

using backends::LaunchParam;
using Kind = LaunchParam::Kind;

namespace {

i64 round_up(i64 value, i64 multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace

// --- tensor maps ---

TensorMapCache::Set& TensorMapCache::set_of(const Key& key) {
  if (sets_.empty()) sets_.resize(kSets);
  u64 hash = hash_combine(key.plan, reinterpret_cast<std::uintptr_t>(key.address));
  return sets_[hash_combine(hash, static_cast<u64>(key.param)) % kSets];
}

TensorMapCache::Place TensorMapCache::find(const Key& key) {
  Set& set = set_of(key);
  for (std::size_t way = 0; way < set.ways.size(); ++way) {
    if (set.ways[way].key != key) continue;
    set.older = 1 - way;
    return {true, set.ways[way].map.bytes};
  }
  Entry& entry = set.ways[set.older];
  entry.key = key;
  set.older = 1 - set.older;
  return {false, entry.map.bytes};
}

void TensorMapCache::forget(const Key& key) {
  for (Entry& entry : set_of(key).ways) {
    if (entry.key == key) entry.key = {};
  }
}

// --- plans ---

LaunchPlan::LaunchPlan(const backends::Launch& launch, i64 index, const ir::Kernel& kernel,
                       HostPlan& plan)
    : id_(unique_id()),
      index_(index),
      programs_per_multiprocessor_(launch.programs_per_multiprocessor),
      reserved_multiprocessors_(launch.reserved_multiprocessors),
      scratch_bytes_(round_up(launch.scratch_bytes, std::max<i64>(launch.scratch_alignment, 1))) {
  for (const LaunchParam& param : launch.params) params_.push_back(param_of(param, kernel, plan));
  for (const backends::Launch::Limit& limit : launch.limits) {
    ScalarId value = plan.scalar(limit.value);
    ScalarValue known =
        plan.scalars().is_constant(value) ? plan.scalars().constant(value) : ScalarValue();
    if (!known || known->integer > limit.most) limits_.push_back({value, limit.most});
  }
  for (std::size_t d = 0; d < 3; ++d) grid_[d] = plan.scalar(launch.grid[d]);
  constants_.resize(static_cast<std::size_t>(round_up(buffer_bytes_, kTensorMapAlignment)) /
                    sizeof(LaunchBuffers::Line));
  for (i64 p = 0; p < static_cast<i64>(params_.size()); ++p) {
    if (!write_constant(params_[p], plan.scalars())) varying_.push_back(p);
  }
}

LaunchPlan::Param LaunchPlan::param_of(const LaunchParam& given, const ir::Kernel& kernel,
                                       HostPlan& plan) {
  Param param;
  param.kind = given.kind;
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
  BUG_IF(param.sizes.size() > kMostMapRank, "a tensor map of rank {}", param.sizes.size());
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
    i64 free = device.properties().multiprocessors - reserved_multiprocessors_;
    grid[0] = std::min(grid[0], programs_per_multiprocessor_ * std::max<i64>(free, 1));
  }
  return grid;
}

// The value of a parameter of host scalars, in place at `at`: little-endian, the low bytes first.
void LaunchPlan::write_scalar(const Param& param, const SymValue& value, std::byte* at) {
  if (param.kind == Kind::Integer) {
    std::memcpy(at, &value.integer, sizeof value.integer);
  } else if (param.bytes == 4) {
    auto real = static_cast<float>(value.as_real());
    std::memcpy(at, &real, sizeof real);
  } else {
    double real = value.as_real();
    std::memcpy(at, &real, sizeof real);
  }
}

// False for parameters that depend on the call. (`constants_` holds zeros: no pointers.)
bool LaunchPlan::write_constant(const Param& param, const ScalarProgram& scalars) {
  if (param.kind == Kind::NoPointer) return true;
  bool is_scalar = param.kind == Kind::Integer || param.kind == Kind::Real;
  if (!is_scalar || !scalars.is_constant(param.value)) return false;
  ScalarValue value = scalars.constant(param.value);
  if (!value) return false;  // reported by the call
  write_scalar(param, *value, constants_.data()->bytes + param.offset);
  return true;
}

// Makes the buffers this plan's, if another's launch came between.
void LaunchPlan::fill(LaunchBuffers& buffers) const {
  if (buffers.plan == id_) return;
  buffers.plan = 0;
  if (buffers.values.size() < constants_.size()) buffers.values.resize(constants_.size());
  std::ranges::copy(constants_, buffers.values.begin());
  buffers.params.clear();
  for (const Param& param : params_) {
    buffers.params.push_back(buffers.values.data()->bytes + param.offset);
  }
  buffers.plan = id_;
}

Expected<void> LaunchPlan::run(Device& device, const DeviceCode& code, Scalars scalars,
                               std::span<std::byte* const> data, LaunchBuffers& buffers) const {
  auto grid = grid_of(device, scalars);
  if (!grid) return std::unexpected(grid.error());
  if (std::ranges::min(*grid) <= 0) return {};
  fill(buffers);
  std::byte* values = buffers.values.data()->bytes;
  Storage scratch;  // freed when it is queued: later work is queued behind
  for (i64 p : varying_) {
    const Param& param = params_[p];
    std::byte* at = values + param.offset;
    if (param.kind == Kind::Pointer) {
      std::memcpy(at, &data[param.slot], sizeof(std::byte*));
    } else if (param.kind == Kind::Map) {
      if (auto done = write_map(p, device, scalars, data, buffers); !done) return done;
    } else if (param.kind == Kind::Scratch) {
      if (scratch.data == nullptr) {
        auto made = device.allocate(scratch_bytes_ * (*grid)[0] * (*grid)[1] * (*grid)[2]);
        if (!made) return std::unexpected(made.error());
        scratch = std::move(*made);
      }
      std::memcpy(at, &scratch.data, sizeof scratch.data);
    } else {
      const ScalarValue& value = scalars[param.value.index];
      if (!value) return std::unexpected(evaluate_integer(value).error());
      write_scalar(param, *value, at);
    }
  }
  return device.launch(code, index_, *grid, buffers.params.data());
}

Expected<void> LaunchPlan::write_map(i64 index, Device& device, Scalars scalars,
                                     std::span<std::byte* const> data,
                                     LaunchBuffers& buffers) const {
  const Param& param = params_[index];
  auto rank = param.sizes.size();
  TensorMapCache::Key key{
      .plan = id_, .param = index, .address = data[param.slot], .rank = static_cast<i64>(rank)};
  i64* extent = key.extents.data();
  for (const std::vector<ScalarId>* ids : {&param.sizes, &param.strides}) {
    for (ScalarId id : *ids) {
      const ScalarValue& value = scalars[id.index];
      if (!value) return std::unexpected(evaluate_integer(value).error());
      *extent++ = value->integer;
    }
  }
  TensorMapCache::Place place = buffers.maps.find(key);
  if (!place.is_known) {
    std::span<const i64> all(key.extents);
    TensorMapRequest request{.address = data[param.slot],
                             .dtype = param.dtype,
                             .sizes = all.first(rank),
                             .strides = all.subspan(rank, rank),
                             .box = param.box,
                             .swizzle = param.swizzle};
    if (auto made = device.encode(request, place.map); !made) {
      buffers.maps.forget(key);
      return made;
    }
  }
  std::memcpy(buffers.values.data()->bytes + param.offset, place.map, kTensorMapBytes);
  return {};
}

}  // namespace peri::runtime
