//! The `spina` command: every verb in a module of its own, and what they share.

#![allow(clippy::print_stderr)]

pub mod demo;
pub mod stack;
