// Measures kernels against the bars that the project sets itself, interleaved with their baselines.
//
//   bars [--demo] [--list] [--filter TEXT] [--seconds S] [--out FILE.md]
//
// Each row times the default config, the tuned one (if the cache has one: see `peri tune`) and the
// baseline in turns within one process. A ratio is the median over the rounds. --demo prints the
// tour's rows with their correctness check. --list prints what `peri tune` must be given for the
// rows, one line each.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "../kernels/fma_peak.h"
#include "../kernels/interleave.h"
#include "../tune/cases.h"
#include "baselines.h"
#include "driver/arguments.h"
#include "driver/check_result.h"
#include "driver/compile.h"
#include "runtime/device_info.h"
#include "runtime/npy.h"

namespace peri::bench {
namespace {

enum class Against : u8 { Copy, Read, Sgemm, BetterGemm, TwoSgemms, OwnF32, Nothing };

struct Row {
  std::string name;
  std::string kernel;  // "basic/matmul.py:matmul"
  std::vector<std::pair<std::string, std::string>> args;
  Against against = Against::Nothing;
  i64 bytes = 0;            // Copy, Read: bytes moved
  i64 m = 0, k = 0, n = 0;  // matmuls
  i64 batches = 1;
  i64 threads = 1;
  double bar = 0;  // speed relative to the baseline that is asked for; 0: none
  bool demo = false;

