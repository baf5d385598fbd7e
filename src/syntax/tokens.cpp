#include "syntax/tokens.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace peri::syntax {
namespace {

struct Spelling {
  std::string_view text;
  Tok kind;
};

constexpr std::string_view kTexts[] = {
#define TOKEN(name, text) text,
#define KEYWORD(name, text) text,
#define OPERATOR(name, text) text,
#include "syntax/tokens.def"
};

constexpr Spelling kKeywords[] = {
#define TOKEN(name, text)
#define KEYWORD(name, text) {text, Tok::name},
#define OPERATOR(name, text)
#include "syntax/tokens.def"
};

constexpr Spelling kOperators[] = {
#define TOKEN(name, text)
#define KEYWORD(name, text)
#define OPERATOR(name, text) {text, Tok::name},
#include "syntax/tokens.def"
};

constexpr u8 kNoOperator = 255;

// The index of the first operator that starts with a character.
constexpr std::array<u8, 128> kFirstOperator = [] {
  std::array<u8, 128> first{};
  first.fill(kNoOperator);
  for (u8 i = 0; i < std::size(kOperators); ++i) {
    u8& slot = first[static_cast<u8>(kOperators[i].text[0])];
    if (slot == kNoOperator) slot = i;
  }
  return first;
}();

struct Range {
  u32 first;
  u32 last;
};

constexpr Range kNoNames[] = {
    {0x80, 0xa9},     {0xab, 0xb4},      {0xb6, 0xb6},     {0xb8, 0xb9},     {0xbb, 0xbf},
    {0xd7, 0xd7},     {0xf7, 0xf7},      {0x2000, 0x203e}, {0x2041, 0x2053}, {0x2055, 0x2070},
    {0x20a0, 0x20cf}, {0x2190, 0x2bff},  {0x2e00, 0x2e2e}, {0x2e30, 0x2e7f}, {0x3000, 0x3004},
    {0x3008, 0x3020}, {0xe000, 0xf8ff},  {0xfe10, 0xfe32}, {0xfeff, 0xfeff}, {0xff01, 0xff0f},
    {0xfff0, 0xffff}, {0x1f000, 0x1faff}};

}  // namespace

std::string_view text_of(Tok kind) { return kTexts[static_cast<u8>(kind)]; }

bool is_spelled(Tok kind) { return kind > Tok::FStringEnd; }

bool starts_statement(Tok kind) {
  constexpr Tok kStarts[] = {Tok::Assert, Tok::Break,    Tok::Class,  Tok::Continue, Tok::Def,
                             Tok::Del,    Tok::Elif,     Tok::Except, Tok::Finally,  Tok::Global,
                             Tok::Import, Tok::Nonlocal, Tok::Pass,   Tok::Raise,    Tok::Return,
                             Tok::Try,    Tok::While,    Tok::With};
  return std::ranges::find(kStarts, kind) != std::end(kStarts);
}

Tok keyword_or_name(std::string_view word) {
  constexpr std::size_t kShortest = 2, kLongest = 8;
  if (word.size() < kShortest || word.size() > kLongest) return Tok::Name;
  for (const Spelling& k : kKeywords) {
    if (k.text[0] == word[0] && k.text == word) return k.kind;
  }
  return Tok::Name;
}

Tok match_operator(std::string_view rest) {
  u8 c = static_cast<u8>(rest[0]);
  if (c >= kFirstOperator.size() || kFirstOperator[c] == kNoOperator) return Tok::Invalid;
  for (std::size_t i = kFirstOperator[c]; i < std::size(kOperators); ++i) {
    if (kOperators[i].text[0] != rest[0]) break;
    if (rest.starts_with(kOperators[i].text)) return kOperators[i].kind;
  }
  return Tok::Invalid;
}

bool is_name_code_point(u32 c) {
  return std::ranges::none_of(kNoNames, [c](Range r) { return c >= r.first && c <= r.last; });
}

}  // namespace peri::syntax
