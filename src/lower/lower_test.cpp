#include "lower/lower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "ir/parse.h"
#include "ir/verify.h"
#include "lower/testing.h"

namespace peri::lower {
namespace {

using check::Builtin;
using check::Texpr;
using check::TexprId;
using check::TexprKind;
using check::Tstmt;
using check::TstmtId;
using check::TstmtKind;
using check::VarId;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// Well formed, and the text reads back.
void expect_sound(const ir::Kernel& kernel) {
  std::string text = ir::print(kernel);
  EXPECT_THAT(ir::verify(kernel), IsEmpty()) << text;
  diag::Sources sources;
  diag::Diags diags(sources);
  auto again = ir::parse(sources.add("k.ir", text), diags);
  ASSERT_TRUE(again) << diag::render_text(diags) << text;
  EXPECT_EQ(ir::print(*again), text);
}

std::string body_of(const ir::Kernel& kernel) {
  std::string text = ir::print(kernel);
  return text.substr(text.find("  root"));
}

// --- kernels that ship
// ---------------------------------------------------------------------------

struct Shipped {
  const char* file;
  const char* kernel;
  std::map<std::string, std::string> args;
};

const Shipped kShipped[] = {
    {"basic/add", "add", {{"x", "f32[10,12]"}, {"y", "bf16[12]"}}},
    {"basic/exp", "exp_backward", {{"grad_out", "f32[30]"}, {"exp_x", "f32[30]"}}},
    {"basic/long_sum", "long_sum", {{"x", "f32[4,1000]"}}},
    {"basic/long_sum", "long_sum_manual", {{"x", "f32[4,1000]"}}},
    {"basic/matmul", "matmul", {{"x", "f32[10,20]"}, {"y", "f32[20,30]"}}},
    {"basic/matmul", "matmul_epilogue", {{"x", "bf16[10,20]"}, {"y", "bf16[20,30]"}}},
    {"basic/matmul", "addmm", {{"bias", "f32[30]"}, {"x", "f32[10,20]"}, {"y", "f32[20,30]"}}},
    {"basic/matmul", "bmm", {{"a", "f32[3,10,20]"}, {"b", "f32[3,20,30]"}}},
    {"basic/matmul", "broadcast_matmul", {{"x", "f32[3,10,20]"}, {"y", "f32[20,30]"}}},
    {"basic/matmul",
     "matmul_layer_norm",
     {{"x", "f32[10,20]"}, {"y", "f32[20,30]"}, {"weight", "f32[30]"}, {"bias", "f32[30]"}}},
    {"basic/softmax", "softmax", {{"x", "bf16[10,20]"}}},
    {"basic/softmax", "softmax_two_pass", {{"x", "f32[10,20]"}}},
    {"basic/softmax", "batch_softmax", {{"x", "f32[3,10,20]"}}},
    {"basic/sum", "row_sum", {{"x", "f16[10,20]"}}},
    {"library/attention",
     "attention",
     {{"q_in", "f32[2,3,10,16]"}, {"k_in", "f32[2,3,12,16]"}, {"v_in", "f32[2,3,12,16]"}}},
    {"library/attention",
     "causal_attention",
     {{"q_in", "f32[2,3,10,16]"}, {"k_in", "f32[2,3,10,16]"}, {"v_in", "f32[2,3,10,16]"}}},
    {"library/dropout", "dropout", {{"p", "0.5"}, {"x", "f32[100]"}, {"seed", "3"}}},
    {"library/embedding", "embedding", {{"x", "i64[4,5]"}, {"weight", "f32[100,16]"}}},
    {"library/gated", "geglu", {{"a", "bf16[10,20]"}, {"b", "bf16[10,20]"}}},
    {"library/loss", "cross_entropy", {{"logits", "f32[10,20]"}, {"labels", "i64[10]"}}},
    {"library/loss", "kl_div", {{"y_pred", "f32[10,20]"}, {"y_true", "f32[10,20]"}}},
    {"library/loss",
     "jsd",
     {{"log_q", "f32[10,20]"}, {"log_p", "f32[10,20]"}, {"labels", "i64[10]"}}},
    {"library/nearest",
     "nearest_label",
     {{"queries", "f32[10,64]"}, {"points", "f32[20,64]"}, {"labels", "i64[20]"}}},
    {"library/norm",
     "layer_norm",
     {{"x", "f16[10,20]"}, {"weight", "f16[20]"}, {"bias", "f16[20]"}}},
    {"library/norm",
     "rms_norm_backward",
     {{"grad_out", "f32[10,20]"},
      {"x", "f32[10,20]"},
      {"weight", "f32[20]"},
      {"inverse_rms", "f32[10]"}}},
    {"library/norm", "welford", {{"weight", "f32[20]"}, {"bias", "f32[20]"}, {"x", "f32[10,20]"}}},
};

std::string replaced(std::string text, std::string_view what, std::string_view by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size()) {
    text.replace(at, what.size(), by);
  }
  return text;
}

std::string with_dynamic_shapes(std::string text) {
  text = replaced(std::move(text), "static_shapes=True", "");
  return replaced(std::move(text), "@helion.kernel(", "@helion.kernel(static_shapes=False, ");
}

TEST(Shipped, KernelsLowerToSoundIr) {
  for (const Shipped& shipped : kShipped) {
    std::ifstream file(fmt::format(PERI_SOURCE_DIR "/kernels/{}.py", shipped.file));
    std::stringstream text;
    text << file.rdbuf();
    for (bool dynamic : {false, true}) {
      SCOPED_TRACE(fmt::format("{} {}", shipped.kernel, dynamic ? "dynamic" : "static"));
      std::string source = dynamic ? with_dynamic_shapes(text.str()) : text.str();
      FromText result = lower_text(source, shipped.kernel, shipped.args);
      ASSERT_TRUE(result.lowered) << result.errors;
      expect_sound(result.lowered->kernel);
    }
  }
}

// --- kernels from text
// ---------------------------------------------------------------------------

constexpr std::string_view kHead =
    "import torch\nimport helion\nimport helion.language as hl\n\n@helion.kernel()\n";

Lowered lower_body(std::string_view function, const std::map<std::string, std::string>& args) {
  FromText result = lower_text(std::string(kHead) + std::string(function), "", args);
  EXPECT_TRUE(result.lowered) << result.errors;
  if (!result.lowered) return {};
  expect_sound(result.lowered->kernel);
  return std::move(*result.lowered);
}

TEST(FromText, LoopsCarryWhatTheyAssign) {
  Lowered lowered = lower_body(R"(def k(x, n: int):
    out = torch.empty([x.size(0)], dtype=torch.float32)
    for tile in hl.tile(x.size(0)):
        acc = hl.zeros([tile], dtype=torch.float32)
        unused = acc
        for inner in hl.tile(x.size(1)):
            part = x[tile, inner].sum(1)
            acc = acc + part
        out[tile] = acc
    return out
)",
                               {{"x", "f32[64,40]"}, {"n", "3"}});
  EXPECT_EQ(ir::print(lowered.kernel), R"(kernel k
  symbol @n: int = arg_value leaf 1 hint 3
  symbol @b0: int = block of b0 hint 16
  symbol @b1: int = block of b1 hint 16
  tensor x: f32[64, 40] strides [40, 1] slot 0 base 0
  tensor out: f32[64] strides [1] slot 1 base 1 aligned
  block b0 "tile": tile size=@b0 in 0..64 loop 0
  block b1 "inner": tile size=@b1 in 0..40 loop 1
  root (b0) {
    %0: f32 = const 0.0
    %1 acc: f32[b0:@b0] = expand %0
    %2: i64 = const 0
    %3: i64 = const 40
    %8 acc: f32[b0:@b0] = for (b1 in %2..%3) carry (%4 acc: f32[b0:@b0] = %1) {
      %5: f32[b0:@b0, b1:@b1] = load x[b0, b1]
      %6 part: f32[b0:@b0] = sum %5, [1]
      %7 acc: f32[b0:@b0] = add %4, %6
      yield %7
    }
    store %8, out[b0]
  }
)");
}

