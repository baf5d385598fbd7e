// The interface every backend gives to the phases around it.
//
// A backend is a vertical slice: capabilities, a plan's emission and the toolchain. Executing what
// it emits is the runtime's work.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "ir/ir.h"
#include "space/capabilities.h"
#include "space/config.h"

namespace peri::backends {

// One argument of compiled code, by position: a tensor's first element or a host scalar.
union Argument {
  void* pointer;
  i64 integer;  // Int and Bool scalars
  double real;  // Float scalars
};

// Runs cells [begin, end) of a root's grid. `scratch` is 64-byte aligned, private to the thread.
using CellFunction = void (*)(const Argument* arguments, i64 begin, i64 end, std::byte* scratch);

// A root in machine code: its arguments are the kernel's `tensors` in order, then `scalars`.
struct RootCode {
  CellFunction run = nullptr;
  std::vector<Sym> scalars;  // evaluated once a call
  Sym cells;                 // number of grid cells
  Sym scratch_bytes;         // per thread
  i64 max_threads = 1;       // what the config asks for; 0: all
  bool dynamic_schedule = false;
};

// What a backend makes of a plan. `code` owns the machine code that `roots` point into; where the
// target cannot run here it is null, and so are the functions.
struct Artifact {
  std::shared_ptr<void> code;
  std::vector<RootCode> roots;
};

struct CompileOptions {
  bool keep_llvm = false;      // fill `llvm` (text before code generation)
  bool keep_assembly = false;  // fill `assembly`
};

struct Compiled {
  Artifact artifact;
  std::string plan;  // printed
  std::string llvm;
  std::string assembly;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const space::Capabilities& capabilities() const = 0;
  virtual bool can_run_here() const = 0;
  // The config to use without tuning, complete (every knob of the space has a value), from a cost
  // model. `hints` of the kernel's symbols stand for sizes that are not constant.
  virtual space::Config default_config(const ir::Kernel& kernel) const = 0;
  // Text of `--stage plan`.
  virtual std::string print_plan(const ir::Kernel& kernel, const space::Config& config) const = 0;
  // Plans and emits. Thread-safe. The config must be of the kernel's space (complete and legal).
  virtual Expected<Compiled> compile(const ir::Kernel& kernel, const space::Config& config,
                                     const CompileOptions& options) const = 0;
};

// The backend of a device ("cpu") at a level ("host", "x86-64-v3", ...); an error lists what there
// is.
Expected<std::shared_ptr<Backend>> find_backend(std::string_view device, std::string_view level);

}  // namespace peri::backends
