#include "space/space.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bug.h"

namespace peri::space {

namespace {

constexpr i64 kMaxTries = 64;
constexpr double kMostCells = 1 << 17;  // that a random config should have

SymTable::Lookup lookup_of(const ir::Kernel& kernel,
                           const std::vector<std::optional<SymValue>>& known) {
  return [&kernel, &known](SymbolId id) -> std::optional<SymValue> {
    if (known[id.index]) return known[id.index];
    return kernel.syms->symbol(id).hint;
  };
}

i64 bytes_of(const TileVolume& volume, const ir::Kernel& kernel, const SymTable::Lookup& lookup) {
  i64 bytes = volume.element_bytes;
  for (Sym size : volume.sizes) {
    auto value = kernel.syms->evaluate(size, lookup);
    if (value && __builtin_mul_overflow(bytes, value->integer, &bytes)) return INT64_MAX;
  }
  return bytes;
}

std::optional<SymValue> tunable_value(const Json& value) {
  if (value.is_boolean()) return SymValue::of_bool(value.get<bool>());
  if (value.is_number_integer()) return SymValue::of(value.get<i64>());
  if (value.is_number_float()) return SymValue::of(value.get<double>());
  return std::nullopt;
}

}  // namespace

std::span<const SharedKnob> shared_knobs() {
  static const SharedKnob kRows[] = {
#define KNOB(key, singular, scope, kind, low, high, choices, default_value, doc) \
  {key, singular, Scope::scope, KnobKind::kind, low, high, choices, default_value, doc},
#include "space/knobs.def"
  };
  return kRows;
}

std::vector<BlockId> searched_blocks(const ir::Kernel& kernel) {
  std::vector<BlockId> blocks;
  for (i64 b = 0; b < static_cast<i64>(kernel.blocks.size()); ++b) {
    Sym size = kernel.blocks[b].size;
    if (!size || size.kind() != SymKind::Symbol) continue;
    const Symbol& symbol = kernel.syms->symbol(size->symbol);
    if (symbol.origin == SymbolOrigin::Block && symbol.block == BlockId(b)) {
      blocks.push_back(BlockId(b));
    }
  }
  return blocks;
}

BlockId sized_by(const ir::Kernel& kernel, const Dim& dim) {
  BlockId block;
  for_each_symbol(dim.size, [&](SymbolId id) {
    const Symbol& symbol = kernel.syms->symbol(id);
    if (symbol.origin == SymbolOrigin::Block) block = symbol.block;
  });
  return block;
}

std::vector<std::optional<SymValue>> config_values(const ir::Kernel& kernel, const Config& config) {
  std::vector<std::optional<SymValue>> values(kernel.syms->symbol_count());
  auto sizes = config.find("block_sizes");
  std::vector<BlockId> blocks = searched_blocks(kernel);
  BUG_IF(!blocks.empty() && (sizes == config.end() || sizes->size() != blocks.size()),
         "config {} for {} blocks", config.dump(), blocks.size());
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    values[kernel[blocks[i]].size->symbol.index] = SymValue::of((*sizes)[i].get<i64>());
  }
  for (i64 s = 0; s < kernel.syms->symbol_count(); ++s) {
    const Symbol& symbol = kernel.syms->symbol(SymbolId(s));
    if (symbol.origin != SymbolOrigin::Tunable) continue;
    auto it = config.find(symbol.name);
    values[s] = it == config.end() ? std::nullopt : tunable_value(*it);
    if (!values[s]) values[s] = symbol.hint;
  }
  return values;
}

ConfigSpace::ConfigSpace(const ir::Kernel& kernel, std::vector<Knob> knobs,
                         std::vector<TileVolume> volumes, std::string target, ConfigRules rules)
    : kernel_(&kernel),
      knobs_(std::move(knobs)),
      volumes_(std::move(volumes)),
      target_(std::move(target)),
      rules_(std::move(rules)) {
  for (Knob& knob : knobs_) knob.listed = knob.candidates();
}

double ConfigSpace::size() const {
  double points = 1;
  for (const Knob& knob : knobs_) points *= knob.count();
  return points;
}

const Json& ConfigSpace::get(const Config& config, i64 knob) const {
  const Knob& k = knobs_[knob];
  return k.index < 0 ? config.at(k.key) : config.at(k.key).at(k.index);
}

void ConfigSpace::set(Config& config, i64 knob, Json value) const {
  const Knob& k = knobs_[knob];
  if (k.index < 0) {
    config[k.key] = std::move(value);
  } else {
    config[k.key][k.index] = std::move(value);
  }
}

Config ConfigSpace::defaults() const {
  Config config = Config::object();
  for (i64 k = 0; k < static_cast<i64>(knobs_.size()); ++k) set(config, k, knobs_[k].default_value);
  shrink(config);
  return config;
}

Config ConfigSpace::complete(const Config& base) const {
  Config config = defaults();
  for (i64 k = 0; k < static_cast<i64>(knobs_.size()); ++k) {
    auto it = base.find(knobs_[k].key);
    if (it == base.end()) continue;
    if (knobs_[k].index < 0) {
      set(config, k, knobs_[k].fitting(*it));
    } else if (knobs_[k].index < static_cast<i64>(it->size())) {
      set(config, k, knobs_[k].fitting((*it)[knobs_[k].index]));
    }
  }
  return config;
}

// Makes the largest block one step smaller until the config is legal.
void ConfigSpace::shrink(Config& config) const {
  while (why_not(config)) {
    i64 largest = -1, size = 0;
    for (i64 k = 0; k < static_cast<i64>(knobs_.size()); ++k) {
      if (knobs_[k].key != "block_sizes") continue;
      i64 value = get(config, k).get<i64>();
      if (value > size && value > knobs_[k].low) {
        largest = k;
        size = value;
      }
    }
    if (largest < 0) return;
    std::vector<Json> candidates = knobs_[largest].candidates();
    Json value = size;
    auto above = std::lower_bound(candidates.begin(), candidates.end(), value);
    if (above == candidates.begin()) return;
    set(config, largest, *std::prev(above));
  }
}

