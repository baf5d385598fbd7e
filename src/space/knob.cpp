#include "space/knob.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <set>

namespace peri::space {

namespace {

constexpr i64 kLargestSize = 1 << 16;  // of a tile whose axis may be shorter
constexpr i64 kListedItems = 3;
constexpr i64 kLongestStep = 6;  // of a mutation

bool is_power_of_two(i64 value) {
  return value > 0 && std::has_single_bit(static_cast<u64>(value));
}

double log_of(i64 value) { return std::log2(static_cast<double>(std::max<i64>(value, 1))); }

bool fits(const Knob& knob, i64 size) { return knob.divides == 0 || knob.divides % size == 0; }

std::vector<i64> powers_of_two(const Knob& knob) {
  std::vector<i64> values;
  if (knob.low == 0) values.push_back(0);
  for (i64 value = 1; value <= knob.high; value *= 2) {
    if (value >= knob.low && fits(knob, value)) values.push_back(value);
  }
  return values;
}

std::vector<i64> extents(const Knob& knob) {
  std::set<i64> values{knob.high};
  for (i64 value = 1; value <= knob.high; value *= 2) {
    values.insert(value);
    values.insert(value + value / 2);
  }
  i64 whole = knob.divides > 0 ? knob.divides : knob.whole;
  for (i64 d = 1; d <= whole / d; ++d) {
    if (whole % d == 0) values.insert({d, whole / d});
  }
  std::vector<i64> kept;
  for (i64 value : values) {
    if (value >= knob.low && value <= knob.high && fits(knob, value)) kept.push_back(value);
  }
  return kept;
}

std::vector<Json> permutations(i64 items) {
  std::vector<i64> order(items);
  std::iota(order.begin(), order.end(), 0);
  std::vector<Json> all;
  do all.push_back(order);
  while (std::next_permutation(order.begin(), order.end()));
  return all;
}

bool is_ordinal(const std::vector<Json>& choices) {
  return choices.size() <= 2 || std::all_of(choices.begin(), choices.end(), [](const Json& choice) {
           return choice.is_number() || choice.is_null();
         });
}

bool is_permutation(const Json& value, i64 items) {
  if (!value.is_array() || static_cast<i64>(value.size()) != items) return false;
  std::vector<bool> seen(items);
  for (const Json& item : value) {
    if (!item.is_number_integer()) return false;
    i64 at = item.get<i64>();
    if (at < 0 || at >= items || seen[at]) return false;
    seen[at] = true;
  }
  return true;
}

std::optional<i64> integer_of(const Json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<u64>() > INT64_MAX) return INT64_MAX;
  return value.get<i64>();
}

std::string uneven(const Knob& knob) {
  return fmt::format("a reshape merges this axis, so the size must divide {}", knob.divides);
}

std::optional<Json> normalise_extent(const Knob& knob, i64 value, std::string& reason) {
  i64 size = knob.whole > 0 ? std::min(value, knob.whole) : value;
  i64 largest = knob.whole > 0 ? knob.high : std::max(knob.high, kLargestSize);
  if (value < 1) {
    reason = "a tile has at least one element";
  } else if (value < knob.low) {
    reason = fmt::format("at least {} is allowed here", knob.low);
  } else if (size > largest || value > std::max(largest, kLargestSize)) {
    reason = fmt::format("at most {} is allowed here", largest);
    if (!knob.excluded.empty()) reason += ": " + knob.excluded.back().reason;
  } else if (!fits(knob, size)) {
    reason = uneven(knob);
  } else {
    return size;
  }
  return std::nullopt;
}

std::optional<Json> normalise_number(const Knob& knob, const Json& given, std::string& reason) {
  if (knob.may_be_null && given.is_null()) return given;
  std::optional<i64> value = integer_of(given);
  if (!value) {
    reason = "an integer is needed";
    return std::nullopt;
  }
  if (knob.kind == KnobKind::Extent) return normalise_extent(knob, *value, reason);
  const bool is_whole = knob.whole > 0 && *value >= knob.whole && *value > knob.high;
  if (knob.may_be_null && is_whole && is_power_of_two(*value)) return nullptr;
  if (*value < knob.low || *value > knob.high) {
    reason = fmt::format("the range is {} to {}", knob.low, knob.high);
  } else if (knob.kind == KnobKind::PowerOfTwo && *value != 0 && !is_power_of_two(*value)) {
    reason = "a power of two is needed";
  } else if (knob.kind == KnobKind::PowerOfTwo && *value != 0 && !fits(knob, *value)) {
    reason = uneven(knob);
  } else {
    return *value;
  }
  return std::nullopt;
}

}  // namespace

i64 pick(Rng& rng, i64 count) { return static_cast<i64>(rng() % static_cast<u64>(count)); }

std::string Knob::name() const { return index < 0 ? key : fmt::format("{}[{}]", key, index); }

