#include "space/idle.h"

#include <algorithm>
#include <map>

namespace peri::space {

namespace {

constexpr i64 kSamples = 12;  // of values together

class IdleKeys {
 public:
  IdleKeys(const ConfigSpace& space, const Config& config, const Config& base,
           FunctionRef<std::string(const Config&)> effect)
      : space_(space), config_(config), base_(base), effect_(effect), same_(effect(config)) {
    for (i64 k = 0; k < static_cast<i64>(space.knobs().size()); ++k) {
      knobs_[space.knobs()[k].key].push_back(k);
    }
  }

  std::vector<std::string> find() {
    std::vector<std::string> idle;
    for (const auto& [key, value] : config_.items()) {
      if (!is_idle_alone(key)) continue;
      idle.push_back(key);
      if (!are_idle_together(idle)) idle.pop_back();
    }
    return idle;
  }

 private:
  bool is_same(const Config& other) { return !space_.why_not(other) && effect_(other) == same_; }

  bool is_idle_alone(const std::string& key) {
    auto knobs = knobs_.find(key);
    return knobs != knobs_.end() && std::ranges::all_of(knobs->second, [&](i64 k) {
             return std::ranges::all_of(others(k), [&](const Json& value) {
               Config other = config_;
               space_.set(other, k, value);
               return is_same(other);
             });
           });
  }

  std::vector<Json> others(i64 k) const {
    const Knob& knob = space_.knobs()[k];
    const Json mine = space_.get(config_, k);
    std::vector<Json> values = knob.candidates();
    std::ranges::move(knob.neighbours(mine), std::back_inserter(values));
    std::erase(values, mine);
    return values;
  }

  // Values that do nothing alone may do something together.
  bool are_idle_together(const std::vector<std::string>& keys) {
    Rng rng(1);
    for (i64 sample = 0; sample <= kSamples; ++sample) {
      Config other = config_;
      for (const std::string& key : keys) {
        for (i64 k : knobs_.at(key)) {
          space_.set(other, k, sample == 0 ? space_.get(base_, k) : space_.knobs()[k].sample(rng));
        }
      }
      if (!is_same(other)) return false;
    }
    return true;
  }

  const ConfigSpace& space_;
  const Config& config_;
  const Config& base_;
  FunctionRef<std::string(const Config&)> effect_;
  std::string same_;
  std::map<std::string, std::vector<i64>> knobs_;  // by key
};

}  // namespace

std::vector<std::string> idle_keys(const ConfigSpace& space, const Config& config,
                                   const Config& base,
                                   FunctionRef<std::string(const Config&)> effect) {
  return IdleKeys(space, config, base, effect).find();
}

Config without(const Config& config, const std::vector<std::string>& keys) {
  Config rest = config;
  for (const std::string& key : keys) rest.erase(key);
  return rest;
}

}  // namespace peri::space
