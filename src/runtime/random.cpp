#include "runtime/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <span>
#include <utility>

#include "base/bug.h"
#include "base/hash.h"
#include "base/thread_pool.h"
#include "types/elements.h"

// Only operations that IEEE 754 rounds exactly, and never fused ones: all machines agree.
#pragma STDC FP_CONTRACT OFF

namespace peri::runtime {
namespace {

constexpr i64 kBlock = 512;  // values made at a time; even, since normals come in pairs

// Fills a contiguous tensor: make(first, values) gives the elements from `first` on.
template <class Value>
void generate(const Tensor& tensor, FunctionRef<void(i64 first, std::span<Value>)> make) {
  const i64 count = tensor.numel();
  const auto store = [&]<class E>(E) {
    auto* data = reinterpret_cast<typename E::Raw*>(tensor.data());
    return [=](i64 first, std::span<const Value> values) {
      for (std::size_t i = 0; i < values.size(); ++i)
        data[first + static_cast<i64>(i)] = E::store(values[i]);
    };
  };
  const auto blocks = [&](i64 begin, i64 end, i64) {
    visit_dtype(tensor.dtype, [&](auto element) {
      const auto store_block = store(element);
      Value values[kBlock];
      for (i64 block = begin; block < end; ++block) {
        const i64 first = block * kBlock;
        const std::span<Value> part(values,
                                    static_cast<std::size_t>(std::min(kBlock, count - first)));
        make(first, part);
        store_block(first, part);
      }
    });
  };
  ThreadPool::global().run((count + kBlock - 1) / kBlock, 0, blocks);
}

// Random bits by position: a counter through a mixing function.
u64 bits_at(u64 stream, i64 index) { return hash_combine(stream, static_cast<u64>(index)); }

// In (0, 1), never an end.
double open_unit(u32 bits) {
  return static_cast<double>(static_cast<i32>(bits ^ 0x80000000U)) * 0x1p-32 + (0.5 + 0x1p-33);
}

// Natural logarithm of a normal positive number, to 1e-11: ln(2^e m) with m around 1, by the series
// of 2 artanh((m - 1) / (m + 1)).
double log_of(double x) {
  constexpr u64 kSqrtHalf = 0x3fe6a09e667f3bcd;
  const u64 bits = std::bit_cast<u64>(x);
  const u64 shifted = bits - kSqrtHalf;
  const auto exponent = static_cast<i32>(static_cast<i64>(shifted) >> 52);
  const double m = std::bit_cast<double>((shifted & ((u64{1} << 52) - 1)) + kSqrtHalf);
  const double s = (m - 1) / (m + 1), t = s * s;
  double sum = 1.0 / 13;
  for (double odd : {11.0, 9.0, 7.0, 5.0, 3.0, 1.0}) sum = sum * t + 1 / odd;
  return exponent * std::numbers::ln2 + 2 * s * sum;
}

// cos and sin of 2*pi*turn, 0 <= turn < 1, to 1e-10: Taylor series around the nearest quarter turn.
std::pair<double, double> cos_sin_of(double turn) {
  const i32 quarter = static_cast<i32>(turn * 4 + 0.5);
  const double a = (turn - quarter * 0.25) * (2 * std::numbers::pi), t = a * a;
  double c = 1, s = 1;
  for (double k : {12.0, 10.0, 8.0, 6.0, 4.0, 2.0}) {
    c = 1 - c * (t * (1 / (k * (k - 1))));
    s = 1 - s * (t * (1 / (k * (k + 1))));
  }
  s *= a;
  const double x = (quarter & 1) != 0 ? s : c, y = (quarter & 1) != 0 ? c : s;
  return {((quarter + 1) & 2) != 0 ? -x : x, (quarter & 2) != 0 ? -y : y};
}

// Box and Muller's pair of normals.
std::pair<double, double> normals_of(u64 bits) {
  const double radius = std::sqrt(-2 * log_of(open_unit(static_cast<u32>(bits >> 32))));
  const auto [c, s] = cos_sin_of(open_unit(static_cast<u32>(bits)));
  return {radius * c, radius * s};
}

int significand_bits(Dtype dtype) {
  switch (dtype) {
    case Dtype::F16:
      return 11;
    case Dtype::BF16:
      return 8;
    case Dtype::F32:
      return 24;
    default:
      return 53;
  }
}

}  // namespace

Tensor randn(Dtype dtype, std::vector<i64> sizes, u64 seed) {
  Tensor tensor = empty(dtype, std::move(sizes));
  const u64 stream = hash_combine(seed, 1);
  generate<double>(tensor, [&](i64 first, std::span<double> values) {
    double pairs[kBlock];
    for (i64 i = 0; i < kBlock; i += 2) {
      std::tie(pairs[i], pairs[i + 1]) = normals_of(bits_at(stream, first + i));
    }
    std::copy_n(pairs, values.size(), values.data());
  });
  return tensor;
}

Tensor rand(Dtype dtype, std::vector<i64> sizes, u64 seed) {
  Tensor tensor = empty(dtype, std::move(sizes));
  const u64 stream = hash_combine(seed, 2);
  const int bits = significand_bits(dtype);
  const double step = std::ldexp(1.0, -bits);
  generate<double>(tensor, [&](i64 first, std::span<double> values) {
    for (double& value : values) {
      value = static_cast<double>(static_cast<i64>(bits_at(stream, first++) >> (64 - bits))) * step;
    }
  });
  return tensor;
}

Tensor randint(Dtype dtype, std::vector<i64> sizes, i64 low, i64 high, u64 seed) {
  BUG_IF(low >= high, "no integers from {} to {}", low, high);
  Tensor tensor = empty(dtype, std::move(sizes));
  const u64 stream = hash_combine(seed, 3);
  const u64 count = static_cast<u64>(high) - static_cast<u64>(low);
  generate<i64>(tensor, [&](i64 first, std::span<i64> values) {
    __extension__ using Wide = unsigned __int128;
    for (i64& value : values) {
      const auto drawn = static_cast<u64>(Wide{bits_at(stream, first++)} * count >> 64);
      value = static_cast<i64>(static_cast<u64>(low) + drawn);
    }
  });
  return tensor;
}

Tensor arange(Dtype dtype, i64 count, i64 start, i64 step) {
  Tensor tensor = empty(dtype, {count});
  generate<i64>(tensor, [&](i64 first, std::span<i64> values) {
    for (i64& value : values) {
      value = static_cast<i64>(static_cast<u64>(start) +
                               static_cast<u64>(first++) * static_cast<u64>(step));
    }
  });
  return tensor;
}

Tensor full(Dtype dtype, std::vector<i64> sizes, double value) {
  Tensor tensor = empty(dtype, std::move(sizes));
  generate<double>(tensor,
                   [&](i64, std::span<double> values) { std::ranges::fill(values, value); });
  return tensor;
}

Tensor random_input(Dtype dtype, std::vector<i64> sizes, u64 seed) {
  if (is_float(dtype)) return randn(dtype, std::move(sizes), seed);
  const bool is_bool = dtype == Dtype::Bool, is_unsigned = dtype == Dtype::U8;
  const i64 low = is_bool || is_unsigned ? 0 : -8;
  return randint(dtype, std::move(sizes), low, is_bool ? 2 : is_unsigned ? 16 : 8, seed);
}

}  // namespace peri::runtime
