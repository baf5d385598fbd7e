#include "driver/tuned_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <tuple>

#include "driver/record_files.h"
#include "driver/shapes.h"

namespace peri::driver {

namespace {

// Whether `kernel` has not been warned about in this process.
bool is_first_miss(const std::string& kernel) {
  static std::mutex mutex;
  static std::set<std::string> warned;
  std::lock_guard lock(mutex);
  return warned.insert(kernel).second;
}

Error not_tuned(const Compilation& c) {
  const tune::Subject here = subject_of(c);
  std::string message =
      fmt::format("no tuned config for `{}` with {}", here.kernel, here.specialization);
  auto nearest = nearest_entry(here, TunedStore(c.request.settings, {}).entries());
  if (nearest) message += "; the nearest one " + describe_difference(here, nearest->entry);
  return {"not-tuned", message, fmt::format("tune it: {}", tune_command(c.request, here.kernel))};
}

void warn_bad_entry(const Compilation& c, const std::string& what) {
  if (!c.request.warn) return;
  c.request.warn({"bad-entry", fmt::format("the tuned config of `{}` {}", c.decl->name, what),
                  "it is not used; tuning again replaces it"});
}

// The row's config. The sizes at hand can set other limits than the row's own did; then the nearest
// legal one. `why`: why there is none.
std::optional<space::Config> legal_here(const TunedRow& row, const Compilation& c,
                                        std::string& why) {
  diag::Diags quiet(c.diags.sources());
  auto config = c.space.validate(row.config, c.default_config, quiet);
  if (!config && !row.sizes.empty()) config = fitted(row.config, c);
  if (!config && !quiet.all().empty()) why = ": " + quiet.all()[0].message;
  return config;
}

}  // namespace

std::optional<Dispatch> find_tuned(const Compilation& c) {
  auto entry = TunedStore(c.request).find(c.tuned_key);
  if (!entry) return std::nullopt;
  const auto here = sizes_at(c.request.args, entry->sizes);
  if (!here) {
    warn_bad_entry(
        c, fmt::format("has sizes that no argument has: {}", tune::print_sizes(entry->sizes)));
    return std::nullopt;
  }
  Dispatch dispatch;
  std::vector<tune::Sizes> sizes;
  std::vector<std::vector<i64>> rows;
  for (const TunedRow* row : entry->rows()) {
    std::string why;
    auto config = legal_here(*row, c, why);
    if (!config) {
      warn_bad_entry(c, "is not legal" + why);
      continue;
    }
    sizes.push_back(row->sizes);
    rows.push_back(tune::values_of(row->sizes));
    dispatch.configs.push_back(*std::move(config));
  }
  if (rows.empty()) return std::nullopt;
  dispatch.table = tune::ShapeTable(rows);
  dispatch.row = dispatch.table.nearest(*here);
  dispatch.places = sizes[dispatch.row];
  return dispatch;
}

std::optional<TunedStore::Located> nearest_entry(const tune::Subject& subject,
                                                 const std::vector<TunedStore::Located>& entries) {
  std::optional<TunedStore::Located> nearest;
  auto rank = [&](const tune::Subject& other) {
    return std::tuple(other.kernel_hash != subject.kernel_hash,
                      other.structure_hash != subject.structure_hash,
                      other.fingerprint != subject.fingerprint, other.target != subject.target,
                      other.compiler != subject.compiler, other.threads != subject.threads,
                      other.passes_off != subject.passes_off,
                      distance(other.specialization, subject.specialization));
  };
  for (const TunedStore::Located& located : entries) {
    if (located.entry.kernel != subject.kernel) continue;
    if (!nearest || rank(located.entry) < rank(nearest->entry)) nearest = located;
  }
  return nearest;
}

std::string describe_difference(const tune::Subject& here, const tune::Subject& other) {
  std::vector<std::string> parts;
  for (const std::string& part : differences(here, other)) {
    if (part == "kernel text") {
      parts.push_back(part);
      continue;
    }
    auto or_none = [](const std::string& text) { return text.empty() ? "none" : text; };
    auto value = [&](const tune::Subject& s) -> std::string {
      if (part == "arguments") return s.specialization;
      if (part == "target") return s.target;
      if (part == "compiler") return s.compiler;
      if (part == "threads") return s.threads == 0 ? "all" : std::to_string(s.threads);
      return part == "passes left out" ? or_none(s.passes_off) : s.machine;
    };
    parts.push_back(fmt::format("{} ({}, here {})", part, value(other), value(here)));
  }
  if (parts.empty()) return "has the same key";
  return fmt::format("differs in {}", fmt::join(parts, " and "));
}

Expected<void> check_is_tuned(const Compilation& c) {
  const Settings& settings = c.request.settings;
  const bool is_tuned = c.config_origin == "tuned";
  const bool is_chosen =
      c.config_origin == "given" || (c.config_origin == "decorator" && is_fixed(*c.decl));
  if (is_chosen) return {};
  count_tuned(is_tuned);
  if (is_tuned) return {};
  if (settings.require_tuned) return std::unexpected(not_tuned(c));
  const bool looks_up = !settings.no_cache;
  if (looks_up && c.request.warn && is_first_miss(c.decl->name)) {
    c.request.warn({"not-tuned",
                    fmt::format("`{}` runs with the {} config: none is tuned for {}", c.decl->name,
                                c.config_origin, subject_of(c).specialization),
                    "tune it: " + tune_command(c.request, c.decl->name)});
  }
  return {};
}

}  // namespace peri::driver
