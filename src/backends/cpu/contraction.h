// Dense contractions: C[m, n] = (accumulate ? C[m, n] : 0) + sum over k of A[m, k] * B[k, n].
//
//   ContractionShape shape{.m = 64, .n = 256, .k = 1024, .a_stride_m = 1024, .b_stride_k = 4096};
//   ContractionPlan plan = default_contraction(shape, target);          // or a tuned plan, then
//   plan = legalize(plan, shape, target);                               // always emittable
//   ContractionOperands operands{.a = a, .b = b, .c = c, .c_stride_m = ..., .scratch = scratch};
//   emit_contraction(builder, shape, plan, target, operands);           // stores to C
//
// emit_contraction() writes a loop nest at the builder's insertion point and leaves the builder
// behind it. Give a large contraction an internal function of its own: values that live across it
// would take registers. `scratch` is 64-byte aligned memory of scratch_bytes(), or null if that is
// 0.
//
// Loops, from outside: nc columns, kc of k (packs B), mc rows (packs A), then register tiles of mr
// rows by nr_vectors native vectors, with all of kc inside. Every tail is exact: nothing is read or
// written outside the operands. With kc < k partial sums travel through C, which then must be
// memory of the accumulator type.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/cpu/target.h"
#include "base/ids.h"
#include "types/dtype.h"

namespace llvm {
class IRBuilderBase;
class Value;
}  // namespace llvm

namespace peri::cpu {

inline constexpr i64 kDynamic = -1;  // an extent or stride that is known at run time only

// What is known when the code is made. Strides count elements; B's rows are k.
struct ContractionShape {
  i64 m = kDynamic;
  i64 n = kDynamic;
  i64 k = kDynamic;
  i64 a_stride_m = kDynamic;
  i64 a_stride_k = 1;
  i64 b_stride_k = kDynamic;
  i64 b_stride_n = 1;
  Dtype a = Dtype::F32;  // element types of A and B
  Dtype b = Dtype::F32;
  Dtype acc = Dtype::F32;   // of the sums and of C: F32, F64, I32 or I64
  bool accumulate = false;  // C += instead of C =
  bool c_is_memory = true;  // operands.c holds sums of type `acc`, so that k can be split
};

inline constexpr i64 kAllColumns = i64{1} << 40;

// How to run one. Zero means "all of it" for mc, nc and kc.
struct ContractionPlan {
  i64 mr = 8;                 // rows of a register tile
  i64 nr_vectors = 2;         // native vectors in its row
  i64 k_unroll = 4;           // steps of k per loop iteration
  i64 mc = 0;                 // rows per block of A, a multiple of mr
  i64 nc = 0;                 // columns per block of B, a multiple of the tile's
  i64 kc = 0;                 // k per block
  bool pack_a = false;        // copy (and convert) A's block into scratch
  bool pack_b = false;        // copy (and convert, transpose) B's block into scratch
  bool columns_outer = true;  // one column panel meets all row tiles, then the next panel
  bool pairs = false;         // two steps of k per instruction (AVX-512 BF16, integer multiply-add)
  bool prefetch_a = false;    // ask for the next tile's rows of A while working on this one's
  i64 along_k = 0;  // so many last columns get vectors that run along k; kAllColumns = all

  bool operator==(const ContractionPlan&) const = default;
};

// One line: "8x2 unroll 4, kc 512, mc all, nc all, pack b, columns outer".
std::string print(const ContractionPlan& plan);
// Reads what print() writes; parts may be missing and stand in any order.
std::optional<ContractionPlan> parse_contraction_plan(std::string_view text);

// The nearest plan that is legal for the shape on the target. Idempotent.
ContractionPlan legalize(ContractionPlan plan, const ContractionShape& shape, const Target& target);

// A good plan, chosen in microseconds. Dynamic extents are taken to be large.
ContractionPlan default_contraction(const ContractionShape& shape, const Target& target);

// The values of each knob that are worth trying; any combination is made legal by legalize().
struct ContractionChoices {
  std::vector<std::pair<i64, i64>> tiles;  // {mr, nr_vectors}
  std::vector<i64> k_unroll, mc, nc, kc, along_k;
  std::vector<bool> pack_a, pack_b, columns_outer, pairs, prefetch_a;
};
ContractionChoices contraction_choices(const ContractionShape& shape, const Target& target);

// Bytes of scratch that one execution needs. Here every extent and stride must be known: for a
// shape with dynamic ones fill in the values of the call.
i64 scratch_bytes(const ContractionPlan& plan, const ContractionShape& shape, const Target& target);

// Run-time values. Those that the shape knows may stay null. Integers are i64, in elements.
struct ContractionOperands {
  llvm::Value* a = nullptr;
  llvm::Value* b = nullptr;
  llvm::Value* c = nullptr;  // may be null if the shape says that C is no memory
  llvm::Value* scratch = nullptr;
  llvm::Value* m = nullptr;
  llvm::Value* n = nullptr;
  llvm::Value* k = nullptr;
  llvm::Value* a_stride_m = nullptr;
  llvm::Value* a_stride_k = nullptr;
  llvm::Value* b_stride_k = nullptr;
  llvm::Value* b_stride_n = nullptr;
  llvm::Value* c_stride_m = nullptr;  // C's columns are contiguous
};

// A finished vector of sums: columns [column, column + lanes) of one row. `lanes` is a power of
// two, at most the native vector's. Where `mask` is not null, only its lanes are columns of C.
struct ContractionResult {
  llvm::Value* value;   // <lanes x acc>
  llvm::Value* row;     // i64
  llvm::Value* column;  // i64
  llvm::Value* mask;    // <lanes x i1>, or null: all
  i64 lanes;
};

// Called while emitting, once for every result vector of every tile variant, with the builder where
// the sums are final. It may add control flow, and leaves the builder where emission continues.
using ContractionEpilogue = std::function<void(llvm::IRBuilderBase&, const ContractionResult&)>;

// Without an epilogue the sums are stored to C.
void emit_contraction(llvm::IRBuilderBase& builder, const ContractionShape& shape,
                      const ContractionPlan& plan, const Target& target,
                      const ContractionOperands& operands,
                      const ContractionEpilogue& epilogue = nullptr);

}  // namespace peri::cpu
