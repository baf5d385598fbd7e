#include "tune/builder.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "tune/messages.h"
#include "tune/worker.h"

namespace peri::tune {

namespace {

constexpr int kNice = 5;  // of processes that compile: timing and its threads go first

Built make(Workload& workload, const Build& build, const Clock& clock) {
  const double begin = clock();
  auto code = workload.make(build.config);
  Built built{.id = build.id, .verdict = {}, .code = {}};
  if (code) {
    built.code = *std::move(code);
  } else {
    built.verdict = verdict_of_error(code.error());
    built.error = code.error();
  }
  built.verdict.seconds = clock() - begin;
  return built;
}

class BenchBuilder : public Builder {
 public:
  explicit BenchBuilder(Bench& bench) : bench_(bench) {}

  bool is_beside_timing() const override { return false; }
  void start(Build build) override { started_.push_back(std::move(build)); }
  void abandon() override { started_.clear(); }
  const std::optional<Error>& failure() const override { return none_; }

  std::vector<Built> ready(double) override {
    const std::vector<Build> builds = std::exchange(started_, {});
    std::vector<Built> all;
    if (builds.empty()) return all;
    std::vector<Verdict> verdicts = bench_.compile(builds);
    for (std::size_t i = 0; i < builds.size(); ++i) {
      all.push_back({.id = builds[i].id, .verdict = std::move(verdicts[i]), .code = {}});
    }
    return all;
  }

 private:
  Bench& bench_;
  std::vector<Build> started_;
  std::optional<Error> none_;
};

class ThreadedBuilder : public Builder {
 public:
  ThreadedBuilder(Workload& workload, i64 threads, Clock clock)
      : workload_(workload), clock_(std::move(clock)) {
    for (i64 t = 0; t < threads; ++t) threads_.emplace_back([this] { work(); });
  }
  ~ThreadedBuilder() override {
    {
      std::lock_guard lock(mutex_);
      started_.clear();
      ends_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  bool is_beside_timing() const override { return true; }

  void start(Build build) override {
    {
      std::lock_guard lock(mutex_);
      started_.push_back(std::move(build));
    }
    changed_.notify_all();
  }

  std::vector<Built> ready(double seconds) override {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                      [&] { return !ready_.empty(); });
    return std::exchange(ready_, {});
  }

  void abandon() override {
    std::lock_guard lock(mutex_);
    started_.clear();
    ++abandoned_;
  }

  const std::optional<Error>& failure() const override { return none_; }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return ends_ || !started_.empty(); });
      if (ends_) return;
      const Build build = std::move(started_.front());
      started_.pop_front();
      const i64 epoch = abandoned_;
      lock.unlock();
      Built built = make(workload_, build, clock_);
      lock.lock();
      if (epoch != abandoned_) continue;
      ready_.push_back(std::move(built));
      changed_.notify_all();
    }
  }

  Workload& workload_;
  Clock clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Build> started_;
  std::vector<Built> ready_;
  i64 abandoned_ = 0;  // times
  bool ends_ = false;
  std::vector<std::thread> threads_;
  std::optional<Error> none_;
};

Message message_of_built(const Built& built) {
  Message message = {
      {"id", built.id}, {"verdict", message_of(built.verdict)}, {"code", built.code}};
  if (built.error) message["error"] = message_of(*built.error);
  return message;
}

Built built_of(const Message& message) {
  Built built{message["id"], verdict_of(message["verdict"]), message["code"], {}};
  if (message.contains("error")) built.error = error_of(message["error"]);
  return built;
}

class IsolatedBuilder : public Builder {
 public:
  IsolatedBuilder(Workload& workload, i64 threads, Clock clock, IsolationOptions options)
      : workload_(workload),
        threads_(std::max<i64>(threads, 1)),
        clock_(std::move(clock)),
        options_(std::move(options)) {}

  bool is_beside_timing() const override { return true; }

  void start(Build build) override {
    started_.push_back(std::move(build));
    send_next();
  }

