//! When which fault happens. The same seed gives the same schedule.

use std::time::Duration;

use super::{Fault, Trouble};
use crate::gate::rng::Rng;

/// What a run is to go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Faults of every kind in turn, at random moments.
    Mixed,
    /// One event-store killed every 20 s, the others take over.
    FailOver,
    /// Nothing goes wrong.
    Calm,
}

/// Faults of [`Scenario::Mixed`] until the kinds come again.
const TURNS: usize = 12;
/// Time between the kills of [`Scenario::FailOver`].
const KILL_PERIOD: Duration = Duration::from_secs(20);
/// How long a killed process stays away then: beyond the session time-out, so that others take over.
const AWAY_MS: u64 = 14_000;
/// Longer than the session time-out (10 s) and the transaction time-out (10 s).
const FROZEN_MS: u64 = 13_000;

/// Faults with their moments, in order. The first part of the time (a tenth, at most a minute) stays calm.
pub fn plan(scenario: Scenario, seed: u64, time: Duration, stores: usize, brokers: usize) -> Vec<(Duration, Fault)> {
    let mut rng = Rng::new(seed);
    let mut at = (time / 10).min(Duration::from_secs(60));
    let mut planned = Vec::new();
    let mut turn = 0;
    while at < time {
        let store = (rng.number() % stores as u64) as usize;
        let (fault, gap) = match scenario {
            Scenario::Calm => break,
            Scenario::FailOver => (Fault::KillStore { store: turn % stores, away_ms: AWAY_MS }, KILL_PERIOD),
            Scenario::Mixed => {
                (mixed(turn, store, brokers, &mut rng), Duration::from_millis(rng.between(2_000, 8_000)))
            }
        };
        planned.push((at, fault));
        at += gap + fault.lasts();
        if scenario == Scenario::FailOver {
            at -= fault.lasts();
        }
        turn += 1;
    }
    planned
}

/// Every kind comes up once in twelve; kills of event-stores more often, and one after the other what a network does.
fn mixed(turn: usize, store: usize, brokers: usize, rng: &mut Rng) -> Fault {
    let soon = |rng: &mut Rng| rng.between(0, 2_000);
    let broker = (rng.number() % brokers as u64) as usize;
    match turn % TURNS {
        0 | 3 => Fault::KillStore { store, away_ms: soon(rng) },
        1 => Fault::KillBroker { broker, away_ms: soon(rng) },
        2 => Fault::KillPostgres { away_ms: rng.between(1_000, 6_000) },
        4 => Fault::StopStore { store },
        5 => Fault::FreezeStore { store, frozen_ms: FROZEN_MS + soon(rng) },
        6 => Fault::KillStore { store, away_ms: AWAY_MS },
        7 => Fault::FreezeBroker { broker, frozen_ms: rng.between(1_000, 6_000) },
        9 | 10 => {
            let trouble = Trouble::ALL[(turn / TURNS * 2 + turn % TURNS - 9) % Trouble::ALL.len()];
            Fault::Network { trouble, lasts_ms: rng.between(500, 5_000) }
        }
        8 if brokers > 1 => Fault::KillMostBrokers { spared: broker, away_ms: rng.between(1_000, 4_000) },
        _ => Fault::KillProjector,
    }
}

impl Fault {
    /// How long it lasts, apart from what starting again takes.
    pub fn lasts(&self) -> Duration {
        Duration::from_millis(match *self {
            Self::KillStore { away_ms, .. }
            | Self::KillBroker { away_ms, .. }
            | Self::KillMostBrokers { away_ms, .. }
            | Self::KillPostgres { away_ms } => away_ms,
            Self::Network { lasts_ms, .. } => lasts_ms,
            Self::FreezeStore { frozen_ms, .. } | Self::FreezeBroker { frozen_ms, .. } => frozen_ms,
            Self::StopStore { .. } | Self::KillProjector => 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(600);

    #[test]
    fn the_same_seed_gives_the_same_schedule() {
        assert_eq!(plan(Scenario::Mixed, 7, TIME, 3, 3), plan(Scenario::Mixed, 7, TIME, 3, 3));
        assert_ne!(plan(Scenario::Mixed, 7, TIME, 3, 3), plan(Scenario::Mixed, 8, TIME, 3, 3));
    }

    #[test]
    fn every_kind_of_fault_comes_up_and_the_beginning_is_calm() {
        let planned = plan(Scenario::Mixed, 1, TIME, 3, 3);
        let mut names: Vec<&str> = planned.iter().map(|(_, fault)| fault.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 8 + Trouble::ALL.len(), "{names:?}");
        assert!(planned[0].0 >= Duration::from_secs(60) && planned.is_sorted_by_key(|(at, _)| *at));
    }

    #[test]
    fn fail_over_kills_one_after_the_other_every_20_s() {
        let planned = plan(Scenario::FailOver, 1, Duration::from_secs(300), 3, 1);
        assert!(planned.windows(2).all(|pair| pair[1].0 - pair[0].0 == KILL_PERIOD));
        assert!(planned.len() >= 13, "{}", planned.len());
    }
}
