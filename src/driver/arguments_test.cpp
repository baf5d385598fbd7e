#include "driver/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "runtime/npy.h"
#include "runtime/random.h"

namespace peri::driver {
namespace {

using check::ArgSpec;
using runtime::Tensor;
using testing::ElementsAre;

class ArgumentsTest : public testing::Test {
 protected:
  Argument parse(const std::string& spec, const std::string& name = "x", i64 seed = 0) {
    auto argument = parse_argument(name, spec, seed, diags_);
    EXPECT_TRUE(argument) << spec << ": " << (argument ? "" : argument.error().message);
    return argument ? *argument : Argument();
  }
  Tensor tensor(const std::string& spec) {
    Argument argument = parse(spec);
    EXPECT_EQ(argument.spec.kind, ArgSpec::Kind::Tensor) << spec;
    EXPECT_EQ(argument.spec.sizes, argument.tensor.sizes);
    EXPECT_EQ(argument.spec.strides, argument.tensor.strides);
    EXPECT_EQ(argument.spec.dtype, argument.tensor.dtype);
    return argument.tensor;
  }
  std::string code_of(const std::string& spec) {
    auto argument = parse_argument("x", spec, 0, diags_);
    return argument ? "" : argument.error().code;
  }

  diag::Sources sources_;
  diag::Diags diags_{sources_};
};

std::vector<double> values(const Tensor& tensor) {
  std::vector<double> all;
  for (i64 i = 0; i < tensor.numel(); ++i) all.push_back(get_real(tensor, i));
  return all;
}

TEST_F(ArgumentsTest, MakesTensors) {
  EXPECT_EQ(tensor("randn[2,3]").describe(), "f32[2, 3]");
  EXPECT_EQ(tensor("randn[2, 3]:bfloat16").describe(), "bf16[2, 3]");
  EXPECT_EQ(tensor("rand[0,4]:f64").describe(), "f64[0, 4]");
  EXPECT_EQ(tensor("zeros[]").describe(), "f32[]");
  EXPECT_THAT(values(tensor("arange[3]")), ElementsAre(0, 1, 2));
  EXPECT_EQ(tensor("arange[3]").dtype, Dtype::I64);
  EXPECT_THAT(values(tensor("ones[2]:u8")), ElementsAre(1, 1));
  EXPECT_THAT(values(tensor("full[2]=-1.5")), ElementsAre(-1.5, -1.5));
  EXPECT_THAT(values(tensor("full[1]=2.5:f16.strided(4)")), ElementsAre(2.5));
  EXPECT_EQ(tensor("full[1]=7").dtype, Dtype::I64);
  EXPECT_EQ(tensor("full[1]=true").dtype, Dtype::Bool);
  Tensor numbers = tensor("randint[100]=-2:3:i8");
  EXPECT_EQ(numbers.dtype, Dtype::I8);
  for (double value : values(numbers)) EXPECT_TRUE(value >= -2 && value <= 2) << value;
}

TEST_F(ArgumentsTest, SeedAndNameFixRandomContents) {
  EXPECT_EQ(values(parse("randn[4]", "a", 1).tensor), values(parse("randn[4]", "a", 1).tensor));
  EXPECT_NE(values(parse("randn[4]", "a", 1).tensor), values(parse("randn[4]", "a", 2).tensor));
  EXPECT_NE(values(parse("randn[4]", "a", 1).tensor), values(parse("randn[4]", "b", 1).tensor));
}

TEST_F(ArgumentsTest, SuffixesChangeTheLayout) {
  Tensor transposed = tensor("arange[6].strided(1).strided(2)");
  EXPECT_THAT(transposed.strides, ElementsAre(2));
  EXPECT_THAT(values(transposed), ElementsAre(0, 1, 2, 3, 4, 5));
  Tensor t = tensor("randn[2,3,4].t()");
  EXPECT_THAT(t.sizes, ElementsAre(2, 4, 3));
  EXPECT_THAT(t.strides, ElementsAre(12, 1, 4));
  Tensor expanded = tensor("full[3,2]=5:f32.strided(0,1)");
  EXPECT_THAT(values(expanded), ElementsAre(5, 5, 5, 5, 5, 5));
}

TEST_F(ArgumentsTest, ReadsFiles) {
  std::string path = (std::filesystem::temp_directory_path() / "peri.arguments:test.npy").string();
  ASSERT_TRUE(runtime::write_npy(path, runtime::arange(Dtype::F32, 4)));
  EXPECT_THAT(values(tensor("@" + path)), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(tensor("@" + path + ":bf16").dtype, Dtype::BF16);
  EXPECT_THAT(tensor("@" + path + ":f64.strided(3)").strides, ElementsAre(3));
  std::filesystem::remove(path);
  EXPECT_EQ(code_of("@" + path), "file-open");
}

TEST_F(ArgumentsTest, ReadsScalarsAndStrings) {
  EXPECT_EQ(parse("3").spec.value, SymValue::of(i64{3}));
  EXPECT_EQ(parse("-1e-3").spec.value, SymValue::of(-1e-3));
  EXPECT_EQ(parse("inf").spec.kind, ArgSpec::Kind::Float);
  EXPECT_EQ(parse("true").spec.value, SymValue::of_bool(true));
  EXPECT_EQ(parse("False").spec.kind, ArgSpec::Kind::Bool);
  EXPECT_EQ(parse("none").spec.kind, ArgSpec::Kind::None);
  EXPECT_EQ(parse("\"a b\"").spec.text, "a b");
  EXPECT_EQ(parse("batchmean").spec.text, "batchmean");
  EXPECT_EQ(parse("torch.float16").spec.dtype, Dtype::F16);
}

TEST_F(ArgumentsTest, ReadsSequences) {
  Argument list = parse("[1, 2.5, randn[2,2], (3, \"x,y\"),]");
  EXPECT_EQ(list.spec.kind, ArgSpec::Kind::List);
  ASSERT_EQ(list.items.size(), 4u);
  EXPECT_EQ(list.items[3].spec.kind, ArgSpec::Kind::Tuple);
  EXPECT_EQ(list.items[3].items[1].spec.text, "x,y");
  Arguments arguments{{"x", list}};
  EXPECT_EQ(specs_of(arguments).at("x").items.size(), 4u);
  auto leaves = leaves_of(arguments, {"x[0]", "x[2]", "x[3][0]"});
  EXPECT_EQ(leaves[0].scalar.integer, 1);
  EXPECT_EQ(leaves[1].tensor, &arguments["x"].items[2].tensor);
  EXPECT_EQ(leaves[2].scalar.integer, 3);
  EXPECT_TRUE(parse("[]").items.empty());
}

TEST_F(ArgumentsTest, LambdasAreParsed) {
  Argument lambda = parse("lambda acc, tile: acc + 1");
  EXPECT_EQ(lambda.spec.kind, ArgSpec::Kind::Lambda);
  EXPECT_NE(lambda.spec.ast, nullptr);
  EXPECT_EQ(code_of("lambda x:"), "diagnostics");
}

TEST_F(ArgumentsTest, RefusesWhatItCannotRead) {
  for (const char* spec :
       {"", "randn[", "randn[1.5]", "randn[2]x", "randint[2]=3", "full[2]=", "arange[2,2]",
        "[1, (2]", "randn[2].strided()", "randn[2].strided(-1)", "torch.nothing", "'open", "1 2",
        "randn[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"}) {
    std::string code = code_of(spec);
    EXPECT_TRUE(code == "bad-argument") << spec << ": " << code;
  }
  EXPECT_EQ(code_of("randn[-1]"), "tensor-size");
  EXPECT_EQ(code_of("zeros[1000000000000000]"), "out-of-memory");
}

TEST_F(ArgumentsTest, ClonesKeepSharing) {
  Arguments arguments{{"a", parse("arange[4]:f32")}};
  arguments["b"] = arguments["a"];
  Arguments copies = clone(arguments);
  set_real(copies["a"].tensor, 0, 9);
  EXPECT_EQ(get_real(copies["b"].tensor, 0), 9);
  EXPECT_EQ(get_real(arguments["a"].tensor, 0), 0);
}

TEST_F(ArgumentsTest, NamesStandForSizes) {
  SizeNames names{.values = {{"m", 2}, {"n_1", 3}, {"unused", 9}}};
  auto parse_named = [&](const std::string& spec) {
    return *parse_argument("x", spec, 0, diags_, &names);
  };
  Argument x = parse_named("randn[m, 4,n_1]:bf16.t()");
  EXPECT_THAT(x.tensor.sizes, ElementsAre(2, 3, 4));
  EXPECT_THAT(x.size_names, ElementsAre("m", "n_1", ""));
  EXPECT_EQ(x.text, "randn[2,4,3]:bf16.t()");
  EXPECT_THAT(names.used, ElementsAre("m", "n_1"));
  Argument index = parse_named("randint[m]=0:n_1:i32");
  EXPECT_EQ(index.text, "randint[2]=0:3:i32");
  EXPECT_EQ(index.tensor.dtype, Dtype::I32);
  EXPECT_EQ(parse_named("full[1]=m").text, "full[1]=2");
  EXPECT_EQ(parse_named("[randn[m], 3]").text, "[randn[2], 3]");
  EXPECT_EQ(parse_named("m").spec.kind, ArgSpec::Kind::String);  // only sizes have names
}

TEST_F(ArgumentsTest, NamesNeedValues) {
  SizeNames names{.values = {{"m", 2}}};
  auto argument = parse_argument("x", "randn[m,k]", 0, diags_, &names);
  ASSERT_FALSE(argument);
  EXPECT_EQ(argument.error().code, "missing-size");
  EXPECT_EQ(argument.error().message, "--arg x: `k` in `randn[m,k]` has no value");
  EXPECT_EQ(code_of("randn[m]"), "bad-argument");  // where no names can be given
}

}  // namespace
}  // namespace peri::driver