  std::vector<Built> ready(double seconds) override {
    receive(seconds);
    end_hanging();
    send_next();
    return std::exchange(ready_, {});
  }

  void abandon() override {
    worker_.reset();
    started_.clear();
    running_.clear();
  }

  const std::optional<Error>& failure() const override { return failure_; }

 private:
  struct Running {
    Build build;
    double since = 0;
  };

  bool start_worker() {
    if (worker_) return true;
    auto serve = [this](const std::string& text) {
      setpriority(PRIO_PROCESS, 0, kNice);  // of this thread, and of what it starts
      const Message request = unpack(text);
      return pack(message_of_built(make(workload_, build_of(request), clock_)));
    };
    auto worker = Worker::start(serve, options_.memory_bytes, threads_);
    if (worker) {
      worker_ = std::move(*worker);
    } else {
      failure_ = worker.error();
    }
    return worker_ != nullptr;
  }

  // As many as are made at once, so that the time of each is known; a suspect alone.
  void send_next() {
    while (!started_.empty() && static_cast<i64>(running_.size()) < threads_) {
      Build& next = started_.front();
      const bool is_alone = suspects_.contains(next.id) ||
                            (!running_.empty() && suspects_.contains(running_.begin()->first));
      if (is_alone && !running_.empty()) return;
      if (!start_worker()) return;
      (void)worker_->send(pack(message_of(next)));  // a death is seen by receive()
      running_[next.id] = {std::move(next), clock_()};
      started_.pop_front();
    }
  }

  void receive(double seconds) {
    while (worker_ && !running_.empty()) {
      auto answer = worker_->receive(ready_.empty() ? seconds : 0);
      if (!answer) return end_worker(answer.error());
      if (!*answer) return;
      Built built = built_of(unpack(**answer));
      running_.erase(built.id);
      suspects_.erase(built.id);
      ready_.push_back(std::move(built));
    }
  }

  // Whoever is alone is to blame; of several, each is tried again.
  void end_worker(const Death& death) {
    worker_.reset();
    const bool is_certain = running_.size() == 1;
    for (auto& [id, running] : std::exchange(running_, {})) {
      if (is_certain) {
        give_up(id, verdict_of_death(death), running.since);
      } else {
        suspects_.insert(id);
        started_.push_front(std::move(running.build));
      }
    }
  }

  void end_hanging() {
    const double now = clock_();
    auto hangs = [&](const auto& entry) {
      return now - entry.second.since > options_.compile_limit;
    };
    if (std::ranges::none_of(running_, hangs)) return;
    worker_.reset();
    for (auto& [id, running] : std::exchange(running_, {})) {
      if (now - running.since > options_.compile_limit) {
        give_up(id, {Status::Hung, "compiling takes too long"}, running.since);
      } else {
        started_.push_front(std::move(running.build));
      }
    }
  }

  void give_up(i64 id, Verdict verdict, double since) {
    suspects_.erase(id);
    verdict.seconds = clock_() - since;
    ready_.push_back({.id = id, .verdict = std::move(verdict), .code = {}});
  }

  Workload& workload_;
  i64 threads_;
  Clock clock_;
  IsolationOptions options_;
  std::unique_ptr<Worker> worker_;
  std::deque<Build> started_;
  std::map<i64, Running> running_;  // sent to the worker
  std::set<i64> suspects_;          // were running when a worker died
  std::vector<Built> ready_;
  std::optional<Error> failure_;
};

}  // namespace

std::unique_ptr<Builder> bench_builder(Bench& bench) {
  return std::make_unique<BenchBuilder>(bench);
}

std::unique_ptr<Builder> threaded_builder(Workload& workload, i64 threads, Clock clock) {
  return std::make_unique<ThreadedBuilder>(workload, threads, std::move(clock));
}

std::unique_ptr<Builder> isolated_builder(Workload& workload, i64 threads, Clock clock,
                                          IsolationOptions options) {
  return std::make_unique<IsolatedBuilder>(workload, threads, std::move(clock), std::move(options));
}

}  // namespace peri::tune
