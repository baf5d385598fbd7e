#include "backends/triton/toolchain.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "backends/triton/cache_folder.h"
#include "backends/triton/compile_worker.h"
#include "base/hash.h"
#include "base/thread_pool.h"

extern char** environ;

namespace peri::triton {

using nlohmann::json;

namespace {

constexpr double kPatience = 4;             // times the slowest request so far
constexpr double kStartTimeout = 60;        // seconds until a worker says hello
constexpr std::size_t kMostMessage = 2000;  // bytes of a compiler's message

std::string decode_base64(std::string_view text) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  u32 word = 0;
  int bits = 0;
  for (char c : text) {
    std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) continue;  // padding
    word = word << 6 | static_cast<u32>(digit);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>(word >> bits & 0xff);
    }
  }
  return bytes;
}

std::string tail(std::string text) {
  if (text.size() > kMostMessage) text = "..." + text.substr(text.size() - kMostMessage);
  return text;
}

bool is_supported(std::string_view version) {
  int major = 0, minor = 0;
  if (std::sscanf(std::string(version).c_str(), "%d.%d", &major, &minor) != 2) return false;
  return major == 3 && minor >= 6 && minor <= 9;
}

}  // namespace

// One Python process with its children, the socket that is its standard input and output, and the
// folder that it caches in.
class Toolchain::Worker {
 public:
  static Expected<std::unique_ptr<Worker>> start(const ToolchainOptions& options) {
    auto worker = std::make_unique<Worker>();
    if (auto spawned = worker->spawn(options); !spawned) return std::unexpected(spawned.error());
    return worker;
  }

