// A contraction as a function of its own, for tests, micro-benchmarks and callers with nothing to
// fuse.
#pragma once

#include <memory>

#include "backends/cpu/contraction.h"
#include "backends/cpu/jit.h"

namespace peri::cpu {

class ContractionKernel {
 public:
  // `plan` must be legal for the shape.
  static Expected<ContractionKernel> compile(const ContractionShape& shape,
                                             const ContractionPlan& plan, const Target& target);

  // Runs with the extents and strides of `sizes`, which must all be known, and those of the
  // compiled shape where that knows them. Scratch is allocated on the first run and kept: one
  // thread at a time.
  void run(const ContractionShape& sizes, const void* a, const void* b, void* c, i64 c_stride_m);
  // The same with the caller's scratch.
  void run(const ContractionShape& sizes, const void* a, const void* b, void* c, i64 c_stride_m,
           void* scratch) const;

 private:
  using Entry = void(const i64* sizes, const void* a, const void* b, void* c, void* scratch);
  struct Free {
    void operator()(void* memory) const;
  };

  Code code_;
  Entry* entry_ = nullptr;
  ContractionPlan plan_;
  Target target_;
  std::unique_ptr<void, Free> scratch_;
  i64 scratch_size_ = 0;
};

Expected<std::string> contraction_assembly(const ContractionShape& shape,
                                           const ContractionPlan& plan, const Target& target);

}  // namespace peri::cpu