TEST(FromText, BranchesMergeWhatTheyAssign) {
  Lowered lowered = lower_body(R"(def k(x):
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        v = x[tile]
        if tile.begin == 0:
            v = v + 1
            w = v
        else:
            w = -v
        out[tile] = v * w
    return out
)",
                               {{"x", "f32[64]"}});
  EXPECT_EQ(body_of(lowered.kernel), R"(  root (b0) {
    %0 v: f32[b0:@b0] = load x[b0]
    %1: i64 = tile_begin b0
    %2: i64 = const 0
    %3: bool = eq %1, %2
    %7 v: f32[b0:@b0], %8 w: f32[b0:@b0] = if %3 {
      %4: f32 = const 1.0
      %5 v: f32[b0:@b0] = add %0, %4
      yield %5, %5
    } else {
      %6 w: f32[b0:@b0] = neg %0
      yield %0, %6
    }
    %9: f32[b0:@b0] = mul %7, %8
    store %9, out[b0]
  }
)");
}

TEST(FromText, SubscriptsKeepTheirMeaning) {
  Lowered lowered = lower_body(R"(def k(x, at):
    out = torch.empty([x.size(0), 4], dtype=x.dtype)
    for tile in hl.tile(x.size(0)):
        a = x[tile, 2:6]
        b = x[at[tile], 3]
        c = hl.load(x, [tile.index + 1, 0], extra_mask=tile.index < 9)
        out[tile, :] = a + (b + c)[:, None]
    return out
)",
                               {{"x", "f32[10,8]"}, {"at", "i32[10]"}});
  std::string text = body_of(lowered.kernel);
  EXPECT_THAT(text, HasSubstr("%1 a: f32[b0:@b0, 4] = load x[b0, %0:4]"));
  EXPECT_THAT(text, HasSubstr(": f32[b0:@b0] = load x[gather %"));
  EXPECT_THAT(text, HasSubstr("load x[b0+%"));
  EXPECT_THAT(text, HasSubstr("] where %"));
  EXPECT_THAT(text, HasSubstr(", out[b0, :4]"));
}

