//! The ledger's stories.

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_000_000;

fn ledger() -> Ledger {
    Ledger::new(RequestLimits { keys_max: 100, age_max_us: 10 * NOW })
}

fn now() -> Timestamp {
    Timestamp::from_micros(NOW).unwrap()
}

fn ask(stream: &str, expected: ExpectedVersion, events: u32) -> Ask {
    Ask { stream: StreamKey::of(stream), expected, request: None, fingerprint: 7, events }
}

fn with_request(ask: Ask, request: &str) -> Ask {
    Ask { request: Some(StreamKey::of(request)), ..ask }
}

fn accept(first: u64) -> Judged {
    Judged { verdict: Verdict::Accept { first: Version(first) }, provisional: true }
}

#[test]
fn appends_of_one_window_see_each_other() {
    let mut ledger = ledger();
    assert_eq!(ledger.judge(1, &ask("a-1", ExpectedVersion::NoStream, 2)), accept(1));
    assert_eq!(ledger.judge(1, &ask("a-1", ExpectedVersion::Exact(Version(2)), 1)), accept(3));
    let judged = ledger.judge(1, &ask("a-1", ExpectedVersion::NoStream, 1));
    let conflict = Conflict { expected: ExpectedVersion::NoStream, current: Version(3) };
    assert_eq!(judged, Judged { verdict: Verdict::Refuse(conflict), provisional: true });
}

#[test]
fn a_conflict_with_committed_truth_is_answered_at_once() {
    let mut ledger = ledger();
    ledger.judge(1, &ask("a-1", ExpectedVersion::Any, 1));
    ledger.commit(1, &[10], now());
    let judged = ledger.judge(2, &ask("a-1", ExpectedVersion::NoStream, 1));
    assert!(!judged.provisional);
    assert!(matches!(judged.verdict, Verdict::Refuse(Conflict { current: Version(1), .. })));
}

#[test]
fn a_lost_window_leaves_no_trace() {
    let mut ledger = ledger();
    ledger.judge(1, &with_request(ask("a-1", ExpectedVersion::Any, 1), "r1"));
    ledger.commit(1, &[10], now());
    ledger.judge(2, &with_request(ask("a-1", ExpectedVersion::Any, 1), "r2"));
    ledger.judge(3, &ask("a-2", ExpectedVersion::Any, 1));
    ledger.forget_uncommitted();
    assert_eq!(ledger.current(StreamKey::of("a-1")), (Version(1), false));
    assert_eq!(ledger.current(StreamKey::of("a-2")), (Version::NONE, false));
    assert_eq!(ledger.judge(4, &with_request(ask("a-1", ExpectedVersion::Any, 1), "r2")), accept(2));
}

#[test]
fn a_repeated_request_gets_the_same_answer() {
    let mut ledger = ledger();
    let first = with_request(ask("a-1", ExpectedVersion::NoStream, 2), "r1");
    ledger.judge(1, &first);
    let in_flight = ledger.judge(1, &first);
    assert!(in_flight.provisional && matches!(in_flight.verdict, Verdict::Repeat(_)));
    ledger.commit(1, &[11], now());
    let Judged { verdict: Verdict::Repeat(answer), provisional: false } = ledger.judge(2, &first) else {
        panic!("not a repeat");
    };
    assert_eq!((answer.first, answer.last(), answer.last_offset), (Version(1), Version(2), 11));
    let other_payload = Ask { fingerprint: 8, ..first };
    assert_eq!(ledger.judge(2, &other_payload).verdict, Verdict::KeyReused);
    let other_stream = Ask { stream: StreamKey::of("a-2"), ..first };
    assert_eq!(ledger.judge(2, &other_stream).verdict, Verdict::KeyReused);
}

#[test]
fn what_the_log_teaches_equals_what_was_decided() {
    let payloads: [(&str, &[u8]); 2] = [("A", b"x"), ("B", b"y")];
    let decided = with_request(
        Ask { fingerprint: fingerprint(payloads.into_iter()), ..ask("a-1", ExpectedVersion::NoStream, 2) },
        "r1",
    );
    let mut taught = ledger();
    for (index, (event_type, payload)) in payloads.into_iter().enumerate() {
        let version = Version(index as u64 + 1);
        taught.learn_version(decided.stream, version);
        let event = Remembered {
            stream: decided.stream,
            first: version,
            events: 1,
            fingerprint: event_fingerprint(event_type, payload),
            last_offset: 20 + index as i64,
        };
        taught.learn_request(StreamKey::of("r1"), "e1", event, now());
        taught.learn_request(StreamKey::of("r1"), "e1", event, now());
    }
    let mut lived = ledger();
    lived.judge(1, &decided);
    lived.commit(1, &[21], now());
    assert_eq!(taught.judge(2, &decided), lived.judge(2, &decided));
    assert!(matches!(taught.judge(2, &decided).verdict, Verdict::Repeat(_)));
}

#[test]
fn requests_are_bounded_by_number_and_age() {
    let mut ledger = Ledger::new(RequestLimits { keys_max: 3, age_max_us: 10 });
    for (index, request) in ["r1", "r2", "r3", "r4"].into_iter().enumerate() {
        ledger.judge(index as u64, &with_request(ask("a-1", ExpectedVersion::Any, 1), request));
        ledger.commit(index as u64, &[0], Timestamp::from_micros(index as i64).unwrap());
    }
    assert_eq!(ledger.requests(), 3);
    ledger.expire_requests(Timestamp::from_micros(13).unwrap());
    assert_eq!(ledger.requests(), 1);
}

proptest! {
    /// Whatever is asked and whichever windows are lost: committed versions are gapless and nothing is accepted twice.
    #[test]
    fn versions_stay_gapless(steps in prop::collection::vec((0u8..4, 0u8..6, 1u32..4, any::<bool>()), 1..200)) {
        let mut ledger = ledger();
        let mut log: HashMap<StreamKey, Vec<u64>> = HashMap::new();
        let mut open: Vec<(StreamKey, u64, u32)> = Vec::new();
        for (number, (stream, request, events, committed)) in steps.into_iter().enumerate() {
            let asked = with_request(ask(&format!("s-{stream}"), ExpectedVersion::Any, events), &format!("{stream}/{request}"));
            if let Verdict::Accept { first } = ledger.judge(number as u64, &asked).verdict {
                open.push((asked.stream, first.0, events));
            }
            if committed {
                let offsets = vec![0; open.len()];
                ledger.commit(number as u64, &offsets, now());
                for (stream, first, events) in open.drain(..) {
                    log.entry(stream).or_default().extend(first..first + u64::from(events));
                }
            } else {
                ledger.forget_uncommitted();
                open.clear();
            }
        }
        for (stream, versions) in log {
            prop_assert_eq!(&versions, &(1..=versions.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(ledger.committed(stream), Version(versions.len() as u64));
        }
    }
}
