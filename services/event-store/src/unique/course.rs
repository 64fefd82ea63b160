//! The course of one append that brings unique values to its stream or takes them from it, as a pure value: it says what to
//! do next and hears what became of it, so that it can be stopped between any two steps.
//!
//! ```text
//! claims in the order of their names:
//!   Take ─ written ──────────────────────────▶ next
//!     └ stands ─ free, or an append's that is over and did not bring it ─▶ Take, at exactly that version
//!              └ held ─▶ give back what was taken, end
//! then look at the claims of values given up, then Append
//!   ├ in ────────▶ release what was given up, at the versions looked at
//!   ├ not in ────▶ give back what was taken
//!   └ not known ─▶ end: whoever meets the claims finds out
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spina_core::{StreamId, Version};

/// Most looks at one claim that changes hands all the time.
const TRIES_MAX: u32 = 16;

/// Who claims a value, and by which append.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The stream.
    pub holder: StreamId,
    /// The attempt; see [`Term`](super::term::Term).
    pub attempt: String,
}

/// How a claim stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Version of its stream.
    pub version: Version,
    /// Nobody's if missing.
    pub claim: Option<Claim>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look how a claim stands.
    Look(StreamId),
    /// Write to a claim at exactly this version: that it is ours, or nobody's.
    Write(StreamId, Version, Option<Claim>),
    /// Ask the owner of the holder's stream whether it holds the value.
    Ask(StreamId, Claim),
    /// Append the events at exactly the version that everything was judged at.
    Append,
    /// Nothing.
    End(End),
}

/// What a step led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The claim has what was written.
    Written,
    /// How the claim stands; nothing was written.
    Stands(Standing),
    /// The value is held.
    Holds,
    /// It is not, and cannot come to be by this claim.
    Gone,
    /// The events are in the log.
    In,
    /// The events are not in the log and will not be.
    NotIn,
    /// There is no answer.
    Nothing,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The events are in the log.
    In,
    /// They are not, for a reason that has nothing to do with claims.
    NotIn,
    /// They are not: another stream holds a value.
    Taken {
        /// The unique field.
        field: String,
        /// The stream.
        holder: StreamId,
    },
    /// They are not: an owner could not be reached.
    Hindered,
    /// Nobody can tell for now.
    Unknown,
}

#[derive(Debug, Clone)]
enum Phase {
    Taking(usize, Version),
    Asking(usize, Version, Claim),
    Looking(usize),
    Appending,
    Releasing(Vec<(StreamId, Version)>, End),
    Ended(End),
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Course {
    own: Claim,
    wanted: Vec<(StreamId, String)>,
    given_up: Vec<StreamId>,
    /// Claims of ours, at the versions at which they are.
    taken: Vec<(StreamId, Version)>,
    /// Claims to be released once the events are in, at the versions at which they were before.
    releases: Vec<(StreamId, Version)>,
    tries: u32,
    phase: Phase,
}

impl Course {
    /// The course of an append whose stream has these claims before and after it.
    pub fn new(own: Claim, before: &BTreeMap<StreamId, String>, after: &BTreeMap<StreamId, String>) -> Self {
        let wanted = after.iter().filter(|(claim, _)| !before.contains_key(claim));
        let given_up = before.keys().filter(|claim| !after.contains_key(claim));
        let mut course = Self {
            own,
            wanted: wanted.map(|(claim, field)| (claim.clone(), field.clone())).collect(),
            given_up: given_up.cloned().collect(),
            taken: Vec::new(),
            releases: Vec::new(),
            tries: 0,
            phase: Phase::Appending,
        };
        course.phase = course.taking(0);
        course
    }

    /// What to do next.
    pub fn step(&self) -> Step {
        match &self.phase {
            Phase::Taking(at, version) => Step::Write(self.wanted[*at].0.clone(), *version, Some(self.own.clone())),
            Phase::Asking(at, _, found) => Step::Ask(self.wanted[*at].0.clone(), found.clone()),
            Phase::Looking(at) => Step::Look(self.given_up[*at].clone()),
            Phase::Appending => Step::Append,
            Phase::Releasing(claims, end) => match claims.last() {
                Some((claim, version)) => Step::Write(claim.clone(), *version, None),
                None => Step::End(end.clone()),
            },
            Phase::Ended(end) => Step::End(end.clone()),
        }
    }

    /// Goes on by what the step led to. An answer that does not belong to the step counts as none.
    pub fn hear(&mut self, heard: Heard) {
        self.phase = match self.phase.clone() {
            Phase::Taking(at, version) => self.took(at, version, heard),
            Phase::Asking(at, version, found) => match heard {
                Heard::Gone => self.again(at, version),
                // Its own value is not one that it wants: the state has moved, and the append would fail.
                Heard::Holds if found.holder != self.own.holder => {
                    self.give_back(End::Taken { field: self.wanted[at].1.clone(), holder: found.holder })
                }
                Heard::Holds | Heard::Written | Heard::Stands(_) | Heard::In | Heard::NotIn | Heard::Nothing => {
                    self.give_back(End::Hindered)
                }
            },
            Phase::Looking(at) => {
                if let Heard::Stands(Standing { version, claim: Some(claim) }) = heard
                    && claim.holder == self.own.holder
                {
                    self.releases.push((self.given_up[at].clone(), version));
                }
                self.looking(at + 1)
            }
            Phase::Appending => match heard {
                Heard::In => Phase::Releasing(self.releases.clone(), End::In),
                Heard::NotIn => self.give_back(End::NotIn),
                Heard::Written | Heard::Stands(_) | Heard::Holds | Heard::Gone | Heard::Nothing => {
                    Phase::Ended(End::Unknown)
                }
            },
            // Whoever meets a claim that could not be released finds out that nobody holds its value.
            Phase::Releasing(mut claims, end) => {
                claims.pop();
                Phase::Releasing(claims, end)
            }
            Phase::Ended(end) => Phase::Ended(end),
        };
    }

