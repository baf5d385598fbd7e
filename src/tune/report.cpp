#include "tune/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "space/config.h"
#include "tune/insight.h"
#include "tune/measure.h"
#include "tune/report_charts.h"
#include "tune/svg.h"

namespace peri::tune {

namespace {

constexpr std::string_view kStyle = R"css(
:root { color-scheme: light dark; --page: #fbfbfa; --card: #fff; --ink: #1d2126; --soft: #59616b;
  --rule: #dde0e4; --blue: #2463b4; --green: #137a43; --red: #b3261e; --amber: #a05a00; }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --card: #1c2024; --ink: #e8eaed;
  --soft: #a3abb5; --rule: #343a41; --blue: #7db2f5; --green: #5cc98a; --red: #f28b82;
  --amber: #f0b35a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 20px 16px 60px; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 2px; }
h2 { font-size: 1.1rem; margin: 36px 0 4px; }
p { margin: 4px 0 10px; max-width: 75ch; }
.soft { color: var(--soft); font-size: .9rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px;
  margin: 18px 0; padding: 0; }
.tile, figure, .card { background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  padding: 10px 12px; margin: 0; }
.tile dt { color: var(--soft); font-size: .85rem; }
.tile dd { margin: 0; font-size: 1.3rem; font-weight: 600; line-height: 1.25; }
.tile dd small { display: block; font-size: .8rem; font-weight: 400; color: var(--soft); }
.grid3 { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(310px, 100%), 1fr));
  gap: 10px; }
.grid4 { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(240px, 100%), 1fr));
  gap: 10px; }
figcaption { font-size: .9rem; margin-bottom: 4px; }
figcaption b { font-family: ui-monospace, monospace; font-size: .85rem; }
svg { display: block; width: 100%; height: auto; }
svg.narrow { display: none; }
@media (max-width: 640px) { svg.wide { display: none; } svg.narrow { display: block; } }
svg.interval { width: 160px; max-width: 100%; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
svg text.strong { fill: var(--green); font-weight: 700; }
.grid { stroke: var(--rule); } .axis { stroke: var(--soft); }
.dot { fill: var(--blue); fill-opacity: .55; }
.dots { stroke: var(--blue); stroke-opacity: .5; stroke-width: 4; stroke-linecap: round; }
.best, .roof { fill: none; stroke: var(--ink); stroke-width: 1.8; stroke-linejoin: round; }
.equal { stroke: var(--soft); stroke-dasharray: 4 4; }
.failed { fill: none; stroke: var(--red); stroke-width: 1.6; }
.win { fill: var(--green); stroke: var(--card); }
.standard { fill: var(--amber); stroke: var(--card); }
.least { stroke: var(--ink); stroke-width: 2; } .won { stroke: var(--green); stroke-width: 4; }
.spread { stroke: var(--green); stroke-width: 3; stroke-linecap: round; }
.key span::before { content: "\25CF\00A0"; } .key span { margin-right: 14px; white-space: nowrap; }
.key .w::before { color: var(--green); } .key .s::before { color: var(--amber); }
.key .d::before { color: var(--blue); }
.key .f::before { content: "\2715\00A0"; color: var(--red); }
.key .l::before { content: "\2014\00A0"; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 8px 6px 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; }
th { color: var(--soft); font-weight: 500; font-size: .85rem; }
td.n, th.n { text-align: right; white-space: nowrap; }
td.i, th.i { width: 180px; padding-left: 16px; }
tr.first td { border-bottom: 0; padding-bottom: 0; }
@media (max-width: 640px) { td.i, th.i { display: none; } }
code, pre { font: .82rem/1.5 ui-monospace, monospace; }
pre { margin: 4px 0 12px; white-space: pre-wrap; }
summary { cursor: pointer; color: var(--blue); }
)css";

class Page {
 public:
  explicit Page(const Record& record) : r_(record) {}

