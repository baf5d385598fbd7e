#include "options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "driver/compile.h"
#include "driver/version.h"
#include "status.h"
#include "tune/search_options.h"

namespace peri::cli {

namespace {

constexpr const char* kExamples = R"(
Examples:
  peri list kernels/basic/softmax.py
  peri run kernels/basic/softmax.py:softmax --arg x=randn[4096,2560] --check --time
  peri run kernels/basic/matmul.py:matmul --arg x=randn[1024,512]:bf16 --arg y=@weights.npy:bf16 --out results
  peri tune kernels/basic/matmul.py:matmul --arg x=randn[1024,1024] --arg y=randn[1024,1024] --budget 30
  peri tune norm.py:rms_norm --arg x=randn[m,n] --shape m=16,n=4096 --shape m=1024,n=4096
  peri explain kernels/basic/softmax.py:softmax --arg x=randn[4096,2560]
  peri emit kernels/basic/matmul.py:matmul --arg x=randn[64,64] --arg y=randn[64,64] --stage plan

Exit status:
  0    done
  1    the kernel has errors, or an assertion of it does not hold
  2    the command line, an argument, a config or a setting is wrong
  3    a file, the memory or the machine is in the way
  4    --check found a difference, or verify a tuned config that fails or is not the fastest
  130  interrupted (tune prints and keeps the best config so far)
)";

constexpr std::string_view kCommands[] = {"list", "run",   "tune",  "explain",
                                          "emit", "eject", "cache", "verify"};

constexpr const char* kSpecs = R"(
SPEC is one of
  randn[1024,512]:bf16   normal, mean 0 and variance 1; the dtype is f32 if none is given
  rand[8]  zeros[2,2]  ones[4]  arange[8]:f32
  randint[8]=0:10        integers from 0 up to 9
  full[4]=1.5            one value
  @x.npy  @x.npy:bf16    a NumPy file, converted if a dtype is given
  3  -1.5  true  none    scalars and None
  "text"  torch.float16  a string, a dtype
  [1, 2]  (3, randn[4])  a list, a tuple
  lambda acc, tile: torch.relu(acc)   further --arg give what it captures
Sizes may be names, to which --shape gives values: --arg x=randn[m,n] --shape m=1024,n=512
Tensors may end in .t() (last two dimensions exchanged) or .strided(4096,2) (strides in elements).
dtypes: bool u8 i8 i16 i32 i64 f16 bf16 f32 f64
)";

std::string footer(bool has_arguments) {
  return has_arguments ? std::string(kSpecs) + kExamples : kExamples;
}

// Options of settings.def that `command` takes.
void add_settings(CLI::App& app, Options& options, const std::vector<std::string>& fields) {
  for (const driver::SettingRow& row : driver::setting_rows()) {
    if (std::ranges::count(fields, row.field) == 0 || row.flag.empty()) continue;
    std::string field(row.field), flag(row.flag);
    auto set = [&options, field, flag](const std::string& text) {
      auto done = driver::set_setting(options.settings, field, text, flag);
      if (!done) throw CLI::ValidationError(done.error().message, done.error().hint);
    };
    std::string doc = fmt::format("{} (also {})", row.doc, row.environment);
    if (row.type == "Flag") {
      app.add_flag_callback(flag, [set] { set("1"); }, doc);
    } else {
      app.add_option_function<std::string>(flag, set, doc)->type_name(std::string(row.type));
    }
  }
}

void add_shape(CLI::App& app, Options& options, bool several) {
  CLI::Option* shape = app.get_option_no_throw("--shape");
  if (shape == nullptr) {
    shape = app.add_option("--shape", options.shapes)
                ->type_name("NAME=SIZE,...")
                ->allow_extra_args(false);
  }
  shape->description(
      several
          ? "values of the sizes that --arg names, as in x=randn[m,n]; repeated: tunes for each, "
            "and calls of a kernel with dynamic shapes get the config of the nearest"
          : "values of the sizes that --arg names, as in x=randn[m,n]");
}

void add_kernel(CLI::App& app, Options& options) {
  app.add_option("target", options.target, "kernel file and kernel: FILE.py:KERNEL")->required();
  app.add_option("--arg", options.arguments, "argument of the kernel, NAME=SPEC; once for each")
      ->type_name("NAME=SPEC")
      ->allow_extra_args(false);
  add_shape(app, options, false);
  app.footer(footer(true));
}

void add_config(CLI::App& app, Options& options) {
  app.add_option("--config", options.config,
                 "config as JSON, as `helion.Config(...)` or as @FILE; without it: the decorator's "
                 "`config=`, the tuned one, the first of its `configs=`, or the default")
      ->type_name("JSON|@FILE");
}

