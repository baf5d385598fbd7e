// SymTable::print: host scalars in Python's notation, with as few parentheses as it needs.

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "types/sym.h"
#include "types/sym_ops.h"

namespace peri {

using enum SymKind;

namespace {

constexpr std::size_t kMaxText = 1 << 16;
constexpr int kAtom = 20;

// An operator, or a function if `precedence` is kAtom.
struct Spelling {
  std::string_view text;
  int precedence = kAtom;
};

Spelling spelling_of(SymKind kind) {
  switch (kind) {
    case Or:
      return {" or ", 2};
    case And:
      return {" and ", 3};
    case Not:
      return {"not ", 4};
    case Eq:
      return {" == ", 5};
    case Ne:
      return {" != ", 5};
    case Lt:
      return {" < ", 5};
    case Le:
      return {" <= ", 5};
    case Gt:
      return {" > ", 5};
    case Ge:
      return {" >= ", 5};
    case BitOr:
      return {" | ", 6};
    case BitXor:
      return {" ^ ", 7};
    case BitAnd:
      return {" & ", 8};
    case Shl:
      return {" << ", 9};
    case Shr:
      return {" >> ", 9};
    case Add:
      return {" + ", 10};
    case Sub:
      return {" - ", 10};
    case Mul:
      return {"*", 11};
    case TrueDiv:
      return {" / ", 11};
    case FloorDiv:
      return {" // ", 11};
    case Mod:
      return {" % ", 11};
    case Neg:
      return {"-", 12};
    case BitNot:
      return {"~", 12};
    case Pow:
      return {"**", 13};
    case Min:
      return {"min"};
    case Max:
      return {"max"};
    case CeilDiv:
      return {"ceildiv"};
    case ToInt:
      return {"int"};
    case ToFloat:
      return {"float"};
    case Sqrt:
      return {"sqrt"};
    case Exp:
      return {"exp"};
    case Log:
      return {"log"};
    case Log2:
      return {"log2"};
    case Sin:
      return {"sin"};
    case Cos:
      return {"cos"};
    case Ceil:
      return {"ceil"};
    case Floor:
      return {"floor"};
    case Abs:
      return {"abs"};
    case NextPow2:
      return {"next_power_of_2"};
    case Select:
      return {"if", 1};
    case Const:
    case Symbol:
      return {};
  }
  return {};
}

std::string constant_text(SymValue value) {
  if (value.type == SymType::Bool) return value.integer != 0 ? "True" : "False";
  if (value.type == SymType::Int) return fmt::format("{}", value.integer);
  std::string text = fmt::format("{}", value.real);
  if (std::isfinite(value.real) && text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

// What is left to print, last first: text, or an expression that needs at least `precedence`.
struct Piece {
  std::string_view text;
  Sym sym{};
  int precedence = 0;
};

// The pieces of a node that is no leaf, in reading order.
std::vector<Piece> pieces_of(Sym sym) {
  const auto [text, level] = spelling_of(sym.kind());
  const auto operand = [&](i64 i, int precedence) { return Piece{"", sym.operand(i), precedence}; };
  const bool binary = arity_of(sym.kind()) == 2;
  if (sym.kind() == Select) {
    return {operand(1, 2), {" if "}, operand(0, 2), {" else "}, operand(2, 1)};
  }
  if (level == kAtom) {
    if (!binary) return {{text}, {"("}, operand(0, 0), {")"}};
    return {{text}, {"("}, operand(0, 0), {", "}, operand(1, 0), {")"}};
  }
  if (!binary) return {{text}, operand(0, level)};
  if (sym.kind() == Pow) return {operand(0, level + 1), {text}, operand(1, level)};
  const int left = level == 5 ? level + 1 : level;  // comparisons would chain
  return {operand(0, left), {text}, operand(1, level + 1)};
}

bool is_negative(SymValue value) {
  return value.type == SymType::Float ? std::signbit(value.real) : value.integer < 0;
}

}  // namespace

std::string SymTable::print(Sym root) const {
  if (!root) return "none";
  std::string out;
  std::vector<Piece> work{{"", root, 0}};
  while (!work.empty()) {
    if (out.size() > kMaxText) return out + "...";
    const Piece piece = work.back();
    work.pop_back();
    const Sym sym = piece.sym;
    if (!sym) {
      out += piece.text;
    } else if (sym.is_const()) {
      const bool wrapped = piece.precedence > 12 && is_negative(sym->value);
      out += fmt::format(fmt::runtime(wrapped ? "({})" : "{}"), constant_text(sym->value));
    } else if (sym.kind() == Symbol) {
      out += symbol(sym->symbol).name;
    } else {
      std::vector<Piece> pieces = pieces_of(sym);
      if (spelling_of(sym.kind()).precedence < piece.precedence) {
        pieces.insert(pieces.begin(), Piece{"("});
        pieces.push_back({")"});
      }
      work.insert(work.end(), pieces.rbegin(), pieces.rend());
    }
  }
  return out;
}

}  // namespace peri
