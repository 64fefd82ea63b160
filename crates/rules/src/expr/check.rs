//! Names and functions of a parsed expression, checked before it ever runs.

use std::collections::BTreeSet;

use cel::Program;
use cel::common::ast::{EntryExpr, Expr as Ast, IdedExpr, SourceInfo};

use super::scope::EventField;
use crate::source::quote;

/// A path into the event's data: `["address", "city"]`.
pub type DataPath = Vec<String>;

/// The functions and methods that expressions may call, besides operators and the macros `has`, `all`, `exists`,
/// `exists_one`, `map` and `filter`. CEL's regular expressions and time functions are not compiled in.
const FUNCTIONS: [&str; 9] = ["size", "contains", "startsWith", "endsWith", "string", "int", "uint", "double", "bool"];

/// What an expression refers to; offsets are in characters from the start of its text.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub data: Vec<(DataPath, u32)>,
    pub whole_data: bool,
    pub event: BTreeSet<EventField>,
}

/// Something that CEL would only notice when the expression runs.
#[derive(Debug)]
pub(super) struct Fault {
    pub offset: u32,
    pub message: String,
}

pub(super) fn check(program: &Program) -> Result<Findings, Fault> {
    let mut walk = Walk { source: program.source_info(), findings: Findings::default(), bound: Vec::new() };
    walk.visit(program.expression())?;
    Ok(walk.findings)
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
    findings: Findings,
    /// Variables of the comprehension that is being visited.
    bound: Vec<&'p str>,
}

impl<'p> Walk<'p> {
    fn visit(&mut self, node: &'p IdedExpr) -> Result<(), Fault> {
        match &node.expr {
            Ast::Ident(name) => self.name(node, name, &[]),
            Ast::Select(select) => match path_of(&node.expr) {
                Some((root, path)) => self.name(node, root, &path),
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
                self.name(node, root, &path)
            }
            None => self.visit(operand),
        }
    }

    fn name(&mut self, node: &IdedExpr, root: &str, path: &[String]) -> Result<(), Fault> {
        match (root, path.first()) {
            (name, _) if self.bound.contains(&name) => {}
            ("data", None) => self.findings.whole_data = true,
            ("data", Some(_)) => self.findings.data.push((path.to_vec(), self.offset(node))),
            ("event", Some(field)) => {
                let known = EventField::named(field).filter(|_| path.len() == 1);
                let message =
                    || format!("`event` has no field {}, it has {}", quote(&path.join(".")), EventField::list());
                self.findings.event.insert(known.ok_or_else(|| self.fault(node, &message()))?);
            }
            ("event", None) => return Err(self.fault(node, "name a field of `event`, such as event.stream")),
            (name, _) => {
                let message = format!(
                    "unknown name {}: expressions know `data` and `event`; text is written in quotes, as in \"'text'\"",
                    quote(name)
                );
                return Err(self.fault(node, &message));
            }
        }
        Ok(())
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
