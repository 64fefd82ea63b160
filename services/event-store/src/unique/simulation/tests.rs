//! Thousands of worlds, none of which may go wrong; and the proof that it would be noticed.

use super::{Flaw, Seen, run};

/// Worlds in a run of the tests.
const SEEDS: u64 = 4_000;

#[test]
fn no_value_has_two_holders_and_none_is_lost_whoever_stops_where() {
    let only = std::env::var("SPINA_SIM_SEED").ok().map(|seed| seed.parse().expect("SPINA_SIM_SEED is a number"));
    let (mut appended, mut taken, mut taken_over) = (0, 0, 0);
    for seed in only.map_or(0..SEEDS, |seed: u64| seed..seed + 1) {
        let seen = run(seed, None);
        assert!(seen.wrong.is_empty(), "SPINA_SIM_SEED={seed}: {:#?}", seen.wrong);
        appended += seen.appended;
        taken += seen.taken;
        taken_over += seen.taken_over;
    }
    if only.is_none() {
        let seeds = usize::try_from(SEEDS).unwrap();
        assert!(appended > 5 * seeds && taken > seeds && taken_over > seeds, "{appended} {taken} {taken_over}");
    }
}

#[test]
fn what_is_done_wrong_is_noticed() {
    for flaw in [Flaw::NoProof, Flaw::LineageIgnored, Flaw::DroppedIsOver, Flaw::RepeatIsOld] {
        let noticed = (0..SEEDS).any(|seed| !run(seed, Some(flaw)).wrong.is_empty());
        assert!(noticed, "{flaw:?} goes unnoticed");
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..20 {
        assert_eq!(run(seed, None), run(seed, None));
    }
    assert_ne!(run(1, None), Seen::default());
}
