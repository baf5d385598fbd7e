// A tuning record with everything in it, made up but plausible; the same in every run.
#pragma once

#include <algorithm>
#include <cmath>

#include "tune/record.h"

namespace peri::tune {

inline Trial sample_trial(i64 number, u64& state) {
  auto random = [&state] {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<double>(state >> 40) / static_cast<double>(1 << 24);
  };
  const i64 rows = i64{1} << static_cast<i64>(random() * 9);
  const i64 unroll = i64{1} << static_cast<i64>(random() * 4);
  const bool streaming = random() < 0.5;
  const char* schedule = random() < 0.5 ? "static" : "dynamic";
  Trial trial;
  trial.config = {{"block_sizes", {rows, i64{64} << static_cast<i64>(random() * 4)}},
                  {"loop_orders", {{random() < 0.5 ? 0 : 1, 1}}},
                  {"num_threads", random() < 0.5 ? 0 : 1},
                  {"schedule", schedule},
                  {"vector_unroll", unroll},
                  {"streaming_stores", streaming}};
  trial.origin = number == 0 ? "default" : number < 40 ? "random" : "neighbour";
  trial.generation = number / 40;
  trial.at = 0.2 + 0.14 * static_cast<double>(number);
  trial.compile_seconds = 0.004 + 0.03 * random() * static_cast<double>(unroll);
  const double shape = 1 + 0.25 * std::abs(std::log2(static_cast<double>(rows)) - 3);
  double seconds = 1.2e-3 * shape * (streaming ? 1 : 1.25) * (unroll == 1 ? 1.3 : 1);
  if (number >= 40) seconds = 1.1e-3 + (seconds - 1.1e-3) * 0.4;
  trial.predicted = seconds * (0.6 + 0.3 * random());
  trial.seconds = seconds * (1 + 0.1 * random());
  trial.low = trial.seconds * 0.98, trial.high = trial.seconds * 1.03;
  trial.samples = {trial.low, trial.seconds, trial.high};
  if (number % 29 == 17) {
    trial.status = number % 2 == 0 ? Status::Crashed : Status::WrongResult;
    trial.reason = number % 2 == 0 ? "SIGSEGV" : "largest error 0.3 of 1e-05 allowed";
    trial.seconds = trial.low = trial.high = kFailed;
    trial.samples.clear();
  }
  return trial;
}

inline Record sample_record() {
  Record record;
  record.key = "softmax-3f2a";
  record.kernel = "softmax";
  record.kernel_hash = "9ad1c0ffee";
  record.structure_hash = "77aa";
  record.specialization = "static x=f32[4096:2560,2560:1]";
  record.file = "kernels/basic/softmax.py";
  record.arguments = {"x=randn[4096,2560]"};
  record.target = "znver4";
  record.machine = "AMD EPYC, x86-64-v4, 2 cores, L1d 32K, L2 1024K, L3 32M, 23.5 GiB, Linux 6.18";
  record.fingerprint = "f00d";
  record.compiler = "perihelion 0.1.0, LLVM 22";
  record.strategy = "auto";
  record.effort = "quick";
  record.seed = 7;
  record.budget = 30;
  record.cache_mode = "warm";
  record.started = "2026-11-25T06:01:25Z";
  record.elapsed = 28.4;
  record.stopped = "no gain expected";
  record.noise = 0.012;
  record.drifts = 2;
  u64 state = 12345;
  for (i64 i = 0; i < 180; ++i) record.trials.push_back(sample_trial(i, state));
  std::vector<i64> best;
  for (i64 i = 1; i < 180; ++i) best.push_back(i);
  std::ranges::sort(best, {}, [&](i64 i) { return record.trials[i].seconds; });
  record.winner = best[0];
  record.runner_up = best[1];
  for (i64 i : {i64{0}, best[0], best[1], best[2], best[3]}) {
    const Trial& trial = record.trials[i];
    record.finalists.push_back({i, trial.seconds, trial.low, trial.high, trial.samples});
  }
  record.accuracy.compared = 10485760;
  record.accuracy.text = "error 0.2 of the allowed 1.2e-06 in 10485760 elements";
  record.roofline = {83886080, 5.2e7, 9e10, 2.1e11};
  return record;
}

}  // namespace peri::tune
