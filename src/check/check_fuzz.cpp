// Any text at all: parse, find kernels, type each for made-up arguments; never a crash or a hang.
#include <string>

#include "check/check.h"
#include "syntax/parse.h"

namespace {

using namespace peri;
using check::ArgSpec;

// An argument that the annotation suggests: a tensor unless it says otherwise.
ArgSpec argument_for(const check::ParamInfo& param) {
  ArgSpec spec;
  if (param.annotation.find("int") != std::string::npos) {
    spec.kind = ArgSpec::Kind::Int;
    spec.value = SymValue::of(i64{3});
  } else if (param.annotation.find("float") != std::string::npos) {
    spec.kind = ArgSpec::Kind::Float;
    spec.value = SymValue::of(0.5);
  } else {
    spec.kind = ArgSpec::Kind::Tensor;
    spec.sizes = {8, 8};
    spec.strides = {8, 1};
    if (param.name.size() % 3 == 0) {
      spec.sizes.pop_back();
      spec.strides = {1};
    }
  }
  return spec;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  diag::Sources sources;
  diag::Diags diags(sources);
  const diag::SourceId source =
      sources.add("fuzz.py", std::string(reinterpret_cast<const char*>(data), size));
  const syntax::Ast module = syntax::parse_module(source, diags);
  for (check::KernelDecl& decl : check::find_kernels(module, diags)) {
    std::map<std::string, ArgSpec> args;
    for (const check::ParamInfo& param : decl.param_info) {
      if (!param.has_default) args[param.name] = argument_for(param);
    }
    for (const bool static_shapes : {true, false}) {
      decl.static_shapes = static_shapes;
      diag::Diags run(sources);
      check::specialization_key(module, decl, args);
      if (const auto typed = check::check(module, decl, args, run)) check::print(*typed);
    }
  }
  return 0;
}
