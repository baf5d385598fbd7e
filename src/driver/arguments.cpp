#include "driver/arguments.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/hash.h"
#include "ir/text.h"
#include "runtime/device_info.h"
#include "runtime/npy.h"
#include "runtime/random.h"
#include "syntax/parse.h"

namespace peri::driver {

using check::ArgSpec;
using runtime::Tensor;

namespace {

constexpr i64 kMaxRank = 16;

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::optional<i64> read_integer(std::string_view text) {
  text = trim(text);
  i64 value = 0;
  auto [at, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool whole = failed == std::errc() && at == text.data() + text.size() && !text.empty();
  return whole ? std::optional(value) : std::nullopt;
}

std::optional<double> read_real(std::string_view text) {
  text = trim(text);
  double value = 0;
  auto [at, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool whole = failed == std::errc() && at == text.data() + text.size() && !text.empty();
  return whole ? std::optional(value) : std::nullopt;
}

std::optional<SymValue> read_scalar(std::string_view text) {
  if (text == "true" || text == "True") return SymValue::of_bool(true);
  if (text == "false" || text == "False") return SymValue::of_bool(false);
  if (auto integer = read_integer(text)) return SymValue::of(*integer);
  if (auto real = read_real(text)) return SymValue::of(*real);
  return std::nullopt;
}

// Splits at commas outside brackets and quotes; nullopt if they do not balance.
std::optional<std::vector<std::string_view>> split(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t start = 0;
  i64 depth = 0;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '[' || c == '(' || c == '{') {
      ++depth;
    } else if (c == ']' || c == ')' || c == '}') {
      if (--depth < 0) return std::nullopt;
    } else if (c == ',' && depth == 0) {
      parts.push_back(trim(text.substr(start, i - start)));
      start = i + 1;
    }
  }
  if (depth != 0 || quote != 0) return std::nullopt;
  std::string_view last = trim(text.substr(start));
  if (!last.empty() || !parts.empty()) parts.push_back(last);
  if (!parts.empty() && parts.back().empty()) parts.pop_back();  // trailing comma
  return parts;
}

// The integers of a bracketed list that `text` starts with, which is taken off.
std::optional<std::vector<i64>> take_integers(std::string_view& text, char open, char close) {
  std::size_t end = text.find(close);
  if (text.empty() || text[0] != open || end == std::string_view::npos) return std::nullopt;
  std::vector<i64> integers;
  auto parts = split(text.substr(1, end - 1));
  if (!parts) return std::nullopt;
  for (std::string_view part : *parts) {
    auto integer = read_integer(part);
    if (!integer) return std::nullopt;
    integers.push_back(*integer);
  }
  text.remove_prefix(end + 1);
  return integers;
}

class SpecParser {
 public:
  SpecParser(std::string name, std::string_view spec, i64 seed, diag::Diags& diags,
             SizeNames* names)
      : name_(std::move(name)),
        spec_(trim(spec)),
        plain_(spec_),
        seed_(seed),
        diags_(diags),
        names_(names) {}

  Expected<Argument> parse() {
    auto argument = parse_spec();
    if (!argument) return argument;
    argument->text = plain_;
    if (std::ranges::any_of(size_names_, [](const std::string& s) { return !s.empty(); })) {
      argument->size_names = size_names_;
    }
    return argument;
  }

 private:
  Expected<Argument> parse_spec() {
    if (spec_.empty()) return error("is empty");
    if (spec_ == "none" || spec_ == "None") return Argument();
    if (auto scalar = read_scalar(spec_)) return scalar_argument(*scalar);
    if (spec_.starts_with("lambda")) return lambda();
    if (spec_[0] == '"' || spec_[0] == '\'') return quoted();
    if (spec_[0] == '[' || spec_[0] == '(') return sequence();
    if (spec_[0] == '@') return file();
    if (spec_.starts_with("torch.")) return dtype();
    for (std::string_view maker : {"randn", "randint", "rand", "arange", "zeros", "ones", "full"}) {
      if (spec_.starts_with(maker) && spec_.substr(maker.size()).starts_with('[')) {
        return made(maker);
      }
    }
    if (std::ranges::all_of(spec_,
                            [](char c) { return std::isalnum(static_cast<u8>(c)) || c == '_'; })) {
      return text(std::string(spec_));
    }
    return error("is no tensor, number, string, list or lambda");
  }

