// The kernels and shapes that tuning is judged by: two shapes of each kernel.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "driver/arguments.h"
#include "driver/compile.h"

namespace peri::bench {

struct Case {
  std::string kernel;  // "basic/add.py:add"
  std::vector<std::pair<std::string, std::string>> args;

  std::string shapes() const;  // "x=randn[64,64] y=randn[64,64]"
};

std::vector<Case> cases();

// A case that was compiled up to its config space.
struct Subject {
  diag::Sources sources;
  diag::Diags diags{sources};
  driver::Compilation compilation{diags};
  driver::Arguments arguments;
  std::vector<runtime::Leaf> leaves;
  std::string fault;  // "": none
};

// Without `settings`: the standard ones, and no cache.
std::unique_ptr<Subject> prepare(const Case& c,
                                 const std::optional<driver::Settings>& settings = {});

}  // namespace peri::bench
