//! Many worlds, none of which may go wrong.

use super::run;

/// Worlds in a run of the tests.
const SEEDS: u64 = 2_000;

#[test]
fn two_thousand_worlds_keep_every_invariant() {
    let only = std::env::var("SPINA_SIM_SEED").ok().map(|seed| seed.parse().expect("SPINA_SIM_SEED is a number"));
    let seeds = only.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    let (mut operations, mut succeeded, mut owners) = (0, 0, 0);
    for verdict in seeds.map(run) {
        let seed = verdict.seed;
        assert!(verdict.wrong.is_empty(), "SPINA_SIM_SEED={seed}: {:#?}", verdict.wrong);
        operations += verdict.operations.0;
        succeeded += verdict.operations.1;
        owners += verdict.owners;
    }
    if only.is_none() {
        assert!(succeeded * 3 > operations, "{succeeded} of {operations} operations succeeded");
        assert!(u64::from(owners) > 3 * SEEDS, "{owners} take-overs in {SEEDS} worlds");
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(1).hash, run(2).hash);
}