  std::string make() {
    head();
    if (r_.trials.empty()) {
      out_ += "<p>No config was tried.</p>\n";
    } else {
      tiles();
      course();
      finalists();
      knobs();
      trade_offs();
    }
    failed();
    reproduce();
    out_ += "</main>\n</body>\n</html>\n";
    return std::move(out_);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    out_ += fmt::format(format, std::forward<Args>(args)...);
  }

  static std::string safe(std::string_view text) { return escape_html(text); }

  // Numbers stay with their units.
  static std::string with_hard_spaces(std::string text) {
    for (size_t i = 1; i + 1 < text.size(); ++i) {
      bool unit = text[i + 1] == '%' || text.compare(i + 1, 2, "ms") == 0 ||
                  text.compare(i + 1, 2, "us") == 0;
      if (text[i] == ' ' && unit) text.replace(i, 1, "&#160;");
    }
    return text;
  }

  void head() {
    out_ +=
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    add("<title>Tuning of {}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n",
        safe(r_.kernel), kStyle);
    add("<h1>Tuning of {}</h1>\n<p class=\"soft\">{}<br>{}<br>{} &middot; {} &middot; {}</p>\n",
        safe(r_.kernel), safe(r_.specialization), safe(r_.machine), safe(r_.target),
        safe(r_.compiler), safe(r_.started));
  }

  void tile(std::string_view name, const std::string& value, const std::string& note) {
    add("<div class=\"tile\"><dt>{}</dt><dd>{}<small>{}</small></dd></div>\n", name, safe(value),
        safe(note));
  }

  void tiles() {
    const Time winner = time_of(r_, r_.winner), standard = time_of(r_, 0);
    const bool both = std::isfinite(winner.seconds) && std::isfinite(standard.seconds);
    out_ += "<dl class=\"tiles\">\n";
    tile("Best", seconds_text(winner.seconds), interval(winner));
    tile("Default", seconds_text(standard.seconds),
         !both ? ""
         : r_.winner == 0
             ? "nothing better was found"
             : fmt::format("{:.2f} times the best", standard.seconds / winner.seconds));
    if (r_.runner_up >= 0 && both) {
      const Time second = time_of(r_, r_.runner_up);
      tile("Runner-up", print_seconds(second.seconds),
           r_.tie ? "a tie within the noise"
                  : "+" + print_percent(second.seconds / winner.seconds - 1));
    }
    const Position at = position(r_.roofline, winner.seconds);
    if (at.fraction > 0) {
      tile("Of the roofline", print_percent(at.fraction), "limit: " + std::string(at.limiter));
    }
    i64 ok = std::ranges::count(r_.trials, Status::Ok, &Trial::status);
    tile("Configs tried", std::to_string(r_.trials.size()),
         fmt::format("{} failed", static_cast<i64>(r_.trials.size()) - ok));
    tile("Search", fmt::format("{:.1f} s", r_.elapsed),
         r_.interrupted ? "interrupted" : "ended: " + r_.stopped);
    out_ += "</dl>\n";
    if (!at.text.empty()) add("<p class=\"soft\">Limit: {}.</p>\n", safe(at.text));
  }

  static std::string seconds_text(double seconds) {
    return std::isfinite(seconds) ? print_seconds(seconds) : "none";
  }

  static std::string interval(const Time& time) {
    if (!std::isfinite(time.low) || !std::isfinite(time.high)) return "";
    return fmt::format("{} to {}", print_seconds(time.low), print_seconds(time.high));
  }

  void course() {
    const std::string wide = course_chart(r_, 1060);
    if (wide.empty()) return;
    out_ +=
        "<h2>Course of the search</h2>\n<p class=\"key soft\"><span class=\"d\">a config</span>"
        "<span class=\"s\">default</span><span class=\"w\">winner</span>"
        "<span class=\"f\">failed</span><span class=\"l\">best so far</span></p>\n<figure>\n";
    out_ += wide + course_chart(r_, 360) + "</figure>\n";
  }

  // --- the final round ---

