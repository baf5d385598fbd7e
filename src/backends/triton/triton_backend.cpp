#include "backends/triton/triton_backend.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/index_width.h"
#include "backends/triton/cost_model.h"
#include "backends/triton/eject.h"
#include "backends/triton/emit.h"
#include "backends/triton/module.h"
#include "backends/triton/space_rules.h"
#include "space/space.h"

namespace peri::triton {

using backends::Compiled;
using backends::CompileOptions;
using backends::LaunchParam;

TritonBackend::TritonBackend(Target target, std::string python)
    : target_(std::move(target)),
      python_(std::move(python)),
      capabilities_(capabilities_of(target_)) {}

space::Config TritonBackend::default_config(const ir::Kernel& kernel) const {
  space::ConfigSpace space = space::derive(kernel, {}, capabilities_);
  auto rules = capabilities_.rules(kernel);
  // The model knows no rules: what it asks for too much of becomes smaller.
  auto repaired = [&](const space::Config& chosen) {
    space::Config config = space.complete(chosen);
    if (rules.why_not(config)) rules.repair(config);
    return config;
  };
  const space::Config chosen = choose_config(kernel, target_, true);
  space::Config config = repaired(chosen);
  if (chosen.contains("indexing") && config["indexing"] != chosen["indexing"]) {
    config = repaired(choose_config(kernel, target_, false));
  }
  for (int round = 0; round < 32 && space.why_not(config); ++round) {
    auto& sizes = config["block_sizes"];
    auto largest = std::ranges::max_element(sizes);
    if (largest == sizes.end() || largest->get<i64>() <= 1) break;
    *largest = largest->get<i64>() / 2;
  }
  return config;
}

std::string TritonBackend::print_plan(const ir::Kernel& kernel, const space::Config& config) const {
  std::lock_guard lock(planning_mutex());
  return print(make_plan(kernel, config, target_));
}

namespace {

Source source_of(const RootText& root, const Plan& plan, const std::string& keep) {
  Source source;
  source.text = module_text(root);
  source.function = root.function;
  for (std::size_t i = 0; i < root.names.size(); ++i) {
    source.signature.emplace_back(root.names[i], root.types[i]);
    if (root.aligned[i]) source.aligned.push_back(static_cast<i64>(i));
  }
  source.num_warps = plan.num_warps;
  source.num_stages = plan.num_stages;
  source.maxnreg = plan.maxnreg;
  if (!keep.empty()) source.keep = {keep};
  return source;
}

// Descriptors bring their sizes and strides along as parameters that code never reads.
void add_compiled_facts(const RootText& root, const Plan& plan, Binary binary, i64 warp_size,
                        backends::Artifact& artifact) {
  backends::Launch launch = root.launch;
  launch.image = static_cast<i64>(artifact.images.size());
  launch.function = binary.function;
  launch.threads = binary.num_warps * warp_size;
  launch.shared_bytes = binary.shared_bytes;
  launch.cluster = binary.cluster;
  launch.scratch_bytes = binary.scratch_bytes;
  launch.scratch_alignment = binary.scratch_alignment;
  std::vector<LaunchParam> params;
  std::size_t map = 0;
  for (LaunchParam& param : launch.params) {
    bool is_map = param.kind == LaunchParam::Kind::Map;
    if (is_map && map < binary.descriptors.size()) {
      const DescriptorLayout& layout = binary.descriptors[map++];
      param.map.swizzle = layout.swizzle;
      if (layout.box.size() == param.map.box.size()) param.map.box = layout.box;
    }
    params.push_back(param);
    if (!is_map) continue;
    const ir::TensorParam& tensor = plan.kernel().tensors[param.tensor];
    for (i64 bytes : {4, 8}) {
      for (i64 dim : param.map.dims) {
        LaunchParam extent;
        extent.kind = LaunchParam::Kind::Integer;
        extent.bytes = bytes;
        extent.value = plan.resolve(bytes == 4 ? tensor.sizes[dim] : tensor.strides[dim]);
        params.push_back(std::move(extent));
      }
    }
  }
  LaunchParam scratch;
  scratch.kind =
      binary.scratch_bytes > 0 ? LaunchParam::Kind::Scratch : LaunchParam::Kind::NoPointer;
  params.push_back(scratch);
  LaunchParam profile;
  profile.kind = LaunchParam::Kind::NoPointer;
  params.push_back(profile);
  launch.params = std::move(params);
  artifact.images.push_back({std::move(binary.format), plan.target.name, std::move(binary.bytes)});
  artifact.launches.push_back(std::move(launch));
}

// Descriptors need tensors that start at multiples of 16 bytes.
void drop_unaligned_descriptors(Plan& plan) {
  for (auto& [id, access] : plan.accesses) {
    const ir::Op& op = plan.kernel()[id];
    if (access.indexing != Indexing::Descriptor || plan.kernel()[op.attrs.tensor].aligned) continue;
    access.indexing = Indexing::Pointer;
    access.map.reset();
  }
}

}  // namespace

std::vector<RootText> TritonBackend::emit(Plan& plan, const CompileOptions& options) const {
  const ir::Kernel& kernel = plan.kernel();
  plan.assume_aligned = options.assume_aligned;
  plan.assume_32_bit = options.assume_32_bit;
  if (auto asked = kernel.requests.index_dtype) plan.assume_32_bit = *asked == Dtype::I32;
  if (!plan.assume_aligned) drop_unaligned_descriptors(plan);
  for (std::size_t t = 0; t < plan.wide.size(); ++t) {
    bool known = analysis::largest_offset(kernel.tensors[t]).has_value();
    plan.wide[t] = plan.wide[t] || (!known && !plan.assume_32_bit);
  }
  std::vector<RootText> roots;
  for (i64 r = 0; r < static_cast<i64>(kernel.roots.size()); ++r) {
    roots.push_back(emit_root(plan, r, options.sources));
  }
  return roots;
}

Expected<std::string> TritonBackend::eject(const lower::Lowered& lowered,
                                           const space::Config& config,
                                           const diag::Sources* sources) const {
  std::lock_guard lock(planning_mutex());
  Plan plan = make_plan(lowered.kernel, config, target_);
  CompileOptions options;
  options.sources = sources;
  return eject_module(lowered, plan, emit(plan, options), config);
}

Expected<Compiled> TritonBackend::compile(const ir::Kernel& kernel, const space::Config& config,
                                          const CompileOptions& options) const {
  std::unique_lock lock(planning_mutex());
  Plan plan = make_plan(kernel, config, target_);
  std::vector<RootText> roots = emit(plan, options);
  lock.unlock();
  Compiled compiled;
  if (options.keep == "triton") {
    compiled.text = module_text(roots);
    return compiled;
  }
  std::shared_ptr<Toolchain> toolchain = Toolchain::of(python_);
  for (const RootText& root : roots) {
    Source source = source_of(root, plan, options.keep);
    source.impatient = options.impatient;
    auto binary = toolchain->compile(source, target_, options.store);
    if (!binary) return std::unexpected(binary.error());
    for (const std::string& text : binary->texts) compiled.text += text;
    compiled.toolchain = binary->compiler;
    add_compiled_facts(root, plan, std::move(*binary), target_.warp_size, compiled.artifact);
  }
  return compiled;
}

Expected<std::string> TritonBackend::toolchain() const {
  return Toolchain::of(python_)->compiler();
}

Expected<std::shared_ptr<backends::Backend>> make_backend(const backends::TargetRequest& request) {
  if (request.target.empty()) {
    return fail("no-target", fmt::format("there is no `{}` device here", request.device),
                fmt::format("name a target to make code for: `{}:sm_90`", request.device));
  }
  auto target = target_for(request.target);
  if (!target) return std::unexpected(target.error());
  return std::make_shared<TritonBackend>(std::move(*target), request.python);
}

}  // namespace peri::triton
