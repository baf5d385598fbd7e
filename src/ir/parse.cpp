#include "ir/parse.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "ir/lexer.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "types/sym_ops.h"

namespace peri::ir {
namespace {

using Kind = Token::Kind;

constexpr int kMaxNesting = 64;
constexpr i64 kMaxValues = 1 << 16;  // or the text's size: numbers of values are rows of a table

std::optional<OpCode> find_op(std::string_view text) {
  static const auto* kByText = [] {
    auto* map = new std::map<std::string_view, OpCode>;
    for (i64 i = 0; i < op_count(); ++i) {
      map->emplace(info(static_cast<OpCode>(i)).text, static_cast<OpCode>(i));
    }
    return map;
  }();
  auto found = kByText->find(text);
  return found == kByText->end() ? std::nullopt : std::optional(found->second);
}

// Stops at the first error: the token becomes End, on which every loop ends and nothing is
// reported.
class Parser {
 public:
  Parser(diag::SourceId source, diag::Diags& diags)
      : source_(source),
        diags_(diags),
        size_(static_cast<i64>(diags.sources().text(source).size())),
        lexer_(diags.sources().text(source)) {
    kernel_.syms = std::make_shared<SymTable>();
    advance();
  }

  std::optional<Kernel> run() {
    expect_word("kernel");
    kernel_.name = name();
    while (!failed_ && token_.kind != Kind::End) row();
    if (failed_) return std::nullopt;
    for (const Fault& fault : find_faults(kernel_)) {
      diag::Span span = fault.op ? kernel_[fault.op].span : diag::Span{source_, 0, 0};
      diags_.error(diag::Kind::IrInvalid, span, fault.text);
      failed_ = true;
    }
    if (failed_) return std::nullopt;
    return std::move(kernel_);
  }

 private:
  // --- tokens -----------------------------------------------------------------------------------

  void advance() {
    if (failed_) return;
    last_end_ = token_.end;
    token_ = lexer_.next();
    if (token_.kind == Kind::Invalid) fail(token_.text);
  }

  diag::Span span() const { return {source_, token_.begin, token_.end}; }

  void fail(std::string message) {
    if (!failed_) diags_.error(diag::Kind::IrSyntax, span(), std::move(message));
    failed_ = true;
    token_ = Token{};
  }

  void fail_expected(std::string_view what) {
    std::string_view found = diags_.sources().snippet(span());
    fail(found.empty() ? fmt::format("expected {} before the end", what)
                       : fmt::format("expected {}, not `{}`", what, found));
  }

  bool at_mark(std::string_view mark) const {
    return token_.kind == Kind::Mark && token_.text == mark;
  }
  bool at_word(std::string_view word) const {
    return token_.kind == Kind::Word && token_.text == word;
  }
  bool take_if(bool present) {
    if (present) advance();
    return present;
  }
  bool take_mark(std::string_view mark) { return take_if(at_mark(mark)); }
  bool take_word(std::string_view word) { return take_if(at_word(word)); }

  void expect(std::string_view mark) {
    if (!take_mark(mark)) fail_expected(fmt::format("`{}`", mark));
  }
  void expect_word(std::string_view word) {
    if (!take_word(word)) fail_expected(fmt::format("`{}`", word));
  }

  Token take(Kind kind, std::string_view what) {
    if (token_.kind != kind) {
      fail_expected(what);
      return {};
    }
    Token taken = token_;
    advance();
    return taken;
  }

  i64 integer() { return take(Kind::Int, "an integer").number; }

  bool at_name() const { return token_.kind == Kind::Word || token_.kind == Kind::String; }

  std::string name() {
    if (token_.kind == Kind::String) return take(Kind::String, "a name").text;
    return take(Kind::Word, "a name").text;
  }

  // Calls `item` for each of the comma-separated items up to the closing mark.
  template <class Item>
  void list(std::string_view open, std::string_view close, Item item) {
    expect(open);
    if (take_mark(close)) return;
    do {
      item();
    } while (take_mark(","));
    expect(close);
  }

  // --- tables -----------------------------------------------------------------------------------

  void row() {
    if (take_word("symbol")) return symbol_row();
    if (take_word("order")) return list("[", "]", [&] { sym(); });
    if (take_word("tensor")) return tensor_row();
    if (take_word("block")) return block_row();
    if (take_word("root")) return root();
    fail_expected("`symbol`, `tensor`, `block` or `root`");
  }

  // `foo`, or `#3 "some name"` for row 3.
  std::string declared_name(std::size_t row) {
    if (token_.kind != Kind::Row) return take(Kind::Word, "a name").text;
    numbered(row, token_.number);
    advance();
    return take(Kind::String, "a quoted name").text;
  }