void add_json(CLI::App& app, Options& options) {
  app.add_flag("--json", options.json, "print results and errors as one JSON object");
}

// A subcommand of `peri cache`.
CLI::App* add_action(CLI::App& cache, Options& options, const std::string& name,
                     const std::string& doc) {
  CLI::App* action = cache.add_subcommand(name, doc);
  add_json(*action, options);
  add_settings(*action, options, {"cache_dir"});
  return action;
}

void add_cache(CLI::App& app, Options& options) {
  CLI::App* cache = app.add_subcommand("cache", "Look at tuned configs, and move them");
  cache->require_subcommand(1);
  const char* filter = "only keys that begin so, or kernels, machines, ... that contain this";
  add_action(*cache, options, "ls", "List tuned configs")
      ->add_option("filter", options.target, filter);
  add_action(*cache, options, "show", "Print a tuned config and what its record says")
      ->add_option("key", options.target, "key, or what it begins with")
      ->required();
  CLI::App* why = add_action(*cache, options, "why", "Tell which config a call uses, and why");
  add_kernel(*why, options);
  add_settings(*why, options, {"device", "cpu", "python", "threads", "passes_off"});
  CLI::App* store = add_action(*cache, options, "export",
                               "Write records, and the GPU code of their winners, to one file");
  store->add_option("filter", options.target, filter);
  store->add_option("--out", options.out, "file to write")->type_name("FILE")->required();
  for (const char* name : {"import", "merge"}) {
    CLI::App* merge = add_action(*cache, options, name,
                                 "Take the records of files: all or nothing, the best of each key");
    merge->add_option("files", options.files, "files of `cache export`, or folders of such files")
        ->required();
  }
  CLI::App* gc = add_action(*cache, options, "gc",
                            "Remove what nothing can use; never from other layers than the user's");
  gc->add_option("--older", options.older_days, "entries of at least this age too")
      ->type_name("DAYS")
      ->check(CLI::NonNegativeNumber);
  gc->add_option("--max-bytes", options.max_bytes, "keep the newest entries up to this size")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);
  gc->add_flag("--dry-run", options.dry_run, "only tell");
}

void add_verify(CLI::App& app, Options& options) {
  CLI::App* verify = app.add_subcommand(
      "verify",
      "Time tuned configs again, each on its own device, against their runner-up and the default");
  verify->add_option("target", options.target, "FILE.py:KERNEL, or a key of `peri cache ls`");
  verify->add_flag("--all", options.all, "every tuned config of the cache");
  verify->add_option("--arg", options.arguments, "argument of the kernel, NAME=SPEC")
      ->type_name("NAME=SPEC")
      ->allow_extra_args(false);
  add_shape(*verify, options, false);
  verify
      ->add_option(
          "--budget", options.verify_budget,
          "seconds for each config; without it thirty calls of all that are timed, as long "
          "as they took when it was tuned, and two seconds at least")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber);
  add_json(*verify, options);
  add_settings(*verify, options, {"device", "cpu", "python", "threads", "passes_off", "cache_dir"});
}

