// Times work on a device with the events of its stream.
#pragma once

#include <vector>

#include "base/function_ref.h"
#include "runtime/cuda/driver.h"

namespace peri::cuda {

// Work is recorded as a graph and replayed, so that the host keeps ahead of the device: what passes
// between two events is the device's time alone. Work that cannot be recorded, since it waits for
// the device, is queued anew each time. The device's context must be current, and nobody else may
// use the stream: what others queue would become part of the recording.
class Stopwatch {
 public:
  using Work = FunctionRef<Expected<void>()>;  // queues on the stream

  Stopwatch(const Driver& driver, Stream stream) : driver_(driver), stream_(stream) {}
  ~Stopwatch();
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  // Mean seconds of `batch` calls in a row, once a sample.
  Expected<std::vector<double>> time(Work call, i64 samples, i64 batch);
  // The same, with `flush` before each call; its own time, measured beside, is taken off.
  Expected<std::vector<double>> time_flushed(Work call, Work flush, i64 samples, i64 batch);

 private:
  Expected<std::vector<double>> measure(Work lead, Work calls, i64 samples, i64 batch,
                                        bool subtract);
  // `work` recorded; null if it cannot be.
  GraphExec record(Work work);
  Expected<void> replay(GraphExec recorded, Work work);
  Expected<void> mark(i64 event);
  Expected<double> seconds_between(i64 first, i64 second) const;
  Expected<void> check(Status status) const;

  const Driver& driver_;
  Stream stream_;
  std::vector<GraphExec> recorded_;
  std::vector<Event> events_;
};

}  // namespace peri::cuda
