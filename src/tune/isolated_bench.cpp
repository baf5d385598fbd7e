// A bench whose work is done by a worker process.
//
// The worker compiles and times; a fork of it, the checker, runs each candidate for the first time.
// Nearly all that crash or hang do so there, and cost a fork instead of everything compiled.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "tune/bench.h"
#include "tune/messages.h"
#include "tune/worker.h"

namespace peri::tune {

namespace {

using Json = Message;

constexpr double kTrustSeconds = 600;  // a call of the default config, and comparing its results
constexpr double kForkSeconds = 10;    // for a checker, beyond its checks
constexpr i64 kKnownChecks = 8;        // from which it is known what they take
constexpr double kCheckFactor = 5;     // a sound one may take as many times their mean

// The worker's side: answers with a local bench.
class Server {
 public:
  Server(Workload& workload, i64 compile_threads, const Clock& clock, i64 memory_bytes)
      : bench_(local_bench(workload, compile_threads, clock)),
        memory_bytes_(memory_bytes),
        forks_(workload.survives_fork()) {}

  std::string answer(const std::string& text) {
    const Json answer = answer_to(unpack(text));
    end_if_lost();
    return pack(answer);
  }

 private:
  Json answer_to(const Json& request) {
    std::string verb = request["verb"];
    if (verb == "trust") return trust(request);
    if (verb == "compile") return compile(request);
    if (verb == "check") return message_of(check(request));
    return time(request);
  }

  // The next process may find the device at work again.
  void end_if_lost() const {
    if (bench_->failure()) throw WorkloadLost(*bench_->failure());
  }

  Json trust(const Json& request) {
    const bool is_known_good = request["is_known_good"];
    if (!is_known_good) has_run_.insert(0);  // the first time that a session takes is a rough one
    auto accuracy = bench_->trust(build_of(request["build"]), is_known_good);
    if (!accuracy) {
      return {{"failure", message_of(accuracy.error())}};
    }
    return {{"error", accuracy->error},         {"allowed", accuracy->allowed},
            {"compared", accuracy->compared},   {"cells", accuracy->cells},
            {"cells_run", accuracy->cells_run}, {"text", accuracy->text}};
  }

  Json compile(const Json& request) {
    checker_.reset();  // it would lack these
    const std::vector<i64> dropped = request["dropped"];
    for (i64 id : dropped) has_run_.erase(id);
    bench_->drop(dropped);
    std::vector<Build> builds;
    for (const Json& build : request["builds"]) builds.push_back(build_of(build));
    Json verdicts = Json::array();
    for (const Verdict& verdict : bench_->compile(builds)) verdicts.push_back(message_of(verdict));
    return verdicts;
  }

  Verdict check(const Json& request) {
    const i64 id = request["id"];
    if (!forks_) return bench_->check(id, 0);
    if (request["afresh"]) checker_.reset();
    if (!checker_) {
      auto serve = [this](const std::string& text) {
        const Verdict verdict = bench_->check(unpack(text), 0);
        end_if_lost();
        return pack(message_of(verdict));
      };
      auto started = Worker::start(serve, memory_bytes_);
      if (!started) return {Status::Skipped, started.error().message};
      checker_ = std::move(*started);
    }
    auto answer = checker_->ask(pack(id), request["limit"]);
    if (answer) return verdict_of(unpack(*answer));
    checker_.reset();
    return verdict_of_death(answer.error());
  }

  Json time(const Json& request) {
    TimeRequest time{request["ids"], request["rounds"], request["batch"], request["cold"]};
    for (i64 id : time.ids) {  // first calls take fresh memory
      if (forks_ && has_run_.insert(id).second) (void)bench_->time({.ids = {id}});
    }
    return bench_->time(time).samples;
  }

  std::unique_ptr<Bench> bench_;
  i64 memory_bytes_;
  bool forks_;
  std::unique_ptr<Worker> checker_;
  std::set<i64> has_run_;  // in this process
};

class IsolatedBench : public Bench {
 public:
  IsolatedBench(Workload& workload, i64 compile_threads, Clock clock, IsolationOptions options)
      : workload_(workload),
        compile_threads_(compile_threads),
        clock_(std::move(clock)),
        options_(std::move(options)),
        forks_(workload.survives_fork()) {}

