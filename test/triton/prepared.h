// Kernels up to their config space, without a device, and code of theirs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "driver/arguments.h"
#include "driver/compile.h"

namespace peri::triton_test {

constexpr const char* kNoTriton = "no Python with Triton: scripts/triton_venv.sh makes one";

struct Case {
  std::string kernel;  // "basic/add.py:add"
  std::vector<std::pair<std::string, std::string>> args;
  std::string config = "{}";
  std::string device = "cuda:sm_90";
  std::string text = "";  // of the file, after its imports; "": it is under kernels/
};

struct Prepared {
  // Without tensors, sizes may be those of real use.
  explicit Prepared(const Case& test, bool with_tensors = true);

  std::vector<space::Config> configs(i64 count, double most_cells);
  // What `text` says, the rest by default.
  std::optional<space::Config> config(const std::string& text);
  // What is said of a config that must not be.
  std::string refusal(const std::string& text);
  // Of all grids.
  double cells(const space::Config& config) const;

  diag::Sources sources;
  diag::Diags diags;
  driver::Compilation c;
  driver::Arguments arguments;
  bool ready = false;
};

// The Triton code under what `config` says.
std::string text_of(Prepared& kernel, const std::string& config);

struct Work {
  const Prepared* kernel;
  std::string name;
  space::Config config;
};

// Compiles each of them, on two threads; `seen` is called for each under a lock.
void compile_all(const std::vector<Work>& work,
                 const std::function<void(const Work&, const backends::Compiled&)>& seen = nullptr);

}  // namespace peri::triton_test
