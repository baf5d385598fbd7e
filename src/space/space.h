// The config space: every knob of a kernel on a target, and which combinations are legal.
//
// Derived from Device IR, not written down by the user. Every point of it compiles; what is left
// out carries a reason. Configs that people give are checked and completed here.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "check/typed.h"
#include "diag/diag.h"
#include "ir/ir.h"
#include "space/capabilities.h"
#include "space/config.h"
#include "space/knob.h"

namespace peri::space {

// A row of knobs.def.
struct SharedKnob {
  std::string_view key, singular;
  Scope scope;
  KnobKind kind;
  i64 low, high;
  std::string_view choices, default_value;  // JSON
  std::string_view doc;
};
std::span<const SharedKnob> shared_knobs();

// Blocks whose size a config gives, in the order of `block_sizes`.
std::vector<BlockId> searched_blocks(const ir::Kernel& kernel);

// The one that `dim` takes its extent from, alone or as a factor (where a reshape has merged
// axes); none if the extent is fixed.
BlockId sized_by(const ir::Kernel& kernel, const Dim& dim);

// Loads of tiles that something else than dots reads, and all stores, in program order: what the
// scopes ElementLoad and Store have entries for.
std::vector<ir::OpId> element_loads(const ir::Kernel& kernel);
std::vector<ir::OpId> stores(const ir::Kernel& kernel);

// A tile statement of two or more axes: what the scope LoopNest has entries for.
struct LoopNest {
  std::vector<BlockId> blocks;
  i64 root = -1;  // whose grid it is; -1: a loop in device code
};
// In program order.
std::vector<LoopNest> loop_nests(const ir::Kernel& kernel);

// Values of the block and tunable symbols under a config, by symbol; none for the others.
std::vector<std::optional<SymValue>> config_values(const ir::Kernel& kernel, const Config& config);

// The largest values, by the sizes of the blocks in their shapes.
struct TileVolume {
  std::string subject;  // "f32[tile_m, tile_n]"
  std::vector<Sym> sizes;
  i64 element_bytes = 4;
  i64 limit = 0;  // bytes
};

class ConfigSpace {
 public:
  ConfigSpace() = default;
  ConfigSpace(const ir::Kernel& kernel, std::vector<Knob> knobs, std::vector<TileVolume> volumes,
              std::string target, ConfigRules rules = {});

  const std::vector<Knob>& knobs() const { return knobs_; }
  const std::string& target() const { return target_; }
  // Number of points, legal combinations or not.
  double size() const;

  // Every knob at its own default; the backend's cost model knows better ones.
  Config defaults() const;
  // A random legal config, preferably without millions of tiny grid cells.
  Config sample(Rng& rng) const;
  // Legal configs that differ from `config` in knob `knob` by one step.
  std::vector<Config> neighbours(const Config& config, i64 knob) const;
  // A legal config that differs from `config` in up to `knobs` random knobs: sizes by a few steps,
  // near ones more often, choices freely. Equal to it only if nothing near is legal.
  Config mutate(const Config& config, i64 knobs, Rng& rng) const;
  // A legal config with each knob's value from one of the parents; `a` if all tries are illegal.
  Config crossover(const Config& a, const Config& b, Rng& rng) const;
  // Numbers for a model, as many for every config.
  std::vector<double> encode(const Config& config) const;

  const Json& get(const Config& config, i64 knob) const;
  void set(Config& config, i64 knob, Json value) const;
  // Why a combination of legal values is not legal, or nothing.
  std::optional<std::string> why_not(const Config& config) const;

  // A complete, legal config: what `given` says (aliases, scalars for lists of one and keys without
  // meaning here are accepted), the rest as in `base`. Nothing after errors. `place` is where the
  // config was written.
  std::optional<Config> validate(const Config& given, const Config& base, diag::Diags& diags,
                                 diag::Span place = {}) const;
  // `base` with a value for every knob, those it lacks from defaults(); a size that must divide its
  // axis becomes the next smaller one that does.
  Config complete(const Config& base) const;

  // The text of `--stage space`.
  std::string print() const;

 private:
  std::vector<i64> knobs_of(const std::string& key) const;
  void shrink(Config& config) const;
  double grid_cells(const Config& config) const;
  std::optional<std::string> too_large(const Config& config) const;

  const ir::Kernel* kernel_ = nullptr;
  std::vector<Knob> knobs_;
  std::vector<TileVolume> volumes_;
  std::string target_;
  ConfigRules rules_;
};

// `kernel` must outlive the space.
ConfigSpace derive(const ir::Kernel& kernel, std::span<const check::Tunable> tunables,
                   const Capabilities& capabilities);

// A config as text: JSON, or `helion.Config(block_sizes=[64], ...)` as tuners print it.
std::optional<Config> parse_config(diag::SourceId source, diag::Diags& diags);

}  // namespace peri::space
