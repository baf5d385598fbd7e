#include "triton/interpreter.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace peri::triton_test {

namespace fs = std::filesystem;
using nlohmann::json;
using runtime::Tensor;

namespace {

void write(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<long>(bytes.size()));
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

json argument_of(const runtime::Leaf& leaf, const fs::path& file) {
  if (leaf.tensor == nullptr) {
    if (leaf.scalar.type == SymType::Float) return leaf.scalar.real;
    if (leaf.scalar.type == SymType::Bool) return leaf.scalar.integer != 0;
    return leaf.scalar.integer;
  }
  const Tensor& tensor = *leaf.tensor;
  write(file, {reinterpret_cast<const char*>(tensor.storage.data),
               static_cast<std::size_t>(tensor.storage.bytes)});
  return {{"dtype", torch_name_of(tensor.dtype)},
          {"sizes", tensor.sizes},
          {"strides", tensor.strides},
          {"offset", tensor.offset},
          {"file", file.string()}};
}

}  // namespace

std::string python() {
  const char* given = std::getenv("PERI_TRITON_PYTHON");
  std::string path =
      given != nullptr ? given : std::string(PERI_SOURCE_DIR) + "/build/triton-venv/bin/python3";
  return fs::exists(path) ? path : "";
}

std::vector<Outcome> interpret(const std::vector<Job>& jobs, const std::string& folder) {
  fs::create_directories(folder);
  std::ofstream lines(folder + "/jobs");
  for (std::size_t j = 0; j < jobs.size(); ++j) {
    fs::path place = fs::path(folder) / std::to_string(j);
    fs::create_directories(place);
    write(place / "module.py", jobs[j].module);
    json arguments = json::array();
    for (std::size_t i = 0; i < jobs[j].leaves.size(); ++i) {
      arguments.push_back(argument_of(jobs[j].leaves[i], place / fmt::format("in{}", i)));
    }
    lines << json{{"module", (place / "module.py").string()},
                  {"arguments", arguments},
                  {"out", place.string()}}
                 .dump()
          << "\n";
  }
  lines.close();
  std::string command = fmt::format("{0} {1}/test/triton/interpret.py < {2}/jobs > {2}/replies",
                                    python(), PERI_SOURCE_DIR, folder);
  int status = std::system(command.c_str());
  std::ifstream replies(folder + "/replies");
  std::string line;
  std::getline(replies, line);  // the version
  std::vector<Outcome> outcomes(jobs.size());
  for (std::size_t j = 0; j < jobs.size(); ++j) {
    Outcome& outcome = outcomes[j];
    if (!std::getline(replies, line)) {
      outcome.error = fmt::format("the interpreter ended with status {}", status);
      continue;
    }
    json reply = json::parse(line);
    outcome.error = reply.value("error", std::string());
    outcome.outputs = reply.value("outputs", json::array());
    fs::path place = fs::path(folder) / std::to_string(j);
    for (std::size_t i = 0; i < outcome.outputs.size(); ++i) {
      outcome.bytes.push_back(read(place / fmt::format("out{}", i)));
    }
    for (std::size_t i = 0; i < jobs[j].leaves.size(); ++i) {
      outcome.argument_bytes.push_back(read(place / fmt::format("arg{}", i)));
    }
  }
  return outcomes;
}

namespace {

runtime::Result take(const Outcome& outcome, const runtime::Result& like, std::size_t& next) {
  runtime::Result result = like;
  if (like.kind == runtime::Result::Kind::Sequence) {
    for (runtime::Result& item : result.items) item = take(outcome, item, next);
  } else if (like.kind == runtime::Result::Kind::Tensor && next < outcome.outputs.size()) {
    const json& output = outcome.outputs[next];
    Dtype dtype = *parse_dtype(output["dtype"].get<std::string>());
    result.tensor = runtime::empty(dtype, output["sizes"].get<std::vector<i64>>());
    const std::string& bytes = outcome.bytes[next++];
    std::memcpy(result.tensor.data(), bytes.data(), bytes.size());
  } else if (like.kind == runtime::Result::Kind::Scalar) {
    ++next;  // the host's, in either run
  }
  return result;
}

}  // namespace

runtime::Result result_of(const Outcome& outcome, const runtime::Result& like) {
  std::size_t next = 0;
  return take(outcome, like, next);
}

}  // namespace peri::triton_test