    fn took(&mut self, at: usize, version: Version, heard: Heard) -> Phase {
        let ours = match heard {
            Heard::Written => version.plus(1),
            Heard::Stands(Standing { version, claim: None }) => return self.again(at, version),
            Heard::Stands(Standing { version, claim: Some(claim) }) if claim == self.own => version,
            Heard::Stands(Standing { version, claim: Some(claim) }) => return Phase::Asking(at, version, claim),
            Heard::Holds | Heard::Gone | Heard::In | Heard::NotIn | Heard::Nothing => {
                return self.give_back(End::Hindered);
            }
        };
        self.taken.push((self.wanted[at].0.clone(), ours));
        self.taking(at + 1)
    }

    fn again(&mut self, at: usize, version: Version) -> Phase {
        self.tries += 1;
        if self.tries < TRIES_MAX { Phase::Taking(at, version) } else { self.give_back(End::Hindered) }
    }

    /// Most values are new, so the first try is made without a look.
    fn taking(&mut self, at: usize) -> Phase {
        self.tries = 0;
        if at < self.wanted.len() { Phase::Taking(at, Version::NONE) } else { self.looking(0) }
    }

    /// Before the append: a claim that is released later must be the one that the stream had before it.
    fn looking(&self, at: usize) -> Phase {
        if at < self.given_up.len() { Phase::Looking(at) } else { Phase::Appending }
    }

    fn give_back(&self, end: End) -> Phase {
        Phase::Releasing(self.taken.clone(), end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(id: &str) -> StreamId {
        id.parse().unwrap()
    }

    fn own() -> Claim {
        Claim { holder: stream("customer-1"), attempt: "t.1.1".to_owned() }
    }

    fn claims(values: &[&str]) -> BTreeMap<StreamId, String> {
        values.iter().map(|value| (stream(&format!("unique_customer-email-{value}")), "email".to_owned())).collect()
    }

    fn stands(version: u64, holder: Option<&str>) -> Heard {
        let claim = holder.map(|holder| Claim { holder: stream(holder), attempt: "t.0.9".to_owned() });
        Heard::Stands(Standing { version: Version(version), claim })
    }

    fn email(value: &str) -> StreamId {
        stream(&format!("unique_customer-email-{value}"))
    }

    #[test]
    fn a_changed_value_is_claimed_before_and_the_old_one_released_after() {
        let mut course = Course::new(own(), &claims(&["old", "same"]), &claims(&["new", "same"]));
        assert_eq!(course.step(), Step::Write(email("new"), Version(0), Some(own())));
        course.hear(Heard::Written);
        assert_eq!(course.step(), Step::Look(email("old")));
        course.hear(stands(3, Some("customer-1")));
        assert_eq!(course.step(), Step::Append);
        course.hear(Heard::In);
        assert_eq!(course.step(), Step::Write(email("old"), Version(3), None));
        course.hear(Heard::Nothing);
        assert_eq!(course.step(), Step::End(End::In));
    }

    #[test]
    fn a_value_that_is_held_ends_it_and_what_was_taken_is_given_back() {
        let mut course = Course::new(own(), &claims(&[]), &claims(&["a", "b"]));
        course.hear(Heard::Written);
        course.hear(stands(2, Some("customer-2")));
        assert!(matches!(course.step(), Step::Ask(claim, found) if claim == email("b") && found.attempt == "t.0.9"));
        course.hear(Heard::Holds);
        assert_eq!(course.step(), Step::Write(email("a"), Version(1), None));
        course.hear(Heard::Written);
        let end = End::Taken { field: "email".to_owned(), holder: stream("customer-2") };
        assert_eq!(course.step(), Step::End(end));
    }

    #[test]
    fn a_claim_of_nobody_is_taken_over_at_exactly_its_version() {
        let mut course = Course::new(own(), &claims(&[]), &claims(&["a"]));
        course.hear(stands(2, Some("customer-2")));
        course.hear(Heard::Gone);
        assert_eq!(course.step(), Step::Write(email("a"), Version(2), Some(own())));
        course.hear(stands(3, None));
        assert_eq!(course.step(), Step::Write(email("a"), Version(3), Some(own())));
        for version in 4..40 {
            course.hear(stands(version, None));
        }
        assert_eq!(course.step(), Step::End(End::Hindered), "it does not go on for ever");
    }

    #[test]
    fn an_append_whose_end_is_not_known_keeps_its_claims() {
        let mut course = Course::new(own(), &claims(&[]), &claims(&["a"]));
        course.hear(Heard::Written);
        course.hear(Heard::Nothing);
        assert_eq!(course.step(), Step::End(End::Unknown));
    }
}
