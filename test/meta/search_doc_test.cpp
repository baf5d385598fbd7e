// docs/reference/search.md lists the rows of tune/search_options.def between `<!-- options -->` and
// `<!-- end -->`. PERI_UPDATE_DOCS=1 in the environment writes the current text.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "driver/settings.h"
#include "tune/search_options.h"

namespace peri {
namespace {

std::string table() {
  std::string text =
      "| option | quick | full | range | strategies | meaning |\n|---|---|---|---|---|---|\n";
  for (const tune::SearchOptionRow& row : tune::search_option_rows()) {
    text += fmt::format("| `{}` | {} | {} | {} to {} | {} | {} |\n", row.field, row.quick, row.full,
                        row.low, row.high, row.strategies, row.doc);
  }
  return text;
}

TEST(SearchReference, TableIsCurrent) {
  const std::string path = PERI_SOURCE_DIR "/docs/reference/search.md";
  std::stringstream there;
  there << std::ifstream(path).rdbuf();
  const std::string page = there.str(), open = "<!-- options -->\n";
  const std::size_t begin = page.find(open), end = page.find("<!-- end -->");
  ASSERT_TRUE(begin < end && end != std::string::npos);
  const std::string now = page.substr(0, begin + open.size()) + table() + page.substr(end);
  if (std::getenv("PERI_UPDATE_DOCS") != nullptr) {
    std::ofstream(path) << now;
  } else {
    EXPECT_EQ(page, now) << "search.md is out of date: set PERI_UPDATE_DOCS=1 and run this test";
  }
}

// What the help gives as an example works with the strategy that is used without another.
TEST(SearchReference, TheExampleOfTheHelpIsLegal) {
  for (const driver::SettingRow& row : driver::setting_rows()) {
    if (row.field != "search_options") continue;
    const std::string_view as_in = "as in ";
    const std::size_t begin = row.doc.find(as_in) + as_in.size();
    const std::string example(row.doc.substr(begin, row.doc.find(';') - begin));
    ASSERT_NE(example.find('='), std::string::npos) << row.doc;
    auto options = tune::search_options(driver::Settings().strategy, tune::Effort::Quick, example);
    EXPECT_TRUE(options) << options.error().message << "; " << options.error().hint;
  }
}

TEST(SearchReference, TheHelpListsEveryOption) {
  const std::string text = tune::list_search_options();
  for (const tune::SearchOptionRow& row : tune::search_option_rows()) {
    EXPECT_NE(text.find(row.field), std::string::npos) << row.field;
    EXPECT_NE(text.find(row.doc), std::string::npos) << row.field;
  }
}

}  // namespace
}  // namespace peri
