// Sessions with several benches, each in a thread.
#include <gmock/gmock.h>

#include <atomic>
#include <latch>
#include <set>

#include "tune/fake_machine_test.h"

namespace peri::tune {
namespace {

using testing::HasSubstr;

// A device on which calls take what `cost` says, times `slowness`. Time is real, and plays no part.
class FakeDevice : public Workload {
 public:
  Expected<Candidate> compile(const Config& config) override {
    return std::make_shared<Config>(config);
  }
  Expected<Accuracy> trust(const Candidate& candidate, bool) override {
    if (is_broken) return fail("device-fault", "it does not work");
    return check(candidate) ? Accuracy{.text = "ok"} : Accuracy{};
  }
  Expected<void> check(const Candidate&) override {
    if (++checks == 2 && meeting != nullptr)
      meeting->arrive_and_wait();  // the first is the default
    return {};
  }
  void run(const Candidate&) override {}
  void flush_caches() override {}
  double time(const Candidate& candidate, i64, bool, const Clock&) override {
    if (++timings >= lost_at) throw WorkloadLost({"device-fault", "it is gone", ""});
    return slowness * cost(*static_cast<const Config*>(candidate.get()));
  }

  std::function<double(const Config&)> cost = bowl;
  double slowness = 1;
  bool is_broken = false;
  i64 lost_at = INT64_MAX;        // timings
  std::latch* meeting = nullptr;  // of devices that each have a candidate
  std::atomic<i64> checks = 0, timings = 0;
};

// A bench that fails for good at a check.
class LosingBench : public Bench {
 public:
  LosingBench(std::unique_ptr<Bench> bench, i64 checks)
      : bench_(std::move(bench)), checks_(checks) {}
  Expected<Accuracy> trust(const Build& build, bool is_known_good) override {
    return bench_->trust(build, is_known_good);
  }
  std::vector<Verdict> compile(std::span<const Build> builds) override {
    return bench_->compile(builds);
  }
  Verdict check(i64 id, double limit) override {
    if (--checks_ > 0) return bench_->check(id, limit);
    failure_ = Error{"no-device", "it fell off the bus", ""};
    return {Status::Skipped, failure_->message};
  }
  TimeResult time(const TimeRequest& request) override { return bench_->time(request); }
  void drop(std::span<const i64> ids) override { bench_->drop(ids); }
  void end_by(double time) override { bench_->end_by(time); }
  const std::optional<Error>& failure() const override { return failure_; }

 private:
  std::unique_ptr<Bench> bench_;
  i64 checks_;
  std::optional<Error> failure_;
};

class LanesTest : public TuneTest {
 protected:
  LanesTest() {
    options_.clock = steady_clock();
    options_.budget = 60;
    options_.batch = 4;
    for (FakeDevice& device : devices_) {
      device.meeting = &meeting_;
      benches_.push_back(local_bench(device, 1, options_.clock));
    }
    for (i64 block : {1, 2, 4, 8, 16, 32, 64, 128}) {  // from slow to fast, and back
      for (i64 unroll : {16, 8, 2, 1, 4}) {
        Config config = space_.defaults();
        config["block_sizes"] = {block, 64};
        config["unroll"] = unroll;
        if (config != space_.defaults()) configs_.push_back(config);
      }
    }
  }

  Expected<Record> run() {
    std::vector<Bench*> benches;
    for (const auto& bench : benches_) benches.push_back(bench.get());
    auto builder = threaded_builder(devices_[0], 2, options_.clock);
    auto strategy = finite_search(configs_);
    return tune::tune(*strategy, space_.defaults(), benches, *builder, options_, blank());
  }

  void lose(std::size_t bench, i64 checks) {
    benches_[bench] = std::make_unique<LosingBench>(std::move(benches_[bench]), checks);
  }

  void expect_all_measured(const Record& record) {
    std::set<std::string> seen;
    for (const Trial& trial : record.trials) {
      EXPECT_TRUE(seen.insert(trial.config.dump()).second);
    }
    EXPECT_EQ(seen.size(), configs_.size() + 1);
  }

  std::latch meeting_{2};
  FakeDevice devices_[2];
  std::vector<std::unique_ptr<Bench>> benches_;
  std::vector<Config> configs_;
};

TEST_F(LanesTest, DevicesShareTheCandidates) {
  devices_[1].slowness = 2;
  auto record = run();
  ASSERT_TRUE(record) << record.error().message;
  expect_all_measured(*record);
  EXPECT_EQ(count_failures(*record), 0);
  EXPECT_GT(devices_[0].checks, 1);
  EXPECT_GT(devices_[1].checks, 1);
  EXPECT_EQ(devices_[0].checks + devices_[1].checks, configs_.size() + 2);
  for (const Trial& trial : record->trials) {  // on the first one's scale
    EXPECT_NEAR(trial.seconds / bowl(trial.config), 1, 1e-3);
  }
  for (const Finalist& finalist : record->finalists) {
    EXPECT_NEAR(finalist.seconds / bowl(record->trials[finalist.trial].config), 1, 1e-3);
  }
  EXPECT_EQ(best(*record)["block_sizes"][0], 32);
  EXPECT_EQ(best(*record)["unroll"], 4);
}

TEST_F(LanesTest, ADeviceThatIsLostCostsItsCandidateOnly) {
  lose(1, 1);
  meeting_.count_down();  // it meets nobody
  auto record = run();
  ASSERT_TRUE(record) << record.error().message;
  expect_all_measured(*record);
  EXPECT_LE(count_failures(*record), 1);
  EXPECT_EQ(record->stopped, "nothing left to try");
}

TEST_F(LanesTest, TheFirstDeviceMayBeLostToo) {
  lose(0, 2);
  auto record = run();
  ASSERT_TRUE(record) << record.error().message;
  expect_all_measured(*record);
  EXPECT_LE(count_failures(*record), 1);
  EXPECT_THAT(log_, HasSubstr("a device is lost: it fell off the bus"));
  EXPECT_FALSE(record->finalists.empty());  // on the second
}

TEST_F(LanesTest, ADeviceThatDoesNotWorkIsLeftOut) {
  devices_[1].is_broken = true;
  meeting_.count_down();
  auto record = run();
  ASSERT_TRUE(record) << record.error().message;
  expect_all_measured(*record);
  EXPECT_EQ(count_failures(*record), 0);
  EXPECT_EQ(devices_[1].timings, 0);
  EXPECT_THAT(log_, HasSubstr("device 2 of 2 is left out: it does not work"));
}

TEST_F(LanesTest, WithoutAnyDeviceTheBestSoFarStays) {
  meeting_.count_down();
  lose(0, 20);
  devices_[1].is_broken = true;
  auto record = run();
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->stopped, "no worker");
  EXPECT_THAT(log_, HasSubstr("the search ends early: it fell off the bus"));
  EXPECT_EQ(record->trials.size(), 21);
  EXPECT_EQ(count_failures(*record), 1);
  EXPECT_LT(record->trials[record->winner].seconds, record->trials[0].seconds);
  EXPECT_TRUE(parse_record(print_record(*record)));
}

TEST_F(LanesTest, ADeviceLostInThisProcessEndsTheSearch) {
  meeting_.count_down();
  devices_[1].is_broken = true;
  devices_[0].lost_at = 400;
  auto record = run();
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->stopped, "no worker");
  EXPECT_EQ(record->trials.back().status, Status::Crashed);
  EXPECT_EQ(record->trials.back().reason, "it is gone");
  devices_[0].lost_at = 1;
  record = run();
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, "device-fault");
}

}  // namespace
}  // namespace peri::tune
