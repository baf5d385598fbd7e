// Every diagnostic of the checker: its code, place and message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "check/check_text_test.h"

namespace peri::check {
namespace {

using testing::HasSubstr;

// A kernel with x [64, 32] and y [64, 32], its loop over tiles tile_m, tile_n, a tile `a`, and the
// given statements in it; they start at line 6.
std::string in_device(const std::string& statements) {
  std::string text =
      "@helion.kernel\n"
      "def k(x, y=None):\n"
      "    out = torch.empty_like(x)\n"
      "    for tile_m, tile_n in hl.tile(x.shape):\n"
      "        a = x[tile_m, tile_n]\n";
  std::size_t at = 0;
  while (at < statements.size()) {
    const std::size_t end = std::min(statements.find('\n', at), statements.size());
    text += "        " + statements.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return text + "    return out\n";
}

// A kernel whose host statements come first, at line 3.
std::string in_host(const std::string& statements) {
  std::string text = "@helion.kernel\ndef k(x, y=None):\n";
  std::size_t at = 0;
  while (at < statements.size()) {
    const std::size_t end = std::min(statements.find('\n', at), statements.size());
    text += "    " + statements.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return text + "    for t in hl.tile(x.size(0)):\n        x[t, :] = 0\n    return x\n";
}

std::string device_errors(const std::string& statements) {
  return check_text(in_device(statements), {{"x", "f32[64,32]"}, {"y", "f32[64,32]"}}).errors;
}
std::string host_errors(const std::string& statements) {
  return check_text(in_host(statements), {{"x", "f32[64,32]"}, {"y", "f32[64,32]"}}).errors;
}

TEST(Errors, NamesAndAttributes) {
  EXPECT_EQ(device_errors("b = tile_mm"), "unknown-name 6:13 `tile_mm` is not defined\n");
  EXPECT_EQ(device_errors("b = torch.expp(a)"),
            "unknown-attribute 6:19 `torch` has no `expp` that is known here\n");
  EXPECT_EQ(device_errors("b = a.foo()"),
            "unknown-attribute 6:15 a device value has no `foo` that is known here\n");
  EXPECT_EQ(device_errors("b = tile_m.first"),
            "unknown-attribute 6:20 a tile has no attribute `first`\n");
  EXPECT_EQ(host_errors("b = hl.tilee(3)"),
            "unknown-attribute 3:12 `hl` has no `tilee` that is known here\n");
  const Checked near = check_text(in_device("b = tile_mm"), {{"x", "f32[64,32]"}});
  EXPECT_THAT(near.rendered, HasSubstr("hint: did you mean `tile_m`?"));
}

TEST(Errors, NoneHasNoAttributes) {
  const Checked c = check_text(in_host("n = y.size(0)"), {{"x", "f32[64,32]"}});
  EXPECT_EQ(c.errors, "unknown-attribute 3:11 `None` has no attribute `size`\n");
}

TEST(Errors, FunctionsNotKnown) {
  EXPECT_EQ(
      check_text("import numpy as np\n" + in_device("b = np.exp(a)"), {{"x", "f32[64,32]"}}).errors,
      "unknown-function 7:13 `numpy.exp` is not known here and cannot be called from a "
      "kernel\n");
  EXPECT_EQ(device_errors("b = torch.cumsum(a, 0)"),
            "not-yet 6:13 `torch.cumsum` is not supported yet\n");
  EXPECT_EQ(device_errors("hl.atomic_add(out, [tile_m, tile_n], a)"),
            "not-yet 6:9 `hl.atomic_add` is not supported yet\n");
  EXPECT_EQ(device_errors("for j in hl.jagged_tile(a): pass"),
            "not-yet 6:18 `hl.jagged_tile` is not supported yet\n");
  EXPECT_EQ(device_errors("b = a.to(torch.float8_e4m3fn)"),
            "not-yet 6:24 `torch.float8_e4m3fn` is not supported yet\n");
  EXPECT_EQ(device_errors("while True: pass"), "not-yet 6:9 `while` is not supported yet\n");
}

TEST(Errors, ArgumentsOfCalls) {
  EXPECT_EQ(device_errors("b = torch.exp()"),
            "argument-count 6:13 `torch.exp` needs an argument `input`\n");
  EXPECT_EQ(device_errors("b = torch.exp(a, a)"),
            "argument-count 6:26 `torch.exp` takes at most 1 arguments\n");
  EXPECT_EQ(device_errors("b = torch.clamp(a, mn=0)"),
            "argument-count 6:31 `torch.clamp` has no argument `mn`\n");
  EXPECT_EQ(device_errors("b = torch.sum(a, dim=1, axis=1)"),
            "argument-count 6:38 argument `axis` of `torch.sum` is given twice\n");
  EXPECT_EQ(device_errors("b = torch.exp('x')"),
            "bad-argument 6:23 `torch.exp` does not take a string\n");
  EXPECT_EQ(device_errors("b = a.to(3.5, dtype='f99')"),
            "bad-argument 6:29 `.to` needs a dtype here, and this is a string\n");
}

TEST(Errors, ArgumentsOfHelpers) {
  const auto errors = [](const std::string& call) {
    return check_text("def f(p, q=1): return p\n" + in_device("b = " + call), {{"x", "f32[64,32]"}})
        .errors;
  };
  EXPECT_EQ(errors("f()"), "argument-count 7:13 `f` needs an argument `p`\n");
  EXPECT_EQ(errors("f(a, 2, 3)"), "argument-count 7:21 `f` takes 2 arguments, 3 are given\n");
  EXPECT_EQ(errors("f(a, r=3)"), "argument-count 7:20 `f` has no argument `r`\n");
}

TEST(Errors, Recursion) {
  const Checked c =
      check_text("def f(p): return f(p)\n" + in_device("b = f(a)"), {{"x", "f32[64,32]"}});
  EXPECT_EQ(c.errors, "recursion 1:18 `f` calls itself\n");
  EXPECT_THAT(c.rendered, HasSubstr("note: in `f`, called at line"));
}

TEST(Errors, NestedKernel) {
  const std::string other = "@helion.kernel()\ndef other(p): return p\n";
  EXPECT_EQ(check_text(other + in_device("b = other(a)"), {{"x", "f32[64,32]"}}).errors,
            "nested-kernel 8:13 `other` is a kernel and cannot be called from a kernel\n");
}

TEST(Errors, Loops) {
  EXPECT_EQ(host_errors("hl.tile(3)"),
            "loop-not-in-for 3:5 `hl.tile` stands outside a for statement\n");
  EXPECT_EQ(host_errors("t = hl.tile(3)"),
            "loop-not-in-for 3:9 `hl.tile` stands outside a for statement\n");
  EXPECT_EQ(host_errors("for a, b in hl.tile(3): pass"),
            "unpack-mismatch 3:9 this loop gives one tile, and there are 2 targets\n");
  EXPECT_EQ(host_errors("for a in hl.tile(2.5): pass"),
            "tile-range 3:22 a bound of `hl.tile` must be an int, and this is float 2.5\n");
  EXPECT_EQ(host_errors("for a in hl.tile(5, 3): pass"),
            "tile-range 3:25 this loop runs from 5 to 3\n");
  EXPECT_EQ(host_errors("for a in hl.grid(5, step=0): pass"),
            "tile-range 3:30 a step of 0 is not positive\n");
}

TEST(Errors, BlockSizes) {
  EXPECT_EQ(host_errors("for a in hl.tile(5, block_size=0): pass"),
            "block-size 3:36 a block size of 0 is not positive\n");
  EXPECT_EQ(host_errors("for a in hl.tile(5, block_size='x'): pass"),
            "block-size 3:36 a block size must be an int, and this is a string\n");
  EXPECT_EQ(host_errors("for a in hl.tile([5, 6], block_size=[1, 2, 3]): pass"),
            "tile-usage 3:41 `block_size` of `hl.tile` does not fit its 2 axes\n");
  EXPECT_EQ(host_errors("b = hl.register_block_size(8, 4)"),
            "block-size 3:9 block sizes from 8 to 4\n");
}

TEST(Errors, TilesInExpressions) {
  EXPECT_EQ(device_errors("b = tile_m < 3"),
            "operand-type 6:20 `<` is not defined for a tile index and an int\n");
  EXPECT_EQ(device_errors("b, c = tile_m"), "tile-usage 6:16 a single tile cannot be unpacked\n");
  EXPECT_EQ(device_errors("for t in hl.tile(tile_m): pass"),
            "tile-usage 6:26 a tile cannot be a bound of another loop\n");
}

TEST(Errors, Shapes) {
  EXPECT_EQ(device_errors("b = a + x[tile_m, :]"),
            "tile-mismatch 6:15 `+` on tiles of different extent\n");
  EXPECT_EQ(device_errors("b = x[0, 0:3] + x[0, 0:4]"),
            "shape-mismatch 6:23 `+` on shapes that do not broadcast\n");
  EXPECT_EQ(device_errors("out[tile_m, tile_n] = x[tile_m, :]"),
            "shape-mismatch 6:31 the value does not fit the place it is stored to\n");
  EXPECT_EQ(device_errors("out[tile_m, 0] = a"),
            "rank-mismatch 6:26 the value has more dimensions than the place it is stored to\n");
  EXPECT_EQ(device_errors("b = x[tile_m]"),
            "rank-mismatch 6:13 `x` has 2 dimensions, and 1 subscript is given\n");
  EXPECT_EQ(device_errors("b = torch.sum(a, dim=2)"),
            "dim-out-of-range 6:30 dimension 2 of a value with 2 dimensions\n");
  EXPECT_EQ(device_errors("b = x[0, :].reshape(5, 7)"),
            "shape-mismatch 6:13 a tile [32] of f32 cannot be viewed as [5, 7]\n");
}

TEST(Errors, TileMismatchIsDrawnWithBothShapes) {
  const Checked c = check_text(in_device("b = a + a.sum(1)"), {{"x", "f32[64,32]"}});
  EXPECT_EQ(c.rendered,
            "error[tile-mismatch]: `+` on tiles of different extent\n"
            "  k.py:11:15\n"
            "   11 |         b = a + a.sum(1)\n"
            "      |             - ^ -------- tile [tile_m] of f32\n"
            "      |             tile [tile_m, tile_n] of f32\n"
            "hint: index both with one tile, or keep a reduced dimension with `keepdim=True`\n");
}

TEST(Errors, MatrixProducts) {
  EXPECT_EQ(device_errors("b = a @ a"),
            "dot-mismatch 6:13 `@` has operands whose inner extents differ\n");
  EXPECT_EQ(device_errors("b = torch.addmm(hl.zeros([tile_n, tile_m]), a, a.T)"),
            "dot-mismatch 6:13 the accumulator of `torch.addmm` does not fit the product\n");
  EXPECT_EQ(device_errors("b = hl.dot(a, a.T, acc=hl.zeros([tile_m, tile_m], torch.int32))"),
            "dtype-not-allowed 6:32 an accumulator of i32 does not fit operands of f32\n");
}

TEST(Errors, Dtypes) {
  EXPECT_EQ(device_errors("b = a & 1"), "dtype-not-allowed 6:15 `&` is not defined for f32\n");
  EXPECT_EQ(device_errors("b = -(a > 0)"), "dtype-not-allowed 6:13 `-` is not defined for bool\n");
  EXPECT_EQ(device_errors("b = torch.mean(a.int())"),
            "dtype-not-allowed 6:13 `torch.mean` is not defined for i32\n");
  EXPECT_EQ(device_errors("b = torch.where(a, a, a)"),
            "dtype-not-allowed 6:25 the condition of `torch.where` must be bool, and this is tile "
            "[tile_m, tile_n] of f32\n");
}

TEST(Errors, Stack) {
  EXPECT_EQ(device_errors("b = torch.stack([a, a.sum(1)])"),
            "shape-mismatch 6:13 a tile [tile_m, tile_n] of f32 is stacked with a tile [tile_m] of "
            "f32\n");
  EXPECT_EQ(device_errors("b = torch.stack([a, a], dim=3)"),
            "dim-out-of-range 6:37 dimension 3 of a value with 3 dimensions\n");
  EXPECT_EQ(
      device_errors("b = torch.stack([])"),
      "bad-argument 6:25 `torch.stack` needs one tensor or more in a list here, and this is a "
      "list\n");
}

TEST(Errors, ExtremesOfNothing) {
  const auto errors = [](const std::string& call) {
    return check_text(in_device("b = " + call), {{"x", "f32[64,32]"}, {"y", "f32[64,0]"}}).errors;
  };
  const std::string text = " over dimension 1, which has size 0\n";
  EXPECT_EQ(errors("y[tile_m, :].amax(-1)"), "empty-reduction 6:13 `torch.amax`" + text);
  EXPECT_EQ(errors("torch.argmin(y[tile_m, :], 1)"), "empty-reduction 6:13 `torch.argmin`" + text);
  EXPECT_EQ(errors("torch.max(y[tile_m, :], dim=1)[0]"), "empty-reduction 6:13 `torch.max`" + text);
  EXPECT_EQ(errors("y[tile_m, :].sum(-1)"), "");
}

TEST(Errors, Subscripts) {
  EXPECT_EQ(device_errors("b = x[tile_m, 1.5]"), "index-type 6:23 a float is no subscript\n");
  EXPECT_EQ(device_errors("b = x[tile_m, 32]"),
            "index-out-of-range 6:23 index 32 is outside dimension 1 of `x`, which has size 32\n");
  EXPECT_EQ(
      device_errors("b = x[tile_n, tile_m]"),
      "index-out-of-range 6:23 tile `tile_m` runs to 64, beyond dimension 1 of `x`, which has "
      "size 32\n");
  EXPECT_EQ(device_errors("b = x[a > 0, tile_n]"),
            "index-type 6:15 a subscript must be of an integer dtype, and this is tile [tile_m, "
            "tile_n] of bool\n");
  EXPECT_EQ(device_errors("b = x[::2, tile_n]"),
            "slice-bounds 6:17 a slice in device code must have step 1\n");
  EXPECT_EQ(device_errors("b = x[0:tile_m.begin, tile_n]"),
            "slice-bounds 6:15 the extent of this slice is not known while compiling\n");
  EXPECT_EQ(device_errors("b = [1, 2][5]"),
            "index-out-of-range 6:13 index 5 is outside a list of 2\n");
  EXPECT_EQ(device_errors("b = (a, a)[tile_m.begin]"),
            "index-type 6:20 a tuple is indexed with a device value\n");
  EXPECT_EQ(device_errors("a[tile_m, tile_n] = 0"),
            "store-to-device-value 6:9 a device value cannot be assigned through a subscript\n");
}

TEST(Errors, HostAndDevice) {
  EXPECT_EQ(device_errors("b = a + y"),
            "host-tensor-used-directly 6:17 host tensor `y` is used in device code without a "
            "subscript\n");
  EXPECT_EQ(device_errors("out = a"),
            "host-variable-modified 6:9 `out` is a variable of the host and cannot be assigned in "
            "device code\n");
  EXPECT_EQ(host_errors("b = hl.load(x, [0, 0])"),
            "device-only 3:9 `hl.load` is a function of device code\n");
  EXPECT_EQ(device_errors("b = hl.register_block_size(8)"),
            "host-only 6:13 `hl.register_block_size` is a function of host code\n");
  EXPECT_EQ(check_text("@helion.kernel\n"
                       "def k(x):\n"
                       "    for t in hl.tile(x.size(0)):\n"
                       "        s = x[t].sum()\n"
                       "    return s\n",
                       {{"x", "f32[64]"}})
                .errors,
            "device-variable-on-host 5:12 `s` is only assigned in device code\n");
}

TEST(Errors, Statements) {
  EXPECT_EQ(device_errors("return out"),
            "statement-not-allowed 6:9 `return` is not allowed in device code\n");
  EXPECT_EQ(device_errors("with torch.no_grad(): pass"),
            "statement-not-allowed 6:9 `with` is not allowed in device code\n");
  EXPECT_EQ(device_errors("assert tile_m.begin > 0"),
            "statement-not-allowed 6:9 `assert` is not allowed in device code\n");
  EXPECT_EQ(device_errors("b = c = a"),
            "statement-not-allowed 6:9 an assignment to several targets is not allowed in device "
            "code\n");
  EXPECT_EQ(device_errors("for i in range(3): break"),
            "statement-not-allowed 6:28 `break` is not allowed in device code\n");
  EXPECT_EQ(host_errors("global q"),
            "statement-not-allowed 3:5 `global` is not allowed in a kernel\n");
  EXPECT_EQ(host_errors("b = {1, 2}"),
            "expression-not-allowed 3:9 kernels cannot use this expression\n");
}

TEST(Errors, Conditions) {
  EXPECT_EQ(device_errors("if a: pass"),
            "condition-not-scalar 6:12 a condition must be a scalar, and this is a tile\n");
  EXPECT_EQ(device_errors("b = 1 if a.sum() > 0 else 2"),
            "expression-not-allowed 6:13 the condition of this expression is not known while "
            "compiling\n");
  EXPECT_EQ(host_errors("if x > 0: pass").substr(0, 25), "condition-not-scalar 3:8 ");
}

TEST(Errors, CarriedTypes) {
  EXPECT_EQ(device_errors("acc = hl.zeros([tile_m])\n"
                          "for i in range(3):\n"
                          "    acc = acc.to(torch.float16)"),
            "control-flow-tensor-mismatch 8:19 `acc` changes its type from one iteration to the "
            "next\n");
  EXPECT_EQ(device_errors("for i in range(3):\n"
                          "    s = a + i\n"
                          "b = s"),
            "control-flow-tensor-mismatch 8:13 `s` is only assigned inside a loop\n");
  EXPECT_EQ(device_errors("s = a\n"
                          "if a.sum() > 0:\n"
                          "    s = a.sum(1)"),
            "control-flow-tensor-mismatch 6:13 `s` has different types after the two branches\n");
  EXPECT_EQ(device_errors("if a.sum() > 0:\n"
                          "    s = a\n"
                          "b = s"),
            "control-flow-tensor-mismatch 8:13 `s` is only assigned in one branch of an `if`\n");
}

TEST(Errors, Constants) {
  EXPECT_EQ(device_errors("b = hl.zeros([a.sum()])"),
            "not-constant 6:23 the shape of a tile must be known while compiling\n");
  EXPECT_EQ(device_errors("for i in hl.static_range(tile_m.begin): pass"),
            "not-constant 6:34 the bounds of `hl.static_range` must be known while compiling\n");
  EXPECT_EQ(host_errors("b = 1 // 0"), "division-by-zero 3:11 division by zero\n");
  EXPECT_EQ(host_errors("while True: pass"),
            "kernel-too-large 3:5 this loop runs more than 10000 times\n");
  EXPECT_EQ(host_errors("for i in range(200):\n"
                        "    for j in range(9000): pass"),
            "kernel-too-large 4:31 this kernel unrolls into too many statements\n");
}

TEST(Errors, AssertionsAndExceptions) {
  EXPECT_EQ(host_errors("assert x.size(0) == x.size(1), f'{x.size(0)} rows'"),
            "assertion-failed 3:12 assertion failed: 64 rows\n");
  EXPECT_EQ(host_errors("assert x.dim() == 3"),
            "assertion-failed 3:12 assertion failed: `x.dim() == 3` is false\n");
  EXPECT_EQ(host_errors("raise ValueError('no')"),
            "raise-reached 3:5 the kernel raises ValueError: no\n");
}

TEST(Errors, Tunables) {
  EXPECT_EQ(host_errors("f = helion.autotuner.IntegerFragment(1, 4, 2)\n"
                        "p = hl.register_tunable('p', f)\n"
                        "q = hl.register_tunable('p', f)"),
            "tunable-conflict 5:29 there is a tunable `p` already\n");
}

TEST(Errors, ArgumentsOfKernels) {
  const std::string text =
      "@helion.kernel\n"
      "def k(x: torch.Tensor, scale: float):\n"
      "    for t in hl.tile(x.size(0)):\n"
      "        x[t] = scale\n";
  EXPECT_EQ(check_text(text, {{"x", "f32[8]"}}).errors,
            "kernel-argument 2:24 argument `scale` of `k` is missing\n");
  EXPECT_EQ(check_text(text, {{"x", "f32[8]"}, {"scal", "2.0"}, {"scale", "1.0"}}).errors,
            "kernel-argument 2:5 `k` has no argument `scal`\n");
  EXPECT_EQ(check_text(text, {{"x", "3"}, {"scale", "1.0"}}).errors,
            "kernel-argument 2:7 argument `x` is annotated `torch.Tensor`, and something else is "
            "given\n");
  EXPECT_EQ(check_text("@helion.kernel\ndef k(x, *rest): pass\n", {{"x", "3"}}).errors,
            "kernel-signature 2:11 a kernel cannot have the parameter `*rest`\n");
  EXPECT_EQ(check_text("@helion.kernel\ndef k(x): return x\n", {{"x", "f32[8]"}}).errors,
            "no-device-loop 2:5 `k` has no loop over tiles\n");
}

TEST(Errors, SeveralInOneRunAndNoFollowUps) {
  EXPECT_EQ(device_errors("b = torch.expp(a)\n"
                          "c = b + 1\n"
                          "d = c.sum(7)\n"
                          "e = unknown"),
            "unknown-attribute 6:19 `torch` has no `expp` that is known here\n"
            "unknown-name 9:13 `unknown` is not defined\n");
}

}  // namespace
}  // namespace peri::check
