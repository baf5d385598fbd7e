// Element types, their names, sizes and torch's promotion rules.
#pragma once

#include <optional>
#include <string_view>

#include "base/ids.h"

namespace peri {

enum class Dtype : u8 { Bool, U8, I8, I16, I32, I64, F16, BF16, F32, F64 };
inline constexpr i64 kDtypeCount = 10;

// "f32", "bool": the short name used in our texts.
std::string_view name_of(Dtype dtype);
// "float32", "bool": torch's name without "torch.".
std::string_view torch_name_of(Dtype dtype);
// Accepts the short name, torch's name and torch's aliases ("float", "half", "double", "int",
// "long").
std::optional<Dtype> parse_dtype(std::string_view text);

i64 size_of(Dtype dtype);  // bytes
bool is_float(Dtype dtype);
bool is_integer(Dtype dtype);  // not bool
inline bool is_half(Dtype dtype) { return dtype == Dtype::F16 || dtype == Dtype::BF16; }

// torch.promote_types(a, b).
Dtype promote(Dtype a, Dtype b);
// Result of an operation of a tensor of `tensor` with a weak Python scalar of `scalar` (Bool, I64
// or F64): the scalar only matters if its category (bool < integer < float) is higher; then the
// default dtype of that category (I64, F32) is used.
Dtype promote_weak(Dtype tensor, Dtype scalar);
// The type in which arithmetic on `dtype` is carried out: F32 for halves, itself otherwise.
Dtype compute_dtype(Dtype dtype);
// Relative rounding unit: 2^-24 for F32, 2^-53, 2^-8 (BF16), 2^-11 (F16); 0 for integers.
double epsilon_of(Dtype dtype);

// `value` towards zero as the integer `bytes` wide that torch finds on x86: conversions are of 32
// or 64 bits, what these cannot hold (NaN too) becomes their smallest number, and narrower ones
// wrap.
i64 real_to_integer(double value, i64 bytes);

// IEEE conversions, round to nearest even, NaN kept.
float half_to_float(u16 bits);
u16 float_to_half(float value);
float bfloat_to_float(u16 bits);
u16 float_to_bfloat(float value);

}  // namespace peri
