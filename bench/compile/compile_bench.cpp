// Time of each phase from text to machine code, memory, and the cost of a call with everything
// cached.
//
//   compile_bench [--rounds N]
//
// Medians over rounds in one process, after one round to warm up. `generate` is what one more
// config costs.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <map>

#include "../kernels/interleave.h"
#include "driver/arguments.h"
#include "driver/compile.h"
#include "runtime/device_info.h"

namespace peri::bench {
namespace {

struct Subject {
  std::string name, kernel;
  std::vector<std::pair<std::string, std::string>> args;
};

std::vector<Subject> subjects() {
  const std::string square = "zeros[4096,4096]";
  return {
      {"add", "basic/add.py:add", {{"x", square}, {"y", square}}},
      {"softmax", "basic/softmax.py:softmax", {{"x", square}}},
      {"softmax odd", "basic/softmax.py:softmax", {{"x", "zeros[1001,1003]"}}},
      {"layer_norm",
       "library/norm.py:layer_norm",
       {{"x", square}, {"weight", "zeros[4096]"}, {"bias", "zeros[4096]"}}},
      {"geglu", "library/gated.py:geglu", {{"a", square}, {"b", square}}},
      {"matmul 1024",
       "basic/matmul.py:matmul",
       {{"x", "zeros[1024,1024]"}, {"y", "zeros[1024,1024]"}}},
      {"matmul 37x129x65",
       "basic/matmul.py:matmul",
       {{"x", "zeros[37,129]"}, {"y", "zeros[129,65]"}}},
      {"attention",
       "library/attention.py:attention",
       {{"q_in", "zeros[8,1024,64]"}, {"k_in", "zeros[8,1024,64]"}, {"v_in", "zeros[8,1024,64]"}}},
  };
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Phases of one compilation, in seconds, by name.
std::map<std::string, double> compile_once(const Subject& subject) {
  diag::Sources sources;
  diag::Diags diags(sources);
  driver::Compilation c(diags);
  size_t colon = subject.kernel.rfind(':');
  c.request.file = PERI_SOURCE_DIR "/kernels/" + subject.kernel.substr(0, colon);
  c.request.kernel = subject.kernel.substr(colon + 1);
  c.request.settings.no_cache = true;
  driver::Arguments arguments;
  for (const auto& [name, spec] : subject.args) {
    arguments[name] = *driver::parse_argument(name, spec, 1, diags);
  }
  c.request.args = driver::specs_of(arguments);
  auto done = driver::compile(c);
  if (!done) fmt::print(stderr, "{}: {}\n", subject.name, done.error().message);
  std::map<std::string, double> times;
  for (const driver::PhaseReport& report : c.reports)
    times[std::string(report.phase)] = report.seconds;
  return times;
}

// Seconds of one call of a 16-element add, everything cached.
double call_seconds() {
  diag::Sources sources;
  diag::Diags diags(sources);
  driver::Compilation c(diags);
  c.request.file = PERI_SOURCE_DIR "/kernels/basic/add.py";
  c.request.settings.no_cache = true;
  driver::Arguments arguments{{"x", *driver::parse_argument("x", "ones[16]", 1, diags)},
                              {"y", *driver::parse_argument("y", "ones[16]", 1, diags)}};
  c.request.args = driver::specs_of(arguments);
  if (!driver::compile(c)) return 0;
  auto leaves = driver::leaves_of(arguments, c.lowered->host.leaf_names);
  auto run = [&] { (void)c.executable->call(leaves); };
  return interleave({{"call", run}}, 0.5)[0].median();
}

int run(i64 rounds) {
  static constexpr const char* kFront[] = {"read",  "parse", "select",   "target",
                                           "check", "lower", "optimise", "space"};
  fmt::print("{}\n\n", runtime::device_info().describe());
  fmt::print(
      "| kernel | parse | check | lower | optimise | space | text to space | generate | whole |\n"
      "|---|---|---|---|---|---|---|---|---|\n");
  for (const Subject& subject : subjects()) {
    compile_once(subject);
    std::map<std::string, std::vector<double>> samples;
    for (i64 i = 0; i < rounds; ++i) {
      std::map<std::string, double> times = compile_once(subject);
      double front = 0, whole = 0;
      for (const char* phase : kFront) front += times[phase];
      for (const auto& [phase, seconds] : times)
        whole += seconds, samples[phase].push_back(seconds);
      samples["front"].push_back(front);
      samples["whole"].push_back(whole);
    }
    fmt::print("| {} ", subject.name);
    for (const char* phase :
         {"parse", "check", "lower", "optimise", "space", "front", "generate", "whole"}) {
      fmt::print("| {:.2f} ", 1e3 * median(samples[phase]));
    }
    fmt::print("|\n");
    std::fflush(stdout);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print(
      "\nMilliseconds. Largest resident size {} MiB. A call of a 16-element add: {:.0f} ns.\n",
      usage.ru_maxrss / 1024, 1e9 * call_seconds());
  return 0;
}

}  // namespace
}  // namespace peri::bench

int main(int argc, char** argv) {
  bool given = argc == 3 && std::string(argv[1]) == "--rounds";
  if (argc > 1 && !given) {
    fmt::print(stderr, "usage: compile_bench [--rounds N]\n");
    return 2;
  }
  return peri::bench::run(given ? std::max(1, std::atoi(argv[2])) : 15);
}
