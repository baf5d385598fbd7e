// Elements of tensors: how each dtype is stored, and conversion as torch's .to() does it.
#pragma once

#include <cstdlib>
#include <limits>
#include <type_traits>

#include "types/dtype.h"

namespace peri {

// Raw of each dtype, and Wide, the type that values pass through: double for floats, else i64.
template <Dtype D>
struct Element;

namespace detail {
template <class R>
struct IntegerElement {
  using Raw = R;
  using Wide = i64;
  static i64 load(Raw raw) { return raw; }
  static Raw store(i64 value) { return static_cast<Raw>(value); }  // wraps
  static Raw store(double value) { return store(real_to_integer(value, sizeof(Raw))); }
};
template <class R>
struct FloatElement {
  using Raw = R;
  using Wide = double;
  static double load(Raw raw) { return raw; }
  static Raw store(i64 value) { return static_cast<Raw>(value); }
  static Raw store(double value) { return static_cast<Raw>(value); }
};
template <float (*Widen)(u16), u16 (*Narrow)(float)>
struct HalfElement {
  using Raw = u16;
  using Wide = double;
  static double load(Raw raw) { return Widen(raw); }
  static Raw store(i64 value) { return Narrow(static_cast<float>(value)); }
  static Raw store(double value) { return Narrow(static_cast<float>(value)); }
};
}  // namespace detail

template <>
struct Element<Dtype::Bool> {
  using Raw = u8;
  using Wide = i64;
  static i64 load(Raw raw) { return raw != 0; }
  static Raw store(i64 value) { return value != 0; }
  static Raw store(double value) { return value != 0; }
};
template <>
struct Element<Dtype::U8> : detail::IntegerElement<u8> {};
template <>
struct Element<Dtype::I8> : detail::IntegerElement<i8> {};
template <>
struct Element<Dtype::I16> : detail::IntegerElement<i16> {};
template <>
struct Element<Dtype::I32> : detail::IntegerElement<i32> {};
template <>
struct Element<Dtype::I64> : detail::IntegerElement<i64> {};
template <>
struct Element<Dtype::F16> : detail::HalfElement<half_to_float, float_to_half> {};
template <>
struct Element<Dtype::BF16> : detail::HalfElement<bfloat_to_float, float_to_bfloat> {};
template <>
struct Element<Dtype::F32> : detail::FloatElement<float> {};
template <>
struct Element<Dtype::F64> : detail::FloatElement<double> {};

// f(Element<D>{}) for the dtype at hand.
template <class F>
decltype(auto) visit_dtype(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::Bool:
      return f(Element<Dtype::Bool>{});
    case Dtype::U8:
      return f(Element<Dtype::U8>{});
    case Dtype::I8:
      return f(Element<Dtype::I8>{});
    case Dtype::I16:
      return f(Element<Dtype::I16>{});
    case Dtype::I32:
      return f(Element<Dtype::I32>{});
    case Dtype::I64:
      return f(Element<Dtype::I64>{});
    case Dtype::F16:
      return f(Element<Dtype::F16>{});
    case Dtype::BF16:
      return f(Element<Dtype::BF16>{});
    case Dtype::F32:
      return f(Element<Dtype::F32>{});
    case Dtype::F64:
      return f(Element<Dtype::F64>{});
  }
  std::abort();
}

}  // namespace peri
