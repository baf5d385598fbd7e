// Every kernel under kernels/ types, with static and with dynamic shapes; so do kernels in the
// manner of others' files.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "check/check_text_test.h"

namespace peri::check {
namespace {

struct Case {
  std::string file, kernel;
  ArgTexts args;
};

std::string read(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"basic/add", "add", {{"x", "f32[64,128]"}, {"y", "bf16[128]"}}},
      {"basic/exp", "exp", {{"x", "f16[999]"}}},
      {"basic/exp", "exp_backward", {{"grad_out", "f32[99]"}, {"exp_x", "f32[99]"}}},
      {"basic/sum", "row_sum", {{"x", "f32[64,1280]"}}},
      {"basic/long_sum", "long_sum", {{"x", "f32[4,130000]"}}},
      {"basic/long_sum", "long_sum_looped", {{"x", "f32[4,130000]"}}},
      {"basic/long_sum", "long_sum_manual", {{"x", "f32[4,130000]"}}},
      {"basic/softmax", "softmax", {{"x", "f32[64,1280]"}}},
      {"basic/softmax", "softmax_decomposed", {{"x", "f32[64,1280]"}}},
      {"basic/softmax", "softmax_two_pass", {{"x", "f32[64,1280]"}}},
      {"basic/softmax", "batch_softmax", {{"x", "f32[16,64,1280]"}}},
      {"basic/softmax",
       "softmax_backward",
       {{"grad_out", "f32[64,128]"}, {"softmax_out", "f32[64,128]"}}},
      {"basic/matmul", "matmul", {{"x", "f32[37,129]"}, {"y", "f32[129,65]"}}},
      {"basic/matmul", "matmul", {{"x", "f32[1,4096]"}, {"y", "f32[4096,4096].t"}}},
      {"basic/matmul",
       "matmul_epilogue",
       {{"x", "f16[64,128]"},
        {"y", "f16[128,32]"},
        {"epilogue", "lambda acc, tile: torch.relu(acc + bias[tile[1]])"},
        {"bias", "f32[32]"}}},
      {"basic/matmul",
       "matmul_bias_relu",
       {{"x", "f16[64,128]"}, {"y", "f16[128,32]"}, {"bias", "f16[32]"}}},
      {"basic/matmul",
       "addmm",
       {{"x", "f16[64,128]"}, {"y", "f16[128,32]"}, {"bias", "f16[32]"}, {"alpha", "2.0"}}},
      {"basic/matmul", "bmm", {{"a", "f16[4,64,128]"}, {"b", "f16[4,128,32]"}}},
      {"basic/matmul", "broadcast_matmul", {{"x", "f16[4,64,128]"}, {"y", "f16[128,32]"}}},
      {"basic/matmul",
       "matmul_layer_norm",
       {{"x", "f16[64,128]"}, {"y", "f16[128,400]"}, {"weight", "f16[400]"}, {"bias", "f16[400]"}}},
      {"library/attention",
       "attention",
       {{"q_in", "f16[2,3,64,48]"}, {"k_in", "f16[2,3,70,48]"}, {"v_in", "f16[2,3,70,48]"}}},
      {"library/attention",
       "causal_attention",
       {{"q_in", "f32[2,3,64,80]"}, {"k_in", "f32[2,3,64,80]"}, {"v_in", "f32[2,3,64,80]"}}},
      {"library/dropout", "dropout", {{"p", "0.5"}, {"x", "f32[1000]"}, {"seed", "12"}}},
      {"library/embedding", "embedding", {{"x", "i32[8,10]"}, {"weight", "f32[100,64]"}}},
      {"library/gated", "geglu", {{"a", "bf16[8,10]"}, {"b", "bf16[8,10]"}}},
      {"library/gated", "swiglu", {{"a", "bf16[8,10]"}, {"b", "bf16[8,10]"}}},
      {"library/gated",
       "swiglu_backward",
       {{"grad_out", "bf16[8,10]"}, {"a", "bf16[8,10]"}, {"b", "bf16[8,10]"}}},
      {"library/loss", "cross_entropy", {{"logits", "f32[64,1000]"}, {"labels", "i64[64]"}}},
      {"library/loss",
       "kl_div",
       {{"y_pred", "f32[64,100]"}, {"y_true", "f32[64,100]"}, {"log_target", "true"}}},
      {"library/loss",
       "kl_div",
       {{"y_pred", "f32[64,100]"}, {"y_true", "f32[64,100]"}, {"reduction", "'none'"}}},
      {"library/loss", "jsd", {{"log_q", "f32[64,100]"}, {"log_p", "f32[64,100]"}}},
      {"library/loss",
       "jsd",
       {{"log_q", "f32[64,100]"},
        {"log_p", "f32[64,100]"},
        {"labels", "i64[64]"},
        {"beta", "0.0"}}},
      {"library/nearest",
       "nearest_label",
       {{"queries", "f32[100,64]"}, {"points", "f32[1600,64]"}, {"labels", "i64[1600]"}}},
      {"library/norm",
       "layer_norm",
       {{"x", "f16[100,64]"}, {"weight", "f16[64]"}, {"bias", "f16[64]"}}},
      {"library/norm", "layer_norm", {{"x", "f32[9,64]"}, {"weight", "f32[64]"}, {"eps", "1e-6"}}},
      {"library/norm", "rms_norm", {{"x", "f16[100,64]"}, {"weight", "f16[64]"}}},
      {"library/norm",
       "rms_norm_backward",
       {{"x", "f16[100,64]"},
        {"weight", "f16[64]"},
        {"inverse_rms", "f32[100]"},
        {"grad_out", "f16[100,64]"}}},
      {"library/norm",
       "welford",
       {{"x", "f16[100,64]"}, {"weight", "f16[64]"}, {"bias", "f16[64]"}}},
  };
  return all;
}

