#include "peri/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <new>

#include "base/bug.h"
#include "base/hash.h"
#include "driver/tune.h"
#include "driver/tuned_choice.h"
#include "driver/tuned_store.h"
#include "runtime/host_plan.h"
#include "space/config.h"

namespace peri {

using check::ArgSpec;
using runtime::Leaf;

namespace {

constexpr std::size_t kMaxKeyWords = 256;
constexpr std::size_t kMaxLeaves = 64;

// A call's arguments as words: equal words mean the same specialisation.
struct CallKey {
  std::array<u64, kMaxKeyWords> words;
  std::size_t count = 0;
  u64 hash = 0;
  bool fits = true;

  void add(u64 word) {
    if (count == kMaxKeyWords) {
      fits = false;
      return;
    }
    words[count++] = word;
    hash = hash_combine(hash, word);
  }
};

// As check.h describes the classes of strides.
u64 stride_class(const Tensor& tensor) {
  i64 expected = 1;
  bool contiguous = true;
  for (i64 d = tensor.rank() - 1; d >= 0; --d) {
    contiguous = contiguous && (tensor.sizes[d] == 1 || tensor.strides[d] == expected);
    expected *= tensor.sizes[d];
  }
  if (contiguous) return 0;
  return !tensor.strides.empty() && tensor.strides.back() == 1 ? 1 : 2;
}

void add_tensor(CallKey& key, const Tensor& tensor, bool static_shapes) {
  key.add(static_cast<u64>(tensor.dtype) << 32 | static_cast<u64>(tensor.rank()));
  if (!static_shapes) {
    key.add(stride_class(tensor));
    return;
  }
  for (i64 size : tensor.sizes) key.add(static_cast<u64>(size));
  for (i64 stride : tensor.strides) key.add(static_cast<u64>(stride));
}

// `by_value`: the scalar's value is part of the specialisation.
void add_argument(CallKey& key, const Arg& arg, bool by_value, bool static_shapes) {
  key.add(static_cast<u64>(arg.kind));
  switch (arg.kind) {
    case Arg::Kind::None:
      break;
    case Arg::Kind::Tensor:
      add_tensor(key, *arg.tensor, static_shapes);
      break;
    case Arg::Kind::String:
      key.add(hash_text(arg.text));
      break;
    case Arg::Kind::Int:
    case Arg::Kind::Bool:
      if (by_value) key.add(static_cast<u64>(arg.integer));
      break;
    case Arg::Kind::Float:
      if (by_value) key.add(std::bit_cast<u64>(arg.real));
  }
}

SymValue scalar_of(const Arg& arg) {
  if (arg.kind == Arg::Kind::Float) return SymValue::of(arg.real);
  return arg.kind == Arg::Kind::Bool ? SymValue::of_bool(arg.integer != 0)
                                     : SymValue::of(arg.integer);
}

driver::Argument argument_of(const Arg& arg) {
  if (arg.kind == Arg::Kind::Tensor) return driver::tensor_argument(*arg.tensor);
  driver::Argument argument;
  if (arg.kind == Arg::Kind::String) {
    argument.spec.kind = ArgSpec::Kind::String;
    argument.spec.text = arg.text;
  } else if (arg.kind != Arg::Kind::None) {
    argument = driver::scalar_argument(scalar_of(arg));
  }
  return argument;
}

constexpr std::size_t kMaxPlaces = 256;  // as many as entries may have

// Code by row of a dispatch table, made when a call first needs it.
struct ShapeRows {
  explicit ShapeRows(const tune::ShapeTable& t)
      : table(t), executables(static_cast<std::size_t>(t.row_count())) {}

  i64 row_of(std::span<const Leaf> leaves) const {
    std::array<i64, kMaxPlaces> sizes;
    for (std::size_t i = 0; i < places.size(); ++i) {
      sizes[i] = leaves[places[i].first].tensor->sizes[places[i].second];
    }
    return table.nearest({sizes.data(), places.size()});
  }