  void numbered(std::size_t row, i64 number) {
    if (number != static_cast<i64>(row)) fail(fmt::format("this is row {}", row));
  }

  void symbol_row() {
    std::size_t row = static_cast<std::size_t>(kernel_.syms->symbol_count());
    Symbol symbol;
    Token reference = take(Kind::Symbol, "a symbol");
    symbol.name = reference.text;
    if (reference.text.starts_with('#')) {
      if (reference.text != fmt::format("#{}", row)) fail(fmt::format("this is row {}", row));
      symbol.name = take(Kind::String, "a quoted name").text;
    }
    if (!failed_ && !symbols_.emplace(reference.text, SymbolId(row)).second) {
      fail(fmt::format("`@{}` is declared twice", reference.text));
    }
    expect(":");
    symbol.type = word_of<SymType>(2, "a type of host scalars");
    expect("=");
    symbol.origin = word_of<SymbolOrigin>(4, "an origin");
    if (take_word("leaf")) symbol.leaf = integer();
    if (take_word("dim")) symbol.dim = integer();
    if (take_word("of")) symbol.block = block();
    expect_word("hint");
    symbol.hint = constant();
    if (!failed_) kernel_.syms->add_symbol(std::move(symbol));
  }

  // The enumerator (up to `last`) whose name comes next.
  template <class Enum>
  Enum word_of(int last, std::string_view what) {
    for (int i = 0; i <= last; ++i) {
      if (take_word(ir::name_of(static_cast<Enum>(i)))) return static_cast<Enum>(i);
    }
    fail_expected(what);
    return Enum();
  }

  void tensor_row() {
    TensorParam tensor;
    std::size_t row = kernel_.tensors.size();
    std::string reference = token_.kind == Kind::Row ? fmt::format("#{}", row) : token_.text;
    tensor.name = declared_name(row);
    if (!failed_ && !tensors_.emplace(reference, TensorId(row)).second) {
      fail(fmt::format("`{}` is declared twice", reference));
    }
    expect(":");
    tensor.dtype = dtype();
    list("[", "]", [&] { tensor.sizes.push_back(sym()); });
    expect_word("strides");
    list("[", "]", [&] { tensor.strides.push_back(sym()); });
    if (take_word("slot")) tensor.slot = integer();
    if (take_word("base")) tensor.base = integer();
    tensor.aligned = take_word("aligned");
    kernel_.tensors.push_back(std::move(tensor));
  }

  void block_row() {
    Block b;
    numbered(kernel_.blocks.size(), block().index);
    b.name = take(Kind::String, "a quoted name").text;
    expect(":");
    b.kind = word_of<Block::Kind>(2, "a kind of block");
    if (take_word("size")) {
      expect("=");
      b.size = sym();
    }
    if (take_word("in")) {
      if (!at_mark("..")) b.begin = sym();
      expect("..");
      if (at_sym()) b.end = sym();
    }
    if (take_word("step")) b.step = sym();
    if (take_word("parent")) b.parent = block();
    if (take_word("min")) b.min_size = integer();
    if (take_word("max")) b.max_size = integer();
    if (take_word("loop")) b.loop = integer();
    kernel_.blocks.push_back(std::move(b));
  }

  void root() {
    Root root;
    u32 begin = token_.begin;
    list("(", ")", [&] { root.blocks.push_back(block()); });
    root.span = {source_, begin, last_end_};
    root.body = body();
    kernel_.roots.push_back(std::move(root));
  }

  // --- pieces -----------------------------------------------------------------------------------

  std::optional<BlockId> block_of(const Token& token) const {
    if (token.kind != Kind::Word || token.text.size() < 2 || token.text[0] != 'b') return {};
    i64 number = 0;
    for (char c : std::string_view(token.text).substr(1)) {
      if (c < '0' || c > '9' || number > 1'000'000) return {};
      number = 10 * number + (c - '0');
    }
    return BlockId(number);
  }

  bool at_block() const { return block_of(token_).has_value(); }

  BlockId block() {
    auto id = block_of(token_);
    if (!id) {
      fail_expected("a block");
      return {};
    }
    advance();
    return *id;
  }

  Dtype dtype() {
    auto dtype = parse_dtype(token_.text);
    if (token_.kind != Kind::Word || !dtype || peri::name_of(*dtype) != token_.text) {
      fail_expected("an element type");
      return Dtype::F32;
    }
    advance();
    return *dtype;
  }

  TileType type() {
    TileType type{dtype(), {}};
    if (at_mark("[")) list("[", "]", [&] { type.shape.push_back(dim()); });
    return type;
  }

  Dim dim() {
    Dim dim;
    if (at_block()) {
      dim.block = block();
      expect(":");
    }
    dim.size = sym();
    return dim;
  }