TEST(Kernels, OfTheRepositoryType) {
  for (const Case& c : cases()) {
    const std::string path = std::string(PERI_SOURCE_DIR "/kernels/") + c.file + ".py";
    for (const bool dynamic : {false, true}) {
      const Checked checked = check_module(read(path), c.kernel, c.args, dynamic);
      EXPECT_TRUE(checked.ok) << path << " " << c.kernel << "\n" << checked.rendered;
      EXPECT_EQ(checked.errors, "");
    }
  }
}

void expect_types(const std::string& text, const ArgTexts& args) {
  for (const bool dynamic : {false, true}) {
    const Checked checked = check_text(text, args, dynamic);
    EXPECT_TRUE(checked.ok) << checked.rendered;
  }
}

TEST(Kernels, GradientsOfAProductInTwoLoops) {
  expect_types(
      "@helion.kernel\n"
      "def k(grad, a, b):\n"
      "    m, n = grad.size()\n"
      "    m2, k = a.size()\n"
      "    k2, n2 = b.size()\n"
      "    assert m == m2 and n == n2 and k == k2, 'size mismatch'\n"
      "    grad_a = torch.empty_like(a)\n"
      "    grad_b = torch.empty_like(b)\n"
      "    for tile_m, tile_k in hl.tile([m, k]):\n"
      "        acc = hl.zeros([tile_m, tile_k], dtype=torch.float32)\n"
      "        for tile_n in hl.tile(n):\n"
      "            acc = torch.addmm(acc, grad[tile_m, tile_n], b[tile_k, tile_n].T)\n"
      "        grad_a[tile_m, tile_k] = acc.to(a.dtype)\n"
      "    for tile_k, tile_n in hl.tile([k, n]):\n"
      "        acc = hl.zeros([tile_k, tile_n], dtype=torch.float32)\n"
      "        for tile_m in hl.tile(m):\n"
      "            acc = torch.addmm(acc, a[tile_m, tile_k].T, grad[tile_m, tile_n])\n"
      "        grad_b[tile_k, tile_n] = acc.to(b.dtype)\n"
      "    return grad_a, grad_b\n",
      {{"grad", "f16[64,32]"}, {"a", "f16[64,16]"}, {"b", "f16[16,32]"}});
}

