#include "tune/messages.h"

namespace peri::tune {

std::string pack(const Message& message) {
  std::string text;
  Message::to_cbor(message, text);
  return text;
}

Message unpack(const std::string& text) { return Message::from_cbor(text); }

Message message_of(const Verdict& verdict) {
  return {{"status", std::string(status_name(verdict.status))},
          {"reason", verdict.reason},
          {"seconds", verdict.seconds},
          {"is_certain", verdict.is_certain}};
}

Verdict verdict_of(const Message& message) {
  return {parse_status(message["status"].get<std::string>()).value_or(Status::Crashed),
          message["reason"].get<std::string>(), message["seconds"].get<double>(),
          message["is_certain"].get<bool>()};
}

Message message_of(const Build& build) {
  return {{"id", build.id}, {"config", build.config}, {"code", build.code}};
}

Build build_of(const Message& message) {
  return {message["id"], message["config"], message["code"]};
}

Message message_of(const Error& error) { return {error.code, error.message, error.hint}; }

Error error_of(const Message& message) { return {message[0], message[1], message[2]}; }

Verdict verdict_of_death(const Death& death) {
  switch (death.kind) {
    case Death::Kind::Hung:
      return {.status = Status::Hung, .reason = death.reason, .is_certain = death.was_busy};
    case Death::Kind::Interrupted:
    case Death::Kind::OutOfTime:
      return {Status::Skipped, death.reason};
    case Death::Kind::Died:
      break;
  }
  return {Status::Crashed, death.reason};
}

Verdict verdict_of_error(const Error& error) {
  const bool is_wrong = error.code == "wrong-result";
  return {is_wrong || error.code == kOutOfBounds ? Status::WrongResult : Status::CompileError,
          is_wrong ? error.message : error.code + ": " + error.message};
}

}  // namespace peri::tune
