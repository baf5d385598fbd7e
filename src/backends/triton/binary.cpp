#include "backends/triton/binary.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace peri::triton {

using nlohmann::json;

namespace {

constexpr i64 kMostWarps = 64, kMostCluster = 64, kMostDims = 5;
constexpr i64 kMostBytes = i64{1} << 40;

bool is_between(i64 value, i64 least, i64 most) { return least <= value && value <= most; }

// What no compiler says, although the types fit; "" if there is nothing.
std::string contradiction(const Binary& binary) {
  if (binary.function.empty()) return "no function";
  if (binary.format.empty() || binary.bytes.empty()) return "no code";
  if (!is_between(binary.num_warps, 1, kMostWarps)) return "num_warps is out of range";
  if (!is_between(binary.cluster, 1, kMostCluster)) return "cluster is out of range";
  if (!is_between(binary.shared_bytes, 0, kMostBytes)) return "shared_bytes is out of range";
  if (!is_between(binary.scratch_bytes, 0, kMostBytes)) return "scratch_bytes is out of range";
  if (!is_between(binary.scratch_alignment, 1, kMostBytes)) return "a bad scratch_alignment";
  for (const DescriptorLayout& layout : binary.descriptors) {
    if (!is_between(layout.swizzle, 0, 3)) return "swizzle is out of range";
    if (static_cast<i64>(layout.box.size()) > kMostDims) return "a box with too many dimensions";
    if (std::ranges::any_of(layout.box, [](i64 n) { return n < 1; })) return "an empty box";
  }
  return "";
}

Binary binary_of(const json& head) {
  Binary binary;
  head.at("function").get_to(binary.function);
  head.at("format").get_to(binary.format);
  head.at("num_warps").get_to(binary.num_warps);
  head.at("shared_bytes").get_to(binary.shared_bytes);
  head.at("cluster").get_to(binary.cluster);
  head.at("scratch_bytes").get_to(binary.scratch_bytes);
  head.at("scratch_alignment").get_to(binary.scratch_alignment);
  head.at("compiler").get_to(binary.compiler);
  for (const json& layout : head.at("descriptors")) {
    binary.descriptors.push_back({layout.at("swizzle"), layout.at("box")});
  }
  return binary;
}

}  // namespace

std::string write_binary(const Binary& binary) {
  json descriptors = json::array();
  for (const DescriptorLayout& layout : binary.descriptors) {
    descriptors.push_back({{"swizzle", layout.swizzle}, {"box", layout.box}});
  }
  json head = {{"schema", kBinarySchema},
               {"function", binary.function},
               {"format", binary.format},
               {"num_warps", binary.num_warps},
               {"shared_bytes", binary.shared_bytes},
               {"cluster", binary.cluster},
               {"scratch_bytes", binary.scratch_bytes},
               {"scratch_alignment", binary.scratch_alignment},
               {"descriptors", descriptors},
               {"compiler", binary.compiler},
               {"bytes", binary.bytes.size()}};
  return head.dump() + "\n" + binary.bytes;
}

Expected<Binary> read_binary(std::string_view text) {
  std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return fail("bad-binary", "it has no head");
  json head = json::parse(text.substr(0, end), nullptr, false);
  std::string_view bytes = text.substr(end + 1);
  Binary binary;
  try {
    if (head.at("schema") != kBinarySchema) return fail("bad-binary", "it has another schema");
    if (head.at("bytes") != bytes.size()) return fail("bad-binary", "it is cut short");
    binary = binary_of(head);
  } catch (const json::exception& error) {  // a key that lacks, or a value of another type
    return fail("bad-binary", error.what());
  }
  binary.bytes = bytes;
  std::string fault = contradiction(binary);
  if (!fault.empty()) return fail("bad-binary", fault);
  return binary;
}

}  // namespace peri::triton
