//! Holds what is kept of a stream against its events in the log. Pure.

use spina_core::snapshot::state_hash;
use spina_core::{Recorded, State, Version};
use spina_store::archive::{Holding, Stored};

/// What a stream's audit found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The log itself is not what it must be.
    Log(String),
    /// An archived event differs, is missing or is too many.
    Archive(String),
    /// The index of streams has another version.
    Index(String),
    /// The snapshot is not the fold of the events up to its version.
    Snapshot(String),
}

/// Everything that does not fit. `events` are the stream's in the log, decoded in `recorded`; `fold` names the fold that
/// the audit makes, and snapshots of another one are not judged.
pub fn compare(events: &[Stored], recorded: &[Recorded], holding: &Holding, fold: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(events.windows(2).find_map(|pair| gap(&pair[0], &pair[1])));
    findings.extend(archived(events, holding));
    findings.extend(indexed(events, holding));
    findings.extend(snapshot(recorded, holding, fold));
    findings
}

fn gap(before: &Stored, after: &Stored) -> Option<Finding> {
    let (before, after) = (before.headers.version, after.headers.version);
    (after != before.plus(1)).then(|| Finding::Log(format!("version {before} is followed by {after}")))
}

fn archived(events: &[Stored], holding: &Holding) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut kept = holding.events.iter().peekable();
    for event in events {
        let version = event.headers.version;
        while let Some(extra) = kept.next_if(|kept| kept.headers.version < version) {
            findings.push(Finding::Archive(format!("version {} is not in the log", extra.headers.version)));
        }
        match kept.next_if(|kept| kept.headers.version == version) {
            Some(kept) if !is_same(event, kept) => {
                findings.push(Finding::Archive(format!("version {version} differs from the log")));
            }
            Some(_) => {}
            None if event.offset < holding.watermark => {
                findings.push(Finding::Archive(format!("version {version} is missing")));
            }
            None => {}
        }
    }
    findings.extend(kept.map(|kept| Finding::Archive(format!("version {} is not in the log", kept.headers.version))));
    findings
}

/// The log keeps the time of recording in milliseconds.
fn is_same(logged: &Stored, kept: &Stored) -> bool {
    logged.headers == kept.headers
        && (logged.partition, logged.offset) == (kept.partition, kept.offset)
        && logged.recorded_at.millis() == kept.recorded_at.millis()
        && logged.value == kept.value
}

fn indexed(events: &[Stored], holding: &Holding) -> Option<Finding> {
    let archived = events.iter().rev().find(|event| event.offset < holding.watermark);
    let (indexed, expected) = (holding.version, archived.map(|event| event.headers.version));
    let shown = |version: Option<Version>| version.map_or("nothing".to_owned(), |version| version.to_string());
    (indexed != expected)
        .then(|| Finding::Index(format!("spina.streams has {}, the log {}", shown(indexed), shown(expected))))
}

