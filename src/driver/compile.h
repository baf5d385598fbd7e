// From kernel text to a callable: every phase, once, in order.
//
//   diag::Sources sources;
//   diag::Diags diags(sources);
//   Compilation c(diags);
//   c.request.file = "softmax.py";
//   c.request.args = {{"x", spec}};
//   if (compile(c)) c.executable->call(leaves);
//
// The config comes last: what is computed before the `config` phase holds for every config, and
// generate() makes code for one of them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "check/check.h"
#include "driver/settings.h"
#include "lower/lower.h"
#include "runtime/executor.h"
#include "space/space.h"
#include "syntax/ast.h"
#include "tune/shape_table.h"

namespace peri::driver {

struct TunedMemory;  // tuned_store.h

// A kernel file, parsed; shared by the specialisations of its kernels.
struct Module {
  diag::SourceId source;
  syntax::Ast ast;
  std::vector<check::KernelDecl> kernels;
};

struct Request {
  std::string file;
  std::optional<std::string> text;  // instead of the file's
  std::string kernel;               // "": the file's only one
  std::map<std::string, check::ArgSpec> args;
  // None: the decorator's if it has one, the tuned one, the first of the decorator's several, or
  // the default.
  std::optional<space::Config> config;
  diag::Span config_place;  // where it was written
  std::string device = "cpu";
  // The device may be opened to ask what it is. Else a child asks, so that this process may fork
  // workers that open it.
  bool opens_device = false;
  bool takes_several_devices = false;  // `device` may name several of one model, for tuning
  Settings settings;
  std::string after_pass;  // keep the IR as this pass ("lower": as lowering) leaves it
  backends::CompileOptions code;
  std::function<void(const Error&)> warn;  // about the cache; the thread at hand calls it
  // Keeps what is tuned where the cache is off or cannot be written; null: nothing does.
  std::shared_ptr<TunedMemory> memory;
};

// The tuned configs that calls choose from. With static shapes there is one; with dynamic ones, one
// for each shape that was tuned for, and a call gets that of the nearest.
struct Dispatch {
  tune::Sizes places;  // where a call has the sizes that count, with those of the row used
  tune::ShapeTable table;
  std::vector<space::Config> configs;  // by row; legal for the compilation
  i64 row = 0;                         // of the request's arguments
};

// Whether the decorator gives one config (`config=`), which calls use whatever was tuned.
inline bool is_fixed(const check::KernelDecl& decl) { return decl.configs.size() == 1; }

struct PhaseReport {
  std::string_view phase;
  double seconds = 0;
};

// What the phases so far have made.
struct Compilation {
  explicit Compilation(diag::Diags& d) : diags(d) {}

  Request request;
  diag::Diags& diags;
  std::shared_ptr<const Module> module;
  const check::KernelDecl* decl = nullptr;
  std::shared_ptr<const backends::Backend> backend;
  std::optional<runtime::DeviceProperties> device;  // of one that is here and not the host
  std::vector<i64> device_indices;                  // of several; calls use the first
  std::shared_ptr<backends::CodeStore> code_store;  // null: machine code is not kept
  std::optional<check::TypedKernel> typed;
  std::shared_ptr<lower::Lowered> lowered;
  std::shared_ptr<const lower::Lowered> reference;  // the same before anything was split off
  std::string kept_ir;                              // of Request::after_pass
  std::string tuned_key;                            // of this specialisation on this machine
  space::ConfigSpace space;
  space::Config default_config;
  space::Config config;
  std::string config_origin;         // "tuned", "given", "decorator", "default"
  std::optional<Dispatch> dispatch;  // if tuned
  backends::Compiled code;
  std::shared_ptr<const runtime::Executable> executable;
  std::vector<PhaseReport> reports;
};

struct Phase {
  std::string_view name;
  Expected<void> (*run)(Compilation&);
  std::string_view what;
};
std::span<const Phase> phases();

// Runs the phases that have not run yet, up to and including the one called `last` ("": all). After
// user errors, which stand in `diags`, the error's code is `diagnostics`.
Expected<void> compile(Compilation& c, std::string_view last = "");

// Code for one config of the space, by `options.store` or else the compilation's; phases up to
// `space` must have run. Thread-safe.
Expected<backends::Compiled> generate(const Compilation& c, const space::Config& config,
                                      const backends::CompileOptions& options = {});
// Opens the device if that is not the host. Fails with `cannot-run-here`, and as
// runtime::open_device and Executable::on_device do.
Expected<std::shared_ptr<const runtime::Executable>> load(const Compilation& c,
                                                          const space::Config& config,
                                                          backends::Artifact artifact);
// Whether code for the compilation's target can run on this machine.
bool can_run_here(const Compilation& c);
std::unexpected<Error> cannot_run_here(const Compilation& c);

// What `peri emit --stage` prints: ast, typed, host, ir, ir-after=PASS, space, plan, and the stages
// of the backends.
std::vector<std::string_view> stage_names();
Expected<std::string> emit(Compilation& c, const std::string& stage);

// The kernel under its config as a source file of the kind called `target` that needs nothing of
// this project; see backends::eject_kinds.
Expected<std::string> eject(Compilation& c, const std::string& target);

}  // namespace peri::driver
