#include "driver/compile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <shared_mutex>

#include "analysis/index_width.h"
#include "base/bug.h"
#include "base/files.h"
#include "base/fork_lock.h"
#include "driver/code_cache.h"
#include "driver/tuned_choice.h"
#include "passes/pipeline.h"
#include "passes/split_prologues.h"
#include "syntax/parse.h"

namespace peri::driver {

using diag::Kind;

namespace {

constexpr i64 kMaxSourceBytes = i64{1} << 30;

Expected<void> ok_unless_errors(const Compilation& c) {
  if (!c.diags.has_errors()) return {};
  return fail("diagnostics", "the kernel has errors");
}

Expected<void> read(Compilation& c) {
  if (c.module) return {};
  auto module = std::make_shared<Module>();
  if (c.request.text) {
    module->source = c.diags.sources().add(c.request.file, *c.request.text);
  } else {
    auto text = read_file(c.request.file, kMaxSourceBytes);
    if (!text) {
      c.diags.error(Kind::FileNotFound, {}, text.error().message).hint = text.error().hint;
      return ok_unless_errors(c);
    }
    module->source = c.diags.sources().add(c.request.file, std::move(*text));
  }
  c.module = std::move(module);
  return {};
}

Expected<void> parse(Compilation& c) {
  if (!c.module->ast.stmts.empty()) return {};
  auto module = std::make_shared<Module>(*c.module);
  module->ast = syntax::parse_module(module->source, c.diags);
  if (!c.diags.has_errors()) module->kernels = check::find_kernels(module->ast, c.diags);
  c.module = std::move(module);
  return ok_unless_errors(c);
}

Expected<void> select(Compilation& c) {
  const auto& kernels = c.module->kernels;
  std::vector<std::string> names;
  for (const check::KernelDecl& decl : kernels) {
    names.push_back(decl.name);
    if (decl.name == c.request.kernel) c.decl = &decl;
  }
  if (c.request.kernel.empty() && kernels.size() == 1) c.decl = &kernels[0];
  if (c.decl != nullptr) return {};
  std::string_view file = c.diags.sources().name(c.module->source);
  auto& error =
      c.request.kernel.empty()
          ? c.diags.error(Kind::UnknownKernel, {},
                          fmt::format("`{}` has {} kernels: name one", file, kernels.size()))
          : c.diags.error(Kind::UnknownKernel, {},
                          fmt::format("`{}` has no kernel `{}`", file, c.request.kernel));
  error.notes.push_back(fmt::format(
      "its kernels are: {}", names.empty() ? "none" : fmt::to_string(fmt::join(names, ", "))));
  std::string near = diag::nearest(c.request.kernel, names);
  if (!near.empty()) error.hint = fmt::format("did you mean `{}`?", near);
  return ok_unless_errors(c);
}

// What a device that is named without a target is.
Expected<runtime::DeviceProperties> properties_of(const Compilation& c,
                                                  const backends::DeviceName& name) {
  if (!c.request.opens_device) return runtime::probe_device(name.device, name.index);
  auto device = runtime::open_device(name.device, name.index);
  if (!device) return std::unexpected(device.error());
  return (*device)->properties();
}

// All that the name stands for, of which the first is described: they must be alike, for what is
// tuned on one of them to hold on the others.
Expected<runtime::DeviceProperties> find_several(Compilation& c, const backends::DeviceName& name) {
  const bool takes_several = c.request.takes_several_devices && !c.request.opens_device;
  if (!takes_several || !runtime::is_device(name.device)) {
    return fail("bad-setting", fmt::format("`{}` names several devices", c.request.device),
                fmt::format("only `peri tune` uses several, and only of those with memory of their "
                            "own: name one, as in `{}:{}`",
                            name.device, name.index));
  }
  std::vector<i64> indices;
  if (!name.is_all) indices.push_back(name.index);
  indices.insert(indices.end(), name.others.begin(), name.others.end());
  auto found = runtime::probe_devices(name.device, indices);
  if (!found) return std::unexpected(found.error());
  for (std::size_t i = indices.size(); i < found->size(); ++i) {
    indices.push_back(static_cast<i64>(i));
  }
  const runtime::DeviceProperties& first = found->front();
  for (std::size_t i = 0; i < found->size(); ++i) {
    const runtime::DeviceProperties& other = (*found)[i];
    if (other.fingerprint() == first.fingerprint()) continue;
    return fail("bad-setting",
                fmt::format("devices {} and {} are not of one model: {}; {}", indices[0],
                            indices[i], first.describe(), other.describe()),
                fmt::format("tune on those that are alike, as in `{}:0,1`", name.device));
  }
  c.device_indices = std::move(indices);
  return first;
}

Expected<void> target(Compilation& c) {
  backends::DeviceName name = backends::parse_device(c.request.device);
  if (name.is_several()) {
    auto found = find_several(c, name);
    if (!found) return std::unexpected(found.error());
    name.target = found->target;
    c.device = std::move(*found);
  }
  if (name.target.empty() && runtime::is_device(name.device)) {
    auto found = properties_of(c, name);
    if (!found) {
      std::string& hint = found.error().hint;
      hint += fmt::format("{}`{}:TARGET` makes code for a device that is elsewhere",
                          hint.empty() ? "" : "; ", name.device);
      return std::unexpected(found.error());
    }
    name.target = found->target;
    c.device = std::move(*found);
  }
  auto backend = backends::find_backend(
      {name.device, name.target, c.request.settings.cpu, c.request.settings.python});
  if (!backend) return std::unexpected(backend.error());
  c.backend = std::move(*backend);
  c.code_store = open_code_store(c.request);
  return {};
}

Expected<void> type(Compilation& c) {
  c.typed = check::check(c.module->ast, *c.decl, c.request.args, c.diags);
  BUG_IF(!c.typed && !c.diags.has_errors(), "check fails without a diagnostic");
  return ok_unless_errors(c);
}

void check_index_width(Compilation& c) {
  for (const ir::TensorParam& tensor : c.lowered->kernel.tensors) {
    auto offset = analysis::largest_offset(tensor);
    if (!offset || *offset <= INT32_MAX) continue;
    c.diags
        .error(Kind::IndexDtype, c.decl->span,
               fmt::format("offsets in `{}` reach {}, which 32 bits do not hold", tensor.name,
                           *offset))
        .hint = "without `index_dtype=torch.int32` they have 64 bits where they need them";
  }
}

Expected<void> lower(Compilation& c) {
  c.lowered = std::make_shared<lower::Lowered>(lower::lower(*c.typed));
  c.lowered->kernel.requests = c.decl->requests;
  if (c.request.after_pass == "lower") c.kept_ir = ir::print(c.lowered->kernel);
  if (c.decl->requests.index_dtype == Dtype::I32) check_index_width(c);
  return ok_unless_errors(c);
}

constexpr std::string_view kSplitPrologues = "split_prologues";

Expected<void> check_pass_name(std::string_view name) {
  std::vector<std::string> names;
  for (const passes::Pass& pass : passes::pipeline()) {
    if (std::ranges::count(names, pass.name) == 0) names.emplace_back(pass.name);
  }
  names.emplace_back(kSplitPrologues);
  if (name.empty() || name == "lower" || std::ranges::count(names, name) > 0) return {};
  return fail("unknown-pass", fmt::format("there is no pass `{}`", name),
              fmt::format("the passes are {}", fmt::join(names, ", ")));
}

Expected<void> optimise(Compilation& c) {
  passes::PipelineOptions options;
  for (const std::string& name : passes_off(c.request.settings)) {
    options.off.push_back(name);
    if (auto known = check_pass_name(name); !known) return known;
  }
  if (auto known = check_pass_name(c.request.after_pass); !known) return known;
  options.after = [&](const passes::PassReport& report, const ir::Kernel& kernel) {
    if (report.name == c.request.after_pass) c.kept_ir = ir::print(kernel);
  };
  passes::run_pipeline(c.lowered->kernel, options);
  c.reference = c.lowered;
  if (c.backend->capabilities().splits_prologues &&
      std::ranges::count(options.off, kSplitPrologues) == 0) {
    auto split = std::make_shared<lower::Lowered>(*c.lowered);
    if (passes::split_prologues(*split)) c.lowered = std::move(split);
  }
  if (c.request.after_pass == kSplitPrologues) c.kept_ir = ir::print(c.lowered->kernel);
  return {};
}

Expected<void> derive_space(Compilation& c) {
  c.space = space::derive(c.lowered->kernel, c.lowered->host.tunables, c.backend->capabilities());
  c.default_config = c.space.complete(c.backend->default_config(c.lowered->kernel));
  c.tuned_key = tuned_key(c);
  return {};
}

// The config to use, and where it comes from.
Expected<void> choose_config(Compilation& c) {
  std::optional<space::Config> given = c.request.config;
  diag::Span place = c.request.config_place;
  c.config_origin = "given";
  if (!given) {
    // One config in the decorator is the user's choice; several are what tuning chooses from.
    if (auto tuned = is_fixed(*c.decl) ? std::nullopt : find_tuned(c)) {
      c.config = tuned->configs[tuned->row];
      c.config_origin = "tuned";
      c.dispatch = std::move(*tuned);
      return {};
    }
    if (!c.decl->configs.empty()) {
      given = c.decl->configs[0];
      place = c.decl->span;
      c.config_origin = "decorator";
    }
  }
  if (given) {
    auto config = c.space.validate(*given, c.default_config, c.diags, place);
    if (config) c.config = std::move(*config);
    return ok_unless_errors(c);
  }
  c.config = c.default_config;
  c.config_origin = "default";
  return {};
}

Expected<void> generate_code(Compilation& c) {
  auto code = generate(c, c.config, c.request.code);
  if (!code) return std::unexpected(code.error());
  c.code = std::move(*code);
  return {};
}

Expected<void> load_code(Compilation& c) {
  if (auto tuned = check_is_tuned(c); !tuned) return tuned;
  auto loaded = load(c, c.config, c.code.artifact);
  if (!loaded) return std::unexpected(loaded.error());
  c.executable = std::move(*loaded);
  return {};
}

constexpr Phase kPhases[] = {
    {"read", read, "file -> source text"},
    {"parse", parse, "source text -> AST and kernel declarations"},
    {"select", select, "the kernel that is asked for"},
    {"target", target, "device and level -> backend"},
    {"check", type, "AST and arguments -> typed kernel"},
    {"lower", lower, "typed kernel -> Device IR and host program"},
    {"optimise", optimise, "Device IR -> Device IR, config-free"},
    {"space", derive_space, "Device IR -> config space and default config"},
    {"config", choose_config,
     "the config: given, the decorator's only one, tuned, the decorator's first or the default"},
    {"generate", generate_code, "Device IR and config -> plan -> machine code"},
    {"load", load_code, "machine code and host program -> callable"},
};

}  // namespace

std::span<const Phase> phases() { return kPhases; }

Expected<void> compile(Compilation& c, std::string_view last) {
  using Clock = std::chrono::steady_clock;
  for (const Phase& phase : kPhases) {
    auto is_this = [&](const PhaseReport& report) { return report.phase == phase.name; };
    if (std::ranges::none_of(c.reports, is_this)) {
      // What is to run is not compiled, nor a compiler asked for, where it cannot.
      const bool is_generated = phase.run == generate_code;
      if (is_generated && last.empty() && !can_run_here(c)) return cannot_run_here(c);
      Clock::time_point start = Clock::now();
      Expected<void> done = phase.run(c);
      if (!done) return done;
      c.reports.push_back(
          {phase.name, std::chrono::duration<double>(Clock::now() - start).count()});
    }
    if (phase.name == last) break;
  }
  return {};
}

Expected<backends::Compiled> generate(const Compilation& c, const space::Config& config,
                                      const backends::CompileOptions& options) {
  backends::CompileOptions with_store = options;
  if (with_store.store == nullptr) with_store.store = c.code_store.get();
  std::shared_lock lock(fork_lock());
  return c.backend->compile(c.lowered->kernel, config, with_store);
}

bool can_run_here(const Compilation& c) {
  return c.backend->can_run_here() || c.device.has_value();
}

std::unexpected<Error> cannot_run_here(const Compilation& c) {
  return fail("cannot-run-here",
              fmt::format("this machine cannot run code for {}", c.backend->capabilities().target),
              "emit works for every target; run and tune need one that this machine has");
}

namespace {

// Code that relies on nothing that a call may break.
std::function<Expected<backends::Artifact>()> general_code(const Compilation& c,
                                                           const space::Config& config) {
  return [backend = c.backend, lowered = c.lowered, store = c.code_store,
          config]() -> Expected<backends::Artifact> {
    backends::CompileOptions options;
    options.store = store.get();
    options.assume_aligned = options.assume_32_bit = false;
    std::shared_lock lock(fork_lock());
    auto code = backend->compile(lowered->kernel, config, options);
    if (!code) return std::unexpected(code.error());
    return std::move(code->artifact);
  };
}

}  // namespace

Expected<std::shared_ptr<const runtime::Executable>> load(const Compilation& c,
                                                          const space::Config& config,
                                                          backends::Artifact artifact) {
  auto values = space::config_values(c.lowered->kernel, config);
  if (c.backend->can_run_here()) {
    return std::make_shared<runtime::Executable>(c.lowered, std::move(values), std::move(artifact));
  }
  if (!c.device) return cannot_run_here(c);
  backends::DeviceName name = backends::parse_device(c.request.device);
  auto device = runtime::open_device(name.device, name.index);
  if (!device) return std::unexpected(device.error());
  return runtime::Executable::on_device(c.lowered, std::move(values), std::move(artifact),
                                        {std::move(*device), general_code(c, config)});
}

std::vector<std::string_view> stage_names() {
  std::vector<std::string_view> names = {"ast",           "typed", "host", "ir",
                                         "ir-after=PASS", "space", "plan"};
  for (std::string_view stage : backends::stages()) names.push_back(stage);
  return names;
}

namespace {

// Names the stages that the device at hand has none of.
std::unexpected<Error> unknown_stage(const Compilation& c, const std::string& stage) {
  std::vector<std::string_view> names = stage_names();
  std::string hint = fmt::format("the stages are {}", fmt::join(names, ", "));
  if (std::ranges::count(names, stage) == 0) {
    return fail("unknown-stage", fmt::format("there is no stage `{}`", stage), hint);
  }
  return fail("unknown-stage",
              fmt::format("device `{}` has no stage `{}`", c.request.device, stage), hint);
}

}  // namespace

Expected<std::string> emit(Compilation& c, const std::string& stage) {
  struct Row {
    std::string_view stage, phase;
    std::string (*text)(const Compilation&);
  };
  static constexpr Row kRows[] = {
      {"ast", "parse", [](const Compilation& c) { return syntax::print(c.module->ast); }},
      {"typed", "check", [](const Compilation& c) { return check::print(*c.typed); }},
      {"host", "optimise", [](const Compilation& c) { return lower::print(c.lowered->host); }},
      {"ir", "optimise", [](const Compilation& c) { return ir::print(c.lowered->kernel); }},
      {"ir-after", "optimise", [](const Compilation& c) { return c.kept_ir; }},
      {"space", "space", [](const Compilation& c) { return c.space.print(); }},
      {"plan", "config",
       [](const Compilation& c) {
         return c.backend->print_plan(c.lowered->kernel, c.config) +
                c.backend->print_cost(c.lowered->kernel, c.config);
       }},
  };
  std::string name = stage.substr(0, stage.find('='));
  if (name != stage) c.request.after_pass = stage.substr(name.size() + 1);
  for (const Row& row : kRows) {
    if (row.stage != name || (name == "ir-after") == c.request.after_pass.empty()) continue;
    if (auto done = compile(c, row.phase); !done) return std::unexpected(done.error());
    return row.text(c);
  }
  if (!backends::has_stage(backends::parse_device(c.request.device).device, stage)) {
    return unknown_stage(c, stage);
  }
  c.request.code.keep = stage;
  c.request.code.sources = &c.diags.sources();
  if (auto done = compile(c, "generate"); !done) return std::unexpected(done.error());
  return c.code.text;
}

Expected<std::string> eject(Compilation& c, const std::string& target) {
  std::string_view device = backends::eject_device(target);
  if (device.empty()) {
    return fail("unknown-target", fmt::format("nothing is ejected as `{}`", target),
                fmt::format("the targets are {}", fmt::join(backends::eject_kinds(), ", ")));
  }
  if (backends::parse_device(c.request.device).device != device) {
    c.request.device = fmt::format("{}:{}", device, backends::eject_target(target));
  }
  if (auto done = compile(c, "config"); !done) return std::unexpected(done.error());
  return c.backend->eject(*c.lowered, c.config, &c.diags.sources());
}

}  // namespace peri::driver
