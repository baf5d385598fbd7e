#include "tune/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace peri::tune {

namespace {

std::string number(double value) {
  std::string text = fmt::format("{:.1f}", std::isfinite(value) ? value : 0);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text == "-0" ? "0" : text;
}

std::string attribute(std::string_view name, double value) {
  return fmt::format(" {}=\"{}\"", name, number(value));
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string result;
  for (char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        if (static_cast<u8>(c) >= 0x20 || c == '\n' || c == '\t') result += c;
    }
  }
  return result;
}

double Scale::at(double value) const {
  double a = low, b = high, v = value;
  if (log) a = std::log(low), b = std::log(high), v = std::log(std::max(value, low * 1e-3));
  if (b <= a) return (from + to) / 2;
  return from + (to - from) * (v - a) / (b - a);
}

std::vector<double> Scale::ticks(i64 most) const {
  std::vector<double> result;
  most = std::max<i64>(most, 2);
  const bool steep = log && high / low > 8;
  if (steep) {
    const std::vector<std::vector<double>> kSteps = {{1, 2, 5}, {1, 3}, {1}};
    for (const std::vector<double>& steps : kSteps) {
      result.clear();
      for (double decade = std::pow(10, std::floor(std::log10(low))); decade <= high;
           decade *= 10) {
        for (double s : steps) {
          if (s * decade >= low && s * decade <= high) result.push_back(s * decade);
        }
      }
      if (static_cast<i64>(result.size()) <= most) break;
    }
    return result;
  }
  const double raw = (high - low) / static_cast<double>(most);
  if (!(raw > 0)) return {low};
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double size = 10 * power;
  for (double s : {1.0, 2.0, 5.0}) {
    if (s * power >= raw) {
      size = s * power;
      break;
    }
  }
  for (double v = std::ceil(low / size) * size; v <= high * (1 + 1e-12); v += size) {
    result.push_back(std::abs(v) < size * 1e-9 ? 0 : v);
  }
  return result;
}

Scale scale_of(const std::vector<double>& values, bool log, double from, double to) {
  Scale scale{0, 1, from, to, false};
  if (values.empty()) return scale;
  auto [low, high] = std::ranges::minmax(values);
  scale.log = log && low > 0;
  if (scale.log) {
    const double room = std::max(1.02, std::pow(high / low, 0.04));
    scale.low = low / room, scale.high = high * room;
  } else {
    const double room = high > low ? 0.03 * (high - low) : std::max(std::abs(high) * 0.1, 1e-12);
    scale.low = low >= 0 ? std::max(0.0, low - room) : low - room;
    scale.high = high + room;
  }
  return scale;
}

std::string step(char command, double x, double y) {
  return fmt::format("{}{} {}", command, number(x), number(y));
}

Svg::Svg(double width, double height, std::string_view label, std::string_view css_class)
    : width_(width), height_(height) {
  out_ = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\"{}>\n",
                     number(width), number(height), escape_html(label),
                     css_class.empty() ? "" : fmt::format(" class=\"{}\"", css_class));
}

void Svg::element(std::string_view name, std::string_view attributes, std::string_view css_class,
                  std::string_view title) {
  out_ += fmt::format("<{}{} class=\"{}\"", name, attributes, css_class);
  out_ +=
      title.empty() ? "/>\n" : fmt::format("><title>{}</title></{}>\n", escape_html(title), name);
}

void Svg::line(double x1, double y1, double x2, double y2, std::string_view css_class) {
  element("line",
          attribute("x1", x1) + attribute("y1", y1) + attribute("x2", x2) + attribute("y2", y2),
          css_class, "");
}

void Svg::path(std::string_view data, std::string_view css_class) {
  if (!data.empty()) element("path", fmt::format(" d=\"{}\"", data), css_class, "");
}

void Svg::rect(double x, double y, double width, double height, std::string_view css_class,
               std::string_view title) {
  element("rect",
          attribute("x", x) + attribute("y", y) + attribute("width", std::max(width, 0.0)) +
              attribute("height", std::max(height, 0.0)),
          css_class, title);
}

void Svg::circle(double x, double y, double radius, std::string_view css_class,
                 std::string_view title) {
  element("circle", attribute("cx", x) + attribute("cy", y) + attribute("r", radius), css_class,
          title);
}

void Svg::cross(double x, double y, double r, std::string_view css_class, std::string_view title) {
  const std::string data = step('M', x - r, y - r) + step('L', x + r, y + r) +
                           step('M', x - r, y + r) + step('L', x + r, y - r);
  element("path", fmt::format(" d=\"{}\"", data), css_class, title);
}

void Svg::text(double x, double y, std::string_view text, std::string_view anchor,
               std::string_view css_class) {
  out_ += fmt::format("<text{}{} text-anchor=\"{}\" class=\"{}\">{}</text>\n", attribute("x", x),
                      attribute("y", y), anchor, css_class, escape_html(text));
}

std::string Svg::finish() { return std::move(out_) + "</svg>\n"; }

}  // namespace peri::tune
