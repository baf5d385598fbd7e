#include "baselines.h"

#include <cblas.h>
#include <dnnl.h>

#include <cstring>

#include "../kernels/interleave.h"

// Of libgomp, which oneDNN runs on, and of OpenBLAS.
extern "C" void omp_set_num_threads(int threads);
extern "C" void openblas_set_num_threads(int threads);

namespace peri::bench {

namespace {

using Floats = std::shared_ptr<std::vector<float>>;

Floats floats(i64 count) {
  auto values = std::make_shared<std::vector<float>>(static_cast<size_t>(count));
  for (size_t i = 0; i < values->size(); ++i)
    (*values)[i] = static_cast<float>(i * 7919 % 1000) / 500 - 1;
  return values;
}

using Bytes = std::shared_ptr<std::vector<char>>;

Bytes bytes_of(i64 count) {
  return std::make_shared<std::vector<char>>(static_cast<size_t>(count), 1);
}

}  // namespace

std::function<void()> onednn_sgemm(i64 m, i64 k, i64 n, i64 threads) {
  Floats a = floats(m * k), b = floats(k * n), c = floats(m * n);
  return [=] {
    omp_set_num_threads(static_cast<int>(threads));
    dnnl_sgemm('N', 'N', m, n, k, 1.0F, a->data(), k, b->data(), n, 0.0F, c->data(), n);
  };
}

std::function<void()> openblas_sgemm(i64 m, i64 k, i64 n, i64 threads) {
  Floats a = floats(m * k), b = floats(k * n), c = floats(m * n);
  auto size = [](i64 v) { return static_cast<int>(v); };
  return [=] {
    openblas_set_num_threads(size(threads));
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, size(m), size(n), size(k), 1.0F,
                a->data(), size(k), b->data(), size(n), 0.0F, c->data(), size(n));
  };
}

std::function<void()> streaming_copy(i64 bytes) {
  Bytes from = bytes_of(bytes / 2), to = bytes_of(bytes / 2);
  return [=] { std::memcpy(to->data(), from->data(), from->size()); };
}

std::function<void()> streaming_read(i64 bytes) {
  Floats values = floats(bytes / 4);
  return [=] {
    using Lanes = float __attribute__((vector_size(64), aligned(4)));
    Lanes sums[4] = {};
    const float* data = values->data();
    i64 count = static_cast<i64>(values->size()) / 64 * 64;
    for (i64 i = 0; i < count; i += 64) {
      for (i64 u = 0; u < 4; ++u) {
        Lanes lanes;
        std::memcpy(&lanes, data + i + 16 * u, sizeof lanes);
        sums[u] += lanes;
      }
    }
    asm volatile("" : : "m"(sums));
  };
}

double copy_bandwidth() {
  constexpr i64 kBytes = i64{128} << 20;
  auto copy = streaming_copy(kBytes);
  copy();
  double best = 1e9;
  for (int i = 0; i < 10; ++i) best = std::min(best, seconds_of(copy, 1));
  return static_cast<double>(kBytes) / best;
}

}  // namespace peri::bench
