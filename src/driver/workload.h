// A compiled kernel as the tuner sees it: candidates are executables, checked and run on the
// arguments of a call, on the host or on a device. The device is opened by the process that first
// makes a candidate; it throws tune::WorkloadLost when that device has stopped working.
#pragma once

#include <vector>

#include "driver/arguments.h"
#include "driver/check_result.h"
#include "driver/compile.h"
#include "driver/placed_arguments.h"
#include "tune/bench.h"

namespace peri::driver {

class KernelWorkload : public tune::Workload {
 public:
  // The phases up to `space` must have run. `reference_seconds`: how long the interpreter may take;
  // it samples grid cells then. All must outlive the workload; the arguments are not changed.
  KernelWorkload(const Compilation& c, const Arguments& arguments, const space::Config& standard,
                 double reference_seconds);

  // The same for another device: of a compilation that differs in no more.
  KernelWorkload(const KernelWorkload& other, const Compilation& c);

  Expected<Candidate> compile(const space::Config& config) override;
  Expected<tune::Accuracy> trust(const Candidate& candidate, bool is_known_good) override;
  Expected<void> check(const Candidate& candidate) override;
  void run(const Candidate& candidate) override;
  bool survives_fork() const override;         // not on a device
  bool builds_beside_timing() const override;  // for a device, whose clock does not see the host
  Expected<std::string> make(const space::Config& config) override;
  Expected<Candidate> load(const space::Config& config, const std::string& code) override;
  void flush_caches() override;
  void place_anew() override;
  double time(const Candidate& candidate, i64 batch, bool cold, const tune::Clock& clock) override;

 private:
  // By `store`, or else the compilation's.
  Expected<backends::Compiled> generate_from(const space::Config& config,
                                             backends::CodeStore* store) const;
  Expected<Candidate> compile(const space::Config& config, backends::CodeStore* store);
  Expected<void> make_leaves(const std::shared_ptr<runtime::Device>& device);
  void make_guarded_copies();
  Expected<void> restore() const;
  Expected<runtime::Result> run_guarded(const Candidate& candidate);
  Expected<tune::Accuracy> compare_with_reference(const runtime::Result& result);

  const Compilation& c_;
  std::vector<runtime::Leaf> pristine_leaves_;
  std::vector<i64> written_;             // leaves that calls write to
  std::vector<runtime::Tensor> copies_;  // of these, by position in `written_`
  PlacedArguments kept_, placed_;        // on a device: as they were, and of calls
  std::vector<runtime::Leaf> leaves_;    // of calls; made by the first trust()
  Tolerance tolerance_;
  Expected<Reference> reference_;
  Trusted trusted_;
  HostCopies host_copies_;  // of the results of the last candidate that was run
  std::vector<std::byte> flush_buffer_;
  double last_seconds_ = 1;  // that a device took for a call
};

}  // namespace peri::driver
