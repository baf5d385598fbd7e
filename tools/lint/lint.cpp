// Checks the tree's rules: layering, sizes, header contracts, where the environment is read, that
// no shared code names a backend, and that every diagnostic is exercised by a test. Prints one line
// a fault.
//
//   peri_lint SOURCE_DIR
//
// An exception stands in tools/lint/allow.txt: `RULE PATH REASON`. An entry that is not needed is a
// fault, so that the list only shrinks.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

constexpr size_t kMaxLine = 100;
constexpr size_t kMaxFunction = 100;
constexpr size_t kMaxFile = 800;

struct File {
  std::string path;  // relative to the source folder
  std::vector<std::string> lines;
  std::vector<bool> raw;  // lines that hold text of a raw string
};

std::string read(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Length in code points.
size_t width(const std::string& line) {
  return static_cast<size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::vector<bool> raw_lines(const std::vector<std::string>& lines) {
  std::vector<bool> raw;
  bool inside = false;
  for (const std::string& line : lines) {
    bool opens = line.find("R\"(") != std::string::npos || line.find("R\"re(") != std::string::npos;
    raw.push_back(inside || opens);
    std::string rest = opens ? line.substr(line.find("R\"")) : line;
    bool closes = rest.find(")\"") != std::string::npos || rest.find(")re\"") != std::string::npos;
    inside = (inside || opens) && !closes;
  }
  return raw;
}

class Lint {
 public:
  explicit Lint(fs::path root) : root_(std::move(root)) {
    for (const char* folder : {"src", "tools", "test", "bench", "include"}) collect(folder);
    read_allow_list();
    read_order();
  }

  int run() {
    for (const File& file : files_) {
      check_sizes(file);
      check_functions(file);
      check_header(file);
      check_includes(file);
      check_words(file);
    }
    check_folders();
    check_kinds();
    for (const auto& [entry, used] : allowed_) {
      if (!used)
        fault("allow-list", entry.second, fmt::format("`{}` needs no exception", entry.first));
    }
    for (const std::string& text : faults_) fmt::print("{}\n", text);
    fmt::print("{} files, {} faults\n", files_.size(), faults_.size());
    return faults_.empty() ? 0 : 1;
  }

 private:
  void collect(const std::string& folder) {
    if (!fs::exists(root_ / folder)) return;
    for (const auto& entry : fs::recursive_directory_iterator(root_ / folder)) {
      std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cpp" && extension != ".def") continue;
      std::vector<std::string> lines = split_lines(read(entry.path()));
      std::vector<bool> raw = raw_lines(lines);
      files_.push_back(
          {fs::relative(entry.path(), root_).string(), std::move(lines), std::move(raw)});
    }
    std::sort(files_.begin(), files_.end(),
              [](const File& a, const File& b) { return a.path < b.path; });
  }

  void read_allow_list() {
    for (const std::string& line : split_lines(read(root_ / "tools/lint/allow.txt"))) {
      if (line.empty() || line[0] == '#') continue;
      std::istringstream in(line);
      std::string rule, path, reason;
      in >> rule >> path;
      std::getline(in, reason);
      if (reason.size() < 5) fault("allow-list", path, "an exception needs a reason");
      allowed_[{rule, path}] = false;
    }
  }

  // Folders of src in the order of src/README.md's table.
  void read_order() {
    std::regex row(R"(^\| `([a-z]+)` \|.*)");
    for (const std::string& line : split_lines(read(root_ / "src/README.md"))) {
      std::smatch match;
      if (std::regex_match(line, match, row)) order_.push_back(match[1]);
    }
  }

  void fault(const std::string& rule, const std::string& path, const std::string& what) {
    auto it = allowed_.find({rule, path});
    if (it != allowed_.end()) {
      it->second = true;
      return;
    }
    faults_.push_back(fmt::format("{}: {}: {}", path, rule, what));
  }

  void check_sizes(const File& file) {
    if (file.lines.size() > kMaxFile)
      fault("file-size", file.path, fmt::format("{} lines", file.lines.size()));
    for (size_t i = 0; i < file.lines.size(); ++i) {
      bool exempt = file.raw[i] || file.path.ends_with(".def");
      if (width(file.lines[i]) <= kMaxLine || exempt) continue;
      fault("line-width", file.path,
            fmt::format("line {} has {} columns", i + 1, width(file.lines[i])));
    }
  }

  // A function of formatted code: a line that ends in `) {` or `) const {` and the like, to the
  // closing brace at its indentation.
  void check_functions(const File& file) {
    static const std::regex head(R"(^( *)[A-Za-z_~].*\).*\{$)");
    static const std::regex other(
        R"(^ *(if|for|while|switch|else|do|namespace|class|struct|enum|return|case|TEST|INSTANTIATE)\b.*)");
    for (size_t i = 0; i < file.lines.size(); ++i) {
      bool skipped = file.raw[i] || ends_for(file, i) || std::regex_match(file.lines[i], other);
      if (skipped || !std::regex_match(file.lines[i], head)) continue;
      size_t first = first_line(file, i);
      if (std::regex_match(file.lines[first], other)) continue;
      std::string close(file.lines[first].find_first_not_of(' '), ' ');
      close += '}';
      size_t end = i + 1;
      while (end < file.lines.size() && file.lines[end].rfind(close, 0) != 0) ++end;
      if (end - i + 1 > kMaxFunction) {
        fault("function-size", file.path, fmt::format("line {}: {} lines", i + 1, end - i + 1));
      }
    }
  }

  // Whether line `i` closes the head of a `for` that was broken behind a semicolon.
  static bool ends_for(const File& file, size_t i) {
    const std::string& line = file.lines[i];
    bool closes =
        std::count(line.begin(), line.end(), ')') > std::count(line.begin(), line.end(), '(');
    return closes && i > 0 && file.lines[i - 1].ends_with(";");
  }

  // Where a signature that ends at line `i` begins.
  static size_t first_line(const File& file, size_t i) {
    auto goes_on = [&](const std::string& line) {
      size_t end = line.find_last_not_of(' ');
      if (end == std::string::npos || std::string(";{}:").find(line[end]) != std::string::npos)
        return false;
      size_t begin = line.find_first_not_of(' ');
      return line[begin] != '#' && line.compare(begin, 2, "//") != 0;
    };
    while (i > 0 && goes_on(file.lines[i - 1])) --i;
    return i;
  }

  void check_header(const File& file) {
    if (!file.path.ends_with(".h")) return;
    bool comment = !file.lines.empty() && file.lines[0].rfind("// ", 0) == 0;
    if (!comment) fault("header-contract", file.path, "does not open with a sentence of purpose");
    auto once = std::find(file.lines.begin(), file.lines.end(), "#pragma once");
    if (once == file.lines.end()) fault("header-contract", file.path, "has no #pragma once");
  }

  static std::string folder_of(const std::string& path) { return path.substr(0, path.find('/')); }

  void check_includes(const File& file) {
    if (file.path.rfind("src/", 0) != 0) return;
    std::string inside = file.path.substr(4);
    auto own = std::find(order_.begin(), order_.end(), folder_of(inside));
    bool test =
        inside.find("_test.") != std::string::npos || inside.find("_fuzz.") != std::string::npos;
    static const std::regex include(R"re(^#include "([a-z]+)/.*")re");
    for (const std::string& line : file.lines) {
      std::smatch match;
      if (!std::regex_match(line, match, include) || test) continue;
      auto other = std::find(order_.begin(), order_.end(), match[1]);
      bool api = match[1] == "peri" && *own == "driver";  // implements include/peri
      if (!api && (other == order_.end() || other > own)) {
        fault("layering", file.path, fmt::format("includes {}", line.substr(9)));
      }
      check_private(file.path, inside, line);
    }
  }

  // Headers of one backend or device interface are its own and the registry's.
  void check_private(const std::string& path, const std::string& inside, const std::string& line) {
    auto includes = [&](const char* folder) { return line.find(folder) != std::string::npos; };
    bool backend = includes("\"backends/cpu/") || includes("\"backends/triton/");
    if (backend && inside.rfind("backends/", 0) != 0) {
      fault("layering", path, "includes a backend's own header");
    }
    bool registry = inside == "runtime/device.cpp" || inside.rfind("runtime/cuda/", 0) == 0;
    if (includes("\"runtime/cuda/") && !registry) {
      fault("layering", path, "includes a device interface's own header");
    }
  }

  // What has the words Triton and CUDA: their own folders, the registries, and `check`, whose names
  // are torch's and Helion's. Tests name the devices that they use.
  static bool may_name(const std::string& inside) {
    static const char* const kPlaces[] = {"backends/triton/", "backends/backend.cpp", "check/",
                                          "runtime/cuda/", "runtime/device.cpp"};
    if (inside.find("_test.") != std::string::npos) return true;
    return std::ranges::any_of(kPlaces, [&](const char* p) { return inside.starts_with(p); });
  }

  void check_words(const File& file) {
    if (file.path.rfind("src/", 0) != 0) return;
    std::string folder = folder_of(file.path.substr(4));
    static const std::regex environment(R"(\bgetenv\b)");
    static const std::regex llvm(R"re(^#include <llvm/)re");
    static const std::regex backend(R"re([=!]= *"(cpu|triton|cuda|gpu)")re");
    static const std::regex foreign(R"(triton|cuda)", std::regex::icase);
    static const std::regex unfinished(R"(\b(TODO|FIXME|XXX)\b)");
    for (size_t i = 0; i < file.lines.size(); ++i) {
      const std::string& line = file.lines[i];
      auto found = [&](const std::regex& word) { return std::regex_search(line, word); };
      std::string at = fmt::format("line {}", i + 1);
      if (folder != "driver" && found(environment)) fault("environment", file.path, at);
      if (folder != "backends" && found(llvm)) fault("llvm-header", file.path, at);
      if (folder != "backends" && found(backend)) fault("backend-name", file.path, at);
      if (!may_name(file.path.substr(4)) && found(foreign)) fault("backend-name", file.path, at);
      if (found(unfinished)) fault("unfinished", file.path, at);
    }
  }

  void check_folders() {
    for (const auto& entry : fs::directory_iterator(root_ / "src")) {
      if (!entry.is_directory()) continue;
      std::string name = entry.path().filename();
      if (std::find(order_.begin(), order_.end(), name) == order_.end()) {
        fault("layering", "src/" + name, "is missing in src/README.md");
      }
    }
  }

  // Every code of kinds.def stands in some test.
  void check_kinds() {
    std::string tests;
    for (const auto& folder : {"src", "test"}) {
      for (const auto& entry : fs::recursive_directory_iterator(root_ / folder)) {
        std::string path = entry.path().string();
        bool test =
            path.find("_test.cpp") != std::string::npos || path.find("/test/") != std::string::npos;
        if (entry.is_regular_file() && test) tests += read(entry.path());
      }
    }
    static const std::regex row(R"re(^KIND\((\w+), "([a-z0-9-]+)".*)re");
    for (const std::string& line : split_lines(read(root_ / "src/diag/kinds.def"))) {
      std::smatch match;
      if (!std::regex_match(line, match, row)) continue;
      std::string code = match[2];
      bool named = tests.find(code) != std::string::npos ||
                   tests.find("Kind::" + std::string(match[1])) != std::string::npos;
      if (!named)
        fault("untested-kind", "src/diag/kinds.def", fmt::format("no test shows `{}`", code));
    }
  }

  fs::path root_;
  std::vector<File> files_;
  std::vector<std::string> order_;
  std::map<std::pair<std::string, std::string>, bool> allowed_;
  std::vector<std::string> faults_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || !fs::exists(fs::path(argv[1]) / "src/README.md")) {
    fmt::print(stderr, "usage: peri_lint SOURCE_DIR\n");
    return 2;
  }
  return Lint(argv[1]).run();
}
