#include "cases.h"

#include <fmt/format.h>

namespace peri::bench {

namespace {

using Args = std::vector<std::pair<std::string, std::string>>;

// A matrix as most kernels take it.
std::string matrix(i64 rows, i64 columns, const std::string& dtype = "") {
  return "randn[" + std::to_string(rows) + "," + std::to_string(columns) + "]" + dtype;
}

std::string vector(i64 size) { return "randn[" + std::to_string(size) + "]"; }

std::string batch(i64 batches, i64 rows, i64 columns) {
  return "randn[" + std::to_string(batches) + "," + std::to_string(rows) + "," +
         std::to_string(columns) + "]";
}

Args product(i64 m, i64 k, i64 n, const std::string& dtype = "") {
  return {{"x", matrix(m, k, dtype)}, {"y", matrix(k, n, dtype)}};
}

Args heads(i64 count, i64 length, i64 size) {
  std::string one = batch(count, length, size);
  return {{"q_in", one}, {"k_in", one}, {"v_in", one}};
}

Args rows_with_weight(i64 rows, i64 columns, bool bias) {
  Args args{{"x", matrix(rows, columns)}, {"weight", vector(columns)}};
  if (bias) args.emplace_back("bias", vector(columns));
  return args;
}

Args rotary(const std::string& heads, i64 length, i64 size) {
  const std::string one = fmt::format("randn[{},{},{}]", heads, length, size);
  const std::string half = matrix(length, size / 2);
  return {{"q", one}, {"k", one}, {"cos", half}, {"sin", half}};
}

// One group of heads.
Args chunk_scan(i64 batch, i64 length, i64 heads, i64 chunk, i64 head_dim, i64 state) {
  const i64 chunks = length / chunk;
  const std::string steps = fmt::format("[{},{},{},{}]", batch, heads, chunks, chunk);
  return {{"cb", fmt::format("randn[{},{},1,{},{}]", batch, chunks, chunk, chunk)},
          {"x", fmt::format("randn[{},{},{},{}]", batch, length, heads, head_dim)},
          {"dt", "rand" + steps},
          {"decay", "rand" + steps},
          {"c", fmt::format("randn[{},{},1,{}]", batch, length, state)},
          {"states", fmt::format("randn[{},{},{},{},{}]", batch, chunks, heads, head_dim, state)},
          {"d", fmt::format("randn[{}]", heads)}};
}

void add_elementwise(std::vector<Case>& all) {
  all.push_back({"basic/add.py:add", {{"x", matrix(2048, 2048)}, {"y", matrix(2048, 2048)}}});
  all.push_back({"basic/add.py:add", {{"x", matrix(1000, 333)}, {"y", matrix(1000, 333)}}});
  all.push_back({"basic/exp.py:exp", {{"x", vector(100'000)}}});
  all.push_back({"basic/exp.py:exp", {{"x", vector(8'000'000)}}});
  for (const char* name : {"geglu", "swiglu", "swiglu_backward"}) {
    for (auto [m, n] : {std::pair<i64, i64>{1024, 1024}, {4096, 2048}}) {
      Args args{{"a", matrix(m, n)}, {"b", matrix(m, n)}};
      if (std::string(name) == "swiglu_backward") args.emplace_back("grad_out", matrix(m, n));
      all.push_back({std::string("library/gated.py:") + name, args});
    }
  }
  for (const char* size : {"randn[200000]", "randn[6000000]"}) {
    all.push_back({"library/dropout.py:dropout", {{"p", "0.3"}, {"x", size}, {"seed", "7"}}});
  }
  all.push_back({"library/rope.py:rope", rotary("4,16", 256, 64)});
  all.push_back({"library/rope.py:rope", rotary("1,8", 777, 128)});
  all.push_back({"library/embedding.py:embedding",
                 {{"x", "randint[2000]=0:5000"}, {"weight", matrix(5000, 256)}}});
  all.push_back({"library/embedding.py:embedding",
                 {{"x", "randint[8192]=0:30000"}, {"weight", matrix(30'000, 1024)}}});
}

void add_rows(std::vector<Case>& all) {
  for (const char* kernel :
       {"basic/sum.py:row_sum", "basic/softmax.py:softmax", "basic/softmax.py:softmax_two_pass"}) {
    all.push_back({kernel, {{"x", matrix(2048, 1000)}}});
    all.push_back({kernel, {{"x", matrix(512, 16'384)}}});
  }
  for (auto [m, n] : {std::pair<i64, i64>{1024, 1024}, {4096, 3000}}) {
    std::string square = matrix(m, n);
    all.push_back({"library/norm.py:layer_norm", rows_with_weight(m, n, true)});
    all.push_back({"library/norm.py:rms_norm", rows_with_weight(m, n, false)});
    all.push_back(
        {"library/norm.py:rms_norm_backward",
         {{"grad_out", square}, {"x", square}, {"weight", vector(n)}, {"inverse_rms", vector(m)}}});
    all.push_back({"library/norm.py:welford", rows_with_weight(m, n, true)});
  }
  for (auto [m, n] : {std::pair<i64, i64>{512, 4000}, {256, 32'768}}) {
    std::string one = matrix(m, n), positive = "rand" + one.substr(5);
    all.push_back({"library/loss.py:cross_entropy",
                   {{"logits", one}, {"labels", "randint[" + std::to_string(m) + "]=0:4000"}}});
    all.push_back({"library/loss.py:kl_div", {{"y_pred", one}, {"y_true", positive}}});
    all.push_back({"library/loss.py:jsd", {{"log_q", one}, {"log_p", one}}});
  }
}

void add_products(std::vector<Case>& all) {
  all.push_back({"basic/matmul.py:matmul", product(512, 512, 512)});
  all.push_back({"basic/matmul.py:matmul", product(37, 129, 65)});
  all.push_back({"basic/matmul.py:matmul", product(8, 2048, 2048)});
  all.push_back({"basic/matmul.py:matmul", product(256, 512, 256, ":bf16")});
  for (auto [m, n] : {std::pair<i64, i64>{300, 500}, {1024, 256}}) {
    Args args = product(m, 256, n);
    args.emplace_back("bias", vector(n));
    all.push_back({"basic/matmul.py:matmul_bias_relu", args});
  }
  all.push_back({"basic/matmul.py:bmm", {{"a", batch(16, 128, 128)}, {"b", batch(16, 128, 128)}}});
  all.push_back({"basic/matmul.py:bmm", {{"a", batch(5, 200, 64)}, {"b", batch(5, 64, 333)}}});
  for (const char* kernel :
       {"library/attention.py:attention", "library/attention.py:causal_attention"}) {
    all.push_back({kernel, heads(4, 512, 64)});
    all.push_back({kernel, heads(2, 777, 128)});
  }
  all.push_back({"library/int4_gemm.py:int4_gemm",
                 {{"x", matrix(128, 512)}, {"packed", "randint[256,256]=-128:128:i8"}}});
  all.push_back({"library/int4_gemm.py:int4_gemm",
                 {{"x", matrix(16, 2048)}, {"packed", "randint[1024,1024]=-128:128:i8"}}});
  all.push_back({"library/mamba2.py:mamba2_chunk_scan", chunk_scan(1, 512, 4, 64, 64, 32)});
  all.push_back({"library/mamba2.py:mamba2_chunk_scan", chunk_scan(2, 300, 6, 100, 24, 64)});
  for (i64 queries : {256, 1000}) {
    all.push_back({"library/nearest.py:nearest_label",
                   {{"queries", matrix(queries, 64)},
                    {"points", matrix(1000, 64)},
                    {"labels", "arange[1000]"}}});
  }
}

}  // namespace

std::string Case::shapes() const {
  std::string text;
  for (const auto& [name, spec] : args) text += (text.empty() ? "" : " ") + name + "=" + spec;
  return text;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  add_elementwise(all);
  add_rows(all);
  add_products(all);
  return all;
}

std::unique_ptr<Subject> prepare(const Case& c, const std::optional<driver::Settings>& settings) {
  auto subject = std::make_unique<Subject>();
  driver::Compilation& compilation = subject->compilation;
  size_t colon = c.kernel.rfind(':');
  compilation.request.file = std::string(PERI_SOURCE_DIR "/kernels/") + c.kernel.substr(0, colon);
  compilation.request.kernel = c.kernel.substr(colon + 1);
  if (settings) compilation.request.settings = *settings;
  if (!settings) compilation.request.settings.no_cache = true;
  for (const auto& [name, spec] : c.args) {
    auto argument = driver::parse_argument(name, spec, 1, subject->diags);
    if (!argument) subject->fault = argument.error().message;
    if (!argument) return subject;
    subject->arguments[name] = std::move(*argument);
  }
  compilation.request.args = driver::specs_of(subject->arguments);
  auto compiled = driver::compile(compilation, "space");
  if (!compiled) {
    subject->fault = compiled.error().message + "\n" + diag::render_text(subject->diags);
    return subject;
  }
  subject->leaves = driver::leaves_of(subject->arguments, compilation.lowered->host.leaf_names);
  return subject;
}

}  // namespace peri::bench