TEST(Kernels, OptionalTensorsAndRuntimeScalars) {
  expect_types(
      "@helion.kernel(ignore_warnings=[helion.exc.TensorOperationInWrapper])\n"
      "def k(logits, picked, ref, mask, temperature: float, beta: float):\n"
      "    B, L_1, V = logits.shape\n"
      "    L = L_1 - 1\n"
      "    logits = logits[:, :-1, :]\n"
      "    loss = torch.zeros([B, L], dtype=torch.float32, device=logits.device)\n"
      "    kl_loss = torch.zeros([B, L], dtype=torch.float32, device=logits.device)\n"
      "    for tile_b, tile_l in hl.tile([B, L]):\n"
      "        top = hl.full([tile_b, tile_l], float('-inf'), dtype=torch.float32)\n"
      "        total = hl.zeros([tile_b, tile_l], dtype=torch.float32)\n"
      "        for tile_v in hl.tile(V):\n"
      "            part = logits[tile_b, tile_l, tile_v].to(torch.float32) / temperature\n"
      "            new = torch.maximum(top, torch.amax(part, dim=-1))\n"
      "            total = total * torch.exp(top - new) + torch.exp(part - new[:, :, "
      "None]).sum(-1)\n"
      "            top = new\n"
      "        logp = picked[tile_b, tile_l] - (top + torch.log(total))\n"
      "        per = -torch.minimum(logp, torch.clamp(logp, 1 - beta, 1 + beta))\n"
      "        if mask is not None:\n"
      "            per *= mask[tile_b, tile_l]\n"
      "        if beta != 0.0 and ref is not None:\n"
      "            kl = torch.exp(ref[tile_b, tile_l] - logp) - 1\n"
      "            per += beta * kl\n"
      "            kl_loss[tile_b, tile_l] = kl\n"
      "        loss[tile_b, tile_l] = per\n"
      "    kl_loss[:, -1] = 0\n"
      "    return loss, kl_loss\n",
      {{"logits", "bf16[4,9,100]"},
       {"picked", "f32[4,8]"},
       {"ref", "f32[4,8]"},
       {"mask", "f32[4,8]"},
       {"temperature", "0.9"},
       {"beta", "0.04"}});
}

TEST(Kernels, GatherOfMatrices) {
  expect_types(
      "@helion.kernel\n"
      "def k(w, idx, x):\n"
      "    b, s, s2 = w.size()\n"
      "    assert s == s2 and x.size(0) == s\n"
      "    out = torch.empty([idx.size(0), s], dtype=x.dtype, device=w.device)\n"
      "    wrapped = torch.where(idx < 0, idx + b, idx)\n"
      "    for tile_i, tile_j in hl.tile([idx.size(0), s]):\n"
      "        acc = hl.zeros([tile_i, tile_j], dtype=torch.float32)\n"
      "        for tile_k in hl.tile(s):\n"
      "            rows = w[wrapped[tile_i], tile_j, tile_k].to(torch.float32)\n"
      "            acc = acc + (rows * x[tile_k].to(torch.float32)).sum(dim=-1)\n"
      "        out[tile_i, tile_j] = acc.to(x.dtype)\n"
      "    return out\n",
      {{"w", "i8[8,64,64]"}, {"idx", "i64[2]"}, {"x", "bf16[64]"}});
}

TEST(Kernels, RaggedRowsWithBoundsFromTensors) {
  expect_types(
      "@helion.kernel\n"
      "def k(values, offsets):\n"
      "    rows = offsets.size(0) - 1\n"
      "    out = torch.zeros([rows], dtype=values.dtype, device=values.device)\n"
      "    for i in hl.grid(rows):\n"
      "        start = offsets[i]\n"
      "        end = offsets[i + 1]\n"
      "        acc = hl.zeros([], dtype=torch.float32)\n"
      "        for tile in hl.tile(start, end):\n"
      "            acc += values[tile].sum()\n"
      "        out[i] = acc\n"
      "    return out\n",
      {{"values", "f32[100]"}, {"offsets", "i64[9]"}});
}

}  // namespace
}  // namespace peri::check
