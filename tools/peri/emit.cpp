#include <fmt/format.h>

#include "base/files.h"
#include "commands.h"

namespace peri::cli {

int emit(Session& session) {
  auto prepared = session.prepare();
  if (!prepared) return session.finish(prepared);
  driver::Compilation& c = session.compilation();
  auto text = driver::emit(c, session.options().stage);
  if (!text) return session.finish(std::unexpected(text.error()));
  if (session.options().json) {
    session.json()["stage"] = session.options().stage;
    session.json()["text"] = *text;
  } else {
    fmt::print("{}", *text);
  }
  return session.finish({});
}

int eject(Session& session) {
  auto prepared = session.prepare();
  if (!prepared) return session.finish(prepared);
  const Options& options = session.options();
  auto text = driver::eject(session.compilation(), options.eject_target);
  if (!text) return session.finish(std::unexpected(text.error()));
  if (session.options().out.empty()) {
    if (options.json) {
      session.json()["text"] = *text;
    } else {
      fmt::print("{}", *text);
    }
    return session.finish({});
  }
  std::string_view part = *text;
  auto written = replace_file(options.out, {&part, 1}, false);
  session.json()["file"] = options.out;
  return session.finish(written);
}

int list(Session& session) {
  driver::Compilation& c = session.compilation();
  auto done = driver::compile(c, "parse");
  if (!done) return session.finish(done);
  session.json()["kernels"] = nlohmann::ordered_json::array();
  for (const check::KernelDecl& decl : c.module->kernels) {
    i64 line = session.diags().sources().place(c.module->source, decl.span.begin).line;
    session.json()["kernels"].push_back(
        {{"name", decl.name}, {"parameters", decl.params}, {"line", line}});
    session.text(fmt::format("{}({})  line {}", decl.name, fmt::join(decl.params, ", "), line));
  }
  return session.finish({});
}

}  // namespace peri::cli
