//! The life of an incident: which moves there are, and what becomes of it.

use super::*;

const MOVES: [Move; 6] = [Move::Grow, Move::Acknowledge, Move::Mitigate, Move::Reopen, Move::Merge, Move::Resolve];

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

fn event(verb: Move, time: i64) -> IncidentEvent {
    let (incident, by, comment, at) = (|| "i".to_owned(), || "ann".to_owned(), String::new, at(time));
    match verb {
        Move::Grow => IncidentEvent::IncidentGrew { incident: incident(), count: 9, at, evidence: Vec::new() },
        Move::Acknowledge => {
            IncidentEvent::IncidentAcknowledged { incident: incident(), by: by(), comment: comment(), at }
        }
        Move::Mitigate => IncidentEvent::IncidentMitigated { incident: incident(), by: by(), comment: comment(), at },
        Move::Reopen => IncidentEvent::IncidentReopened {
            incident: incident(),
            because: Reopening::Returned,
            count: 9,
            by: None,
            comment: None,
            at,
        },
        Move::Merge => IncidentEvent::IncidentMerged {
            incident: incident(),
            into: "j".into(),
            count: 9,
            reason: String::new(),
            evidence: Vec::new(),
            at,
        },
        Move::Resolve => IncidentEvent::IncidentResolved {
            incident: incident(),
            count: 9,
            because: Ending::Quiet,
            by: None,
            comment: None,
            at,
            last_at: at,
        },
    }
}

fn opened() -> Incident {
    let opened = IncidentEvent::IncidentOpened {
        incident: "i".into(),
        rule: "m/r".into(),
        rules_version: "1".into(),
        group: Labels::default(),
        severity: "warning".into(),
        summary: String::new(),
        at: at(1),
        began_at: at(0),
        count: 1,
        reason: String::new(),
        evidence: Vec::new(),
        alternatives: Vec::new(),
    };
    Incident::opened(&opened).unwrap()
}

fn after(verbs: &[Move]) -> Incident {
    let mut incident = opened();
    verbs.iter().zip(2..).for_each(|(verb, time)| incident.evolve(&event(*verb, time)));
    incident
}

/// The shortest way into each state.
fn in_state(state: IncidentState) -> Incident {
    let incident = match state {
        IncidentState::Open => after(&[]),
        IncidentState::Acknowledged => after(&[Move::Acknowledge]),
        IncidentState::Mitigated => after(&[Move::Mitigate]),
        IncidentState::Resolved => after(&[Move::Resolve]),
        IncidentState::Merged => after(&[Move::Merge]),
    };
    assert_eq!(incident.state, state);
    incident
}

#[test]
fn every_legal_move_leads_where_it_says_and_every_other_changes_nothing() {
    let mut legal = 0;
    for state in IncidentState::ALL {
        for verb in MOVES {
            let before = in_state(state);
            let mut after = before.clone();
            after.evolve(&event(verb, 50));
            match state.after(verb) {
                Some(next) => {
                    legal += 1;
                    assert_eq!((after.state, after.updated_at), (next, at(50)), "{state:?} {verb:?}");
                }
                None => assert_eq!(after, before, "{state:?} {verb:?}"),
            }
        }
    }
    assert_eq!(legal, 15);
}

#[test]
fn what_was_mitigated_and_returns_is_nobodys_again() {
    let mitigated = after(&[Move::Acknowledge, Move::Mitigate]);
    assert_eq!((mitigated.acknowledged_by.as_deref(), mitigated.mitigated_at), (Some("ann"), Some(at(3))));
    let back = after(&[Move::Acknowledge, Move::Mitigate, Move::Reopen]);
    assert_eq!((back.state, back.acknowledged_by, back.mitigated_at), (IncidentState::Open, None, None));
}

#[test]
fn what_is_reopened_is_not_over_and_what_is_merged_stays_so() {
    let again = after(&[Move::Resolve, Move::Reopen]);
    assert_eq!((again.state, again.resolved_at), (IncidentState::Open, None));
    let merged = after(&[Move::Merge, Move::Reopen, Move::Resolve]);
    assert_eq!((merged.state, merged.merged_into.as_deref()), (IncidentState::Merged, Some("j")));
    assert!(merged.state.is_over() && merged.resolved_at == Some(at(2)));
}