TEST(FromText, HalvesAreWidenedOnceInComposites) {
  Lowered lowered = lower_body(R"(def k(x):
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile, :] = torch.softmax(x[tile, :], dim=1)
    return out
)",
                               {{"x", "bf16[10,8]"}});
  EXPECT_EQ(body_of(lowered.kernel), R"(  root (b0) {
    %0: bf16[b0:@b0, 8] = load x[b0, :8]
    %1: f32[b0:@b0, 8] = cast %0
    %2: f32[b0:@b0] = reduce_max %1, [1]
    %3: f32[b0:@b0, 1] = unsqueeze %2, [1]
    %4: f32[b0:@b0, 8] = expand %3
    %5: f32[b0:@b0, 8] = sub %1, %4
    %6: f32[b0:@b0, 8] = exp %5
    %7: f32[b0:@b0] = sum %6, [1]
    %8: f32[b0:@b0, 1] = unsqueeze %7, [1]
    %9: f32[b0:@b0, 8] = expand %8
    %10: f32[b0:@b0, 8] = div %6, %9
    %11: bf16[b0:@b0, 8] = cast %10
    store %11, out[b0, :8]
  }
)");
}

TEST(FromText, MeansCountTheElementsThatExist) {
  Lowered lowered = lower_body(R"(def k(x):
    out = torch.empty([4], dtype=torch.float32)
    for tile in hl.tile(x.size(0)):
        out[tile.id] = x[tile, :].mean([0, 1])
    return out
)",
                               {{"x", "f32[10,8]"}});
  std::string text = body_of(lowered.kernel);
  EXPECT_THAT(text, HasSubstr(R"(sum %0, [1]
    %2: f32 = sum %1, [0]
    %3: i64 = tile_end b0
    %4: i64 = tile_begin b0
    %5: i64 = sub %3, %4
    %6: f32 = cast %5
    %7: f32 = const 8.0
    %8: f32 = mul %7, %6
    %9: f32 = div %2, %8)"));
}

