// Dense contractions on one thread against oneDNN and OpenBLAS, in turns.
//
//   contraction_bench                           the table of bars
//   contraction_bench --shape 37x129x65         one shape, m x k x n, instead
//   contraction_bench --transpose b             A, B or both (ab) stored with k the other way
//   contraction_bench --type bf16 --level x86-64-v3 --seconds 2
//   contraction_bench --clock cpu               CPU instead of wall time, on a busy machine
//   contraction_bench --plan "6x2 unroll 4, mc 96, pack b"    adds a contender with this plan
//   contraction_bench --search 60               compares the default plan with the best one that a
//                                               random search of so many seconds per shape finds
#include <cblas.h>
#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>

#include "backends/cpu/contraction_kernel.h"
#include "fma_peak.h"
#include "interleave.h"

extern "C" void omp_set_num_threads(int);

namespace peri::bench {
namespace {

using cpu::ContractionKernel;
using cpu::ContractionPlan;
using cpu::ContractionShape;
using cpu::Target;

struct Options {
  std::string level = "host";
  std::optional<Dtype> type;
  std::string transpose;
  std::vector<std::string> shapes;
  std::vector<ContractionPlan> plans;
  double seconds = 1;
  double search_seconds = 0;
};

struct Problem {
  i64 m, k, n;
  Dtype type;
  bool transpose_a = false;
  bool transpose_b = false;

  i64 lda() const { return transpose_a ? m : k; }
  i64 ldb() const { return transpose_b ? k : n; }
};

// Large, odd and small ones, m x k x n.
const std::vector<std::string> kShapes = {
    "512x512x512", "1024x1024x1024", "2048x2048x2048", "37x129x65",   "37x65x129",
    "96x96x96",    "128x128x128",    "1000x17x333",    "1000x333x17", "1x4096x4096"};

// Touched memory on large pages, aligned to a page.
class Buffer {
 public:
  explicit Buffer(i64 bytes) {
    const size_t size = (static_cast<size_t>(bytes) + (2 << 20)) >> 21 << 21;
    memory_.reset(static_cast<char*>(std::aligned_alloc(2 << 20, size)));
    std::mt19937 random(1);
    // Bits that are ordinary numbers of about 1 in every type.
    for (size_t i = 0; i + 4 <= size; i += 4) {
      const u32 bits = 0x3f803f80u | (random() & 0x007f007fu);
      std::memcpy(memory_.get() + i, &bits, 4);
    }
  }
  void* data() const { return memory_.get(); }
  float* floats() const { return static_cast<float*>(data()); }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  std::unique_ptr<char, Free> memory_;
};

ContractionShape shape_of(const Problem& p) {
  ContractionShape shape{.m = p.m, .n = p.n, .k = p.k, .a_stride_m = p.k, .b_stride_k = p.n};
  if (p.transpose_a) shape.a_stride_m = 1, shape.a_stride_k = p.m;
  if (p.transpose_b) shape.b_stride_k = 1, shape.b_stride_n = p.k;
  shape.a = shape.b = p.type;
  shape.acc = p.type == Dtype::F64 ? Dtype::F64 : is_float(p.type) ? Dtype::F32 : Dtype::I32;
  return shape;
}

class Bench {
 public:
  Bench(const Problem& problem, const Target& target)
      : p_(problem),
        shape_(shape_of(problem)),
        target_(target),
        a_(problem.m * problem.k * size_of(problem.type)),
        b_(problem.k * problem.n * size_of(problem.type)),
        c_(problem.m * problem.n * 8) {}

  Contender ours(std::string name, const ContractionPlan& plan) const {
    auto kernel = std::make_shared<Expected<ContractionKernel>>(
        ContractionKernel::compile(shape_, plan, target_));
    if (!*kernel) {
      fmt::print(stderr, "{}\n", kernel->error().message);
      std::exit(1);
    }
    return {std::move(name),
            [=, this] { (*kernel)->run(shape_, a_.data(), b_.data(), c_.data(), p_.n); }};
  }

  Contender onednn() const {
    return {"oneDNN", [this] {
              dnnl_sgemm(p_.transpose_a ? 'T' : 'N', p_.transpose_b ? 'T' : 'N', p_.m, p_.n, p_.k,
                         1, a_.floats(), p_.lda(), b_.floats(), p_.ldb(), 0, c_.floats(), p_.n);
            }};
  }

