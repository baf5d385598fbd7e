#include "driver/shapes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "diag/diag.h"
#include "ir/text.h"

namespace peri::driver {

using check::ArgSpec;
using tune::Sizes;

namespace {

constexpr i64 kLargestSize = i64{1} << 48;  // keeps products in range until a tensor is refused

std::unexpected<Error> bad_shape(const std::string& shape, const std::string& message) {
  return fail("bad-shape", fmt::format("--shape `{}`: {}", shape, message),
              "a shape is written like --shape m=1024,n=4096");
}

Expected<void> add_size(const std::string& shape, std::string_view part,
                        std::map<std::string, i64>& sizes) {
  const std::size_t equals = part.find('=');
  if (equals == std::string_view::npos) {
    return bad_shape(shape, fmt::format("`{}` is not of the form NAME=SIZE", part));
  }
  const std::string name(part.substr(0, equals));
  const std::string_view value = part.substr(equals + 1);
  if (!ir::is_identifier(name)) return bad_shape(shape, fmt::format("`{}` is no name", name));
  i64 size = 0;
  auto [at, failed] = std::from_chars(value.data(), value.data() + value.size(), size);
  const bool is_whole = failed == std::errc() && at == value.data() + value.size();
  if (!is_whole || size < 0 || size > kLargestSize) {
    return bad_shape(shape, fmt::format("`{}` is no size", value));
  }
  if (!sizes.emplace(name, size).second) {
    return bad_shape(shape, fmt::format("`{}` is given twice", name));
  }
  return {};
}

Expected<void> check_all_used(const std::map<std::string, i64>& shape,
                              const std::set<std::string>& used) {
  for (const auto& [name, size] : shape) {
    if (used.contains(name)) continue;
    if (used.empty()) {
      return fail("unknown-size",
                  fmt::format("--shape gives `{}`, but no --arg has sizes with names", name),
                  "name the sizes that vary: --arg x=randn[m,n]");
    }
    const std::string near =
        diag::nearest(name, std::vector<std::string>(used.begin(), used.end()));
    return fail(
        "unknown-size",
        fmt::format("--shape gives `{}`, but no --arg has a size of that name; the names are {}",
                    name, fmt::join(used, ", ")),
        near.empty() ? "" : fmt::format("did you mean `{}`?", near));
  }
  return {};
}

// Calls `visit` for each tensor in an argument, with its name as the host program has it.
template <class Visit>
void for_each_tensor(const std::string& name, const Argument& argument, const Visit& visit) {
  if (argument.spec.kind == ArgSpec::Kind::Tensor) visit(name, argument);
  for (std::size_t i = 0; i < argument.items.size(); ++i) {
    for_each_tensor(fmt::format("{}[{}]", name, i), argument.items[i], visit);
  }
}

// The argument, or item of one, called "xs[0]".
const ArgSpec* find_spec(const std::map<std::string, ArgSpec>& args, std::string_view name) {
  const std::size_t bracket = std::min(name.find('['), name.size());
  auto found = args.find(std::string(name.substr(0, bracket)));
  if (found == args.end()) return nullptr;
  const ArgSpec* spec = &found->second;
  for (std::string_view rest = name.substr(bracket); !rest.empty();) {
    std::size_t index = 0;
    auto [at, failed] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), index);
    const bool is_item = rest[0] == '[' && failed == std::errc() &&
                         at != rest.data() + rest.size() && *at == ']' &&
                         index < spec->items.size();
    if (!is_item) return nullptr;
    spec = &spec->items[index];
    rest.remove_prefix(static_cast<std::size_t>(at + 1 - rest.data()));
  }
  return spec;
}

}  // namespace

Expected<std::map<std::string, i64>> parse_shape(const std::string& text) {
  std::map<std::string, i64> sizes;
  for (std::string_view rest = text;;) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    if (auto added = add_size(text, rest.substr(0, comma), sizes); !added) {
      return std::unexpected(added.error());
    }
    if (comma == rest.size()) return sizes;
    rest.remove_prefix(comma + 1);
  }
}

Expected<Arguments> parse_arguments(const std::vector<std::string>& texts,
                                    const std::map<std::string, i64>& shape, i64 seed,
                                    diag::Diags& diags) {
  Arguments arguments;
  SizeNames names{.values = shape};
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail("bad-argument", fmt::format("--arg `{}` is not of the form NAME=SPEC", text));
    }
    const std::string name = text.substr(0, equals);
    auto argument = parse_argument(name, text.substr(equals + 1), seed, diags, &names);
    if (!argument) return std::unexpected(argument.error());
    if (!arguments.emplace(name, *std::move(argument)).second) {
      return fail("bad-argument", fmt::format("--arg {} is given twice", name));
    }
  }
  if (auto used = check_all_used(shape, names.used); !used) return std::unexpected(used.error());
  return arguments;
}

Sizes sizes_of(const Arguments& arguments) {
  Sizes named, all;
  std::set<std::string> seen;
  for (const auto& [name, argument] : arguments) {
    for_each_tensor(name, argument, [&](const std::string& leaf, const Argument& tensor) {
      for (i64 d = 0; d < static_cast<i64>(tensor.spec.sizes.size()); ++d) {
        const i64 size = tensor.spec.sizes[d];
        all.push_back({fmt::format("{}.{}", leaf, d), leaf, d, size});
        if (tensor.size_names.empty() || tensor.size_names[d].empty()) continue;
        if (seen.insert(tensor.size_names[d]).second) {
          named.push_back({tensor.size_names[d], leaf, d, size});
        }
      }
    });
  }
  return named.empty() ? all : named;
}

std::optional<std::vector<i64>> sizes_at(const std::map<std::string, ArgSpec>& args,
                                         const Sizes& places) {
  std::vector<i64> sizes;
  for (const tune::NamedSize& place : places) {
    const ArgSpec* spec = find_spec(args, place.argument);
    const bool has_it = spec != nullptr && spec->kind == ArgSpec::Kind::Tensor &&
                        place.dimension < static_cast<i64>(spec->sizes.size());
    if (!has_it) return std::nullopt;
    sizes.push_back(spec->sizes[place.dimension]);
  }
  return sizes;
}

}  // namespace peri::driver