TEST(FromText, EqualSizesHaveOneSpelling) {
  FromText result = lower_text(with_dynamic_shapes(std::string(kHead) + R"(def k(x, y):
    m, k = x.size()
    k2, n = y.size()
    assert k == k2
    out = torch.empty([m, n], dtype=torch.float32)
    for tile in hl.tile(m):
        out[tile, :] = x[tile, :] @ y[:, :]
    return out
)"),
                               "", {{"x", "f32[10,8]"}, {"y", "f32[8,6]"}});
  ASSERT_TRUE(result.lowered) << result.errors;
  expect_sound(result.lowered->kernel);
  // The assert itself still compares the two.
  EXPECT_THAT(print(result.lowered->host), HasSubstr("check "));
  EXPECT_THAT(ir::print(result.lowered->kernel), Not(HasSubstr("reshape")));
}

TEST(FromText, ViewsAreTensorsOfTheirOwn) {
  Lowered lowered = lower_body(R"(def k(x):
    flat = x.view(-1)
    turned = x.transpose(0, 1)
    out = torch.empty([80], dtype=x.dtype)
    part = out[8:]
    for tile in hl.tile(72):
        part[tile] = flat[tile] + turned[0, 0]
    return out, x.size(0), None
)",
                               {{"x", "f32[10,8]"}});
  std::string text = ir::print(lowered.kernel);
  EXPECT_THAT(text, HasSubstr("f32[80] strides [1] slot 1 base 0\n"));
  EXPECT_THAT(text, HasSubstr("f32[8, 10] strides [1, 8] slot 2 base 0\n"));
  EXPECT_THAT(text, HasSubstr("f32[72] strides [1] slot 4 base 3\n"));
  EXPECT_EQ(print(lowered.host), R"(host program
  slot 0:x: f32[10, 8] strides [8, 1] argument x
  slot 1:x: f32[80] strides [1] view of 0:x from 0
  slot 2:x: f32[8, 10] strides [1, 8] view of 0:x from 0
  slot 3:out: f32[80] strides [1] allocated
  slot 4:out: f32[72] strides [1] view of 3:out from 8
  allocate 3:out
  launch root 0
  return (3:out, 10, none)
)");
}

// Every function on every dtype: what typing accepts lowers to sound IR.
TEST(FromText, EveryFunctionLowers) {
  const char* functions[] = {
      "-x",
      "abs(x)",
      "torch.sign(x)",
      "torch.exp(x)",
      "torch.exp2(x)",
      "torch.expm1(x)",
      "torch.log(x)",
      "torch.log2(x)",
      "torch.log10(x)",
      "torch.log1p(x)",
      "torch.sqrt(x)",
      "torch.rsqrt(x)",
      "torch.reciprocal(x)",
      "torch.sin(x)",
      "torch.cos(x)",
      "torch.tan(x)",
      "torch.sinh(x)",
      "torch.cosh(x)",
      "torch.tanh(x)",
      "torch.asin(x)",
      "torch.acos(x)",
      "torch.atan(x)",
      "torch.erf(x)",
      "torch.erfc(x)",
      "torch.sigmoid(x)",
      "torch.floor(x)",
      "torch.ceil(x)",
      "torch.round(x)",
      "torch.trunc(x)",
      "torch.isnan(x)",
      "torch.isinf(x)",
      "torch.logical_not(x)",
      "~x",
      "x + y",
      "x - y",
      "x * y",
      "x / y",
      "x // y",
      "x % y",
      "torch.fmod(x, y)",
      "x ** y",
      "x ** 2",
      "torch.atan2(x, y)",
      "torch.maximum(x, y)",
      "torch.minimum(x, y)",
      "x == y",
      "x != y",
      "x < y",
      "x <= y",
      "x > y",
      "x >= y",
      "x & y",
      "x | y",
      "x ^ y",
      "x << 1",
      "x >> 1",
      "torch.where(x > y, x, y)",
      "x.to(torch.float16)",
      "x.to(torch.uint8)",
      "x.to(torch.bool)",
      "x.sum(1)",
      "x.sum()",
      "x.sum([0, 1])",
      "x.sum(1, keepdim=True)",
      "x.prod(1)",
      "torch.amax(x, 1)",
      "torch.amin(x, [0, 1])",
      "torch.argmax(x, 1)",
      "torch.argmin(x, 1, keepdim=True)",
      "torch.any(x, 1)",
      "torch.all(x, 0)",
      "x.mean(1)",
      "x.mean([0, 1], keepdim=True)",
      "torch.var(x, 1)",
      "torch.var(x, 1, correction=0)",
      "torch.std(x, dim=1)",
      "torch.var_mean(x, 1)[0]",
      "torch.softmax(x, 1)",
      "torch.log_softmax(x, 0)",
      "torch.relu(x)",
      "torch.nn.functional.silu(x)",
      "torch.nn.functional.gelu(x)",
      "torch.nn.functional.gelu(x, approximate='tanh')",
      "torch.nn.functional.softplus(x)",
      "torch.nn.functional.softplus(x, beta=2.0)",
      "torch.clamp(x, 0, 1)",
      "torch.clamp(x, min=0)",
      "torch.lerp(x, y, 0.25)",
      "torch.lerp(x, y, x)",
      "x.T",
      "x.permute(1, 0)",
      "x[:, None, :]",
      "x.unsqueeze(0).squeeze(0)",
      "x[:, None, :] + y[None, :, :]",
      "x @ y.T",
      "torch.addmm(x @ y.T, x, y.T)",
      "hl.dot(x, y.T)",
      "hl.rand([tile, 8], 3)",
      "hl.arange(8)",
      "tile.index",
      "tile.block_size * x",
      "x.reshape([tile, 2, 4])",
  };
  i64 lowered = 0;
  for (const char* function : functions) {
    for (const char* dtype :
         {"f32", "f64", "f16", "bf16", "i64", "i32", "i16", "i8", "u8", "bool"}) {
      SCOPED_TRACE(fmt::format("{} of {}", function, dtype));
      std::string text = fmt::format(
          "{}def k(a, b, out):\n"
          "    for tile in hl.tile(a.size(0)):\n"
          "        x = a[tile, :]\n"
          "        y = b[tile, :]\n"
          "        z = {}\n"
          "        out[tile.id] = (z != z).to(torch.float32).sum()\n",
          kHead, function);
      std::string tensor = fmt::format("{}[10,8]", dtype);
      FromText result = lower_text(text, "", {{"a", tensor}, {"b", tensor}, {"out", "f32[10]"}});
      EXPECT_TRUE(result.lowered || !result.errors.empty());
      if (!result.lowered) continue;
      ++lowered;
      expect_sound(result.lowered->kernel);
    }
  }
  EXPECT_GT(lowered, 850);  // most are defined on most dtypes
}