  std::unexpected<Error> error(std::string_view message) const {
    return fail("bad-argument", fmt::format("--arg {}: `{}` {}", name_, spec_, message),
                "tensors are written like randn[1024,512]:bf16, randint[8]=0:10, full[4]=1.5, "
                "@x.npy; see `peri run --help`");
  }

  static Argument text(std::string value) {
    Argument argument;
    argument.spec.kind = ArgSpec::Kind::String;
    argument.spec.text = std::move(value);
    return argument;
  }

  Expected<Argument> quoted() const {
    if (spec_.size() < 2 || spec_.back() != spec_.front()) return error("has no closing quote");
    return text(std::string(spec_.substr(1, spec_.size() - 2)));
  }

  Expected<Argument> dtype() const {
    auto parsed = parse_dtype(spec_.substr(6));
    if (!parsed) return error("names no dtype");
    Argument argument;
    argument.spec.kind = ArgSpec::Kind::Dtype;
    argument.spec.dtype = *parsed;
    return argument;
  }

  Expected<Argument> sequence() {
    char close = spec_[0] == '[' ? ']' : ')';
    if (spec_.back() != close) return error(fmt::format("does not end in `{}`", close));
    auto parts = split(spec_.substr(1, spec_.size() - 2));
    if (!parts) return error("has brackets or quotes that do not match");
    Argument list;
    list.spec.kind = close == ']' ? ArgSpec::Kind::List : ArgSpec::Kind::Tuple;
    plain_ = spec_[0];
    for (std::size_t i = 0; i < parts->size(); ++i) {
      auto item =
          SpecParser(fmt::format("{}[{}]", name_, i), (*parts)[i], seed_, diags_, names_).parse();
      if (!item) return item;
      plain_ += (i == 0 ? "" : ", ") + item->text;
      list.items.push_back(std::move(*item));
    }
    plain_ += close;
    return list;
  }

  Expected<Argument> lambda() const {
    Argument argument;
    diag::SourceId source = diags_.sources().add("--arg " + name_, std::string(spec_));
    i64 errors = diags_.error_count();
    argument.ast = std::make_shared<syntax::Ast>(syntax::parse_expression(source, diags_));
    if (diags_.error_count() > errors) return fail("diagnostics", "the lambda has errors");
    argument.spec.kind = ArgSpec::Kind::Lambda;
    argument.spec.ast = argument.ast.get();
    argument.spec.text = spec_;
    return argument;
  }

  // `:bf16` at the end of what is left, or `fallback`.
  Expected<Dtype> take_dtype(Dtype fallback) {
    if (!rest_.starts_with(':')) return fallback;
    std::size_t end = std::min(rest_.find('.'), rest_.size());
    auto dtype = parse_dtype(rest_.substr(1, end - 1));
    if (!dtype) return error(fmt::format("has an unknown dtype `{}`", rest_.substr(1, end - 1)));
    rest_.remove_prefix(end);
    return *dtype;
  }

  Expected<Argument> file() {
    std::string_view path = spec_.substr(1);
    for (std::string_view suffix : {".t()", ".strided("}) {
      if (auto at = path.find(suffix); at != std::string_view::npos) path = path.substr(0, at);
    }
    rest_ = spec_.substr(1 + path.size());
    std::optional<Dtype> wanted;
    if (auto colon = path.rfind(':'); colon != std::string_view::npos) {
      wanted = parse_dtype(path.substr(colon + 1));
      if (wanted) path = path.substr(0, colon);
    }
    auto tensor = runtime::read_npy(std::string(path));
    if (!tensor) return std::unexpected(tensor.error());
    if (wanted && *wanted != tensor->dtype) *tensor = runtime::convert(*tensor, *wanted);
    return finish(std::move(*tensor));
  }

