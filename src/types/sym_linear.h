// Integer expressions as constant + sum of coefficient * product: the normal form behind folding.
#pragma once

#include <optional>
#include <vector>

#include "types/sym.h"

namespace peri {

// One summand; `product` is a node that is no sum and has no constant factor.
struct LinearTerm {
  const SymNode* product = nullptr;
  i64 coefficient = 0;
  bool operator==(const LinearTerm&) const = default;
};

// Terms by id of their product, each product once, no coefficient 0.
struct Linear {
  std::vector<LinearTerm> terms;
  i64 constant = 0;

  bool is_const() const { return terms.empty(); }
  bool is_single() const { return terms.size() == 1 && constant == 0; }
};

// Larger sums and products are not reordered, which bounds the time of a fold.
inline constexpr i64 kMaxTerms = 64;

// nullopt: too large, or a coefficient overflows.
std::optional<Linear> linear_of(const SymNode* node);
std::optional<Linear> scale(const Linear& linear, i64 factor);
// a + factor * b
std::optional<Linear> add_scaled(const Linear& a, const Linear& b, i64 factor);

// The factors of a product, by id; nullopt if there are too many.
using Factors = std::vector<const SymNode*>;
std::optional<Factors> factors_of(const SymNode* product);

// Splits off the terms (not the constant) that `divisor` divides: linear = divisor * quotient +
// rest.
struct Split {
  Linear quotient;
  Linear rest;
};
Split split_by(const Linear& linear, i64 divisor);

}  // namespace peri
