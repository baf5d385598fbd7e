#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <chrono>
#include <set>
#include <thread>

namespace peri {
namespace {

struct Visits {
  explicit Visits(i64 cells) : counts(static_cast<std::size_t>(cells)) {}
  void operator()(i64 begin, i64 end, i64 thread) {
    ASSERT_LT(begin, end);
    for (i64 i = begin; i < end; ++i) counts[static_cast<std::size_t>(i)].fetch_add(1);
    largest_thread = std::max(largest_thread.load(), thread);
    calls.fetch_add(1);
  }
  void expect_once() const {
    for (const auto& count : counts) ASSERT_EQ(count.load(), 1);
  }
  std::vector<std::atomic<int>> counts;
  std::atomic<i64> largest_thread = 0;
  std::atomic<i64> calls = 0;
};

TEST(ThreadPool, VisitsEachCellOnce) {
  for (i64 threads : {1, 2, 3, 8, 33}) {
    ThreadPool pool(threads);
    for (i64 cells : {0, 1, 2, 7, 8, 9, 100, 1000}) {
      for (Schedule schedule : {Schedule::Static, Schedule::Interleaved, Schedule::Dynamic}) {
        for (i64 turn : {0, 3, 5000}) {
          Visits visits(cells);
          pool.run(cells, 0, visits, schedule, turn);
          visits.expect_once();
          EXPECT_LT(visits.largest_thread, threads);
        }
      }
    }
  }
}

TEST(ThreadPool, InterleavedTurnsGoRoundTheThreads) {
  ThreadPool pool(2);
  std::mutex mutex;
  std::set<std::pair<i64, i64>> turns;
  pool.run(
      7, 0,
      [&](i64 begin, i64 end, i64) {
        const std::lock_guard lock(mutex);
        turns.emplace(begin, end);
      },
      Schedule::Interleaved, 2);
  EXPECT_EQ(turns, (std::set<std::pair<i64, i64>>{{0, 2}, {2, 4}, {4, 6}, {6, 7}}));
}

TEST(ThreadPool, StaticRangesAreEven) {
  ThreadPool pool(4);
  std::mutex mutex;
  std::set<std::pair<i64, i64>> ranges;
  pool.run(10, 0, [&](i64 begin, i64 end, i64) {
    const std::lock_guard lock(mutex);
    ranges.emplace(begin, end);
  });
  EXPECT_EQ(ranges, (std::set<std::pair<i64, i64>>{{0, 3}, {3, 6}, {6, 8}, {8, 10}}));
}

TEST(ThreadPool, OneThreadIsAPlainCall) {
  ThreadPool pool(4);
  const auto self = std::this_thread::get_id();
  i64 calls = 0;
  pool.run(100, 1, [&](i64 begin, i64 end, i64 thread) {
    ++calls;
    EXPECT_EQ(std::pair(begin, end), std::pair(i64{0}, i64{100}));
    EXPECT_EQ(thread, 0);
    EXPECT_EQ(std::this_thread::get_id(), self);
  });
  EXPECT_EQ(calls, 1);
}

TEST(ThreadPool, HonoursTheLimitOfThreads) {
  ThreadPool pool(8);
  Visits visits(64);
  pool.run(64, 3, visits, Schedule::Dynamic);
  visits.expect_once();
  EXPECT_LT(visits.largest_thread, 3);
  pool.set_threads(2);
  EXPECT_EQ(pool.threads(), 2);
  Visits fewer(64);
  pool.run(64, 0, fewer);
  EXPECT_LT(fewer.largest_thread, 2);
  pool.set_threads(0);
  EXPECT_EQ(pool.threads(), 1);
}

TEST(ThreadPool, NestedRunsStayInline) {
  ThreadPool pool(4);
  std::atomic<i64> sum = 0;
  pool.run(8, 0, [&](i64 begin, i64 end, i64) {
    const auto self = std::this_thread::get_id();
    pool.run(10, 0, [&](i64 b, i64 e, i64 thread) {
      EXPECT_EQ(std::this_thread::get_id(), self);
      EXPECT_EQ(thread, 0);
      sum += (e - b) * (end - begin);
    });
  });
  EXPECT_EQ(sum, 80);
}

TEST(ThreadPool, CallersFromManyThreads) {
  ThreadPool pool(3);
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 300; ++round) {
        Visits visits(20);
        pool.run(20, 0, visits, round % 2 != 0 ? Schedule::Dynamic : Schedule::Static);
        visits.expect_once();
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

// Runs back to back find workers spinning, runs with pauses find them asleep.
TEST(ThreadPool, WakesSleepers) {
  ThreadPool pool(4);
  for (int round = 0; round < 400; ++round) {
    if (round % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    i64 data[64] = {};
    pool.run(64, 0, [&](i64 begin, i64 end, i64) {
      for (i64 i = begin; i < end; ++i) data[i] = i;
    });
    for (i64 i = 0; i < 64; ++i) ASSERT_EQ(data[i], i);
  }
}

TEST(ThreadPool, WorkersTakePart) {
  if (ThreadPool::available_cpus() < 2) GTEST_SKIP() << "one CPU";
  ThreadPool pool(2);
  std::atomic<i64> arrived = 0;
  // Returns only because both threads are in the body at once.
  pool.run(2, 0, [&](i64, i64, i64) {
    ++arrived;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (arrived < 2 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, 2);
}

// Pins the calling thread to one of its CPUs, for the life of this object.
class Pinned {
 public:
  explicit Pinned(int cpu) {
    pthread_getaffinity_np(pthread_self(), sizeof(before_), &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
  }
  ~Pinned() { pthread_setaffinity_np(pthread_self(), sizeof(before_), &before_); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

 private:
  cpu_set_t before_;
};

// Whether, sooner or later, the second thread of a run may not use `taken` but may use `other`.
bool leaves(ThreadPool& pool, int taken, int other) {
  std::atomic<bool> found = false;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!found && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    pool.run(2, 0, [&](i64, i64, i64 thread) {
      cpu_set_t allowed;
      pthread_getaffinity_np(pthread_self(), sizeof(allowed), &allowed);
      if (thread == 1 && !CPU_ISSET(taken, &allowed) && CPU_ISSET(other, &allowed)) found = true;
      const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
      while (thread == 0 && std::chrono::steady_clock::now() < soon) std::this_thread::yield();
    });
  }
  return found;
}

TEST(ThreadPool, WokenWorkersLeaveTheCallersCpu) {
  cpu_set_t allowed;
  if (pthread_getaffinity_np(pthread_self(), sizeof(allowed), &allowed) != 0) GTEST_SKIP();
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  }
  if (cpus.size() < 2 || ThreadPool::available_cpus() < 2) GTEST_SKIP() << "one CPU";
  ThreadPool pool(2);
  pool.run(2, 0, [](i64, i64, i64) {});  // the worker starts with all CPUs
  for (int i : {0, 1, 0}) {
    const Pinned caller(cpus[i]);
    EXPECT_TRUE(leaves(pool, cpus[i], cpus[1 - i]));
  }
}

TEST(ThreadPool, ManyMoreThreadsThanCpusIsNoCatastrophe) {
  ThreadPool pool(64);
  const auto begin = std::chrono::steady_clock::now();
  for (int round = 0; round < 200; ++round) {
    Visits visits(256);
    pool.run(256, 0, visits, Schedule::Dynamic);
    visits.expect_once();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(ThreadPool, GlobalPoolHasTheAvailableCpus) {
  EXPECT_GE(ThreadPool::available_cpus(), 1);
  EXPECT_EQ(ThreadPool::global().threads(), ThreadPool::available_cpus());
}

TEST(FunctionRef, CallsWhatItRefersTo) {
  int calls = 0;
  const auto count = [&](int by) { return calls += by; };
  const FunctionRef<int(int)> ref = count;
  EXPECT_EQ(ref(2), 2);
  EXPECT_EQ(ref(3), 5);
  EXPECT_EQ(FunctionRef<int(int)>(ref)(1), 6);
}

}  // namespace
}  // namespace peri
