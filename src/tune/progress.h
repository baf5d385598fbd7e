// What a tuning run says while it works: a line that is drawn again and again on a terminal, and
// lines that stay.
//
//   [12s] ████████░░░░░░░░░░░░  43 % · compiled 120 timed 98 failed 3 · best 1.23 ms (default 1.31)
//
// Pure functions; who prints decides where. Lines have no line break.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tune/record.h"
#include "tune/strategy.h"

namespace peri::tune {

struct Progress {
  double elapsed = 0, budget = 0;  // seconds; budget 0: none
  double share = 0;                // without a budget: how much of the search seems to be over
  double gain = -1;                // that going on for as long again may bring; -1: unknown
  i64 generation = 0;
  i64 compiled = 0, timed = 0, failed = 0;
  double best = 0, standard = 0;  // seconds of a call: of the best config and of the first
  std::string_view standard_name = "default";  // what the first is called
};

// Where a line goes.
struct Terminal {
  i64 columns = 80;
  bool utf8 = true;  // else ASCII only
};

// The terminal behind file `fd`. `columns` (of the environment) counts where the system does not
// know the width, `locale` (LC_ALL, LC_CTYPE or LANG, the first that is set) decides on UTF-8.
Terminal terminal_of(int fd, std::string_view columns, std::string_view locale);

// At most `terminal.columns - 1` columns: what matters least is left out first, and the bar shrinks
// before that. Without a budget the
// bar shows `share`.
std::string progress_line(const Progress& progress, const Terminal& terminal);

// "[0s] Starting pattern with population=40 on 9 knobs, 1.2e+08 configs, budget 60s"
std::string start_line(std::string_view strategy, std::string_view options, i64 knobs,
                       double configs, double budget);

// "Generation 1 starting: 40 neighbors", of 0 "Initial random population of 40 configs".
std::string begin_line(i64 generation, std::size_t count);

// "[3s] Generation 2 complete: failed=1 ok=23 min=1.1 ms mid=1.4 ms max=8 ms
// best=helion.Config(...)" Failures are those whose seconds are kFailed.
std::string generation_line(double elapsed, i64 generation, std::span<const double> seconds,
                            const Config& best);

// Columns that text takes on a terminal, one for each character of UTF-8.
i64 columns_of(std::string_view text);

// The closing lines that Helion prints.
std::string completion_text(const Record& record);

}  // namespace peri::tune
