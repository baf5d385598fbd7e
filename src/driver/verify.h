// Whether a tuning record still tells the truth: its winner is timed again.
#pragma once

#include <string>
#include <vector>

#include "driver/compile.h"
#include "tune/record.h"

namespace peri::driver {

struct Verdict {
  enum class State : u8 {
    Ok,       // nothing timed is faster than the winner beyond the noise
    Stale,    // so it is, but what it was tuned for has changed
    Rotten,   // the runner-up or the default is faster now, or the winner or the default fails
    Skipped,  // not timed: `reason` says why
  };
  // A config against the winner, timed in turns.
  struct Rival {
    std::string name;           // "runner-up", "default"
    double ratio = 0;           // its time / the winner's, now
    double low = 0, high = 0;   // confidence interval of that
    double recorded_ratio = 0;  // 0: unknown
  };
  State state = State::Ok;
  std::vector<std::string> changed;  // as driver::differences names it
  std::vector<Rival> rivals;
  std::string failure;  // of the winner: why; "": none
  std::string reason;   // why nothing was timed
  std::string text() const;
};
std::string_view state_name(Verdict::State state);  // "ok", "stale", "rotten", "skipped"

// Compiles the record's kernel for its arguments, random ones of the same shapes, and times the
// winner in turns with its runner-up and the default, in a worker process as tuning does, with the
// record's threads, passes and cache mode: for about `seconds`; 0: on the host for as long as the
// record's times ask for (verify_seconds), on a device for some seconds once they are compiled. `c`
// is fresh: its request says where the caches and which settings are, and which one of several
// devices. A record whose device is not here, or the compiler for it, is skipped. Fails with the
// errors of compiling, with `bad-config` if a config of the record is not legal any more, and with
// what the environment is in the way with.
Expected<Verdict> verify(Compilation& c, const tune::Record& record, double seconds = 0);

// Seconds in which the record's configs can be told apart: thirty times a call of each.
double verify_seconds(const tune::Record& record);

// Whether an error of verify() is about what was tuned: the kernel is gone or does not compile any
// more, or its configs are not legal. Other errors are the environment's.
bool is_outdated(const Error& error, const Compilation& c);

}  // namespace peri::driver
