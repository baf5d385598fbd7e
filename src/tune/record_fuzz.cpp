// Any bytes give a record or `bad-record`; what is read prints to text that reads as the same.
#include "base/bug.h"
#include "tune/record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace peri::tune;
  auto record = parse_record({reinterpret_cast<const char*>(data), size});
  if (!record) {
    BUG_IF(record.error().code != "bad-record", "code {}", record.error().code);
    BUG_IF(record.error().message.empty(), "no message");
    return 0;
  }
  std::string text = print_record(*record);
  auto again = parse_record(text);
  BUG_IF(!again, "{} in\n{}", again.error().message, text);
  BUG_IF(print_record(*again) != text, "printed differently:\n{}", text);
  return 0;
}