  std::optional<SymValue> constant_of(const Token& token) const {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (token.kind == Kind::Int) return SymValue::of(token.number);
    if (token.kind == Kind::Float) return SymValue::of(token.real);
    if (token.kind != Kind::Word) return std::nullopt;
    if (token.text == "true") return SymValue::of_bool(true);
    if (token.text == "false") return SymValue::of_bool(false);
    if (token.text == "inf") return SymValue::of(kInfinity);
    if (token.text == "nan") return SymValue::of(std::numeric_limits<double>::quiet_NaN());
    return std::nullopt;
  }

  SymValue constant() {
    auto value = constant_of(token_);
    if (!value) {
      fail_expected("a constant");
      return {};
    }
    advance();
    return *value;
  }

  // Words that follow a range (`min 4`) are no expressions, but for calls (`min(4, @n)`).
  bool at_sym() {
    if (token_.kind == Kind::Symbol || constant_of(token_)) return true;
    if (token_.kind != Kind::Word || !sym_kind(token_.text)) return false;
    Token after = Lexer(lexer_).next();
    return after.kind == Kind::Mark && after.text == "(";
  }

  Sym sym(int depth = 0) {
    SymTable& syms = *kernel_.syms;
    if (depth > kMaxNesting) fail("an expression nested too deeply");
    if (auto value = constant_of(token_)) {
      advance();
      return syms.constant(*value);
    }
    if (token_.kind == Kind::Symbol) {
      auto found = symbols_.find(token_.text);
      if (found == symbols_.end()) {
        fail(fmt::format("`@{}` is not declared", token_.text));
        return syms.integer(0);
      }
      advance();
      return syms.symbol_sym(found->second);
    }
    return call(depth);
  }

  Sym call(int depth) {
    Sym zero = kernel_.syms->integer(0);
    auto kind = sym_kind(token_.text);
    if (token_.kind != Kind::Word || !kind) {
      fail_expected("a host scalar");
      return zero;
    }
    Token function = token_;
    advance();
    std::vector<Sym> operands;
    list("(", ")", [&] { operands.push_back(sym(depth + 1)); });
    if (failed_) return zero;
    if (static_cast<i64>(operands.size()) != arity_of(*kind)) {
      token_ = function;
      fail(fmt::format("`{}` takes {} operands", function.text, arity_of(*kind)));
      return zero;
    }
    operands.resize(3);
    if (!accepts(*kind, operands)) {
      token_ = function;
      fail(fmt::format("`{}` takes integers", function.text));
      return zero;
    }
    return kernel_.syms->make(*kind, operands[0], operands[1], operands[2]);
  }

  // Floats are the one thing that does not convert to what an operator asks for.
  static bool accepts(SymKind kind, const std::vector<Sym>& operands) {
    auto type = [&](std::size_t i) { return operands[i] ? operands[i].type() : SymType::Int; };
    SymType wanted = signature_of(kind, type(0), type(1), type(2)).operand;
    for (std::size_t i = kind == SymKind::Select ? 1 : 0; i < 3; ++i) {
      if (type(i) == SymType::Float && wanted == SymType::Int) return false;
    }
    return true;
  }

  // --- values -----------------------------------------------------------------------------------

  ValueId value() {
    Token token = take(Kind::Value, "a value");
    if (failed_) return {};
    return ValueId(token.number);
  }

  // `%3 acc: f32[b0:@b0]`
  ValueId definition() {
    Token token = token_;
    ValueId id = value();
    std::string named = at_name() ? name() : "";
    expect(":");
    TileType of = type();
    if (failed_) return {};
    if (id.index >= std::max(kMaxValues, size_)) {
      token_ = token;
      fail("a value number far beyond the number of values");
      return {};
    }
    if (id.index >= static_cast<i64>(kernel_.values.size())) {
      kernel_.values.resize(id.index + 1);
      defined_.resize(id.index + 1);
    }
    if (defined_[id.index]) {
      token_ = token;
      fail(fmt::format("`%{}` is defined twice", id.index));
      return {};
    }
    defined_[id.index] = true;
    kernel_[id].type = std::move(of);
    kernel_[id].name = std::move(named);
    return id;
  }

  // --- ops --------------------------------------------------------------------------------------

  GraphId body() {
    GraphId graph = add_graph(kernel_);
    expect("{");
    if (++nesting_ > kMaxNesting) fail("regions nested too deeply");
    while (token_.kind != Kind::End && !at_mark("}") && !at_word("yield")) op(graph);
    if (take_word("yield")) {
      do {
        kernel_[graph].yields.push_back(value());
      } while (take_mark(","));
    }
    --nesting_;
    expect("}");
    return graph;
  }