  ~Worker() {
    if (socket_ >= 0) ::close(socket_);
    if (pid_ > 0) {
      ::kill(-pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    if (log_ >= 0) ::close(log_);
  }

  Expected<json> ask(const json& request, double timeout) {
    std::string line = request.dump() + "\n";
    for (std::size_t sent = 0; sent < line.size();) {
      ssize_t n = ::send(socket_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return crashed();
      sent += static_cast<std::size_t>(n);
    }
    return receive(timeout);
  }

  const std::string& compiler() const { return compiler_; }

  // Waits until it has loaded Triton, and looks at the version.
  Expected<void> greet(const ToolchainOptions& options) {
    auto hello = receive(kStartTimeout);
    std::string install = fmt::format("{} -m pip install triton==3.6.0", options.python);
    if (!hello) {
      return fail("no-triton",
                  fmt::format("`{}` does not get as far as loading Triton: {}", options.python,
                              hello.error().message),
                  "try: " + install);
    }
    if (hello->contains("missing")) {
      return fail(
          "no-triton", fmt::format("`{}` has no Triton", options.python),
          fmt::format("install it with `{}`, or name another Python with PERI_PYTHON", install));
    }
    std::string version = hello->value("version", std::string("?"));
    compiler_ = "triton " + version;
    if (is_supported(version)) return {};
    return fail("unsupported-triton",
                fmt::format("`{}` has Triton {}, which is not supported", options.python, version),
                fmt::format("install one of 3.6 to 3.9: `{}`", install));
  }

 private:
  Expected<void> spawn(const ToolchainOptions& options) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      return fail("no-python", fmt::format("no socket pair: {}", std::strerror(errno)));
    }
    socket_ = ends[0];
    File other_end(ends[1]);
    auto cache = CacheFolder::make();
    if (!cache) return std::unexpected(cache.error());
    cache_ = std::move(*cache);
    log_ = ::memfd_create("compiler-log", MFD_CLOEXEC);
    std::vector<std::string> words = {options.python};
    if (options.arguments.empty()) {
      words.insert(words.end(), {"-c", kCompileWorker, fmt::format("{}", ::getpid())});
    } else {
      words.insert(words.end(), options.arguments.begin(), options.arguments.end());
    }
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::vector<std::string> variables = {"TRITON_CACHE_DIR=", "TMPDIR="};
    std::vector<char*> environment;
    for (char** entry = environ; *entry != nullptr; ++entry) {
      auto is_entry = [&](const std::string& v) { return std::string_view(*entry).starts_with(v); };
      if (std::ranges::none_of(variables, is_entry)) environment.push_back(*entry);
    }
    for (std::string& variable : variables) {
      variable += cache_.path().string();
      environment.push_back(variable.data());
    }
    environment.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    if (log_ >= 0) posix_spawn_file_actions_adddup2(&actions, log_, 2);
    // Ctrl-C is for the caller, who ends workers itself, together with what they have started.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    int failed = ::posix_spawnp(&pid_, options.python.c_str(), &actions, &attributes,
                                arguments.data(), environment.data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (failed == 0) return {};
    pid_ = -1;
    return fail("no-python",
                fmt::format("cannot start `{}`: {}", options.python, std::strerror(failed)),
                "GPU code needs Python 3 with Triton to compile: install it, or name it with "
                "PERI_PYTHON");
  }

  Expected<json> receive(double timeout) {
    using Clock = std::chrono::steady_clock;
    auto deadline = Clock::now() + std::chrono::duration<double>(timeout);
    for (;;) {
      std::size_t end = buffer_.find('\n');
      if (end != std::string::npos) {
        json message = json::parse(buffer_.substr(0, end), nullptr, false);
        buffer_.erase(0, end + 1);
        if (message.is_object()) return message;
        return fail("compiler-crashed", "the compile worker sent no JSON");
      }
      double left = std::chrono::duration<double>(deadline - Clock::now()).count();
      if (left <= 0) {
        return fail("compiler-timeout", fmt::format("no reply within {:.0f} s", timeout));
      }
      pollfd entry{socket_, POLLIN, 0};
      int ready = ::poll(&entry, 1, static_cast<int>(std::min(left, 3600.0) * 1000) + 1);
      if (ready < 0 && errno != EINTR) return crashed();
      if (ready <= 0) continue;
      char bytes[1 << 16];
      ssize_t n = ::recv(socket_, bytes, sizeof bytes, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return crashed();
      buffer_.append(bytes, static_cast<std::size_t>(n));
    }
  }

  std::unexpected<Error> crashed() {
    int status = 0;
    std::string how = "ended";
    if (pid_ > 0) {  // its number stays taken until it is waited for
      siginfo_t info;
      ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
      ::kill(-pid_, SIGKILL);
    }
    if (pid_ > 0 && ::waitpid(pid_, &status, 0) == pid_) {
      if (WIFSIGNALED(status)) how = fmt::format("died of signal {}", WTERMSIG(status));
      if (WIFEXITED(status)) how = fmt::format("ended with status {}", WEXITSTATUS(status));
      pid_ = -1;
    }
    std::string log;
    if (log_ >= 0) {
      off_t size = ::lseek(log_, 0, SEEK_END);
      log.resize(static_cast<std::size_t>(std::max<off_t>(size, 0)));
      ssize_t n = ::pread(log_, log.data(), log.size(), 0);
      log.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    }
    return fail("compiler-crashed", fmt::format("the compiler {}{}{}", how, log.empty() ? "" : ": ",
                                                tail(std::move(log))));
  }

  pid_t pid_ = -1;
  int socket_ = -1;
  int log_ = -1;
  CacheFolder cache_;
  std::string buffer_;
  std::string compiler_;
};

Toolchain::Toolchain(ToolchainOptions options) : options_(std::move(options)) {
  if (options_.processes <= 0) options_.processes = ThreadPool::available_cpus();
}

Toolchain::~Toolchain() = default;

std::shared_ptr<Toolchain> Toolchain::of(const std::string& python) {
  static std::mutex mutex;
  static std::map<std::pair<pid_t, std::string>, std::shared_ptr<Toolchain>> pools;
  std::lock_guard lock(mutex);
  // A fork must not talk to the processes of its parent, who does so too.
  std::shared_ptr<Toolchain>& pool = pools[{::getpid(), python}];
  if (!pool) {
    ToolchainOptions options;
    options.python = python;
    pool = std::make_shared<Toolchain>(std::move(options));
  }
  return pool;
}

Expected<std::unique_ptr<Toolchain::Worker>> Toolchain::take() {
  std::unique_lock lock(mutex_);
  freed_.wait(lock, [&] { return !idle_.empty() || busy_ < options_.processes; });
  ++busy_;
  if (!idle_.empty()) {
    std::unique_ptr<Worker> worker = std::move(idle_.back());
    idle_.pop_back();
    return worker;
  }
  std::call_once(swept_, CacheFolder::remove_abandoned);
  std::unique_ptr<Worker> spare = std::move(spare_);
  bool had_spare = spare != nullptr;
  lock.unlock();
  auto started =
      had_spare ? Expected<std::unique_ptr<Worker>>(std::move(spare)) : Worker::start(options_);
  if (started) {
    if (auto greeted = (*started)->greet(options_); !greeted) {
      started = std::unexpected(greeted.error());
    }
  }
  if (!started) {
    give_back(nullptr);
    return started;
  }
  if (had_spare) start_spare();
  lock.lock();
  compiler_ = (*started)->compiler();
  return started;
}

// Without waiting for it; if it cannot be had, the next request starts a process, and says why.
void Toolchain::start_spare() {
  std::lock_guard lock(mutex_);
  if (spare_) return;
  if (auto started = Worker::start(options_)) spare_ = std::move(*started);
}

void Toolchain::give_back(std::unique_ptr<Worker> worker) {
  {
    std::lock_guard lock(mutex_);
    --busy_;
    if (worker) idle_.push_back(std::move(worker));
  }
  freed_.notify_one();
}

namespace {

json request_of(const Source& source, const Target& target, i64 id) {
  json options = {{"num_warps", source.num_warps}, {"num_stages", source.num_stages}};
  if (source.maxnreg > 0) options["maxnreg"] = source.maxnreg;
  return {{"id", id},
          {"source", source.text},
          {"function", source.function},
          {"signature", source.signature},
          {"aligned", source.aligned},
          {"options", options},
          {"target", {target.vendor, target.arch, target.warp_size}},
          {"texts", source.keep}};
}

Binary binary_of(const json& reply, const Source& source) {
  Binary binary;
  binary.function = reply.value("name", source.function);
  binary.format = reply.value("format", std::string());
  binary.bytes = decode_base64(reply.value("binary", std::string()));
  binary.num_warps = reply.value("warps", source.num_warps);
  binary.shared_bytes = reply.value("shared", i64{0});
  binary.cluster = reply.value("cluster", i64{1});
  binary.scratch_bytes = reply.value("scratch", i64{0});
  binary.scratch_alignment = reply.value("scratch_alignment", i64{1});
  for (const json& map : reply.value("maps", json::array())) {
    binary.descriptors.push_back(
        {map.value("swizzle", i64{0}), map.value("block_size", std::vector<i64>())});
  }
  for (const std::string& stage : source.keep) {
    binary.texts.push_back(reply.value("texts", json::object()).value(stage, std::string()));
  }
  return binary;
}

// Everything that the code depends on but the version of Triton.
std::string store_key(const Source& source, const Target& target) {
  json all = {request_of(source, target, 0), kBinarySchema, kCompileWorker};
  return fmt::format("{}{}", backends::kCodeKey, hash_hex(all.dump()));
}

}  // namespace

Expected<Binary> Toolchain::compile(const Source& source, const Target& target,
                                    backends::CodeStore* store) {
  if (store == nullptr || !source.keep.empty()) return run(source, target);
  std::string key = store_key(source, target);
  if (auto kept = find(*store, key)) return *std::move(kept);
  auto binary = run(source, target);
  if (binary) store->put(key, write_binary(*binary));
  return binary;
}

Expected<std::string> Toolchain::compiler() {
  {
    std::lock_guard lock(mutex_);
    if (!compiler_.empty()) return compiler_;
  }
  auto worker = Worker::start(options_);
  if (!worker) return std::unexpected(worker.error());
  if (auto greeted = (*worker)->greet(options_); !greeted) return std::unexpected(greeted.error());
  std::lock_guard lock(mutex_);
  compiler_ = (*worker)->compiler();
  return compiler_;
}

std::optional<Binary> Toolchain::find(const backends::CodeStore& store, std::string_view key) {
  auto text = store.get(key);
  if (!text) return std::nullopt;
  auto binary = read_binary(*text);
  if (!binary) return std::nullopt;
  std::lock_guard lock(mutex_);
  if (!compiler_.empty() && binary->compiler != compiler_) return std::nullopt;
  return *std::move(binary);
}

Expected<Binary> Toolchain::run(const Source& source, const Target& target) {
  auto worker = take();
  if (!worker) return std::unexpected(worker.error());
  i64 id = 0;
  double limit = options_.timeout;
  {
    std::lock_guard lock(mutex_);
    id = ++next_id_;
    if (source.impatient && slowest_ > 0) {
      limit = std::clamp(kPatience * slowest_, std::min(options_.patience, limit), limit);
    }
  }
  auto begin = std::chrono::steady_clock::now();
  auto reply = (*worker)->ask(request_of(source, target, id), limit);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::string compiler = (*worker)->compiler();
  if (!reply) {
    worker->reset();  // ends the process; the next request takes another
    start_spare();
    give_back(nullptr);
    return std::unexpected(reply.error());
  }
  give_back(std::move(*worker));
  {
    std::lock_guard lock(mutex_);
    slowest_ = std::max(slowest_, seconds);
  }
  if (!reply->value("ok", false)) {
    return fail("compile-failed",
                fmt::format("{} refuses the code of `{}`: {}", compiler, source.function,
                            tail(reply->value("error", std::string()))));
  }
  Binary binary = binary_of(*reply, source);
  binary.compiler = compiler;
  return binary;
}

}  // namespace peri::triton
