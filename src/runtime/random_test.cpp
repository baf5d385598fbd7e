#include "runtime/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "base/hash.h"
#include "base/thread_pool.h"

namespace peri::runtime {
namespace {

u64 hash_of(const Tensor& tensor) {
  const i64 bytes = tensor.numel() * size_of(tensor.dtype);
  return hash_bytes({tensor.data(), static_cast<std::size_t>(bytes)});
}

// Mean of the p-th powers.
double moment(const Tensor& tensor, int p) {
  double sum = 0;
  for (i64 i = 0; i < tensor.numel(); ++i) sum += std::pow(get_real(tensor, i), p);
  return sum / static_cast<double>(tensor.numel());
}

TEST(Random, NormalsHaveTheMomentsOfTheNormal) {
  for (Dtype dtype : {Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64}) {
    const Tensor tensor = randn(dtype, {1000, 1001}, 7);
    EXPECT_NEAR(moment(tensor, 1), 0, 0.005);
    EXPECT_NEAR(moment(tensor, 2), 1, 0.01);
    EXPECT_NEAR(moment(tensor, 3), 0, 0.03);
    EXPECT_NEAR(moment(tensor, 4), 3, 0.05);
  }
}

// Share below each of some bounds, against the normal distribution.
TEST(Random, NormalsHaveTheShapeOfTheNormal) {
  const Tensor tensor = randn(Dtype::F64, {1 << 20}, 3);
  for (double bound : {-3.0, -1.5, -0.25, 0.0, 0.5, 1.0, 2.5}) {
    i64 below = 0;
    for (i64 i = 0; i < tensor.numel(); ++i) below += get_real(tensor, i) < bound;
    const double expected = 0.5 * std::erfc(-bound / std::sqrt(2.0));
    EXPECT_NEAR(static_cast<double>(below) / static_cast<double>(tensor.numel()), expected, 0.002);
  }
}

TEST(Random, UniformStaysBelowOne) {
  for (Dtype dtype : {Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64}) {
    const Tensor tensor = rand(dtype, {100000}, 5);
    double largest = 0;
    for (i64 i = 0; i < tensor.numel(); ++i) {
      ASSERT_GE(get_real(tensor, i), 0);
      largest = std::max(largest, get_real(tensor, i));
    }
    EXPECT_LT(largest, 1);
    EXPECT_GT(largest, 0.99);
    EXPECT_NEAR(moment(tensor, 1), 0.5, 0.005);
    EXPECT_NEAR(moment(tensor, 2), 1.0 / 3, 0.005);
  }
}

TEST(Random, IntegersCoverTheirRange) {
  const Tensor tensor = randint(Dtype::I32, {10000}, -3, 4, 1);
  std::set<i64> seen;
  for (i64 i = 0; i < tensor.numel(); ++i) seen.insert(get_integer(tensor, i));
  EXPECT_EQ(seen, (std::set<i64>{-3, -2, -1, 0, 1, 2, 3}));
  EXPECT_NEAR(moment(tensor, 1), 0, 0.1);
  const i64 low = std::numeric_limits<i64>::min(), high = std::numeric_limits<i64>::max();
  EXPECT_NE(get_integer(randint(Dtype::I64, {2}, low, high, 1), 0), low);
}

TEST(Random, SeedsAndPositionsDecideAlone) {
  EXPECT_EQ(hash_of(randn(Dtype::F32, {3, 5000}, 1)), hash_of(randn(Dtype::F32, {15000}, 1)));
  EXPECT_NE(hash_of(randn(Dtype::F32, {100}, 1)), hash_of(randn(Dtype::F32, {100}, 2)));
  const Tensor longer = rand(Dtype::F32, {1001}, 4), shorter = rand(Dtype::F32, {7}, 4);
  EXPECT_EQ(std::memcmp(longer.data(), shorter.data(), 28), 0);
  ThreadPool& pool = ThreadPool::global();
  const i64 threads = pool.threads();
  const u64 expected = hash_of(randn(Dtype::F32, {100000}, 9));
  pool.set_threads(1);
  EXPECT_EQ(hash_of(randn(Dtype::F32, {100000}, 9)), expected);
  pool.set_threads(threads);
}

// The values of a seed never change: records and results name seeds.
TEST(Random, ValuesArePinned) {
  EXPECT_EQ(hash_of(randn(Dtype::F64, {10000}, 42)), 0xf42f803344d0a454U);
  EXPECT_EQ(hash_of(rand(Dtype::F64, {10000}, 42)), 0xc420b283943cad38U);
  EXPECT_EQ(hash_of(randint(Dtype::I64, {10000}, -1000, 1000, 42)), 0xc000ffe2464be661U);
}

TEST(Random, ArangeFullAndInputsForEveryDtype) {
  for (i64 d = 0; d < kDtypeCount; ++d) {
    const auto dtype = static_cast<Dtype>(d);
    const Tensor numbers = arange(dtype, 600, 1);
    EXPECT_EQ(get_real(numbers, 0), 1);
    EXPECT_EQ(get_real(numbers, 5), dtype == Dtype::Bool ? 1 : 6);
    EXPECT_EQ(get_real(full(dtype, {600}, 1), 599), 1);
    const Tensor input = random_input(dtype, {1000}, 1);
    EXPECT_NE(moment(input, 2), 0);
    EXPECT_LT(moment(input, 2), 200);
    EXPECT_EQ(randn(dtype, {0, 3}, 1).numel(), 0);
  }
  EXPECT_EQ(get_integer(arange(Dtype::I64, 3, 10, -4), 2), 2);
}

}  // namespace
}  // namespace peri::runtime
