// The dumps in docs/ are what the program prints. A dump follows a line such as
//
//   <!-- emit kernels/basic/matmul.py:matmul --stage plan --cpu x86-64-v3 --arg x=zeros[64,64] -->
//
// as a fenced block. PERI_UPDATE_DOCS=1 in the environment writes the current text.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "driver/arguments.h"
#include "driver/compile.h"

namespace peri {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// What the words of a marker ask for.
std::string emit(const std::string& command) {
  diag::Sources sources;
  diag::Diags diags(sources);
  driver::Compilation c(diags);
  driver::Arguments arguments;
  std::istringstream words(command);
  std::string word, stage;
  words >> word;
  size_t colon = word.rfind(':');
  c.request.file = std::string(PERI_SOURCE_DIR) + "/" + word.substr(0, colon);
  c.request.kernel = word.substr(colon + 1);
  for (std::string flag, value; words >> flag >> value;) {
    if (flag == "--stage") stage = value;
    if (flag == "--cpu") c.request.settings.cpu = value;
    if (flag == "--config") c.request.config = space::Config::parse(value);
    if (flag != "--arg") continue;
    size_t equals = value.find('=');
    auto argument =
        driver::parse_argument(value.substr(0, equals), value.substr(equals + 1), 0, diags);
    if (!argument) return argument.error().message;
    arguments[value.substr(0, equals)] = std::move(*argument);
  }
  c.request.args = driver::specs_of(arguments);
  auto text = driver::emit(c, stage);
  // Predicted times depend on the caches of the machine.
  if (text) text->resize(std::min(text->size(), text->find("predicted cost\n")));
  return text ? *text : text.error().message + "\n" + diag::render_text(diags);
}

// The page with every dump replaced by the current one.
std::string refreshed(const std::string& page) {
  const std::string open = "<!-- emit ", fence = "```";
  std::string result;
  size_t at = 0;
  for (size_t marker; (marker = page.find(open, at)) != std::string::npos;) {
    size_t end = page.find(" -->", marker);
    size_t begin = page.find('\n', page.find(fence, end)) + 1;
    size_t close = page.find(fence, begin);
    std::string dump = emit(page.substr(marker + open.size(), end - marker - open.size()));
    if (!dump.empty() && dump.back() != '\n') dump += '\n';
    result += page.substr(at, begin - at) + dump;
    at = close;
  }
  return result + page.substr(at);
}

TEST(Docs, DumpsAreCurrent) {
  i64 dumps = 0;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(PERI_SOURCE_DIR) / "docs")) {
    if (entry.path().extension() != ".md") continue;
    std::string page = read(entry.path());
    std::string now = refreshed(page);
    for (size_t p = page.find("<!-- emit "); p != std::string::npos;
         p = page.find("<!-- emit ", p + 1))
      ++dumps;
    if (std::getenv("PERI_UPDATE_DOCS")) {
      std::ofstream(entry.path()) << now;
    } else {
      EXPECT_EQ(now, page) << entry.path()
                           << " is out of date: set PERI_UPDATE_DOCS=1 and run this test";
    }
  }
  EXPECT_GT(dumps, 5);
}

}  // namespace
}  // namespace peri
