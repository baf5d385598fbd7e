#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "commands.h"
#include "driver/tune.h"
#include "space/config.h"

namespace peri::cli {

namespace {

std::atomic<bool> interrupted = false;

// The first Ctrl-C ends the search, a second one the program.
void on_interrupt(int) {
  interrupted.store(true, std::memory_order_relaxed);
  std::signal(SIGINT, SIG_DFL);
}

tune::SessionOptions session_options(const Options& options) {
  tune::SessionOptions session;
  session.budget = options.settings.budget;
  session.is_interrupted = [] { return interrupted.load(std::memory_order_relaxed); };
  bool live = isatty(STDERR_FILENO) != 0;
  session.log = [live](const std::string& line) {
    fmt::print(stderr, "{}{}\n", live ? "\r\033[K" : "", line);
  };
  if (live) {
    session.progress = [](const std::string& line) { fmt::print(stderr, "\r\033[K{}", line); };
  }
  return session;
}

void report(Session& session, const tune::Outcome& outcome) {
  const driver::Compilation& c = session.compilation();
  session.json()["kernel"] = c.decl->name;
  session.json()["target"] = c.backend->capabilities().target;
  session.json()["config"] = outcome.best;
  session.json()["seconds"] = outcome.seconds;
  session.json()["default_seconds"] = outcome.default_seconds;
  session.json()["searched"] = outcome.searched;
  session.json()["failed"] = outcome.failed;
  session.json()["elapsed"] = outcome.elapsed;
  session.json()["interrupted"] = outcome.interrupted;
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\033[K");
  session.text(fmt::format("[{:.0f}s] {}", outcome.elapsed,
                           tune::completion_text(outcome, c.decl->static_shapes)));
  session.text(fmt::format("best {}, default {} ({:.2f}x)", tune::print_seconds(outcome.seconds),
                           tune::print_seconds(outcome.default_seconds),
                           outcome.default_seconds / outcome.seconds));
}

}  // namespace

int tune(Session& session) {
  std::signal(SIGINT, on_interrupt);
  if (auto prepared = session.prepare(); !prepared) return session.finish(prepared);
  auto outcome = driver::tune_kernel(session.compilation(), session.arguments(),
                                     session_options(session.options()));
  if (!outcome) return session.finish(std::unexpected(outcome.error()));
  report(session, *outcome);
  return session.finish({}, outcome->interrupted ? kInterrupted : kDone);
}

}  // namespace peri::cli
