#include "tune/report_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tune/measure.h"
#include "tune/svg.h"

namespace peri::tune {

namespace {

constexpr double kSmallWidth = 340, kSmallHeight = 250;
constexpr double kPanelWidth = 250, kPanelHeight = 170;

bool is_timed(const Trial& trial) {
  return trial.status == Status::Ok && trial.seconds > 0 && std::isfinite(trial.seconds);
}

std::vector<double> times_of(const Record& record) {
  std::vector<double> times;
  for (const Trial& trial : record.trials) {
    if (is_timed(trial)) times.push_back(trial.seconds);
  }
  return times;
}

std::string tick_text(double seconds) { return seconds == 0 ? "0" : print_seconds(seconds); }

std::string title_of(const Record& record, size_t i) {
  const Trial& trial = record.trials[i];
  std::string text = fmt::format("config {}: ", i);
  text += is_timed(trial) ? print_seconds(trial.seconds) : std::string(status_name(trial.status));
  return text + ", " + trial.origin;
}

std::string_view class_of(const Record& record, size_t i) {
  if (static_cast<i64>(i) == record.winner) return "win";
  return i == 0 ? "standard" : "dot";
}

// The area between the axes, their ticks and names.
struct Frame {
  Svg& svg;
  double left, right, top, bottom;

