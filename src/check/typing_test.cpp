// What device code types to: promotion, broadcasting, loops, branches, views, subscripts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "check/check_text_test.h"

namespace peri::check {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// A kernel over tiles of x [64, 32] with the tile `a` and the statements; the printed kernel.
std::string typed(const std::string& statements, const std::string& helpers = {},
                  const ArgTexts& more = {}, const std::string& x = "f32[64,32]") {
  std::string text = helpers + "@helion.kernel\ndef k(x";
  for (const auto& [name, spec] : more) text += ", " + name;
  text +=
      "):\n"
      "    m, n = x.shape\n"
      "    out = torch.empty_like(x)\n"
      "    for tile_m, tile_n in hl.tile([m, n]):\n"
      "        a = x[tile_m, tile_n]\n";
  std::size_t at = 0;
  while (at < statements.size()) {
    const std::size_t end = std::min(statements.find('\n', at), statements.size());
    text += "        " + statements.substr(at, end - at) + "\n";
    at = end + 1;
  }
  ArgTexts args = more;
  args["x"] = x;
  const Checked c = check_text(text + "    return out\n", args);
  return c.ok ? c.typed : c.rendered;
}

TEST(Promotion, WeakScalarsKeepTheTilesDtype) {
  EXPECT_THAT(typed("b = a * 2", {}, {}, "bf16[64,32]"),
              HasSubstr("b: bf16[tile_m, tile_n] = mul(a, 2.0)"));
  EXPECT_THAT(typed("b = a + 0.5", {}, {}, "i32[64,32]"),
              HasSubstr("b: f32[tile_m, tile_n] = add(cast(a):f32[tile_m, tile_n], 0.5)"));
  EXPECT_THAT(typed("b = (a > 0) * 3", {}, {}, "i8[64,32]"), HasSubstr("b: i64[tile_m, tile_n]"));
}

TEST(Promotion, TilesOutrankScalarsOfOneCategory) {
  EXPECT_THAT(typed("b = a * s[0]", {}, {{"s", "f32[4]"}}, "bf16[64,32]"),
              HasSubstr("b: bf16[tile_m, tile_n] = mul(a, cast(s[0]):bf16)"));
  EXPECT_THAT(typed("b = a * s[0]", {}, {{"s", "f64[4]"}}, "i32[64,32]"),
              HasSubstr("b: f64[tile_m, tile_n]"));
  EXPECT_THAT(typed("b = s[0] + tile_m.begin", {}, {{"s", "i32[4]"}}),
              HasSubstr("b: i32 = add(s[0], cast(tile_m.begin):i32)"));
}

TEST(Promotion, FloatFunctionsOfIntegers) {
  EXPECT_THAT(typed("b = torch.exp(a)", {}, {}, "i64[64,32]"),
              HasSubstr("b: f32[tile_m, tile_n] = exp(cast(a):f32[tile_m, tile_n])"));
  EXPECT_THAT(typed("b = a / 2", {}, {}, "i64[64,32]"), HasSubstr("b: f32[tile_m, tile_n] = div("));
  EXPECT_THAT(typed("b = a.floor()", {}, {}, "i64[64,32]"),
              HasSubstr("b: i64[tile_m, tile_n] = a"));
}

TEST(Promotion, BoolsCombineByLogic) {
  EXPECT_THAT(typed("b = (a > 0) & (a < 1)"), HasSubstr("b: bool[tile_m, tile_n] = bit_and(gt("));
  EXPECT_THAT(typed("b = (a > 0) + (a < 1)"), HasSubstr("= bit_or("));
  EXPECT_THAT(typed("b = 0 < a.sum() <= 3"), HasSubstr("b: bool = bit_and("));
}

TEST(Broadcasting, IsExplicit) {
  EXPECT_THAT(typed("b = a - a.amax(1)[:, None]"),
              HasSubstr("b: f32[tile_m, tile_n] = sub(a, expand(unsqueeze(amax(a, dims=1), dims=1))"
                        ":f32[tile_m, tile_n])"));
  EXPECT_THAT(typed("b = a + y[tile_n]", {}, {{"y", "f32[32]"}}),
              HasSubstr("add(a, expand(unsqueeze(y[tile_n], dims=0)):f32[tile_m, tile_n])"));
  EXPECT_THAT(typed("b = a + y[tile_m, tile_n]", {}, {{"y", "f32[1,32]"}}),
              HasSubstr("add(a, expand(y[0:+1, tile_n]):f32[tile_m, tile_n])"));
}

TEST(Broadcasting, BlockSizeMeetsItsAxis) {
  const std::string text =
      "@helion.kernel\n"
      "def k(x):\n"
      "    m, n = x.shape\n"
      "    block = hl.register_block_size(n)\n"
      "    out = torch.zeros([m])\n"
      "    for tile_m in hl.tile(m):\n"
      "        acc = hl.zeros([tile_m, block])\n"
      "        for tile_n in hl.tile(n, block_size=block):\n"
      "            acc += x[tile_m, tile_n]\n"
      "        out[tile_m] = acc.sum(1)\n"
      "    return out\n";
  const Checked c = check_text(text, {{"x", "f32[64,100]"}});
  EXPECT_THAT(c.typed, AllOf(HasSubstr("registered block_0: size b0, 1..100"),
                             HasSubstr("acc: f32[tile_m, b0] = expand(0.0)"),
                             HasSubstr("tile tile_n: size b0, 0..100")));
}

TEST(Shapes, OfNewTilesFollowTheOpenAxes) {
  EXPECT_THAT(typed("b = hl.zeros([tile_m, 8], dtype=torch.float16)"),
              HasSubstr("b: f16[tile_m, 8] = expand(0.0)"));
  EXPECT_THAT(typed("b = hl.full([tile_m.block_size], 3, dtype=torch.int32)"),
              HasSubstr("b: i32[tile_m] = expand(3)"));
  EXPECT_THAT(typed("b = torch.zeros_like(a, dtype=torch.int64)"),
              HasSubstr("b: i64[tile_m, tile_n] = expand(0)"));
  EXPECT_THAT(typed("b = hl.arange(tile_n.block_size) + tile_n.begin"),
              HasSubstr("b: i64[tile_n] = add(iota():i64[tile_n], tile_n.begin)"));
  EXPECT_THAT(typed("b = hl.arange(4, 16, 3)"),
              HasSubstr("b: i64[4] = add(mul(iota():i64[4], 3), 4)"));
}

TEST(Tiles, Attributes) {
  EXPECT_THAT(typed("b = tile_m.index + tile_m.id + tile_m.count + tile_m.end"),
              HasSubstr("add(add(add(tile_m.index, tile_m.id), tile_m.count), tile_m.end)"));
  EXPECT_THAT(typed("b = hl.tile_index(tile_m) * tile_m.block_size"),
              HasSubstr("b: i64[tile_m] = mul(tile_m.index, b0)"));
}

TEST(Subscripts, KindsOfThem) {
  EXPECT_THAT(typed("b = x[tile_m, :]"), HasSubstr("b: f32[tile_m, 32] = x[tile_m, 0:+32]"));
  EXPECT_THAT(typed("b = x[tile_m, 4:8]"), HasSubstr("b: f32[tile_m, 4] = x[tile_m, 4:+4]"));
  EXPECT_THAT(typed("b = x[3, None, tile_n]"), HasSubstr("b: f32[1, tile_n] = x[3, none, tile_n]"));
  EXPECT_THAT(typed("b = x[tile_m, -1]"), HasSubstr("b: f32[tile_m] = x[tile_m, 31]"));
  EXPECT_THAT(typed("b = x[..., tile_n]"), HasSubstr("b: f32[64, tile_n] = x[0:+64, tile_n]"));
  EXPECT_THAT(typed("b = x[tile_m.begin, tile_n]"), HasSubstr("b: f32[tile_n] = x[tile_m.begin"));
  EXPECT_THAT(typed("b = x[tile_m.index, tile_n]"), HasSubstr("= x[tile_m, tile_n]"));
  EXPECT_THAT(
      typed("b = hl.load(x, [tile_m + 1, tile_n], extra_mask=(tile_m.index < 63)[:, None])"),
      HasSubstr("x[tile_m + 1, tile_n] where expand(unsqueeze(lt(tile_m.index, 63), dims=1))"
                ":bool[tile_m, tile_n]"));
  EXPECT_THAT(typed("i = 2 + tile_m.index - 1\nb = hl.load(x, [i, tile_n], extra_mask=a > 0)"),
              HasSubstr("= x[tile_m + 1, tile_n] where"));
  EXPECT_THAT(typed("b = x[tile_m.begin:tile_m.end, tile_n]"), HasSubstr("= x[tile_m, tile_n]"));
  EXPECT_THAT(typed("i = tile_m.begin + 0\nb = x[i:i + 4, tile_n]"),
              HasSubstr("b: f32[4, tile_n] = x[i:+4, tile_n]"));
}

TEST(Subscripts, Gathers) {
  const ArgTexts args{{"i", "i32[64]"}, {"j", "i64[32]"}};
  EXPECT_THAT(typed("b = x[i[tile_m], :]", {}, args),
              HasSubstr("b: f32[tile_m, 32] = x[gather cast(i[tile_m]):i64[tile_m], 0:+32]"));
  EXPECT_THAT(typed("p = i[tile_m]\nb = x[p, p]", {}, args),
              HasSubstr("b: f32[tile_m] = x[gather"));
  EXPECT_THAT(typed("b = x[i[tile_m], j[tile_n]]", {}, args),
              HasSubstr("b: f32[tile_m, tile_n] = x[gather expand(unsqueeze("));
  EXPECT_THAT(typed("b = x[tile_m.index, i[tile_m]]", {}, args),
              HasSubstr("b: f32[tile_m] = x[gather tile_m.index, gather"));
}

TEST(Subscripts, Stores) {
  EXPECT_THAT(typed("out[tile_m, tile_n] = 1"),
              HasSubstr("out[tile_m, tile_n] = expand(1.0):f32[tile_m, tile_n]"));
  EXPECT_THAT(typed("out[tile_m, tile_n] += a"),
              HasSubstr("out[tile_m, tile_n] = add(out[tile_m, tile_n], a)"));
  EXPECT_THAT(typed("out[tile_m, 0] = a.sum(1).half()"),
              HasSubstr("out[tile_m, 0] = cast(cast(sum(a, dims=1)):f16[tile_m]):f32[tile_m]"));
  EXPECT_THAT(typed("hl.store(out, [tile_m, tile_n], a, extra_mask=a > 0)"),
              HasSubstr("out[tile_m, tile_n] = a where gt(a, 0.0)"));
}

TEST(Loops, CarryDeviceValues) {
  EXPECT_THAT(
      typed("s = hl.zeros([tile_m])\nfor t in hl.tile(n):\n    s = s + x[tile_m, t].sum(1)"),
      AllOf(HasSubstr("for t in 0..32:"), HasSubstr("s: f32[tile_m] = add(s, sum(x[tile_m, t]"
                                                    ", dims=1))")));
}

TEST(Loops, HostScalarsBecomeDeviceScalars) {
  EXPECT_THAT(typed("c = 0\nfor i in range(4):\n    c += 1\nb = a * c"),
              AllOf(HasSubstr("c: i64 = 0"), HasSubstr("c: i64 = add(c, 1)"),
                    HasSubstr("b: f32[tile_m, tile_n] = mul(a, cast(c):f32)")));
  EXPECT_THAT(typed("c = 0\nfor i in range(4):\n    c = c + a"),
              AllOf(HasSubstr("c: f32[tile_m, tile_n] = expand(0.0)"), HasSubstr("= add(c, a)")));
  EXPECT_THAT(typed("c = 1.5\nfor i in range(4):\n    for j in range(i):\n        c = c * 2"),
              AllOf(HasSubstr("c: f32 = 1.5"), HasSubstr("for j in 0..i.begin:")));
}

TEST(Loops, SwapsAreTakenAtOnce) {
  EXPECT_THAT(typed("p = a\nq = a * 2\nfor i in range(4):\n    p, q = q, p"),
              HasSubstr("tmp: f32[tile_m, tile_n] = q\n      tmp'1: f32[tile_m, tile_n] = p\n"
                        "      p: f32[tile_m, tile_n] = tmp\n"));
}

TEST(Loops, TuplesAreCarriedByParts) {
  EXPECT_THAT(
      typed("s = (a, 0)\nfor i in range(4):\n    s = (s[0] * 2, s[1] + 1)\nb = s[0] + s[1]"),
      AllOf(HasSubstr("s.1: i64 = 0"), HasSubstr("b: f32[tile_m, tile_n] = add(s.0, cast(s.1)"
                                                 ":f32)")));
}

TEST(Loops, TemporariesOfAnotherTypeStayInside) {
  EXPECT_THAT(
      typed("t = a\nfor i in range(4):\n    t = a.sum(1)\n    out[tile_m, 0] = t"),
      AllOf(HasSubstr("t: f32[tile_m, tile_n] = a"), HasSubstr("t'1: f32[tile_m] = sum(a")));
}

TEST(Loops, IndexArithmeticIsForgottenWhereItChanges) {
  EXPECT_THAT(typed("i = tile_m.index\nfor j in range(2):\n    b = x[i, tile_n]\n    i = i + 1"),
              HasSubstr("x[gather i, tile_n]"));
}

TEST(Loops, NestedInsideATile) {
  EXPECT_THAT(
      typed("for t in hl.tile(tile_m.begin, tile_m.end):\n    out[t, tile_n] = x[t, tile_n]"),
      AllOf(HasSubstr("tile t: size b2, in tile_m"),
            HasSubstr("for t in tile_m.begin..tile_m.end:")));
}

TEST(Loops, StaticOnesAreUnrolled) {
  EXPECT_THAT(typed("b = a\nfor i in hl.static_range(3):\n    b = b + i"),
              AllOf(HasSubstr("add(b, 0.0)"), HasSubstr("add(b, 2.0)"), Not(HasSubstr("for "))));
  EXPECT_THAT(
      typed("b = a\nfor i, (p, q) in enumerate(zip([1, 2], (3, 4))):\n    b = b + i * p * q"),
      HasSubstr("add(b, 8.0)"));
}

TEST(Branches, OnConstantsArePruned) {
  const std::string typed_text = typed(
      "if n > 100:\n    b = unknown\nelif n == 32:\n    b = a\n"
      "else:\n    b = other\nc = b");
  EXPECT_THAT(typed_text, AllOf(HasSubstr("c: f32[tile_m, tile_n] = b"), Not(HasSubstr("if "))));
  EXPECT_THAT(typed("b = a if y is None else a + y[0]", {}, {{"y", "none"}}),
              HasSubstr("b: f32[tile_m, tile_n] = a"));
}

TEST(Branches, OnScalarsAreKept) {
  EXPECT_THAT(typed("b = a\nif flag > 2:\n    t = a * 2\n    b = t\nelse:\n    t = a.sum()\n"
                    "    b = b - t",
                    {}, {{"flag", "3"}}),
              AllOf(HasSubstr("if flag > 2:\n      t: f32[tile_m, tile_n] = mul(a, 2.0)\n"
                              "      b: f32[tile_m, tile_n] = t\n"),
                    HasSubstr("else:\n      t'1: f32 = sum(a, dims=0,1)\n"
                              "      b: f32[tile_m, tile_n] = sub(b, t'1)\n")));
  EXPECT_THAT(typed("c = 1\nif a.sum() > 0:\n    c = 2\nb = a * c"),
              AllOf(HasSubstr("if gt(sum(a, dims=0,1), 0.0):\n      c: i64 = 2"),
                    HasSubstr("else:\n      c: i64 = 1")));
}

TEST(Views, KeepTileAxes) {
  EXPECT_THAT(typed("b = x[tile_m, :].reshape(tile_m, 4, 8).permute(0, 2, 1)"),
              HasSubstr("b: f32[tile_m, 8, 4] = permute(reshape(x[tile_m, 0:+32])"));
  EXPECT_THAT(typed("b = x[tile_m, :].view(-1, 16, 2)"), HasSubstr("b: f32[tile_m, 16, 2]"));
  EXPECT_THAT(typed("b = a.T"), HasSubstr("b: f32[tile_n, tile_m] = permute(a, dims=1,0)"));
  EXPECT_THAT(typed("b = a.unsqueeze(0).expand(3, -1, -1)"),
              HasSubstr("b: f32[3, tile_m, tile_n]"));
  EXPECT_THAT(typed("b = a.sum(1, keepdim=True).squeeze(-1)"),
              HasSubstr("squeeze(sum(a, dims=1, keep)"));
}

TEST(Views, MergeTileAxes) {
  EXPECT_THAT(typed("b = a.reshape(-1)"), HasSubstr("b: f32[b0*b1] = reshape(a)"));
  EXPECT_THAT(typed("b = torch.stack([a, a], 1).reshape(tile_m.block_size * 2, tile_n)"),
              HasSubstr("b: f32[b0*2, tile_n] = reshape("));
  EXPECT_THAT(typed("b = a.T.reshape(tile_m, tile_n)"), HasSubstr("b: f32[b0, b1] = reshape("));
  EXPECT_THAT(typed("b = a.reshape(tile_m.block_size * 3, tile_n)"), HasSubstr("shape-mismatch"));
}

TEST(Reductions, DtypesAndDims) {
  EXPECT_THAT(typed("b = a.sum(-1)", {}, {}, "i32[64,32]"),
              HasSubstr("b: i64[tile_m] = sum(a, dims=1)"));
  EXPECT_THAT(typed("b = torch.mean(a)", {}, {}, "f16[64,32]"),
              HasSubstr("b: f16 = mean(a, dims=0,1)"));
  EXPECT_THAT(typed("v, i = torch.max(a, dim=1)"),
              AllOf(HasSubstr("v: f32[tile_m] = amax"), HasSubstr("i: i64[tile_m] = arg_max")));
  EXPECT_THAT(
      typed("v, m2 = torch.var_mean(a, dim=1, correction=0)"),
      AllOf(HasSubstr("v: f32[tile_m] = var(a, dims=1, 0)"), HasSubstr("m2: f32[tile_m] = mean")));
  EXPECT_THAT(typed("b = torch.any(a > 0, 1)"),
              HasSubstr("b: bool[tile_m] = any(gt(a, 0.0), dims=1)"));
  EXPECT_THAT(typed("b = F.softmax(a, dim=-1, dtype=torch.float32)", {}, {}, "f16[64,32]"),
              HasSubstr("b: f32[tile_m, tile_n] = softmax(cast(a)"));
}

TEST(Products, DtypesOfResults) {
  const ArgTexts y{{"y", "bf16[32,16]"}};
  EXPECT_THAT(typed("b = a @ y[tile_n, :]", {}, y, "bf16[64,32]"),
              HasSubstr("b: bf16[tile_m, 16] = dot("));
  EXPECT_THAT(typed("b = hl.dot(a, y[tile_n, :])", {}, y, "bf16[64,32]"),
              HasSubstr("b: f32[tile_m, 16]"));
  EXPECT_THAT(
      typed("b = torch.addmm(hl.zeros([tile_m, 16]), a, y[tile_n, :])", {}, y, "bf16[64,32]"),
      HasSubstr("b: f32[tile_m, 16] = dot(a, y[tile_n, 0:+16], expand(0.0)"));
  EXPECT_THAT(typed("b = hl.dot(a, y[tile_n, :], out_dtype=torch.bfloat16)", {}, y, "f32[64,32]"),
              HasSubstr("b: bf16[tile_m, 16] = dot(a, cast("));
  EXPECT_THAT(typed("b = torch.bmm(a[None, :, :], y[None, tile_n, :])", {}, y, "bf16[64,32]"),
              HasSubstr("b: bf16[1, tile_m, 16]"));
}

TEST(Functions, AreInlined) {
  EXPECT_THAT(typed("b = f(a, kind='silu') + f(a)",
                    "SCALE = 1 / math.sqrt(64)\n"
                    "def f(v, kind='relu'):\n"
                    "    '''helper'''\n"
                    "    if kind == 'relu':\n"
                    "        return torch.relu(v)\n"
                    "    w = F.silu(v)\n"
                    "    return w * SCALE\n"),
              AllOf(HasSubstr("w: f32[tile_m, tile_n] = silu(a)"),
                    HasSubstr("b: f32[tile_m, tile_n] = add(mul(w, 0.125), relu(a))")));
  EXPECT_THAT(typed("g = lambda v, s=2: v * s\nb = g(a) + g(a, s=3)"),
              HasSubstr("add(mul(a, 2.0), mul(a, 3.0))"));
}

TEST(Functions, LambdaArgumentsCaptureTensors) {
  const std::string text =
      "@helion.kernel\n"
      "def k(x, epilogue=lambda v, tile: v):\n"
      "    for tile in hl.tile(x.shape):\n"
      "        x[tile] = epilogue(x[tile], tile)\n";
  const Checked c = check_text(text, {{"x", "f16[8,4]"},
                                      {"epilogue", "lambda v, t: torch.relu(v + bias[t[1]])"},
                                      {"bias", "f32[4]"}});
  EXPECT_THAT(c.typed, HasSubstr("relu(add(cast("));
  EXPECT_THAT(check_text(text, {{"x", "f16[8,4]"}}).typed, HasSubstr("x[tile.0, tile.1] = v"));
}

TEST(Random, DependsOnTheGlobalIndex) {
  EXPECT_THAT(typed("b = hl.rand([tile_m, tile_n], seed=7)"),
              HasSubstr("rand(7, add(expand(mul(unsqueeze(tile_m.index, dims=1), 32))"));
}

}  // namespace
}  // namespace peri::check
