#include "runtime/tensor.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/bug.h"
#include "runtime/allocator.h"
#include "types/elements.h"
#include "runtime/guard.h"

namespace peri::runtime {
namespace {

// Bytes of a contiguous tensor, with sizes of 0 taken as 1 so that strides fit as well.
std::optional<i64> checked_bytes(Dtype dtype, const std::vector<i64>& sizes) {
  i64 bytes = size_of(dtype);
  for (i64 size : sizes) {
    if (size < 0 || __builtin_mul_overflow(bytes, std::max<i64>(size, 1), &bytes)) {
      return std::nullopt;
    }
  }
  return bytes;
}

std::string human_bytes(i64 bytes) {
  constexpr const char* kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return fmt::format(fmt::runtime(unit == 0 ? "{:.0f} {}" : "{:.1f} {}"), value, kUnits[unit]);
}

// Position in the storage, counted from data(), of the element with this logical index.
i64 position_of(const Tensor& tensor, i64 linear) {
  i64 position = 0;
  for (std::size_t d = tensor.sizes.size(); d-- > 0;) {
    position += linear % tensor.sizes[d] * tensor.strides[d];
    linear /= tensor.sizes[d];
  }
  return position;
}

template <class Raw>
Raw& element(const Tensor& tensor, i64 linear) {
  return reinterpret_cast<Raw*>(tensor.data())[position_of(tensor, linear)];
}

template <class Value>
Value get(const Tensor& tensor, i64 linear) {
  return visit_dtype(tensor.dtype, [&]<class E>(E) {
    const auto wide = E::load(element<typename E::Raw>(tensor, linear));
    using Wanted =
        std::conditional_t<std::is_same_v<Value, double>, Element<Dtype::F64>, Element<Dtype::I64>>;
    return Value{Wanted::store(wide)};
  });
}

template <class Value>
void set(const Tensor& tensor, i64 linear, Value value) {
  visit_dtype(tensor.dtype,
              [&]<class E>(E) { element<typename E::Raw>(tensor, linear) = E::store(value); });
}

// Converts `count` elements, `stride` apart, to a dense row.
using ConvertRow = void (*)(const std::byte* from, i64 stride, std::byte* to, i64 count);

template <class From, class To>
void convert_row(const std::byte* from, i64 stride, std::byte* to, i64 count) {
  const auto* source = reinterpret_cast<const typename From::Raw*>(from);
  auto* target = reinterpret_cast<typename To::Raw*>(to);
  if constexpr (std::is_same_v<From, To>) {
    if (stride == 1) {
      std::memcpy(target, source, static_cast<std::size_t>(count) * sizeof(*target));
    } else {
      for (i64 i = 0; i < count; ++i) target[i] = source[i * stride];
    }
  } else {
    for (i64 i = 0; i < count; ++i) target[i] = To::store(From::load(source[i * stride]));
  }
}

ConvertRow row_converter(Dtype from, Dtype to) {
  return visit_dtype(from, [&]<class From>(From) {
    return visit_dtype(to, [&]<class To>(To) -> ConvertRow { return convert_row<From, To>; });
  });
}

// Calls visit(position) for the start of each row (run of the last dimension) in logical order.
template <class Visit>
void for_each_row(const Tensor& tensor, Visit visit) {
  const i64 outer = tensor.rank() - 1;
  std::vector<i64> index(static_cast<std::size_t>(outer), 0);
  i64 position = 0;
  while (true) {
    visit(position);
    i64 d = outer - 1;
    for (; d >= 0; --d) {
      const auto axis = static_cast<std::size_t>(d);
      position += tensor.strides[axis];
      if (++index[axis] < tensor.sizes[axis]) break;
      position -= tensor.strides[axis] * tensor.sizes[axis];
      index[axis] = 0;
    }
    if (d < 0) return;
  }
}

}  // namespace

i64 Tensor::numel() const {
  if (std::ranges::find(sizes, 0) != sizes.end()) return 0;
  i64 count = 1;
  for (i64 size : sizes) count *= size;
  return count;
}

bool Tensor::is_contiguous() const {
  i64 expected = 1;
  for (std::size_t d = sizes.size(); d-- > 0;) {
    if (sizes[d] == 0) return true;
    if (sizes[d] != 1 && strides[d] != expected) return false;
    expected *= sizes[d];
  }
  return true;
}

std::string Tensor::describe() const {
  std::string text = fmt::format("{}[{}]", name_of(dtype), fmt::join(sizes, ", "));
  if (!is_contiguous()) text += fmt::format(" strides [{}]", fmt::join(strides, ", "));
  return text;
}

std::vector<i64> contiguous_strides(const std::vector<i64>& sizes) {
  std::vector<i64> strides(sizes.size());
  i64 stride = 1;
  for (std::size_t d = sizes.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= std::max<i64>(sizes[d], 1);
  }
  return strides;
}

Expected<Storage> allocate(i64 bytes) {
  Storage storage;
  if (GuardedAllocations::active()) {
    storage = GuardedAllocations::allocate(bytes);
  } else if (std::byte* data = host_allocator().allocate(bytes)) {
    storage = {data, bytes, std::shared_ptr<void>(data, [bytes](void* block) {
                 host_allocator().deallocate(static_cast<std::byte*>(block), bytes);
               })};
  }
  if (storage.data != nullptr) return storage;
  return fail("out-of-memory", fmt::format("cannot allocate {}", human_bytes(bytes)),
              "use smaller tensors or free some");
}

Expected<Tensor> try_empty(Dtype dtype, std::vector<i64> sizes) {
  const auto bytes = checked_bytes(dtype, sizes);
  if (!bytes) {
    return fail("tensor-size", fmt::format("no tensor can have the shape {}[{}]", name_of(dtype),
                                           fmt::join(sizes, ", ")));
  }
  Expected<Storage> storage = allocate(*bytes);
  if (!storage) {
    storage.error().message += fmt::format(" for {}[{}]", name_of(dtype), fmt::join(sizes, ", "));
    return std::unexpected(std::move(storage).error());
  }
  Expected<Tensor> tensor;
  tensor->dtype = dtype;
  tensor->strides = contiguous_strides(sizes);
  tensor->sizes = std::move(sizes);
  tensor->storage = *std::move(storage);
  return tensor;
}

Tensor empty(Dtype dtype, std::vector<i64> sizes) {
  Expected<Tensor> tensor = try_empty(dtype, std::move(sizes));
  BUG_IF(!tensor, "{}", tensor.error().message);
  return *std::move(tensor);
}

Tensor zeros(Dtype dtype, std::vector<i64> sizes) {
  Tensor tensor = empty(dtype, std::move(sizes));
  std::memset(tensor.data(), 0, static_cast<std::size_t>(tensor.storage.bytes));
  return tensor;
}

double get_real(const Tensor& tensor, i64 linear) { return get<double>(tensor, linear); }
i64 get_integer(const Tensor& tensor, i64 linear) { return get<i64>(tensor, linear); }
void set_real(const Tensor& tensor, i64 linear, double value) { set(tensor, linear, value); }
void set_integer(const Tensor& tensor, i64 linear, i64 value) { set(tensor, linear, value); }

Tensor convert(const Tensor& tensor, Dtype dtype) {
  Tensor result = empty(dtype, tensor.sizes);
  const ConvertRow convert_row = row_converter(tensor.dtype, dtype);
  const i64 count = tensor.numel();
  if (tensor.is_contiguous()) {
    if (count > 0) convert_row(tensor.data(), 1, result.data(), count);
    return result;
  }
  const i64 row = tensor.sizes.back(), stride = tensor.strides.back();
  std::byte* to = result.data();
  for_each_row(tensor, [&](i64 position) {
    convert_row(tensor.data() + position * size_of(tensor.dtype), stride, to, row);
    to += row * size_of(dtype);
  });
  return result;
}

}  // namespace peri::runtime