  void y_axis(const Scale& scale, i64 ticks, const auto& text) const {
    for (double v : scale.ticks(ticks)) {
      const double y = scale.at(v);
      svg.line(left, y, right, y, "grid");
      svg.text(left - 5, y + 4, text(v), "end");
    }
  }
  void x_axis(const Scale& scale, i64 ticks, const auto& text, std::string_view name) const {
    for (double v : scale.ticks(ticks)) {
      svg.line(scale.at(v), bottom, scale.at(v), bottom + 4, "axis");
      svg.text(scale.at(v), bottom + 17, text(v), "middle");
    }
    svg.line(left, bottom, right, bottom, "axis");
    svg.text((left + right) / 2, bottom + 34, name, "middle", "name");
  }
};

// --- the course of the search ---

void draw_best(Svg& svg, const Record& record, const Scale& x, const Scale& y) {
  std::string path;
  double best = std::numeric_limits<double>::infinity();
  for (const Trial& trial : record.trials) {
    if (!is_timed(trial) || trial.seconds >= best) continue;
    if (!path.empty()) path += step('L', x.at(trial.at), y.at(best));
    best = trial.seconds;
    path += step(path.empty() ? 'M' : 'L', x.at(trial.at), y.at(best));
  }
  if (!path.empty()) path += step('L', x.to, y.at(best));
  svg.path(path, "best");
}

}  // namespace

std::string course_chart(const Record& record, double width) {
  const std::vector<double> times = times_of(record);
  if (times.empty()) return "";
  const double height = width > 500 ? 320 : 270;
  Svg svg(width, height, "time of every config over the course of the search, and the best so far",
          width > 500 ? "wide" : "narrow");
  const Frame frame{svg, 66, width - 12, 12, height - 44};
  const double failed_y = frame.bottom - 8;
  double end = record.elapsed;
  bool fails = false;
  for (const Trial& trial : record.trials) {
    end = std::max(end, trial.at);
    fails = fails || !is_timed(trial);
  }
  const Scale x{0, std::max(end, 1e-3), frame.left, frame.right, false};
  const Scale y = scale_of(times, true, frame.bottom - (fails ? 20 : 0), frame.top);
  frame.y_axis(y, 8, tick_text);
  frame.x_axis(
      x, width > 500 ? 10 : 5, [](double v) { return fmt::format("{:.4g}", v); },
      "seconds since the start");
  for (size_t i = 0; i < record.trials.size(); ++i) {
    const Trial& trial = record.trials[i];
    if (is_timed(trial)) {
      svg.circle(x.at(trial.at), y.at(trial.seconds), 2.6, "dot", title_of(record, i));
    } else {
      svg.cross(x.at(trial.at), failed_y, 3, "failed", title_of(record, i));
    }
  }
  draw_best(svg, record, x, y);
  for (size_t i : {size_t{0}, static_cast<size_t>(record.winner)}) {
    const Trial& trial = record.trials[i];
    if (!is_timed(trial)) continue;
    svg.circle(x.at(trial.at), y.at(trial.seconds), 5, class_of(record, i), title_of(record, i));
  }
  return svg.finish();
}

// --- knobs ---

namespace {

// The values of one knob that were timed, in order, and the trials of each.
struct KnobValues {
  struct Value {
    Config value;
    std::vector<size_t> trials;
    double best = kFailed;
  };
  std::vector<Value> values;
};

bool comes_before(const Config& a, const Config& b) {
  if (a.is_number() && b.is_number()) return a.get<double>() < b.get<double>();
  return a.dump() < b.dump();
}

KnobValues values_of(const Record& record, const std::string& knob) {
  KnobValues result;
  for (size_t i = 0; i < record.trials.size(); ++i) {
    const Trial& trial = record.trials[i];
    if (!is_timed(trial)) continue;
    for (const Setting& setting : settings_of(trial.config)) {
      if (setting.knob != knob) continue;
      auto same = std::ranges::find(result.values, setting.value, &KnobValues::Value::value);
      if (same == result.values.end()) {
        result.values.push_back({setting.value, {}, kFailed});
        same = result.values.end() - 1;
      }
      same->trials.push_back(i);
      same->best = std::min(same->best, trial.seconds);
    }
  }
  std::ranges::stable_sort(result.values, comes_before, &KnobValues::Value::value);
  return result;
}

std::string short_text(const Config& value) {
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  std::erase(text, ' ');
  return text.size() > 12 ? text.substr(0, 11) + ".." : text;
}

std::string panel_svg(const Record& record, const Effect& effect, const KnobValues& knob,
                      const std::vector<double>& times) {
  Svg svg(kPanelWidth, kPanelHeight, "time by value of " + effect.knob);
  const Frame frame{svg, 58, kPanelWidth - 6, 8, kPanelHeight - 24};
  const Scale y = scale_of(times, true, frame.bottom, frame.top);
  frame.y_axis(y, 5, tick_text);
  svg.line(frame.left, frame.bottom, frame.right, frame.bottom, "axis");
  const double slot = (frame.right - frame.left) / static_cast<double>(knob.values.size());
  double last_label = -1e9;
  for (size_t v = 0; v < knob.values.size(); ++v) {
    const KnobValues::Value& value = knob.values[v];
    const double middle = frame.left + (static_cast<double>(v) + 0.5) * slot;
    std::string dots;
    for (size_t i : value.trials) {
      // Spread by number, the same in every run.
      const double jitter =
          (static_cast<double>(i * 7 % 11) / 10 - 0.5) * std::min(slot, 30.0) * 0.6;
      const double at = y.at(record.trials[i].seconds);
      dots += step('M', middle + jitter, at) + "h0";
    }
    svg.path(dots, "dots");
    const bool won = value.value == effect.value;
    const double half = std::min(slot * 0.4, 16.0);
    svg.line(middle - half, y.at(value.best), middle + half, y.at(value.best),
             won ? "won" : "least");
    const std::string label = short_text(value.value);
    const double half_label = 3.3 * static_cast<double>(label.size());
    if (!won && middle - half_label < last_label) continue;
    if (middle - half_label < last_label) continue;
    svg.text(middle, frame.bottom + 15, label, "middle", won ? "strong" : "");
    last_label = middle + half_label + 5;
  }
  return svg.finish();
}

}  // namespace

std::vector<KnobPanel> knob_panels(const Record& record) {
  std::vector<KnobPanel> panels;
  const std::vector<double> times = times_of(record);
  for (const Effect& effect : effects(record)) {
    const KnobValues knob = values_of(record, effect.knob);
    if (knob.values.size() < 2) continue;
    KnobPanel panel;
    panel.knob = effect.knob;
    const double loss = effect.loss();
    panel.note = fmt::format("{} won", short_text(effect.value));
    if (effect.without > 0) {
      panel.note += fmt::format("; without it {} ({}{})", print_seconds(effect.without),
                                loss >= 0 ? "+" : "", print_percent(loss));
    }
    panel.svg = panel_svg(record, effect, knob, times);
    panels.push_back(std::move(panel));
  }
  return panels;
}

// --- compile time, predictions, roofline ---

std::string pareto_chart(const Record& record) {
  std::vector<double> compile_times;
  std::vector<size_t> order;
  for (size_t i = 0; i < record.trials.size(); ++i) {
    if (!is_timed(record.trials[i]) || record.trials[i].compile_seconds <= 0) continue;
    compile_times.push_back(record.trials[i].compile_seconds);
    order.push_back(i);
  }
  if (order.size() < 2) return "";
  Svg svg(kSmallWidth, kSmallHeight, "compile time against time of a call");
  const Frame frame{svg, 62, kSmallWidth - 8, 8, kSmallHeight - 42};
  const Scale x = scale_of(compile_times, true, frame.left, frame.right);
  const Scale y = scale_of(times_of(record), true, frame.bottom, frame.top);
  frame.y_axis(y, 6, tick_text);
  frame.x_axis(x, 4, tick_text, "compile time");
  for (size_t i : order) {
    const Trial& trial = record.trials[i];
    svg.circle(x.at(trial.compile_seconds), y.at(trial.seconds), 2.4, "dot", title_of(record, i));
  }
  std::ranges::sort(order, {}, [&](size_t i) { return record.trials[i].compile_seconds; });
  std::string front;
  double best = std::numeric_limits<double>::infinity();
  for (size_t i : order) {
    const Trial& trial = record.trials[i];
    if (trial.seconds >= best) continue;
    const double across = x.at(trial.compile_seconds);
    if (!front.empty()) front += step('L', across, y.at(best));
    best = trial.seconds;
    front += step(front.empty() ? 'M' : 'L', across, y.at(best));
  }
  front += step('L', frame.right, y.at(best));
  svg.path(front, "best");
  const Trial& winner = record.trials[record.winner];
  if (is_timed(winner) && winner.compile_seconds > 0) {
    svg.circle(x.at(winner.compile_seconds), y.at(winner.seconds), 5, "win",
               title_of(record, static_cast<size_t>(record.winner)));
  }
  return svg.finish();
}

std::string prediction_chart(const Record& record) {
  std::vector<double> all, measured, predicted;
  for (const Trial& trial : record.trials) {
    if (!is_timed(trial) || trial.predicted <= 0) continue;
    predicted.push_back(trial.predicted);
    measured.push_back(trial.seconds);
  }
  if (measured.size() < 3) return "";
  Svg svg(kSmallWidth, kSmallHeight, "predicted against measured time of a call");
  const Frame frame{svg, 62, kSmallWidth - 8, 8, kSmallHeight - 42};
  const Scale x = scale_of(predicted, true, frame.left, frame.right);
  const Scale y = scale_of(measured, true, frame.bottom, frame.top);
  frame.y_axis(y, 6, tick_text);
  frame.x_axis(x, 4, tick_text, "predicted");
  const double low = std::max(x.low, y.low), high = std::min(x.high, y.high);
  if (low < high) svg.line(x.at(low), y.at(low), x.at(high), y.at(high), "equal");
  for (size_t i = 0; i < record.trials.size(); ++i) {
    const Trial& trial = record.trials[i];
    if (!is_timed(trial) || trial.predicted <= 0) continue;
    const bool special = i == 0 || static_cast<i64>(i) == record.winner;
    svg.circle(x.at(trial.predicted), y.at(trial.seconds), special ? 5 : 2.4, class_of(record, i),
               title_of(record, i));
  }
  return svg.finish();
}

std::string roofline_chart(const Record& record) {
  const Roofline& roof = record.roofline;
  const double winner = time_of(record, record.winner).seconds, first = time_of(record, 0).seconds;
  if (roof.seconds() <= 0 || roof.flops <= 0 || roof.bytes <= 0 || !std::isfinite(winner))
    return "";
  const double ridge = roof.flops_per_second / roof.bytes_per_second;
  const double intensity = roof.flops / roof.bytes;
  Svg svg(kSmallWidth, kSmallHeight, "roofline: arithmetic speed by operations per byte");
  const Frame frame{svg, 74, kSmallWidth - 8, 8, kSmallHeight - 42};
  const Scale x =
      scale_of({intensity / 4, intensity * 4, ridge / 4, ridge * 4}, true, frame.left, frame.right);
  auto roof_at = [&](double per_byte) {
    return std::min(roof.flops_per_second, per_byte * roof.bytes_per_second);
  };
  std::vector<double> speeds{roof_at(x.low), roof.flops_per_second, roof.flops / winner};
  if (std::isfinite(first)) speeds.push_back(roof.flops / first);
  const Scale y = scale_of(speeds, true, frame.bottom, frame.top);
  frame.y_axis(y, 6, [](double v) { return print_amount(v, ""); });
  frame.x_axis(x, 5, [](double v) { return fmt::format("{:.3g}", v); }, "operations per byte");
  svg.text(frame.left + 6, frame.top + 24, "FLOP/s", "start", "name");
  const double corner = std::clamp(ridge, x.low, x.high);
  svg.path(step('M', x.at(x.low), y.at(roof_at(x.low))) +
               step('L', x.at(corner), y.at(roof_at(corner))) +
               step('L', x.at(x.high), y.at(roof_at(x.high))),
           "roof");
  if (std::isfinite(first)) {
    svg.circle(x.at(intensity), y.at(roof.flops / first), 5, "standard",
               "default: " + print_amount(roof.flops / first, "FLOP/s"));
  }
  svg.circle(x.at(intensity), y.at(roof.flops / winner), 5, "win",
             "winner: " + print_amount(roof.flops / winner, "FLOP/s"));
  return svg.finish();
}

std::string interval_chart(const Record& record, const Time& time) {
  // Configs that are far behind would squeeze the others together.
  constexpr double kClose = 1.15;
  double best = kFailed;
  for (const Finalist& finalist : record.finalists) best = std::min(best, finalist.seconds);
  std::vector<double> ends;
  for (const Finalist& finalist : record.finalists) {
    if (finalist.seconds <= kClose * best) ends.insert(ends.end(), {finalist.low, finalist.high});
  }
  if (time.seconds > kClose * best) return "";
  std::erase_if(ends, [](double v) { return !std::isfinite(v); });
  if (ends.empty() || !std::isfinite(time.low) || !std::isfinite(time.high)) return "";
  Svg svg(160, 18, fmt::format("from {} to {}", print_seconds(time.low), print_seconds(time.high)),
          "interval");
  const Scale x = scale_of(ends, false, 4, 156);
  svg.line(0, 9, 160, 9, "grid");
  svg.line(x.at(time.low), 9, x.at(time.high), 9, "spread");
  svg.circle(x.at(time.seconds), 9, 3.5, "win");
  return svg.finish();
}

}  // namespace peri::tune
