//! What is armed, and what happens there.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tracing::warn;

use super::NAMES;

/// The variable that arms.
pub const VARIABLE: &str = "SPINA_FAILPOINTS";

static ARMED: LazyLock<Result<Vec<Armed>, String>> = LazyLock::new(|| match std::env::var(VARIABLE) {
    Ok(text) => text.split(';').filter(|part| !part.trim().is_empty()).map(Armed::parse).collect(),
    Err(_) => Ok(Vec::new()),
});
static CLOCK_OFFSET_US: AtomicI64 = AtomicI64::new(0);

#[derive(Debug)]
struct Armed {
    name: &'static str,
    action: Action,
    /// The time that counts, from 1; each time if there is none.
    hit: Option<u64>,
    hits: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Kill,
    Pause(Duration),
    Clock { offset_s: i64 },
}

/// Says what is wrong with what is armed.
pub fn check() -> Result<(), Box<dyn std::error::Error>> {
    ARMED.as_ref().map(|_| ()).map_err(|why| why.clone().into())
}

pub fn clock_offset_us() -> i64 {
    CLOCK_OFFSET_US.load(Ordering::Relaxed)
}

pub fn reach(name: &str) {
    for armed in ARMED.iter().flatten().filter(|armed| armed.name == name) {
        let hits = armed.hits.fetch_add(1, Ordering::Relaxed) + 1;
        if armed.hit.is_none_or(|hit| hit == hits) {
            armed.action.act(name);
        }
    }
}

impl Action {
    fn act(self, name: &str) {
        match self {
            Self::Kill => kill_process(getpid(), Signal::KILL).expect("a process may kill itself"),
            Self::Pause(pause) => std::thread::sleep(pause),
            Self::Clock { offset_s } => {
                warn!(name, offset_s, "the clock jumps");
                CLOCK_OFFSET_US.store(offset_s * 1_000_000, Ordering::Relaxed);
            }
        }
    }
}

impl Armed {
    /// `name=action`, `name=action:amount`, either with `@hit`.
    fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("{VARIABLE}: `{}`: {why}", text.trim());
        let (name, rest) = text.trim().split_once('=').ok_or_else(|| bad("write name=action"))?;
        let name = NAMES.iter().find(|known| **known == name).ok_or_else(|| bad("there is no such place"))?;
        let (action, hit) = match rest.split_once('@') {
            Some((action, hit)) => (action, Some(hit.parse().map_err(|_| bad("after @ comes a number"))?)),
            None => (rest, None),
        };
        let number = |text: &str| text.parse::<i64>().map_err(|_| bad("after : comes a number"));
        let (action, each) = match action.split_once(':') {
            None if action == "kill" => (Action::Kill, false),
            Some(("pause", ms)) => (Action::Pause(Duration::from_millis(number(ms)?.unsigned_abs())), true),
            Some(("clock", offset_s)) => (Action::Clock { offset_s: number(offset_s)? }, false),
            _ => return Err(bad("actions are kill, pause:MILLISECONDS and clock:SECONDS")),
        };
        Ok(Self { name, action, hit: hit.or((!each).then_some(1)), hits: AtomicU64::new(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(&'static str, Action, Option<u64>), String> {
        Armed::parse(text).map(|armed| (armed.name, armed.action, armed.hit))
    }

    #[test]
    fn places_are_armed_with_an_action_and_a_turn() {
        assert_eq!(parsed("after_archive=kill@3"), Ok(("after_archive", Action::Kill, Some(3))));
        assert_eq!(parsed(" queued=kill"), Ok(("queued", Action::Kill, Some(1))));
        let pause = Action::Pause(Duration::from_millis(500));
        assert_eq!(parsed("before_archive=pause:500"), Ok(("before_archive", pause, None)));
        assert_eq!(parsed("queued=clock:-3600@9"), Ok(("queued", Action::Clock { offset_s: -3600 }, Some(9))));
    }

    #[test]
    fn what_cannot_be_armed_is_refused() {
        for text in ["nowhere=kill", "queued", "queued=explode", "queued=pause:soon", "queued=kill@often"] {
            assert!(parsed(text).is_err_and(|error| error.contains(text)), "{text}");
        }
    }

    #[test]
    fn the_clock_jumps_when_told() {
        Action::Clock { offset_s: 3_600 }.act("queued");
        assert_eq!(clock_offset_us(), 3_600_000_000);
    }
}
