#include "backends/triton/helpers.h"

#include "base/bug.h"

namespace peri::triton {

namespace {

struct Helper {
  std::string_view name, text;
};

constexpr Helper kHelpers[] = {
    {"_floor_div", R"(@triton.jit
def _floor_div(a, b):
    """Rounds towards minus infinity; `//` rounds towards zero here."""
    b = tl.where(b == 0, 1, b)
    quotient = a // b
    return tl.where((a % b != 0) & ((a < 0) != (b < 0)), quotient - 1, quotient)
)"},
    {"_remainder", R"(@triton.jit
def _remainder(a, b):
    """Has the sign of b; `%` has that of a here."""
    rest = tl.where(b == 0, 0, a % tl.where(b == 0, 1, b))
    return tl.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)
)"},
    {"_float_remainder", R"(@triton.jit
def _float_remainder(a, b):
    """Has the sign of b."""
    rest = libdevice.fmod(a, b)
    return tl.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)
)"},
    {"_integer_pow", R"(@triton.jit
def _integer_pow(a, b, BITS: tl.constexpr):
    """By squaring; a negative exponent gives 0 unless |a| is 1."""
    result = a * 0 + 1
    base = a
    for bit in tl.static_range(BITS):
        result = tl.where((b >> bit) & 1 != 0, result * base, result)
        base = base * base
    odd = tl.where(b & 1 != 0, a, a * 0 + 1)
    return tl.where(b < 0, tl.where((a == 1) | (a == -1), odd, a * 0), result)
)"},
    {"_max", R"(@triton.jit
def _max(a, b):
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)
)"},
    {"_min", R"(@triton.jit
def _min(a, b):
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)
)"},
    {"_mul", R"(@triton.jit
def _mul(a, b):
    return a * b
)"},
    {"_or", R"(@triton.jit
def _or(a, b):
    return a | b
)"},
    {"_and", R"(@triton.jit
def _and(a, b):
    return a & b
)"},
    {"_argmax", R"(@triton.jit
def _argmax(a, i, b, j):
    """The first of the largest; NaN counts as largest."""
    first = (a > b) | ((a == b) & (i < j)) | ((a != a) & ((b == b) | (i < j)))
    return tl.where(first, a, b), tl.where(first, i, j)
)"},
    {"_argmin", R"(@triton.jit
def _argmin(a, i, b, j):
    """The first of the smallest; NaN counts as smallest."""
    first = (a < b) | ((a == b) & (i < j)) | ((a != a) & ((b == b) | (i < j)))
    return tl.where(first, a, b), tl.where(first, i, j)
)"},
};

}  // namespace

std::string_view helper_text(std::string_view name) {
  for (const Helper& helper : kHelpers) {
    if (helper.name == name) return helper.text;
  }
  BUG_IF(true, "no helper `{}`", name);
}

}  // namespace peri::triton