  tune::ShapeTable table;
  std::vector<std::pair<i64, i64>> places;  // leaf and dimension of each size
  std::vector<std::atomic<const runtime::Executable*>> executables;
};

// A kernel compiled for one kind of arguments.
struct Specialisation {
  explicit Specialisation(diag::Sources& sources) : diags(sources), compilation(diags) {}

  diag::Diags diags;
  driver::Compilation compilation;
  std::vector<i64> leaf_args;  // by leaf: position of its argument
  std::atomic<const runtime::Executable*> executable = nullptr;
  struct Kept {
    space::Config config;
    std::shared_ptr<const runtime::Executable> executable;
  };
  std::vector<Kept> kept;  // all that were made: calls may still run them

  std::atomic<const ShapeRows*> shapes = nullptr;  // null: one config for all sizes
  std::vector<std::unique_ptr<ShapeRows>> kept_shapes;

  // From now on calls choose by their sizes, as the compilation says.
  void use_dispatch();
  // The code for a call; null where its row has none yet.
  const runtime::Executable* find(std::span<const Leaf> leaves) const;
  // The same, made if need be.
  Expected<const runtime::Executable*> find_or_generate(std::span<const Leaf> leaves);
  // The code for a config; null where there is none yet.
  const runtime::Executable* find_code(const space::Config& config) const;
  // The same, made if need be.
  Expected<const runtime::Executable*> code_for(const space::Config& config);
  // The config of a call.
  const space::Config& config_of(std::span<const Leaf> leaves) const;
};

void Specialisation::use_dispatch() {
  const std::optional<driver::Dispatch>& dispatch = compilation.dispatch;
  if (!dispatch || dispatch->table.row_count() < 2) {
    shapes.store(nullptr, std::memory_order_release);
    return;
  }
  auto made = std::make_unique<ShapeRows>(dispatch->table);
  const std::vector<std::string>& names = compilation.lowered->host.leaf_names;
  for (const tune::NamedSize& place : dispatch->places) {
    auto leaf = std::ranges::find(names, place.argument);
    BUG_IF(leaf == names.end(), "size `{}` is of no leaf", place.name);
    made->places.emplace_back(leaf - names.begin(), place.dimension);
  }
  for (std::size_t row = 0; row < dispatch->configs.size(); ++row) {
    made->executables[row].store(find_code(dispatch->configs[row]));
  }
  made->executables[dispatch->row].store(executable.load(std::memory_order_acquire));
  shapes.store(made.get(), std::memory_order_release);
  kept_shapes.push_back(std::move(made));
}

const runtime::Executable* Specialisation::find(std::span<const Leaf> leaves) const {
  const ShapeRows* rows = shapes.load(std::memory_order_acquire);
  if (rows == nullptr) return executable.load(std::memory_order_acquire);
  return rows->executables[rows->row_of(leaves)].load(std::memory_order_acquire);
}

const space::Config& Specialisation::config_of(std::span<const Leaf> leaves) const {
  const ShapeRows* rows = shapes.load(std::memory_order_acquire);
  if (rows == nullptr) return compilation.config;
  const i64 row = rows->row_of(leaves);
  const driver::Dispatch& dispatch = *compilation.dispatch;
  return row == dispatch.row ? compilation.config : dispatch.configs[row];
}

Expected<const runtime::Executable*> Specialisation::find_or_generate(
    std::span<const Leaf> leaves) {
  if (const auto* found = find(leaves)) return found;
  const i64 row = shapes.load(std::memory_order_acquire)->row_of(leaves);
  auto made = code_for(compilation.dispatch->configs[row]);
  if (made) kept_shapes.back()->executables[row].store(*made, std::memory_order_release);
  return made;
}

const runtime::Executable* Specialisation::find_code(const space::Config& config) const {
  auto found = std::ranges::find(kept, config, &Kept::config);
  return found == kept.end() ? nullptr : found->executable.get();
}

Expected<const runtime::Executable*> Specialisation::code_for(const space::Config& config) {
  if (const auto* found = find_code(config)) return found;
  auto code = driver::generate(compilation, config);
  if (!code) return std::unexpected(code.error());
  auto loaded = driver::load(compilation, config, std::move(code->artifact));
  if (!loaded) return std::unexpected(loaded.error());
  kept.push_back({config, std::move(*loaded)});
  return kept.back().executable.get();
}

// Calls seen so far. Immutable: a new entry makes a new table, so that look-ups need no lock.
struct Table {
  struct Entry {
    std::vector<u64> key;
    Specialisation* target = nullptr;
  };
  std::vector<Entry> entries;  // open addressing; a power of two of them
  std::size_t used = 0;

