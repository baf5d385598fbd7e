// Invented costs over real config spaces, to compare search strategies without a machine.
//
// Costs are built as kernels' times are: every knob has a best value near the default, some knobs
// hardly matter, pairs of knobs interact, and large tiles fall off a cliff.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "driver/compile.h"
#include "tune/strategy.h"

namespace peri::search {

using tune::Config;
using tune::ConfigSpace;

enum class Shape : u8 {
  Smooth,     // one basin
  Plateaus,   // differences under 5 % vanish
  Failures,   // a quarter of the space does not work
  Deceptive,  // the best basin is narrow and far from the wide one
  Rugged,     // strong interactions, and 3 % that no knob explains
};
constexpr Shape kShapes[] = {Shape::Smooth, Shape::Plateaus, Shape::Failures, Shape::Deceptive,
                             Shape::Rugged};
std::string_view shape_name(Shape shape);

class Landscape {
 public:
  Landscape(const ConfigSpace& space, Config start, Shape shape, u64 seed);

  // Seconds of a call; kFailed for what does not work. The start always works.
  double cost(const Config& config) const;
  // The cost with a relative error of about `noise`, another one for another `trial`.
  double measure(const Config& config, double noise, u64 trial) const;
  // What a cost model might say: right about half of what matters, in logarithms.
  double predict(const Config& config) const;
  // The lowest cost that many descents find.
  double lowest() const;
  const Config& start() const { return start_; }
  const ConfigSpace& space() const { return space_; }

 private:
  struct Term {  // of one knob
    double best = 0, weight = 0, narrow = 0;
    bool ordered = false;
    std::vector<double> choices;
  };
  struct Pair {
    i64 a = 0, b = 0;
    double offset = 0, weight = 0;
  };

  double position(const Config& config, i64 knob) const;
  bool works(const Config& config) const;
  double descend(Config config) const;

  const ConfigSpace& space_;
  Config start_;
  Shape shape_;
  u64 seed_;
  std::vector<Term> terms_;
  std::vector<Pair> pairs_;
};

// The space of a kernel under kernels/, with its default config. Of the target's own knobs it has
// only some, which bear no relation to those of the day.
class KernelSpace {
 public:
  // `args` as on the command line: {"x", "zeros[64,64]"}; `all_knobs`: those of the day.
  KernelSpace(const std::string& kernel,
              const std::vector<std::pair<std::string, std::string>>& args, bool all_knobs = false);
  const std::string& name() const { return name_; }
  const ConfigSpace& space() const { return space_; }
  const Config& start() const { return start_; }
  const driver::Compilation& compilation() const { return compilation_; }

 private:
  std::string name_;
  diag::Sources sources_;
  diag::Diags diags_{sources_};
  driver::Compilation compilation_{diags_};
  ConfigSpace space_;
  Config start_;
};

// Runs `strategy` on `landscape` for `evaluations`; the true cost of the config that looks best
// after each one.
std::vector<double> replay(tune::Strategy& strategy, const Landscape& landscape, i64 evaluations,
                           double noise, u64 seed);

}  // namespace peri::search
