#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "space/space.h"

namespace peri::space {

namespace {

using diag::Kind;

// Keys of knobs that other targets have and that no row of knobs.def describes.
bool is_foreign(std::string_view key) {
  for (std::string_view prefix : {"cute_", "tcgen05_", "pallas_", "amd_"}) {
    if (key.starts_with(prefix)) return true;
  }
  return false;
}

const SharedKnob* find_shared(std::string_view key) {
  for (const SharedKnob& row : shared_knobs()) {
    if (row.key == key || (!row.singular.empty() && row.singular == key)) return &row;
  }
  return nullptr;
}

class Validator {
 public:
  Validator(const ConfigSpace& space, diag::Diags& diags, diag::Span place)
      : space_(space), diags_(diags), place_(place) {
    for (const Knob& knob : space.knobs()) {
      if (keys_.empty() || keys_.back() != knob.key) keys_.push_back(knob.key);
    }
  }

  std::optional<Config> run(const Config& given, const Config& base) {
    i64 errors = diags_.error_count();
    config_ = space_.complete(base);
    if (!given.is_object()) {
      diags_.error(Kind::ConfigSyntax, place_, "a config is an object of keys and values");
      return std::nullopt;
    }
    for (const auto& [key, value] : given.items()) {
      key_ = key;
      read(key, value);
    }
    key_.clear();
    note_ignored();
    if (diags_.error_count() > errors) return std::nullopt;
    if (auto reason = space_.why_not(config_)) {
      error(Kind::ConfigValue, "the values do not go together: " + *reason);
      return std::nullopt;
    }
    return std::move(config_);
  }

 private:
  diag::Diagnostic& error(Kind kind, std::string message) {
    return diags_.error(kind, place_of_key(), std::move(message));
  }

  // Where the key being read stands in the text of the config, or all of that.
  diag::Span place_of_key() const {
    if (key_.empty() || !place_) return place_;
    std::size_t at = diags_.sources().snippet(place_).find(key_);
    if (at == std::string_view::npos) return place_;
    u32 begin = place_.begin + static_cast<u32>(at);
    return {place_.source, begin, begin + static_cast<u32>(key_.size())};
  }

  std::vector<i64> knobs_of(const std::string& key) const {
    std::vector<i64> found;
    for (i64 k = 0; k < static_cast<i64>(space_.knobs().size()); ++k) {
      if (space_.knobs()[k].key == key) found.push_back(k);
    }
    return found;
  }

  void read(const std::string& given_key, const Json& value) {
    const SharedKnob* shared = find_shared(given_key);
    std::string key = shared ? std::string(shared->key) : given_key;
    if (!seen_.insert(key).second) {
      error(Kind::ConfigKey, fmt::format("`{}` is given twice", key));
      return;
    }
    std::vector<i64> knobs = knobs_of(key);
    if (!knobs.empty()) {
      assign(key, knobs, value);
    } else if (key == "block_sizes") {
      if (!value.is_array() || !value.empty()) wrong_length(key, value, 0);
    } else if (shared != nullptr || is_foreign(key)) {
      ignored_.push_back(key);
    } else if (!value.is_array() || !value.empty()) {
      unknown(key);
    }
  }

  void unknown(const std::string& key) {
    auto& diagnostic = error(Kind::ConfigKey, fmt::format("no knob is called `{}`", key));
    std::string near = diag::nearest(key, keys_);
    diagnostic.hint = near.empty() ? "" : fmt::format("did you mean `{}`?", near);
    diagnostic.notes.push_back(fmt::format("the keys here are {}", fmt::join(keys_, ", ")));
  }

  void wrong_length(const std::string& key, const Json& value, std::size_t wanted) {
    std::vector<std::string> subjects;
    for (const Knob& knob : space_.knobs()) {
      if (knob.key == key) subjects.push_back(knob.subject);
    }
    i64 count = value.is_array() ? static_cast<i64>(value.size()) : 1;
    auto& diagnostic =
        error(Kind::ConfigLength, fmt::format("`{}` has {} {}, this kernel has {}", key, count,
                                              count == 1 ? "entry" : "entries", wanted));
    if (wanted > 0)
      diagnostic.notes.push_back("they are, in order: " +
                                 fmt::to_string(fmt::join(subjects, ", ")));
  }

  void assign(const std::string& key, const std::vector<i64>& knobs, const Json& value) {
    const Knob& first = space_.knobs()[knobs[0]];
    if (first.index < 0) {
      assign_one(knobs[0], value);
      return;
    }
    bool bare = knobs.size() == 1 && (!value.is_array() || is_bare_permutation(first, value));
    if (bare) {
      assign_one(knobs[0], value);
    } else if (value.is_string() && first.kind == KnobKind::Choice) {
      assign_all(knobs, value);
    } else if (!value.is_array() || value.size() != knobs.size()) {
      wrong_length(key, value, knobs.size());
    } else {
      for (std::size_t i = 0; i < knobs.size(); ++i) assign_one(knobs[i], value[i]);
    }
  }

  // One value for all entries of a list: those that it is no choice of keep theirs.
  void assign_all(const std::vector<i64>& knobs, const Json& value) {
    std::vector<std::string> others;
    for (i64 index : knobs) {
      const Knob& knob = space_.knobs()[index];
      std::string reason;
      if (auto legal = knob.normalise(value, reason)) {
        space_.set(config_, index, std::move(*legal));
      } else {
        others.push_back(fmt::format("{} (`{}`)", knob.name(), knob.subject));
      }
    }
    if (others.size() == knobs.size()) return assign_one(knobs[0], value);  // with the reason
    if (others.empty()) return;
    diags_.note(Kind::ConfigIgnored, place_,
                fmt::format("{} is no choice of {}", value.dump(), fmt::join(others, ", ")));
  }

  static bool is_bare_permutation(const Knob& knob, const Json& value) {
    return knob.kind == KnobKind::Permutation && !value.empty() && !value[0].is_array();
  }

  void assign_one(i64 index, const Json& value) {
    const Knob& knob = space_.knobs()[index];
    std::string reason;
    if (auto legal = knob.normalise(value, reason)) {
      space_.set(config_, index, std::move(*legal));
      return;
    }
    std::string subject = knob.subject.empty() ? "" : fmt::format(" (`{}`)", knob.subject);
    std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() > 60) text = text.substr(0, 60) + "...";
    error(Kind::ConfigValue,
          fmt::format("`{}`{} cannot be {}: {}", knob.name(), subject, text, reason));
  }

  void note_ignored() {
    if (ignored_.empty()) return;
    diags_.note(
        Kind::ConfigIgnored, place_,
        fmt::format("no meaning on {}, ignored: {}", space_.target(), fmt::join(ignored_, ", ")));
  }

  const ConfigSpace& space_;
  diag::Diags& diags_;
  diag::Span place_;
  std::string key_;  // that is being read
  std::vector<std::string> keys_;
  std::set<std::string> seen_;
  std::vector<std::string> ignored_;
  Config config_;
};

}  // namespace

std::optional<Config> ConfigSpace::validate(const Config& given, const Config& base,
                                            diag::Diags& diags, diag::Span place) const {
  return Validator(*this, diags, place).run(given, base);
}

}  // namespace peri::space
