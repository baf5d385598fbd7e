#include "backends/cpu/dot_plan.h"

namespace peri::cpu {

ContractionPlan planned_contraction(const plan::DotSchedule& schedule,
                                    const ContractionShape& shape, const Target& target) {
  ContractionPlan plan = default_contraction(shape, target);
  if (schedule.register_rows > 0) plan.mr = schedule.register_rows;
  if (schedule.register_vectors > 0) plan.nr_vectors = schedule.register_vectors;
  if (schedule.k_unroll > 0) plan.k_unroll = schedule.k_unroll;
  if (schedule.cache_rows >= 0) plan.mc = schedule.cache_rows;
  // A block that holds all of k leaves its split to the target.
  bool splits = schedule.k_block > 0 && (shape.k == kDynamic || schedule.k_block < shape.k);
  if (splits) plan.kc = schedule.k_block;
  if (schedule.cache_columns >= 0) plan.nc = schedule.cache_columns;
  if (schedule.cache_depth >= 0) plan.kc = schedule.cache_depth;
  if (schedule.packing != "auto") {
    plan.pack_a = schedule.packing == "a" || schedule.packing == "ab";
    plan.pack_b = schedule.packing == "b" || schedule.packing == "ab";
  }
  if (shape.k == kDynamic && plan.kc == 0) plan.kc = 256;
  if (shape.m == kDynamic && plan.mc == 0) plan.mc = 16 * plan.mr;
  if (shape.n == kDynamic && plan.nc == 0) plan.nc = 512;
  return legalize(plan, shape, target);
}

}  // namespace peri::cpu
