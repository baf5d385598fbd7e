// Small pictures as inline SVG, and text that is safe in HTML.
//
// Colours come from the page's classes, so that they follow its light and dark scheme; coordinates
// have one digit after the point.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace peri::tune {

// `text` as HTML content or attribute: inert, whatever it holds. Control characters are dropped.
std::string escape_html(std::string_view text);

// From values to coordinates.
struct Scale {
  double low = 0, high = 1;
  double from = 0, to = 1;  // coordinates of low and high
  bool log = false;         // values are positive

  double at(double value) const;
  // Round values between low and high, at most about `most`.
  std::vector<double> ticks(i64 most) const;
};
// From the smallest to the largest of `values`, with room around; `values` without infinities.
Scale scale_of(const std::vector<double>& values, bool log, double from, double to);

class Svg {
 public:
  // `label` is what a screen reader says.
  Svg(double width, double height, std::string_view label, std::string_view css_class = "");

  void line(double x1, double y1, double x2, double y2, std::string_view css_class);
  void path(std::string_view data, std::string_view css_class);
  void rect(double x, double y, double width, double height, std::string_view css_class,
            std::string_view title = "");
  void circle(double x, double y, double radius, std::string_view css_class,
              std::string_view title = "");
  void cross(double x, double y, double radius, std::string_view css_class,
             std::string_view title = "");
  // `anchor`: "start", "middle" or "end". `text` is escaped.
  void text(double x, double y, std::string_view text, std::string_view anchor,
            std::string_view css_class = "");
  std::string finish();

  double width() const { return width_; }
  double height() const { return height_; }

 private:
  void element(std::string_view name, std::string_view attributes, std::string_view css_class,
               std::string_view title);

  double width_, height_;
  std::string out_;
};

// "M12.3 4": a path's step to a point; `command` M or L.
std::string step(char command, double x, double y);

}  // namespace peri::tune
