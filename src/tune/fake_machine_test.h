// A machine, a kernel and its config space that tests of the search share: time is what calls and
// compilations are said to take.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <mutex>
#include <string>

#include "ir/parse.h"
#include "tune/session.h"
#include "tune/strategies.h"

namespace peri::tune {

inline constexpr const char* kKernel = R"(kernel copy
  symbol @b0: int = block of b0 hint 8
  symbol @b1: int = block of b1 hint 8
  tensor x: f32[256, 256] strides [256, 1] slot 0
  tensor out: f32[256, 256] strides [256, 1] slot 1
  block b0 "tile_m": tile size=@b0 in 0..256 loop 0
  block b1 "tile_n": tile size=@b1 in 0..256 loop 0
  root (b0, b1) {
    %0: f32[b0:@b0, b1:@b1] = load x[b0, b1]
    store %0, out[b0, b1]
  }
)";

// A machine whose time passes only in calls and compilations: a call takes what `cost` says.
class FakeMachine : public Workload {
 public:
  Expected<Candidate> compile(const Config& config) override {
    std::lock_guard lock(mutex_);
    now_ += compile_seconds;
    ++compiled;
    if (broken && broken(config)) return fail("no-code", "cannot compile");
    return std::make_shared<Config>(config);
  }

  Expected<Accuracy> trust(const Candidate& candidate, bool) override {
    if (auto good = check(candidate); !good) return std::unexpected(good.error());
    return Accuracy{.text = "ok"};
  }

  Expected<void> check(const Candidate& candidate) override {
    run(candidate);
    bool bad = wrong && wrong(config_of(candidate));
    return bad ? Expected<void>(fail("wrong-result", "differs")) : Expected<void>();
  }

  Expected<Candidate> load(const Config& config, const std::string&) override {
    return std::make_shared<Config>(config);
  }

  void flush_caches() override { ++flushes; }

  void run(const Candidate& candidate) override {
    double drift = 1 + 0.3 * std::sin(static_cast<double>(++calls_) / 500);  // of the whole machine
    now_ += cost(config_of(candidate)) * drift;
  }

  Clock clock() {
    return [this] { return now_.load(); };
  }
  void pass(double seconds) { now_ += seconds; }

  std::function<double(const Config&)> cost = [](const Config&) { return 1e-3; };
  std::function<bool(const Config&)> broken, wrong;
  double compile_seconds = 2e-3;
  i64 compiled = 0, flushes = 0;

 private:
  static const Config& config_of(const Candidate& candidate) {
    return *static_cast<const Config*>(candidate.get());
  }

  std::mutex mutex_;
  std::atomic<double> now_ = 100;  // compilations pass it side by side
  i64 calls_ = 0;
};

// Cheapest at block sizes 32 and 128 with unroll 4.
inline double bowl(const Config& config) {
  auto off = [](const Config& value, double best) {
    double distance = std::log2(value.get<double>()) - std::log2(best);
    return distance * distance;
  };
  return 1e-3 * (1 + 0.1 * off(config["block_sizes"][0], 32) +
                 0.1 * off(config["block_sizes"][1], 128) + 0.1 * off(config["unroll"], 4));
}

class TuneTest : public testing::Test {
 protected:
  TuneTest() {
    kernel_ = *ir::parse(sources_.add("k.ir", kKernel), diags_);
    space::Capabilities c;
    c.target = "fake";
    c.exact_bounds = true;
    c.shared_keys = {"block_sizes", "loop_orders"};
    c.knobs = {{"unroll", space::Scope::Kernel, space::KnobKind::PowerOfTwo, 1, 16, {}, 1, ""}};
    space_ = space::derive(kernel_, {}, c);
    options_.clock = machine_.clock();
    options_.budget = 20;
    options_.log = [this](const std::string& line) { log_ += line + "\n"; };
  }

  Expected<Record> try_tune(std::unique_ptr<Strategy> strategy) {
    auto bench = local_bench(machine_, 1, machine_.clock());
    return tune::tune(*strategy, space_.defaults(), *bench, options_, blank());
  }

  // What the caller knows before the run.
  static Record blank() {
    Record record;
    record.key = "tuned-0123456789abcdef0123456789abcdef";
    record.kernel_hash = record.structure_hash = "0123456789abcdef0123456789abcdef";
    record.started = "2026-11-25T06:01:25Z";
    record.cache_mode = "warm";
    record.effort = "quick";
    return record;
  }

  Record tune(std::unique_ptr<Strategy> strategy) {
    auto record = try_tune(std::move(strategy));
    EXPECT_TRUE(record) << (record ? "" : record.error().message);
    return record ? *record : Record();
  }

  static const Config& best(const Record& record) { return record.trials[record.winner].config; }
  // How many times as fast as the default.
  static double gain(const Record& record) {
    return seconds_of(record, 0) / seconds_of(record, record.winner);
  }

  SearchProblem problem(u64 seed = 3) const {
    return {.space = space_,
            .start = space_.defaults(),
            .seeds = {},
            .predict = {},
            .effect = {},
            .seed = seed};
  }

  diag::Sources sources_;
  diag::Diags diags_{sources_};
  ir::Kernel kernel_;
  ConfigSpace space_;
  SearchOptions search_ = *search_options("pattern", Effort::Quick, "population=40, copies=3");
  FakeMachine machine_;
  SessionOptions options_;
  std::string log_;
};

}  // namespace peri::tune
