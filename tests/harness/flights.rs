//! The demo on the first days of the year, run once for all tests that look at real flights.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::spina::{Ran, Spina, clean};
use crate::stack::{Stack, root};

/// How many days are imported, about 2,700 events each: 14, or as `SPINA_TEST_DAYS` says; 365 are the year.
pub fn days() -> u32 {
    std::env::var("SPINA_TEST_DAYS").map_or(14, |days| days.parse().unwrap())
}

/// All four services, run by `spina`, and the flights of some days.
#[derive(Debug)]
pub struct Flights {
    /// The servers, and the services that `spina demo` started.
    pub stack: Stack,
    /// What the first demo printed.
    pub summary: String,
}

impl Flights {
    /// The first to ask runs the demo.
    pub fn get() -> &'static Self {
        static FLIGHTS: OnceLock<Flights> = OnceLock::new();
        FLIGHTS.get_or_init(|| {
            let summary = demo(&Stack::get());
            Self { stack: Stack::get(), summary }
        })
    }

    /// The `spina` command in this stack.
    pub fn spina(&self, verb: &[&str]) -> Spina {
        Spina::of(&self.stack).args(verb).arg("--dir").arg(&self.stack.dir)
    }

    /// Every event, as `spina replay` prints them.
    pub fn replay(&self) -> String {
        self.spina(&["replay", "--context", "flights", "--output", "ndjson"]).succeeds()
    }
}

/// Runs the demo and returns what it printed.
pub fn demo(stack: &Stack) -> String {
    let days = days().to_string();
    let demo = Spina::of(stack).args(["demo", "--free-ports", "--limit-days", &days, "--dir"]).arg(&stack.dir);
    demo.succeeds()
}

/// Compares models and events with figures computed from the flights alone, by another program in another language.
///
/// Each file holds what the command line printed: rows of `carrier_punctuality` and `airport_day`, and all events.
pub fn verify(carriers: &PathBuf, airport_days: &PathBuf, events: &PathBuf) -> Ran {
    let mut python = verifier(Some(days()));
    python.arg("--carriers").arg(carriers).arg("--airport-days").arg(airport_days).arg("--events").arg(events);
    Ran::of(python.output().unwrap())
}

/// Compares all four models in the same way; two of them come from the flights alone, two from the lines of the import.
///
/// Each file holds rows as the command line prints them. `None` stands for the whole year.
pub fn verify_models(days: Option<u32>, lines: &Path, rows: [&Path; 4]) -> Ran {
    let mut python = verifier(days);
    python.arg("--lines").arg(lines);
    for (option, rows) in ["--carriers", "--airport-days", "--statuses", "--aircraft"].iter().zip(rows) {
        python.arg(option).arg(rows);
    }
    Ran::of(python.output().unwrap())
}

fn verifier(days: Option<u32>) -> Command {
    let mut python = clean(Command::new("python3"));
    python.arg(root().join("tests/verify_flights.py")).arg("--flights").arg(cache().join("flights.csv"));
    if let Some(days) = days {
        python.args(["--days", &days.to_string()]);
    }
    python
}

/// Judges what became of passengers, by another program in another language: all those whose flights were cancelled, or
/// those of a day. The file holds the events of the context as `spina replay` prints them.
pub fn verify_rebooking(events: &Path, day: Option<&str>) -> Ran {
    let mut python = clean(Command::new("python3"));
    python.arg(root().join("tests/verify_rebooking.py")).arg("--flights").arg(cache().join("flights.csv"));
    python.arg("--events").arg(events);
    if let Some(day) = day {
        python.args(["--day", day]);
    }
    Ran::of(python.output().unwrap())
}

/// Where the demo keeps what it has fetched.
pub fn cache() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("SPINA_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("spina")))
        .or_else(|| Some(set("HOME")?.join(".cache/spina")))
        .expect("HOME is set")
        .join("nycflights13")
}
