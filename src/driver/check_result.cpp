#include "driver/check_result.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>

#include "base/thread_pool.h"
#include "driver/all_close.h"
#include "types/elements.h"

namespace peri::driver {

using ir::Kernel;
using ir::Op;
using ir::OpCode;
using runtime::Leaf;
using runtime::Result;
using runtime::ScalarValue;
using runtime::Tensor;

namespace {

constexpr double kElementaryRoundings = 8;  // of the arithmetic around a reduction, in units
// Roundings of a sum are independent: their error grows as the square root of its length, and stays
// within this many deviations (Higham and Mary, A new approach to probabilistic rounding error
// analysis, 2019).
constexpr double kSumDeviations = 6;
constexpr i64 kMaxHalfRoundings = 16;
constexpr double kTf32Unit = 0x1p-11;
constexpr i64 kChunk = kMostCompared;

class Roundings {
 public:
  Roundings(const Kernel& kernel, const std::vector<ScalarValue>& known)
      : kernel_(kernel), lookup_([&kernel, &known](SymbolId id) -> std::optional<SymValue> {
          if (known[id.index]) return known[id.index];
          return kernel.syms->symbol(id).hint;
        }) {}

  Tolerance tolerance() {
    for (const Op& op : kernel_.ops) {
      const ir::OpInfo& row = ir::info(op.code);
      if (row.rule == ir::Rule::Reduce) add(kernel_[op.operands[0]].type.shape[op.attrs.dims[0]]);
      if (op.code == OpCode::Dot) add_dot(op);
      if (op.code == OpCode::For) {
        for (BlockId block : op.attrs.blocks) add(Dim{kernel_[block].size, block});
      }
      if (op.code != OpCode::Load) count_half(op);
    }
    double length = static_cast<double>(length_);
    double half = static_cast<double>(std::min(half_roundings_, kMaxHalfRoundings));
    double sums = kSumDeviations * std::sqrt(length);
    double unit = (kElementaryRoundings + sums) * accumulation_unit() + half * half_unit_;
    // Of the operands of each product: independent, and as large in a sum as in one product.
    if (kernel_.requests.dot_precision == DotPrecision::Tf32) {
      unit += static_cast<double>(f32_dots_) * kSumDeviations * kTf32Unit;
    }
    return {unit, length_};
  }

 private:
  i64 value_of(Sym sym) const {
    auto value = sym ? kernel_.syms->evaluate(sym, lookup_) : std::nullopt;
    return value ? value->integer : 0;
  }

  // Adds the extent of an axis, once.
  void add(const Dim& dim) {
    if (!dim.block) {
      if (seen_sizes_.insert(dim.size.node()).second) length_ += value_of(dim.size);
    } else if (seen_blocks_.insert(dim.block).second) {
      const Block& block = kernel_[dim.block];
      length_ +=
          std::max<i64>({value_of(block.end) - value_of(block.begin), value_of(dim.size), 1});
    }
  }

  void add_dot(const Op& op) {
    const TileType& a = kernel_[op.operands[0]].type;
    add(a.shape.back());
    if (promote(a.dtype, kernel_[op.operands[1]].type.dtype) == Dtype::F32) ++f32_dots_;
  }

  void count_half(const Op& op) {
    for (ir::ValueId value : op.results) {
      Dtype dtype = kernel_[value].type.dtype;
      if (!is_half(dtype)) continue;
      ++half_roundings_;
      half_unit_ = std::max(half_unit_, epsilon_of(dtype));
    }
  }

  // Of the least exact type that sums are kept in.
  double accumulation_unit() const {
    double unit = epsilon_of(Dtype::F64);
    for (const ir::Value& value : kernel_.values) {
      Dtype dtype = compute_dtype(value.type.dtype);
      if (is_float(dtype)) unit = std::max(unit, epsilon_of(dtype));
    }
    return unit;
  }

