// A pool of threads for loops over independent cells, started and joined in about a microsecond.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "base/function_ref.h"
#include "base/ids.h"

namespace peri {

enum class Schedule : u8 {
  Static,       // one contiguous range of cells a thread
  Interleaved,  // turns of a few cells, dealt to the threads in a circle
  Dynamic,      // turns of a few cells, taken as threads get free
};

// `run` splits [0, cells) into ranges and calls body(begin, end, thread) for each; the caller takes
// part as thread 0, and no two concurrent calls share a thread number. The body must not throw.
// Runs inside a body, and runs while another thread uses the pool, stay on their own thread.
//
// Idle workers spin for some microseconds and then sleep. The caller never waits for a worker that
// has not begun: it takes over its share, so a busy machine slows a run down but cannot stall it.
class ThreadPool {
 public:
  using Body = FunctionRef<void(i64 begin, i64 end, i64 thread)>;

  explicit ThreadPool(i64 threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // The pool of the process, with available_cpus() threads.
  static ThreadPool& global();
  // CPUs that this process may use: its affinity mask, and its control group's quota.
  static i64 available_cpus();

  // `max_threads` 0: as many as the pool has. On one thread this is a plain call. `turn`: cells in
  // a turn; 0: an eighth of a thread's share (Dynamic) or one (Interleaved).
  void run(i64 cells, i64 max_threads, Body body, Schedule schedule = Schedule::Static,
           i64 turn = 0) {
    if (max_threads == 1 || cells <= 1) {
      if (cells > 0) body(0, cells, 0);
    } else {
      run_parallel(cells, max_threads, body, schedule, turn);
    }
  }

  // To be called first thing in a forked child: its copy of the pool has no threads and starts new
  // ones when it needs them.
  void after_fork();

  // Threads that a run uses at most, the caller included.
  i64 threads() const { return threads_.load(std::memory_order_relaxed); }
  // Waits for the run in progress; at least 1. Not from inside a body.
  void set_threads(i64 threads);

 private:
  struct Worker;
  // What the workers of the run in progress share.
  struct Job {
    const Body* body = nullptr;
    i64 cells = 0;
    i64 threads = 0;                        // that take part
    i64 turn = 0;                           // cells in one; 0 for Static
    bool on_demand = false;                 // Dynamic
    bool spin = true;                       // idle workers spin: there is a CPU for each
    alignas(64) std::atomic<i64> next = 0;  // Dynamic: first cell not taken
  };

  void run_parallel(i64 cells, i64 max_threads, Body body, Schedule schedule, i64 turn);
  void start_workers(i64 count);
  void post();
  void join();
  void finish(Worker& worker, i64 thread);
  void wake_children(i64 thread);
  void run_share(i64 share, i64 thread);
  void work(Worker& worker, i64 thread);

  std::mutex mutex_;  // held for the length of a run
  std::atomic<i64> threads_;
  std::vector<std::unique_ptr<Worker>> workers_;  // worker i is thread i + 1
  Job job_;
};

}  // namespace peri
