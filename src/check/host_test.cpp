// Host code: sizes, assertions, views, host tensor math, dynamic shapes, specialisation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "check/check_text_test.h"

namespace peri::check {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// A kernel with the host statements, a loop that makes it a kernel, and `return result`.
std::string host(const std::string& statements, const ArgTexts& args, bool dynamic = false,
                 const std::string& result = "x") {
  std::string text = "@helion.kernel\ndef k(";
  for (const auto& [name, spec] : args) text += name + ", ";
  text += "):\n";
  std::size_t at = 0;
  while (at < statements.size()) {
    const std::size_t end = std::min(statements.find('\n', at), statements.size());
    text += "    " + statements.substr(at, end - at) + "\n";
    at = end + 1;
  }
  text += "    for t in hl.tile(x.size(0)):\n        pass\n    return " + result + "\n";
  const Checked c = check_text(text, args, dynamic);
  return c.ok ? c.typed : c.rendered;
}

TEST(Host, ScalarsFold) {
  EXPECT_THAT(host("m, n = x.shape\nr = max(m, n) // 3 + min([m, n]) % 5 - int(2.7) ** 2",
                   {{"x", "f32[64,32]"}}, false, "r, m * n, x.numel(), x.dim(), x.stride(0)"),
              HasSubstr("return (19, 2048, 2048, 2, 32)"));
  EXPECT_THAT(host("q = [i * 2 for i in range(4) if i % 2 == 1]\nd = {'a': len(q), **{'b': 7}}",
                   {{"x", "f32[4]"}}, false, "*q, d['a'], d.get('c', 9), sum(q), all(q), any([])"),
              HasSubstr("return (2, 6, 2, 9, 8, True, False)"));
  EXPECT_THAT(host("a, *b = (1, 2, 3)\nc = b[::-1] + [a] * 2\nc.append(5)", {{"x", "f32[4]"}},
                   false, "tuple(c), b[-1], isinstance(b, list), x.dtype == torch.float32"),
              HasSubstr("return ((3, 2, 1, 1, 5), 3, True, True)"));
  EXPECT_THAT(
      host("i = 0\nwhile i < 5:\n    i += 2\n    if i == 4:\n        break\n"
           "s = 0\nfor j in range(10, 0, -3):\n    if j == 7:\n        continue\n    s += j",
           {{"x", "f32[4]"}}, false, "i, s, helion.cdiv(7, 2), helion.next_power_of_2(100)"),
      HasSubstr("return (4, 15, 4, 128)"));
  EXPECT_THAT(
      host("e = torch.finfo(torch.float16)\nq = math.sqrt(x.size(0)) if x is not None else 0",
           {{"x", "f32[64]"}}, false, "e.max, torch.iinfo(torch.int8).min, q, math.inf"),
      HasSubstr("return (65504.0, -128, 8.0, inf)"));
}

TEST(Host, ScalarArgumentsStaySymbols) {
  EXPECT_THAT(
      host("r = n * 2 + 1", {{"x", "f32[4]"}, {"n", "5"}, {"p", "0.5"}}, false, "r, 1.0 / (1 - p)"),
      HasSubstr("return (n*2 + 1, 1.0 / (1.0 - p))"));
  EXPECT_THAT(
      host("if n > 3:\n    r = 1\nelse:\n    r = 2", {{"x", "f32[4]"}, {"n", "5"}}, false, "r"),
      AllOf(HasSubstr("guard n > 3 == True"), HasSubstr("return 1")));
}

TEST(Host, ConstexprArgumentsAreConstants) {
  const std::string text =
      "@helion.kernel\n"
      "def k(x, n: hl.constexpr, mode: 'hl.constexpr[str]' = 'a'):\n"
      "    for t in hl.tile(x.size(0)):\n"
      "        x[t] = n if mode == 'a' else 0\n";
  const Checked c = check_text(text, {{"x", "f32[4]"}, {"n", "5"}});
  EXPECT_THAT(c.typed, HasSubstr("x[t] = expand(5.0)"));
  EXPECT_THAT(c.key, HasSubstr("n=int=5"));
}

TEST(Host, AssertionsUnifySizes) {
  const std::string typed = host(
      "m, k = x.size()\nk2, n = y.size()\nassert k == k2, f'{k} {k2}'\n"
      "assert y.shape == z.shape",
      {{"x", "f32[64,32]"}, {"y", "f32[32,8]"}, {"z", "f32[32,8]"}}, true, "k2 - k, z.size(0)");
  EXPECT_THAT(typed, AllOf(HasSubstr("check s1 == s2: 32 32"), HasSubstr("return (0, s1)"),
                           HasSubstr("arg z: f32[s1, s3]"), Not(HasSubstr("guard"))));
}

TEST(Host, SpecializeGuards) {
  EXPECT_THAT(
      host("d = hl.specialize(x.size(1))\ne, f = hl.specialize(y.shape)",
           {{"x", "f32[64,32]"}, {"y", "f32[32,8]"}}, true, "d * 2, e"),
      AllOf(HasSubstr("guard s1 == 32"), HasSubstr("guard s3 == 8"), HasSubstr("return (64, 32)")));
}

TEST(Host, Allocations) {
  const ArgTexts args{{"x", "bf16[4,6]"}};
  EXPECT_THAT(host("o = torch.empty([4, 2], dtype=torch.int8, device=x.device)", args, false, "o"),
              HasSubstr("alloc o: i8[4, 2]\n"));
  EXPECT_THAT(host("o = torch.zeros(4, 2)", args, false, "o"),
              HasSubstr("alloc o: f32[4, 2] = 0.0"));
  EXPECT_THAT(host("o = torch.full((3,), 2, dtype=x.dtype)", args, false, "o"),
              HasSubstr("alloc o: bf16[3] = 2.0"));
  EXPECT_THAT(host("o = x.new_full([3], True)", args, false, "o"),
              HasSubstr("alloc o: bf16[3] = 1.0"));
  EXPECT_THAT(host("o = torch.ones_like(x, dtype=torch.bool)", args, false, "o"),
              HasSubstr("alloc o: bool[4, 6] = True"));
  EXPECT_THAT(host("o = torch.arange(5, device='cuda')", args, false, "o"),
              AllOf(HasSubstr("alloc o: i64[5]"), HasSubstr("= add(mul(i0.index, 1), 0)")));
}

TEST(Host, Views) {
  const ArgTexts args{{"x", "f32[4,6]"}};
  EXPECT_THAT(host("v = x.t()", args, false, "v"), HasSubstr("view x'1: f32[6, 4] strides [1, 6]"));
  EXPECT_THAT(host("v = x[1:3, ::2]", args, false, "v"),
              HasSubstr("view x'1: f32[2, 3] strides [6, 2] of x offset 6"));
  EXPECT_THAT(host("v = x[-1][None]", args, false, "v"),
              HasSubstr("f32[1, 6] strides [1, 1] of x offset 18"));
  EXPECT_THAT(host("v = x.view(2, -1, 3).transpose(0, 2)", args, false, "v"),
              HasSubstr("f32[3, 4, 2] strides [1, 3, 12]"));
  EXPECT_THAT(host("v = x.unsqueeze(1).expand(-1, 5, -1)", args, false, "v"),
              HasSubstr("f32[4, 5, 6] strides [6, 0, 1]"));
  EXPECT_THAT(host("v = x.t().reshape(-1)", args, false, "v"),
              AllOf(HasSubstr("copy x'2 = x'1"), HasSubstr("f32[24] strides [1] of x'2")));
  EXPECT_THAT(host("v = x.t().contiguous()\nw = x.contiguous()", args, false, "v, w"),
              HasSubstr("return (v, x)"));
  EXPECT_THAT(host("v = x.reshape([-1, x.size(-1)]).view(x.size())", args, true, "v"),
              AllOf(HasSubstr("f32[s0, s1] strides [s1, 1]"), Not(HasSubstr("copy"))));
}

TEST(Host, HalvesOfADimensionAreEqual) {
  const std::string text =
      "@helion.kernel\n"
      "def k(x, c):\n"
      "    half = hl.specialize(x.size(1)) // 2\n"
      "    for t in hl.tile(x.size(0)):\n"
      "        x[t, :half] = x[t, :half] * c[t, half:] + x[t, half:]\n";
  EXPECT_THAT(check_text(text, {{"x", "f32[8,64]"}, {"c", "f32[8,64]"}}, true).typed,
              AllOf(HasSubstr("arg c: f32[s0, 64]"), HasSubstr("guard 32 == s3 - 32")));
}

TEST(Host, TensorsAreFilledInPlace) {
  EXPECT_THAT(host("x.zero_()\nx[0].fill_(2)\nx[1].copy_(x[0])", {{"x", "f32[4,6]"}}),
              AllOf(HasSubstr("x[i0, i1] = expand(0.0)"), HasSubstr("x'1[i0'1] = expand(2.0)"),
                    HasSubstr("x'2[i0'2] = x'4[i0'2]")));
}

TEST(Host, Broadcasting) {
  const ArgTexts args{{"x", "f32[4,6]"}, {"y", "f32[1,6]"}};
  EXPECT_THAT(host("a, b = torch.broadcast_tensors(x, y)", args, false, "b"),
              HasSubstr("f32[4, 6] strides [0, 1] of y"));
  EXPECT_THAT(host("a, b = torch.broadcast_tensors(x, y)", args, true, "b"),
              AllOf(HasSubstr("guard s2 == 1"), HasSubstr("guard s1 == s3"),
                    HasSubstr("f32[s0, s1] strides [0, 1] of y")));
}

TEST(Host, TensorMathBecomesRoots) {
  const ArgTexts args{{"x", "f32[4,6]"}, {"y", "f16[6]"}};
  EXPECT_THAT(host("r = x.sum(0).to(torch.float16)", args, false, "r"),
              AllOf(HasSubstr("alloc sum: f32[6]"), HasSubstr("sum[i1] = sum(x[0:+4, i1], dims=0)"),
                    HasSubstr("alloc r: f16[6]")));
  EXPECT_THAT(host("r = x.mean()", args, false, "r"),
              AllOf(HasSubstr("alloc r: f32[]"), HasSubstr("r[] = mean(x[0:+4, 0:+6], dims=0,1)")));
  EXPECT_THAT(host("r = -(x + y) * 2", args, false, "r"), HasSubstr("alloc r: f32[4, 6]"));
  EXPECT_THAT(host("r = torch.where(y < 0, y + 4, y)", args, false, "r"),
              HasSubstr("where(value[i0'2], value'1[i0'2], y[i0'2])"));
  EXPECT_THAT(host("x[:, -1] = 0\nx[0] = y", args, false, "x"),
              AllOf(HasSubstr("x'1[i0] = expand(0.0)"), HasSubstr("x'2[i0'1] = cast(")));
  EXPECT_THAT(host("r = x @ x.T", args, false, "r"),
              AllOf(HasSubstr("alloc r: f32[4, 4]"),
                    HasSubstr("acc: f32[m, n] = dot(x[m, k], x'1[k, n], acc)")));
}

TEST(Host, TunablesAndBlockSizes) {
  const std::string text =
      "from helion.autotuner import EnumFragment, PowerOfTwoFragment\n"
      "@helion.kernel\n"
      "def k(x):\n"
      "    p = hl.register_tunable('split', PowerOfTwoFragment(1, 64, 4))\n"
      "    q = hl.register_tunable('mode', EnumFragment(choices=(1, 3)))\n"
      "    b = hl.register_block_size(16, x.size(0))\n"
      "    out = torch.empty([helion.cdiv(x.size(0), b), p * q])\n"
      "    for t in hl.tile(x.size(0), block_size=b):\n"
      "        out[t.id, 0] = x[t].sum()\n"
      "    return out\n";
  EXPECT_THAT(check_text(text, {{"x", "f32[1024]"}}).typed,
              AllOf(HasSubstr("registered block_0: size b0, 16..1024"),
                    HasSubstr("tunable split: power_of_two"), HasSubstr("tunable mode: enum"),
                    HasSubstr("alloc out: f32[ceildiv(1024, b0), split*mode]"),
                    HasSubstr("out[t.id, 0] = sum(x[t], dims=0)")));
}

TEST(Host, LoopsThatLeaveATensorAreCheckedBeforeTheLaunch) {
  const std::string text =
      "@helion.kernel\n"
      "def k(x, y):\n"
      "    for t in hl.tile(x.size(0)):\n"
      "        x[t] = y[t]\n";
  EXPECT_THAT(
      check_text(text, {{"x", "f32[8]"}, {"y", "f32[9]"}}, true).typed,
      HasSubstr("check s0 <= s1: line 9: the loop runs beyond the size of `y`\n  launch 0"));
  EXPECT_THAT(check_text(text, {{"x", "f32[9]"}, {"y", "f32[8]"}}, true).errors,
              HasSubstr("index-out-of-range 4:18"));
}

TEST(Host, StridesByClass) {
  const auto arg = [](const std::string& x) {
    return check_text("@helion.kernel\ndef k(x):\n    for t in hl.tile(x.size(0)): pass\n",
                      {{"x", x}}, true);
  };
  EXPECT_THAT(arg("f32[4,6]").typed, HasSubstr("strides [s1, 1]"));
  EXPECT_THAT(arg("f32[4,6].s2").typed, HasSubstr("strides [t1, 1]"));
  EXPECT_THAT(arg("f32[4,6].t").typed, HasSubstr("strides [t1, t3]"));
  EXPECT_EQ(arg("f32[4,6]").key, "dynamic x=f32[2 contiguous]");
  EXPECT_EQ(arg("f32[9,6]").key, arg("f32[4,2]").key);
  EXPECT_NE(arg("f32[4,6].t").key, arg("f32[4,6]").key);
}

TEST(Host, KeysOfStaticShapes) {
  const std::string text =
      "@helion.kernel\ndef k(x, s=1, f=None):\n    for t in hl.tile(x.size(0)): pass\n";
  EXPECT_EQ(check_text(text, {{"x", "f32[4,6]"}, {"s", "3"}}).key, "static s=int x=f32[4:6,6:1]");
  EXPECT_EQ(check_text(text, {{"x", "f32[4,6]"}, {"s", "'q'"}}).key,
            "static s=str=1:q x=f32[4:6,6:1]");
  EXPECT_EQ(check_text(text, {{"x", "f32[4]"}, {"s", "(1;2.5;none;true)"}}).key,
            "static s=(int,float,none,bool,) x=f32[4:1]");
}

TEST(Host, ListsOfTensors) {
  const std::string text =
      "@helion.kernel\n"
      "def k(xs: list[torch.Tensor]):\n"
      "    outs = [torch.empty_like(x) for x in xs]\n"
      "    for t in hl.tile(xs[0].size(0)):\n"
      "        total = None\n"
      "        for x, o in zip(xs, outs):\n"
      "            total = x[t] if total is None else total + x[t]\n"
      "            o[t] = total\n"
      "    return outs, {'n': len(xs)}\n";
  const Checked c = check_text(text, {{"xs", "{f32[8];f32[8]}"}});
  EXPECT_THAT(c.typed, AllOf(HasSubstr("arg xs[1]: f32[8]"), HasSubstr("return ((o, o'1), (2))")));
}

TEST(Modules, NamesAreFoundLazily) {
  const Checked c = check_module(
      "from __future__ import annotations\n"
      "import helion as h\n"
      "import helion.language as lang\n"
      "from torch import Tensor, float16 as half\n"
      "from typing import TYPE_CHECKING, Callable\n"
      "import perihelion\n"
      "if TYPE_CHECKING:\n"
      "    from collections.abc import Sequence\n"
      "try:\n"
      "    import triton\n"
      "except ImportError:\n"
      "    triton = None\n"
      "BROKEN = undefined_name + 1\n"
      "A, B = 3, 4\n"
      "C = A * B\n"
      "class Model(torch.nn.Module):\n"
      "    pass\n"
      "@perihelion.kernel\n"
      "def k(x: Tensor) -> Tensor:\n"
      "    for t in lang.tile(x.size(0)):\n"
      "        x[t] = x[t].to(half) * C\n"
      "    return x\n"
      "if __name__ == '__main__':\n"
      "    k(torch.randn(3))\n",
      "k", {{"x", "f32[8]"}}, false);
  EXPECT_THAT(c.typed, HasSubstr("mul(cast(x[t]):f16[t], 12.0)"));
}

}  // namespace
}  // namespace peri::check
