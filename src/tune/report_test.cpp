#include "tune/report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tune/measure.h"
#include "tune/sample_record_test.h"
#include "tune/svg.h"

namespace peri::tune {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

i64 count(const std::string& text, const std::string& part) {
  i64 found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(Report, HasEverySection) {
  std::string page = html_report(sample_record());
  for (const char* section : {"Course of the search", "Final round", "Time by knob", "Roofline",
                              "Measured time against prediction", "Failures", "Reproduce"}) {
    EXPECT_THAT(page, HasSubstr(section));
  }
  EXPECT_EQ(count(page, "<figure"), 1 + 7 + 3) << "the course, 7 knobs, 3 trade-offs";
  EXPECT_THAT(page, HasSubstr("name=\"viewport\""));
  EXPECT_THAT(page, HasSubstr("prefers-color-scheme: dark"));
}

TEST(Report, TheFinalTableSaysItsIntervals) {
  Record record = sample_record();
  std::string page = html_report(record);
  for (const Finalist& f : record.finalists) {
    EXPECT_THAT(page, HasSubstr(fmt::format("<span class=\"soft\">{} to {}</span></td>",
                                            print_seconds(f.low), print_seconds(f.high))));
  }
}

TEST(Report, IsOfOnePieceAndWithoutScripts) {
  std::string page = html_report(sample_record());
  for (const char* part : {"<script", "http:", "https:", "src=", "url(", "@import", " on"}) {
    EXPECT_EQ(count(page, std::string(part) + (part[0] == ' ' ? "click" : "")), 0) << part;
  }
}

TEST(Report, ElementsAreClosed) {
  std::string page = html_report(sample_record());
  for (const char* name : {"svg", "figure", "table", "tr", "td", "div", "p", "pre", "main", "dl"}) {
    i64 opened =
        count(page, std::string("<") + name + ">") + count(page, std::string("<") + name + " ");
    EXPECT_EQ(opened, count(page, std::string("</") + name + ">")) << name;
  }
}

// Every string of a record, as a user with bad intentions would write it.
TEST(Report, TextIsInert) {
  const std::string evil = "\"'><script>alert(1)</script><img src=x onerror=y>";
  Record record = sample_record();
  for (std::string* field :
       {&record.key, &record.kernel, &record.kernel_hash, &record.specialization, &record.file,
        &record.target, &record.machine, &record.fingerprint, &record.compiler, &record.strategy,
        &record.effort, &record.search_options, &record.device, &record.cache_mode, &record.started,
        &record.stopped, &record.accuracy.text}) {
    *field = evil;
  }
  record.arguments = {evil};
  for (Trial& trial : record.trials) {
    trial.origin = evil;
    trial.reason = evil;
    trial.config[evil] = trial.generation;
    trial.config["schedule"] = evil + std::to_string(trial.generation);
  }
  std::string page = html_report(record);
  EXPECT_EQ(count(page, "<script"), 0);
  EXPECT_EQ(count(page, "<img"), 0);
  EXPECT_EQ(count(page, "\"'>"), 0);
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;"));
}

TEST(Report, OfARunWithoutConfigs) {
  Record record = sample_record();
  record.trials.clear();
  record.finalists.clear();
  record.winner = 0, record.runner_up = -1;
  EXPECT_THAT(html_report(record), HasSubstr("No config was tried"));
}

TEST(Report, OfARunInWhichAllFailed) {
  Record record = sample_record();
  record.finalists.clear();
  for (Trial& trial : record.trials) {
    trial.status = Status::CompileError;
    trial.seconds = trial.low = trial.high = kFailed;
  }
  std::string page = html_report(record);
  EXPECT_THAT(page, HasSubstr("Failures"));
  EXPECT_THAT(page, Not(HasSubstr("Time by knob")));
  EXPECT_EQ(count(page, "nan"), 0);
}

TEST(Commands, RepeatTheRun) {
  Record record = sample_record();
  EXPECT_THAT(commands_of(record),
              ElementsAre("peri tune kernels/basic/softmax.py:softmax --arg 'x=randn[4096,2560]' "
                          "--seed 7 --budget 30 --strategy auto --effort quick",
                          HasSubstr("--time --config '{"), "peri verify softmax-3f2a"));
  record.arguments = {"name='it'"};
  record.search_options = "copies=3";
  record.cache_mode = "cold";
  record.device = "cuda:1";
  record.threads = 2;
  record.passes_off = "cse";
  EXPECT_THAT(commands_of(record)[0],
              EndsWith("--effort quick --search-options copies=3 --cold --device cuda:1 "
                       "--threads 2 --passes-off cse"));
  EXPECT_THAT(commands_of(record)[1], EndsWith("--device cuda:1 --threads 2 --passes-off cse"));
  EXPECT_THAT(commands_of(record)[0], HasSubstr("'name='\\''it'\\'''"));
}

TEST(Scale, TicksAreRoundValuesInRange) {
  Scale linear{0, 28.4, 0, 100, false};
  EXPECT_THAT(linear.ticks(6), ElementsAre(0, 5, 10, 15, 20, 25));
  Scale log{0.9e-3, 0.2, 0, 100, true};
  EXPECT_THAT(log.ticks(8), ElementsAre(1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2e-1));
  EXPECT_NEAR(log.at(0.9e-3), 0, 1e-9);
  EXPECT_NEAR(log.at(0.2), 100, 1e-9);
}

TEST(Scale, OfEqualOrNoValuesIsUsable) {
  EXPECT_NEAR(scale_of({5, 5}, true, 0, 100).at(5), 50, 1e-6);
  EXPECT_FALSE(scale_of({}, true, 0, 100).ticks(5).empty());
}

}  // namespace
}  // namespace peri::tune
