// What the names of a module stand for: statements that bind them, found without running anything.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "check/value.h"

namespace peri::check {

// A statement at module level that binds a name; evaluated when a kernel reaches it.
struct ModuleBinding {
  syntax::StmtId stmt;
  std::string path;  // Import, ImportFrom: dotted name of what is bound
  bool evaluating = false;
  bool done = false;
  Value value;
};

class ModuleScope {
 public:
  explicit ModuleScope(const syntax::Ast& ast);

  ModuleBinding* find(const std::string& name);
  std::vector<std::string> names() const;
  const std::vector<std::string>& star_imports() const { return stars_; }

 private:
  void collect(const syntax::Ast& ast, const std::vector<syntax::StmtId>& body, bool strong);
  void collect_stmt(const syntax::Ast& ast, syntax::StmtId id, bool strong);
  void collect_target(const syntax::Ast& ast, syntax::ExprId target, syntax::StmtId stmt,
                      bool strong);
  void collect_import(const syntax::Stmt& stmt, syntax::StmtId id, bool strong);
  void bind(const std::string& name, ModuleBinding binding, bool strong);

  std::map<std::string, ModuleBinding> bindings_;
  std::map<std::string, bool> strong_;
  std::vector<std::string> stars_;
};

// "torch.nn.functional.relu" -> "F.relu", "helion.language.tile" -> "hl.tile", "perihelion" ->
// "helion": one spelling for each thing.
std::string canonical_path(const std::string& path);

}  // namespace peri::check
