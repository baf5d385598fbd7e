#include "driver/carried_code.h"

#include <nlohmann/json.hpp>

namespace peri::driver {

using nlohmann::json;

std::optional<std::string> CodeCollector::get(std::string_view key) const {
  auto payload = store_ == nullptr ? std::nullopt : store_->get(key);
  if (payload) code_[std::string(key)] = *payload;
  return payload;
}

void CodeCollector::put(std::string_view key, std::string_view payload) {
  if (store_ != nullptr) store_->put(key, payload);
  code_[std::string(key)] = payload;
}

std::string CodeCollector::text() const {
  std::string text;
  json::to_cbor(json(code_), text);
  return text;
}

std::vector<std::string> CodeCollector::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, payload] : code_) keys.push_back(key);
  return keys;
}

CarriedCode::CarriedCode(const std::string& text) {
  for (const auto& [key, payload] : json::from_cbor(text).items()) code_[key] = payload;
}

std::optional<std::string> CarriedCode::get(std::string_view key) const {
  auto found = code_.find(key);
  return found == code_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace peri::driver
