#include "runtime/cuda/stopwatch.h"

#include <algorithm>

namespace peri::cuda {

namespace {

constexpr i64 kSamplesQueued = 16;      // before the host waits
constexpr i64 kRecordings = 3;          // tries, as others may spoil one
constexpr double kLeastSeconds = 1e-9;  // noise may take more off than there is

}  // namespace

Stopwatch::~Stopwatch() {
  (void)driver_.stream_synchronize(stream_);  // after an error work is still queued
  for (GraphExec exec : recorded_) (void)driver_.graph_exec_destroy(exec);
  for (Event event : events_) (void)driver_.event_destroy(event);
}

Expected<void> Stopwatch::check(Status status) const {
  if (status == kSuccess) return {};
  return std::unexpected(error_of(driver_, status, "timing on the device"));
}

// Relaxed: other threads keep calling what they like. One that waits for the whole device spoils
// the recording all the same, in any mode.
GraphExec Stopwatch::record(Work work) {
  GraphExec exec = nullptr;
  Status ended = kCaptureInvalidated;
  for (i64 i = 0; i < kRecordings && ended == kCaptureInvalidated; ++i) {
    if (driver_.capture_begin(stream_, kCaptureRelaxed) != kSuccess) return nullptr;
    auto done = work();
    Graph graph = nullptr;
    ended = driver_.capture_end(stream_, &graph);
    if (done && ended == kSuccess && graph != nullptr) {
      if (driver_.graph_instantiate(&exec, graph, 0) == kSuccess) recorded_.push_back(exec);
    }
    if (graph != nullptr) (void)driver_.graph_destroy(graph);
  }
  return exec;
}

Expected<void> Stopwatch::replay(GraphExec recorded, Work work) {
  return recorded == nullptr ? work() : check(driver_.graph_launch(recorded, stream_));
}

Expected<void> Stopwatch::mark(i64 event) {
  while (static_cast<i64>(events_.size()) <= event) {
    Event made = nullptr;
    if (auto done = check(driver_.event_create(&made, 0)); !done) return done;
    events_.push_back(made);
  }
  return check(driver_.event_record(events_[event], stream_));
}

Expected<double> Stopwatch::seconds_between(i64 first, i64 second) const {
  float milliseconds = 0;
  auto done = check(driver_.event_elapsed(&milliseconds, events_[first], events_[second]));
  if (!done) return std::unexpected(done.error());
  return static_cast<double>(milliseconds) * 1e-3;
}

Expected<std::vector<double>> Stopwatch::time(Work call, i64 samples, i64 batch) {
  auto calls = [&]() -> Expected<void> {
    for (i64 i = 0; i < batch; ++i) {
      if (auto done = call(); !done) return done;
    }
    return {};
  };
  return measure(calls, calls, samples, batch, false);
}

Expected<std::vector<double>> Stopwatch::time_flushed(Work call, Work flush, i64 samples,
                                                      i64 batch) {
  auto flushes = [&]() -> Expected<void> {
    for (i64 i = 0; i < batch; ++i) {
      if (auto done = flush(); !done) return done;
    }
    return {};
  };
  auto calls = [&]() -> Expected<void> {
    for (i64 i = 0; i < batch; ++i) {
      if (auto done = flush(); !done) return done;
      if (auto done = call(); !done) return done;
    }
    return {};
  };
  return measure(flushes, calls, samples, batch, true);
}

// A sample is: lead, event, lead, event, calls, event. The first lead keeps the device busy while
// the host queues the rest.
Expected<std::vector<double>> Stopwatch::measure(Work lead, Work calls, i64 samples, i64 batch,
                                                 bool subtract) {
  // Once unrecorded: memory that it asks for is at hand then, and errors come out here.
  if (auto done = calls(); !done) return std::unexpected(done.error());
  if (auto done = check(driver_.stream_synchronize(stream_)); !done) {
    return std::unexpected(done.error());
  }
  GraphExec calls_graph = record(calls);
  GraphExec lead_graph = subtract ? record(lead) : calls_graph;
  std::vector<double> seconds;
  for (i64 begin = 0; begin < samples; begin += kSamplesQueued) {
    i64 count = std::min(kSamplesQueued, samples - begin);
    if (auto done = replay(lead_graph, lead); !done) return std::unexpected(done.error());
    for (i64 s = 0; s < count; ++s) {
      Expected<void> done = mark(3 * s);
      if (done && subtract) done = replay(lead_graph, lead);
      if (done) done = mark(3 * s + 1);
      if (done) done = replay(calls_graph, calls);
      if (done) done = mark(3 * s + 2);
      if (!done) return std::unexpected(done.error());
    }
    if (auto done = check(driver_.stream_synchronize(stream_)); !done) {
      return std::unexpected(done.error());
    }
    for (i64 s = 0; s < count; ++s) {
      auto whole = seconds_between(3 * s + 1, 3 * s + 2);
      auto alone = subtract ? seconds_between(3 * s, 3 * s + 1) : Expected<double>(0.0);
      if (!whole || !alone) return std::unexpected(whole ? alone.error() : whole.error());
      seconds.push_back(std::max(kLeastSeconds, (*whole - *alone) / static_cast<double>(batch)));
    }
  }
  return seconds;
}

}  // namespace peri::cuda