  Expected<Argument> made(std::string_view maker) {
    rest_ = spec_.substr(maker.size());
    auto sizes = take_sizes();
    if (!sizes) return std::unexpected(sizes.error());
    if (static_cast<i64>(sizes->size()) > kMaxRank) return error("has too many dimensions");
    std::string_view value;
    if (maker == "randint" || maker == "full") {
      if (!rest_.starts_with('=')) {
        return error(maker == "full" ? "needs a value like =1.5" : "needs a range like =0:10");
      }
      std::size_t end = value_end(maker == "randint" ? 1 : 0);
      value = rest_.substr(1, end - 1);
      rest_.remove_prefix(end);
    }
    auto numbers = with_numbers(value);
    if (!numbers) return std::unexpected(numbers.error());
    plain_ = fmt::format("{}[{}]{}{}{}", maker, fmt::join(*sizes, ","), value.empty() ? "" : "=",
                         *numbers, rest_);
    return make(maker, std::move(*sizes), *numbers);
  }

  // The value that a name stands for.
  Expected<i64> value_of(std::string_view text) const {
    if (names_ == nullptr) return error("needs sizes like [1024,512]");
    const std::string name(text);
    names_->used.insert(name);
    auto found = names_->values.find(name);
    if (found != names_->values.end()) return found->second;
    return fail("missing-size",
                fmt::format("--arg {}: `{}` in `{}` has no value", name_, name, spec_),
                fmt::format("give it one: --shape {}=1024", name));
  }

  // `[1024,n]` at the begin of what is left.
  Expected<std::vector<i64>> take_sizes() {
    const std::size_t end = rest_.find(']');
    auto parts = end == std::string_view::npos ? std::nullopt : split(rest_.substr(1, end - 1));
    if (!parts) return error("needs sizes like [1024,512]");
    std::vector<i64> sizes;
    for (std::string_view part : *parts) {
      auto number = read_integer(part);
      if (!number && !ir::is_identifier(part)) return error("needs sizes like [1024,512]");
      if (!number) {
        auto value = value_of(part);
        if (!value) return std::unexpected(value.error());
        number = *value;
      }
      size_names_.emplace_back(ir::is_identifier(part) ? part : "");
      sizes.push_back(*number);
    }
    rest_.remove_prefix(end + 1);
    return sizes;
  }

  // `0:n` with numbers for names that have values.
  Expected<std::string> with_numbers(std::string_view value) const {
    std::string text;
    while (!value.empty()) {
      const std::size_t end = std::min(value.find(':'), value.size());
      const std::string_view part = trim(value.substr(0, end));
      const bool is_named = ir::is_identifier(part) && names_ != nullptr &&
                            names_->values.contains(std::string(part));
      if (is_named) {
        auto number = value_of(part);
        if (!number) return std::unexpected(number.error());
        text += std::to_string(*number);
      } else {
        text += part;
      }
      value.remove_prefix(end);
      if (!value.empty()) {
        text += ':';
        value.remove_prefix(1);
      }
    }
    return text;
  }

  // End of `=VALUE`, which may hold `colons` colons of its own.
  std::size_t value_end(i64 colons) const {
    std::size_t at = 1;
    for (; at < rest_.size(); ++at) {
      if (rest_[at] == ':' && colons-- == 0) break;
      bool suffix =
          rest_.substr(at).starts_with(".t()") || rest_.substr(at).starts_with(".strided(");
      if (suffix) break;
    }
    return at;
  }

