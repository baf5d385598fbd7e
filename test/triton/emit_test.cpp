// Each knob of a GPU target shows in the code, and only where it is set.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "triton/interpreter.h"
#include "triton/prepared.h"

namespace peri::triton_test {
namespace {

using testing::HasSubstr;
using testing::Not;

Case product(const std::string& device = "cuda:sm_90") {
  return {.kernel = "basic/matmul.py:matmul",
          .args = {{"x", "randn[512,320]:bf16"}, {"y", "randn[320,256]:bf16"}},
          .config = "{}",
          .device = device};
}

// The kernel and its wrapper, with what a launch asks for.
std::string module_of(Prepared& kernel, const std::string& config) {
  auto module = kernel.c.backend->eject(*kernel.c.lowered, *kernel.config(config), nullptr);
  EXPECT_TRUE(module) << config;
  return module.value_or("");
}

TEST(Emit, EachKnobShowsInTheCode) {
  Prepared kernel(product());
  ASSERT_TRUE(kernel.ready);
  const std::string plain = R"({"block_sizes": [32, 32, 64], "num_warps": 4, "num_stages": 1,
                               "l2_groupings": [1], "indexing": ["pointer", "pointer", "pointer"]})";
  struct Row {
    const char* config;
    const char* text;
  };
  for (const Row& row : {
           Row{R"({"range_num_stages": [0, 3]})", ", num_stages=3)"},
           Row{R"({"range_unroll_factors": [0, 2]})", ", loop_unroll_factor=2)"},
           Row{R"({"range_multi_buffers": [null, false]})", ", disallow_acc_multi_buffer=True)"},
           Row{R"({"range_multi_buffers": [null, true]})", ", disallow_acc_multi_buffer=False)"},
           Row{R"({"range_flattens": [null, true]})", ", flatten=True)"},
           Row{R"({"range_flattens": [null, false]})", ", flatten=False)"},
           Row{R"({"static_ranges": [true]})", "in tl.static_range("},
           Row{R"({"load_eviction_policies": ["first", ""]})", "eviction_policy=\"evict_first\""},
           Row{R"({"load_eviction_policies": ["", "last"]})", "eviction_policy=\"evict_last\""},
           Row{R"({"l2_groupings": [8]})", "// (8 * "},
           Row{R"({"pid_type": "xyz"})", "tl.program_id(1)"},
           Row{R"({"pid_type": "persistent_blocked"})", "tl.cdiv("},
           Row{R"({"pid_type": "persistent_interleaved"})", ", tl.num_programs(0)):"},
           Row{R"({"pid_type": "persistent_blocked", "num_sm_multiplier": 4})", "programs = 4 * "},
           Row{R"({"pid_type": "persistent_blocked", "maxnreg": 128})", ", maxnreg=128"},
           Row{R"({"num_warps": 8})", "num_warps=8"},
           Row{R"({"num_stages": 3})", "num_stages=3"},
           Row{R"({"indexing": ["tensor_descriptor", "pointer", "pointer"]})", ".load(["},
           Row{R"({"indexing": ["pointer", "pointer", "tensor_descriptor"]})", ".store(["},
           Row{R"({"block_sizes": [16, 32, 64]})", "tl.arange(0, 16)"},
           Row{R"({"loop_orders": [[1, 0]]})", "tile_m_id = pid % "},
       }) {
    auto base = space::Config::parse(plain);
    EXPECT_THAT(module_of(kernel, base.dump()), Not(HasSubstr(row.text))) << row.config;
    base.update(space::Config::parse(row.config));
    EXPECT_THAT(module_of(kernel, base.dump()), HasSubstr(row.text)) << row.config;
  }
}

// A descriptor of another address faults on the device.
TEST(Emit, AModuleWithDescriptorsRefusesTensorsThatAreNotAligned) {
  Prepared kernel(product());
  ASSERT_TRUE(kernel.ready);
  const char* aligned = "assert x.data_ptr() % 16 == 0";
  for (const char* kind : {"tensor_descriptor", "pointer"}) {
    const std::string module = module_of(
        kernel, fmt::format(R"({{"host_tensor_descriptors": false, "indexing": ["{}", "pointer",
                                 "pointer"]}})",
                            kind));
    EXPECT_EQ(module.contains(aligned), std::string(kind) == "tensor_descriptor");
  }
}

TEST(Emit, WarpsAreSpecializedForTargetsThatCan) {
  Prepared kernel(product("cuda:sm_100"));
  ASSERT_TRUE(kernel.ready);
  const char* config = R"({"block_sizes": [128, 128, 64], "pid_type": "flat", "num_warps": 4,
                           "num_stages": 2, "range_unroll_factors": [0, 0],
                           "range_warp_specializes": [null, true]})";
  EXPECT_THAT(module_of(kernel, config), HasSubstr(", warp_specialize=True)"));
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  auto code = driver::generate(kernel.c, *kernel.config(config));
  EXPECT_TRUE(code) << code.error().message;
}

TEST(Emit, TheCompilerIsAskedForWarpsAndRegisters) {
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  Prepared kernel(product());
  ASSERT_TRUE(kernel.ready);
  auto ptx = kernel.c.backend->compile(
      kernel.c.lowered->kernel,
      *kernel.config(R"({"pid_type": "persistent_blocked", "num_warps": 8, "maxnreg": 128})"),
      {.keep = "ptx"});
  ASSERT_TRUE(ptx) << ptx.error().message;
  EXPECT_THAT(ptx->text, HasSubstr(".reqntid 256"));
  EXPECT_THAT(ptx->text, HasSubstr(".maxnreg 128"));
}

}  // namespace
}  // namespace peri::triton_test
