// Runs the transcripts of this folder. A transcript is a text file of cases:
//
//   # what it shows
//   $ shell command (several lines: each starts with `$ `)
//   ? 2
//   error[unknown-kernel]
//   !crash
//
// Pages of docs/howto are cases too, if they have `sh` blocks (`console`: what needs a GPU). These
// commands run in order; a `python` block is the file that the text before it names last; comments
// `<!-- prints TEXT -->` say what must occur in the output.
//
// The commands run in one shell, in an empty folder with `kernels` linked into it, `peri` on the
// PATH and a cache of its own. `?` gives the exit status (0 if left out). Each following line must
// occur in the output (stdout and stderr together), in this order; a line that starts with `!` must
// not occur.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <ostream>
#include <regex>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct Case {
  std::string name;  // "run: unknown kernel"
  std::string script;
  int status = 0;
  std::vector<std::string> wanted, unwanted;
};

void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }

std::vector<Case> read_cases(const fs::path& path) {
  std::vector<Case> cases;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("# ")) {
      cases.push_back({path.stem().string() + ": " + line.substr(2), "", 0, {}, {}});
    } else if (line.starts_with("$ ")) {
      cases.back().script += line.substr(2) + "\n";
    } else if (line.starts_with("? ")) {
      cases.back().status = std::stoi(line.substr(2));
    } else if (line.starts_with("!")) {
      cases.back().unwanted.push_back(line.substr(1));
    } else if (!line.empty()) {
      cases.back().wanted.push_back(line);
    }
  }
  return cases;
}

// The blocks of a page that are commands, with its Python block as the file named before it.
std::optional<Case> case_of_page(const fs::path& path) {
  Case page{"howto: " + path.stem().string(), "", 0, {}, {"error["}};
  std::ifstream file(path);
  std::string kind, python;
  for (std::string line; std::getline(file, line);) {
    const std::string prints = "<!-- prints ";
    if (line.starts_with("```")) {
      const bool ends_python = kind == "python";
      kind = kind.empty() ? line.substr(3) : "";
      if (ends_python) page.script += "EOF\n";
      if (kind == "python") page.script += "cat > " + python + " <<'EOF'\n";
    } else if (kind == "sh" || kind == "python") {
      page.script += line + "\n";
    } else if (kind.empty() && line.starts_with(prints)) {
      page.wanted.push_back(line.substr(prints.size(), line.find(" -->") - prints.size()));
    } else if (std::smatch name; std::regex_search(line, name, std::regex("`(\\w+\\.py)`"))) {
      python = name[1];
    }
  }
  if (page.script.find("peri ") == std::string::npos) return std::nullopt;
  return page;
}

std::vector<Case> all_cases() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(PERI_SOURCE_DIR "/test/cli")) {
    if (entry.path().extension() == ".transcript") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Case> cases;
  for (const fs::path& file : files) {
    auto more = read_cases(file);
    cases.insert(cases.end(), more.begin(), more.end());
  }
  for (const auto& entry : fs::directory_iterator(PERI_SOURCE_DIR "/docs/howto")) {
    if (auto page = case_of_page(entry.path())) cases.push_back(*std::move(page));
  }
  return cases;
}

struct Outcome {
  int status = 0;
  std::string output;
};

Outcome run_shell(const fs::path& folder, const std::string& script) {
  std::ofstream(folder / ".script") << script;
  std::string command = fmt::format(
      "cd '{0}' && export PATH='{1}':$PATH HOME='{0}' XDG_CACHE_HOME= PERI_CACHE_DIR='{0}/cache' "
      "&& "
      "bash .script 2>&1 < /dev/null",
      folder.string(), PERI_BINARY_DIR);
  FILE* pipe = popen(command.c_str(), "r");
  Outcome outcome;
  std::array<char, 4096> buffer;
  while (std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    outcome.output.append(buffer.data(), size);
  }
  int status = pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

class Transcript : public testing::TestWithParam<Case> {};

TEST_P(Transcript, IsAsWritten) {
  const Case& test = GetParam();
  std::string pattern = (fs::temp_directory_path() / "peri-cli-XXXXXX").string();
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  fs::path folder = pattern;
  fs::create_directory_symlink(PERI_SOURCE_DIR "/kernels", folder / "kernels");
  Outcome outcome = run_shell(folder, test.script);
  fs::remove_all(folder);
  SCOPED_TRACE(test.name + "\n" + test.script + outcome.output);
  EXPECT_EQ(outcome.status, test.status);
  std::size_t at = 0;
  for (const std::string& line : test.wanted) {
    std::size_t found = outcome.output.find(line, at);
    ASSERT_NE(found, std::string::npos) << "missing: " << line;
    at = found + line.size();
  }
  for (const std::string& line : test.unwanted) {
    EXPECT_EQ(outcome.output.find(line), std::string::npos) << "unwanted: " << line;
  }
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
  std::string name;
  for (char c : info.param.name) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Cli, Transcript, testing::ValuesIn(all_cases()), name_of);

}  // namespace