  Contender openblas() const {
    return {"OpenBLAS", [this] {
              const int m = static_cast<int>(p_.m), n = static_cast<int>(p_.n),
                        k = static_cast<int>(p_.k);
              cblas_sgemm(CblasRowMajor, p_.transpose_a ? CblasTrans : CblasNoTrans,
                          p_.transpose_b ? CblasTrans : CblasNoTrans, m, n, k, 1, a_.floats(),
                          static_cast<int>(p_.lda()), b_.floats(), static_cast<int>(p_.ldb()), 0,
                          c_.floats(), n);
            }};
  }

  const ContractionShape& shape() const { return shape_; }
  double flops() const { return 2.0 * static_cast<double>(p_.m * p_.k * p_.n); }
  std::string name() const {
    return fmt::format("{} {}x{}x{}{}{}", name_of(p_.type), p_.m, p_.k, p_.n,
                       p_.transpose_a ? " At" : "", p_.transpose_b ? " Bt" : "");
  }

 private:
  Problem p_;
  ContractionShape shape_;
  const Target& target_;
  Buffer a_, b_, c_;
};

void print_row(const Bench& bench, const std::vector<Timing>& timings, double peak) {
  fmt::print("{:<20}", bench.name());
  for (const Timing& t : timings) {
    if (timings.size() > 3) fmt::print("\n   ");
    fmt::print("  {} {:.2f}/{:.2f} us {:.1f} GF", t.name, t.min() * 1e6, t.median() * 1e6,
               bench.flops() / t.min() * 1e-9);
    if (&t != &timings[0]) fmt::print(" (x{:.3f})", speedup(timings[0], t));
  }
  fmt::print("  {:.3f} of peak\n", bench.flops() / timings[0].min() / peak);
  std::fflush(stdout);
}

void compare(const Problem& problem, const Target& target, double peak, const Options& options) {
  const Bench bench(problem, target);
  const ContractionPlan plan = cpu::default_contraction(bench.shape(), target);
  std::vector<Contender> contenders = {bench.ours("ours", plan)};
  for (const ContractionPlan& other : options.plans) {
    const ContractionPlan legal = cpu::legalize(other, bench.shape(), target);
    contenders.push_back(bench.ours("[" + print(legal) + "]", legal));
  }
  if (problem.type == Dtype::F32) {
    contenders.push_back(bench.onednn());
    contenders.push_back(bench.openblas());
  }
  print_row(bench, interleave(contenders, options.seconds), peak);
  const double begin = now();
  bench.ours("again", plan);
  fmt::print("  {}; compiled in {:.1f} ms\n", print(plan), (now() - begin) * 1e3);
}

ContractionPlan mutate(ContractionPlan plan, const cpu::ContractionChoices& choices,
                       std::mt19937& random) {
  auto pick = [&](const auto& values, auto& knob) {
    if (random() % 4 == 0) knob = values[random() % values.size()];
  };
  if (random() % 3 == 0) {
    std::tie(plan.mr, plan.nr_vectors) = choices.tiles[random() % choices.tiles.size()];
  }
  pick(choices.k_unroll, plan.k_unroll);
  pick(choices.mc, plan.mc);
  pick(choices.nc, plan.nc);
  pick(choices.kc, plan.kc);
  pick(choices.prefetch_a, plan.prefetch_a);
  pick(choices.pack_a, plan.pack_a);
  pick(choices.pack_b, plan.pack_b);
  pick(choices.columns_outer, plan.columns_outer);
  pick(choices.pairs, plan.pairs);
  pick(choices.along_k, plan.along_k);
  return plan;
}

// A random walk from the default plan; a candidate that looks faster is compared in turns.
void search(const Problem& problem, const Target& target, double budget) {
  const Bench bench(problem, target);
  const auto choices = cpu::contraction_choices(bench.shape(), target);
  const ContractionPlan first = cpu::default_contraction(bench.shape(), target);
  ContractionPlan best = first;
  Contender incumbent = bench.ours("best", best);
  std::mt19937 random(3);
  const double begin = now();
  i64 tried = 0;
  while (now() - begin < budget) {
    const ContractionPlan plan =
        cpu::legalize(mutate(best, choices, random), bench.shape(), target);
    if (plan == best) continue;
    ++tried;
    Contender candidate = bench.ours("new", plan);
    if (speedup(interleave({candidate, incumbent}, 0)[0], interleave({incumbent}, 0)[0]) < 0.9) {
      continue;
    }
    const auto timings = interleave({candidate, incumbent}, 0.05);
    if (speedup(timings[0], timings[1]) < 1.005) continue;
    best = plan;
    incumbent = candidate;
  }
  const auto timings = interleave({bench.ours("default", first), incumbent}, 1);
  fmt::print("{:<20} default reaches {:.3f} of the best of {}: {:.1f} / {:.1f} GF\n", bench.name(),
             speedup(timings[0], timings[1]), tried, bench.flops() / timings[0].min() * 1e-9,
             bench.flops() / timings[1].min() * 1e-9);
  fmt::print("  default {}\n  best    {}\n", print(first), print(best));
  std::fflush(stdout);
}

std::optional<Problem> parse_shape(const std::string& text, Dtype type) {
  Problem p{.m = 0, .k = 0, .n = 0, .type = type};
  long m = 0, k = 0, n = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%ldx%ldx%ld%c", &m, &k, &n, &rest) != 3) return std::nullopt;
  if (m < 1 || k < 1 || n < 1) return std::nullopt;
  p.m = m, p.k = k, p.n = n;
  return p;
}

[[noreturn]] void usage(const std::string& word) {
  fmt::print(stderr, "contraction_bench: cannot use `{}`; see the head of contraction_bench.cpp\n",
             word);
  std::exit(2);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string key = argv[i];
    if (i + 1 == argc) usage(key);
    const std::string value = argv[i + 1];
    if (key == "--level") {
      options.level = value;
    } else if (key == "--type") {
      options.type = parse_dtype(value);
      if (!options.type) usage(value);
    } else if (key == "--transpose") {
      if (value != "a" && value != "b" && value != "ab") usage(value);
      options.transpose = value;
    } else if (key == "--shape") {
      options.shapes.push_back(value);
    } else if (key == "--clock") {
      use_cpu_time = value == "cpu";
    } else if (key == "--plan") {
      auto plan = cpu::parse_contraction_plan(value);
      if (!plan) usage(value);
      options.plans.push_back(*plan);
    } else if (key == "--seconds") {
      options.seconds = std::atof(value.c_str());
    } else if (key == "--search") {
      options.search_seconds = std::atof(value.c_str());
    } else {
      usage(key);
    }
  }
  return options;
}

std::vector<Problem> problems_of(const Options& options) {
  std::vector<Problem> problems;
  for (const std::string& shape : options.shapes.empty() ? kShapes : options.shapes) {
    auto problem = parse_shape(shape, options.type.value_or(Dtype::F32));
    if (!problem) usage(shape);
    problem->transpose_a = options.transpose.contains('a');
    problem->transpose_b = options.transpose.contains('b');
    problems.push_back(*problem);
  }
  if (options.shapes.empty() && !options.type) {
    for (Dtype type : {Dtype::BF16, Dtype::F64, Dtype::I8}) {
      problems.push_back({.m = 1024, .k = 1024, .n = 1024, .type = type});
    }
  }
  return problems;
}

int run(const Options& options) {
  auto target = cpu::target_for(options.level);
  if (!target) usage(options.level);
  auto peak = measure_fma_peak(*target);
  if (!peak) {
    fmt::print(stderr, "{}\n", peak.error().message);
    return 1;
  }
  fmt::print("{} ({}), one thread, FMA peak {:.1f} GF; min/median, (x: peer's time over ours)\n",
             target->cpu, target->level, *peak * 1e-9);
  for (const Problem& problem : problems_of(options)) {
    if (options.search_seconds > 0) {
      search(problem, *target, options.search_seconds);
    } else {
      compare(problem, *target, *peak, options);
    }
  }
  return 0;
}

}  // namespace
}  // namespace peri::bench

int main(int argc, char** argv) {
  // Settings that would keep OpenBLAS from choosing for this CPU; it reads them when loaded.
  if (std::getenv("OPENBLAS_CORETYPE") || std::getenv("OPENBLAS_L2_SIZE")) {
    unsetenv("OPENBLAS_CORETYPE");
    unsetenv("OPENBLAS_L2_SIZE");
    execv("/proc/self/exe", argv);
  }
  omp_set_num_threads(1);
  openblas_set_num_threads(1);
  return peri::bench::run(peri::bench::parse(argc, argv));
}
