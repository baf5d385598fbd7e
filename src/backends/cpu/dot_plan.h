// From a plan's schedule of a dot to the contraction that the emitter writes.
#pragma once

#include "backends/cpu/contraction.h"
#include "plan/plan.h"

namespace peri::cpu {

// The schedule's choices where it has some, the target's elsewhere; legal for the shape.
ContractionPlan planned_contraction(const plan::DotSchedule& schedule,
                                    const ContractionShape& shape, const Target& target);

}  // namespace peri::cpu