  void finalists() {
    if (r_.finalists.empty()) return;
    std::vector<Finalist> order = r_.finalists;
    std::ranges::stable_sort(order, {}, &Finalist::seconds);
    add("<h2>Final round</h2>\n<p class=\"soft\">Timed in turns; intervals of the median at {:.0f} "
        "% "
        "confidence.{}</p>\n",
        100 * r_.confidence,
        r_.tie ? " Winner and runner-up cannot be told apart, so the earlier one was kept." : "");
    out_ +=
        "<div class=\"card\"><table>\n<thead><tr><th>Config</th><th class=\"n\">Median</th>"
        "<th class=\"n\">Against default</th><th class=\"i\">Interval</th></tr></thead>\n<tbody>\n";
    for (const Finalist& finalist : order) finalist_row(finalist);
    out_ += "</tbody></table></div>\n";
  }

  void finalist_row(const Finalist& finalist) {
    const Time time = time_of(r_, finalist.trial);
    const double standard = time_of(r_, 0).seconds;
    std::string name = fmt::format("{}", finalist.trial);
    if (finalist.trial == r_.winner) name += " winner";
    if (finalist.trial == 0) {
      name += fmt::format("{} {}", finalist.trial == r_.winner ? "," : "", start_name(r_));
    }
    if (finalist.trial == r_.runner_up) name += " runner-up";
    add("<tr class=\"first\"><td><b>{}</b></td><td class=\"n\">{}</td><td class=\"n\">{}</td>"
        "<td class=\"i\">{}</td></tr>\n",
        safe(name), with_interval(time),
        finalist.trial == 0 ? "" : fmt::format("{:.3f}", time.seconds / standard),
        interval_chart(r_, time));
    const std::string changed = finalist.trial == 0 ? "" : changes(finalist.trial);
    add("<tr><td colspan=\"4\" class=\"soft\"><code>{}</code></td></tr>\n", safe(changed));
  }

  static std::string with_interval(const Time& time) {
    std::string text = safe(print_seconds(time.seconds));
    if (!std::isfinite(time.low) || !std::isfinite(time.high)) return text;
    return text + fmt::format("<br><span class=\"soft\">{} to {}</span>",
                              safe(print_seconds(time.low)), safe(print_seconds(time.high)));
  }

  // What a config changes in the default.
  std::string changes(i64 trial) const {
    std::string text;
    for (const Difference& d : differences(r_.trials[0].config, r_.trials[trial].config)) {
      text += fmt::format("{}{}={}", text.empty() ? "" : " ", d.knob, d.to.dump());
    }
    return text;
  }

  // --- knobs, trade-offs, failures ---

  void knobs() {
    const std::vector<KnobPanel> panels = knob_panels(r_);
    if (panels.empty()) return;
    out_ +=
        "<h2>Time by knob</h2>\n<p class=\"soft\">Each dot is a config; the bars are the fastest "
        "for a value, green the winner's. Sorted by what the winner's value is worth: how much "
        "slower the fastest config without it is.</p>\n<div class=\"grid4\">\n";
    for (const KnobPanel& panel : panels) {
      add("<figure><figcaption><b>{}</b><br><span "
          "class=\"soft\">{}</span></figcaption>\n{}</figure>\n",
          safe(panel.knob), with_hard_spaces(safe(panel.note)), panel.svg);
    }
    out_ += "</div>\n";
  }

  void figure(std::string_view name, const std::string& note, const std::string& svg) {
    if (svg.empty()) return;
    add("<figure><figcaption>{}<br><span class=\"soft\">{}</span></figcaption>\n{}</figure>\n",
        name, safe(note), svg);
  }

  void trade_offs() {
    const std::string pareto = pareto_chart(r_), predicted = prediction_chart(r_),
                      roofline = roofline_chart(r_);
    if (pareto.empty() && predicted.empty() && roofline.empty()) return;
    out_ += "<h2>Compile time, prediction, roofline</h2>\n<div class=\"grid3\">\n";
    figure("Time of a call against compile time", "line: no config is better in both", pareto);
    figure("Measured time against prediction",
           fmt::format("rank correlation {:.2f}", prediction_correlation(r_)), predicted);
    figure("Roofline", "green: winner, amber: default", roofline);
    out_ += "</div>\n";
  }