// --- typed kernels by hand
// -----------------------------------------------------------------------

// A root over x [10, 8] f32 in tiles of 4 rows, storing to out [10, 8].
struct Hand {
  Hand() {
    typed.name = "k";
    typed.syms = std::make_shared<SymTable>();
    for (const char* name : {"x", "out"}) {
      check::HostTensor tensor;
      tensor.name = name;
      tensor.sizes = {integer(10), integer(8)};
      tensor.strides = {integer(8), integer(1)};
      typed.tensors.push_back(tensor);
    }
    Block block;
    block.name = "tile";
    block.size = integer(4);
    block.end = integer(10);
    typed.blocks.push_back(block);
    typed.blocks.push_back(block);
    typed.blocks[1].end = {};
    typed.roots.push_back({{BlockId(0)}, {}, {}});
  }

  Sym integer(i64 value) { return typed.syms->integer(value); }
  Dim rows() { return {integer(4), BlockId(0)}; }
  TileType tile(Dtype dtype = Dtype::F32) { return {dtype, {rows(), {integer(8), {}}}}; }

  TexprId add(Texpr e) {
    typed.exprs.push_back(std::move(e));
    return TexprId(std::ssize(typed.exprs) - 1);
  }
  TexprId scalar(i64 value, Dtype dtype = Dtype::I64) {
    Texpr e;
    e.type = {dtype, {}};
    e.sym = integer(value);
    return add(e);
  }
  TexprId load() {
    Texpr e;
    e.kind = TexprKind::Load;
    e.type = tile();
    e.tensor = check::TensorId(0);
    e.indices = subscripts();
    return add(e);
  }
  std::vector<check::TIndex> subscripts() {
    return {{check::TIndex::Kind::Tile, BlockId(0), {}, {}},
            {check::TIndex::Kind::Range, {}, {}, integer(8)}};
  }
  TexprId var(VarId id, TileType type) {
    Texpr e;
    e.kind = TexprKind::Var;
    e.type = std::move(type);
    e.var = id;
    return add(e);
  }
  TexprId apply(Builtin builtin, std::vector<TexprId> operands, TileType type) {
    Texpr e;
    e.kind = TexprKind::Apply;
    e.type = std::move(type);
    e.builtin = builtin;
    e.operands = std::move(operands);
    return add(e);
  }
  VarId variable(std::string name) {
    typed.vars.push_back({std::move(name)});
    return VarId(std::ssize(typed.vars) - 1);
  }
  TstmtId add(Tstmt stmt) {
    typed.stmts.push_back(std::move(stmt));
    return TstmtId(std::ssize(typed.stmts) - 1);
  }
  TstmtId assign(VarId id, TexprId value) {
    Tstmt stmt{};
    stmt.kind = TstmtKind::Assign;
    stmt.var = id;
    stmt.value = value;
    return add(std::move(stmt));
  }
  TstmtId store(TexprId value) {
    Tstmt stmt{};
    stmt.kind = TstmtKind::Store;
    stmt.value = value;
    stmt.tensor = check::TensorId(1);
    stmt.indices = subscripts();
    return add(std::move(stmt));
  }
  TstmtId loop(std::vector<TstmtId> body) {
    Tstmt stmt{};
    stmt.kind = TstmtKind::For;
    stmt.blocks = {BlockId(1)};
    stmt.begins = {scalar(0)};
    stmt.ends = {scalar(12)};
    stmt.body = std::move(body);
    return add(std::move(stmt));
  }
  std::string lower_root(std::vector<TstmtId> body) {
    typed.roots[0].body = std::move(body);
    Lowered lowered = lower(typed);
    expect_sound(lowered.kernel);
    return body_of(lowered.kernel);
  }