  template <class Accept>
  Specialisation* find(const CallKey& key, const Accept& accept) const {
    if (entries.empty()) return nullptr;
    std::size_t mask = entries.size() - 1;
    for (std::size_t at = key.hash & mask; entries[at].target != nullptr; at = (at + 1) & mask) {
      const Entry& entry = entries[at];
      bool equal = entry.key.size() == key.count &&
                   std::equal(entry.key.begin(), entry.key.end(), key.words.begin());
      if (equal && accept(*entry.target)) return entry.target;
    }
    return nullptr;
  }

  void insert(std::vector<u64> key, Specialisation* target) {
    u64 hash = 0;
    for (u64 word : key) hash = hash_combine(hash, word);
    std::size_t at = hash & (entries.size() - 1);
    while (entries[at].target != nullptr) at = (at + 1) & (entries.size() - 1);
    entries[at] = {std::move(key), target};
    ++used;
  }
};

}  // namespace

struct Kernel::Impl {
  diag::Sources sources;
  diag::Diags diags{sources};
  driver::Request request;
  std::shared_ptr<const driver::Module> module;
  const check::KernelDecl* decl = nullptr;
  std::vector<bool> by_value;  // by parameter
  std::atomic<const Table*> table = nullptr;

  std::mutex mutex;  // of what follows; held while compiling
  std::vector<std::unique_ptr<Table>> tables;
  std::multimap<std::string, std::unique_ptr<Specialisation>> specialisations;

  Expected<void> open(const std::string& name, const KernelOptions& options);
  void find_values();

  Expected<void> make_key(std::span<const Arg> args, CallKey& key) const;
  driver::Arguments arguments_of(std::span<const Arg> args) const;
  Expected<Specialisation*> find(std::span<const Arg> args);
  Expected<Specialisation*> find_or_compile(std::span<const Arg> args, const CallKey& key);
  Expected<std::unique_ptr<Specialisation>> compile(std::map<std::string, ArgSpec> specs,
                                                    bool require_tuned);
  Expected<std::unique_ptr<Specialisation>> draft(std::span<const Arg> args);
  void remember(const CallKey& key, Specialisation* specialisation);

  static Expected<std::shared_ptr<Impl>> make(driver::Request request, const std::string& name,
                                              const KernelOptions& options);
};

namespace {

// Errors of the kernel become one error whose message is their text.
Error with_text(Error error, const diag::Diags& diags) {
  if (error.code == "diagnostics") error.message = diag::render_text(diags);
  return error;
}

// The environment's, but for what the options choose.
Expected<driver::Settings> settings_of(const KernelOptions& options) {
  auto settings = driver::settings_from_environment();
  if (!settings) return settings;
  if (!options.device.empty()) settings->device = options.device;
  if (!options.cpu.empty()) settings->cpu = options.cpu;
  if (options.threads > 0) settings->threads = options.threads;
  if (!options.cache_dir.empty()) settings->cache_dir = options.cache_dir;
  settings->no_cache = settings->no_cache || !options.use_cache;
  settings->require_tuned = settings->require_tuned || options.require_tuned;
  return settings;
}

bool is_accepted(const Specialisation& specialisation, std::span<const Leaf> leaves) {
  return specialisation.executable.load(std::memory_order_acquire)->accepts(leaves);
}

// The arguments of a call as a specialisation's leaves.
class Leaves {
 public:
  Leaves(const Specialisation& specialisation, std::span<const Arg> args)
      : count_(specialisation.leaf_args.size()) {
    Leaf* leaf = reinterpret_cast<Leaf*>(memory_);
    for (i64 position : specialisation.leaf_args) {
      const Arg& arg = args[position];
      std::construct_at(leaf++, arg.tensor, arg.tensor == nullptr ? scalar_of(arg) : SymValue());
    }
  }
  std::span<const Leaf> all() const {
    return {std::launder(reinterpret_cast<const Leaf*>(memory_)), count_};
  }

