// The CPU's cost model: seconds of a plan, without making code for it.
//
// Walks the plan's loop tree once. Each vector loop costs the larger of its arithmetic, its loads
// and stores and the latency of its reductions; each dot its register tiles (as
// contraction_model.cpp weighs them) and the packing of its operands; MemoryModel adds what comes
// from beyond each cache. Cells are shared among threads. Machine figures are typical ones of the
// target's instruction set, not measured: the same config gets the same prediction everywhere.
#pragma once

#include "backends/backend.h"
#include "backends/cpu/target.h"
#include "plan/plan.h"

namespace peri::cpu {

// `threads`: that there are. Reads the kernel's symbol table, and may add to it.
backends::Prediction predict(const plan::Plan& plan, const Target& target, i64 threads);

// One line for each part, and the sum.
std::string print(const backends::Prediction& prediction);

}  // namespace peri::cpu
