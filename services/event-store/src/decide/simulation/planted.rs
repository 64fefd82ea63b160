//! Every planted bug is caught by some world, or the worlds prove nothing.

use std::fmt::Write as _;
use std::panic::catch_unwind;

use spina_core::planted::{Bug, plant};

use super::run;

/// Worlds in which a bug may hide before the test gives up on catching it.
const SEEDS: u64 = 4_000;

/// The first seed whose world shows the bug, and how.
fn caught(bug: Bug) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| {
        plant(Some(bug));
        let verdict = catch_unwind(|| run(seed));
        plant(None);
        match verdict {
            Ok(verdict) => verdict.wrong.into_iter().next().map(|wrong| (seed, wrong)),
            Err(_) => Some((seed, "the owner panics".to_owned())),
        }
    })
}

#[test]
fn every_planted_bug_is_caught() {
    let mut report = String::from("# Planted bugs\n\n| bug | what is wrong | caught by |\n|---|---|---|\n");
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let found = match caught(*bug) {
            Some((seed, wrong)) => format!("world {seed}: {wrong}"),
            None => {
                missed.push(*bug);
                "nothing".to_owned()
            }
        };
        writeln!(report, "| `{bug:?}` | {} | {found} |", bug.what()).expect("a string takes everything");
    }
    let (all, missing) = (Bug::ALL.len(), missed.len());
    writeln!(report, "\n{} of {all} caught.", all - missing).expect("a string takes everything");
    // <target>/debug/deps/<test>
    let test = std::env::current_exe().expect("a test knows its file");
    let target = test.ancestors().nth(3).expect("it lies in the target folder");
    std::fs::write(target.join("planted-bugs.md"), report).expect("the report can be written");
    assert!(missed.is_empty(), "not caught: {missed:?}; see target/planted-bugs.md");
    assert!(all >= 40, "only {all} bugs are planted");
}