std::vector<Json> Knob::candidates() const {
  if (!listed.empty()) return listed;
  std::vector<i64> numbers;
  switch (kind) {
    case KnobKind::Choice:
      return choices;
    case KnobKind::Permutation:
      return high <= kListedItems ? permutations(high) : std::vector<Json>{default_value};
    case KnobKind::PowerOfTwo:
    case KnobKind::Scale:
      numbers = powers_of_two(*this);
      break;
    case KnobKind::Extent:
      numbers = extents(*this);
      break;
    case KnobKind::Integer:
      for (i64 value = low; value <= high; ++value) numbers.push_back(value);
  }
  std::vector<Json> all(numbers.begin(), numbers.end());
  if (may_be_null) all.insert(all.begin(), nullptr);
  return all;
}

double Knob::count() const {
  if (kind == KnobKind::Permutation) return std::tgamma(static_cast<double>(high) + 1);
  return static_cast<double>(candidates().size());
}

std::optional<Json> Knob::normalise(const Json& value, std::string& reason) const {
  if (kind == KnobKind::Choice) {
    if (std::find(choices.begin(), choices.end(), value) != choices.end()) return value;
    const std::optional<i64> number = integer_of(value);
    if (high > 0 && number && *number >= low && *number <= high) return value;
    std::vector<std::string> texts;
    for (const Json& choice : choices) texts.push_back(choice.dump());
    reason = fmt::format("the choices are {}", fmt::join(texts, ", "));
    if (high > 0) reason += fmt::format(" and integers from {} to {}", low, high);
    const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    for (const Excluded& other : excluded) {
      if (other.values == text) reason += ": " + other.reason;
    }
    return std::nullopt;
  }
  if (kind == KnobKind::Permutation) {
    if (is_permutation(value, high)) return value;
    reason = fmt::format("a permutation of 0 to {} is needed", high - 1);
    return std::nullopt;
  }
  return normalise_number(*this, value, reason);
}

Json Knob::fitting(const Json& value) const {
  if (divides == 0 || !value.is_number_integer()) return value;
  std::vector<Json> all = candidates();
  auto above = std::upper_bound(all.begin(), all.end(), value);
  return above == all.begin() ? default_value : *std::prev(above);
}

Json Knob::sample(Rng& rng) const {
  if (kind != KnobKind::Permutation) {
    std::vector<Json> all = candidates();
    return all[pick(rng, static_cast<i64>(all.size()))];
  }
  std::vector<i64> order(high);
  std::iota(order.begin(), order.end(), 0);
  for (i64 i = high - 1; i > 0; --i) std::swap(order[i], order[pick(rng, i + 1)]);
  return order;
}

std::vector<Json> Knob::neighbours(const Json& value) const {
  std::vector<Json> near;
  if (kind == KnobKind::Permutation) {
    for (i64 i = 0; i + 1 < high; ++i) {
      Json other = value;
      std::swap(other[i], other[i + 1]);
      near.push_back(std::move(other));
    }
    return near;
  }
  std::vector<Json> all = candidates();
  if (kind == KnobKind::Choice || may_be_null) {
    for (Json& other : all) {
      if (other != value) near.push_back(std::move(other));
    }
    return near;
  }
  auto above = std::upper_bound(all.begin(), all.end(), value);
  auto below = std::lower_bound(all.begin(), all.end(), value);
  if (below != all.begin()) near.push_back(*std::prev(below));
  if (above != all.end()) near.push_back(*above);
  return near;
}

Json Knob::mutate(const Json& value, Rng& rng) const {
  std::vector<Json> near;
  if (kind == KnobKind::Choice || kind == KnobKind::Permutation || may_be_null) {
    near = neighbours(value);
    return near.empty() ? value : near[pick(rng, static_cast<i64>(near.size()))];
  }
  std::vector<Json> all = candidates();
  i64 steps = 1;
  while (steps < kLongestStep && pick(rng, 2) == 0) ++steps;
  auto below = std::lower_bound(all.begin(), all.end(), value) - all.begin();
  auto above = std::upper_bound(all.begin(), all.end(), value) - all.begin();
  i64 last = static_cast<i64>(all.size()) - 1;
  bool up = below == 0 || (above <= last && pick(rng, 2) == 0);
  i64 at = up ? std::min(above + steps - 1, last) : std::max<i64>(below - steps, 0);
  return all[at];
}

void Knob::encode(const Json& value, std::vector<double>& features) const {
  if (kind == KnobKind::Choice && is_ordinal(choices)) {
    auto at = std::find(choices.begin(), choices.end(), value);
    features.push_back(static_cast<double>(at - choices.begin()));
  } else if (kind == KnobKind::Choice) {
    for (const Json& choice : choices) features.push_back(choice == value ? 1 : 0);
  } else if (kind == KnobKind::Permutation) {
    for (const Json& item : value) features.push_back(item.get<double>());
  } else if (kind == KnobKind::Integer) {
    features.push_back(value.get<double>());
  } else {
    features.push_back(value.is_null() ? log_of(high) + 1 : log_of(value.get<i64>()));
  }
}

}  // namespace peri::space
