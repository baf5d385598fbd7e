#include "tune/worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <deque>
#include <exception>
#include <mutex>
#include <new>
#include <thread>

#include "base/fork_lock.h"
#include "base/sanitizers.h"
#include "base/thread_pool.h"

namespace peri::tune {
namespace {

constexpr double kPollMilliseconds = 50;
constexpr u64 kMaxMessage = u64{1} << 30;
constexpr double kInterruptSeconds = 1;  // that an answer may still take after Ctrl-C
constexpr double kBusyShare = 0.5;       // of the time that a hanging child has the CPU

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool send_all(int socket, const void* data, std::size_t size) {
  const char* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

// At once: whoever waits for it is woken once.
bool send_message(int socket, const std::string& text) {
  const u64 size = text.size();
  std::string message(reinterpret_cast<const char*>(&size), sizeof(size));
  message += text;
  return send_all(socket, message.data(), message.size());
}

// Reads what is there; false at the end of the stream.
bool read_all(int socket, void* data, std::size_t size) {
  char* bytes = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t got = recv(socket, bytes, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

bool read_message(int socket, std::string& text) {
  u64 size = 0;
  if (!read_all(socket, &size, sizeof(size)) || size > kMaxMessage) return false;
  text.resize(size);
  return read_all(socket, text.data(), text.size());
}

// Bytes of address space in use.
i64 address_space() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  long pages = 0;
  if (file != nullptr && std::fscanf(file, "%ld", &pages) != 1) pages = 0;
  if (file != nullptr) std::fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

void limit_memory(i64 more) {
  const i64 used = address_space();
  if (more <= 0 || used <= 0 || kSanitizedMemory) return;
  const auto limit = static_cast<rlim_t>(used + more);
  const rlimit memory{limit, limit};
  setrlimit(RLIMIT_AS, &memory);
}

// Answers what the parent asks until it says no more, or nothing is left to say it to.
void serve_one(const Worker::Serve& serve, const std::string& request, int socket,
               std::mutex* answers) {
  try {
    const std::string answer = serve(request);
    std::unique_lock<std::mutex> lock;
    if (answers != nullptr) lock = std::unique_lock(*answers);
    if (!send_message(socket, answer)) _exit(0);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    std::fflush(stderr);
    std::abort();
  }
}

// The same in threads, of which this one reads. They end with the process.
[[noreturn]] void serve_in_threads(const Worker::Serve& serve, int socket, i64 count) {
  std::mutex mutex, answers;
  std::condition_variable came;
  std::deque<std::string> requests;
  auto work = [&] {
    for (;;) {
      std::unique_lock lock(mutex);
      came.wait(lock, [&] { return !requests.empty(); });
      const std::string request = std::move(requests.front());
      requests.pop_front();
      lock.unlock();
      serve_one(serve, request, socket, &answers);
    }
  };
  for (i64 t = 0; t < count; ++t) std::thread(work).detach();
  std::string request;
  while (read_message(socket, request)) {
    {
      std::lock_guard lock(mutex);
      requests.push_back(std::move(request));
    }
    came.notify_one();
  }
  _exit(0);
}

[[noreturn]] void run_child(int socket, int log, pid_t parent, const Worker::Serve& serve,
                            i64 memory_bytes, i64 threads) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  std::signal(SIGINT, SIG_IGN);  // the parent decides
  // A crash is named by its signal, whatever handlers the program has.
  for (int crash : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) std::signal(crash, SIG_DFL);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  limit_memory(memory_bytes);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  ThreadPool::global().after_fork();
  if (threads > 1) serve_in_threads(serve, socket, threads);
  std::string request;
  while (read_message(socket, request)) serve_one(serve, request, socket, nullptr);
  _exit(0);
}

// "SIGSEGV".
std::string signal_name(int number) {
  const char* name = sigabbrev_np(number);
  return name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", number);
}

}  // namespace

Expected<std::unique_ptr<Worker>> Worker::start(Serve serve, i64 memory_bytes, i64 threads) {
  auto failed = [](const char* what) {
    return fail("worker-failed", fmt::format("{}: {}", what, std::strerror(errno)),
                "close other programs, or raise the limit of processes (ulimit -u)");
  };
  // While it is held no other child can come by the end that tells of this one's death.
  std::unique_lock lock(fork_lock());
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    return failed("cannot make a socket pair");
  }
  const int log = memfd_create("perihelion-worker", MFD_CLOEXEC);
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t child = log < 0 ? -1 : fork();
  const int cause = errno;
  if (child == 0) {
    new (&fork_lock()) std::shared_mutex;  // its owner is a thread of the parent
    close(sockets[0]);
    run_child(sockets[1], log, parent, serve, memory_bytes, threads);
  }
  if (child < 0) {
    for (int file : {sockets[0], sockets[1], log}) close(file);
    errno = cause;
    return failed("cannot start a worker process");
  }
  close(sockets[1]);
  return std::unique_ptr<Worker>(new Worker(child, sockets[0], log));
}

Worker::~Worker() {
  if (pid_ > 0) kill(Death::Kind::Interrupted, "");
  close(socket_);
  close(log_);
}

std::expected<std::string, Death> Worker::ask(const std::string& request, double seconds,
                                              const std::function<bool()>& is_interrupted,
                                              double most) {
  if (pid_ <= 0 || !send_message(socket_, request)) return std::unexpected(death());
  const double begin = now(), cpu_begin = cpu_seconds();
  const double end = begin + most;
  double deadline = std::min(begin + seconds, end);
  bool extended = false, interrupted = false;
  pollfd events{socket_, POLLIN, 0};
  auto wait = [&] {
    double left = std::clamp(1e3 * (deadline - now()), 1.0, kPollMilliseconds);
    return poll(&events, 1, static_cast<int>(left));
  };
  while (wait() <= 0) {
    if (!interrupted && is_interrupted && is_interrupted()) {
      interrupted = true;
      deadline = std::min(deadline, now() + kInterruptSeconds);
    }
    if (now() < deadline) continue;
    if (interrupted) return std::unexpected(kill(Death::Kind::Interrupted, "interrupted"));
    if (now() >= end) return std::unexpected(kill(Death::Kind::OutOfTime, kOutOfTime));
    const bool was_busy = cpu_seconds() - cpu_begin >= kBusyShare * seconds;
    if (!extended && !was_busy) {
      extended = true;
      deadline = std::min(begin + kStarved * seconds, end);
      continue;
    }
    Death hung = kill(Death::Kind::Hung, fmt::format("no answer within {:.2g} s", now() - begin));
    hung.was_busy = was_busy;
    return std::unexpected(std::move(hung));
  }
  std::string answer;
  if (!read_message(socket_, answer)) return std::unexpected(death());
  return answer;
}

bool Worker::send(const std::string& request) { return pid_ > 0 && send_message(socket_, request); }

std::expected<std::optional<std::string>, Death> Worker::receive(double seconds) {
  if (pid_ <= 0) return std::unexpected(death());
  pollfd events{socket_, POLLIN, 0};
  if (poll(&events, 1, static_cast<int>(std::ceil(1e3 * seconds))) <= 0) return std::nullopt;
  std::string answer;
  if (!read_message(socket_, answer)) return std::unexpected(death());
  return answer;
}

// Of a child that is gone, or about to be.
Death Worker::death() {
  int status = 0;
  if (pid_ <= 0 || waitpid(pid_, &status, 0) != pid_) return {Death::Kind::Died, "it is gone"};
  pid_ = -1;
  std::string reason = WIFSIGNALED(status) ? signal_name(WTERMSIG(status))
                                           : fmt::format("exit status {}", WEXITSTATUS(status));
  const std::string words = last_words();
  if (!words.empty()) reason += ": " + words;
  return {Death::Kind::Died, reason};
}

Death Worker::kill(Death::Kind kind, std::string reason) {
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
  return {kind, std::move(reason)};
}

// The last line that the child wrote to its standard output or error.
std::string Worker::last_words() const {
  constexpr off_t kMost = 400;
  const off_t size = lseek(log_, 0, SEEK_END);
  char text[kMost];
  const ssize_t got = size <= 0 ? 0 : pread(log_, text, kMost, std::max<off_t>(0, size - kMost));
  std::string words(text, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  words.erase(words.find_last_not_of(" \n") + 1);
  words.erase(0, words.find_last_of('\n') + 1);
  for (char& c : words) c = c >= ' ' && c <= '~' ? c : '?';
  return words;
}

double Worker::cpu_seconds() const {
  clockid_t clock;
  timespec time{};
  if (clock_getcpuclockid(pid_, &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace peri::tune
