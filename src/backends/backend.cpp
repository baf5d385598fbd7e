#include "backends/backend.h"

#include <fmt/format.h>

#include <algorithm>

#include "backends/cpu/cpu_backend.h"
#include "backends/triton/triton_backend.h"

namespace peri::backends {

namespace {

struct Row {
  std::string_view device;
  std::vector<std::string_view> stages;
  std::string_view eject;  // kind of source file it ejects; "": none
  std::string_view eject_target;
  std::vector<std::string_view> lacks;          // codes of errors without its compiler
  bool (*has_target)(std::string_view target);  // null: the host's, which has no list of them
  Expected<std::shared_ptr<Backend>> (*make)(const TargetRequest& request);
};

// The registry: one line a backend.
const std::vector<Row>& rows() {
  static const std::vector<Row> kRows = {
      {"cpu", {"llvm", "asm"}, "", "", {}, nullptr, cpu::make_backend},
      {"cuda",
       {"triton", "ttir", "ttgir", "ptx"},
       "triton",
       "sm_90",
       {"no-python", "no-triton", "unsupported-triton"},
       triton::is_target,
       triton::make_backend},
  };
  return kRows;
}

const Row* find_row(std::string_view device) {
  auto row = std::ranges::find(rows(), device, &Row::device);
  return row == rows().end() ? nullptr : &*row;
}

}  // namespace

Expected<std::string> Backend::eject(const lower::Lowered&, const space::Config&,
                                     const diag::Sources*) const {
  return fail("cannot-eject", fmt::format("there is no source form for {}", capabilities().target));
}

namespace {

// "0,2": none where it is no list of small numbers. Each once.
std::vector<i64> parse_indices(std::string_view text) {
  std::vector<i64> indices;
  for (;;) {
    const std::string item(text.substr(0, text.find(',')));
    const bool is_number = !item.empty() && item.size() < 4 &&
                           std::ranges::all_of(item, [](char c) { return c >= '0' && c <= '9'; });
    if (!is_number) return {};
    const i64 index = std::stoi(item);
    if (std::ranges::count(indices, index) == 0) indices.push_back(index);
    if (item.size() == text.size()) return indices;
    text.remove_prefix(item.size() + 1);
  }
}

}  // namespace

DeviceName parse_device(std::string_view text) {
  DeviceName name;
  std::size_t colon = text.find(':');
  name.device = text.substr(0, colon);
  if (colon == std::string_view::npos) return name;
  const std::string_view rest = text.substr(colon + 1);
  const std::vector<i64> indices = parse_indices(rest);
  name.is_all = rest == "all";
  if (!indices.empty()) {
    name.index = indices[0];
    name.others.assign(indices.begin() + 1, indices.end());
  } else if (!name.is_all) {
    name.target = rest;
  }
  return name;
}

std::string_view device_of(std::string_view target) {
  std::string_view host;
  for (const Row& row : rows()) {
    if (row.has_target == nullptr) host = row.device;
    if (row.has_target != nullptr && row.has_target(target)) return row.device;
  }
  return host;
}

bool lacks_toolchain(const Error& error) {
  return std::ranges::any_of(
      rows(), [&](const Row& row) { return std::ranges::count(row.lacks, error.code) > 0; });
}

std::vector<std::string_view> stages() {
  std::vector<std::string_view> all;
  for (const Row& row : rows()) {
    for (std::string_view stage : row.stages) {
      if (std::ranges::count(all, stage) == 0) all.push_back(stage);
    }
  }
  return all;
}

bool has_stage(std::string_view device, std::string_view stage) {
  const Row* row = find_row(device);
  return row != nullptr && std::ranges::count(row->stages, stage) > 0;
}

std::string_view eject_device(std::string_view kind) {
  auto row = std::ranges::find(rows(), kind, &Row::eject);
  return row == rows().end() || kind.empty() ? "" : row->device;
}

std::string_view eject_target(std::string_view kind) {
  auto row = std::ranges::find(rows(), kind, &Row::eject);
  return row == rows().end() ? "" : row->eject_target;
}

std::vector<std::string_view> eject_kinds() {
  std::vector<std::string_view> kinds;
  for (const Row& row : rows()) {
    if (!row.eject.empty()) kinds.push_back(row.eject);
  }
  return kinds;
}

Expected<std::shared_ptr<Backend>> find_backend(const TargetRequest& request) {
  if (const Row* row = find_row(request.device)) return row->make(request);
  std::string devices;
  for (const Row& row : rows()) {
    devices += fmt::format("{}{}", devices.empty() ? "" : ", ", row.device);
  }
  return fail("unknown-device", fmt::format("there is no device `{}`", request.device),
              "devices: " + devices);
}

}  // namespace peri::backends
