#include "types/dtype.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>

namespace peri {
namespace {

enum class Category : u8 { Bool, Integer, Float };

struct Info {
  std::string_view name;
  std::string_view torch_name;
  std::string_view alias;
  i64 size;
  Category category;
  double epsilon;
};

constexpr Info kInfos[] = {
    {"bool", "bool", "", 1, Category::Bool, 0},
    {"u8", "uint8", "", 1, Category::Integer, 0},
    {"i8", "int8", "", 1, Category::Integer, 0},
    {"i16", "int16", "short", 2, Category::Integer, 0},
    {"i32", "int32", "int", 4, Category::Integer, 0},
    {"i64", "int64", "long", 8, Category::Integer, 0},
    {"f16", "float16", "half", 2, Category::Float, 0x1p-11},
    {"bf16", "bfloat16", "", 2, Category::Float, 0x1p-8},
    {"f32", "float32", "float", 4, Category::Float, 0x1p-24},
    {"f64", "float64", "double", 8, Category::Float, 0x1p-53},
};
static_assert(std::size(kInfos) == kDtypeCount);

constexpr const Info& info(Dtype dtype) { return kInfos[static_cast<u8>(dtype)]; }

constexpr u32 kF32Infinity = 0x7f800000;
constexpr u32 kF32Magnitude = 0x7fffffff;
// Distance of the exponent biases of f32 (127) and f16 (15), in place.
constexpr u32 kBiasShift = 112U << 23;

// Drops the low `count` bits, rounding to nearest even.
constexpr u32 shift_rounded(u32 bits, u32 count) {
  const u32 odd = (bits >> count) & 1;
  return (bits + (1U << (count - 1)) - 1 + odd) >> count;
}

}  // namespace

std::string_view name_of(Dtype dtype) { return info(dtype).name; }
std::string_view torch_name_of(Dtype dtype) { return info(dtype).torch_name; }

std::optional<Dtype> parse_dtype(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const auto* found = std::ranges::find_if(kInfos, [&](const Info& info) {
    return text == info.name || text == info.torch_name || text == info.alias;
  });
  if (found == std::end(kInfos)) return std::nullopt;
  return static_cast<Dtype>(found - kInfos);
}

i64 size_of(Dtype dtype) { return info(dtype).size; }
bool is_float(Dtype dtype) { return info(dtype).category == Category::Float; }
bool is_integer(Dtype dtype) { return info(dtype).category == Category::Integer; }

Dtype promote(Dtype a, Dtype b) {
  if (a == b) return a;
  const Category ca = info(a).category, cb = info(b).category;
  if (ca != cb) return ca > cb ? a : b;
  if (is_half(a) && is_half(b)) return Dtype::F32;
  const Dtype low = std::min(a, b), high = std::max(a, b);
  return low == Dtype::U8 && high == Dtype::I8 ? Dtype::I16 : high;
}

Dtype promote_weak(Dtype tensor, Dtype scalar) {
  const Category category = info(scalar).category;
  if (category <= info(tensor).category) return tensor;
  return category == Category::Float ? Dtype::F32 : Dtype::I64;
}

Dtype compute_dtype(Dtype dtype) { return is_half(dtype) ? Dtype::F32 : dtype; }
double epsilon_of(Dtype dtype) { return info(dtype).epsilon; }

i64 real_to_integer(double value, i64 bytes) {
  const double limit = bytes == 8 ? 0x1p63 : 0x1p31;
  const double whole = std::trunc(value);
  const i64 wide = static_cast<i64>(whole >= -limit && whole < limit ? whole : -limit);
  const u64 shift = static_cast<u64>(64 - 8 * bytes);
  return static_cast<i64>(static_cast<u64>(wide) << shift) >> shift;
}

float half_to_float(u16 bits) {
  const u32 sign = u32{bits & 0x8000U} << 16;
  const u32 shifted = u32{bits & 0x7fffU} << 13;
  u32 magnitude = shifted + kBiasShift;
  if (shifted >= 0x7c00U << 13) {  // infinity or NaN
    magnitude += kBiasShift;
  } else if (shifted < 1U << 23) {  // zero or subnormal: normalised by the subtraction
    magnitude = std::bit_cast<u32>(std::bit_cast<float>(magnitude + (1U << 23)) - 0x1p-14F);
  }
  return std::bit_cast<float>(magnitude | sign);
}

u16 float_to_half(float value) {
  const u32 bits = std::bit_cast<u32>(value);
  const u32 sign = (bits >> 16) & 0x8000U;
  const u32 magnitude = bits & kF32Magnitude;
  u32 half;
  if (magnitude > kF32Infinity) {
    half = 0x7e00U | ((magnitude >> 13) & 0x3ffU);  // quiet, with the payload's upper bits
  } else if (magnitude >= 0x477ff000U) {            // 65520 and up round to infinity
    half = 0x7c00U;
  } else if (magnitude < 0x38800000U) {  // below 2^-14: adding 0.5 rounds at 2^-24
    half = std::bit_cast<u32>(std::bit_cast<float>(magnitude) + 0.5F) - std::bit_cast<u32>(0.5F);
  } else {
    half = shift_rounded(magnitude - kBiasShift, 13);
  }
  return static_cast<u16>(half | sign);
}

float bfloat_to_float(u16 bits) { return std::bit_cast<float>(u32{bits} << 16); }

u16 float_to_bfloat(float value) {
  const u32 bits = std::bit_cast<u32>(value);
  if ((bits & kF32Magnitude) > kF32Infinity) return static_cast<u16>((bits >> 16) | 0x40U);
  return static_cast<u16>(shift_rounded(bits, 16));
}

}  // namespace peri
