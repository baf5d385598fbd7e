// One decision of a config: its legal values, why others are excluded, and how a search moves in
// it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "space/capabilities.h"

namespace peri::space {

using Json = nlohmann::ordered_json;
using Rng = std::mt19937_64;

// A uniform index below `count`; the same on every platform.
i64 pick(Rng& rng, i64 count);

struct Knob {
  std::string key;
  i64 index = -1;       // entry of the key's list; -1: a plain value
  std::string subject;  // what it belongs to, "tile_m"; "" for the kernel
  KnobKind kind = KnobKind::Choice;
  i64 low = 0, high = 0;      // as KnobKind says
  std::vector<Json> choices;  // Choice
  bool may_be_null = false;   // PowerOfTwo: none is a value too
  // Of the axis, if every call has it: larger values mean this one (Extent), or none (PowerOfTwo).
  i64 whole = 0;
  i64 divides = 0;  // Extent, PowerOfTwo: a value must divide this; 0: no such rule
  Json default_value;
  std::vector<Excluded> excluded;
  std::vector<Json> listed;  // its candidates, once it belongs to a space

  std::string name() const;  // "block_sizes[0]"
  // What a search considers, in order; permutations of more than three items are not listed.
  std::vector<Json> candidates() const;
  double count() const;  // of legal values that a search can reach
  // The value as the space writes it, or nothing and `reason` if it is not legal.
  std::optional<Json> normalise(const Json& value, std::string& reason) const;
  // The largest candidate not above a size that must divide its axis; other values as they are.
  Json fitting(const Json& value) const;
  Json sample(Rng& rng) const;
  // The values one step away: the next smaller and larger candidate, any other choice, two adjacent
  // items exchanged.
  std::vector<Json> neighbours(const Json& value) const;
  // A value near this one: sizes by one step as likely as by all longer ones, choices freely.
  Json mutate(const Json& value, Rng& rng) const;
  // Numbers for a model: logarithms of sizes, positions among choices that are numbers or two,
  // one-hot other choices.
  void encode(const Json& value, std::vector<double>& features) const;
};

}  // namespace peri::space
