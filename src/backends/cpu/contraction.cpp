#include "backends/cpu/contraction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "backends/cpu/contraction_emit.h"
#include "base/bug.h"

namespace peri::cpu {
namespace contraction {

bool can_pair(const ContractionShape& shape, const Target& target) {
  const bool bf16 = shape.a == Dtype::BF16 && shape.b == Dtype::BF16 && shape.acc == Dtype::F32;
  const bool i8 = shape.a == Dtype::I8 && shape.b == Dtype::I8 && shape.acc == Dtype::I32;
  return (bf16 && target.has_avx512_bf16) || (i8 && target.is_x86);
}

bool fits_registers(i64 rows, i64 vectors, const Target& target) {
  const i64 product = target.has_fma ? 0 : 1;  // without fused multiply-add it takes a register
  return rows * vectors + vectors + 1 + product <= target.vector_registers;
}

bool has_masked_loads(i64 element_bytes, const Target& target) {
  return target.has_avx512 || (target.has_masks && element_bytes >= 4);
}

Facts facts_of(const ContractionPlan& plan, const ContractionShape& shape, const Target& target) {
  Facts facts;
  if (plan.pairs) facts.kind = shape.a == Dtype::BF16 ? StepKind::Bf16Pair : StepKind::I16Pair;
  facts.step_k = plan.pairs ? 2 : 1;
  facts.unit_bytes = size_of(shape.acc);
  facts.lanes = target.lanes(facts.unit_bytes);
  facts.tile_columns = plan.nr_vectors * facts.lanes;
  return facts;
}

}  // namespace contraction

namespace {

constexpr i64 kMaxCopiedColumns = 16;

i64 round_up(i64 value, i64 to) { return (value + to - 1) / to * to; }

bool needs_packed_a(const ContractionPlan& plan, const ContractionShape& shape) {
  return plan.pairs && (shape.a == Dtype::I8 || shape.a_stride_k != 1);
}

bool needs_packed_b(const ContractionPlan& plan, const ContractionShape& shape,
                    const Target& target) {
  if (plan.pairs || shape.b_stride_n != 1) return true;
  const i64 lanes = target.lanes(size_of(shape.acc));
  const bool tail = shape.n == kDynamic || shape.n % lanes != 0;
  return tail && !contraction::has_masked_loads(size_of(shape.b), target);
}

// One comma-separated part of a printed plan.
bool parse_part(std::string_view part, ContractionPlan& plan) {
  const std::string text(part);
  long x = 0, y = 0, z = 0;
  if (std::sscanf(text.c_str(), "%ldx%ld unroll %ld", &x, &y, &z) == 3) {
    plan.mr = x, plan.nr_vectors = y, plan.k_unroll = z;
    return true;
  }
  const size_t space = std::min(text.find(' '), text.size());
  const std::string word = text.substr(0, space);
  const std::string value = text.substr(std::min(space + 1, text.size()));
  const i64 number = std::atol(value.c_str());
  if (word == "mc") return plan.mc = number, true;
  if (word == "nc") return plan.nc = number, true;
  if (word == "kc") return plan.kc = number, true;
  if (text == "pack a") return plan.pack_a = true;
  if (text == "pack b") return plan.pack_b = true;
  if (text == "pairs") return plan.pairs = true;
  if (text == "prefetch a") return plan.prefetch_a = true;
  if (text == "along k all") return plan.along_k = kAllColumns, true;
  if (std::sscanf(text.c_str(), "along k %ld", &x) == 1) return plan.along_k = x, true;
  if (text == "columns outer") return plan.columns_outer = true;
  if (text == "rows outer") return plan.columns_outer = false, true;
  return false;
}

// A block that holds everything, or nearly so, is no block.
void limit_block(i64& block, i64 multiple, i64 all) {
  if (block <= 0) {
    block = 0;
    return;
  }
  block = round_up(block, multiple);
  if (all != kDynamic && block >= all) block = 0;
}

// Vectors along k need A's rows contiguous. Columns of B that are not are copied, so must be few.
i64 legal_along_k(i64 columns, const ContractionShape& shape) {
  if (columns <= 0 || shape.a_stride_k != 1) return 0;
  if (shape.n == kDynamic) return columns >= kAllColumns && shape.b_stride_k == 1 ? kAllColumns : 0;
  if (columns >= shape.n) columns = kAllColumns;
  return shape.b_stride_k == 1 || std::min(columns, shape.n) <= kMaxCopiedColumns ? columns : 0;
}

}  // namespace

std::string print(const ContractionPlan& plan) {
  auto size = [](i64 value) { return value == 0 ? std::string("all") : fmt::format("{}", value); };
  std::string text = fmt::format("{}x{} unroll {}, mc {}, nc {}, kc {}", plan.mr, plan.nr_vectors,
                                 plan.k_unroll, size(plan.mc), size(plan.nc), size(plan.kc));
  if (plan.pack_a) text += ", pack a";
  if (plan.pack_b) text += ", pack b";
  text += plan.columns_outer ? ", columns outer" : ", rows outer";
  if (plan.pairs) text += ", pairs";
  if (plan.prefetch_a) text += ", prefetch a";
  if (plan.along_k >= kAllColumns) return text + ", along k all";
  if (plan.along_k > 0) text += fmt::format(", along k {}", plan.along_k);
  return text;
}

std::optional<ContractionPlan> parse_contraction_plan(std::string_view text) {
  ContractionPlan plan;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    if (!parse_part(text.substr(0, end), plan)) return std::nullopt;
    text.remove_prefix(std::min(end + 1, text.size()));
    while (text.starts_with(' ')) text.remove_prefix(1);
  }
  return plan;
}

