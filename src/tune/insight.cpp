#include "tune/insight.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "tune/measure.h"

namespace peri::tune {

namespace {

// Below these a call is neither moving data nor computing most of the time.
constexpr double kNearRoofline = 0.35;
constexpr double kShortCall = 30e-6;

bool is_timed(const Trial& trial) {
  return trial.status == Status::Ok && trial.seconds > 0 && std::isfinite(trial.seconds);
}

const Config* find(const std::vector<Setting>& settings, const std::string& knob) {
  for (const Setting& setting : settings) {
    if (setting.knob == knob) return &setting.value;
  }
  return nullptr;
}

std::string without_numbers(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    auto is_digit = [&](size_t at) {
      return at < text.size() && text[at] >= '0' && text[at] <= '9';
    };
    bool inside = !result.empty() && result.back() == '#';
    bool number = is_digit(i) || (inside && text[i] == '.' && is_digit(i + 1));
    if (!number) result += text[i];
    if (number && !inside) result += '#';
  }
  return result;
}

std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });
  std::vector<double> rank(values.size());
  for (size_t i = 0; i < order.size();) {
    size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (size_t j = i; j < end; ++j) rank[order[j]] = static_cast<double>(i + end - 1) / 2;
    i = end;
  }
  return rank;
}

}  // namespace

std::vector<Setting> settings_of(const Config& config) {
  std::vector<Setting> settings;
  if (!config.is_object()) return settings;
  for (const auto& [key, value] : config.items()) {
    if (!value.is_array()) {
      settings.push_back({key, value});
    } else if (value.size() == 1) {
      settings.push_back({key, value[0]});
    } else {
      for (size_t i = 0; i < value.size(); ++i) {
        settings.push_back({fmt::format("{}[{}]", key, i), value[i]});
      }
    }
  }
  return settings;
}

std::vector<Difference> differences(const Config& from, const Config& to) {
  std::vector<Difference> result;
  const std::vector<Setting> before = settings_of(from), after = settings_of(to);
  for (const Setting& setting : before) {
    const Config* other = find(after, setting.knob);
    if (!other) result.push_back({setting.knob, setting.value, nullptr});
    if (other && *other != setting.value) result.push_back({setting.knob, setting.value, *other});
  }
  for (const Setting& setting : after) {
    if (!find(before, setting.knob)) result.push_back({setting.knob, nullptr, setting.value});
  }
  return result;
}

std::vector<Effect> effects(const Record& record) {
  std::vector<Effect> result;
  if (record.trials.empty()) return result;
  for (const Setting& setting : settings_of(record.trials[record.winner].config)) {
    result.push_back({setting.knob, setting.value, {}, 0, 0, 0});
  }
  for (const Trial& trial : record.trials) {
    if (!is_timed(trial)) continue;
    const std::vector<Setting> settings = settings_of(trial.config);
    for (Effect& effect : result) {
      const Config* value = find(settings, effect.knob);
      bool same = value && *value == effect.value;
      double& best = same ? effect.with : effect.without;
      if (!same) ++effect.trials;
      if (best > 0 && best <= trial.seconds) continue;
      best = trial.seconds;
      if (!same) effect.other = value ? *value : Config(nullptr);
    }
  }
  std::erase_if(result, [](const Effect& effect) { return effect.trials == 0; });
  std::ranges::stable_sort(result, std::greater<>(), &Effect::loss);
  return result;
}

Time time_of(const Record& record, i64 trial) {
  for (const Finalist& finalist : record.finalists) {
    if (finalist.trial == trial) return {finalist.seconds, finalist.low, finalist.high};
  }
  if (trial < 0 || trial >= static_cast<i64>(record.trials.size())) return {};
  const Trial& t = record.trials[trial];
  return {t.seconds, t.low, t.high};
}

std::vector<FailureGroup> failure_groups(const Record& record) {
  std::vector<FailureGroup> groups;
  for (size_t i = 0; i < record.trials.size(); ++i) {
    const Trial& trial = record.trials[i];
    if (trial.status == Status::Ok) continue;
    auto same = [&](const FailureGroup& group) {
      return group.status == trial.status &&
             without_numbers(group.reason) == without_numbers(trial.reason);
    };
    auto group = std::ranges::find_if(groups, same);
    if (group == groups.end()) {
      groups.push_back({trial.status, trial.reason, 1, static_cast<i64>(i)});
    } else {
      ++group->count;
    }
  }
  std::ranges::stable_sort(groups, std::greater<>(), &FailureGroup::count);
  return groups;
}

Position position(const Roofline& roofline, double seconds) {
  Position result;
  result.limiter = "latency";
  const double least = roofline.seconds();
  if (least <= 0 || !(seconds > 0) || !std::isfinite(seconds)) {
    result.text = "the machine's limits were not measured";
    return result;
  }
  result.fraction = least / seconds;
  const bool bytes = roofline.limiter() == "bytes";
  if (seconds < kShortCall && result.fraction < kNearRoofline) {
    result.text = fmt::format(
        "latency: a call of {} moves and computes too little to reach either limit; starting it, "
        "its threads and its grid cells costs most",
        print_seconds(seconds));
    return result;
  }
  result.limiter = roofline.limiter();
  const double rate = bytes ? roofline.bytes / seconds : roofline.flops / seconds;
  const double peak = bytes ? roofline.bytes_per_second : roofline.flops_per_second;
  result.text =
      fmt::format("{}: {} of {} that this machine reaches ({})", result.limiter,
                  print_amount(rate, bytes ? "B/s" : "FLOP/s"),
                  print_amount(peak, bytes ? "B/s" : "FLOP/s"), print_percent(result.fraction));
  if (result.fraction < kNearRoofline) {
    result.text +=
        "; arithmetic that is no multiply-add, or data that is moved more than once, "
        "takes the rest";
  }
  if (result.fraction > 1.05) result.text += "; caches keep data from one call to the next";
  return result;
}

double prediction_correlation(const Record& record) {
  std::vector<double> predicted, measured;
  for (const Trial& trial : record.trials) {
    if (!is_timed(trial) || trial.predicted <= 0) continue;
    predicted.push_back(trial.predicted);
    measured.push_back(trial.seconds);
  }
  if (predicted.size() < 3) return 0;
  const std::vector<double> a = ranks(predicted), b = ranks(measured);
  const double mean = static_cast<double>(a.size() - 1) / 2;
  double both = 0, one = 0, other = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    both += (a[i] - mean) * (b[i] - mean);
    one += (a[i] - mean) * (a[i] - mean);
    other += (b[i] - mean) * (b[i] - mean);
  }
  return one > 0 && other > 0 ? both / std::sqrt(one * other) : 0;
}

std::string print_amount(double amount, std::string_view unit) {
  constexpr std::string_view kPrefixes[] = {"", "k", "M", "G", "T", "P"};
  size_t prefix = 0;
  while (amount >= 1000 && prefix + 1 < std::size(kPrefixes)) amount /= 1000, ++prefix;
  return fmt::format("{:.3g} {}{}", amount, kPrefixes[prefix], unit);
}

std::string print_percent(double fraction) {
  const double percent = 100 * fraction;
  if (std::abs(percent) >= 9.95) return fmt::format("{:.0f} %", percent);
  return fmt::format("{:.{}f} %", percent, std::abs(percent) >= 0.995 ? 1 : 2);
}

}  // namespace peri::tune