  check::TypedKernel typed;
};

// A name that is used again for another type inside a loop is not carried.
TEST(ByHand, OtherTypesAreNotCarried) {
  Hand h;
  VarId v = h.variable("v");
  TexprId other = h.apply(Builtin::Cast, {h.load()}, h.tile(Dtype::I32));
  std::string text =
      h.lower_root({h.assign(v, h.load()), h.loop({h.assign(v, other)}), h.store(h.load())});
  EXPECT_THAT(text, HasSubstr("    for (b1 in %1..%2) {"));
}

TEST(ByHand, AssignmentsOfOuterVariablesCrossNestedLoops) {
  Hand h;
  VarId v = h.variable("v");
  h.typed.blocks.push_back(h.typed.blocks[1]);
  TexprId next = h.apply(Builtin::Exp, {h.var(v, h.tile())}, h.tile());
  TstmtId inner = h.loop({h.assign(v, next)});
  h.typed.stmts[inner.index].blocks = {BlockId(2)};
  std::string text =
      h.lower_root({h.assign(v, h.load()), h.loop({inner}), h.store(h.var(v, h.tile()))});
  EXPECT_EQ(text, R"(  root (b0) {
    %0 v: f32[b0:4, 8] = load x[b0, :8]
    %1: i64 = const 0
    %2: i64 = const 12
    %9 v: f32[b0:4, 8] = for (b1 in %1..%2) carry (%3 v: f32[b0:4, 8] = %0) {
      %4: i64 = const 0
      %5: i64 = const 12
      %8 v: f32[b0:4, 8] = for (b2 in %4..%5) carry (%6 v: f32[b0:4, 8] = %3) {
        %7 v: f32[b0:4, 8] = exp %6
        yield %7
      }
      yield %8
    }
    store %9, out[b0, :8]
  }
)");
}

// What one expression mentions twice is computed once.
TEST(ByHand, SharedExpressionsAreLoweredOnce) {
  Hand h;
  TexprId x = h.load();
  for (int i = 0; i < 40; ++i) x = h.apply(Builtin::Add, {x, x}, h.tile());
  std::string text = h.lower_root({h.store(x)});
  EXPECT_EQ(std::ranges::count(text, '='), 41);
}