  const Kernel& kernel_;
  SymTable::Lookup lookup_;
  std::set<const SymNode*> seen_sizes_;
  std::set<BlockId> seen_blocks_;
  i64 length_ = 0;
  i64 half_roundings_ = 0;
  i64 f32_dots_ = 0;
  double half_unit_ = 0;
};

double largest_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::F16:
      return 65504;
    case Dtype::BF16:
      return 0x1.FEp127;
    case Dtype::F32:
      return 0x1.FFFFFEp127;
    default:
      return HUGE_VAL;
  }
}

std::string index_text(const Tensor& tensor, i64 linear) {
  std::vector<i64> index(tensor.sizes.size());
  for (i64 d = tensor.rank() - 1; d >= 0; --d) {
    index[d] = linear % tensor.sizes[d];
    linear /= tensor.sizes[d];
  }
  return fmt::format("[{}]", fmt::join(index, ", "));
}

class Comparison {
 public:
  // `is_quick`: the report need not name the largest error of results that are all good.
  // `scales`: of the expected tensors, if they are known.
  explicit Comparison(const Tolerance& tolerance, bool is_quick = false,
                      std::span<const double> scales = {})
      : tolerance_(tolerance), is_quick_(is_quick), scales_(scales) {}

  // `at`: position among the results.
  void compare(const std::string& name, const Result& got, const Result& expected, i64 at) {
    at_ = at;
    if (got.kind == Result::Kind::Tensor) {
      compare(name, got.tensor, expected.tensor);
    } else if (got.kind == Result::Kind::Scalar) {
      double a = got.scalar.as_real(), b = expected.scalar.as_real();
      ++report_.compared;
      if (is_worst(std::abs(a - b), 1e-6 * std::abs(b))) describe(name, a, b);
    }
  }

  void compare(const std::string& name, const Tensor& got, const Tensor& expected) {
    if (is_float(got.dtype)) {
      compare_reals(name, got, expected);
    } else {
      compare_integers(name, got, expected);
    }
  }

  CheckReport report() { return std::move(report_); }

  // Of the finite elements.
  static double root_mean_square(const Tensor& tensor) {
    struct alignas(64) Sum {
      double squares = 0;
      i64 finite = 0;
    };
    std::vector<Sum> sums(ThreadPool::global().threads());
    for_each_chunk(tensor.numel(), [&](i64 begin, i64 size, i64 thread) {
      std::array<double, kChunk> values;
      load(tensor, begin, size, values.data());
      for (i64 i = 0; i < size; ++i) {
        bool counts = std::isfinite(values[i]);
        sums[thread].squares += counts ? values[i] * values[i] : 0;
        sums[thread].finite += counts ? 1 : 0;
      }
    });
    Sum all;
    for (const Sum& sum : sums) {
      all.squares += sum.squares;
      all.finite += sum.finite;
    }
    return all.finite == 0 ? 0 : std::sqrt(all.squares / static_cast<double>(all.finite));
  }

 private:
  void compare_integers(const std::string& name, const Tensor& got, const Tensor& expected) {
    if (is_quick_ && is_equal(got, expected)) {
      report_.compared += got.numel();
      return;
    }
    Tensor a = contiguous(got, Dtype::I64), b = contiguous(expected, Dtype::I64);
    const i64* values = reinterpret_cast<const i64*>(a.data());
    const i64* wanted = reinterpret_cast<const i64*>(b.data());
    for (i64 i = 0, count = got.numel(); i < count; ++i) {
      if (is_unwritten(wanted[i])) continue;
      ++report_.compared;
      if (values[i] == wanted[i]) continue;
      double value = static_cast<double>(values[i]), want = static_cast<double>(wanted[i]);
      if (is_worst(std::abs(value - want), 0)) describe(name + index_text(got, i), value, want);
    }
  }

  static bool is_equal(const Tensor& a, const Tensor& b) {
    if (a.dtype != b.dtype || !a.is_contiguous() || !b.is_contiguous()) return false;
    return std::memcmp(a.data(), b.data(), a.numel() * size_of(a.dtype)) == 0;
  }