void add_commands(CLI::App& app, Options& options) {
  CLI::App* list = app.add_subcommand("list", "Name the kernels of a file");
  list->add_option("target", options.target, "kernel file")->required();
  add_json(*list, options);

  CLI::App* run = app.add_subcommand("run", "Compile a kernel and run it");
  add_kernel(*run, options);
  add_config(*run, options);
  run->add_option("--out", options.out,
                  "write returned values to DIR/out0.npy, ... and result.json")
      ->type_name("DIR");
  run->add_flag("--check", options.check, "compare with the reference interpreter in float64");
  run->add_flag("--time", options.time, "repeat the call and print the median time and its spread");
  add_json(*run, options);
  add_settings(*run, options,
               {"device", "cpu", "python", "threads", "seed", "cold", "cache_dir", "no_cache",
                "require_tuned", "passes_off", "check_budget"});

  CLI::App* tune = app.add_subcommand("tune", "Search the config space for the fastest config");
  add_kernel(*tune, options);
  add_shape(*tune, options, true);
  tune->add_option(
          "--report", options.report,
          "write the run as one HTML page: its course, what each knob is worth, the roofline")
      ->type_name("FILE.html");
  tune->add_option("--log", options.log,
                   "append a row for each config to a table, as soon as it is known")
      ->type_name("FILE.csv");
  tune->add_option("--from", options.from,
                   "start from the configs of these records (a file of `cache export`, or a folder "
                   "of such files); without it: of the cache's")
      ->type_name("RECORDS");
  tune->footer("Options of the search strategies: value, range; strategies: meaning\n" +
               tune::list_search_options() + footer(true));
  add_json(*tune, options);
  add_settings(*tune, options,
               {"device", "cpu", "python", "threads", "seed", "effort", "budget", "strategy",
                "search_options", "cold", "cache_dir", "no_cache", "passes_off"});

  CLI::App* explain = app.add_subcommand(
      "explain", "Say why a config was chosen, what limits it and what each knob is worth");
  add_kernel(*explain, options);
  explain->get_option("target")->description(
      "kernel file and kernel, FILE.py:KERNEL, a key of `peri cache ls`, or a tuning record, "
      "FILE.json");
  add_config(*explain, options);
  explain->add_option("--report", options.report, "of a record: write its HTML page")
      ->type_name("FILE.html");
  add_json(*explain, options);
  add_settings(
      *explain, options,
      {"device", "cpu", "python", "threads", "seed", "cache_dir", "no_cache", "passes_off"});

  CLI::App* eject = app.add_subcommand(
      "eject", "Write a kernel as a source file that needs nothing of Perihelion");
  add_kernel(*eject, options);
  add_config(*eject, options);
  eject
      ->add_option("--target", options.eject_target,
                   fmt::format("kind of file: {}", fmt::join(backends::eject_kinds(), ", ")))
      ->type_name("KIND")
      ->required();
  eject->add_option("--out", options.out, "file to write; without it, standard output")
      ->type_name("FILE");
  add_json(*eject, options);
  add_settings(*eject, options, {"device", "seed", "cache_dir", "no_cache", "passes_off"});

  CLI::App* emit = app.add_subcommand("emit", "Print what a phase makes of a kernel");
  add_kernel(*emit, options);
  add_config(*emit, options);
  emit->add_option(
          "--stage", options.stage,
          fmt::format("{} (after `lower` or any pass)", fmt::join(driver::stage_names(), ", ")))
      ->type_name("STAGE")
      ->required();
  add_json(*emit, options);
  add_settings(
      *emit, options,
      {"device", "cpu", "python", "threads", "seed", "cache_dir", "no_cache", "passes_off"});
  add_cache(app, options);
  add_verify(app, options);
}

// What is wrong with the command line, as every other error is printed.
void print_error(const Error& given, int argc, char** argv) {
  std::string message = given.message.substr(0, given.message.find('\n'));
  bool json = std::any_of(argv, argv + argc, [](std::string_view arg) { return arg == "--json"; });
  if (json) {
    nlohmann::ordered_json error = {
        {"code", given.code}, {"message", message}, {"hint", given.hint}};
    nlohmann::ordered_json out = {{"status", static_cast<int>(kUsage)}, {"error", error}};
    fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  } else {
    fmt::print(stderr, "error[{}]: {}\nhint: {}\n", given.code, message, given.hint);
  }
}

int report_parse_error(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
  std::string first = argc > 1 ? argv[1] : "";
  bool is_command = std::ranges::count(kCommands, first) > 0;
  if (first.empty() || is_command || first[0] == '-') {
    std::string help = is_command ? "peri " + first + " --help" : "peri --help";
    print_error({"usage", error.what(), fmt::format("see `{}`", help)}, argc, argv);
  } else {
    print_error({"usage", fmt::format("there is no command `{}`", first),
                 "the commands are list, run, tune, explain, emit, eject, cache and verify"},
                argc, argv);
  }
  return kUsage;
}

}  // namespace

std::string Options::file() const {
  std::size_t colon = target.rfind(':');
  return colon == std::string::npos ? target : target.substr(0, colon);
}

std::string Options::kernel() const {
  std::size_t colon = target.rfind(':');
  return colon == std::string::npos ? "" : target.substr(colon + 1);
}

Parsed parse_command_line(int argc, char** argv) {
  Parsed parsed;
  CLI::App app{"Compiles kernels in Python syntax to tuned machine code, and runs them.", "peri"};
  app.set_version_flag("--version", std::string(driver::kVersion));
  app.require_subcommand(1);
  app.footer(footer(false));
  auto settings = driver::settings_from_environment();
  if (!settings) {
    print_error(settings.error(), argc, argv);
    parsed.status = kUsage;
    return parsed;
  }
  parsed.options.settings = *settings;
  add_commands(app, parsed.options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    parsed.status = report_parse_error(app, error, argc, argv);
    return parsed;
  }
  const CLI::App* command = app.get_subcommands()[0];
  parsed.options.command = command->get_name();
  if (!command->get_subcommands().empty()) {
    parsed.options.action = command->get_subcommands()[0]->get_name();
  }
  parsed.run = true;
  return parsed;
}

}  // namespace peri::cli