  void failed() {
    const std::vector<FailureGroup> groups = failure_groups(r_);
    if (groups.empty()) return;
    out_ +=
        "<h2>Failures</h2>\n<div class=\"card\"><table>\n<thead><tr><th class=\"n\">Count</th>"
        "<th>What happened</th><th>First config</th></tr></thead>\n<tbody>\n";
    for (const FailureGroup& group : groups) {
      add("<tr><td class=\"n\">{}</td><td>{}: {}</td><td><details><summary>{}</summary><code>{}"
          "</code></details></td></tr>\n",
          group.count, safe(status_name(group.status)), safe(group.reason), group.first,
          safe(space::print_config(r_.trials[group.first].config)));
    }
    out_ += "</tbody></table></div>\n";
  }

  void reproduce() {
    out_ += "<h2>Reproduce</h2>\n<div class=\"card\">\n";
    if (!r_.trials.empty()) {
      add("<p class=\"soft\">The winner, for the kernel's "
          "decorator:</p>\n<pre>@helion.kernel(config={}, "
          "static_shapes={})</pre>\n",
          safe(print_winner(r_)), r_.static_shapes ? "True" : "False");
    }
    for (const std::string& command : commands_of(r_)) add("<pre>{}</pre>\n", safe(command));
    add("<p class=\"soft\">Strategy {}, effort {}, seed {}, {} caches, noise {}, {} timings "
        "repeated "
        "because the machine's speed changed. {}</p>\n",
        safe(r_.strategy), safe(r_.effort), r_.seed, safe(r_.cache_mode), print_percent(r_.noise),
        r_.drifts, safe(r_.accuracy.text));
    add("<p class=\"soft\">Kernel {}<br>Machine {}<br>Cache key {}</p>\n</div>\n",
        safe(r_.kernel_hash), safe(r_.fingerprint), safe(r_.key));
  }

  const Record& r_;
  std::string out_;
};

// For a POSIX shell.
std::string shell_word(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string result = "'";
  for (char c : word) result += c == '\'' ? "'\\''" : std::string(1, c);
  return result + "'";
}

// Options of any command that say what code is made for, where they are not the defaults.
std::string machine_options(const Record& record) {
  std::string options;
  if (!record.device.empty()) options += " --device " + shell_word(record.device);
  if (record.threads > 0) options += fmt::format(" --threads {}", record.threads);
  if (!record.passes_off.empty()) options += " --passes-off " + shell_word(record.passes_off);
  return options;
}

}  // namespace

std::vector<std::string> commands_of(const Record& record) {
  std::vector<std::string> commands;
  if (!record.file.empty()) {
    std::string call = shell_word(record.file + ":" + record.kernel);
    for (const std::string& argument : record.arguments) call += " --arg " + shell_word(argument);
    std::string tune = fmt::format("peri tune {} --seed {}", call, record.seed);
    if (record.budget > 0) tune += fmt::format(" --budget {:g}", record.budget);
    if (!record.strategy.empty()) tune += " --strategy " + shell_word(record.strategy);
    if (!record.effort.empty()) tune += " --effort " + shell_word(record.effort);
    if (!record.search_options.empty()) {
      tune += " --search-options " + shell_word(record.search_options);
    }
    if (record.cache_mode == "cold") tune += " --cold";
    const std::string machine = machine_options(record);
    commands.push_back(tune + machine);
    if (!record.trials.empty()) {
      const Config& config = record.trials[record.winner].config;
      commands.push_back(fmt::format("peri run {} --time --config {}{}", call,
                                     shell_word(config.dump()), machine));
    }
  }
  if (!record.key.empty()) commands.push_back("peri verify " + shell_word(record.key));
  return commands;
}

std::string html_report(const Record& record) { return Page(record).make(); }

}  // namespace peri::tune