  // Calls visit(first element, elements, thread), on all threads.
  template <class Visit>
  static void for_each_chunk(i64 count, const Visit& visit) {
    auto visit_all = [&](i64 begin, i64 end, i64 thread) {
      for (i64 chunk = begin; chunk < end; ++chunk) {
        visit(chunk * kChunk, std::min(kChunk, count - chunk * kChunk), thread);
      }
    };
    ThreadPool::global().run((count + kChunk - 1) / kChunk, 0, visit_all);
  }

  void compare_reals(const std::string& name, const Tensor& got, const Tensor& expected) {
    Tensor a = contiguous(got, got.dtype), b = contiguous(expected, expected.dtype);
    double scale = scales_.empty() ? root_mean_square(b) : scales_[at_];
    double output_unit = 2 * epsilon_of(got.dtype);
    Allowed allowed{static_cast<float>(output_unit), static_cast<float>(tolerance_.unit),
                    static_cast<float>(scale)};
    bool is_quick = is_quick_ && a.dtype == b.dtype;
    std::vector<Comparison> parts(ThreadPool::global().threads(), Comparison(tolerance_));
    for_each_chunk(a.numel(), [&](i64 begin, i64 size, i64 thread) {
      if (is_quick && all_close(a, b, begin, size, allowed)) {
        parts[thread].report_.compared += size;
      } else {
        parts[thread].compare_chunk(name, a, b, begin, size, scale);
      }
    });
    for (Comparison& part : parts) add(std::move(part));
  }

  // Of contiguous tensors.
  void compare_chunk(const std::string& name, const Tensor& got, const Tensor& expected, i64 begin,
                     i64 size, double scale) {
    double output_unit = 2 * epsilon_of(got.dtype);
    std::array<double, kChunk> values, wanted;
    load(got, begin, size, values.data());
    load(expected, begin, size, wanted.data());
    for (i64 i = 0; i < size; ++i) {
      if (is_unwritten(wanted[i])) continue;
      ++report_.compared;
      double magnitude = std::abs(wanted[i]);
      double allowed = output_unit * magnitude + tolerance_.unit * std::max(magnitude, scale);
      if (!std::isfinite(magnitude)) allowed = 0;  // no number is close to them
      double error = difference(values[i], wanted[i], got.dtype);
      if (error <= ratio_ * allowed && error <= allowed) continue;
      if (is_worst(error, allowed))
        describe(name + index_text(got, begin + i), values[i], wanted[i]);
    }
  }

  // What was found in another part of the results.
  void add(Comparison part) {
    report_.compared += part.report_.compared;
    report_.mismatches += part.report_.mismatches;
    report_.ok = report_.ok && part.report_.ok;
    if (part.ratio_ <= ratio_) return;
    ratio_ = part.ratio_;
    report_.error = part.report_.error;
    report_.allowed = part.report_.allowed;
    report_.where = std::move(part.report_.where);
    report_.detail = std::move(part.report_.detail);
  }

  static Tensor contiguous(const Tensor& tensor, Dtype dtype) {
    return tensor.dtype == dtype && tensor.is_contiguous() ? tensor
                                                           : runtime::convert(tensor, dtype);
  }

  template <Dtype D>
  static void load_as(const Tensor& tensor, i64 begin, i64 size, double* values) {
    using Element = peri::Element<D>;
    auto* raw = reinterpret_cast<const typename Element::Raw*>(tensor.data()) + begin;
    for (i64 i = 0; i < size; ++i) values[i] = static_cast<double>(Element::load(raw[i]));
  }

  // Elements [begin, begin + size) of a contiguous float tensor.
  static void load(const Tensor& tensor, i64 begin, i64 size, double* values) {
    switch (tensor.dtype) {
      case Dtype::F16:
        return load_as<Dtype::F16>(tensor, begin, size, values);
      case Dtype::BF16:
        return load_as<Dtype::BF16>(tensor, begin, size, values);
      case Dtype::F32:
        return load_as<Dtype::F32>(tensor, begin, size, values);
      default:
        return load_as<Dtype::F64>(tensor, begin, size, values);
    }
  }

