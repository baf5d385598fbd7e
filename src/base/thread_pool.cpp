#include "base/thread_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <new>
#include <system_error>
#include <thread>

#include "base/bug.h"

namespace peri {
namespace {

// Life of a worker's mail. The caller posts, the worker takes and finishes; or the caller takes the
// post back. Between runs all are idle.
enum Mail : u32 { kIdle, kPosted, kTaken, kStop };

constexpr auto kSpinTime = std::chrono::microseconds(50);

// Room for machines with more CPUs than a cpu_set_t holds.
struct CpuSet {
  cpu_set_t sets[16];

  CpuSet() { CPU_ZERO_S(sizeof(sets), sets); }
  bool operator==(const CpuSet& other) const { return CPU_EQUAL_S(sizeof(sets), sets, other.sets); }
  i64 count() const { return CPU_COUNT_S(sizeof(sets), sets); }
  void remove(int cpu) { CPU_CLR_S(static_cast<std::size_t>(cpu), sizeof(sets), sets); }
};

// True in a thread that works for a pool: its runs stay inline.
thread_local bool inside_run = false;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `value` is not `old`, for at most kSpinTime; the value seen last.
u32 spin_while(const std::atomic<u32>& value, u32 old) {
  const auto end = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < 32; ++i) {
      const u32 seen = value.load(std::memory_order_acquire);
      if (seen != old) return seen;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return old;
}

// Sleeps while `value` is `old`; may return early.
void futex_wait(const std::atomic<u32>& value, u32 old) {
  syscall(SYS_futex, &value, FUTEX_WAIT_PRIVATE, old, nullptr, nullptr, 0);
}

void futex_wake(const std::atomic<u32>& value) {
  syscall(SYS_futex, &value, FUTEX_WAKE_PRIVATE, std::numeric_limits<i32>::max(), nullptr, nullptr,
          0);
}

// CPUs by quota of the control group, or "unlimited".
i64 quota_cpus() {
  i64 quota = 0, period = 0;
  std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "re");
  const int fields = file != nullptr ? std::fscanf(file, "%ld %ld", &quota, &period) : 0;
  if (file != nullptr) std::fclose(file);
  if (fields != 2 || quota <= 0 || period <= 0) return std::numeric_limits<i64>::max();
  return (quota + period - 1) / period;
}

}  // namespace

struct alignas(64) ThreadPool::Worker {
  std::atomic<u32> mail = kIdle;
  std::atomic<bool> sleeps = false;      // the worker may be in futex_wait on `mail`
  std::atomic<bool> is_awaited = false;  // the caller may be in futex_wait on `mail`
  std::thread thread;
  // For who wakes it:
  int kept_off = -1;      // the CPU that it may not run on
  CpuSet allowed, given;  // the CPUs that it had before that, and has since

  void keep_off(int cpu);
};

// Systems like to wake a thread where its waker runs, and leave it there for milliseconds beside
// idle CPUs. Who wakes it is about to work, so it would begin only when nothing is left to do.
void ThreadPool::Worker::keep_off(int cpu) {
  if (cpu == kept_off) return;
  kept_off = cpu;
  CpuSet now;
  if (pthread_getaffinity_np(thread.native_handle(), sizeof(now.sets), now.sets) != 0) return;
  if (now != given) allowed = now;  // somebody else changed it
  given = allowed;
  if (cpu >= 0) given.remove(cpu);
  if (given.count() == 0) given = allowed;
  pthread_setaffinity_np(thread.native_handle(), sizeof(given.sets), given.sets);
}

ThreadPool::ThreadPool(i64 threads) : threads_(1) { set_threads(threads); }

ThreadPool::~ThreadPool() {
  for (const auto& worker : workers_) {
    worker->mail.store(kStop);
    futex_wake(worker->mail);
    worker->thread.join();
  }
}

ThreadPool& ThreadPool::global() {
  // Never destroyed: kernels may run until the very end of the process.
  static auto& pool = *new ThreadPool(available_cpus());
  return pool;
}

i64 ThreadPool::available_cpus() {
  CpuSet allowed;
  i64 cpus = sched_getaffinity(0, sizeof(allowed.sets), allowed.sets) == 0
                 ? allowed.count()
                 : sysconf(_SC_NPROCESSORS_ONLN);
  return std::max<i64>(1, std::min(cpus, quota_cpus()));
}

void ThreadPool::set_threads(i64 threads) {
  const std::lock_guard lock(mutex_);
  threads_.store(std::max<i64>(threads, 1), std::memory_order_relaxed);
  job_.spin = threads <= available_cpus();
}

void ThreadPool::after_fork() {
  for (std::unique_ptr<Worker>& worker : workers_)
    (void)worker.release();  // of the parent's threads
  workers_.clear();
  new (&mutex_) std::mutex;  // another thread of the parent may have held it
}

