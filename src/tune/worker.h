// A child process that runs what may crash, hang or leak.
//
// The child is a fork: it has everything that the parent had when it was started, and answers
// requests until it is told to stop, dies, or its parent does.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/expected.h"
#include "base/ids.h"

namespace peri::tune {

inline constexpr const char* kOutOfTime = "the time for tuning is up";

// How a worker ended.
struct Death {
  enum class Kind : u8 { Died, Hung, Interrupted, OutOfTime } kind = Kind::Died;
  std::string reason;  // "SIGSEGV", "exit status 3", "no answer within 2.0 s", "interrupted"
  bool was_busy = false;  // it hung though it had the CPU: waiting again would tell nothing new
};

class Worker {
 public:
  // How many times as long a child that got little of the CPU is waited for.
  static constexpr double kStarved = 4;

  // Answers one request; runs in the child.
  using Serve = std::function<std::string(const std::string& request)>;

  // Forks, when no other thread holds fork_lock(). The child may use `memory_bytes` more than it
  // begins with (0: no limit). With several threads, requests are served side by side, and answered
  // as they get done. Fails with `worker-failed`.
  static Expected<std::unique_ptr<Worker>> start(Serve serve, i64 memory_bytes, i64 threads = 1);
  ~Worker();  // kills the child
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // The answer, or how the worker ended: after a death nothing more may be asked. A child that says
  // nothing for `seconds` is killed; one that got little of the CPU in that time is given kStarved
  // times as long. After `most` seconds it is killed in any case: it is out of time.
  std::expected<std::string, Death> ask(const std::string& request, double seconds,
                                        const std::function<bool()>& is_interrupted = {},
                                        double most = HUGE_VAL);

  // For several requests at a time. False if the worker has ended.
  bool send(const std::string& request);
  // The next answer to any of them, none if there is none within `seconds`, or how the worker
  // ended.
  std::expected<std::optional<std::string>, Death> receive(double seconds);

 private:
  Worker(int pid, int socket, int log) : pid_(pid), socket_(socket), log_(log) {}
  Death death();
  Death kill(Death::Kind kind, std::string reason);
  std::string last_words() const;
  double cpu_seconds() const;

  int pid_, socket_, log_;
};

}  // namespace peri::tune