// Of the largest grid, with the sizes of the call that the kernel was specialised for.
double ConfigSpace::grid_cells(const Config& config) const {
  auto known = config_values(*kernel_, config);
  SymTable::Lookup lookup = lookup_of(*kernel_, known);
  double largest = 0;
  for (const ir::Root& root : kernel_->roots) {
    double cells = 1;
    for (BlockId id : root.blocks) {
      const Block& block = (*kernel_)[id];
      if (block.kind == Block::Kind::Grid || !block.begin || !block.end) continue;
      auto begin = kernel_->syms->evaluate(block.begin, lookup);
      auto end = kernel_->syms->evaluate(block.end, lookup);
      auto size = kernel_->syms->evaluate(block.size, lookup);
      if (!begin || !end || !size) continue;
      cells *= std::max(1.0, (end->as_real() - begin->as_real()) / size->as_real());
    }
    largest = std::max(largest, cells);
  }
  return largest;
}

Config ConfigSpace::sample(Rng& rng) const {
  Config config;
  for (i64 t = 0; t < kMaxTries; ++t) {
    config = Config::object();
    for (i64 k = 0; k < static_cast<i64>(knobs_.size()); ++k) set(config, k, knobs_[k].sample(rng));
    if (rules_.repair) rules_.repair(config);
    if (grid_cells(config) <= kMostCells && !why_not(config)) return config;
  }
  shrink(config);
  return config;
}

std::vector<Config> ConfigSpace::neighbours(const Config& config, i64 knob) const {
  std::vector<Config> near;
  for (Json& value : knobs_[knob].neighbours(get(config, knob))) {
    Config other = config;
    set(other, knob, std::move(value));
    if (!why_not(other)) near.push_back(std::move(other));
  }
  return near;
}

Config ConfigSpace::mutate(const Config& config, i64 knobs, Rng& rng) const {
  i64 count = static_cast<i64>(knobs_.size());
  for (i64 t = 0; t < kMaxTries && count > 0; ++t) {
    Config other = config;
    for (i64 i = 0; i < knobs; ++i) {
      i64 k = pick(rng, count);
      set(other, k, knobs_[k].mutate(get(other, k), rng));
    }
    if (other != config && !why_not(other)) return other;
  }
  return config;
}

Config ConfigSpace::crossover(const Config& a, const Config& b, Rng& rng) const {
  for (i64 t = 0; t < kMaxTries; ++t) {
    Config child = a;
    for (i64 k = 0; k < static_cast<i64>(knobs_.size()); ++k) {
      if (pick(rng, 2) == 0) set(child, k, get(b, k));
    }
    if (!why_not(child)) return child;
  }
  return a;
}

std::vector<double> ConfigSpace::encode(const Config& config) const {
  std::vector<double> features;
  for (i64 k = 0; k < static_cast<i64>(knobs_.size()); ++k) {
    knobs_[k].encode(get(config, k), features);
  }
  return features;
}

std::optional<std::string> ConfigSpace::why_not(const Config& config) const {
  if (auto reason = too_large(config)) return reason;
  return rules_.why_not ? rules_.why_not(config) : std::nullopt;
}

std::optional<std::string> ConfigSpace::too_large(const Config& config) const {
  if (volumes_.empty()) return std::nullopt;
  auto known = config_values(*kernel_, config);
  SymTable::Lookup lookup = lookup_of(*kernel_, known);
  for (const TileVolume& volume : volumes_) {
    i64 bytes = bytes_of(volume, *kernel_, lookup);
    if (bytes <= volume.limit) continue;
    return fmt::format("a value {} would take {} KB, more than {} KB", volume.subject, bytes / 1024,
                       volume.limit / 1024);
  }
  return std::nullopt;
}

std::vector<i64> ConfigSpace::knobs_of(const std::string& key) const {
  std::vector<i64> found;
  for (i64 k = 0; k < static_cast<i64>(knobs_.size()); ++k) {
    if (knobs_[k].key == key) found.push_back(k);
  }
  return found;
}

namespace {

std::string range_of(const Knob& knob) {
  switch (knob.kind) {
    case KnobKind::Permutation:
      return fmt::format("permutation of {}", knob.high);
    case KnobKind::PowerOfTwo:
      return fmt::format("power of two {}..{}{}", knob.low, knob.high,
                         knob.may_be_null ? " or none" : "");
    case KnobKind::Integer:
    case KnobKind::Scale:
    case KnobKind::Extent:
      return fmt::format("{}..{}", knob.low, knob.high);
    case KnobKind::Choice:
      break;
  }
  std::string text;
  for (const Json& choice : knob.choices) text += (text.empty() ? "" : " | ") + choice.dump();
  return text;
}

}  // namespace

std::string ConfigSpace::print() const {
  std::string out =
      fmt::format("space on {}: {} knobs, {:.3g} points\n", target_, knobs_.size(), size());
  for (const Knob& knob : knobs_) {
    std::string name = knob.name();
    if (!knob.subject.empty()) name += fmt::format(" ({})", knob.subject);
    out +=
        fmt::format("  {:<32} {}, default {}\n", name, range_of(knob), knob.default_value.dump());
    for (const Excluded& excluded : knob.excluded) {
      out += fmt::format("      not {}: {}\n", excluded.values, excluded.reason);
    }
  }
  return out;
}

}  // namespace peri::space