void ThreadPool::run_parallel(i64 cells, i64 max_threads, Body body, Schedule schedule,
                              i64 turn) {
  if (inside_run || !mutex_.try_lock()) return body(0, cells, 0);
  const std::lock_guard lock(mutex_, std::adopt_lock);
  i64 count = std::min(threads(), cells);
  if (max_threads > 0) count = std::min(count, max_threads);
  start_workers(count - 1);
  count = std::min(count, static_cast<i64>(workers_.size()) + 1);
  if (count == 1) return body(0, cells, 0);
  inside_run = true;
  job_.body = &body;
  job_.cells = cells;
  job_.threads = count;
  job_.on_demand = schedule == Schedule::Dynamic;
  i64 standard = job_.on_demand ? std::max<i64>(1, cells / (count * 8)) : 1;
  job_.turn = schedule == Schedule::Static ? 0 : turn > 0 ? turn : standard;
  job_.next.store(0, std::memory_order_relaxed);
  post();
  run_share(0, 0);
  join();
  inside_run = false;
}

// Starts missing workers; if the system refuses, runs make do with those there are.
void ThreadPool::start_workers(i64 count) {
  if (static_cast<i64>(workers_.size()) >= count) return;
  // Signals are for the threads that the user knows of.
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  while (static_cast<i64>(workers_.size()) < count) {
    auto worker = std::make_unique<Worker>();
    const i64 thread = static_cast<i64>(workers_.size()) + 1;
    try {
      worker->thread = std::thread([this, &worker = *worker, thread] { work(worker, thread); });
    } catch (const std::system_error&) {
      break;
    }
    workers_.push_back(std::move(worker));
  }
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

// Last worker first: whoever sees its own post sees those of its children. Only the last store
// waits until all are visible.
void ThreadPool::post() {
  for (i64 thread = job_.threads - 1; thread > 1; --thread) {
    workers_[thread - 1]->mail.store(kPosted, std::memory_order_release);
  }
  workers_[0]->mail.store(kPosted);
  wake_children(0);
}

// Sleepers are woken along a binary tree, so that no thread pays for all the system calls. A
// wake-up that gets lost costs only time: the caller takes the post back.
void ThreadPool::wake_children(i64 thread) {
  for (i64 child : {2 * thread + 1, 2 * thread + 2}) {
    if (child >= job_.threads) return;
    Worker& worker = *workers_[child - 1];
    if (!worker.sleeps.load()) continue;
    if (job_.spin) worker.keep_off(sched_getcpu());
    futex_wake(worker.mail);
  }
}

// The cells of `share` (Static, Interleaved), or any that are left (Dynamic).
void ThreadPool::run_share(i64 share, i64 thread) {
  const Body& body = *job_.body;
  if (job_.turn == 0) {
    const i64 size = job_.cells / job_.threads, larger = job_.cells % job_.threads;
    const i64 begin = share * size + std::min(share, larger);
    return body(begin, begin + size + (share < larger ? 1 : 0), thread);
  }
  if (!job_.on_demand) {
    const i64 round = job_.threads * job_.turn;
    for (i64 begin = share * job_.turn; begin < job_.cells; begin += round) {
      body(begin, std::min(begin + job_.turn, job_.cells), thread);
    }
    return;
  }
  while (true) {
    const i64 begin = job_.next.fetch_add(job_.turn, std::memory_order_relaxed);
    if (begin >= job_.cells) return;
    body(begin, std::min(begin + job_.turn, job_.cells), thread);
  }
}

// Takes over what no worker has begun, then waits for the others.
void ThreadPool::join() {
  for (i64 thread = 1; thread < job_.threads; ++thread) {
    u32 posted = kPosted;
    if (workers_[thread - 1]->mail.compare_exchange_strong(posted, kIdle)) run_share(thread, 0);
  }
  for (i64 thread = 1; thread < job_.threads; ++thread) {
    Worker& worker = *workers_[thread - 1];
    if (spin_while(worker.mail, kTaken) != kTaken) continue;
    worker.is_awaited.store(true);
    while (worker.mail.load() == kTaken) futex_wait(worker.mail, kTaken);
    worker.is_awaited.store(false, std::memory_order_relaxed);
  }
}

void ThreadPool::finish(Worker& worker, i64 thread) {
  wake_children(thread);
  run_share(thread, thread);
  u32 taken = kTaken;
  worker.mail.compare_exchange_strong(taken, kIdle);
  if (worker.is_awaited.load()) futex_wake(worker.mail);
}

void ThreadPool::work(Worker& worker, i64 thread) {
  inside_run = true;
  pthread_setname_np(pthread_self(), fmt::format("peri-{}", thread).c_str());
  bool spin = true;
  while (true) {
    u32 seen = spin ? spin_while(worker.mail, kIdle) : worker.mail.load();
    if (seen == kIdle) {
      worker.sleeps.store(true);
      if (worker.mail.load() == kIdle) futex_wait(worker.mail, kIdle);
      worker.sleeps.store(false, std::memory_order_relaxed);
      seen = worker.mail.load();
    }
    if (seen == kStop) return;
    if (seen != kPosted || !worker.mail.compare_exchange_strong(seen, kTaken)) continue;
    spin = job_.spin;
    finish(worker, thread);
  }
}

}  // namespace peri
