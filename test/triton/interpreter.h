// Runs ejected modules in Triton's interpreter, in a Python process of its own.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "driver/reference.h"

namespace peri::triton_test {

// A Python with Triton and NumPy: PERI_TRITON_PYTHON, or that of build/triton-venv; "" if there is
// none.
std::string python();

struct Job {
  std::string module;                 // text
  std::vector<runtime::Leaf> leaves;  // arguments of its `call`
};

// What a job left behind, or why it failed.
struct Outcome {
  std::string error;
  nlohmann::json outputs;
  std::vector<std::string> bytes;           // of each output
  std::vector<std::string> argument_bytes;  // of each tensor argument's storage; "" for others
};

// Runs the jobs in order; `folder` takes their files.
std::vector<Outcome> interpret(const std::vector<Job>& jobs, const std::string& folder);

// The outcome's tensors in the shape of `like`.
runtime::Result result_of(const Outcome& outcome, const runtime::Result& like);

}  // namespace peri::triton_test
