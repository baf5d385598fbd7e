#include "tune/explain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "space/config.h"
#include "tune/insight.h"
#include "tune/measure.h"

namespace peri::tune {

namespace {

constexpr size_t kMostKnobs = 8, kMostParts = 8, kMostFailures = 5;

std::string value_text(const Config& value) { return value.is_null() ? "none" : value.dump(); }

std::string time_text(const Time& time) {
  std::string text = std::isfinite(time.seconds) ? print_seconds(time.seconds) : "not timed";
  if (std::isfinite(time.low) && std::isfinite(time.high)) {
    text += fmt::format(" ({} to {})", print_seconds(time.low), print_seconds(time.high));
  }
  return text;
}

Config json_number(double value) { return std::isfinite(value) ? Config(value) : Config(nullptr); }

Config json_of(const Time& time) {
  return {{"seconds", json_number(time.seconds)},
          {"low", json_number(time.low)},
          {"high", json_number(time.high)}};
}

Config json_of(const std::vector<Difference>& all) {
  Config list = Config::array();
  for (const Difference& d : all)
    list.push_back({{"knob", d.knob}, {"from", d.from}, {"to", d.to}});
  return list;
}

class Explanation {
 public:
  explicit Explanation(const Record& record)
      : r_(record), winner_(time_of(record, record.winner)), standard_(time_of(record, 0)) {}

  std::string text() {
    line("{}  {}", r_.kernel, r_.specialization);
    line("on {}, {}", r_.target, r_.machine);
    if (r_.trials.empty()) {
      line("no config was tried");
      return std::move(out_);
    }
    line("config {} of {}: {}", r_.winner, r_.trials.size(), print_winner(r_));
    if (!r_.idle.empty()) line("without effect beside it: {}", fmt::join(r_.idle, ", "));
    times();
    limit();
    accuracy();
    against_default();
    runner_up();
    knobs();
    prediction();
    failed();
    line(
        "intervals hold at {:.0f} %; noise {}; {} timings were repeated because the machine's "
        "speed "
        "changed",
        100 * r_.confidence, print_percent(r_.noise), r_.drifts);
    return std::move(out_);
  }

 private:
  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    out_ += fmt::format(format, std::forward<Args>(args)...) + "\n";
  }

  double ratio() const { return standard_.seconds / winner_.seconds; }

  void times() {
    line("");
    line("time      {}", time_text(winner_));
    if (r_.winner != 0) {
      line("{:<9} {}{}", start_name(r_), time_text(standard_),
           std::isfinite(ratio()) ? fmt::format(", {:.2f} times as long", ratio()) : "");
    }
    line("search    {} configs in {:.1f} s by {}, ended: {}", r_.trials.size(), r_.elapsed,
         r_.strategy, r_.interrupted ? "interrupted" : r_.stopped);
  }

  void limit() {
    const Position at = position(r_.roofline, winner_.seconds);
    line("limit     {}", at.text);
    if (at.fraction <= 0) return;
    line("          a call moves {} and computes {} at least: {} on this machine",
         print_amount(r_.roofline.bytes, "B"), print_amount(r_.roofline.flops, "FLOP"),
         print_seconds(r_.roofline.seconds()));
  }

  void accuracy() {
    line("results   {}{}", r_.accuracy.is_verified() ? "" : "not verified: ", r_.accuracy.text);
  }

  void changes(const Config& from, const Config& to) {
    for (const Difference& d : differences(from, to)) {
      line("  {:<24} {} -> {}", d.knob, value_text(d.from), value_text(d.to));
    }
  }

  void against_default() {
    line("");
    if (r_.winner == 0) {
      return line("the {} won: nothing that was tried is faster", start_name(r_));
    }
    line("changed from the {}", start_name(r_));
    changes(r_.trials[0].config, r_.trials[r_.winner].config);
  }

  void runner_up() {
    if (r_.runner_up < 0) return;
    const Time second = time_of(r_, r_.runner_up);
    line("");
    line("runner-up: config {}, {}, {}", r_.runner_up, time_text(second),
         r_.tie ? "a tie within the noise, which the earlier config wins"
                : print_percent(second.seconds / winner_.seconds - 1) + " slower");
    changes(r_.trials[r_.runner_up].config, r_.trials[r_.winner].config);
  }

  void knobs() {
    const std::vector<Effect> all = effects(r_);
    if (all.empty()) return;
    line("");
    line("what each knob is worth: the fastest config with another value");
    for (size_t i = 0; i < std::min(all.size(), kMostKnobs); ++i) {
      const Effect& e = all[i];
      line("  {:<24} {:<10} else {} with {} ({}{}; {} tried)", e.knob, value_text(e.value),
           print_seconds(e.without), value_text(e.other), e.loss() >= 0 ? "+" : "",
           print_percent(e.loss()), e.trials);
    }
    if (all.size() > kMostKnobs) line("  and {} less important ones", all.size() - kMostKnobs);
  }

