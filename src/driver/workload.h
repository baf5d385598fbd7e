// A compiled kernel as the tuner sees it: candidates are executables, checked and run on the
// arguments of a call.
#pragma once

#include <vector>

#include "driver/arguments.h"
#include "driver/check_result.h"
#include "driver/compile.h"
#include "tune/bench.h"

namespace peri::driver {

class KernelWorkload : public tune::Workload {
 public:
  // The phases up to `space` must have run. `reference_seconds`: how long the interpreter may take;
  // it samples grid cells then. All must outlive the workload; the arguments are not changed.
  KernelWorkload(const Compilation& c, const Arguments& arguments, const space::Config& standard,
                 double reference_seconds);

  Expected<Candidate> compile(const space::Config& config) override;
  Expected<tune::Accuracy> trust(const Candidate& candidate, bool is_known_good) override;
  Expected<void> check(const Candidate& candidate) override;
  void run(const Candidate& candidate) override;
  void flush_caches() override;

 private:
  void make_leaves();
  void restore() const;
  Expected<runtime::Result> run_guarded(const Candidate& candidate);
  Expected<tune::Accuracy> compare_with_reference(const runtime::Result& result);

  const Compilation& c_;
  std::vector<runtime::Leaf> pristine_leaves_;
  std::vector<i64> written_;             // leaves that calls write to
  std::vector<runtime::Tensor> copies_;  // of these, by position in `written_`
  std::vector<runtime::Leaf> leaves_;    // of calls; made by the first trust()
  Tolerance tolerance_;
  Expected<Reference> reference_;
  Trusted trusted_;
  std::vector<std::byte> flush_buffer_;
};

}  // namespace peri::driver
