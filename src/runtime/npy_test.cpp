#include "runtime/npy.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/files.h"

namespace peri::runtime {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

std::string file_of(std::string_view header, std::string_view data, char major = 1) {
  std::string out = "\x93NUMPY"s + major + '\0';
  const u32 size = static_cast<u32>(header.size());
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) out += static_cast<char>(size >> (8 * i));
  return out.append(header).append(data);
}

std::string dict(std::string_view descr, std::string_view shape, std::string_view order = "False") {
  return fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}\n", descr, order,
                     shape);
}

Expected<Tensor> parse(std::string_view text) { return parse_npy(std::as_bytes(std::span(text))); }

std::string code_of(const Expected<Tensor>& tensor) {
  return tensor ? "none: " + tensor->describe() : tensor.error().code;
}

class Npy : public testing::Test {
 protected:
  Npy() : folder(testing::TempDir() + "peri-npy-" + std::to_string(getpid())) {
    fs::create_directories(folder);
  }
  ~Npy() override { fs::remove_all(folder); }
  std::string path(const std::string& name) const { return folder + "/" + name; }

  std::string folder;
};

TEST_F(Npy, RoundTripsEveryDtype) {
  for (i64 d = 0; d < kDtypeCount; ++d) {
    const auto dtype = static_cast<Dtype>(d);
    for (const std::vector<i64>& sizes :
         {std::vector<i64>{}, {5}, {2, 3}, {2, 0, 3}, {1, 2, 3, 4}}) {
      const Tensor tensor = zeros(dtype, sizes);
      for (i64 i = 0; i < tensor.numel(); ++i) set_integer(tensor, i, i * 7 - 3);
      ASSERT_TRUE(write_npy(path("t.npy"), tensor));
      const auto read = read_npy(path("t.npy"));
      ASSERT_TRUE(read) << read.error().message;
      EXPECT_EQ(read->dtype, compute_dtype(dtype));
      EXPECT_EQ(read->sizes, sizes);
      for (i64 i = 0; i < tensor.numel(); ++i) EXPECT_EQ(get_real(*read, i), get_real(tensor, i));
    }
  }
}

TEST_F(Npy, WritesWhatNumPyWrites) {
  Tensor tensor = zeros(Dtype::I16, {2, 3});
  for (i64 i = 0; i < 6; ++i) set_integer(tensor, i, i);
  ASSERT_TRUE(write_npy(path("t.npy"), tensor));
  std::string header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }";
  header.resize(117, ' ');
  EXPECT_EQ(read_file(path("t.npy"), 1000), file_of(header + "\n", "\0\0\1\0\2\0\3\0\4\0\5\0"s));
  std::swap(tensor.sizes[0], tensor.sizes[1]);
  std::swap(tensor.strides[0], tensor.strides[1]);
  ASSERT_TRUE(write_npy(path("t.npy"), tensor));
  EXPECT_TRUE(read_file(path("t.npy"), 1000)->ends_with("\0\0\3\0\1\0\4\0\2\0\5\0"s));
}

TEST_F(Npy, ReadsEveryOrderAndVersion) {
  for (char major : {1, 2, 3}) {
    const auto tensor = parse(file_of(dict(">i4", "(2,)"), "\0\0\1\2\xff\xff\xff\xfe"s, major));
    ASSERT_TRUE(tensor) << tensor.error().message;
    EXPECT_EQ(get_integer(*tensor, 0), 258);
    EXPECT_EQ(get_integer(*tensor, 1), -2);
  }
  const auto fortran = parse(file_of(dict("|u1", "(2, 3)", "True"), "\0\1\2\3\4\5"s));
  ASSERT_TRUE(fortran);
  EXPECT_EQ(fortran->strides, (std::vector<i64>{1, 2}));
  EXPECT_EQ(get_integer(*fortran, 1), 2);
  const auto half = parse(file_of(dict(">f2", "(1,)"), "\x3c\0"s));
  ASSERT_TRUE(half);
  EXPECT_EQ(half->dtype, Dtype::F16);
  EXPECT_EQ(get_real(*half, 0), 1);
  const auto scalar = parse(file_of(dict("<f8", "()"), "\0\0\0\0\0\0\xf0\x3f"s));
  ASSERT_TRUE(scalar);
  EXPECT_EQ(get_real(*scalar, 0), 1);
  EXPECT_TRUE(
      parse(file_of("{ \"shape\":( 1L,2 ) ,\"fortran_order\":True,\"descr\":\"|b1\"}", "ab")));
}

