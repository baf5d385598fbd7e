// Grids of several tile axes as one loop over all their elements: the knob `flatten_loops`.
//
// Vector lanes run along the innermost axis, and where that is short most of them idle. If a grid's
// axes cover whole tensors that lie contiguously along them, and its body is elementwise, they
// merge into one axis over the product of their extents:
//
//   tensor x: f32[1000, 3] strides [3, 1]        tensor x: f32[3000] strides [1]
//   root (b0, b1) { load x[b0, b1] ... }    =>   root (b2) { load x[b2] ... }
//
// whose block size is the product of theirs. Tensors keep their ids and addresses, so that a launch
// passes what it did before.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/ir.h"
#include "space/space.h"

namespace peri::plan {

// Why a nest cannot be flattened; nothing if it can. New host scalar expressions may be made in the
// kernel's table.
std::optional<std::string> why_not_flat(const ir::Kernel& kernel, const space::LoopNest& nest);

// Leaves `true` to those `flatten_loops` knobs whose nests can be flattened.
void restrict_flattening(const ir::Kernel& kernel, std::vector<space::Knob>& knobs);

// A kernel after the rewrite, and its config: without the entries of nests that are none any more.
struct Flattened {
  ir::Kernel kernel;
  space::Config config;
};

// Nothing if the config, which must be of the kernel's space, flattens no grid.
std::optional<Flattened> flatten_loops(const ir::Kernel& kernel, const space::Config& config);

}  // namespace peri::plan