  static Dtype default_dtype(std::string_view maker, std::string_view value) {
    if (maker == "arange" || maker == "randint") return Dtype::I64;
    auto scalar = maker == "full" ? read_scalar(value) : std::nullopt;
    if (!scalar || scalar->type == SymType::Float) return Dtype::F32;
    return scalar->type == SymType::Bool ? Dtype::Bool : Dtype::I64;
  }

  Expected<Argument> make(std::string_view maker, std::vector<i64> sizes, std::string_view value) {
    auto dtype = take_dtype(default_dtype(maker, value));
    if (!dtype) return std::unexpected(dtype.error());
    auto probe = runtime::try_empty(*dtype, sizes);
    if (!probe) return std::unexpected(probe.error());
    i64 memory = runtime::device_info().memory_bytes;
    if (memory > 0 && probe->storage.bytes > memory) {
      return fail(
          "out-of-memory",
          fmt::format("--arg {}: `{}` is larger than the memory of this machine", name_, spec_));
    }
    *probe = {};
    u64 seed = hash_combine(static_cast<u64>(seed_), hash_text(name_));
    if (maker == "randn") return finish(runtime::randn(*dtype, sizes, seed));
    if (maker == "rand") return finish(runtime::rand(*dtype, sizes, seed));
    if (maker == "zeros") return finish(runtime::zeros(*dtype, sizes));
    if (maker == "ones") return finish(runtime::full(*dtype, sizes, 1));
    if (maker == "arange") {
      if (sizes.size() != 1) return error("has one size");
      return finish(runtime::arange(*dtype, sizes[0]));
    }
    if (maker == "full") return make_full(*dtype, sizes, value);
    std::size_t colon = value.find(':');
    auto low = read_integer(value.substr(0, colon));
    auto high =
        colon == std::string_view::npos ? std::nullopt : read_integer(value.substr(colon + 1));
    if (!low || !high || *low >= *high) return error("needs a range LOW:HIGH with LOW below HIGH");
    return finish(runtime::randint(*dtype, sizes, *low, *high, seed));
  }

  Expected<Argument> make_full(Dtype dtype, const std::vector<i64>& sizes, std::string_view value) {
    auto scalar = read_scalar(value);
    if (!scalar) return error("needs a number after `=`");
    return finish(runtime::full(dtype, sizes, scalar->as_real()));
  }

  // Applies the suffixes that are left.
  Expected<Argument> finish(Tensor tensor) {
    while (!rest_.empty()) {
      if (rest_.starts_with(".t()")) {
        if (tensor.rank() < 2) return error("has fewer than two dimensions to exchange");
        std::swap(tensor.sizes.end()[-1], tensor.sizes.end()[-2]);
        std::swap(tensor.strides.end()[-1], tensor.strides.end()[-2]);
        if (!size_names_.empty()) std::swap(size_names_.end()[-1], size_names_.end()[-2]);
        rest_.remove_prefix(4);
      } else if (rest_.starts_with(".strided(")) {
        rest_.remove_prefix(8);
        auto strides = take_integers(rest_, '(', ')');
        if (!strides) return error("needs strides like .strided(4096,2)");
        auto strided = restride(tensor, *strides);
        if (!strided) return std::unexpected(strided.error());
        tensor = std::move(*strided);
      } else {
        return error(fmt::format("has an unknown ending `{}`", rest_));
      }
    }
    return tensor_argument(std::move(tensor));
  }

  Expected<Tensor> restride(const Tensor& tensor, const std::vector<i64>& strides) const {
    if (static_cast<i64>(strides.size()) != tensor.rank())
      return error("needs one stride for each dimension");
    i64 last = 0;
    for (i64 d = 0; d < tensor.rank(); ++d) {
      i64 step = 0;
      bool bad = strides[d] < 0 ||
                 __builtin_mul_overflow(std::max<i64>(tensor.sizes[d] - 1, 0), strides[d], &step) ||
                 __builtin_add_overflow(last, step, &last);
      if (bad) return error("has strides that cannot be");
    }
    auto room = runtime::try_empty(tensor.dtype, {last + 1});
    if (!room) return std::unexpected(room.error());
    Tensor strided = std::move(*room);
    strided.sizes = tensor.sizes;
    strided.strides = strides;
    for (i64 i = 0; i < tensor.numel(); ++i) {
      if (is_float(tensor.dtype)) {
        set_real(strided, i, get_real(tensor, i));
      } else {
        set_integer(strided, i, get_integer(tensor, i));
      }
    }
    return strided;
  }