  static double ratio_of(double error, double allowed) {
    return error == 0 ? 0 : allowed == 0 ? HUGE_VAL : error / allowed;
  }

  // 0 for equal infinities and NaNs, and for what the dtype cannot hold; infinite for unequal ones.
  static double difference(double value, double wanted, Dtype dtype) {
    if (std::isnan(value) && std::isnan(wanted)) return 0;
    if (value == wanted) return 0;
    double largest = largest_of(dtype);
    bool overflow = std::isinf(value) && std::abs(wanted) >= largest * (1 - 1e-3);
    if (overflow && std::signbit(value) == std::signbit(wanted)) return 0;
    double error = std::abs(value - wanted);
    return std::isnan(error) ? HUGE_VAL : error;
  }

  // Counts an element; whether it is the worst so far, and to be described.
  bool is_worst(double error, double allowed) {
    bool bad = !(error <= allowed);
    if (bad) ++report_.mismatches;
    report_.ok = report_.ok && !bad;
    if (ratio_of(error, allowed) <= ratio_) return false;
    ratio_ = ratio_of(error, allowed);
    report_.error = error;
    report_.allowed = allowed;
    return true;
  }

  void describe(std::string where, double got, double wanted) {
    report_.where = std::move(where);
    report_.detail = fmt::format("got {:.9g}, expected {:.9g}", got, wanted);
  }

  double ratio_ = -1;  // of error to allowed, the largest so far
  Tolerance tolerance_;
  bool is_quick_;
  std::span<const double> scales_;
  i64 at_ = 0;
  CheckReport report_;
};

void compare_all(Comparison& comparison, const Result& got, const Result& expected) {
  auto gots = flatten(got), expecteds = flatten(expected);
  for (std::size_t i = 0; i < gots.size() && i < expecteds.size(); ++i) {
    comparison.compare(fmt::format("out{}", i), *gots[i], *expecteds[i], static_cast<i64>(i));
  }
}

}  // namespace

Tolerance tolerance_of(const lower::Lowered& lowered, const std::vector<ScalarValue>& known) {
  return Roundings(lowered.kernel, known).tolerance();
}

std::string CheckReport::text() const {
  std::string sample =
      cells_run < cells ? fmt::format(", {} of {} grid cells sampled", cells_run, cells) : "";
  if (ok) {
    return fmt::format("ok: largest error {:.3g} of {:.3g} allowed, {} elements{}", error, allowed,
                       compared, sample);
  }
  return fmt::format(
      "failed: {} of {} elements differ{}; worst {}: {}, error {:.3g} of {:.3g} allowed",
      mismatches, compared, sample, where, detail, error, allowed);
}

CheckReport check_result(const lower::Lowered& lowered, const Result& result,
                         std::span<const Leaf> leaves, const Reference& reference,
                         const Tolerance& tolerance) {
  Comparison comparison(tolerance);
  compare_all(comparison, result, reference.result);
  for (i64 leaf : written_leaves(lowered)) {
    comparison.compare(lowered.host.leaf_names[leaf], *leaves[leaf].tensor,
                       reference.arguments[leaf]);
  }
  CheckReport report = comparison.report();
  report.cells = reference.cells;
  report.cells_run = reference.cells_run;
  return report;
}

Trusted trust(Result result) {
  Trusted trusted;
  trusted.result = std::move(result);
  for (const Result* item : flatten(trusted.result)) {
    bool real = item->kind == Result::Kind::Tensor && is_float(item->tensor.dtype);
    trusted.scales.push_back(real ? Comparison::root_mean_square(item->tensor) : 0);
  }
  return trusted;
}

CheckReport compare_results(const Result& result, const Trusted& trusted,
                            const Tolerance& tolerance) {
  Comparison comparison(tolerance, true, trusted.scales);
  compare_all(comparison, result, trusted.result);
  return comparison.report();
}

}  // namespace peri::driver
