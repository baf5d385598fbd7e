// The pictures of a report, each as SVG; empty where the record has nothing to show.
#pragma once

#include <string>
#include <vector>

#include "tune/insight.h"
#include "tune/record.h"

namespace peri::tune {

// Every config over the time of the run, and the best so far.
std::string course_chart(const Record& record, double width);

// Times by the value of one knob.
struct KnobPanel {
  std::string knob, note, svg;
};
// One for each knob of which several values were tried, the most important first.
std::vector<KnobPanel> knob_panels(const Record& record);

// Compile time against time of a call, with the configs that nothing beats in both.
std::string pareto_chart(const Record& record);
std::string prediction_chart(const Record& record);
std::string roofline_chart(const Record& record);

// The confidence interval of a time on a scale that all finalists share.
std::string interval_chart(const Record& record, const Time& time);

}  // namespace peri::tune