  std::string name_;
  std::string_view spec_, rest_;
  std::string plain_;  // spec_ with numbers for names
  std::vector<std::string> size_names_;
  i64 seed_;
  diag::Diags& diags_;
  SizeNames* names_;
};

ArgSpec spec_of(const Argument& argument) {
  ArgSpec spec = argument.spec;
  for (const Argument& item : argument.items) spec.items.push_back(spec_of(item));
  return spec;
}

void add_leaves(const std::string& name, const Argument& argument,
                std::map<std::string, runtime::Leaf>& leaves) {
  bool is_tensor = argument.spec.kind == ArgSpec::Kind::Tensor;
  leaves[name] = {is_tensor ? &argument.tensor : nullptr, argument.spec.value};
  for (std::size_t i = 0; i < argument.items.size(); ++i) {
    add_leaves(fmt::format("{}[{}]", name, i), argument.items[i], leaves);
  }
}

Argument clone(const Argument& argument, std::map<const std::byte*, runtime::Storage>& storages) {
  Argument copy = argument;
  for (Argument& item : copy.items) item = clone(item, storages);
  runtime::Storage& storage = copy.tensor.storage;
  if (argument.spec.kind != ArgSpec::Kind::Tensor || storage.data == nullptr) return copy;
  auto [it, is_new] = storages.try_emplace(storage.data);
  if (is_new) {
    it->second = runtime::empty(Dtype::U8, {storage.bytes}).storage;
    std::copy_n(storage.data, storage.bytes, it->second.data);
  }
  storage = it->second;
  return copy;
}

}  // namespace

Argument tensor_argument(Tensor tensor) {
  Argument argument;
  argument.spec.kind = ArgSpec::Kind::Tensor;
  argument.spec.dtype = tensor.dtype;
  argument.spec.sizes = tensor.sizes;
  argument.spec.strides = tensor.strides;
  argument.tensor = std::move(tensor);
  return argument;
}

Argument scalar_argument(SymValue value) {
  Argument argument;
  argument.spec.kind = value.type == SymType::Bool    ? ArgSpec::Kind::Bool
                       : value.type == SymType::Float ? ArgSpec::Kind::Float
                                                      : ArgSpec::Kind::Int;
  argument.spec.value = value;
  return argument;
}

Expected<Argument> parse_argument(const std::string& name, const std::string& spec, i64 seed,
                                  diag::Diags& diags, SizeNames* names) {
  return SpecParser(name, spec, seed, diags, names).parse();
}

std::map<std::string, ArgSpec> specs_of(const Arguments& arguments) {
  std::map<std::string, ArgSpec> specs;
  for (const auto& [name, argument] : arguments) specs[name] = spec_of(argument);
  return specs;
}

std::vector<runtime::Leaf> leaves_of(const Arguments& arguments,
                                     const std::vector<std::string>& leaf_names) {
  std::map<std::string, runtime::Leaf> by_name;
  for (const auto& [name, argument] : arguments) add_leaves(name, argument, by_name);
  std::vector<runtime::Leaf> leaves;
  for (const std::string& name : leaf_names) leaves.push_back(by_name[name]);
  return leaves;
}

Arguments clone(const Arguments& arguments) {
  std::map<const std::byte*, runtime::Storage> storages;
  Arguments copies;
  for (const auto& [name, argument] : arguments) copies[name] = clone(argument, storages);
  return copies;
}

}  // namespace peri::driver