// A carried value may have the full extent of a block whose tile its next value is.
TEST(ByHand, CarriedValuesMayBeWiderThanTheNext) {
  Hand h;
  VarId v = h.variable("acc");
  TileType full{Dtype::F32, {{h.integer(4), {}}}}, part{Dtype::F32, {{h.integer(4), BlockId(1)}}};
  Texpr index;
  index.kind = TexprKind::TileAttr;
  index.type = {Dtype::I32, part.shape};
  index.block = BlockId(1);
  index.attr = check::TileAttr::Index;
  TexprId numbers = h.apply(Builtin::Cast, {h.add(index)}, part);
  TexprId zeros = h.apply(Builtin::Expand, {h.scalar(0, Dtype::F32)}, full);
  TexprId next = h.apply(Builtin::Add, {h.var(v, full), numbers}, part);
  std::string text =
      h.lower_root({h.assign(v, zeros), h.loop({h.assign(v, next)}), h.store(h.load())});
  EXPECT_THAT(text, HasSubstr("carry (%4 acc: f32[4] = %1)"));
  EXPECT_THAT(text, HasSubstr(" acc: f32[b1:4] = add %4, %6"));
}

TEST(ByHand, ExtentsThatOnlyGuardsEquateAreReshaped) {
  Hand h;
  SymTable& syms = *h.typed.syms;
  Sym a = syms.symbol_sym(syms.add_symbol({.name = "a", .block = {}, .hint = {}}));
  Sym b = syms.symbol_sym(syms.add_symbol({.name = "b", .block = {}, .hint = {}}));
  h.typed.guards.push_back({syms.mul(a, b), syms.add(a, b)});  // no symbol to replace
  TileType left{Dtype::F32, {{syms.mul(a, b), {}}}}, right{Dtype::F32, {{syms.add(a, b), {}}}};
  TexprId zero = h.scalar(0, Dtype::F32);
  TexprId sum = h.apply(
      Builtin::Add,
      {h.apply(Builtin::Expand, {zero}, left), h.apply(Builtin::Expand, {zero}, right)}, left);
  VarId v = h.variable("v");
  EXPECT_THAT(h.lower_root({h.assign(v, sum)}), HasSubstr(": f32[mul(@a, @b)] = reshape "));
}

TEST(ByHandDeathTest, ReadingWhatHasNoValueIsABug) {
  Hand h;
  VarId v = h.variable("v");
  h.typed.roots[0].body = {h.store(h.var(v, h.tile()))};
  EXPECT_DEATH(lower(h.typed), "`v` is read before it has a value");
}

TEST(Host, ProgramsPrintEveryStatement) {
  Hand h;
  using Kind = check::HostStmt::Kind;
  check::HostStmt stmt{};
  h.typed.leaf_names = {"x"};
  h.typed.tensors[0].leaf = 0;
  h.typed.tensors[1].kind = check::HostTensor::Kind::Alloc;
  h.typed.guards.push_back({h.integer(8), h.integer(8)});
  h.typed.tunables.push_back({"unroll", {}, "integer", 1, 4, {}, SymValue::of(i64{2})});
  stmt.kind = Kind::Alloc;
  stmt.tensor = check::TensorId(1);
  stmt.fill = h.typed.syms->real(0.5);
  h.typed.host.push_back(stmt);
  stmt.kind = Kind::Check;
  stmt.condition = h.typed.syms->boolean(true);
  stmt.text = "must hold";
  h.typed.host.push_back(stmt);
  stmt.kind = Kind::Copy;
  stmt.source = check::TensorId(0);
  h.typed.host.push_back(stmt);
  stmt.kind = Kind::Launch;
  stmt.root = 0;
  h.typed.host.push_back(stmt);
  stmt.kind = Kind::Return;
  stmt.value.kind = check::ReturnValue::Kind::Tensor;
  stmt.value.tensor = check::TensorId(1);
  h.typed.host.push_back(stmt);
  EXPECT_EQ(print(lower(h.typed).host), R"(host program
  slot 0:x: f32[10, 8] strides [8, 1] argument x
  slot 1:out: f32[10, 8] strides [8, 1] allocated
  tunable unroll: integer
  guard 8 == 8
  allocate 1:out filled with 0.5
  check True else "must hold"
  copy 0:x to 1:out
  launch root 0
  return 1:out
)");
}

}  // namespace
}  // namespace peri::lower