  Expected<Accuracy> trust(const Build& build, bool is_known_good) override {
    builds_[0] = build;
    auto answer = start(is_known_good);
    if (!answer) return std::unexpected(answer.error());
    const Json& json = *answer;
    return Accuracy{json["error"], json["allowed"],   json["compared"],
                    json["cells"], json["cells_run"], json["text"]};
  }

  std::vector<Verdict> compile(std::span<const Build> builds) override {
    for (const Build& build : builds) builds_[build.id] = build;
    auto verdicts = compile_here(builds);
    if (verdicts) return *std::move(verdicts);
    if (builds.size() == 1 || verdicts.error().status == Status::Skipped) {
      return std::vector<Verdict>(builds.size(), verdicts.error());
    }
    std::vector<Verdict> each;  // one of them is to blame: which?
    for (const Build& build : builds) each.push_back(compile({&build, 1})[0]);
    return each;
  }

  Verdict check(i64 id, double limit) override {
    limit += comparing_seconds();
    const double begin = clock_();
    Verdict first = check_here(id, limit);
    if (first.ok()) {
      check_seconds_ += clock_() - begin;
      ++checks_;
    } else {
      compiled_.erase(id);
    }
    bool may_be_damage = first.status == Status::Crashed || first.status == Status::WrongResult;
    if (!may_be_damage || is_cut_) return first;
    bool is_intact = first.status == Status::WrongResult &&
                     !first.reason.starts_with(kOutOfBounds) &&
                     check_here(0, limit).ok();  // whatever earlier candidates did
    if (is_intact) return first;
    if (!forks_) stop();
    Verdict second = check_here(id, limit, true);
    if (!second.ok() && !forks_) stop();  // it may have written anywhere
    return second;
  }

  TimeResult time(const TimeRequest& request) override {
    TimeResult first = time_here(request);
    if (first.verdict.status != Status::Crashed || is_cut_) return first;
    return time_here(request);
  }

  void drop(std::span<const i64> ids) override {
    for (i64 id : ids) {
      builds_.erase(id);
      compiled_.erase(id);
      if (built_.erase(id) > 0) dropped_.push_back(id);
    }
  }

  void end_by(double time) override { end_ = time; }

  const std::optional<Error>& failure() const override { return failure_; }

 private:
  // That comparing results may take: as long as trust() took, until checks have told better.
  double comparing_seconds() const {
    if (checks_ < kKnownChecks) return trust_seconds_;
    return std::min(trust_seconds_, kCheckFactor * check_seconds_ / static_cast<double>(checks_));
  }

  // A worker that has the trusted candidate.
  Expected<Json> start(bool is_known_good) {
    auto server =
        std::make_shared<Server>(workload_, compile_threads_, clock_, options_.memory_bytes);
    auto worker = Worker::start([server](const std::string& text) { return server->answer(text); },
                                options_.memory_bytes);
    if (!worker) return std::unexpected(worker.error());
    worker_ = std::move(*worker);
    built_ = {0};
    Json request = {
        {"verb", "trust"}, {"build", message_of(builds_.at(0))}, {"is_known_good", is_known_good}};
    double begin = clock_();
    auto answer = ask(request, kTrustSeconds);
    trust_seconds_ = std::max(trust_seconds_, clock_() - begin);
    if (!answer) stop();
    if (!answer && answer.error().kind == Death::Kind::OutOfTime) {
      return fail("default-too-slow",
                  fmt::format("the default config gave no result: {}", answer.error().reason),
                  "give more seconds with --budget");
    }
    if (!answer) {
      return fail("default-crashed",
                  fmt::format("the default config ended its worker: {}", answer.error().reason),
                  "this is a bug of the compiler: please report it with the kernel");
    }
    if (!answer->contains("failure")) return *answer;
    stop();
    return std::unexpected(error_of((*answer)["failure"]));
  }

  void stop() {
    worker_.reset();
    built_.clear();
    dropped_.clear();
  }

  std::expected<Json, Death> ask(const Json& request, double limit) {
    const double left = end_ - clock_();
    if (left <= 0) {
      is_cut_ = true;
      return std::unexpected(Death{Death::Kind::OutOfTime, kOutOfTime});
    }
    auto answer = worker_->ask(pack(request), limit, options_.is_interrupted, left);
    if (answer) return unpack(*answer);
    is_cut_ = answer.error().kind == Death::Kind::Interrupted ||
              answer.error().kind == Death::Kind::OutOfTime;
    stop();
    return std::unexpected(answer.error());
  }