  void op(GraphId graph) {
    u32 begin = token_.begin;
    Op op{};
    if (token_.kind == Kind::Value) {
      do {
        op.results.push_back(definition());
      } while (take_mark(","));
      expect("=");
    }
    auto code = find_op(token_.text);
    if (token_.kind != Kind::Word || !code) return fail_expected("an operation");
    op.code = *code;
    advance();
    op.span = {source_, begin, last_end_};
    arguments(op);
    if (failed_) return;
    if (!info(op.code).has(Region)) op.span.end = last_end_;
    OpId id(static_cast<i64>(kernel_.ops.size()));
    for (ValueId result : op.results) {
      kernel_[result].def = id;
      kernel_[result].owner = graph;
    }
    kernel_[graph].ops.push_back(id);
    kernel_.ops.push_back(std::move(op));
  }

  void arguments(Op& op) {
    switch (op.code) {
      case OpCode::Const:
        op.attrs.constant = constant();
        return;
      case OpCode::HostScalar:
        op.attrs.sym = sym();
        return;
      case OpCode::TileBegin:
      case OpCode::TileEnd:
      case OpCode::TileId:
      case OpCode::TileCount:
      case OpCode::BlockSize:
      case OpCode::TileIndex:
        op.attrs.block = block();
        return;
      case OpCode::Store:
        op.operands.push_back(value());
        expect(",");
        return access(op);
      case OpCode::Load:
        return access(op);
      case OpCode::For:
        return for_arguments(op);
      case OpCode::If:
        return if_arguments(op);
      default:
        return operands(op);
    }
  }

  // `%1, %2`, then `, [0, 1]` if the op has dimensions.
  void operands(Op& op) {
    if (info(op.code).operands == 0) return;
    do {
      if (at_mark("[")) return list("[", "]", [&] { op.attrs.dims.push_back(integer()); });
      op.operands.push_back(value());
    } while (take_mark(","));
  }

  void access(Op& op) {
    bool by_row = token_.kind == Kind::Row;
    auto found = tensors_.find(by_row ? fmt::format("#{}", token_.number) : token_.text);
    if ((!by_row && token_.kind != Kind::Word) || found == tensors_.end()) {
      return fail_expected("a tensor");
    }
    advance();
    op.attrs.tensor = found->second;
    list("[", "]", [&] { op.attrs.indices.push_back(index(op)); });
    op.attrs.has_mask = take_word("where");
    if (op.attrs.has_mask) op.operands.push_back(value());
  }

  i32 index_operand(Op& op) {
    op.operands.push_back(value());
    return static_cast<i32>(op.operands.size()) - 1;
  }

  Index index(Op& op) {
    Index index;
    if (take_word("newaxis")) {
      index.kind = Index::Kind::NewAxis;
    } else if (take_word("gather")) {
      index.kind = Index::Kind::Gather;
      index.operand = index_operand(op);
    } else if (at_block()) {
      index.kind = Index::Kind::Tile;
      index.block = block();
      if (take_mark("+")) index.operand = index_operand(op);
    } else {
      if (!at_mark(":")) index.operand = index_operand(op);
      index.kind = index.operand < 0 || at_mark(":") ? Index::Kind::Range : Index::Kind::Scalar;
      if (index.kind == Index::Kind::Range) {
        expect(":");
        index.extent = sym();
      }
    }
    return index;
  }

  // (b1 in %1..%2) carry (%5 acc: f32 = %3) { ... }
  void for_arguments(Op& op) {
    list("(", ")", [&] {
      op.attrs.blocks.push_back(block());
      expect_word("in");
      op.operands.push_back(value());
      expect("..");
      op.operands.push_back(value());
    });
    std::vector<ValueId> params;
    if (take_word("carry")) {
      list("(", ")", [&] {
        params.push_back(definition());
        expect("=");
        op.operands.push_back(value());
      });
    }
    GraphId region = body();
    if (failed_) return;
    for (ValueId param : params) kernel_[param].owner = region;
    kernel_[region].params = std::move(params);
    op.regions.push_back(region);
  }

  void if_arguments(Op& op) {
    op.operands.push_back(value());
    op.regions.push_back(body());
    op.regions.push_back(take_word("else") ? body() : add_graph(kernel_));
  }

  diag::SourceId source_;
  diag::Diags& diags_;
  i64 size_;
  Lexer lexer_;
  Token token_;
  u32 last_end_ = 0;
  bool failed_ = false;
  int nesting_ = 0;
  Kernel kernel_;
  std::map<std::string, SymbolId> symbols_;
  std::map<std::string, TensorId> tensors_;
  std::vector<bool> defined_;
};

}  // namespace

std::optional<Kernel> parse(diag::SourceId source, diag::Diags& diags) {
  return Parser(source, diags).run();
}

}  // namespace peri::ir