 private:
  static_assert(std::is_trivially_destructible_v<Leaf>);
  std::size_t count_;
  alignas(Leaf) std::byte memory_[kMaxLeaves * sizeof(Leaf)];  // mostly unused: not cleared
};

}  // namespace

Expected<void> Kernel::Impl::open(const std::string& name, const KernelOptions& options) {
  request.kernel = name;
  auto settings = settings_of(options);
  if (!settings) return std::unexpected(settings.error());
  request.settings = *std::move(settings);
  request.device = request.settings.device;
  request.opens_device = true;
  request.memory = std::make_shared<driver::TunedMemory>();
  request.warn = options.warn;
  if (!options.config.empty()) {
    diag::SourceId source = sources.add("config", options.config);
    request.config = space::parse_config(source, diags);
    if (!request.config) return fail("diagnostics", "the config has errors");
  }
  driver::Compilation c(diags);
  c.request = request;
  if (auto done = driver::compile(c, "select"); !done) return done;
  module = c.module;
  decl = c.decl;
  find_values();
  return {};
}

// Parameters whose scalar values are part of the specialisation: two values, two keys.
void Kernel::Impl::find_values() {
  for (const std::string& param : decl->params) {
    auto key = [&](i64 value) {
      ArgSpec spec = driver::scalar_argument(SymValue::of(value)).spec;
      return check::specialization_key(module->ast, *decl, {{param, spec}});
    };
    by_value.push_back(key(1) != key(2));
  }
}

Expected<void> Kernel::Impl::make_key(std::span<const Arg> args, CallKey& key) const {
  if (args.size() > decl->params.size()) {
    return fail("bad-argument", fmt::format("`{}` has {} parameters, {} arguments are given",
                                            decl->name, decl->params.size(), args.size()));
  }
  for (std::size_t i = 0; i < args.size(); ++i) {
    add_argument(key, args[i], by_value[i], decl->static_shapes);
  }
  if (key.fits && args.size() <= kMaxLeaves) return {};
  return fail("bad-argument", fmt::format("`{}` has too many arguments or dimensions", decl->name));
}

driver::Arguments Kernel::Impl::arguments_of(std::span<const Arg> args) const {
  driver::Arguments arguments;
  for (std::size_t i = 0; i < args.size(); ++i) arguments[decl->params[i]] = argument_of(args[i]);
  return arguments;
}

Expected<std::unique_ptr<Specialisation>> Kernel::Impl::compile(
    std::map<std::string, ArgSpec> specs, bool require_tuned) {
  auto made = std::make_unique<Specialisation>(sources);
  made->compilation.request = request;
  made->compilation.request.args = std::move(specs);
  made->compilation.request.settings.require_tuned = require_tuned;
  made->compilation.module = module;
  if (auto done = driver::compile(made->compilation); !done) {
    return std::unexpected(with_text(done.error(), made->diags));
  }
  for (const std::string& name : made->compilation.lowered->host.leaf_names) {
    auto param = std::ranges::find(decl->params, name);
    BUG_IF(param == decl->params.end(), "leaf `{}` is no parameter", name);
    made->leaf_args.push_back(param - decl->params.begin());
  }
  made->kept.push_back({made->compilation.config, made->compilation.executable});
  made->executable.store(made->compilation.executable.get());
  made->use_dispatch();
  return made;
}

// For tuning: calls do not find it, so that they never run what nobody chose.
Expected<std::unique_ptr<Specialisation>> Kernel::Impl::draft(std::span<const Arg> args) {
  std::lock_guard lock(mutex);
  return compile(specs_of(arguments_of(args)), false);
}

// A table twice as large, or as large, with one more entry. Old tables stay: calls may read them.
void Kernel::Impl::remember(const CallKey& key, Specialisation* specialisation) {
  const Table* old = table.load(std::memory_order_relaxed);
  std::size_t used = old == nullptr ? 0 : old->used;
  auto next = std::make_unique<Table>();
  next->entries.resize(std::bit_ceil(2 * used + 4));
  if (old != nullptr) {
    for (const Table::Entry& entry : old->entries) {
      if (entry.target != nullptr) next->insert(entry.key, entry.target);
    }
  }
  next->insert({key.words.begin(), key.words.begin() + key.count}, specialisation);
  table.store(next.get(), std::memory_order_release);
  tables.push_back(std::move(next));
}

Expected<Specialisation*> Kernel::Impl::find_or_compile(std::span<const Arg> args,
                                                        const CallKey& key) {
  std::lock_guard lock(mutex);
  std::map<std::string, ArgSpec> specs = specs_of(arguments_of(args));
  std::string name = check::specialization_key(module->ast, *decl, specs);
  auto [begin, end] = specialisations.equal_range(name);
  Specialisation* found = nullptr;
  for (auto it = begin; it != end && found == nullptr; ++it) {
    const Leaves leaves(*it->second, args);
    if (is_accepted(*it->second, leaves.all())) found = it->second.get();
  }
  if (found == nullptr) {
    auto made = compile(std::move(specs), request.settings.require_tuned);
    if (!made) return std::unexpected(made.error());
    found = specialisations.emplace(name, std::move(*made))->second.get();
  }
  remember(key, found);
  return found;
}

Expected<Specialisation*> Kernel::Impl::find(std::span<const Arg> args) {
  CallKey key;
  if (auto made = make_key(args, key); !made) return std::unexpected(made.error());
  auto accept = [&](const Specialisation& specialisation) -> bool {
    if (decl->static_shapes) return true;  // the key says everything
    const Leaves leaves(specialisation, args);
    return is_accepted(specialisation, leaves.all());
  };
  const Table* known = table.load(std::memory_order_acquire);
  if (known != nullptr) {
    if (Specialisation* found = known->find(key, accept)) return found;
  }
  return find_or_compile(args, key);
}

Expected<std::shared_ptr<Kernel::Impl>> Kernel::Impl::make(driver::Request request,
                                                           const std::string& name,
                                                           const KernelOptions& options) {
  auto impl = std::make_shared<Impl>();
  impl->request = std::move(request);
  if (auto opened = impl->open(name, options); !opened) {
    return std::unexpected(with_text(opened.error(), impl->diags));
  }
  return impl;
}

Expected<Kernel> Kernel::load(const std::string& file, const std::string& name,
                              KernelOptions options) {
  driver::Request request;
  request.file = file;
  auto impl = Impl::make(std::move(request), name, options);
  if (!impl) return std::unexpected(impl.error());
  return Kernel(std::move(*impl));
}

Expected<Kernel> Kernel::from_text(const std::string& text, const std::string& name,
                                   KernelOptions options) {
  driver::Request request;
  request.file = "<text>";
  request.text = text;
  auto impl = Impl::make(std::move(request), name, options);
  if (!impl) return std::unexpected(impl.error());
  return Kernel(std::move(*impl));
}

Expected<Result> Kernel::call(std::span<const Arg> args) const {
  auto specialisation = impl_->find(args);
  if (!specialisation) return std::unexpected(specialisation.error());
  const Leaves leaves(**specialisation, args);
  const std::span<const Leaf> bound = leaves.all();
  const auto* executable = (*specialisation)->find(bound);
  if (executable == nullptr) {
    std::lock_guard lock(impl_->mutex);
    auto made = (*specialisation)->find_or_generate(bound);
    if (!made) return std::unexpected(made.error());
    executable = *made;
  }
  return executable->call(bound, impl_->request.settings.threads);
}

namespace {

// With copies of tensors that are on a device.
Expected<driver::Arguments> on_host(driver::Arguments arguments) {
  for (auto& [name, argument] : arguments) {
    auto here = runtime::to_host(argument.tensor);
    if (!here) return std::unexpected(here.error());
    argument.tensor = std::move(*here);
  }
  return arguments;
}

}  // namespace

Expected<Tuned> Kernel::tune(std::span<const Arg> args, double seconds) const {
  auto found = impl_->find(args);
  std::unique_ptr<Specialisation> draft;
  if (!found && found.error().code == "not-tuned") {
    auto made = impl_->draft(args);
    if (!made) return std::unexpected(made.error());
    draft = std::move(*made);
    found = draft.get();
  }
  if (!found) return std::unexpected(found.error());
  auto arguments = on_host(impl_->arguments_of(args));
  if (!arguments) return std::unexpected(arguments.error());
  std::lock_guard lock(impl_->mutex);
  driver::Compilation& c = (*found)->compilation;
  c.request.settings.budget = seconds;
  c.request.args = specs_of(*arguments);  // whose row of the tuned shapes is the one searched for
  auto record = driver::tune_kernel(c, *arguments, {});
  if (!record) return std::unexpected(with_text(record.error(), c.diags));
  auto made = (*found)->code_for(c.config);
  if (!made) return std::unexpected(made.error());
  (*found)->executable.store(*made, std::memory_order_release);
  c.dispatch = driver::find_tuned(c);
  (*found)->use_dispatch();
  if (draft) {
    std::string name = check::specialization_key(impl_->module->ast, *impl_->decl, c.request.args);
    impl_->specialisations.emplace(name, std::move(draft));
  }
  return Tuned{space::print_config(c.config), tune::seconds_of(*record, record->winner),
               tune::seconds_of(*record, 0)};
}

Expected<std::string> Kernel::config(std::span<const Arg> args) const {
  auto specialisation = impl_->find(args);
  if (!specialisation) return std::unexpected(specialisation.error());
  const Leaves leaves(**specialisation, args);
  std::lock_guard lock(impl_->mutex);
  return space::print_config((*specialisation)->config_of(leaves.all()));
}

namespace {

Expected<std::shared_ptr<runtime::Device>> open_device(const std::string& device) {
  const backends::DeviceName name = backends::parse_device(device);
  if (!runtime::is_device(name.device) || !name.target.empty() || name.is_several()) {
    return fail(
        "unknown-device", fmt::format("`{}` is no device with memory of its own", device),
        fmt::format("`{0}` is one, and `{0}:1` the second of them", runtime::device_names()[0]));
  }
  return runtime::open_device(name.device, name.index);
}

}  // namespace

Expected<Tensor> to_device(const Tensor& tensor, const std::string& device) {
  auto opened = open_device(device);
  if (!opened) return std::unexpected(opened.error());
  return runtime::to_device(tensor, **opened);
}

Expected<Tensor> from_device_pointer(void* data, Dtype dtype, std::vector<i64> sizes,
                                     std::vector<i64> strides, const std::string& device) {
  auto opened = open_device(device);
  if (!opened) return std::unexpected(opened.error());
  if (strides.empty()) strides = runtime::contiguous_strides(sizes);
  if (sizes.size() != strides.size()) {
    return fail("bad-argument",
                fmt::format("{} sizes and {} strides", sizes.size(), strides.size()));
  }
  auto bytes = runtime::storage_bytes(dtype, sizes, strides);
  if (!bytes) return fail("tensor-size", bytes.error().message);
  return Tensor{dtype,
                std::move(sizes),
                std::move(strides),
                {static_cast<std::byte*>(data), *bytes, nullptr, opened->get()}};
}

Expected<void> synchronize(const std::string& device) {
  auto opened = open_device(device);
  return opened ? (*opened)->synchronize() : std::unexpected(opened.error());
}

TunedLookups tuned_lookups() {
  driver::TunedCounts counts = driver::tuned_counts();
  return {counts.hits, counts.misses};
}

}  // namespace peri