fn snapshot(recorded: &[Recorded], holding: &Holding, fold: &str) -> Option<Finding> {
    let snapshot = holding.snapshot.as_ref()?;
    let version = snapshot.version;
    let last = recorded.last().map_or(Version::NONE, |event| event.headers.version);
    let Some(state) = &snapshot.state else {
        return Some(Finding::Snapshot(format!("the one of version {version} cannot be read")));
    };
    if state_hash(state) != snapshot.hash || state.version != version {
        return Some(Finding::Snapshot(format!("the one of version {version} is not what was written")));
    }
    if version > last {
        return Some(Finding::Snapshot(format!("it is of version {version}, the log ends at {last}")));
    }
    let begins = recorded.first().is_some_and(|event| event.headers.version == Version(1));
    if snapshot.fingerprint != fold || !begins {
        return None;
    }
    let events = recorded.iter().take_while(|event| event.headers.version <= version);
    let folded = events.fold(State::default(), State::evolve);
    (state_hash(&folded) != snapshot.hash)
        .then(|| Finding::Snapshot(format!("the one of version {version} is not the fold of the events until then")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};
    use spina_core::Position;
    use spina_store::archive::HeldSnapshot;

    use super::super::samples::event;
    use super::*;

    const FOLD: &str = "Happened=1";

    fn recorded(event: &Stored) -> Recorded {
        let position = Position { topic: "test.events.v1".to_owned(), partition: 0, offset: event.offset };
        let mut data = Map::new();
        data.insert("n".to_owned(), Value::from(event.headers.version.0));
        Recorded { headers: event.headers.clone(), position, data }
    }

    /// Three events at offsets 1 to 3, all archived, and a snapshot of version 2.
    fn world() -> (Vec<Stored>, Vec<Recorded>, Holding) {
        let events: Vec<Stored> = (1..=3).map(|version| event("a-1", version)).collect();
        let decoded: Vec<Recorded> = events.iter().map(recorded).collect();
        let state = decoded[..2].iter().fold(State::default(), State::evolve);
        let snapshot = HeldSnapshot {
            version: Version(2),
            hash: state_hash(&state),
            state: Some(state),
            fingerprint: FOLD.to_owned(),
        };
        let holding =
            Holding { watermark: 4, events: events.clone(), version: Some(Version(3)), snapshot: Some(snapshot) };
        (events, decoded, holding)
    }

    /// What is found after a change.
    fn found(change: impl FnOnce(&mut Holding)) -> Vec<Finding> {
        let (events, decoded, mut holding) = world();
        change(&mut holding);
        compare(&events, &decoded, &holding, FOLD)
    }

    #[test]
    fn what_fits_gives_no_finding() {
        assert_eq!(found(|_| {}), []);
        // Not archived yet, no snapshot yet, one of another fold.
        assert_eq!(found(|holding| *holding = Holding::default()), []);
        let stale = |holding: &mut Holding| {
            let snapshot = holding.snapshot.as_mut().unwrap();
            snapshot.fingerprint = "Happened=0".to_owned();
            snapshot.state.as_mut().unwrap().data.clear();
            snapshot.hash = state_hash(snapshot.state.as_ref().unwrap());
        };
        assert_eq!(found(stale), []);
    }

    #[test]
    fn archived_events_are_those_of_the_log() {
        let archive = |text: &str| vec![Finding::Archive(text.to_owned())];
        assert_eq!(found(|it| it.events[1].value = "x".into()), archive("version 2 differs from the log"));
        assert_eq!(found(|it| it.events[1].headers.id = "x".to_owned()), archive("version 2 differs from the log"));
        assert_eq!(found(|it| drop(it.events.remove(1))), archive("version 2 is missing"));
        assert_eq!(found(|it| it.events.push(event("a-1", 4))), archive("version 4 is not in the log"));
    }

    #[test]
    fn the_index_has_the_last_archived_version() {
        assert!(matches!(found(|it| it.version = Some(Version(2)))[..], [Finding::Index(_)]));
        assert!(matches!(found(|it| it.version = None)[..], [Finding::Index(_)]));
    }

    #[test]
    fn a_snapshot_is_the_fold_of_the_events_up_to_its_version() {
        fn of(holding: &mut Holding) -> &mut HeldSnapshot {
            holding.snapshot.as_mut().unwrap()
        }
        let damaged = found(|it| drop(of(it).state.as_mut().unwrap().data.insert("n".to_owned(), Value::from(9))));
        assert!(matches!(&damaged[..], [Finding::Snapshot(text)] if text.ends_with("is not what was written")));
        assert!(matches!(found(|it| of(it).version = Version(3))[..], [Finding::Snapshot(_)]));
        assert!(matches!(found(|it| of(it).state = None)[..], [Finding::Snapshot(_)]));
        let rewritten = |version| {
            found(move |it| {
                let snapshot = of(it);
                let state = snapshot.state.as_mut().unwrap();
                state.version = Version(version);
                snapshot.hash = state_hash(state);
                snapshot.version = Version(version);
            })
        };
        assert!(matches!(&rewritten(9)[..], [Finding::Snapshot(text)] if text.ends_with("the log ends at 3")));
        assert!(matches!(&rewritten(1)[..], [Finding::Snapshot(text)] if text.contains("is not the fold")));
    }

    #[test]
    fn a_hole_in_the_log_is_told() {
        let (mut events, decoded, mut holding) = world();
        events.remove(1);
        holding.events.remove(1);
        assert!(matches!(compare(&events, &decoded, &holding, FOLD)[..], [Finding::Log(_)]));
    }
}