ContractionPlan legalize(ContractionPlan plan, const ContractionShape& shape,
                         const Target& target) {
  plan.pairs = plan.pairs && contraction::can_pair(shape, target);
  plan.mr = std::clamp<i64>(plan.mr, 1, 30);
  if (shape.m > 0) plan.mr = std::min(plan.mr, shape.m);
  plan.nr_vectors = std::clamp<i64>(plan.nr_vectors, 1, 8);
  const i64 lanes = target.lanes(size_of(shape.acc));
  if (shape.n > 0) plan.nr_vectors = std::min(plan.nr_vectors, (shape.n + lanes - 1) / lanes);
  while (!contraction::fits_registers(plan.mr, plan.nr_vectors, target)) {
    (plan.mr > 1 ? plan.mr : plan.nr_vectors) -= 1;
  }
  plan.k_unroll = std::clamp<i64>(plan.k_unroll, 1, 16);
  plan.pack_a = plan.pack_a || needs_packed_a(plan, shape);
  plan.pack_b = plan.pack_b || needs_packed_b(plan, shape, target);
  limit_block(plan.mc, plan.mr, shape.m);
  limit_block(plan.nc, plan.nr_vectors * lanes, shape.n);
  limit_block(plan.kc, plan.k_unroll * (plan.pairs ? 2 : 1), shape.k);
  if (!shape.c_is_memory) plan.kc = 0;
  plan.along_k = legal_along_k(plan.along_k, shape);
  return plan;
}

i64 scratch_bytes(const ContractionPlan& plan, const ContractionShape& shape,
                  const Target& target) {
  BUG_IF(shape.m < 0 || shape.n < 0 || shape.k < 0, "scratch of a contraction of unknown size");
  const contraction::Facts facts = contraction::facts_of(plan, shape, target);
  auto block = [](i64 planned, i64 all) { return planned == 0 ? all : std::min(planned, all); };
  const i64 rows = block(plan.mc, shape.m);
  const i64 columns = round_up(block(plan.nc, shape.n), facts.tile_columns);
  const i64 k = block(plan.kc, shape.k);
  i64 bytes = 0;
  if (plan.pack_a) {
    if (contraction::packs_a_panels(shape, facts)) {
      bytes += round_up(round_up(rows, plan.mr) * k * facts.unit_bytes, 64);
    } else {
      const i64 line = round_up(k, facts.step_k) * facts.unit_bytes / facts.step_k;
      bytes += rows * (round_up(line, 64) + contraction::kRowPadding);
    }
  }
  if (plan.pack_b) {
    bytes += columns * round_up(k, facts.lanes * facts.step_k) * facts.unit_bytes / facts.step_k;
  }
  if (plan.along_k > 0 && shape.b_stride_k != 1) {
    const i64 line = round_up(shape.k * facts.unit_bytes, 64) + contraction::kRowPadding;
    bytes = std::max(bytes, std::min(plan.along_k, shape.n) * line);
  }
  return bytes;
}

}  // namespace peri::cpu