  // Starts a worker if there is none, and builds what it lacks of `ids`, and with them all that an
  // earlier one had: side by side, for their turn will come.
  std::optional<Verdict> prepare(std::span<const i64> ids, bool rebuilds_all = true) {
    if (!worker_) {
      if (auto started = start(true); !started) {
        if (!is_cut_) failure_ = started.error();
        return Verdict{Status::Skipped, started.error().message};
      }
    }
    std::vector<Build> missing;
    for (i64 id : ids) {
      if (!built_.contains(id)) missing.push_back(builds_.at(id));
    }
    for (i64 id : compiled_) {
      bool is_wanted = rebuilds_all && !missing.empty() && !built_.contains(id);
      if (is_wanted && std::ranges::find(ids, id) == ids.end()) {
        missing.push_back(builds_.at(id));
      }
    }
    if (missing.empty()) return std::nullopt;
    auto made = compile_here(missing);
    return made ? std::nullopt : std::optional(made.error());
  }

  std::expected<std::vector<Verdict>, Verdict> compile_here(std::span<const Build> builds) {
    if (auto failed = prepare({})) return std::unexpected(*failed);
    Json list = Json::array();
    for (const Build& build : builds) list.push_back(message_of(build));
    auto answer =
        ask({{"verb", "compile"}, {"builds", list}, {"dropped", std::exchange(dropped_, {})}},
            options_.compile_limit);
    if (!answer) return std::unexpected(verdict_of_death(answer.error()));
    std::vector<Verdict> verdicts;
    for (const Json& verdict : *answer) {
      verdicts.push_back(verdict_of(verdict));
      i64 id = builds[verdicts.size() - 1].id;
      if (verdicts.back().ok()) built_.insert(id), compiled_.insert(id);
    }
    return verdicts;
  }

  // `afresh`: where no other candidate has run.
  Verdict check_here(i64 id, double limit, bool afresh = false) {
    if (auto failed = prepare({&id, 1}, !afresh)) return *failed;
    Json request = {{"verb", "check"}, {"id", id}, {"limit", limit}, {"afresh", afresh}};
    auto answer = ask(request, forks_ ? Worker::kStarved * limit + kForkSeconds : limit);
    return answer ? verdict_of(*answer) : verdict_of_end(answer.error());
  }

  // Waiting for a device may take the CPU, whoever else uses the device.
  Verdict verdict_of_end(const Death& death) const {
    Verdict verdict = verdict_of_death(death);
    verdict.is_certain = verdict.is_certain && forks_;
    return verdict;
  }

  TimeResult time_here(const TimeRequest& request) {
    TimeResult result;
    if (auto failed = prepare(request.ids)) {
      result.verdict = *failed;
      return result;
    }
    auto answer = ask({{"verb", "time"},
                       {"ids", request.ids},
                       {"rounds", request.rounds},
                       {"batch", request.batch},
                       {"cold", request.cold}},
                      request.limit);
    if (answer) {
      result.samples = answer->get<std::vector<std::vector<double>>>();
    } else {
      result.verdict = verdict_of_end(answer.error());
    }
    return result;
  }

  Workload& workload_;
  i64 compile_threads_;
  Clock clock_;
  IsolationOptions options_;
  bool forks_;
  std::map<i64, Build> builds_;  // that may be asked for; 0 is the trusted one
  std::set<i64> compiled_;       // once; not those that failed a check
  std::set<i64> built_;          // in the worker
  std::vector<i64> dropped_;     // still in the worker, until the next request to compile
  std::unique_ptr<Worker> worker_;
  double trust_seconds_ = 0;  // that trusting took at most
  i64 checks_ = 0;            // that went well
  double check_seconds_ = 0;  // of these
  double end_ = HUGE_VAL;     // of all requests
  bool is_cut_ = false;       // what failed last did so by the user, or out of time
  std::optional<Error> failure_;
};

}  // namespace

std::unique_ptr<Bench> isolated_bench(Workload& workload, i64 compile_threads, Clock clock,
                                      IsolationOptions options) {
  return std::make_unique<IsolatedBench>(workload, compile_threads, std::move(clock),
                                         std::move(options));
}

}  // namespace peri::tune
