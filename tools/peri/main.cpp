#include <csignal>

#include "commands.h"

int main(int argc, char** argv) {
  using namespace peri::cli;
  std::signal(SIGPIPE, SIG_DFL);  // `peri emit ... | head` ends quietly
  Parsed parsed = parse_command_line(argc, argv);
  if (!parsed.run) return parsed.status;
  Session session(parsed.options);
  const std::string& command = parsed.options.command;
  if (command == "list") return list(session);
  if (command == "run") return run(session);
  if (command == "tune") return tune(session);
  if (command == "explain") return explain(session);
  if (command == "cache") return cache(session);
  if (command == "verify") return verify(session);
  if (command == "eject") return eject(session);
  return emit(session);
}
