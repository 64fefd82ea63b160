//! Names and functions of a parsed expression, checked before it ever runs.

use cel::Program;
use cel::common::ast::{EntryExpr, Expr as Ast, IdedExpr, SourceInfo};

use crate::source::quote;

/// A path into the event's data: `["address", "city"]`.
pub type DataPath = Vec<String>;

/// The functions and methods that expressions may call, besides operators and the macros `has`, `all`, `exists`,
/// `exists_one`, `map` and `filter`. CEL's regular expressions and time functions are not compiled in.
const FUNCTIONS: [&str; 9] = ["size", "contains", "startsWith", "endsWith", "string", "int", "uint", "double", "bool"];

/// A variable that an expression looks at, and which part of it.
#[derive(Debug)]
pub(super) struct Reference {
    /// The variable.
    pub root: String,
    /// The fields selected on it; empty for the variable as a whole.
    pub path: DataPath,
    /// In characters from the start of the expression's text.
    pub offset: u32,
    /// Whether it is only asked for with `has`.
    pub presence: bool,
}

/// Something that CEL would only notice when the expression runs.
#[derive(Debug)]
pub(super) struct Fault {
    pub offset: u32,
    pub message: String,
}

/// What the expression looks at. Whether those variables exist is for the caller to say.
pub(super) fn check(program: &Program) -> Result<Vec<Reference>, Fault> {
    let mut walk = Walk { source: program.source_info(), found: Vec::new(), bound: Vec::new() };
    walk.visit(program.expression())?;
    Ok(walk.found)
}

/// The root name and the fields selected on it, if the expression is nothing but that.
pub(super) fn path_of(ast: &Ast) -> Option<(&str, Vec<String>)> {
    let mut path = Vec::new();
    let mut at = ast;
    loop {
        match at {
            Ast::Select(select) if !select.test => {
                path.push(select.field.clone());
                at = &select.operand.expr;
            }
            Ast::Ident(root) => {
                path.reverse();
                return Some((root, path));
            }
            _ => return None,
        }
    }
}

struct Walk<'p> {
    source: &'p SourceInfo,
    found: Vec<Reference>,
    /// Variables of the comprehension that is being visited.
    bound: Vec<&'p str>,
}

impl<'p> Walk<'p> {
    fn visit(&mut self, node: &'p IdedExpr) -> Result<(), Fault> {
        match &node.expr {
            Ast::Ident(name) => {
                self.name(node, name, Vec::new(), false);
                Ok(())
            }
            Ast::Select(select) => match path_of(&node.expr) {
                Some((root, path)) => {
                    self.name(node, root, path, false);
                    Ok(())
                }
                None if select.test => self.presence(node, &select.operand, &select.field),
                None => self.visit(&select.operand),
            },
            Ast::Call(call) => {
                self.function(node, &call.func_name)?;
                call.target.iter().try_for_each(|target| self.visit(target))?;
                call.args.iter().try_for_each(|argument| self.visit(argument))
            }
            Ast::List(list) => list.elements.iter().try_for_each(|element| self.visit(element)),
            Ast::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => self.visit(&entry.key).and_then(|()| self.visit(&entry.value)),
                EntryExpr::StructField(field) => self.visit(&field.value),
            }),
            Ast::Comprehension(over) => {
                self.visit(&over.iter_range)?;
                if !self.bound.is_empty() {
                    return Err(
                        self.fault(node, "a comprehension inside another is not allowed: its cost has no limit")
                    );
                }
                self.bound = vec![over.iter_var.as_str(), over.accu_var.as_str()];
                self.bound.extend(over.iter_var2.as_deref());
                for part in [&over.accu_init, &over.loop_cond, &over.loop_step, &over.result] {
                    self.visit(part)?;
                }
                self.bound.clear();
                Ok(())
            }
            Ast::Struct(_) => Err(self.fault(node, "messages cannot be built in an expression")),
            Ast::Literal(_) | Ast::Unspecified => Ok(()),
        }
    }

    /// `has(data.a.b)`: the field counts as used.
    fn presence(&mut self, node: &'p IdedExpr, operand: &'p IdedExpr, field: &str) -> Result<(), Fault> {
        match path_of(&operand.expr) {
            Some((root, mut path)) => {
                path.push(field.to_owned());
                self.name(node, root, path, true);
                Ok(())
            }
            None => self.visit(operand),
        }
    }

    fn name(&mut self, node: &IdedExpr, root: &str, path: DataPath, presence: bool) {
        if !self.bound.contains(&root) {
            self.found.push(Reference { root: root.to_owned(), path, offset: self.offset(node), presence });
        }
    }

    fn function(&self, node: &IdedExpr, name: &str) -> Result<(), Fault> {
        let operator = !name.chars().next().is_some_and(|first| first.is_alphabetic());
        if operator || FUNCTIONS.contains(&name) {
            return Ok(());
        }
        let message = format!("unknown function {}, known are {}", quote(name), FUNCTIONS.join(", "));
        Err(self.fault(node, &message))
    }

    fn fault(&self, node: &IdedExpr, message: &str) -> Fault {
        Fault { offset: self.offset(node), message: message.to_owned() }
    }

    /// Where the node begins. CEL places a selection at its dot, so the leftmost part is asked.
    fn offset(&self, node: &IdedExpr) -> u32 {
        let mut leftmost = node;
        while let Ast::Select(select) = &leftmost.expr {
            leftmost = &select.operand;
        }
        self.source.offset_for(leftmost.id).map_or(0, |(start, _)| start)
    }
}
