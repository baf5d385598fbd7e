// Decorators of kernels: configs, settings, and the forms they are written in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "check/check_text_test.h"

namespace peri::check {
namespace {

struct Found {
  std::vector<KernelDecl> kernels;
  std::string diags;
};

Found find(const std::string& text) {
  diag::Sources sources;
  diag::Diags diags(sources);
  const std::string whole = std::string(kPrelude) + text;
  const syntax::Ast module = syntax::parse_module(sources.add("k.py", whole), diags);
  Found found;
  found.kernels = find_kernels(module, diags);
  for (const diag::Diagnostic& d : diags.all()) {
    const diag::Sources::Place place = sources.place(d.span.source, d.span.begin);
    found.diags += fmt::format("{} {}:{} {}\n", code_of(d.kind), place.line - kPreludeLines,
                               place.column, d.message);
  }
  return found;
}

TEST(Decorators, Forms) {
  const Found f = find(
      "import helion as h\n"
      "from helion import kernel, jit\n"
      "@helion.kernel\n"
      "def a(x: torch.Tensor, eps: float = 1e-5): pass\n"
      "@h.kernel()\n"
      "def b(): pass\n"
      "@jit\n"
      "def c(): pass\n"
      "@some.other\n"
      "@kernel(static_shapes=False)\n"
      "def d(): pass\n"
      "@torch.compile\n"
      "def not_one(): pass\n"
      "def plain(x): pass\n"
      "e = helion.kernel(plain, config=helion.Config(block_sizes=[1]))\n"
      "g: object = helion.kernel(e.fn, configs=e.configs, static_shapes=False)\n"
      "h2 = helion.kernel(static_shapes=False)(plain)\n");
  std::string names;
  for (const KernelDecl& k : f.kernels) names += k.name + (k.static_shapes ? " " : "* ");
  EXPECT_EQ(names, "a b c d* e g* h2* ");
  EXPECT_EQ(f.diags, "");
  EXPECT_EQ(f.kernels[5].configs, f.kernels[4].configs);
  const ParamInfo& eps = f.kernels[0].param_info[1];
  EXPECT_EQ(eps.name + " " + eps.annotation, "eps float");
  EXPECT_TRUE(eps.has_default);
}

TEST(Decorators, Configs) {
  const Found f = find(
      "SIZES = [64, 32]\n"
      "BEST = helion.Config(block_sizes=SIZES, num_warps=4, pid_type='flat', range_flattens=[None, "
      "True])\n"
      "@helion.kernel(config=BEST)\n"
      "def a(): pass\n"
      "@helion.kernel(configs=[BEST, {'block_size': 8}, helion.Config(**{'x': 1.5})])\n"
      "def b(): pass\n");
  EXPECT_EQ(f.diags, "");
  EXPECT_EQ(
      f.kernels[0].configs[0].dump(),
      R"({"block_sizes":[64,32],"num_warps":4,"pid_type":"flat","range_flattens":[null,true]})");
  EXPECT_EQ(f.kernels[1].configs[1].dump(), R"({"block_size":8})");
  EXPECT_EQ(f.kernels[1].configs[2].dump(), R"({"x":1.5})");
}

TEST(Decorators, Settings) {
  const Found f = find(
      "@helion.kernel(\n"
      "    autotune_effort='quick',\n"
      "    ignore_warnings=[helion.exc.TensorOperationInWrapper],\n"
      "    autotune_baseline_fn=lambda x: x,\n"
      "    index_dtype=torch.int64,\n"
      "    allow_warp_specialize=False,\n"
      "    dot_precision='tf32',\n"
      "    persistent_reserved_sms=2,\n"
      "    fast_math=False,\n"
      "    cute_new_thing=unknown_to_all,\n"
      ")\n"
      "def a(): pass\n"
      "@helion.kernel(fast_math=False)\n"
      "def b(): pass\n");
  EXPECT_EQ(f.diags,
            "ignored-setting 9:15 `fast_math` has no meaning here\n"
            "ignored-setting 10:20 `cute_new_thing` has no meaning here\n");
  const KernelDecl& a = f.kernels[0];
  EXPECT_EQ(a.settings.at("autotune_effort").dump(), "\"quick\"");
  EXPECT_TRUE(a.settings.at("autotune_baseline_fn").is_null());
  EXPECT_EQ(a.requests.index_dtype, Dtype::I64);
  EXPECT_EQ(a.requests.dot_precision, DotPrecision::Tf32);
  EXPECT_EQ(a.requests.may_specialize_warps, false);
  EXPECT_EQ(a.requests.reserved_multiprocessors, 2);
  const Requests& usual = f.kernels[1].requests;
  EXPECT_EQ(usual.dot_precision, DotPrecision::Tf32x3);
  EXPECT_EQ(usual.may_specialize_warps, true);
  EXPECT_EQ(usual.index_dtype, std::nullopt);
}

TEST(Decorators, WrongSettings) {
  EXPECT_EQ(find("@helion.kernel(autotune_efort='none')\ndef a(): pass\n").diags,
            "unknown-setting 1:31 there is no setting `autotune_efort`\n");
  EXPECT_EQ(find("@helion.kernel(config=3, configs=4, static_shapes=5, index_dtype='x')\n"
                 "def a(): pass\n")
                .diags,
            "bad-setting 1:23 `config` must be a `helion.Config` or a dict of constants\n"
            "bad-setting 1:34 `configs` must be a list of configs\n"
            "bad-setting 1:51 `static_shapes` must be True or False\n"
            "bad-setting 1:66 `index_dtype` must be torch.int32 or torch.int64\n");
  EXPECT_EQ(find("@helion.kernel(dot_precision='tf16', allow_warp_specialize=3,\n"
                 "  persistent_reserved_sms=-1, index_dtype=torch.float32)\n"
                 "def a(): pass\n")
                .diags,
            "bad-setting 1:30 `dot_precision` must be \"tf32\", \"tf32x3\" or \"ieee\"\n"
            "bad-setting 1:60 `allow_warp_specialize` must be True or False\n"
            "bad-setting 2:27 `persistent_reserved_sms` must be a number that is not negative\n"
            "bad-setting 2:43 `index_dtype` must be torch.int32 or torch.int64\n");
}

}  // namespace
}  // namespace peri::check