  double flops() const { return 2.0 * static_cast<double>(m * k * n * batches); }
};

Row matmul(i64 m, i64 k, i64 n, Against against, double bar, i64 threads = 1, bool demo = false) {
  Row row;
  row.name = fmt::format("matmul f32 {}x{}x{}{}", m, k, n, threads > 1 ? " two threads" : "");
  row.kernel = "basic/matmul.py:matmul";
  row.args = {{"x", fmt::format("randn[{},{}]", m, k)}, {"y", fmt::format("randn[{},{}]", k, n)}};
  row.against = against;
  row.m = m, row.k = k, row.n = n;
  row.threads = threads;
  row.bar = bar;
  row.demo = demo;
  return row;
}

Row streaming(std::string name, std::string kernel,
              std::vector<std::pair<std::string, std::string>> args, i64 megabytes, double slowest,
              bool demo = false, Against against = Against::Copy) {
  Row row;
  row.name = std::move(name);
  row.kernel = std::move(kernel);
  row.args = std::move(args);
  row.against = against;
  row.bytes = megabytes << 20;
  row.bar = 1 / slowest;
  row.demo = demo;
  return row;
}

std::vector<Row> rows() {
  const std::string square = "randn[4096,4096]", vector = "randn[4096]";
  std::vector<Row> all{
      matmul(512, 512, 512, Against::Sgemm, 1.0),
      matmul(1024, 1024, 1024, Against::Sgemm, 1.0, 1, true),
      matmul(2048, 2048, 2048, Against::Sgemm, 1.0),
      matmul(2048, 2048, 2048, Against::Sgemm, 0.95, 2),
      matmul(37, 129, 65, Against::BetterGemm, 1.0),
      matmul(96, 96, 96, Against::BetterGemm, 1.0),
      matmul(128, 128, 128, Against::BetterGemm, 1.0, 1, true),
      matmul(1000, 17, 333, Against::BetterGemm, 1.0),
      matmul(1, 4096, 4096, Against::BetterGemm, 1.0),
  };
  Row half = matmul(1024, 1024, 1024, Against::OwnF32, 1.6);
  half.name = "matmul bf16 1024x1024x1024 against own f32";
  half.args = {{"x", "randn[1024,1024]:bf16"}, {"y", "randn[1024,1024]:bf16"}};
  all.push_back(half);
  all.push_back(streaming("softmax f32 4096x4096", "basic/softmax.py:softmax", {{"x", square}}, 128,
                          1.35, true));
  all.push_back(streaming("layer_norm f32 4096x4096", "library/norm.py:layer_norm",
                          {{"x", square}, {"weight", vector}, {"bias", vector}}, 128, 1.35, true));
  all.push_back(streaming("rms_norm f32 4096x4096", "library/norm.py:rms_norm",
                          {{"x", square}, {"weight", vector}}, 128, 1.35));
  all.push_back(streaming("add f32 4096x4096", "basic/add.py:add", {{"x", square}, {"y", square}},
                          192, 1.10, true));
  all.push_back(streaming("geglu f32 4096x4096", "library/gated.py:geglu",
                          {{"a", square}, {"b", square}}, 192, 1.3));
  all.push_back(streaming("swiglu f32 4096x4096", "library/gated.py:swiglu",
                          {{"a", square}, {"b", square}}, 192, 1.10));
  all.push_back(streaming("sum f32 4096x4096", "basic/sum.py:row_sum", {{"x", square}}, 64, 1.10,
                          true, Against::Read));
  Row attention;
  attention.name = "attention f32 8x1024x64 two threads";
  attention.kernel = "library/attention.py:attention";
  attention.args = {
      {"q_in", "randn[8,1024,64]"}, {"k_in", "randn[8,1024,64]"}, {"v_in", "randn[8,1024,64]"}};
  attention.against = Against::TwoSgemms;
  attention.m = 1024, attention.k = 64, attention.n = 2048;  // of both products together
  attention.batches = 8;
  attention.threads = 2;
  attention.bar = 0.6;
  attention.demo = true;
  all.push_back(attention);
  Row digits;
  digits.name = "nearest digit 450x1347x64";
  digits.kernel = "library/nearest.py:nearest_label";
  const std::string data = "@" PERI_SOURCE_DIR "/bench/data/digits_";
  digits.args = {{"queries", data + "queries.npy:f32"},
                 {"points", data + "points.npy:f32"},
                 {"labels", data + "point_labels.npy:i64"}};
  digits.m = 450, digits.k = 64, digits.n = 1347;
  digits.against = Against::Sgemm;
  digits.demo = true;
  all.push_back(digits);
  return all;
}

runtime::Result call(const Subject& subject, i64 threads) {
  auto result = subject.compilation.executable->call(subject.leaves, threads);
  return result ? std::move(*result) : runtime::Result();
}

std::unique_ptr<Subject> compile(const Row& row, bool tuned) {
  auto settings = driver::settings_from_environment().value_or(driver::Settings());
  settings.no_cache = !tuned;
  auto subject = prepare({row.kernel, row.args}, settings);
  if (!subject->fault.empty()) return subject;
  auto compiled = driver::compile(subject->compilation);
  if (!compiled) {
    subject->fault = compiled.error().message + "\n" + diag::render_text(subject->diags);
  }
  return subject;
}

std::vector<Contender> baselines(const Row& row) {
  switch (row.against) {
    case Against::Copy:
      return {{"copy", streaming_copy(row.bytes)}};
    case Against::Read:
      return {{"read", streaming_read(row.bytes)}};
    case Against::Sgemm:
      return {{"oneDNN", onednn_sgemm(row.m, row.k, row.n, row.threads)}};
    case Against::BetterGemm:
      return {{"oneDNN", onednn_sgemm(row.m, row.k, row.n, row.threads)},
              {"OpenBLAS", openblas_sgemm(row.m, row.k, row.n, row.threads)}};
    case Against::TwoSgemms: {
      i64 keys = row.n / 2, batches = row.batches;
      auto scores = onednn_sgemm(row.m, row.k, keys, row.threads);
      auto values = onednn_sgemm(row.m, keys, row.k, row.threads);
      return {{"two oneDNN", [=] {
                 for (i64 b = 0; b < batches; ++b) scores(), values();
               }}};
    }
    default:
      return {};
  }
}

// The plain loop that the digits row is compared with: same rule, first of equals.
i64 right_answers(const std::vector<float>& q, const std::vector<float>& p,
                  const std::vector<i64>& labels, const std::vector<i64>& truth) {
  i64 right = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    float best = 1e30F;
    size_t nearest = 0;
    for (size_t j = 0; j < labels.size(); ++j) {
      float distance = 0;
      for (size_t d = 0; d < 64; ++d)
        distance += (q[64 * i + d] - p[64 * j + d]) * (q[64 * i + d] - p[64 * j + d]);
      if (distance < best) best = distance, nearest = j;
    }
    right += labels[nearest] == truth[i];
  }
  return right;
}

std::vector<i64> integers(const runtime::Tensor& tensor) {
  std::vector<i64> values;
  for (i64 i = 0; i < tensor.numel(); ++i) values.push_back(runtime::get_integer(tensor, i));
  return values;
}

std::vector<float> floats(const runtime::Tensor& tensor) {
  std::vector<float> values;
  for (i64 i = 0; i < tensor.numel(); ++i)
    values.push_back(static_cast<float>(runtime::get_real(tensor, i)));
  return values;
}

std::string digits_accuracy(const Subject& subject, const runtime::Result& result) {
  auto truth = runtime::read_npy(PERI_SOURCE_DIR "/bench/data/digits_query_labels.npy");
  if (!truth) return truth.error().message;
  std::vector<i64> wanted = integers(*truth), got = integers(result.tensor);
  i64 right = 0;
  for (size_t i = 0; i < wanted.size(); ++i) right += wanted[i] == got[i];
  const auto& a = subject.arguments;
  i64 plain = right_answers(floats(a.at("queries").tensor), floats(a.at("points").tensor),
                            integers(a.at("labels").tensor), wanted);
  return fmt::format("{} of {} right, a plain loop has {}{}", right, wanted.size(), plain,
                     right == plain ? "" : ": DIFFERENT");
}

std::string check(const Row& row, const Subject& subject) {
  const driver::Compilation& c = subject.compilation;
  driver::ReferenceOptions options;
  options.budget = 2;
  auto known = space::config_values(c.lowered->kernel, c.config);
  auto reference = driver::run_reference(*c.lowered, known, subject.leaves, options);
  if (!reference) return reference.error().message;
  runtime::Result result = call(subject, row.threads);
  auto report = driver::check_result(*c.lowered, result, subject.leaves, *reference,
                                     driver::tolerance_of(*c.lowered, known));
  std::string text = report.ok ? (reference->is_sampled() ? "ok (sampled)" : "ok") : report.text();
  if (row.kernel.find("nearest") != std::string::npos)
    text += ", " + digits_accuracy(subject, result);
  return text;
}

std::string milliseconds(double seconds) { return fmt::format("{:.4g}", seconds * 1e3); }

struct Limits {
  double flops = 0;      // one core
  double bandwidth = 0;  // bytes a second
};

// Fraction of peak FLOP/s, or of copy bandwidth.
std::string fraction(const Row& row, double seconds, const Limits& limits) {
  if (row.bytes > 0) {
    return fmt::format("{:.0f} % of copy",
                       100 * static_cast<double>(row.bytes) / seconds / limits.bandwidth);
  }
  double peak = limits.flops * static_cast<double>(row.threads);
  return fmt::format("{:.0f} % of FMA peak", 100 * row.flops() / seconds / peak);
}

struct Options {
  bool demo = false;
  bool list = false;
  std::string filter;
  double seconds = 1.0;
  std::string out;
};

std::string measure(const Row& row, const Options& options, const Limits& limits, bool& met) {
  auto standard = compile(row, false);
  auto tuned = compile(row, true);
  for (const auto& subject : {standard.get(), tuned.get()}) {
    if (!subject->fault.empty()) return fmt::format("| {} | {} |", row.name, subject->fault);
  }
  bool has_tuned = tuned->compilation.config_origin == "tuned";
  std::vector<Contender> contenders{{"default", [&] { call(*standard, row.threads); }},
                                    {"tuned", [&] { call(*tuned, row.threads); }}};
  std::unique_ptr<Subject> own;
  if (row.against == Against::OwnF32) {
    own = compile(matmul(row.m, row.k, row.n, Against::Nothing, 0), true);
    contenders.push_back({"own f32", [&] { call(*own, row.threads); }});
  }
  for (Contender& baseline : baselines(row)) contenders.push_back(std::move(baseline));
  std::vector<Timing> times = interleave(contenders, options.seconds);
  const Timing& ours = times[1];
  size_t best = 2;
  for (size_t i = 3; i < times.size(); ++i)
    best = times[i].median() < times[best].median() ? i : best;
  std::string baseline = "-", ratio = "-", verdict = "-";
  if (times.size() > 2) {
    double speed = speedup(ours, times[best]);
    baseline = fmt::format("{} {}", times[best].name, milliseconds(times[best].median()));
    ratio = fmt::format("{:.2f}", speed);
    if (row.bar > 0) {
      bool holds = speed >= row.bar;
      met &= holds;
      verdict = fmt::format("{} (bar {:.2f})", holds ? "met" : "NOT met", row.bar);
    }
  }
  std::string last = options.demo ? check(row, *tuned) : verdict;
  return fmt::format("| {} | {} | {}{} | {} | {} | {:.2f} | {} | {} |", row.name,
                     milliseconds(times[0].median()), milliseconds(ours.median()),
                     has_tuned ? "" : " (untuned)", baseline, ratio,
                     ours.median() / times[0].median(), fraction(row, ours.median(), limits), last);
}

// "kernels/basic/add.py:add --arg x=randn[16] --threads 1", for a shell to take apart.
std::string tune_words(const Row& row) {
  std::string words = "kernels/" + row.kernel;
  for (const auto& [name, spec] : row.args) words += fmt::format(" --arg {}={}", name, spec);
  return words + fmt::format(" --threads {}", row.threads);
}

std::vector<Row> chosen_rows(const Options& options) {
  std::vector<Row> chosen = rows();
  std::erase_if(chosen, [&](const Row& row) {
    return (options.demo && !row.demo) || row.name.find(options.filter) == std::string::npos;
  });
  return chosen;
}

int run(const Options& options) {
  if (options.list) {
    for (const Row& row : chosen_rows(options)) fmt::print("{}\n", tune_words(row));
    return 0;
  }
  auto target = cpu::target_for("host");
  Limits limits{measure_fma_peak(*target).value_or(0), copy_bandwidth()};
  std::string text = fmt::format(
      "{}\n\nOne core: FMA peak {:.0f} GFLOP/s f32, copy {:.1f} GB/s. Medians of interleaved runs, "
      "ms; ratio: "
      "baseline time / tuned time.\n\n| kernel | default | tuned | baseline | ratio | tuned / "
      "default | of the "
      "limit | {} |\n|---|---|---|---|---|---|---|---|\n",
      runtime::device_info().describe(), limits.flops / 1e9, limits.bandwidth / 1e9,
      options.demo ? "check" : "bar");
  fmt::print("{}", text);
  bool met = true;
  for (const Row& row : chosen_rows(options)) {
    std::string line = measure(row, options, limits, met) + "\n";
    fmt::print("{}", line);
    std::fflush(stdout);
    text += line;
  }
  if (!options.out.empty()) std::ofstream(options.out) << text;
  return options.demo || met ? 0 : 1;
}

}  // namespace
}  // namespace peri::bench

int main(int argc, char** argv) {
  peri::bench::Options options;
  for (int i = 1; i < argc; ++i) {
    std::string flag = argv[i];
    bool more = i + 1 < argc;
    if (flag == "--demo") {
      options.demo = true;
    } else if (flag == "--list") {
      options.list = true;
    } else if (flag == "--filter" && more) {
      options.filter = argv[++i];
    } else if (flag == "--seconds" && more) {
      options.seconds = std::stod(argv[++i]);
    } else if (flag == "--out" && more) {
      options.out = argv[++i];
    } else {
      fmt::print(stderr,
                 "usage: bars [--demo] [--list] [--filter TEXT] [--seconds S] [--out FILE.md]\n");
      return 2;
    }
  }
  return peri::bench::run(options);
}