  void prediction() {
    const double predicted = r_.trials[r_.winner].predicted;
    line("");
    if (predicted <= 0) return line("predicted nothing");
    std::string text = fmt::format("predicted {}, {:.2f} of the measured time",
                                   print_seconds(predicted), predicted / winner_.seconds);
    if (double rank = prediction_correlation(r_); rank != 0) {
      text += fmt::format("; rank correlation {:.2f} over all configs", rank);
    }
    line("{}", text);
  }

  void failed() {
    const std::vector<FailureGroup> groups = failure_groups(r_);
    if (groups.empty()) return line("no config failed");
    for (size_t i = 0; i < std::min(groups.size(), kMostFailures); ++i) {
      line("{} failed: {}: {} (first: config {})", groups[i].count, status_name(groups[i].status),
           groups[i].reason, groups[i].first);
    }
  }

  const Record& r_;
  Time winner_, standard_;
  std::string out_;
};

std::vector<backends::Prediction::Part> longest_first(const backends::Prediction& prediction) {
  std::vector<backends::Prediction::Part> parts = prediction.parts;
  std::ranges::stable_sort(parts, std::greater<>(), &backends::Prediction::Part::seconds);
  return parts;
}

}  // namespace

std::string explain(const Record& record) { return Explanation(record).text(); }

Config explain_json(const Record& record) {
  Config json = {{"source", "record"},
                 {"key", record.key},
                 {"kernel", record.kernel},
                 {"specialization", record.specialization},
                 {"target", record.target}};
  if (record.trials.empty()) return json;
  const Time winner = time_of(record, record.winner);
  const Position at = position(record.roofline, winner.seconds);
  const Trial& best = record.trials[record.winner];
  json["config"] = best.config;
  json["time"] = json_of(winner);
  json["default_time"] = json_of(time_of(record, 0));
  json["roofline"] = {{"fraction", at.fraction},
                      {"limiter", at.limiter},
                      {"bytes", record.roofline.bytes},
                      {"flops", record.roofline.flops},
                      {"text", at.text}};
  json["verified"] = record.accuracy.is_verified();
  json["accuracy"] = record.accuracy.text;
  json["changed_from_default"] = json_of(differences(record.trials[0].config, best.config));
  if (record.runner_up >= 0) {
    const Trial& second = record.trials[record.runner_up];
    json["runner_up"] = {{"number", record.runner_up},
                         {"time", json_of(time_of(record, record.runner_up))},
                         {"tie", record.tie},
                         {"changes_to_winner", json_of(differences(second.config, best.config))}};
  }
  json["knobs"] = Config::array();
  for (const Effect& e : effects(record)) {
    json["knobs"].push_back({{"knob", e.knob},
                             {"value", e.value},
                             {"seconds", e.with},
                             {"other", e.other},
                             {"other_seconds", e.without},
                             {"loss", e.loss()},
                             {"tried", e.trials}});
  }
  json["predicted_seconds"] = best.predicted;
  json["prediction_rank_correlation"] = prediction_correlation(record);
  json["failures"] = Config::array();
  for (const FailureGroup& group : failure_groups(record)) {
    json["failures"].push_back({{"status", status_name(group.status)},
                                {"reason", group.reason},
                                {"count", group.count},
                                {"first", group.first}});
  }
  json["noise"] = record.noise;
  json["drifts"] = record.drifts;
  return json;
}

std::string explain(const backends::Prediction& prediction, const Config& config,
                    std::string_view origin) {
  std::string text = fmt::format("{} config: {}\n", origin, space::print_config(config));
  if (prediction.seconds <= 0) return text + "there is no cost model for this target\n";
  text += fmt::format("predicted {}, mostly limited by {}\n", print_seconds(prediction.seconds),
                      prediction.limiter);
  const auto parts = longest_first(prediction);
  for (size_t i = 0; i < std::min(parts.size(), kMostParts); ++i) {
    text +=
        fmt::format("  {:>6}  {:<10} {}\n", print_percent(parts[i].seconds / prediction.seconds),
                    parts[i].limiter, parts[i].name);
  }
  return text;
}

Config explain_json(const backends::Prediction& prediction, const Config& config,
                    std::string_view origin) {
  Config json = {{"source", "prediction"},
                 {"config_origin", origin},
                 {"config", config},
                 {"predicted_seconds", prediction.seconds},
                 {"limiter", prediction.limiter},
                 {"parts", Config::array()}};
  for (const auto& part : longest_first(prediction)) {
    json["parts"].push_back({{"name", part.name},
                             {"seconds", part.seconds},
                             {"bytes", part.bytes},
                             {"flops", part.flops},
                             {"limiter", part.limiter}});
  }
  return json;
}

}  // namespace peri::tune
