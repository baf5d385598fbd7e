#include "types/sym_linear.h"

#include <algorithm>
#include <utility>

#include "types/sym_ops.h"

namespace peri {
namespace {

bool add_to(std::optional<i64> term, i64& sum) {
  if (term) term = checked_add(sum, *term);
  if (term) sum = *term;
  return term.has_value();
}

bool by_id(const LinearTerm& a, const LinearTerm& b) { return a.product->id < b.product->id; }

// Sorts, merges equal products and drops zeros; false on overflow.
bool normalise(std::vector<LinearTerm>& terms) {
  std::ranges::sort(terms, by_id);
  std::vector<LinearTerm> merged;
  for (const LinearTerm& term : terms) {
    if (merged.empty() || merged.back().product != term.product) {
      merged.push_back(term);
    } else if (!add_to(term.coefficient, merged.back().coefficient)) {
      return false;
    }
  }
  std::erase_if(merged, [](const LinearTerm& term) { return term.coefficient == 0; });
  terms = std::move(merged);
  return true;
}

const SymNode* constant_factor(const SymNode* node) {
  const SymNode* last = node->operands[1];
  return node->kind == SymKind::Mul && last->kind == SymKind::Const ? last : nullptr;
}

}  // namespace

std::optional<Linear> linear_of(const SymNode* root) {
  Linear result;
  std::vector<std::pair<const SymNode*, i64>> work{{root, 1}};
  for (i64 steps = 0; !work.empty(); ++steps) {
    if (steps > 4 * kMaxTerms) return std::nullopt;
    const auto [node, factor] = work.back();
    work.pop_back();
    if (node->kind == SymKind::Const) {
      if (!add_to(checked_mul(node->value.integer, factor), result.constant)) return std::nullopt;
    } else if (node->kind == SymKind::Add || node->kind == SymKind::Sub) {
      const auto second = checked_mul(factor, node->kind == SymKind::Sub ? -1 : 1);
      if (!second) return std::nullopt;
      work.emplace_back(node->operands[0], factor);
      work.emplace_back(node->operands[1], *second);
    } else if (node->kind == SymKind::Neg) {
      const auto negated = checked_mul(factor, -1);
      if (!negated) return std::nullopt;
      work.emplace_back(node->operands[0], *negated);
    } else if (const SymNode* constant = constant_factor(node)) {
      const auto scaled = checked_mul(factor, constant->value.integer);
      if (!scaled) return std::nullopt;
      work.emplace_back(node->operands[0], *scaled);
    } else {
      result.terms.push_back({node, factor});
    }
  }
  if (!normalise(result.terms) || std::ssize(result.terms) > kMaxTerms) return std::nullopt;
  return result;
}

std::optional<Linear> scale(const Linear& linear, i64 factor) {
  return add_scaled(Linear{}, linear, factor);
}

std::optional<Linear> add_scaled(const Linear& a, const Linear& b, i64 factor) {
  Linear result = a;
  if (!add_to(checked_mul(b.constant, factor), result.constant)) return std::nullopt;
  for (const LinearTerm& term : b.terms) {
    const auto coefficient = checked_mul(term.coefficient, factor);
    if (!coefficient) return std::nullopt;
    result.terms.push_back({term.product, *coefficient});
  }
  if (!normalise(result.terms) || std::ssize(result.terms) > kMaxTerms) return std::nullopt;
  return result;
}

std::optional<Factors> factors_of(const SymNode* product) {
  Factors result;
  std::vector<const SymNode*> work{product};
  for (i64 steps = 0; !work.empty(); ++steps) {
    if (steps > 2 * kMaxTerms) return std::nullopt;
    const SymNode* node = work.back();
    work.pop_back();
    if (node->kind == SymKind::Mul && constant_factor(node) == nullptr) {
      work.insert(work.end(), {node->operands[0], node->operands[1]});
    } else {
      result.push_back(node);
    }
  }
  std::ranges::sort(result, {}, &SymNode::id);
  return result;
}

Split split_by(const Linear& linear, i64 divisor) {
  Split split;
  split.rest.constant = linear.constant;
  for (const LinearTerm& term : linear.terms) {
    const auto quotient = floor_mod(term.coefficient, divisor) == 0
                              ? floor_div(term.coefficient, divisor)
                              : std::nullopt;
    if (quotient) {
      split.quotient.terms.push_back({term.product, *quotient});
    } else {
      split.rest.terms.push_back(term);
    }
  }
  return split;
}

}  // namespace peri