TEST_F(Npy, UnsignedTypesWiden) {
  const auto u2 = parse(file_of(dict(">u2", "(2,)"), "\xff\xff\0\1"s));
  ASSERT_TRUE(u2);
  EXPECT_EQ(u2->dtype, Dtype::I32);
  EXPECT_EQ(get_integer(*u2, 0), 65535);
  EXPECT_EQ(get_integer(*u2, 1), 1);
  const auto u4 = parse(file_of(dict("<u4", "(2,)"), "\1\0\0\0\xff\xff\xff\xff"s));
  ASSERT_TRUE(u4);
  EXPECT_EQ(u4->dtype, Dtype::I64);
  EXPECT_EQ(get_integer(*u4, 1), 4294967295);
  EXPECT_EQ(get_integer(*parse(file_of(dict("<u8", "(1,)"), "\1\0\0\0\0\0\0\0"s)), 0), 1);
  EXPECT_EQ(code_of(parse(file_of(dict(">u8", "(1,)"), "\x80\0\0\0\0\0\0\0"s))), "npy-value");
  const auto boolean = parse(file_of(dict("|b1", "(2,)"), "\xff\0"s));
  ASSERT_TRUE(boolean);
  EXPECT_EQ(static_cast<u8>(boolean->data()[0]), 1);
}

TEST_F(Npy, HostileFilesAreErrors) {
  const std::string good = file_of(dict("<f4", "(2,)"), "12345678");
  ASSERT_TRUE(parse(good));
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(code_of(parse(good.substr(0, size))), size < 8 ? "npy-magic" : "npy-truncated");
  }
  const std::pair<std::string, const char*> cases[] = {
      {good + "x", "npy-trailing"},
      {"PK\3\4 a zip file", "npy-magic"},
      {file_of(dict("<f4", "(2,)"), "12345678", 4), "npy-version"},
      {file_of(dict("<f4", "(2,)"), "12345678", 0), "npy-version"},
      {"\x93NUMPY\2\0\xff\xff\xff\xff"s + good, "npy-header"},
      {file_of("", ""), "npy-header"},
      {file_of("{", ""), "npy-header"},
      {file_of("{'descr': '<f4'}", ""), "npy-header"},
      {file_of("{'descr': '<f4', 'descr': '<f4'}", ""), "npy-header"},
      {file_of("{'descr': '<f4', 'x': 1}", ""), "npy-header"},
      {file_of(dict("<f4", "(2,)") + "x", "12345678"), "npy-header"},
      {file_of(dict("<f4", "(2)"), "12345678"), "npy-header"},
      {file_of(dict("<f4", "(-2,)"), "12345678"), "npy-header"},
      {file_of(dict("<f4", "(1 2)"), "12345678"), "npy-header"},
      {file_of(dict("<f4", "(,)"), ""), "npy-header"},
      {file_of(dict("<f4", "(99999999999999999999,)"), ""), "npy-header"},
      {file_of(dict("<f4", "(2,)", "Maybe"), "12345678"), "npy-header"},
      {file_of(dict("<f4", "(4611686018427387904, 4)"), ""), "npy-shape"},
      {file_of(dict("<f4", "(0, 4611686018427387904, 4)"), ""), "npy-shape"},
      {file_of(dict("<f4", "(1099511627776,)"), "1234"), "npy-truncated"},
      {file_of(dict("<c8", "(1,)"), "12345678"), "npy-dtype"},
      {file_of(dict("<f16", "(1,)"), "1234567812345678"), "npy-dtype"},
      {file_of(dict("|f4", "(1,)"), "1234"), "npy-dtype"},
      {file_of(dict("|O", "(1,)"), "12345678"), "npy-dtype"},
      {file_of("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "1234"),
       "npy-dtype"},
  };
  for (const auto& [text, code] : cases) EXPECT_EQ(code_of(parse(text)), code) << text;
  std::string deep = "(";
  for (int i = 0; i < 65; ++i) deep += "1, ";
  EXPECT_EQ(code_of(parse(file_of(dict("<f4", deep + ")"), "1234"))), "npy-header");
}

TEST_F(Npy, FilesThatCannotBeReadOrWritten) {
  EXPECT_EQ(code_of(read_npy(path("none.npy"))), "file-open");
  EXPECT_EQ(code_of(read_npy(folder)), "file-open");
  std::ofstream(path("bad.npy")) << "nonsense";
  EXPECT_EQ(read_npy(path("bad.npy")).error().message,
            "`" + path("bad.npy") + "`: not an .npy file: it does not begin with its magic number");
  EXPECT_EQ(write_npy("/dev/full", zeros(Dtype::F32, {4})).error().code, "file-write");
  EXPECT_EQ(write_npy(path("none/t.npy"), zeros(Dtype::F32, {4})).error().code, "file-open");
}

// Inputs that the fuzzer found worth keeping.
TEST_F(Npy, SurvivesTheFuzzCorpus) {
  i64 files = 0;
  for (const auto& entry : fs::directory_iterator(PERI_SOURCE_DIR "/test/fuzz/npy")) {
    const auto tensor = read_npy(entry.path().string());
    if (tensor && tensor->numel() > 0) get_real(*tensor, tensor->numel() - 1);
    ++files;
  }
  EXPECT_GT(files, 0);
}

}  // namespace
}  // namespace peri::runtime
