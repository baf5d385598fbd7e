// Which plan is good: a small cost model, and what a tuner may try.
#include "backends/cpu/contraction.h"
#include "backends/cpu/contraction_emit.h"

namespace peri::cpu {

ContractionPlan default_contraction(const ContractionShape& shape, const Target& target) {
  ContractionPlan plan;
  plan.pairs = contraction::can_pair(shape, target);
  plan.pack_b = shape.m == kDynamic || shape.m > 128;
  return legalize(plan, shape, target);
}

ContractionChoices contraction_choices(const ContractionShape& shape, const Target& target) {
  ContractionChoices choices;
  if (target.vector_registers == 32) {
    choices.tiles = {{8, 2}, {12, 2}, {14, 2}, {6, 2}, {4, 2}, {6, 4}, {4, 4}, {5, 5},  {9, 3},
                     {8, 3}, {6, 3},  {4, 6},  {3, 8}, {2, 8}, {1, 8}, {1, 4}, {14, 1}, {24, 1}};
  } else {
    choices.tiles = {{6, 2}, {4, 3}, {4, 2}, {3, 4}, {2, 4}, {1, 8}, {1, 4}, {2, 6}, {12, 1}};
  }
  choices.k_unroll = {1, 2, 4, 8};
  choices.mc = {0, 32, 64, 96, 128, 256, 512};
  choices.nc = {0, 256, 512, 1024, 2048};
  choices.kc = {0, 4, 8, 128, 192, 256, 384, 512, 768, 1024};
  choices.along_k = {0, 1, 4, kAllColumns};
  choices.pack_a = choices.pack_b = choices.columns_outer = choices.prefetch_a = {false, true};
  choices.pairs = {contraction::can_pair(shape, target)};
  return choices;
}

}  // namespace peri::cpu
