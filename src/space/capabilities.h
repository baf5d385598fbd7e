// What a backend tells the phases before it about a target. Shared code asks these fields and never
// the backend's name.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "ir/ir.h"
#include "space/config.h"

namespace peri::space {

// What a knob belongs to; its config key is a list with one entry for each (Kernel: a plain value).
// LoopNest: tile statements of two or more axes; Grid: those of them that are grids; Loop: grids
// and device loops; DeviceLoop: these alone; ElementLoad: loads of tiles that not only dots read;
// Access: loads and stores; Reduction: reduced `:` dimensions.
enum class Scope : u8 {
  Kernel,
  Block,
  LoopNest,
  Grid,
  Loop,
  DeviceLoop,
  Dot,
  Load,
  ElementLoad,
  Store,
  Access,
  Reduction
};

// Values that a knob does not take.
struct Excluded {
  std::string values;  // "above 256"
  std::string reason;
};

// A knob's kind of values.
enum class KnobKind : u8 {
  PowerOfTwo,   // low..high
  Scale,        // any integer low..high; sampled among powers of two
  Integer,      // low..high
  Choice,       // one of `choices`, or an integer low..high if `high` is not 0
  Permutation,  // of `high` items
  Extent,       // any integer low..high; sampled among powers of two and their 3/2 multiples, the
                // exact extent of the axis, and divisors of it
};

// A knob that only this target has. The shared ones stand in space/knobs.def.
struct KnobRow {
  std::string key;
  Scope scope = Scope::Kernel;
  KnobKind kind = KnobKind::Choice;
  i64 low = 0, high = 0;
  std::vector<nlohmann::json> choices;
  nlohmann::json default_value;
  std::string doc;
  std::vector<Excluded> excluded = {};
};

struct Knob;

// What a target knows of one kernel's configs beyond the values of single knobs.
struct ConfigRules {
  // Why the target cannot run a config, or nothing.
  std::function<std::optional<std::string>(const Config&)> why_not;
  // Takes back what why_not() would refuse, if that can be done; for random configs.
  std::function<void(Config&)> repair;
};

struct Capabilities {
  std::string target;         // "x86-64-v4": printed and part of cache keys
  std::string generator;      // code generator and version, "LLVM 22.1.0": part of cache keys
  bool exact_bounds = false;  // loops run exact trip counts: any block size is good, no masks
  std::vector<std::string> shared_keys;  // keys of knobs.def that the target can use
  std::vector<KnobRow> knobs;            // its own
  bool splits_prologues = false;         // passes/split_prologues.h pays
  i64 lanes_f32 = 1;                     // native vector lanes of f32
  i64 vector_registers = 16;
  i64 l1_bytes = 32 << 10, l2_bytes = 1 << 20, l3_bytes = 8 << 20;
  i64 max_threads = 1;     // cores that may work on one launch
  i64 max_tile_bytes = 0;  // largest tile a config may ask for
  // Narrows the knobs of a kernel, and says why; may be empty.
  std::function<void(const ir::Kernel&, std::vector<Knob>&)> restrict_knobs;
  // Rules for the configs of a kernel, which must outlive them; may be empty.
  std::function<ConfigRules(const ir::Kernel&)> rules;
};

}  // namespace peri::space
